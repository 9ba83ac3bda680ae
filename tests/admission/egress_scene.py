"""A cluster in which the whole egress of EEM is known: operator, manager and gateway, DNS, the API server, a router."""

from collections.abc import Iterable
from typing import Any

from builders import (
    ApiObject,
    Node,
    block,
    eem_labels,
    endpoint,
    endpoint_slice,
    namespace,
    operator_deployment,
    peer,
    pod,
    policy,
    port,
    route,
    selector,
    service,
    service_port,
    to,
    written,
)

from admission.reviews import (
    gateway,
    gateway_pod,
    manager,
    manager_pod,
    verdict_of,
)
from webhook.admission import AdmissionResponse, Options

HOST = "eem-gateway.apps.example.com"
ENFORCED = Options(egress="enforce")
GATEWAY_PORT, READINESS = 3000, 8081

MANAGER = manager_pod(ips=["10.128.0.30"])
GATEWAY = gateway_pod(ips=["10.128.0.40"])
OPERATOR_POD = pod("ibm-eem-operator-1", labels=eem_labels("ibm-eem-operator"), ips=["10.128.0.50"])
DNS_POD = pod("dns-default-1", "openshift-dns", labels={"dns": "default"}, ips=["10.128.0.10"])
ROUTER_POD = pod("router-default-1", "openshift-ingress", labels={"router": "default"}, ips=["10.128.0.20"])
API_SERVERS = ("10.0.0.1", "10.0.0.2", "10.0.0.3")

DNS_SERVICE = service(
    "dns-default",
    "openshift-dns",
    cluster_ip="172.30.0.10",
    ports=[service_port(53, "dns", "dns", "UDP"), service_port(53, "dns-tcp", "dns-tcp", "TCP")],
)
DNS_SLICE = endpoint_slice(
    "dns-default",
    "openshift-dns",
    ports=[written(name="dns", port=5353, protocol="UDP"), written(name="dns-tcp", port=5353, protocol="TCP")],
    endpoints=[endpoint("10.128.0.10", DNS_POD)],
)
API_SERVICE = service("kubernetes", "default", cluster_ip="172.30.0.1", ports=[service_port(443, 6443, "https")])
API_SLICE = endpoint_slice(
    "kubernetes",
    "default",
    ports=[written(name="https", port=6443, protocol="TCP")],
    endpoints=[endpoint(address) for address in API_SERVERS],
)
ROUTER_SERVICE = service(
    "router-internal-default",
    "openshift-ingress",
    cluster_ip="172.30.0.20",
    ports=[service_port(443, "https", "https")],
)
ROUTER_SLICE = endpoint_slice(
    "router-internal-default",
    "openshift-ingress",
    ports=[written(name="https", port=443, protocol="TCP")],
    endpoints=[endpoint("10.128.0.20", ROUTER_POD)],
)
MANAGER_ROUTE = route(HOST, "mgr-ibm-eem-manager")

EEM: tuple[ApiObject, ...] = (
    namespace(),
    operator_deployment(),
    OPERATOR_POD,
    manager(),
    MANAGER,
    gateway(spec={"manager": {"endpoint": f"https://{HOST}"}}),
    GATEWAY,
)
NETWORK: tuple[ApiObject, ...] = (
    *(namespace(name) for name in ("openshift-dns", "openshift-ingress", "shop")),
    DNS_POD,
    ROUTER_POD,
    DNS_SERVICE,
    DNS_SLICE,
    API_SERVICE,
    API_SLICE,
    ROUTER_SERVICE,
    ROUTER_SLICE,
    MANAGER_ROUTE,
)
CLUSTER = (*EEM, *NETWORK)

OF_GATEWAY = selector(**eem_labels("gw"))
OF_OPERATOR = selector(**eem_labels("ibm-eem-operator"))
OF_MANAGER = selector(**eem_labels("mgr"))


def in_namespace(name: str, **labels: str) -> Node:
    """Return a peer: the pods of a namespace with these labels."""
    return peer(selector(**labels) if labels else None, selector(**{"kubernetes.io/metadata.name": name}))


def dns(*peers: Node, number: int = 5353) -> Node:
    """Return a rule for DNS over both protocols."""
    return to(*peers, ports=[port(number, "UDP"), port(number, "TCP")])


TO_DNS = dns(in_namespace("openshift-dns"))
TO_MANAGER = to(peer(OF_MANAGER), ports=[port(3000, "TCP")])
TO_READINESS = to(peer(OF_MANAGER), ports=[port(8081, "TCP")])
TO_ROUTER = to(in_namespace("openshift-ingress"), ports=[port(443, "TCP")])
TO_KAFKA = to(block("192.0.2.0/24"), ports=[port(9093, "TCP")])
TO_API = to(*(block(f"{address}/32") for address in API_SERVERS), ports=[port(6443, "TCP")])


def limits(*rules: Node, name: str = "limits", pods: Node | None = None, **fields: Any) -> ApiObject:
    """Return a policy that restricts the egress of the gateway, or of *pods*, to these rules."""
    chosen = OF_GATEWAY if pods is None else pods
    return policy(name, pod_selector=chosen, policy_types=["Egress"], egress=list(rules), **fields)


def without(objects: Iterable[ApiObject], *kinds: str) -> tuple[ApiObject, ...]:
    """Return the objects that are of other kinds."""
    return tuple(known for known in objects if known["kind"] not in kinds)


def refused_needs(response: AdmissionResponse) -> list[str]:
    """Return the needs that are surely lost, in order."""
    return sorted(lost.need for lost in verdict_of(response).lost if lost.decided and lost.direction == "egress")


def doubtful_needs(response: AdmissionResponse) -> list[str]:
    """Return the needs that are perhaps lost, in order."""
    return sorted(lost.need for lost in verdict_of(response).lost if not lost.decided and lost.direction == "egress")
