"""Losses and answers on Calico where something else than labels decides."""

from dataclasses import replace
from typing import Any

import pytest
from builders import admin_policy, baseline_policy, block, from_, namespace, namespaces, pod, policy, rule

from webhook.netpol import ClusterSnapshot, Connection, evaluate
from webhook.netpol.calico.calico_loss import admitted_with_calico
from webhook.netpol.model import Protocol
from webhook.netpol.sources.admitted import admitted
from webhook.netpol.sources.budget import Answers
from webhook.netpol.sources.sides import NO_TIERS, Side
from webhook.netpol.sources.term_algebra import NO_PODS
from webhook.netpol.sources.tier_loss import is_broken, lost_in_tiers, tiers_in
from webhook.netpol.sources.universe import Universe, pod_ranges_of

UNIVERSE = Universe(calico="yes", pod_ranges=pod_ranges_of(["10.0.0.0/16"]))
DUAL = replace(UNIVERSE, families=(4, 6), pod_ranges=pod_ranges_of(["10.0.0.0/16", "fd00::/64"]))
ALLOW, DENY, PASS = ({"action": action} for action in ("Allow", "Deny", "Pass"))
WITH_HTTP = {"action": "Deny", "protocol": "TCP", "http": {"methods": ["GET"]}}


def calico(*rules: Any, order: float = 10, tier: str = "default", **spec: Any) -> Any:
    body = {"order": order, "tier": tier, "types": ["Ingress"], "ingress": list(rules), **spec}
    return {
        "apiVersion": "projectcalico.org/v3",
        "kind": "GlobalNetworkPolicy",
        "metadata": {"name": "p"},
        "spec": body,
    }


def side(known: ClusterSnapshot, *policies: Any) -> Side:
    """Return what decides at the port of the gateway with some NetworkPolicies."""
    gateway = known.state("eem").pods["gw"]
    own = ClusterSnapshot.from_objects(policies).state("eem").sorted_policies()
    sources = admitted(own, gateway, Protocol.TCP, 8092)
    return Side(sources=sources, isolated=bool(own), tiers=tiers_in(known, gateway, Protocol.TCP, 8092) or NO_TIERS)


def cluster(*objects: Any, **fields: Any) -> ClusterSnapshot:
    return ClusterSnapshot.from_objects([namespace("eem"), pod("gw", "eem", labels={"app": "gw"}, **fields), *objects])


def lost(known: ClusterSnapshot, before: Any, after: Any, demand: Any = "anywhere", universe: Any = UNIVERSE) -> Any:
    """Return whether what other NetworkPolicies take away is decided; None for nothing."""
    found = lost_in_tiers(side(known, *before), side(known, *after), demand, NO_PODS, universe, Answers())
    return None if found is None else found.loss.decided


ALL: Any = {"namespaces": {}}
NO_SUCH_PORT = {"action": "Allow", "protocol": "TCP", "destination": {"ports": ["none"]}}
OPEN, SHUT = policy("allow", "eem", ingress=[{}]), policy("deny", "eem")
OUTSIDE = policy("outside", "eem", ingress=[from_(block("203.0.113.0/24"))])
ONLY_IPV6 = policy("six", "eem", ingress=[from_(block("0.0.0.0/0"), block("2000::/4"), {"namespaceSelector": {}})])


@pytest.mark.parametrize(
    ("policies", "before", "after", "answer"),
    [
        pytest.param([calico(PASS)], [OPEN], [SHUT], None, id="passed to a tier that there is not"),
        pytest.param([calico(selector="app == 'gw'", order=2000)], [OPEN], [SHUT], True, id="decided later"),
        pytest.param([calico(WITH_HTTP)], [OPEN], [SHUT], False, id="a rule that may deny all"),
        pytest.param([calico(DENY)], [OPEN], [SHUT], None, id="nothing was open"),
        pytest.param([calico(WITH_HTTP, order=2000)], [OUTSIDE], [SHUT], True, id="an address is the last source"),
        pytest.param([calico(ALLOW, order=1000)], [OPEN], [SHUT], False, id="the order of NetworkPolicies"),
        pytest.param([calico(ALLOW, tier="missing")], [OPEN], [SHUT], False, id="a tier that is not known"),
        pytest.param([calico(PASS, order=1), calico(DENY)], [SHUT], [], None, id="the end of all tiers"),
    ],
)
def test_a_requirement_from_some_source(policies: Any, before: Any, after: Any, answer: bool | None) -> None:  # noqa: FBT001
    """It loses only the last source."""
    assert answer is lost(cluster(*policies), before, after, "some")


