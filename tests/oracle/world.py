"""
Who needs what: the instances of a namespace, their requirements, and the label sets of their pods.

Source: the product's documentation of ports, labels and pod names, read naively from plain API dictionaries.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from oracle.semantics import Labels, Object, Semantics, containers_of, is_terminating

PRODUCT = "ibm-event-endpoint-management"
PRODUCT_LABEL = "app.kubernetes.io/name"
INSTANCE_LABEL = "app.kubernetes.io/instance"
COMPONENT_LABEL = "app.kubernetes.io/component"
OPERATOR = "ibm-eem-operator"
OPERATOR_SWITCH = "DEPLOY_OPERATOR_NETWORK_POLICY"
RELEASE_NAMESPACE = "meta.helm.sh/release-namespace"
PROFILE, NO_WEBHOOK = "QUARKUS_PROFILE", "nowebhook"
MANAGER_KIND, GATEWAY_KIND = "EventEndpointManagement", "EventGateway"
COMPONENTS = {MANAGER_KIND: "manager", GATEWAY_KIND: "gateway", "Deployment": "operator"}
POD_NAMES = {"manager": "{}-ibm-eem-manager", "gateway": "{}-ibm-egw-gateway"}
COMPONENT_VALUES = {"manager": "ibm-eem-manager", "gateway": "ibm-egw"}
MANAGER_PORTS, GATEWAY_PORT, OPERATOR_PORT = (3000, 8081), 8092, 8443


@dataclass(frozen=True, kw_only=True, slots=True)
class Holder:
    """One instance of one namespace and the TCP ports it needs."""

    kind: str
    name: str
    ports: tuple[int, ...]
    resource: Any

    @property
    def component(self) -> str:
        """Return the component that the instance runs."""
        return COMPONENTS[self.kind]


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """
    One label set of a component's pods with the containers whose port names count.

    Args:
        unknown: the keys of the other labels, whose values a controller has yet to choose.
    """

    labels: Labels
    containers: tuple[Any, ...]
    unknown: tuple[str, ...] = ()
    assumed: bool = False
    pod_names: tuple[str, ...] = ()


def of_kind(objects: Sequence[Object], kind: str, namespace: str | None = None) -> list[Object]:
    """Return the objects of a kind, in one namespace or in all."""
    return [item for item in objects if item["kind"] == kind and namespace in (None, item["metadata"].get("namespace"))]


def operator_needs_nothing(deployment: Object) -> bool:
    """Whether the operator is configured to make no policy for itself, or to run without its webhook."""
    return any(
        (entry.get("name"), entry.get("value")) in {(OPERATOR_SWITCH, "false"), (PROFILE, NO_WEBHOOK)}
        for container in deployment["spec"]["template"]["spec"]["containers"]
        for entry in container.get("env") or []
    )


def holders_of(objects: Sequence[Object], namespace: str) -> list[Holder]:
    """Return the instances of a namespace that need ingress: not switched off, not terminating."""
    holders = []
    for kind in (MANAGER_KIND, GATEWAY_KIND):
        for resource in of_kind(objects, kind, namespace):
            spec = resource.get("spec") or {}
            if is_terminating(resource) or spec.get("deployNetworkPolicies") is False:
                continue
            listeners = spec.get("listeners") or [{"port": GATEWAY_PORT}]
            ports = MANAGER_PORTS if kind == MANAGER_KIND else (listeners[0]["port"],)
            holders.append(Holder(kind=kind, name=resource["metadata"]["name"], ports=ports, resource=resource))
    operators = [d for d in of_kind(objects, "Deployment", namespace) if d["metadata"]["name"] == OPERATOR]
    ports = (OPERATOR_PORT,)
    return holders + [
        Holder(kind="Deployment", name=OPERATOR, ports=ports, resource=deployment)
        for deployment in operators
        if not operator_needs_nothing(deployment)
    ]


def root_owner(item: Object, objects: Sequence[Object]) -> tuple[str, str] | None:
    """Follow the controllers up to the first that is not in the list, and name it."""
    found = None
    while owners := item["metadata"].get("ownerReferences"):
        found = owners[0]["kind"], owners[0]["name"]
        above = [
            o
            for o in objects
            if (o["kind"], o["metadata"]["name"]) == found
            and o["metadata"].get("namespace") == item["metadata"]["namespace"]
        ]
        if not above:
            break
        item = above[0]
    return found


def belongs(item: Object, labels: Labels, holder: Holder, objects: Sequence[Object]) -> bool:
    """
    Whether a pod, or a workload with these labels in its template, belongs to the instance.

    The instance label is necessary, not sufficient: the owners, the documented name or the product's label must agree.
    """
    if labels.get(INSTANCE_LABEL) != holder.name:
        return False
    if holder.kind == "Deployment":
        return labels.get(PRODUCT_LABEL) == PRODUCT
    owner = root_owner(item, objects)
    if owner is not None and owner[0] in COMPONENTS and owner[0] != "Deployment":
        return owner == (holder.kind, holder.name)
    for component, form in POD_NAMES.items():
        if f"{item['metadata']['name']}-".startswith(form.format(holder.name) + "-"):
            return component == holder.component
    component_value = COMPONENT_VALUES[holder.component]
    return labels.get(PRODUCT_LABEL) == PRODUCT and labels.get(COMPONENT_LABEL, component_value) == component_value


def assumed_labels(holder: Holder) -> Labels:
    """Return the documented labels of pods that do not exist yet, with those that the instance's template adds."""
    spec = holder.resource.get("spec") or {}
    above = spec.get("manager") or {} if holder.kind == MANAGER_KIND else spec
    added = (above.get("template") or {}).get("labels") or {}
    return {**added, PRODUCT_LABEL: PRODUCT, INSTANCE_LABEL: holder.name, "eem.ei.ibm.com/component": holder.name}


