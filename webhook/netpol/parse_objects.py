"""
Turn Namespaces, Pods and workloads as the API writes them into the model: only what decisions need is kept.

Source: k8s.io/api core/v1, apps/v1, batch/v1.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from webhook.netpol.intervals import address_of
from webhook.netpol.model import ContainerPort, Namespace, OwnerReference, Pod, Protocol, Workload
from webhook.netpol.owners import read_owners
from webhook.netpol.reading import Faults, boolean, describe, integer, items, mapping, string, strings

FINISHED_PHASES = frozenset({"Succeeded", "Failed"})

TEMPLATE_PATHS: Mapping[str, tuple[str, ...]] = {
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}
"""Where each kind of workload keeps the template of its pods."""

KEPT_VARIABLES = frozenset({"DEPLOY_OPERATOR_NETWORK_POLICY", "QUARKUS_PROFILE"})
"""
The variables of a container's `env` that a workload keeps: they tell how the EEM operator was installed.

Others may hold passwords, and any user's workloads could fill the memory with them.
"""

LONGEST_VALUE = 256
"""Characters that are kept of the value of such a variable."""


def read_namespace(api_object: Mapping[str, Any], faults: Faults) -> Namespace:
    """Read a Namespace; it is terminating by its deletionTimestamp or by its phase."""
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
    """Read a Pod."""
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
    """Read a workload with the pod that its template makes; that pod bears the workload's own name."""
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
            labels=strings(template_metadata.get("labels"), f"{path}.metadata.labels", faults),
            ports=tuple(_container_ports(spec, f"{path}.spec", faults)),
            host_network=boolean(spec.get("hostNetwork"), f"{path}.spec.hostNetwork", faults) is True,
            owners=(OwnerReference(api_version="", kind=kind, name=name, uid=uid, controller=True),),
            template_of=kind,
        ),
        service_account=string(spec.get("serviceAccountName"), f"{path}.spec.serviceAccountName", faults),
        environment=_environment(spec, f"{path}.spec", faults),
        terminating=metadata.get("deletionTimestamp") is not None,
    )


def _containers(spec: Mapping[str, Any], path: str, faults: Faults) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """
    Give the containers that run as long as the pod does: native sidecars are among them.

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
            known = next((member for member in Protocol if member.value == protocol), None)
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


def _addresses(status: Mapping[str, Any], single: str, several: str, faults: Faults) -> tuple[tuple[int, int], ...]:
    found: dict[tuple[int, int], None] = {}
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
