"""What the other instances of the cluster mean for the judged one."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rules_builders import Instance, context_of, denials, gateway, licence, manager, warnings, with_value

from benchmarks.doubling import steps_of
from webhook.eem.rules import Neighbourhood, RuleContext, Violation, judge
from webhook.eem.rules.neighbours import ManagerReference, Owner, offered_licences

OTHER = licence(license="L-VEMB-RABZSN", use="CloudPakForIntegrationNonProduction")
TERMINATING = {"deletionTimestamp": "2026-01-01T00:00:00Z"}


def _at(url: str, label: str = "", **fields: Any) -> Instance:
    instance = gateway(manager={"endpoint": url}, license=OTHER, **fields)
    return with_value(instance, ("metadata", "labels"), {"events.ibm.com/manager": label}) if label else instance


def _labelled(label: str, **fields: Any) -> Instance:
    instance = gateway(manager=None, license=OTHER, **fields)
    instance["metadata"]["labels"] = {"events.ibm.com/manager": label}
    return instance


def _first_denial(violations: tuple[Violation, ...]) -> str:
    return next(found.message for found in violations if found.severity == "deny")


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
    ],
)
def test_a_gateway_with_another_licence_than_its_manager_is_denied(known: Instance, mine: Instance) -> None:
    """The gateway names its manager by a host that the manager has, or by the label alone."""
    found = judge(mine, None, context_of([known]))

    assert denials(found) == [("licence.differs-from-manager", "spec.license.license")]
    assert warnings(found) == []


@pytest.mark.parametrize(
    ("known", "mine", "is_told"),
    [
        pytest.param(
            manager(), _at("https://portal-ibm-eem-gateway-events.apps.example.com"), True, id="a default route"
        ),
        pytest.param(
            manager(),
            _at("https://eem.portal-ibm-eem-server-events.apps.example.com/gateway"),
            True,
            id="a default route of 11.5",
        ),
        pytest.param(
            _manager_with_status(),
            _at("https://portal-ibm-eem-gateway-events.apps.other.com"),
            False,
            id="a default route, where the manager has another host",
        ),
        pytest.param(manager(), _at("https://lb.example.com", label="portal"), True, id="the label beside a host"),
        pytest.param(
            _manager_with_status(),
            _at("https://lb.example.com", label="portal"),
            False,
            id="the label beside a host, where the manager has another one",
        ),
    ],
)
def test_a_gateway_of_a_manager_in_another_cluster_is_not_denied(
    known: Instance, mine: Instance, *, is_told: bool
) -> None:
    """A manager elsewhere may have the same name, so another licence is at most a warning."""
    found = judge(mine, None, context_of([known]))

    assert denials(found) == []
    assert warnings(found) == ([("licence.still-differs", "spec.license.license")] if is_told else [])


def test_two_managers_with_one_host_are_no_certain_manager() -> None:
    """Where the host of the manager is not unique, its licence is not compared."""
    endpoints = [{"name": "gateway", "host": "eem.example.com"}]
    known = [manager("one", endpoints=endpoints), manager("two", endpoints=endpoints)]

    assert denials(judge(_at("https://eem.example.com/gateway"), None, context_of(known))) == []


@pytest.mark.parametrize(
    ("known", "mine"),
    [
        pytest.param(manager(), _labelled("other"), id="another name"),
        pytest.param(manager(namespace="elsewhere"), _labelled("portal"), id="another namespace"),
        pytest.param(manager(), _at("https://elsewhere.example.com"), id="another host"),
        pytest.param(
            {**manager(), "metadata": {"name": "portal", **TERMINATING}}, _labelled("portal"), id="terminating"
        ),
        pytest.param({"kind": "Pod"}, _labelled("portal"), id="another kind of object"),
        pytest.param(with_value(manager(), "spec.license.license", ""), _labelled("portal"), id="without a licence"),
        pytest.param(
            with_value(manager(), "spec.license.license", "<licence>"),
            _labelled("portal"),
            id="a licence that is left to fill in",
        ),
    ],
)
def test_the_licence_of_another_manager_is_not_compared(known: Instance, mine: Instance) -> None:
    """Where the manager is not known, its licence is not compared."""
    assert denials(judge(mine, None, context_of([known]))) == []


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
    """The same id is a denial only where both gateways certainly register at one manager, in one group."""
    found = denials(judge(two, None, context_of([one])))

    assert is_taken == (("gateway.duplicate-id", "spec.gatewayID") in found)


def test_the_label_and_a_host_of_one_manager_are_the_same_reference() -> None:
    """Two gateways that name one known manager in different ways register at the same manager."""
    known = manager(endpoints=[{"name": "server", "host": "eem.portal.example.com"}])
    index = Neighbourhood.from_objects([known])
    by_host = ManagerReference(namespace="a", host="eem.portal.example.com", label="")
    by_label = ManagerReference(namespace="events", host="", label="portal")
    missing = ManagerReference(namespace="events", host="", label="missing")

    assert [index.same_manager(by_host, by_label), index.same_manager(by_host, missing)] == [True, False]


def test_a_host_belongs_to_one_endpoint() -> None:
    """A host that is used twice is a denial within one instance and across kinds, unless the Ingress classes differ."""
    listeners = [{"name": "a", "port": 1, "groups": [{"name": "g", "endpoint": {"host": "a.example.com"}}]}]
    both = manager(endpoints=[{"name": "ui", "host": "a.example.com"}, {"name": "admin", "host": "a.example.com"}])
    apart = with_value(both, "spec.manager.endpoints[1].class", "inner")
    other = gateway(listeners=listeners)
    within = judge(both, None, RuleContext())
    across = judge(other, None, context_of([apart, other]))

    assert denials(within) == [("endpoints.duplicate-host", "spec.manager.endpoints[1].host")]
    assert "spec.manager.endpoints[0].host" in _first_denial(within)
    assert denials(judge(apart, None, context_of([apart]))) == []
    assert denials(across) == [("endpoints.duplicate-host", "spec.listeners[0].groups[0].endpoint.host")]
    assert "EventEndpointManagement events/portal" in _first_denial(across)


def test_a_listener_and_the_deprecated_endpoint_of_one_gateway_may_have_one_host() -> None:
    """A gateway that still has the deprecated endpoint beside its listener does not use the host twice."""
    host = "a.example.com"
    listeners = [{"name": "a", "port": 1, "groups": [{"name": "g", "endpoint": {"host": host}}]}]

    assert (
        denials(judge(gateway(listeners=listeners, endpoints=[{"name": "gateway", "host": host}]), None, RuleContext()))
        == []
    )


def test_a_listener_counts_before_the_deprecated_endpoint() -> None:
    """A gateway with both forms uses only the host of its listener."""
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
    """A licence id is known from the status of the instance or of any other one, and from configuration."""
    mine = with_value(manager(), "spec.license.license", "L-ABCD-EFGHIJ")
    status = {"versions": {"available": available}}
    offering = {**gateway(), "status": status}
    contexts = [context_of([offering]), RuleContext(known_licences=frozenset({"L-ABCD-EFGHIJ"}))]

    assert warnings(judge(mine, None, RuleContext())) == [("licence.unknown", "spec.license.license")]
    assert [judge(mine, None, context) for context in contexts] == [(), ()]
    assert judge({**mine, "status": status}, None, RuleContext()) == ()


def test_a_terminating_instance_uses_no_host_and_no_id() -> None:
    """Hosts and ids of a terminating instance are free."""
    going = gateway("going", gatewayID="x", endpoints=[{"name": "gateway", "host": "a.example.com"}])
    going["metadata"] |= TERMINATING
    mine = gateway("mine", gatewayID="x", endpoints=[{"name": "gateway", "host": "a.example.com"}])

    assert denials(judge(mine, None, context_of([going]))) == []


@st.composite
def known_instances(draw: st.DrawFn) -> Instance:
    """Draw an instance that shares hosts, ids and licences with others."""
    name, namespace = draw(st.sampled_from(["one", "two"])), draw(st.sampled_from(["events", "other"]))
    hosts = draw(st.lists(st.sampled_from(["a.example.com", "b.example.com"]), max_size=2))
    endpoints = [{"name": "gateway", "host": host} for host in hosts]
    if draw(st.booleans()):
        instance = manager(name, namespace, endpoints=endpoints)
    else:
        url = f"https://{draw(st.sampled_from(['a.example.com', 'c.example.com']))}"
        instance = gateway(name, namespace, gatewayID="x", endpoints=endpoints, manager={"endpoint": url})
    if draw(st.booleans()):
        instance["metadata"] |= TERMINATING
    if draw(st.booleans()):
        offer = {"licenses": [draw(st.sampled_from(["L-ABCD-EFGHIJ", "L-ABCD-KLMNOP"]))]}
        instance["status"] = {
            "versions": {"available": {"versions": [offer]}},
            "endpoints": [{"name": "server", "uri": "https://d.example.com"}],
        }
    return instance


@settings(max_examples=200, deadline=None)
@given(history=st.lists(known_instances() | known_instances().map(Owner.of), max_size=12))
def test_any_history_of_the_index_ends_as_an_index_of_what_is_left(history: list[Instance | Owner]) -> None:
    """Adding, replacing and removing instances one by one gives the same index as building it from the last state."""
    index, left = Neighbourhood(), {}
    for step in history:
        if isinstance(step, Owner):
            index = index.without(step)
            left.pop(step, None)
        else:
            index = index.with_instance(step)
            left[Owner.of(step)] = step

    assert index == Neighbourhood.from_objects(left.values())


def test_a_change_of_one_instance_costs_the_same_among_many() -> None:
    """The index is kept from change to change: it is not built again for a thousand instances."""

    def steps_among(count: int) -> float:
        index = Neighbourhood.from_objects(gateway(f"g{number}", gatewayID=f"id{number}") for number in range(count))
        index = index.with_instance(gateway("mine", gatewayID="mine-1"))
        return steps_of(lambda: index.with_instance(gateway("mine", gatewayID="mine-2")))

    assert steps_among(1000) <= 1.5 * steps_among(10)


def test_the_offers_of_a_status_are_read_up_to_a_limit() -> None:
    """A forged status with a million licences costs no more than one with a thousand."""
    offers = {"versions": [{"licenses": ["L-ABCD-EFGHIJ"] * 1_000_000}]}

    assert len(offered_licences({"status": {"versions": {"available": offers}}})) == 1000
