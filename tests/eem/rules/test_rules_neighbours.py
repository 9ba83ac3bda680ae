"""What the other instances mean for this one."""

from typing import Any

import pytest
from rules_builders import Instance, denials, gateway, licence, manager, warnings, with_value

from webhook.eem.rules import Finding, Neighbourhood, RuleContext, judge
from webhook.eem.rules.neighbours import ManagerReference

OTHER = licence(license="L-VEMB-RABZSN", use="CloudPakForIntegrationNonProduction")
TERMINATING = {"deletionTimestamp": "2026-01-01T00:00:00Z"}


def _at(url: str, **fields: Any) -> Instance:
    return gateway(manager={"endpoint": url}, license=OTHER, **fields)


def _labelled(label: str, **fields: Any) -> Instance:
    instance = gateway(manager=None, license=OTHER, **fields)
    instance["metadata"]["labels"] = {"events.ibm.com/manager": label}
    return instance


def _first_denial(findings: tuple[Finding, ...]) -> str:
    return next(finding.message for finding in findings if finding.severity == "deny")


def _manager_with_status() -> Instance:
    uri = "https://seen.example.com/gateway"
    return {**manager(), "status": {"endpoints": [{"name": "gateway", "uri": uri}, {"name": "ui", "uri": "x"}]}}


@pytest.mark.parametrize(
    ("known", "mine"),
    [
        pytest.param(manager(), _labelled("portal"), id="by label"),
        pytest.param(
            manager(endpoints=[{"name": "server", "host": "eem.portal.example.com"}]),
            _at("https://EEM.portal.example.com/gateway"),
            id="by the host that it states",
        ),
        pytest.param(_manager_with_status(), _at("https://seen.example.com/gateway"), id="by the host in its status"),
        pytest.param(
            manager(), _at("https://portal-ibm-eem-gateway-events.apps.example.com"), id="by its default route"
        ),
        pytest.param(
            manager(),
            _at("https://eem.portal-ibm-eem-server-events.apps.example.com/gateway"),
            id="by its default route of 11.5",
        ),
    ],
)
def test_a_gateway_finds_its_manager(known: Instance, mine: Instance) -> None:
    """The gateway has another licence than the manager that it refers to, and that is found."""
    context = RuleContext.from_objects([known])

    assert denials(judge(mine, None, context)) == [("licence.differs-from-manager", "spec.license.license")]


@pytest.mark.parametrize(
    ("known", "mine"),
    [
        pytest.param(manager(), _labelled("other"), id="another name"),
        pytest.param(manager(namespace="elsewhere"), _labelled("portal"), id="another namespace"),
        pytest.param(manager(), _at("https://elsewhere.example.com"), id="another host"),
        pytest.param({**manager(), "metadata": {"name": "portal", **TERMINATING}}, _labelled("portal"), id="gone"),
        pytest.param({"kind": "Pod"}, _labelled("portal"), id="no instance at all"),
        pytest.param(with_value(manager(), "spec.license.license", ""), _labelled("portal"), id="without a licence"),
        pytest.param(with_value(manager(), "spec.license.license", "<licence>"), _labelled("portal"), id="a template"),
    ],
)
def test_what_is_not_its_manager_is_not_compared(known: Instance, mine: Instance) -> None:
    """Where the manager is not certain, its licence is no standard."""
    assert denials(judge(mine, None, RuleContext.from_objects([known]))) == []


@pytest.mark.parametrize(
    ("one", "two", "is_taken"),
    [
        pytest.param(gateway("one", gatewayID="x"), gateway("two", gatewayID="x"), True, id="one host"),
        pytest.param(
            gateway("one", gatewayID="x"),
            gateway("two", gatewayID="x", manager={"endpoint": "https://other.example.com"}),
            False,
            id="two hosts",
        ),
        pytest.param(
            _labelled("portal", name="one", gatewayID="x"),
            _labelled("portal", name="two", gatewayID="x"),
            True,
            id="one label",
        ),
        pytest.param(
            _labelled("portal", name="one", gatewayID="x"),
            _labelled("other", name="two", gatewayID="x"),
            False,
            id="two labels",
        ),
        pytest.param(
            _labelled("portal", name="one", gatewayID="x"),
            _labelled("portal", name="two", namespace="elsewhere", gatewayID="x"),
            False,
            id="one label in two namespaces",
        ),
        pytest.param(
            gateway("one", gatewayID="x", manager={}), gateway("two", gatewayID="x", manager={}), False, id="no manager"
        ),
        pytest.param(
            gateway("one", gatewayID="x"), gateway("two", gatewayID="x", gatewayGroupName="y"), False, id="two groups"
        ),
        pytest.param(gateway("one", gatewayID="x"), gateway("one", gatewayID="x"), False, id="the gateway itself"),
    ],
)
def test_an_id_is_taken_by_a_gateway_of_the_same_group_and_manager(
    one: Instance, two: Instance, *, is_taken: bool
) -> None:
    """The same id is a denial only where both certainly register at one manager, in one group."""
    found = denials(judge(two, None, RuleContext.from_objects([one])))

    assert is_taken == (("gateway.duplicate-id", "spec.gatewayID") in found)


