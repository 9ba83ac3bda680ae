"""
What each component of EEM has to reach, by which paths, and how sure that is.

The needs E1 to E13 have the numbers of the table in docs/concepts.md. Only a documented need, or one that follows from
a documented fact, is certain: what a change surely cuts of it may be refused. Where the product's configuration does
not tell the address (Kafka), the need is the unknown path to any address.

Source: IBM Event Endpoint Management documentation, "Network policies" (egress), "Managing gateways", "Usage-based
licensing", EventGateway reference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from webhook.eem.destinations import Destinations
from webhook.eem.eem_snapshot import EemSnapshot
from webhook.eem.instances import Component, EemOperator, Instance, InstanceRef
from webhook.eem.paths import (
    NeedPath,
    PathContext,
    PathEnd,
    ServiceTranslation,
    host_of,
    is_name,
    paths_of_pods,
    paths_of_service,
    paths_of_url,
    router_services,
    service_of,
)
from webhook.eem.resources import MANAGER_KIND
from webhook.eem.rules.neighbours import MANAGER_LABEL, ManagerReference
from webhook.netpol.model import Pod, Protocol
from webhook.netpol.reading import Tree, object_at, objects_at, text_at

Level = Literal["certain", "warning", "note"]
"""A loss of the need may be refused; it is warned of; it is only shown by `explain`."""

NeedName = tuple[str, InstanceRef, Component, Protocol, str]
"""What a need keeps when its paths change: its row, who has it, the protocol and the destination in words."""

# Of more managers that a gateway may mean, its manager is not known, which is milder: with a path for each pair of a
# gateway and a manager, the work would grow with the square of their number.
MOST_POSSIBLE_MANAGERS = 16

DNS_PORTS = (53, 5353)
DNS_SERVICES = (("kube-system", "kube-dns"), ("openshift-dns", "dns-default"))
API_SERVER = ("default", "kubernetes")
_API_SERVER_PORT = 443
_MANAGER_PORT = 3000
_READINESS_PORT = 8081
_HTTPS = 443


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """
    One egress that must hold: at least one of its paths has to be reachable as a whole.

    Args:
        id: the row of the table, such as `E3`.
        destination: what has to be reachable, in words.
        port: the port for messages; None where it is not known.
        paths: at least one.
        apart_from: what does not count for an unknown path, since it is certainly something else.
        only_if_none: whether it is lost only where nothing at all is left; fewer addresses do not matter.
    """

    id: str
    instance: InstanceRef
    component: Component
    protocol: Protocol
    level: Level
    destination: str
    port: int | None
    paths: tuple[NeedPath, ...]
    apart_from: tuple[PathEnd, ...] = ()
    only_if_none: bool = False

    @property
    def name(self) -> NeedName:
        """Return what it keeps when its paths change."""
        return self.id, self.instance, self.component, self.protocol, self.destination


def needs_of(namespace: str, snapshot: EemSnapshot, translation: ServiceTranslation) -> tuple[Need, ...]:
    """Return the needs of every instance and operator of one namespace that is not exempt."""
    view = snapshot.eem.get(namespace)
    if view is None:
        return ()
    found: list[Need] = []
    around = PathContext(cluster=snapshot.cluster, destinations=snapshot.destinations, translation=translation)
    managers = ((namespace, name) for kind, name in sorted(view.instances) if kind == MANAGER_KIND)
    known = snapshot.neighbours.managers
    without_hosts = tuple(key for key in managers if key in known and not known[key].hosts)
    asked = _Asked(snapshot=snapshot, around=around, without_hosts=without_hosts)
    for operator in sorted(view.inventory.operators.values(), key=lambda operator: operator.ref):
        if not operator.exemption:
            found.extend(asked.of_operator(operator))
    for instance in sorted(view.inventory.instances.values(), key=lambda instance: instance.ref):
        if not instance.exemption:
            found.extend(asked.of_manager(instance) if instance.kind == MANAGER_KIND else asked.of_gateway(instance))
    return tuple(found)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    """
    What the needs of one namespace are read from.

    Args:
        without_hosts: the managers there whose hosts are not known.
    """

    snapshot: EemSnapshot
    around: PathContext
    without_hosts: tuple[tuple[str, str], ...]

    def of_operator(self, operator: EemOperator) -> Iterator[Need]:
        """Yield E1, E2, E8 and E9."""
        for manager in self._watched_by(operator):
            pods = self._pods_of(manager)
            words = f"the manager pods of {manager.namespace}/{manager.name}"
            yield Need(
                id="E1",
                instance=operator.ref,
                component=Component.OPERATOR,
                protocol=Protocol.TCP,
                level="certain",
                destination=words,
                port=_READINESS_PORT,
                paths=(paths_of_pods(words, pods, _READINESS_PORT, self.around),),
            )
        api_server = paths_of_service(*API_SERVER, Protocol.TCP, _API_SERVER_PORT, self.around)
        yield _tcp("E2", operator.ref, Component.OPERATOR, "certain", "the API server", _API_SERVER_PORT, api_server)
        yield from self._dns("E8", operator.ref, Component.OPERATOR, "warning")

    def of_gateway(self, gateway: Instance) -> Iterator[Need]:
        """Yield E3, E4, E5, E9 and E11."""
        ref, spec = gateway.ref, object_at(gateway.source, "spec")
        labels = object_at(gateway.source, "metadata", "labels")
        url = text_at(spec, "manager", "endpoint") or text_at(spec, "managerEndpoint")
        telemetry = text_at(spec, "openTelemetry", "endpoint")
        others: list[Need] = []
        if url or text_at(labels, MANAGER_LABEL):
            reference = ManagerReference.of(ref.namespace, labels, spec)
            paths = tuple(self._paths_to_manager(reference, url))
            port = _MANAGER_PORT if not url else paths[-1].ports[0] if paths[-1].ports else None
            others.append(_tcp("E3", ref, Component.GATEWAY, "certain", "the manager", port, paths))
        if any(is_name(host_of(text)) for text in (url, telemetry)):
            others.extend(self._dns("E5", ref, Component.GATEWAY, "certain"))
        if telemetry:
            others.append(self._at_url("E11", ref, Component.GATEWAY, "the OpenTelemetry collector", telemetry))
        certain = (need for need in others if need.level == "certain")
        kafka = _tcp("E4", ref, Component.GATEWAY, "certain", "Kafka", None, (NeedPath(name="Kafka"),))
        ends = tuple(end for need in certain for path in need.paths for end in path.ends)
        yield from (*(need for need in others if need.id == "E3"), replace(kafka, apart_from=ends))
        yield from (need for need in others if need.id != "E3")

    def of_manager(self, manager: Instance) -> Iterator[Need]:
        """Yield E6, E7, E9, E10, E11, E12 and E13."""
        ref, spec = manager.ref, object_at(manager.source, "spec")
        part = object_at(spec, "manager")
        licensing = _licensing_url(spec)
        telemetry = text_at(part, "openTelemetry", "endpoint") or text_at(spec, "openTelemetry", "endpoint")
        login = object_at(part, "authConfig")
        optional = [
            ("the identity provider", text_at(login, "oidcConfig", "site") if login.get("authType") == "OIDC" else ""),
            ("the keys of API Connect", text_at(part, "apic", "jwks", "endpoint")),
        ]
        portals = objects_at(part, "apic", "developerPortal")
        optional.extend(("the developer portal", text_at(portal, "endpoint")) for _, portal in portals)
        urls = (licensing, telemetry, *(url for _, url in optional))
        if any(is_name(host_of(url)) for url in urls):
            is_certain = is_name(host_of(licensing))
            yield from self._dns("E6", ref, Component.MANAGER, "certain" if is_certain else "warning")
        if licensing:
            need = self._at_url("E7", ref, Component.MANAGER, "the licensing service", licensing)
            yield replace(need, level="certain")
        for words, url in optional:
            if url:
                yield self._at_url("E10", ref, Component.MANAGER, words, url)
        if telemetry:
            yield self._at_url("E11", ref, Component.MANAGER, "the OpenTelemetry collector", telemetry)
        kafka = _tcp("E12", ref, Component.MANAGER, "warning", "Kafka", None, (NeedPath(name="Kafka"),))
        yield replace(kafka, only_if_none=True)
        if login.get("authType") == "INTEGRATION_KEYCLOAK":
            yield _elsewhere(ref, "Keycloak of the Cloud Pak")
        yield _elsewhere(ref, "api.segment.io")

    def _at_url(self, number: str, ref: InstanceRef, component: Component, words: str, url: str) -> Need:
        paths = paths_of_url(url, self.around)
        port = next((path.ports[0] for path in reversed(paths) if path.ports), None)
        return _tcp(number, ref, component, "warning", words, port, paths)

    def _dns(self, number: str, ref: InstanceRef, component: Component, level: Level) -> Iterator[Need]:
        """Yield the need of DNS over UDP, and E9 for TCP, which only large answers need."""
        rows: tuple[tuple[Protocol, str, Level], ...] = ((Protocol.UDP, number, level), (Protocol.TCP, "E9", "warning"))
        for protocol, row, how_sure in rows:
            yield Need(
                id=row,
                instance=ref,
                component=component,
                protocol=protocol,
                level=how_sure,
                destination="DNS",
                port=DNS_PORTS[0],
                paths=self._paths_to_dns(protocol),
            )

    def _paths_to_dns(self, protocol: Protocol) -> tuple[NeedPath, ...]:
        for namespace, name in DNS_SERVICES:
            if self.around.destinations.service(namespace, name) is not None:
                return paths_of_service(namespace, name, protocol, DNS_PORTS[0], self.around)
            if self.around.destinations.slices(namespace, name):
                paths = paths_of_service(namespace, name, protocol, DNS_PORTS[0], self.around)
                if paths[0].is_known:
                    return paths
        return (NeedPath(name="DNS", ports=DNS_PORTS),)

    def _paths_to_manager(self, reference: ManagerReference, url: str) -> Iterator[NeedPath]:
        """Yield the path to the pods of the manager that a gateway names, where it is known, and those of its URL."""
        managers = self._managers_of(reference)
        if len(managers) > MOST_POSSIBLE_MANAGERS or not (managers or url):
            yield NeedPath(name="the manager")
            managers = ()
        for namespace, name in managers:
            manager = self.snapshot.eem[namespace].inventory.instances[MANAGER_KIND, name]
            words = f"the manager pods of {namespace}/{name}"
            yield paths_of_pods(words, self._pods_of(manager), _MANAGER_PORT, self.around)
        if url:
            yield from paths_of_url(url, self.around)

    def _managers_of(self, reference: ManagerReference) -> tuple[tuple[str, str], ...]:
        """
        Return the manager that a gateway names, by its hosts, its Route or Ingress, or its label.

        Where none of these tells, it may be any manager in the namespace of the gateway whose hosts are not known: to
        count its pods as a path makes a verdict milder, never stricter.
        """
        neighbours = self.snapshot.neighbours
        known = neighbours.likely_manager_of(reference)
        if known is not None:
            return ((known.namespace, known.name),)
        for exposed in self.around.destinations.exposed_as(reference.host):
            for service in exposed.services:
                name = service.partition("-ibm-eem-")[0]
                if (exposed.namespace, name) in neighbours.managers:
                    return ((exposed.namespace, name),)
        return self.without_hosts

    def _watched_by(self, operator: EemOperator) -> Iterator[Instance]:
        """Yield the managers of the operator's namespace; of every namespace if it is the only operator."""
        is_only_one = len(self.snapshot.operators) == 1
        for namespace in sorted(self.snapshot.eem) if is_only_one else (operator.namespace,):
            instances = self.snapshot.eem[namespace].instances.values()
            for instance in sorted(instances, key=lambda instance: instance.ref):
                if instance.kind == MANAGER_KIND and not instance.terminating:
                    yield instance

    def _pods_of(self, instance: Instance) -> tuple[Pod, ...]:
        """Return the pods of an instance; where none is known, one that has the labels of its template."""
        inventory = self.snapshot.eem[instance.namespace].inventory
        return inventory.pods_by_claim.get((instance.component, instance.ref), ())


