"""Services, EndpointSlices, Routes and Ingresses: what of them tells where egress goes."""

import pytest
from builders import ApiObject, endpoint, endpoint_slice, ingress, pod, route, service, service_port, written

from webhook.eem import EemSnapshot
from webhook.eem.destinations import Balancer, ServicePort
from webhook.netpol.intervals import address_of
from webhook.netpol.model import Protocol

WEB = [written(name="web", port=8080, protocol="TCP")]


def snapshot(*objects: ApiObject) -> EemSnapshot:
    return EemSnapshot.from_objects(objects)


def test_a_service_has_its_addresses_and_ports() -> None:
    """What cannot be read is left out, and a port without a number of its own for the pods has that of the Service."""
    ports = [service_port(443, "https", "https"), service_port(80), {"port": "x"}, {"port": 1, "protocol": "ICMP"}]
    written_service = service("a", ports=ports, clusterIPs=["172.30.0.7", "fd00::7", 5])
    found = snapshot(written_service).destinations.service("eem", "a")

    assert found is not None
    assert found.addresses == (address_of("172.30.0.7"), address_of("fd00::7"))
    assert found.ports == (
        ServicePort(name="https", protocol=Protocol.TCP, number=443),
        ServicePort(name="", protocol=Protocol.TCP, number=80, target=80),
    )
    assert found.port(Protocol.UDP, 443) is None


def test_a_headless_service_has_no_address() -> None:
    """`clusterIP: None` is a word, and no address."""
    found = snapshot(service("a", cluster_ip="None")).destinations.service("eem", "a")

    assert found is not None
    assert found.addresses == ()


def test_a_balancer_is_a_proxy_only_where_its_status_says_so() -> None:
    """An absent ipMode means VIP (KEP-1860); a host name has no address."""
    entries = [{"ip": "203.0.113.1"}, {"ip": "203.0.113.2", "ipMode": "Proxy"}, {"hostname": "lb.example.com"}]
    found = snapshot(service("a", balancers=entries)).destinations.service("eem", "a")

    assert found is not None
    assert found.balancers == (
        Balancer(address=address_of("203.0.113.1"), is_proxy=False),
        Balancer(address=address_of("203.0.113.2"), is_proxy=True),
    )
    assert found.balancer_names == ("lb.example.com",)


def test_a_slice_has_the_addresses_that_are_ready() -> None:
    """An absent condition means ready, and only a reference to a pod is kept."""
    web = pod("web-0", "shop")
    endpoints = [
        endpoint("10.0.0.1", web),
        endpoint("10.0.0.2", ready=True),
        endpoint("10.0.0.3", ready=False),
        {"addresses": ["10.0.0.4"], "targetRef": {"kind": "Node", "name": "n"}},
    ]
    (found,) = snapshot(endpoint_slice("a", ports=WEB, endpoints=endpoints)).destinations.slices("eem", "a")

    assert [(backend.address, backend.pod) for backend in found.backends] == [
        (address_of("10.0.0.1"), ("shop", "web-0")),
        (address_of("10.0.0.2"), None),
        (address_of("10.0.0.4"), None),
    ]
    assert found.ports == (ServicePort(name="web", protocol=Protocol.TCP, number=8080, target=8080),)


def test_ipv6_counts_only_where_there_is_nothing_else() -> None:
    """EEM supports IPv4 only; an empty slice does not count either."""
    four = endpoint_slice("a", name="four", ports=WEB, endpoints=[endpoint("10.0.0.1")])
    six = endpoint_slice("a", name="six", ports=WEB, endpoints=[endpoint("fd00::1")])
    empty = endpoint_slice("a", name="empty", ports=WEB)

    assert len(snapshot(four, six, empty).destinations.slices("eem", "a")) == 1
    assert snapshot(four, six).destinations.slices("eem", "a")[0].backends[0].address == address_of("10.0.0.1")
    assert snapshot(six).destinations.slices("eem", "a")[0].backends[0].address == address_of("fd00::1")


@pytest.mark.parametrize(
    ("api_object", "host", "services"),
    [
        (route("EEM.apps.example.com", "mgr"), "eem.apps.example.com", ("mgr",)),
        (route("eem.apps.example.com", "mgr", router=None), "eem.apps.example.com", ("mgr",)),
        (ingress("eem.example.com", "mgr"), "eem.example.com", ("mgr",)),
        (ingress("*.example.com", "mgr"), "eem.example.com", ("mgr",)),
        ({**route("a.test", "mgr"), "spec": {"host": "a.test"}}, "a.test", ()),
    ],
)
def test_a_host_leads_to_its_services(api_object: ApiObject, host: str, services: tuple[str, ...]) -> None:
    """Hosts are compared in lower case, and a wildcard stands for one label."""
    (found,) = snapshot(api_object).destinations.exposed_as(host)

    assert found.services == services
    assert snapshot(api_object).destinations.exposed_as("other.test") == ()


def test_an_address_is_a_service_where_packets_to_it_are_translated() -> None:
    """A cluster IP and a balancer's address, but not that of a proxy."""
    entries = [{"ip": "203.0.113.1"}, {"ip": "203.0.113.2", "ipMode": "Proxy"}]
    known = snapshot(service("a", balancers=entries)).destinations

    found = [known.service_at(address_of(text)) for text in ("172.30.0.7", "203.0.113.1", "203.0.113.2")]
    assert [service and service.name for service in found] == ["a", "a", None]


def test_objects_come_and_go() -> None:
    """An object is replaced by its name, removed by it, and counted; one without a name is not kept."""
    grown = snapshot(service("a"), service("a", cluster_ip="172.30.0.8"), service(""))

    assert grown.names("Service") == (("eem", "a"),)
    assert grown.without_object("Service", "eem", "a").count("Service") == 0
    assert grown.without_object("Service", "eem", "b").destinations is grown.destinations
    assert grown.destinations.service("eem", "b") is None


def test_a_kind_of_another_group_is_not_read() -> None:
    """Knative has a Service of its own."""
    assert snapshot({**service("a"), "apiVersion": "serving.knative.dev/v1"}).count("Service") == 0
