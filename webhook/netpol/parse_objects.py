"""
Parse the API objects that decisions rest on: only what they need is kept.

Source: k8s.io/api core/v1, apps/v1, batch/v1.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from webhook.netpol.cluster_policies import (
    CALICO_GROUPS,
    CALICO_KINDS,
    CALICO_POLICY,
    CLUSTER_POLICY_GROUP,
    CLUSTER_POLICY_KINDS,
    CalicoObject,
    ClusterPolicy,
)
from webhook.netpol.controller_labels import labels_of_pods, ordinals_of
from webhook.netpol.faults import Fault
from webhook.netpol.intervals import IPAddress, address_of
from webhook.netpol.model import (
    PROTOCOLS,
    ContainerPort,
    Namespace,
    NetworkPolicy,
    OwnerReference,
    Pod,
    Protocol,
    Workload,
)
from webhook.netpol.parse import read_policy
from webhook.netpol.parse_cluster_policies import read_cluster_policy
from webhook.netpol.parse_meta import read_owners
from webhook.netpol.reading import Faults, boolean, describe, integer, items, mapping, string, strings

ApiObject = Mapping[str, Any]
Parsed = Namespace | Pod | Workload | NetworkPolicy | ClusterPolicy | CalicoObject

KIND_GROUPS: Mapping[str, str] = {
    "Namespace": "",
    "Pod": "",
    "NetworkPolicy": "networking.k8s.io",
    "Deployment": "apps",
    "StatefulSet": "apps",
    "DaemonSet": "apps",
    "ReplicaSet": "apps",
    "Job": "batch",
    "CronJob": "batch",
    **dict.fromkeys(sorted(CLUSTER_POLICY_KINDS), CLUSTER_POLICY_GROUP),
}
"""The kinds that are read, with their API group: a kind of the same name in another group is another kind."""

MOST_VALUES: Final = 10_000
"""
Values of an object that is read at once. Reading one takes up to 4 µs, so this many take up to 40 ms: for that time the
event loop may be held.
"""

FINISHED_PHASES = frozenset({"Succeeded", "Failed"})

TEMPLATE_PATHS: Mapping[str, tuple[str, ...]] = {
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}
"""The path of the pod template in each kind of workload."""

WORKLOAD_KINDS = frozenset(TEMPLATE_PATHS)


def is_large(value: object, most: int = MOST_VALUES) -> bool:
    """Whether there are more than *most* values in *value*; the function looks at no more than these."""
    waiting, seen = [value], 0
    while waiting:
        match waiting.pop():
            case dict() as found:
                values = [*found.values()]
            case list() | tuple() as found:
                values = [*found[: most + 1]]
            case _:
                continue
        seen += len(values)
        if seen > most:
            return True
        waiting.extend(values)
    return False


def kind_of(api_object: ApiObject) -> str | None:
    """Return the kind of an object that is read; None for any other object."""
    kind, version = api_object.get("kind"), api_object.get("apiVersion")
    if not isinstance(kind, str) or not isinstance(version, str):
        return None
    group = version.rpartition("/")[0]
    if KIND_GROUPS.get(kind) == group:
        return kind
    if group not in CALICO_GROUPS:
        return None
    known = CALICO_POLICY if kind == "NetworkPolicy" else kind
    return known if known in CALICO_KINDS else None


def read_object(api_object: ApiObject) -> tuple[Parsed | None, tuple[Fault, ...]]:
    """Return one API object as far as it can be read, with its faults; None for a kind that is not read."""
    kind = kind_of(api_object)
    if kind is None:
        return None, ()
    faults = Faults()
    metadata = mapping(api_object.get("metadata"), "metadata", faults)
    name = string(metadata.get("name"), "metadata.name", faults)
    if not name:
        faults.add("metadata.name", "must be set", "Required")
    parsed: Parsed | None
    if kind in CALICO_KINDS:
        from webhook.netpol.calico.parse_calico import read_calico  # noqa: PLC0415  only where there are such objects

        parsed, found = read_calico(api_object, kind)
        faults = Faults(found=[fault for fault in faults.found if fault.reason == "Required"] + list(found))
        if parsed is None:
            return None, ()
    elif kind == "NetworkPolicy":
        parsed, found = read_policy(api_object)
        faults = Faults(found=[fault for fault in faults.found if fault.reason == "Required"] + list(found))
    elif kind in CLUSTER_POLICY_KINDS:
        parsed, found = read_cluster_policy(api_object)
        faults = Faults(found=[fault for fault in faults.found if fault.reason == "Required"] + list(found))
    elif kind == "Namespace":
        parsed = read_namespace(api_object, faults)
    elif kind == "Pod":
        parsed = read_pod(api_object, faults)
    else:
        parsed = read_workload(api_object, kind, faults)
    namespace = "" if isinstance(parsed, (Namespace, ClusterPolicy)) or not parsed.namespace else f"{parsed.namespace}/"
    owner = f"{namespace}{name or '(no name)'}"
    distinct = dict.fromkeys(faults.found)
    return parsed if name else None, tuple(replace(fault, kind=kind, name=owner) for fault in distinct)


KEPT_VARIABLES = frozenset({"DEPLOY_OPERATOR_NETWORK_POLICY", "QUARKUS_PROFILE"})
"""
The variables of a container's `env` that a workload keeps: they tell how the EEM operator was installed.