def services_to_read(snapshot: EemSnapshot, exposed: Destinations) -> tuple[tuple[str, str], ...]:
    """Return namespace and name of each Service that a path may lead to; *exposed* has the Routes and Ingresses."""
    hosts = _hosts(snapshot)
    named = (service for host in hosts if (service := service_of(host)) is not None)
    routers = (service for host in hosts for one in exposed.exposed_as(host) for service in router_services(one))
    return tuple(dict.fromkeys((API_SERVER, *DNS_SERVICES, *named, *routers)))


def namespaces_to_read(snapshot: EemSnapshot) -> tuple[str, ...]:
    """Return the namespaces whose Routes and Ingresses may stand for a host that EEM calls: those with a manager."""
    if all(service_of(host) is not None for host in _hosts(snapshot)):
        return ()
    return tuple(sorted({namespace for namespace, _ in snapshot.neighbours.managers}))


def _hosts(snapshot: EemSnapshot) -> tuple[str, ...]:
    """Return every host name in the URLs of instances that are not exempt."""
    instances = (one for view in snapshot.eem.values() for one in view.instances.values() if not one.exemption)
    hosts = (host_of(url) for instance in instances for url in _urls(instance))
    return tuple(sorted({host for host in hosts if is_name(host)}))


def _urls(instance: Instance) -> tuple[str, ...]:
    """Return the URLs of an instance that a need is about."""
    spec = object_at(instance.source, "spec")
    part = object_at(spec, "manager")
    portals = objects_at(part, "apic", "developerPortal")
    return (
        text_at(part, "endpoint") if instance.kind != MANAGER_KIND else "",
        text_at(spec, "managerEndpoint"),
        text_at(spec, "openTelemetry", "endpoint"),
        text_at(part, "openTelemetry", "endpoint"),
        _licensing_url(spec),
        text_at(part, "authConfig", "oidcConfig", "site"),
        text_at(part, "apic", "jwks", "endpoint"),
        *(text_at(portal, "endpoint") for _, portal in portals),
    )


def _licensing_url(spec: Tree) -> str:
    """Return the URL of the licensing service; empty where usage is not reported to one."""
    if text_at(spec, "license", "metric") != "MONTHLY_API_CALL":
        return ""
    services = (service for _, service in objects_at(spec, "manager", "extensionServices"))
    return next((text_at(known, "endpoint") for known in services if text_at(known, "name") == "licensing-service"), "")


def _tcp(  # noqa: PLR0913, PLR0917  the parts of one need
    number: str,
    ref: InstanceRef,
    component: Component,
    level: Level,
    words: str,
    port: int | None,
    paths: Iterable[NeedPath],
) -> Need:
    return Need(
        id=number,
        instance=ref,
        component=component,
        protocol=Protocol.TCP,
        level=level,
        destination=words,
        port=port,
        paths=tuple(paths),
    )


def _elsewhere(ref: InstanceRef, words: str) -> Need:
    return _tcp("E13", ref, Component.MANAGER, "note", words, _HTTPS, (NeedPath(name=words, ports=(_HTTPS,)),))
