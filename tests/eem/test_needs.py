"""The table of needs: which ones an inventory has, at which level, and by which paths."""

import pytest
from builders import (
    ApiObject,
    eem_labels,
    endpoint,
    endpoint_slice,
    instance,
    namespace,
    operator_deployment,
    pod,
    route,
    service,
    service_port,
    written,
)

from webhook.eem import EemSnapshot
from webhook.eem.needs import Need, needs_of
from webhook.eem.paths import NeedPath

GATEWAY_KIND = "EventGateway"
LICENSING = {"name": "licensing-service", "endpoint": "https://licence.ibm-common-services.svc:8089"}


def manager(name: str = "mgr", **fields: object) -> ApiObject:
    return instance(name, spec=dict(fields))


def gateway(**fields: object) -> ApiObject:
    return instance("gw", kind=GATEWAY_KIND, spec=dict(fields))


def needs(*objects: ApiObject, of: str = "eem") -> tuple[Need, ...]:
    return needs_of(of, EemSnapshot.from_objects(objects), "unknown")


def rows(*objects: ApiObject) -> list[str]:
    """Return each need with its level, in order."""
    return sorted(f"{need.id} {need.level}" for need in needs(*objects))


def ends(path: NeedPath) -> list[str]:
    return [getattr(getattr(end.endpoint, "pod", None), "name", "address") + f":{end.port}" for end in path.ends]


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        pytest.param([operator_deployment()], ["E2 certain", "E8 warning", "E9 warning"], id="an operator alone"),
        pytest.param(
            [operator_deployment(env={"DEPLOY_OPERATOR_NETWORK_POLICY": "false"})], [], id="an operator by its switch"
        ),
        pytest.param([gateway()], ["E4 certain"], id="a gateway that names no manager"),
        pytest.param(
            [gateway(manager={"endpoint": "https://192.0.2.1"})],
            ["E3 certain", "E4 certain"],
            id="a gateway with an address",
        ),
        pytest.param(
            [gateway(managerEndpoint="https://eem.test")],
            ["E3 certain", "E4 certain", "E5 certain", "E9 warning"],
            id="a gateway with a name",
        ),
        pytest.param(
            [gateway(openTelemetry={"endpoint": "https://otel.test:4318"})],
            ["E11 warning", "E4 certain", "E5 certain", "E9 warning"],
            id="a gateway with OpenTelemetry",
        ),
        pytest.param([manager()], ["E12 warning", "E13 note"], id="a manager"),
        pytest.param(
            [manager(license={"metric": "MONTHLY_API_CALL"})],
            ["E12 warning", "E13 note"],
            id="15: usage without a licensing service",
        ),
        pytest.param(
            [manager(manager={"extensionServices": [LICENSING]})],
            ["E12 warning", "E13 note"],
            id="a licensing service without usage",
        ),
        pytest.param(
            [manager(license={"metric": "MONTHLY_API_CALL"}, manager={"extensionServices": [LICENSING]})],
            ["E12 warning", "E13 note", "E6 certain", "E7 certain", "E9 warning"],
            id="usage that is reported",
        ),
        pytest.param(
            [
                manager(
                    manager={
                        "authConfig": {"authType": "OIDC", "oidcConfig": {"site": "https://login.test"}},
                        "apic": {
                            "jwks": {"endpoint": "https://192.0.2.1/keys"},
                            "developerPortal": [{"endpoint": "https://portal.test"}],
                        },
                        "openTelemetry": {"endpoint": "https://otel.test"},
                    }
                )
            ],
            ["E10 warning"] * 3 + ["E11 warning", "E12 warning", "E13 note", "E6 warning", "E9 warning"],
            id="a manager with everything optional",
        ),
        pytest.param(
            [manager(manager={"authConfig": {"authType": "INTEGRATION_KEYCLOAK"}})],
            ["E12 warning", "E13 note", "E13 note"],
            id="Keycloak of the Cloud Pak",
        ),
        pytest.param(
            [
                instance("mgr", deploy_network_policies=False),
                instance("gw", kind=GATEWAY_KIND, deploy_network_policies=False),
            ],
            [],
            id="exempt instances",
        ),
        pytest.param([namespace()], [], id="a namespace without EEM"),
    ],
)
def test_the_resources_tell_the_needs(objects: list[ApiObject], expected: list[str]) -> None:
    """A need exists where the field that leads to it is set, and only what is documented is certain."""
    assert rows(*objects) == expected


def test_the_operator_needs_every_manager_that_it_watches() -> None:
    """Those of its own namespace, and of others that have no operator; a terminating one is none."""
    objects = [
        operator_deployment(),
        manager(),
        instance("far", "far"),
        instance("going", terminating=True),
        pod("mgr-ibm-eem-manager-0", labels=eem_labels("mgr")),
        pod("mgr-ibm-eem-manager-1", labels=eem_labels("mgr"), phase="Failed"),
    ]
    found = [need for need in needs(*objects) if need.id == "E1"]

    assert [ends(need.paths[0]) for need in found] == [["mgr-ibm-eem-manager-0:8081"], ["far:8081"]]
    assert len([need for need in needs(*objects, operator_deployment(namespace="other")) if need.id == "E1"]) == 1