Others may hold passwords, and any user's workloads could fill the memory with them.
"""

LONGEST_VALUE = 256
"""Characters that are kept of the value of such a variable."""


def read_namespace(api_object: Mapping[str, Any], faults: Faults) -> Namespace:
    """Return a Namespace; it is terminating by its deletionTimestamp or by its phase."""
    metadata = mapping(api_object.get("metadata"), "metadata", faults)
    status = mapping(api_object.get("status"), "status", faults)
    return Namespace(
        name=string(metadata.get("name"), "metadata.name", faults),
        labels=strings(metadata.get("labels"), "metadata.labels", faults),
        annotations={
            key: value
            for key, value in strings(metadata.get("annotations"), "metadata.annotations", faults).items()
            if not key.startswith("kubectl.kubernetes.io/")
        },
        terminating=metadata.get("deletionTimestamp") is not None or status.get("phase") == "Terminating",
    )


def read_pod(api_object: Mapping[str, Any], faults: Faults) -> Pod:
    """Return a Pod."""
    metadata = mapping(api_object.get("metadata"), "metadata", faults)
    spec = mapping(api_object.get("spec"), "spec", faults)
    status = mapping(api_object.get("status"), "status", faults)
    return Pod(
        namespace=string(metadata.get("namespace"), "metadata.namespace", faults) or "default",
        name=string(metadata.get("name"), "metadata.name", faults),
        labels=strings(metadata.get("labels"), "metadata.labels", faults),
        ports=tuple(_container_ports(spec, "spec", faults)),
        addresses=_addresses(status, "podIP", "podIPs", faults),
        host_addresses=_addresses(status, "hostIP", "hostIPs", faults),
        node=string(spec.get("nodeName"), "spec.nodeName", faults),
        host_network=boolean(spec.get("hostNetwork"), "spec.hostNetwork", faults) is True,
        finished=string(status.get("phase"), "status.phase", faults) in FINISHED_PHASES,
        owners=read_owners(metadata, faults),
    )


def read_workload(api_object: Mapping[str, Any], kind: str, faults: Faults) -> Workload:
    """Return a workload with the pod that its controller makes; that pod has the name of the workload."""
    metadata = mapping(api_object.get("metadata"), "metadata", faults)
    namespace = string(metadata.get("namespace"), "metadata.namespace", faults) or "default"
    name = string(metadata.get("name"), "metadata.name", faults)
    uid = string(metadata.get("uid"), "metadata.uid", faults)
    template: Mapping[str, Any] = api_object
    path = ""
    for step in TEMPLATE_PATHS[kind]:
        path = f"{path}.{step}" if path else step
        template = mapping(template.get(step), path, faults)
    template_metadata = mapping(template.get("metadata"), f"{path}.metadata", faults)
    spec = mapping(template.get("spec"), f"{path}.spec", faults)
    labels = strings(template_metadata.get("labels"), f"{path}.metadata.labels", faults)
    return Workload(
        kind=kind,
        namespace=namespace,
        name=name,
        uid=uid,
        labels=strings(metadata.get("labels"), "metadata.labels", faults),
        owners=read_owners(metadata, faults),
        template=Pod(
            namespace=namespace,
            name=name,
            labels=labels_of_pods(api_object, kind, labels),
            ports=tuple(_container_ports(spec, f"{path}.spec", faults)),
            host_network=boolean(spec.get("hostNetwork"), f"{path}.spec.hostNetwork", faults) is True,
            owners=(OwnerReference(api_version="", kind=kind, name=name, uid=uid),),
            template_of=kind,
        ),
        ordinals=ordinals_of(api_object) if kind == "StatefulSet" else range(0),
        service_account=string(spec.get("serviceAccountName"), f"{path}.spec.serviceAccountName", faults),
        environment=_environment(spec, f"{path}.spec", faults),
        terminating=metadata.get("deletionTimestamp") is not None,
    )


def _containers(spec: Mapping[str, Any], path: str, faults: Faults) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """
    Yield the containers that run until the pod ends, native sidecars included.

    Source: PodSpec.initContainers with restartPolicy Always (KEP-753).
    """
    for item_path, item in items(spec.get("containers"), f"{path}.containers", faults):
        yield item_path, mapping(item, item_path, faults)
    for item_path, item in items(spec.get("initContainers"), f"{path}.initContainers", faults):
        container = mapping(item, item_path, faults)
        if container.get("restartPolicy") == "Always":
            yield item_path, container


def _container_ports(spec: Mapping[str, Any], path: str, faults: Faults) -> Iterator[ContainerPort]:
    for container_path, container in _containers(spec, path, faults):
        for item_path, item in items(container.get("ports"), f"{container_path}.ports", faults):
            entry = mapping(item, item_path, faults)
            name = string(entry.get("name"), f"{item_path}.name", faults)
            number = integer(entry.get("containerPort"), f"{item_path}.containerPort", faults)
            protocol = string(entry.get("protocol"), f"{item_path}.protocol", faults) or Protocol.TCP.value
            known = PROTOCOLS.get(protocol)
            if known is None:
                faults.add(
                    f"{item_path}.protocol", f"must be TCP, UDP or SCTP, not {describe(protocol)}", "NotSupported"
                )
            elif name and number is not None:
                yield ContainerPort(name=name, protocol=known, number=number)


def _environment(spec: Mapping[str, Any], path: str, faults: Faults) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for container_path, container in _containers(spec, path, faults):
        for item_path, item in items(container.get("env"), f"{container_path}.env", faults):
            entry = mapping(item, item_path, faults)
            name = string(entry.get("name"), f"{item_path}.name", faults)
            value = string(entry.get("value"), f"{item_path}.value", faults)
            if name in KEPT_VARIABLES and entry.get("value") is not None:
                found[name] = value[:LONGEST_VALUE]
    return found


def _addresses(status: Mapping[str, Any], single: str, several: str, faults: Faults) -> tuple[IPAddress, ...]:
    found: dict[IPAddress, None] = {}
    written = [(f"status.{single}", status.get(single))]
    for item_path, item in items(status.get(several), f"status.{several}", faults):
        written.append((f"{item_path}.ip", mapping(item, item_path, faults).get("ip")))
    for path, value in written:
        text = string(value, path, faults)
        if text:
            try:
                found[address_of(text)] = None
            except ValueError:
                faults.add(path, f"{describe(text)} is not an IP address")
    return tuple(found)
