"""
EEM instances and operators, and the ingress that they need.

An instance is one EventEndpointManagement or EventGateway object. It has requirements unless it is exempt: with
`spec.deployNetworkPolicies: false` its owner is responsible for the network, and a terminating one needs nothing.

Source: IBM Event Endpoint Management documentation, "Network policies": operator 8443, manager 3000 and 8081,
gateway 8092, all TCP from anywhere; since 11.8 the gateway's port is spec.listeners[0].port.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from webhook.eem.resources import EEM_GROUP, GATEWAY_KIND, INSTANCE_KINDS, MANAGER_KIND
from webhook.netpol.model import FIRST_PORT, LAST_PORT, Labels, Protocol, Workload, no_labels
from webhook.netpol.reading import Faults, boolean, mapping, string, strings

NAME_LABEL = "app.kubernetes.io/name"
INSTANCE_LABEL = "app.kubernetes.io/instance"
VERSION_LABEL = "app.kubernetes.io/version"
COMPONENT_LABEL = "app.kubernetes.io/component"
PRODUCT = "ibm-event-endpoint-management"
OPERATOR_NAME = "ibm-eem-operator"
OPERATOR_SWITCH = "DEPLOY_OPERATOR_NETWORK_POLICY"
"""Environment variable of the operator's container: whether the operator has a policy of its own; default true."""

OPERATOR_PROFILES = "QUARKUS_PROFILE"
NO_WEBHOOK = "nowebhook"
"""The profile of an operator that was installed without its admission webhook: the chart's `webhook.create=false`."""

MANAGER_PORTS = {3000: "UI, gateways and admin API", 8081: "readiness, polled by the operator"}
GATEWAY_PORT = 8092
OPERATOR_PORT = 8443

SourcesDemand = Literal["anywhere", "some"]
"""The sources that must be able to connect: all, or at least one."""