def test_addresses_of_the_other_family_are_no_reason_to_refuse() -> None:
    """EEM supports IPv4 only."""
    known = cluster(calico(DENY, order=2000))
    found = lost_in_tiers(side(known, OPEN), side(known, ONLY_IPV6), "anywhere", NO_PODS, DUAL, Answers())

    assert found is not None
    assert found.loss.only_ipv6


BOTH = policy("both", "eem", ingress=[from_(block("203.0.113.0/24"), block("2600::/16"))])
SIX = policy("six", "eem", ingress=[from_(block("2600::/16"))])


@pytest.mark.parametrize(
    ("families", "before", "expected"),
    [
        pytest.param((4, 6), BOTH, (True, "203.0.113.0/24"), id="both families: the IPv4 addresses count"),
        pytest.param((6,), BOTH, (False, "2600::/16"), id="IPv6 alone: no IPv4 address is lost"),
        pytest.param((4, 6), SIX, (False, "2600::/16"), id="only IPv6 addresses were admitted"),
        pytest.param((4,), SIX, None, id="IPv4 alone: no IPv6 address was there"),
    ],
)
def test_the_last_source_is_one_of_the_families_of_the_cluster(
    families: tuple[int, ...], before: Any, expected: tuple[bool, str] | None
) -> None:
    """An example of what is lost has an address that exists there, and IPv6 alone is no reason to refuse."""
    known, universe = cluster(calico(WITH_HTTP, order=2000)), replace(DUAL, families=families)
    found = lost_in_tiers(side(known, before), side(known, SHUT), "some", NO_PODS, universe, Answers())

    assert (None if found is None else (found.loss.decided, found.loss.witness.cidr)) == expected
    assert found is None or found.loss.only_ipv6 is not found.loss.decided


def test_a_part_that_cannot_be_read_is_a_doubt() -> None:
    """It may admit everything."""
    known = cluster(calico(DENY, order=2000))
    unreadable = replace(side(known, SHUT), sources=replace(side(known, SHUT).sources, unreadable=True))

    found = lost_in_tiers(side(known, OPEN), unreadable, "anywhere", NO_PODS, UNIVERSE, Answers())
    assert found is not None
    assert not found.loss.decided
    some = lost_in_tiers(side(known, OPEN), unreadable, "some", NO_PODS, UNIVERSE, Answers())
    assert some is not None
    assert not some.loss.decided


def test_a_question_of_too_many_steps_is_not_decided() -> None:
    """The search ends within bounds."""
    known = cluster(calico({"action": "Deny", "source": {"selector": "app == 'a'"}}))
    found = lost_in_tiers(side(known, OPEN), side(known, SHUT), "anywhere", NO_PODS, UNIVERSE, Answers(steps=0))

    assert found is not None
    assert not found.loss.decided