def in_cluster(*objects: ApiObject, **spec: object) -> list[list[str]]:
    """Return the ends of the paths of E3 in a cluster with a manager pod."""
    found = needs(pod("mgr-ibm-eem-manager-0", labels=eem_labels("mgr")), gateway(**spec), *objects)
    return [ends(path) for need in found if need.id == "E3" for path in need.paths]


@pytest.mark.parametrize(
    ("objects", "host", "expected"),
    [
        pytest.param(
            [manager(manager={"endpoints": [{"name": "gateway", "host": "eem.test"}]})],
            "eem.test",
            [["mgr-ibm-eem-manager-0:3000"], []],
            id="by the manager's host",
        ),
        pytest.param(
            [
                manager(manager={"endpoints": [{"name": "gateway", "host": "other.test"}]}),
                route("eem.test", "mgr-ibm-eem-manager"),
            ],
            "eem.test",
            [["mgr-ibm-eem-manager-0:3000"], []],
            id="by the Route",
        ),
        pytest.param([manager()], "eem.test", [["mgr-ibm-eem-manager-0:3000"], []], id="a manager of unknown hosts"),
        pytest.param(
            [manager(manager={"endpoints": [{"name": "gateway", "host": "other.test"}]})],
            "eem.test",
            [[]],
            id="a manager elsewhere",
        ),
        pytest.param(
            [manager(), route("eem.test", "x")],
            "eem.test",
            [["mgr-ibm-eem-manager-0:3000"], []],
            id="a Route to another",
        ),
    ],
)
def test_the_manager_of_a_gateway_is_found(objects: list[ApiObject], host: str, expected: list[list[str]]) -> None:
    """Its pods are a path besides those of the URL; a manager in another cluster has only these."""
    assert in_cluster(*objects, manager={"endpoint": f"https://{host}"}) == expected


@pytest.mark.parametrize(("count", "expected"), [(16, 17), (17, 2)])
def test_of_many_managers_that_a_gateway_may_mean_none_is_known(count: int, expected: int) -> None:
    """Each that it may mean is a path beside the URL; where these are too many, one unknown path is in their place."""
    managers = [manager(f"mgr-{number}") for number in range(count)]
    paths = next(
        need.paths for need in needs(*managers, gateway(manager={"endpoint": "https://eem.test"})) if need.id == "E3"
    )

    assert len(paths) == expected
    assert [path.is_known for path in paths[:-1]] == [count == 16] * (expected - 1)


def test_a_finished_pod_of_a_manager_is_no_path() -> None:
    """Its template is one, while no other pod runs."""
    finished = pod("mgr-ibm-eem-manager-0", labels=eem_labels("mgr"), phase="Succeeded")
    found = needs(finished, manager(), gateway(manager={"endpoint": "https://eem.test"}))

    assert [ends(path) for need in found if need.id == "E3" for path in need.paths] == [["mgr:3000"], []]


@pytest.mark.parametrize(("objects", "expected"), [([manager()], [["mgr-ibm-eem-manager-0:3000"]]), ([], [[]])])
def test_a_label_may_name_the_manager(objects: list[ApiObject], expected: list[list[str]]) -> None:
    """Since 11.8; where it does not exist in this namespace, the path is unknown."""
    labelled = instance("gw", kind=GATEWAY_KIND, labels={"events.ibm.com/manager": "mgr"})
    found = needs(pod("mgr-ibm-eem-manager-0", labels=eem_labels("mgr")), *objects, labelled)

    assert [[ends(path) for path in need.paths] for need in found if need.id == "E3"] == [expected]


DNS_SLICE = endpoint_slice(
    "kube-dns", "kube-system", ports=[written(name="dns", port=53, protocol="UDP")], endpoints=[endpoint("10.0.0.9")]
)
DNS = service("kube-dns", "kube-system", ports=[service_port(53, 53, "dns", "UDP")])


@pytest.mark.parametrize(
    ("objects", "known"),
    [
        ((), [False]),
        ((DNS_SLICE,), [True]),
        ((DNS,), [False, True]),
        ((DNS, DNS_SLICE), [True, True]),
        ((endpoint_slice("kube-dns", "kube-system", endpoints=[endpoint("10.0.0.9")]),), [False]),
    ],
)
def test_dns_is_found_by_its_service_or_its_slices(objects: tuple[ApiObject, ...], known: list[bool]) -> None:
    """The ports come from the slices; where neither tells them, 53 and 5353 may be meant."""
    found = next(need for need in needs(*objects, operator_deployment()) if need.id == "E8")

    assert [path.is_known for path in found.paths] == known
