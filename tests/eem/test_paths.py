"""The paths of a URL, host by host, and of a Service, with each way in which a plugin may translate."""

import pytest
from builders import ApiObject, endpoint, endpoint_slice, ingress, namespace, pod, route, service, service_port, written

from webhook.eem import EemSnapshot
from webhook.eem.paths import NeedPath, PathContext, ServiceTranslation, host_of, is_name, paths_of_url, port_of
from webhook.netpol.intervals import address_of
from webhook.netpol.matching import Address

POD = pod("licence-0", "licences", ips=["10.128.0.8"])
SERVICE = service("licence", "licences", ports=[service_port(443, 8089, "api")])
SLICE = endpoint_slice(
    "licence",
    "licences",
    ports=[written(name="api", port=8089), written(name="metrics", port=9000)],
    endpoints=[endpoint("10.128.0.8", POD), endpoint("192.0.2.8")],
)
ROUTER = service(
    "router-default",
    "openshift-ingress",
    cluster_ip="172.30.0.20",
    ports=[service_port(443, "https", "https")],
    balancers=[{"ip": "203.0.113.20"}],
)
ROUTER_SLICE = endpoint_slice(
    "router-default",
    "openshift-ingress",
    ports=[written(name="https", port=8443)],
    endpoints=[endpoint("10.0.0.20")],
)
BALANCED = {"ip": "203.0.113.20"}
IN_CLUSTER = "https://licence.licences.svc"
BEHIND = "licence-0 8089, 192.0.2.8 8089"
AT_IP = "172.30.0.7 443"


def shown(path: NeedPath) -> str:
    """Return a path as a test reads it: its ends, or `unknown` with its ports."""
    ends = (
        f"{address_text(end.endpoint)} {end.port}"
        if isinstance(end.endpoint, Address)
        else f"{end.endpoint.pod.name} {end.port}"
        for end in path.ends
    )
    ports = "any" if path.ports is None else ",".join(map(str, path.ports))
    return ", ".join(ends) if path.is_known else f"unknown {ports}"


def address_text(address: Address) -> str:
    known = ("172.30.0.7", "192.0.2.8", "203.0.113.20", "203.0.113.9", "10.0.0.20", "192.0.2.1")
    return next(text for text in known if address_of(text) == (address.family, address.number))


def paths(url: str, *objects: ApiObject, translation: ServiceTranslation = "unknown") -> list[str]:
    snapshot = EemSnapshot.from_objects([namespace("licences"), *objects])
    around = PathContext(cluster=snapshot.cluster, destinations=snapshot.destinations, translation=translation)
    return [shown(path) for path in paths_of_url(url, around)]