@pytest.mark.parametrize(
    ("objects", "answer"),
    [
        pytest.param([admin_policy(subject=ALL, ingress=[rule("Deny", namespaces())])], True, id="Admin"),
        pytest.param([baseline_policy(subject=ALL, ingress=[rule("Deny", namespaces())])], True, id="Baseline"),
        pytest.param([admin_policy(subject=ALL, ingress=[rule("Deny", {"odd": {}})])], False, id="unknown"),
        pytest.param([], False, id="none"),
    ],
)
def test_tiers_of_kubernetes_are_tiers_of_calico(objects: Any, answer: bool) -> None:  # noqa: FBT001  a column of the table
    """Admin is asked before the tier default, and Baseline after it."""
    known = ClusterSnapshot.from_parsed(())
    for one in (namespace("eem"), pod("gw", "eem", labels={"app": "gw"}), calico(PASS), *objects):
        from webhook.netpol.parse_objects import read_object  # noqa: PLC0415  with faults

        parsed, _ = read_object(one)
        assert parsed is not None
        known = known.with_parsed(parsed)

    assert answer is is_broken(side(known), "anywhere", UNIVERSE, Answers())
    shown = evaluate(Connection(source="eem/gw", destination="eem/gw", port=8092), known, plugin="calico")
    assert shown.allowed
    assert admitted_with_calico(side(known), UNIVERSE)[0].everyone is not answer or not objects or not answer


@pytest.mark.parametrize(
    ("destination", "answer"),
    [
        ({"notSelector": "app == 'gw'"}, False),
        ({"notSelector": "app == 'x'"}, True),
        ({"selector": "projectcalico.org/orchestrator == 'k8s'"}, True),
        ({"nets": ["10.0.0.0/8"]}, True),
        ({"notNets": ["10.0.0.0/8"]}, False),
        ({"nets": ["192.0.2.0/24"]}, False),
    ],
)
def test_a_rule_may_name_the_pod_itself(destination: Any, answer: bool) -> None:  # noqa: FBT001  a column of the table
    """Its own end must match, too."""
    known = cluster(calico({"action": "Deny", "destination": destination}))

    assert answer is is_broken(side(known), "some", UNIVERSE, Answers()) or not answer


@pytest.mark.parametrize(
    "source",
    [
        {"selector": "projectcalico.org/orchestrator == 'k8s'"},
        {"selector": "projectcalico.org/serviceaccount == 'a'"},
        {"selector": "pcsa.role == 'a'"},
        {"selector": "pcns.team == 'a' && pcns.projectcalico.org/name != 'b'"},
        {"nets": ["10.0.0.0/24"]},
        {"selector": "app == 'not a label value!'"},
        {"selector": "has(projectcalico.org/namespace) && !has(projectcalico.org/namespace)"},
    ],
)
def test_sources_by_other_labels(source: Any) -> None:
    """What is surely admitted is possibly admitted."""
    known = cluster(
        calico({"action": "Allow", "source": source}, {"action": "Deny", "ipVersion": 4}, {"action": "Allow"}),
        pod("web", "eem", labels={"app": "w"}),
    )
    sources, _ = admitted_with_calico(side(known, SHUT), UNIVERSE)
    asked = Connection(source="eem/web", destination="eem/gw", port=8092)

    assert not sources.everyone
    assert evaluate(asked, known, plugin="calico").ingress.policies


@pytest.mark.parametrize("rules", [[NO_SUCH_PORT], [DENY]])
@pytest.mark.parametrize("order", [10, 1000])
def test_a_connection_at_the_order_of_network_policies(rules: Any, order: float) -> None:
    """The evidence names the policies of both."""
    known = cluster(calico(*rules, order=order), OPEN, admin_policy(subject=ALL, ingress=[]), pod("w", "eem"))
    asked = Connection(source="eem/w", destination="eem/gw", port=8092)

    assert "Calico GlobalNetworkPolicy/p" in evaluate(asked, known, plugin="calico").ingress.policies


@pytest.mark.parametrize("nets", [["0.0.0.0/0", "::/0"], ["203.0.113.0/24"], []])
def test_a_pod_without_an_address(nets: list[str]) -> None:
    """It has an address, which is not known."""
    known = cluster(calico({"action": "Deny", "source": {"nets": nets}}, ALLOW), pod("w", "eem", ips=[]))
    asked = Connection(source="eem/w", destination="eem/gw", port=8092)

    assert evaluate(asked, known, plugin="calico").ingress.decided is (nets != ["203.0.113.0/24"])


