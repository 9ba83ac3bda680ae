"""
What is behind a name or a virtual address of the cluster: Services, EndpointSlices, Routes and Ingresses.

They are read for egress alone: few, and only those that a need of EEM may name. One that was not read and one that does
not exist are the same here: a path through it is unknown, and never lost.

Source: k8s.io/api core/v1 (Service), discovery/v1 (EndpointSlice), networking/v1 (Ingress); route.openshift.io/v1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from rpds import HashTrieMap

from webhook.eem.resources import DESTINATIONS
from webhook.netpol.intervals import IPV4, IPAddress, address_of
from webhook.netpol.model import PROTOCOLS, Protocol
from webhook.netpol.reading import Tree, integer_at, list_at, object_at, objects_at, text_at, value_at

ObjectKey = tuple[str, str, str]
"""Kind, namespace and name."""

SERVICE_LABEL = "kubernetes.io/service-name"
"""The label by which a slice names its Service. Source: discovery.LabelServiceName."""

_API_VERSIONS = {resource.kind: resource.api_version for resource in DESTINATIONS}


@dataclass(frozen=True, kw_only=True, slots=True)
class ServicePort:
    """
    A port of a Service, or the port of its pods that an EndpointSlice lists under the same name.

    Args:
        target: the number of the pods' port, where a Service tells it; None for a name.
    """

    name: str
    protocol: Protocol
    number: int
    target: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Balancer:
    """
    An address at which a load balancer answers.

    Args:
        is_proxy: whether packets from inside the cluster go to the balancer itself: `ipMode: Proxy`. Else the nodes
            send them straight to the endpoints (KEP-1860).
    """

    address: IPAddress
    is_proxy: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class ServiceObject:
    """
    A Service.

    Args:
        addresses: its cluster IPs; empty for a headless one.
        is_external: whether it stands for a name outside the cluster (`type: ExternalName`).
        balancers: from its status.
        balancer_names: the host names in its status, of which no address is known.
    """

    namespace: str
    name: str
    addresses: tuple[IPAddress, ...] = ()
    is_external: bool = False
    ports: tuple[ServicePort, ...] = ()
    balancers: tuple[Balancer, ...] = ()
    balancer_names: tuple[str, ...] = ()

    def port(self, protocol: Protocol, number: int) -> ServicePort | None:
        """Return the port with this protocol and number; None where there is none."""
        return next((port for port in self.ports if (port.protocol, port.number) == (protocol, number)), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Backend:
    """
    One address behind a Service.

    Args:
        pod: namespace and name of the pod that has it; None where the slice names none.
    """

    address: IPAddress
    pod: tuple[str, str] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class EndpointSlice:
    """
    Addresses behind a Service.

    Args:
        backends: those that are ready.
    """

    service: str
    backends: tuple[Backend, ...] = ()
    ports: tuple[ServicePort, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class ExposedHost:
    """
    A Route or an Ingress.

    Args:
        namespace: where it is, and the Services that it leads to are.
        services: the names of these Services.
        routers: the names of the OpenShift routers that admitted it.
        balancers: the addresses in the status of an Ingress.
        balancer_names: the host names in it.
    """

    namespace: str
    hosts: frozenset[str]
    services: tuple[str, ...]
    routers: tuple[str, ...] = ()
    balancers: tuple[Balancer, ...] = ()
    balancer_names: tuple[str, ...] = ()

    def carries(self, host: str) -> bool:
        """Whether *host* is one of its hosts, of which a wildcard stands for one label."""
        return host in self.hosts or f"*.{host.partition('.')[2]}" in self.hosts


ParsedDestination = ServiceObject | EndpointSlice | ExposedHost


@dataclass(frozen=True, kw_only=True)
class Destinations:
    """The Services, EndpointSlices, Routes and Ingresses that were read: a persistent value."""

    objects: HashTrieMap[ObjectKey, ParsedDestination] = field(default_factory=HashTrieMap)

    def with_object(self, key: ObjectKey, parsed: ParsedDestination) -> Destinations:
        """Return the value with one object added or replaced."""
        return replace(self, objects=self.objects.insert(key, parsed))

    def without(self, key: ObjectKey) -> Destinations:
        """Return the value without one object; one that is not there is no error."""
        return replace(self, objects=self.objects.discard(key)) if key in self.objects else self

    def service(self, namespace: str, name: str) -> ServiceObject | None:
        """Return a Service; None where it was not read."""
        found = self.objects.get(("Service", namespace, name))
        return found if isinstance(found, ServiceObject) else None

    @cached_property
    def services(self) -> tuple[ServiceObject, ...]:
        """Return every Service, in order."""
        return tuple(self.objects[key] for key in sorted(self.objects) if key[0] == "Service")  # type: ignore[misc]

    @cached_property
    def _slices(self) -> Mapping[tuple[str, str], list[EndpointSlice]]:
        found: dict[tuple[str, str], list[EndpointSlice]] = {}
        for key in sorted(self.objects):
            parsed = self.objects[key]
            if isinstance(parsed, EndpointSlice):
                found.setdefault((key[1], parsed.service), []).append(parsed)
        return found

    @cached_property
    def _exposed(self) -> tuple[ExposedHost, ...]:
        found = (self.objects[key] for key in sorted(self.objects))
        return tuple(parsed for parsed in found if isinstance(parsed, ExposedHost))

    @cached_property
    def pods(self) -> frozenset[tuple[str, str]]:
        """Return namespace and name of all pods behind Services."""
        slices = (one for found in self._slices.values() for one in found)
        return frozenset(backend.pod for one in slices for backend in one.backends if backend.pod is not None)

    def slices(self, namespace: str, service: str) -> tuple[EndpointSlice, ...]:
        """Return the slices of a Service that have an address: EEM uses IPv4, so others only if it has none."""
        filled = [known for known in self._slices.get((namespace, service), ()) if known.backends]
        is_ipv4 = [known for known in filled if known.backends[0].address[0] == IPV4]
        return tuple(is_ipv4 or filled)

    def exposed_as(self, host: str) -> tuple[ExposedHost, ...]:
        """Return the Routes and Ingresses of a host."""
        return tuple(exposed for exposed in self._exposed if exposed.carries(host))

    def service_at(self, address: IPAddress) -> ServiceObject | None:
        """Return the Service that has *address* as a cluster IP or at its load balancer; None where none was read."""
        for service in self.services:
            balanced = (balancer.address for balancer in service.balancers if not balancer.is_proxy)
            if address in service.addresses or address in balanced:
                return service
        return None


NO_DESTINATIONS = Destinations()


def is_destination(api_object: Tree) -> bool:
    """Whether an API object is of a kind that is read here."""
    kind = text_at(api_object, "kind")
    return kind in _API_VERSIONS and api_object.get("apiVersion") == _API_VERSIONS[kind]


def read_destination(api_object: Tree) -> ParsedDestination:
    """Return a Service, EndpointSlice, Route or Ingress as far as it can be read: a part that cannot is left out."""
    kind = text_at(api_object, "kind")
    if kind == "Service":
        return _service(api_object)
    if kind == "EndpointSlice":
        return _slice(api_object)
    return _route(api_object) if kind == "Route" else _ingress(api_object)


def _service(api_object: Tree) -> ServiceObject:
    spec = object_at(api_object, "spec")
    written = [text for text in (text_at(spec, "clusterIP"), *list_at(spec, "clusterIPs")) if isinstance(text, str)]
    balancers, names = _balancers(api_object)
    return ServiceObject(
        namespace=text_at(api_object, "metadata", "namespace") or "default",
        name=text_at(api_object, "metadata", "name"),
        addresses=tuple(dict.fromkeys(_addresses(written))),
        is_external=text_at(spec, "type") == "ExternalName",
        ports=tuple(_ports(spec, "port")),
        balancers=balancers,
        balancer_names=names,
    )


def _slice(api_object: Tree) -> EndpointSlice:
    namespace = text_at(api_object, "metadata", "namespace") or "default"
    backends: list[Backend] = []
    for _, endpoint in objects_at(api_object, "endpoints"):
        if value_at(endpoint, "conditions", "ready") is False:
            continue
        target = object_at(endpoint, "targetRef")
        is_pod = text_at(target, "kind") == "Pod" and bool(text_at(target, "name"))
        pod = (text_at(target, "namespace") or namespace, text_at(target, "name")) if is_pod else None
        backends.extend(Backend(address=address, pod=pod) for address in _addresses(list_at(endpoint, "addresses")))
    return EndpointSlice(
        service=text_at(object_at(api_object, "metadata", "labels"), SERVICE_LABEL),
        backends=tuple(backends),
        ports=tuple(_ports(api_object, "port")),
    )


def _route(api_object: Tree) -> ExposedHost:
    admitted = [entry for _, entry in objects_at(api_object, "status", "ingress")]
    hosts = {text_at(api_object, "spec", "host"), *(text_at(entry, "host") for entry in admitted)}
    return ExposedHost(
        namespace=text_at(api_object, "metadata", "namespace") or "default",
        hosts=frozenset(host.lower() for host in hosts if host),
        services=tuple(filter(None, (text_at(api_object, "spec", "to", "name"),))),
        routers=tuple(dict.fromkeys(filter(None, (text_at(entry, "routerName") for entry in admitted)))),
    )


def _ingress(api_object: Tree) -> ExposedHost:
    rules = [entry for _, entry in objects_at(api_object, "spec", "rules")]
    backends = [object_at(api_object, "spec", "defaultBackend")]
    backends.extend(object_at(path, "backend") for rule in rules for _, path in objects_at(rule, "http", "paths"))
    balancers, names = _balancers(api_object)
    return ExposedHost(
        namespace=text_at(api_object, "metadata", "namespace") or "default",
        hosts=frozenset(text_at(rule, "host").lower() for rule in rules if text_at(rule, "host")),
        services=tuple(dict.fromkeys(filter(None, (text_at(backend, "service", "name") for backend in backends)))),
        balancers=balancers,
        balancer_names=names,
    )


def _balancers(api_object: Tree) -> tuple[tuple[Balancer, ...], tuple[str, ...]]:
    """Return the addresses and the host names in `status.loadBalancer`."""
    entries = [entry for _, entry in objects_at(api_object, "status", "loadBalancer", "ingress")]
    found = (
        Balancer(address=address, is_proxy=text_at(entry, "ipMode") == "Proxy")
        for entry in entries
        for address in _addresses([text_at(entry, "ip")])
    )
    return tuple(found), tuple(filter(None, (text_at(entry, "hostname") for entry in entries)))


def _ports(parent: Tree, key: str) -> Iterator[ServicePort]:
    for _, entry in objects_at(parent, "ports"):
        number, protocol = integer_at(entry, key), PROTOCOLS.get(text_at(entry, "protocol") or Protocol.TCP.value)
        if number is not None and protocol is not None:
            target = integer_at(entry, "targetPort") if "targetPort" in entry else number
            yield ServicePort(name=text_at(entry, "name"), protocol=protocol, number=number, target=target)


def _addresses(texts: Iterable[object]) -> Iterator[IPAddress]:
    for text in texts:
        try:
            yield address_of(text if isinstance(text, str) else "")
        except ValueError:
            continue