def made_by(kind: str, name: str, labels: Labels, containers: tuple[Any, ...], *, assumed: bool = False) -> Subject:
    """Return the first pod of a workload, with the labels that the controller of this kind adds."""
    if kind == "StatefulSet":
        numbered = {"statefulset.kubernetes.io/pod-name": f"{name}-0", "apps.kubernetes.io/pod-index": "0"}
        known, unknown = {**labels, **numbered}, "controller-revision-hash"
    else:
        known, unknown = labels, "pod-template-hash"
    return Subject(labels=known, containers=containers, unknown=(unknown,), assumed=assumed)


def subjects_of(holder: Holder, namespace: str, objects: Sequence[Object], semantics: Semantics) -> list[Subject]:
    """Return the label sets of an instance's pods: of live pods and templates, or else the documented labels."""
    pods = [
        pod
        for pod in semantics.distinct_pods(of_kind(objects, "Pod", namespace))
        if semantics.may_be_subject(pod) and belongs(pod, pod["metadata"].get("labels") or {}, holder, objects)
    ]
    found = [
        Subject(
            labels=pod["metadata"]["labels"],
            containers=tuple(containers_of(pod["spec"])),
            pod_names=(pod["metadata"]["name"],),
        )
        for pod in pods
    ]
    for kind in ("StatefulSet", "Deployment"):
        for workload in of_kind(objects, kind, namespace):
            template = workload["spec"]["template"]
            labels = (template.get("metadata") or {}).get("labels") or {}
            if belongs(workload, labels, holder, objects):
                containers = tuple(containers_of(template["spec"]))
                found.append(made_by(kind, workload["metadata"]["name"], labels, containers))
    if found:
        return found
    kind = "StatefulSet" if holder.kind == MANAGER_KIND else "Deployment"
    name = POD_NAMES[holder.component].format(holder.name)
    return [made_by(kind, name, assumed_labels(holder), (), assumed=True)]