@pytest.mark.parametrize(
    ("url", "objects", "expected"),
    [
        pytest.param(IN_CLUSTER, (POD, SERVICE, SLICE), [BEHIND, AT_IP], id="a Service"),
        pytest.param(f"{IN_CLUSTER}.cluster.local:443/x", (POD, SERVICE, SLICE), [BEHIND, AT_IP], id="its long name"),
        pytest.param(IN_CLUSTER, (), ["unknown any"], id="a Service that was not read"),
        pytest.param(IN_CLUSTER, (SERVICE, SLICE), ["unknown 8089", AT_IP], id="a pod that is not known"),
        pytest.param(IN_CLUSTER, (SERVICE,), ["unknown 8089", AT_IP], id="no slice"),
        pytest.param(IN_CLUSTER, (POD, SLICE), ["unknown any"], id="only slices, of which several ports may be meant"),
        pytest.param(
            f"{IN_CLUSTER}:444", (POD, SERVICE, SLICE), ["unknown any", "172.30.0.7 444"], id="a port that it has not"
        ),
        pytest.param(
            IN_CLUSTER,
            (POD, service("licence", "licences", cluster_ip="None", ports=[service_port(443, 8089, "api")]), SLICE),
            [BEHIND],
            id="a headless Service",
        ),
        pytest.param(
            IN_CLUSTER, (service("licence", "licences", type="ExternalName"),), ["unknown 443"], id="a name elsewhere"
        ),
        pytest.param("https://192.0.2.1:8443", (), ["192.0.2.1 8443"], id="an address"),
        pytest.param("https://10.128.0.8:8089", (POD,), ["licence-0 8089"], id="the address of a pod"),
        pytest.param("https://172.30.0.7", (POD, SERVICE, SLICE), [BEHIND, AT_IP], id="a cluster IP"),
        pytest.param(
            "https://203.0.113.20", (ROUTER, ROUTER_SLICE), ["10.0.0.20 8443", "203.0.113.20 443"], id="a balancer"
        ),
        pytest.param(
            "https://eem.example.com",
            (route("eem.example.com", "mgr"), ROUTER, ROUTER_SLICE),
            ["10.0.0.20 8443", "203.0.113.20 443"],
            id="a Route",
        ),
        pytest.param(
            "https://eem.example.com",
            (ingress("eem.example.com", "mgr", balancers=[BALANCED]), ROUTER, ROUTER_SLICE),
            ["10.0.0.20 8443", "203.0.113.20 443"],
            id="an Ingress, whose controller has the same balancer",
        ),
        pytest.param(
            "https://eem.example.com",
            (ingress("eem.example.com", "mgr", balancers=[{"ip": "203.0.113.9"}]), ROUTER, ROUTER_SLICE),
            ["203.0.113.9 443"],
            id="an Ingress of an unknown controller",
        ),
        pytest.param(
            "https://eem.example.com",
            (ingress("eem.example.com", "mgr", balancers=[{"hostname": "lb.example.com"}]),),
            ["unknown 443"],
            id="an Ingress whose balancer has a name",
        ),
        pytest.param(
            "https://eem.example.com",
            (route("eem.example.com", "mgr"),),
            ["unknown 443"],
            id="a Route of an unknown router",
        ),
        pytest.param("https://elsewhere.test", (SERVICE,), ["unknown 443"], id="a name that nothing here has"),
        pytest.param("grpc://elsewhere.test", (), ["unknown 4317"], id="OpenTelemetry's own port"),
        pytest.param("ftp://elsewhere.test", (), ["unknown any"], id="a scheme of which no port is known"),
        pytest.param("not a url", (), ["unknown any"], id="no URL"),
    ],
)
def test_the_host_of_a_url_tells_its_paths(url: str, objects: tuple[ApiObject, ...], expected: list[str]) -> None:
    """What cannot be found in the cluster is one unknown path, at the port of the URL where that is the pods' port."""
    assert paths(url, *objects) == expected


@pytest.mark.parametrize(
    ("url", "translation", "expected"),
    [
        (IN_CLUSTER, "before-policy", [BEHIND]),
        (IN_CLUSTER, "after-policy", [AT_IP]),
        ("https://203.0.113.20", "before-policy", ["10.0.0.20 8443"]),
        ("https://203.0.113.20", "after-policy", ["203.0.113.20 443"]),
    ],
)
def test_the_setting_leaves_one_of_the_two_paths(
    url: str, translation: ServiceTranslation, expected: list[str]
) -> None:
    """A plugin that translates before it applies policies shows them the pods, another one the virtual address."""
    assert paths(url, POD, SERVICE, SLICE, ROUTER, ROUTER_SLICE, translation=translation) == expected


def test_a_proxy_is_reached_itself() -> None:
    """With `ipMode: Proxy` no node sends a packet for the balancer straight to the endpoints."""
    proxied = service(
        "controller", "eem", ports=[service_port(443, 8443)], balancers=[{"ip": "203.0.113.9", "ipMode": "Proxy"}]
    )
    exposed = ingress("eem.example.com", "mgr", balancers=[{"ip": "203.0.113.9", "ipMode": "Proxy"}])

    assert paths("https://eem.example.com", proxied, exposed, translation="before-policy") == [
        "unknown 8443",
        "203.0.113.9 443",
    ]
    assert paths("https://203.0.113.9", proxied) == ["203.0.113.9 443"]


def test_only_a_name_needs_dns() -> None:
    """Neither an address nor something that is no URL does."""
    assert [is_name(host_of(url)) for url in ("https://a.test", "https://192.0.2.1", "https://[fd00::1]", "?")] == [
        True,
        False,
        False,
        False,
    ]
    assert port_of("?") is None