def test_label_and_host_of_one_manager_are_the_same_reference() -> None:
    """Two gateways that name one known manager in different ways are still gateways of one manager."""
    known = manager(endpoints=[{"name": "server", "host": "eem.portal.example.com"}])
    index = Neighbourhood.from_objects([known])
    by_host = ManagerReference(namespace="a", host="eem.portal.example.com", label="")
    by_label = ManagerReference(namespace="events", host="", label="portal")
    nobody = ManagerReference(namespace="events", host="", label="nobody")

    assert [index.same_manager(by_host, by_label), index.same_manager(by_host, nobody)] == [True, False]


def test_a_host_belongs_to_one_endpoint() -> None:
    """The same host twice is found within an instance and across kinds; another class of ingress is another place."""
    listeners = [{"name": "a", "port": 1, "groups": [{"name": "g", "endpoint": {"host": "a.example.com"}}]}]
    both = manager(endpoints=[{"name": "ui", "host": "a.example.com"}, {"name": "admin", "host": "a.example.com"}])
    apart = with_value(both, "spec.manager.endpoints[1].class", "inner")
    other = gateway(listeners=listeners)
    within = judge(both, None, RuleContext())
    across = judge(other, None, RuleContext.from_objects([apart, other]))

    assert denials(within) == [("endpoints.duplicate-host", "spec.manager.endpoints[1].host")]
    assert "spec.manager.endpoints[0].host" in _first_denial(within)
    assert denials(judge(apart, None, RuleContext.from_objects([apart]))) == []
    assert denials(across) == [("endpoints.duplicate-host", "spec.listeners[0].groups[0].endpoint.host")]
    assert "EventEndpointManagement events/portal" in _first_denial(across)


def test_old_and_new_form_of_one_endpoint_are_no_two_endpoints() -> None:
    """A gateway that still has the deprecated endpoint beside its listener does not collide with itself."""
    host = "a.example.com"
    listeners = [{"name": "a", "port": 1, "groups": [{"name": "g", "endpoint": {"host": host}}]}]

    assert (
        denials(judge(gateway(listeners=listeners, endpoints=[{"name": "gateway", "host": host}]), None, RuleContext()))
        == []
    )


def test_a_listener_counts_before_the_deprecated_endpoint() -> None:
    """Of a gateway with both forms only the listener's host is taken."""
    listeners = [{"name": "a", "port": 1, "groups": [{"name": "g", "endpoint": {"host": "new.example.com"}}]}]
    both = gateway(listeners=listeners, endpoints=[{"name": "gateway", "host": "old.example.com"}])

    assert set(Neighbourhood.from_objects([both]).hosts) == {("new.example.com", "nginx")}


@pytest.mark.parametrize(
    "available",
    [
        {"versions": [{"name": "11.8.1", "licenses": ["L-ABCD-EFGHIJ"]}]},
        {"channels": [{"name": "v11.8", "licenses": [{"name": "L-ABCD-EFGHIJ", "link": "https://example.com"}]}]},
    ],
)
def test_a_licence_that_the_operator_offers_is_known(available: Instance) -> None:
    """An id in an instance's status counts, on the instance itself and on any other, and so does configuration's."""
    mine = with_value(manager(), "spec.license.license", "L-ABCD-EFGHIJ")
    status = {"versions": {"available": available}}
    offering = {**gateway(), "status": status}
    contexts = [RuleContext.from_objects([offering]), RuleContext(known_licences=frozenset({"L-ABCD-EFGHIJ"}))]

    assert warnings(judge(mine, None, RuleContext())) == [("licence.unknown", "spec.license.license")]
    assert [judge(mine, None, context) for context in contexts] == [(), ()]
    assert judge({**mine, "status": status}, None, RuleContext()) == ()


def test_a_terminating_neighbour_holds_nothing() -> None:
    """Hosts and ids of an instance that is going are free."""
    going = gateway("going", gatewayID="x", endpoints=[{"name": "gateway", "host": "a.example.com"}])
    going["metadata"] |= TERMINATING
    mine = gateway("mine", gatewayID="x", endpoints=[{"name": "gateway", "host": "a.example.com"}])

    assert denials(judge(mine, None, RuleContext.from_objects([going]))) == []


def test_more_neighbours_do_not_cost_more() -> None:
    """The index answers by key: the rules read none of the other instances."""
    few, many = (
        RuleContext.from_objects([gateway(f"g{number}", gatewayID=f"id{number}") for number in range(count)])
        for count in (2, 200)
    )
    mine = gateway("mine")

    assert judge(mine, None, few) == judge(mine, None, many)
    assert len(many.neighbours.gateways) == 200
    assert all(len(found) == 1 for found in many.neighbours.gateways.values())