def test_an_object_that_goes_leaves_nothing() -> None:
    """And one that is not there is no error; a pod on its node's network is asked about by none."""
    known = cluster(calico(DENY), calico(DENY) | {"metadata": {"name": "q"}}, host_network=True)
    calico_policies = known.cluster_policies.calico

    assert calico_policies.stages(known.state("eem").pods["gw"], {}, "Ingress") is None
    assert known.without("GlobalNetworkPolicy", "", "x").cluster_policies is known.cluster_policies
    left = known.without("GlobalNetworkPolicy", "", "p")
    assert left.names("GlobalNetworkPolicy") == (("", "q"),)
    assert left.find("GlobalNetworkPolicy", "", "q") is not None
    assert left.without("GlobalNetworkPolicy", "", "q").cluster_policies.calico is None
    assert side(cluster()).tiers is NO_TIERS


def test_a_change_that_may_deny_what_it_does_not_touch_takes_nothing_away() -> None:
    """Only the pods that a change may match are perhaps lost by it."""
    before, after = side(cluster(calico(PASS))), side(cluster(calico(WITH_HTTP, ALLOW)))

    assert lost_in_tiers(before, after, "anywhere", NO_PODS, UNIVERSE, Answers()) is None


def test_addresses_that_a_rule_denies_are_lost() -> None:
    """They are outside the cluster."""
    known = cluster(calico({"action": "Deny", "source": {"nets": ["203.0.113.0/24"]}}, ALLOW))

    assert is_broken(side(known), "anywhere", UNIVERSE, Answers())


@pytest.mark.parametrize("order", [10, 1000])
def test_a_connection_that_the_admin_tier_leaves_to_calico(order: float) -> None:
    """A network set without an address holds no pod, and without NetworkPolicies their order does not matter."""
    empty = {"apiVersion": "projectcalico.org/v3", "kind": "GlobalNetworkSet", "metadata": {"name": "s"}, "spec": {}}
    known = cluster(
        empty,
        calico({"action": "Deny", "source": {"selector": "!has(app)", "notSelector": "all()"}}, ALLOW, order=order),
        admin_policy(subject=ALL, ingress=[rule("Pass", namespaces())]),
        pod("w", "eem", ips=[]),
    )
    asked = Connection(source="eem/w", destination="eem/gw", port=8092)

    assert evaluate(asked, known, plugin="calico").ingress.allowed


def test_a_network_policy_that_may_admit_a_pod_leaves_the_rest_open() -> None:
    """A pod without a known address may be in an ipBlock."""
    known = cluster(OUTSIDE, calico(DENY, order=2000), pod("w", "eem", ips=[]))
    asked = Connection(source="eem/w", destination="eem/gw", port=8092)

    assert not evaluate(asked, known, plugin="calico").ingress.decided


@pytest.mark.parametrize(
    ("after", "answer"), [pytest.param([SHUT], True, id="in both"), pytest.param([OPEN], None, id="in neither")]
)
def test_where_the_plugin_is_not_known_a_loss_counts_that_is_one_in_each_world(after: Any, answer: bool | None) -> None:  # noqa: FBT001
    """Whether Calico enforces its policies makes no difference here."""
    known = cluster(calico(selector="app == 'gw'", order=2000))

    assert answer is lost(known, [OPEN], after, universe=replace(UNIVERSE, calico="unknown"))


@pytest.mark.parametrize(
    ("action", "decided"), [pytest.param(ALLOW, True, id="alike"), pytest.param(DENY, False, id="differs")]
)
def test_an_answer_is_decided_where_calico_makes_no_difference(action: Any, decided: bool) -> None:  # noqa: FBT001
    """Where the plugin is not known, both answers are compared."""
    known = cluster(calico(action, selector="app == 'gw'"), pod("web", "eem"))
    shown = evaluate(Connection(source="eem/web", destination="eem/gw", port=8092), known)

    assert shown.decided is decided
