"""
The ways in which a connection may go to where it is needed: the paths of a URL, of a Service, of pods.

Plugins differ in what an egress policy sees of a connection to a Service: the address that the client dialled, or the
pod behind it, after translation (OVN-Kubernetes, Calico and Cilium translate first). So a Service is two paths, of
which `--service-translation` removes one. Names are never resolved: a host of which nothing in the cluster tells the
address is an unknown path.

Source: IBM Event Endpoint Management documentation, "Network policies"; NetworkPolicyEgressRule (networking.k8s.io/v1).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from webhook.eem.destinations import Backend, Balancer, Destinations, ExposedHost, ServiceObject
from webhook.eem.rules.formats import url_of
from webhook.netpol.evaluate import endpoint_at
from webhook.netpol.intervals import IPAddress, address_of
from webhook.netpol.matching import Address, Endpoint, PodEndpoint
from webhook.netpol.model import Pod, Protocol
from webhook.netpol.snapshot import ClusterSnapshot

ServiceTranslation = Literal["unknown", "before-policy", "after-policy"]
"""
When the address of a Service is translated: before the plugin applies policies, so that these see the pods, or after,
so that they see the cluster IP.
"""

ROUTER_NAMESPACE = "openshift-ingress"
_ROUTER_SERVICES = ("router-internal-{}", "router-{}")
_DEFAULT_PORTS = {"https": 443, "http": 80, "grpc": 4317}


@dataclass(frozen=True, kw_only=True, slots=True)
class PathEnd:
    """A pod or an address with the port at which it has to be reached."""

    endpoint: Endpoint
    port: int


@dataclass(frozen=True, kw_only=True, slots=True)
class NeedPath:
    """
    One way to a destination.

    Args:
        name: the way in words, for messages.
        ends: everything that has to be reachable, since connections are spread over it; empty where that is not known.
        ports: where the ends are not known, the ports that they may have; None for any port.
        translated: what a policy sees if the address of a Service is translated first (True) or last (False); None if
            that makes no difference.
    """

    name: str
    ends: tuple[PathEnd, ...] = ()
    ports: tuple[int, ...] | None = None
    translated: bool | None = None

    @property
    def is_known(self) -> bool:
        """Whether it is known where it ends."""
        return bool(self.ends)


@dataclass(frozen=True, kw_only=True, slots=True)
class PathContext:
    """What tells where a connection goes: the cluster, what is behind its Services, and when these are translated."""

    cluster: ClusterSnapshot
    destinations: Destinations
    translation: ServiceTranslation = "unknown"

    def chosen(self, paths: Iterable[NeedPath]) -> tuple[NeedPath, ...]:
        """Return the paths that are possible with the plugin of this cluster."""
        excluded = {"unknown": None, "before-policy": False, "after-policy": True}[self.translation]
        return tuple(path for path in paths if excluded is None or path.translated is not excluded)


def paths_of_pods(name: str, pods: Iterable[Pod], port: int, around: PathContext) -> NeedPath:
    """Return the path to pods, all of which are needed."""
    ends = tuple(PathEnd(endpoint=pod_endpoint(pod, around.cluster), port=port) for pod in pods)
    return NeedPath(name=name, ends=ends, ports=(port,))


def pod_endpoint(pod: Pod, cluster: ClusterSnapshot) -> PodEndpoint:
    """Return a pod with the labels of its namespace."""
    return PodEndpoint(pod=pod, namespace_labels=cluster.state(pod.namespace).namespace.labels)


def paths_of_service(
    namespace: str, name: str, protocol: Protocol, port: int, around: PathContext
) -> tuple[NeedPath, ...]:
    """
    Return the paths to a Service: the addresses behind it at their ports, and its cluster IP.

    A Service that was not read, or that stands for a name elsewhere, is one unknown path at any port: the port of the
    pods is not known.
    """
    service = around.destinations.service(namespace, name)
    full_name = f"Service {namespace}/{name}"
    behind = f"the endpoints of {full_name}"
    if service is not None and service.is_external:
        return (NeedPath(name=full_name, ports=(port,)),)
    paths = [replace(_backends(namespace, name, service, protocol, port, around), name=behind, translated=True)]
    addresses = () if service is None else service.addresses
    paths.extend(_at_address(f"the cluster IP of {full_name}", address, port) for address in addresses[:1])
    if not addresses:  # a headless Service, or one that was not read: there is nothing to translate
        return (replace(paths[0], translated=None),)
    return around.chosen(paths)


def _at_address(name: str, address: IPAddress, port: int) -> NeedPath:
    """Return the path to a virtual address as the client dials it."""
    end = PathEnd(endpoint=Address(family=address[0], number=address[1]), port=port)
    return NeedPath(name=name, ends=(end,), ports=(port,), translated=False)


def _backends(  # noqa: PLR0913, PLR0917  the parts of one question
    namespace: str, name: str, service: ServiceObject | None, protocol: Protocol, port: int, around: PathContext
) -> NeedPath:
    """Return the path to everything behind a Service; an unknown one where an address or a pod is not known."""
    served = None if service is None else service.port(protocol, port)
    ends: list[PathEnd] = []
    ports: set[int] = set() if served is None or served.target is None else {served.target}
    is_complete = True
    for known in around.destinations.slices(namespace, name):
        # Without the Service, the only port of a slice must be the one that is meant.
        wanted = [
            entry
            for entry in known.ports
            if entry.protocol is protocol and (served is None or entry.name == served.name)
        ]
        if len(wanted) != 1:
            is_complete = False
            continue
        ports.add(wanted[0].number)
        for backend in known.backends:
            endpoint = _endpoint_of(backend, around.cluster)
            if endpoint is None:
                is_complete = False
            else:
                ends.append(PathEnd(endpoint=endpoint, port=wanted[0].number))
    return NeedPath(name=name, ends=tuple(ends) if is_complete else (), ports=tuple(sorted(ports)) or None)


def _endpoint_of(backend: Backend, cluster: ClusterSnapshot) -> Endpoint | None:
    """Return the pod or the address behind a Service; None for a pod whose labels are not known."""
    if backend.pod is None:
        return endpoint_at(backend.address, cluster)
    namespace, name = backend.pod
    pod = cluster.state(namespace).pods.get(name)
    return None if pod is None else pod_endpoint(pod, cluster)


def host_of(url: str) -> str:
    """Return the host of a URL in lower case; empty where the text is no URL."""
    parts = url_of(url)
    return "" if parts is None else (parts.hostname or "").lower()


def is_name(host: str) -> bool:
    """Whether a host has to be looked up in DNS."""
    return bool(host) and _address_of(host) is None


def service_of(host: str) -> tuple[str, str] | None:
    """Return namespace and name of the Service that a host is; None for another host."""
    name, _, rest = host.partition(".")
    namespace, _, domain = rest.partition(".")
    return (namespace, name) if domain == "svc" or domain.startswith("svc.") else None


def _address_of(host: str) -> IPAddress | None:
    try:
        return address_of(host)
    except ValueError:
        return None


def port_of(url: str) -> int | None:
    """Return the port of a URL; None where neither it nor its scheme tells one."""
    parts = url_of(url)
    return None if parts is None else parts.port or _DEFAULT_PORTS.get(parts.scheme.lower())


def paths_of_url(url: str, around: PathContext) -> tuple[NeedPath, ...]:
    """Return the paths to the host of a URL over TCP: what stands in the cluster for this host tells them."""
    host, port = host_of(url), port_of(url)
    if not host or port is None:
        return (NeedPath(name="its URL"),)
    address = _address_of(host)
    if address is not None:
        return tuple(_paths_of_address(address, port, around))
    service = service_of(host)
    if service is not None:
        return paths_of_service(*service, Protocol.TCP, port, around)
    for exposed in around.destinations.exposed_as(host):
        found = tuple(_paths_of_exposed(exposed, host, port, around))
        if found:
            return found
    return (NeedPath(name=host, ports=(port,)),)


def _paths_of_address(address: IPAddress, port: int, around: PathContext) -> Iterator[NeedPath]:
    service = around.destinations.service_at(address)
    if service is not None and address in service.addresses:
        yield from paths_of_service(service.namespace, service.name, Protocol.TCP, port, around)
    elif service is not None:
        balancers = tuple(balancer for balancer in service.balancers if balancer.address == address)
        yield from around.chosen(_paths_of_balancers(service, balancers, port, around))
    else:
        endpoint = endpoint_at(address, around.cluster)
        yield NeedPath(name="the address in its URL", ends=(PathEnd(endpoint=endpoint, port=port),), ports=(port,))


def _paths_of_balancers(
    service: ServiceObject, balancers: Iterable[Balancer], port: int, around: PathContext
) -> Iterator[NeedPath]:
    """Yield the paths through a load balancer: the endpoints of its Service, and the addresses of the balancer."""
    full_name = f"{service.namespace}/{service.name}"
    behind = _backends(service.namespace, service.name, service, Protocol.TCP, port, around)
    yield replace(behind, name=f"the endpoints of Service {full_name}", translated=True)
    for balancer in balancers:
        path = _at_address(f"the load balancer of Service {full_name}", balancer.address, port)
        yield replace(path, translated=None) if balancer.is_proxy else path


def _paths_of_exposed(exposed: ExposedHost, host: str, port: int, around: PathContext) -> Iterator[NeedPath]:
    """Yield the paths to the router or ingress controller that answers for a host; nothing where none is known."""
    balancers, names = exposed.balancers, exposed.balancer_names
    service = _router_of(exposed, around.destinations)
    if service is not None:
        balancers, names = (*balancers, *service.balancers), (*names, *service.balancer_names)
        yield from around.chosen(_paths_of_balancers(service, dict.fromkeys(balancers), port, around))
    else:
        yield from (
            replace(_at_address(f"the load balancer of {host}", balancer.address, port), translated=None)
            for balancer in dict.fromkeys(balancers)
        )
    if names:  # a name is not looked up, so that address is not known
        yield NeedPath(name=f"the load balancer {names[0]}", ports=(port,))


def router_services(exposed: ExposedHost) -> tuple[tuple[str, str], ...]:
    """Return namespace and name of each Service that a router of a Route may have, the likelier one first."""
    forms = tuple(reversed(_ROUTER_SERVICES))
    return tuple((ROUTER_NAMESPACE, form.format(router)) for router in exposed.routers for form in forms)


def _router_of(exposed: ExposedHost, destinations: Destinations) -> ServiceObject | None:
    """
    Return the Service of the router that admitted a Route, or of the controller whose address an Ingress has.

    Source: OpenShift's ingress operator makes router-internal-NAME and, with a load balancer, router-NAME.
    """
    for key in router_services(exposed):
        service = destinations.service(*key)
        if service is not None:
            return service
    known = {balancer.address for balancer in exposed.balancers}
    names = set(exposed.balancer_names)
    for service in destinations.services:
        if known & {balancer.address for balancer in service.balancers} or names & set(service.balancer_names):
            return service
    return None