class Component(enum.StrEnum):
    """The parts of the product that accept connections."""

    OPERATOR = "operator"
    MANAGER = "manager"
    GATEWAY = "gateway"


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class InstanceRef:
    """The name of what has a requirement: an instance, or the operator's Deployment."""

    kind: str
    namespace: str
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Requirement:
    """
    One ingress that must hold.

    Args:
        sources: the sources that must be able to connect.
        why: what the port is for, for messages.
    """

    instance: InstanceRef
    component: Component
    protocol: Protocol
    port: int
    sources: SourcesDemand
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Instance:
    """
    One EventEndpointManagement or EventGateway.

    Args:
        deploy_network_policies: False only where the object sets it to false.
        listener_port: `spec.listeners[0].port` of a gateway; None where it is not set.
        template_labels: the labels that `spec.template.labels` or `spec.manager.template.labels` adds to its pods.
        source: the object without `managedFields`, for the rules, which read more of it.
    """

    kind: str
    namespace: str
    name: str
    uid: str = ""
    deploy_network_policies: bool = True
    terminating: bool = False
    listener_port: int | None = None
    template_labels: Labels = field(default_factory=no_labels)
    source: Mapping[str, Any] = field(default_factory=no_labels)

    @property
    def ref(self) -> InstanceRef:
        """Return its name for messages."""
        return InstanceRef(kind=self.kind, namespace=self.namespace, name=self.name)

    @property
    def component(self) -> Component:
        """Return the component that this instance runs."""
        return Component.MANAGER if self.kind == MANAGER_KIND else Component.GATEWAY

    @property
    def exemption(self) -> str:
        """Return the word for why it has no requirements; empty if it has them."""
        if self.terminating:
            return "terminating"
        return "" if self.deploy_network_policies else "deployNetworkPolicies"

    def requirements(self, sources: SourcesDemand) -> tuple[Requirement, ...]:
        """Return what it needs, whether or not it is exempt."""
        if self.component is Component.MANAGER:
            ports = MANAGER_PORTS
        else:
            ports = {self.listener_port or GATEWAY_PORT: "Kafka clients"}
        return tuple(
            Requirement(
                instance=self.ref,
                component=self.component,
                protocol=Protocol.TCP,
                port=port,
                sources=sources,
                why=why,
            )
            for port, why in ports.items()
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class EemOperator:
    """
    The EEM operator's Deployment.

    Args:
        service_account: the account of its pods; `default` where none is set.
        has_policy: False where its switch turns its own NetworkPolicy off, which makes it exempt.
        has_webhook: False where it was installed without its admission webhook: then it needs no ingress.
        version: the version of the product in its labels; empty where there is none.
    """

    namespace: str
    name: str
    service_account: str
    has_policy: bool
    has_webhook: bool = True
    version: str = ""

    @property
    def ref(self) -> InstanceRef:
        """Return its name for messages."""
        return InstanceRef(kind="Deployment", namespace=self.namespace, name=self.name)

    @property
    def exemption(self) -> str:
        """Return the word for why it has no requirements; empty if it has them."""
        return "" if self.has_policy else "operator-switch"

    def requirements(self) -> tuple[Requirement, ...]:
        """
        Return what it needs, whether or not it is exempt: some source on 8443 for its webhook.

        The product's documentation advises to narrow the sources, so "anywhere" is not demanded.
        """
        if not self.has_webhook:
            return ()
        return (
            Requirement(
                instance=self.ref,
                component=Component.OPERATOR,
                protocol=Protocol.TCP,
                port=OPERATOR_PORT,
                sources="some",
                why="the product's own admission webhook",
            ),
        )


def read_instance(api_object: Mapping[str, Any], faults: Faults) -> Instance | None:
    """Return an instance; None for any other kind, also for other kinds of the same group."""
    kind, version = api_object.get("kind"), api_object.get("apiVersion")
    if not isinstance(kind, str) or kind not in INSTANCE_KINDS:
        return None
    if not isinstance(version, str) or version.rpartition("/")[0] != EEM_GROUP:
        return None
    metadata = mapping(api_object.get("metadata"), "metadata", faults)
    spec = mapping(api_object.get("spec"), "spec", faults)
    owner_path = "spec.manager.template" if kind == MANAGER_KIND else "spec.template"
    part = mapping(spec.get("manager"), "spec.manager", faults) if kind == MANAGER_KIND else spec
    template = mapping(part.get("template"), owner_path, faults)
    deploy = boolean(spec.get("deployNetworkPolicies"), "spec.deployNetworkPolicies", faults)
    return Instance(
        kind=kind,
        namespace=string(metadata.get("namespace"), "metadata.namespace", faults) or "default",
        name=string(metadata.get("name"), "metadata.name", faults),
        uid=string(metadata.get("uid"), "metadata.uid", faults),
        deploy_network_policies=deploy is not False,
        terminating=metadata.get("deletionTimestamp") is not None,
        listener_port=_listener_port(spec) if kind == GATEWAY_KIND else None,
        template_labels=strings(template.get("labels"), f"{owner_path}.labels", faults),
        source=_kept(api_object, metadata),
    )


def _kept(api_object: Mapping[str, Any], metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**api_object, "metadata": {key: value for key, value in metadata.items() if key != "managedFields"}}


def _listener_port(spec: Mapping[str, Any]) -> int | None:
    """Return the port of the first listener; None where it is not valid, which the resource rules report."""
    listeners = spec.get("listeners")
    first = listeners[0] if isinstance(listeners, list) and listeners else None
    port = first.get("port") if isinstance(first, Mapping) else None
    if isinstance(port, int) and not isinstance(port, bool) and FIRST_PORT <= port <= LAST_PORT:
        return port
    return None


def read_operator(workload: Workload) -> EemOperator | None:
    """
    Return the EEM operator of a Deployment, by its pods' documented labels, or by name and instance label; else None.

    Source: the product's Helm chart and OLM bundle; both set the same labels in every version.
    """
    if workload.kind != "Deployment":
        return None
    labelled = any(
        labels.get(INSTANCE_LABEL) == OPERATOR_NAME
        and (labels.get(NAME_LABEL) == PRODUCT or workload.name == OPERATOR_NAME)
        for labels in (workload.template.labels, workload.labels)
    )
    if not labelled or workload.terminating:
        return None
    switch = workload.environment.get(OPERATOR_SWITCH, "true")
    profiles = workload.environment.get(OPERATOR_PROFILES, "").split(",")
    return EemOperator(
        namespace=workload.namespace,
        name=workload.name,
        service_account=workload.service_account or "default",
        has_policy=switch.strip().lower() != "false",
        has_webhook=NO_WEBHOOK not in map(str.strip, profiles),
        version=workload.labels.get(VERSION_LABEL) or workload.template.labels.get(VERSION_LABEL, ""),
    )
