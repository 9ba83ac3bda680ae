"""One connection under cluster-wide policies: the order of tiers, priorities and rules, and what is not known."""

from typing import Any

import builders as b
import pytest

from netpol.asking import ask, word
from webhook.netpol.evidence import Reason

PODS = [
    b.namespace("eem", labels={"team": "a"}),
    b.namespace("shop", labels={"team": "b"}),
    b.pod("server", "eem", labels={"app": "web"}, ips=["10.244.0.1"], ports=[b.container_port(3000, "ui")]),
    b.pod("client", "shop", labels={"app": "client"}, ips=["10.244.0.2"]),
    b.pod("agent", "shop", ips=["192.168.0.9"], host_network=True),
]
CLIENT = b.pods(b.selector(app="client"))
ALL = b.namespaces()
OTHERS = b.namespaces(team="none")
DENY_ALL = b.policy("deny")
ALLOW_ALL = b.policy("allow", ingress=[{}])


def anp(name: str, priority: int, *rules: b.Node) -> b.ApiObject:
    return b.admin_policy(name, priority=priority, ingress=list(rules))


def cnp(name: str, priority: int, *rules: b.Node, tier: str = "Admin") -> b.ApiObject:
    return b.cluster_policy(name, priority=priority, tier=tier, ingress=list(rules))


def banp(*rules: b.Node) -> b.ApiObject:
    return b.baseline_policy(ingress=list(rules))


ALLOW, DENY, PASS = (b.rule(action, CLIENT) for action in ("Allow", "Deny", "Pass"))
ACCEPT = b.rule("Accept", CLIENT)


def decided(*policies: b.ApiObject, source: str = "shop/client", port: int = 3000) -> str:
    return word(ask([*PODS, *policies], source, "eem/server", port))


# policy-kinds 2.4, sentence by sentence


@pytest.mark.parametrize(
    ("policies", "answer"),
    [
        pytest.param([], "allowed", id="no policy: allowed"),
        pytest.param([anp("a", 5, ALLOW), DENY_ALL], "allowed", id="Allow is final, also against NetworkPolicy"),
        pytest.param([anp("a", 5, DENY), ALLOW_ALL], "denied", id="Deny is final, also against NetworkPolicy"),
        pytest.param([cnp("c", 5, ACCEPT), DENY_ALL], "allowed", id="Accept of a ClusterNetworkPolicy is the same"),
        pytest.param([anp("a", 1, DENY), anp("b", 2, ALLOW)], "denied", id="the lowest priority is asked first"),
        pytest.param([anp("a", 2, DENY), anp("b", 1, ALLOW)], "allowed", id="whatever the order of names is"),
        pytest.param([anp("a", 5, DENY, ALLOW)], "denied", id="the first rule that matches decides"),
        pytest.param([anp("a", 5, ALLOW, DENY)], "allowed", id="whatever comes after it"),
        pytest.param(
            [anp("a", 5, b.rule("Deny", OTHERS), ALLOW)], "allowed", id="a rule that does not match is skipped"
        ),
        pytest.param([anp("a", 1, PASS), anp("b", 2, DENY)], "allowed", id="Pass skips the rest of the tier"),
        pytest.param([anp("a", 1, PASS, DENY)], "allowed", id="Pass skips the rest of its policy"),
        pytest.param([anp("a", 1, PASS), DENY_ALL], "denied", id="after Pass come NetworkPolicies"),
        pytest.param([anp("a", 1, PASS), banp(DENY)], "denied", id="after Pass comes Baseline, where nothing isolates"),
        pytest.param(
            [anp("a", 1, b.rule("Deny", OTHERS)), anp("b", 2, DENY)], "denied", id="no match: the next policy"
        ),
        pytest.param([anp("a", 1, b.rule("Deny", OTHERS)), DENY_ALL], "denied", id="no match: the next tier"),
        pytest.param([ALLOW_ALL, banp(DENY)], "allowed", id="NetworkPolicies are final for pods that they isolate"),
        pytest.param([DENY_ALL, banp(ALLOW)], "denied", id="also where they do not allow"),
        pytest.param([banp(DENY)], "denied", id="Baseline decides where no NetworkPolicy isolates"),
        pytest.param([banp(ALLOW)], "allowed", id="Baseline may allow"),
        pytest.param([banp(b.rule("Deny", OTHERS))], "allowed", id="no match in Baseline: allowed"),
        pytest.param(
            [cnp("c", 1, PASS, tier="Baseline"), cnp("d", 2, DENY, tier="Baseline")], "allowed", id="Pass in Baseline"
        ),
        pytest.param(
            [cnp("c", 2, DENY, tier="Baseline"), cnp("d", 1, ACCEPT, tier="Baseline")],
            "allowed",
            id="Baseline has priorities, too",
        ),
        pytest.param([b.admin_policy("a")], "allowed", id="a policy without rules isolates nothing"),
        pytest.param(
            [b.admin_policy("a", egress=[b.rule("Deny", ALL, field="to")], subject=OTHERS)],
            "allowed",
            id="other subjects",
        ),
        pytest.param(
            [b.admin_policy("a", egress=[b.rule("Deny", ALL, field="to")])], "denied", id="egress of the source counts"
        ),
        pytest.param(
            [anp("a", 1, ALLOW), b.admin_policy("b", egress=[b.rule("Deny", ALL, field="to")])],
            "denied",
            id="both directions must allow",
        ),
    ],
)
def test_the_order_of_tiers(policies: list[b.ApiObject], answer: str) -> None:
    """The first rule that matches decides, in Admin before NetworkPolicies, and in Baseline after them."""
    assert answer == decided(*policies)


@pytest.mark.parametrize(
    "source", ["203.0.113.7", "shop/agent"], ids=["an outside address", "a pod on its node's network"]
)
def test_ingress_peers_match_pods_alone(source: str) -> None:
    """No ingress rule matches an address, or a pod that has its node's."""
    assert decided(anp("a", 1, b.rule("Deny", ALL)), source=source) == "allowed"
    assert decided(anp("a", 1, b.rule("Allow", ALL)), DENY_ALL, source=source) == "denied"


def test_a_pods_own_address_is_never_subject() -> None:
    """A pod reaches itself, whatever the policies say."""
    assert decided(anp("a", 1, b.rule("Deny", ALL)), source="eem/server") == "allowed"


@pytest.mark.parametrize(
    ("ports", "port", "answer"),
    [
        pytest.param([{"portNumber": {"port": 3000}}], 3000, "denied", id="a number"),
        pytest.param([{"portNumber": {"port": 3000}}], 3001, "allowed", id="another number"),
        pytest.param([{"portRange": {"start": 2999, "end": 3000}}], 3000, "denied", id="the end of a range"),
        pytest.param([{"portRange": {"start": 2999, "end": 3000}}], 3001, "allowed", id="beyond a range"),
        pytest.param([{"namedPort": "ui"}], 3000, "denied", id="a name that the pod gives this port"),
        pytest.param([{"namedPort": "ui"}], 3001, "allowed", id="a name that the pod gives another port"),
        pytest.param([{"namedPort": "api"}], 3000, "allowed", id="a name that the pod does not have"),
        pytest.param([{"portNumber": {"protocol": "UDP", "port": 3000}}], 3000, "allowed", id="another protocol"),
    ],
)
def test_ports(ports: list[Any], port: int, answer: str) -> None:
    """A rule covers ports by number, range and name; a name is the destination's."""
    assert answer == decided(anp("a", 1, b.rule("Deny", ALL, ports=ports)), port=port)


def outward(*peers: Any, action: str = "Deny", destination: str = "203.0.113.7") -> str:
    policy = b.cluster_policy("c", egress=[b.rule(action, *peers, field="to")])
    return word(ask([*PODS, policy], "shop/client", destination))


@pytest.mark.parametrize(
    ("peer", "destination", "answer"),
    [
        pytest.param({"networks": ["203.0.113.0/24"]}, "203.0.113.7", "denied", id="a network"),
        pytest.param({"networks": ["203.0.112.0/24"]}, "203.0.113.7", "allowed", id="another network"),
        pytest.param({"networks": ["10.244.0.0/16"]}, "eem/server", "denied", id="networks match pods, too"),
        pytest.param({"networks": ["10.244.1.0/24"]}, "eem/server", "allowed", id="by their addresses"),
        pytest.param({"networks": ["192.168.0.0/24"]}, "shop/agent", "denied", id="and pods on their nodes' network"),
        pytest.param({"nodes": {}}, "203.0.113.7", "undecided", id="an address may be a node's"),
        pytest.param({"nodes": {}}, "shop/agent", "denied", id="a pod on its node's network has a node's address"),
        pytest.param({"nodes": b.selector(a="b")}, "shop/agent", "undecided", id="the labels of nodes are not read"),
        pytest.param({"nodes": {}}, "eem/server", "allowed", id="nodes match no pod"),
        pytest.param({"services": {}}, "203.0.113.7", "undecided", id="a peer with an unknown field"),
        pytest.param({"services": {}}, "eem/server", "undecided", id="may match pods, too"),
    ],
)
def test_destinations(peer: b.Node, destination: str, answer: str) -> None:
    """An egress rule matches networks, nodes and names, as far as that can be known."""
    policy = b.cluster_policy("c", subject=b.namespaces(team="b"), egress=[b.rule("Deny", peer, field="to")])

    assert answer == word(ask([*PODS, policy], "shop/client", destination, tolerant=True))


# 2.7: two bounds


@pytest.mark.parametrize(
    ("policies", "answer"),
    [
        pytest.param(
            [anp("a", 5, ALLOW), anp("b", 5, DENY)], "undecided", id="one priority: either may be asked first"
        ),
        pytest.param([anp("a", 5, DENY), anp("b", 5, b.rule("Deny", ALL))], "denied", id="which does not matter here"),
        pytest.param([anp("a", 5, DENY), anp("b", 5, b.rule("Allow", OTHERS))], "denied", id="or where one matches"),
        pytest.param([anp("a", 5, PASS), anp("b", 5, DENY), DENY_ALL], "denied", id="Pass or Deny, and both deny"),
        pytest.param([anp("a", 5, PASS), anp("b", 5, DENY)], "undecided", id="Pass or Deny, and they differ"),
        pytest.param(
            [cnp("a", 5, ACCEPT), cnp("b", 5, DENY), cnp("c", 4, DENY)], "denied", id="a lower priority decides first"
        ),
        pytest.param([anp("a", 5, ALLOW), cnp("c", 5, DENY)], "undecided", id="two schemas have no order"),
        pytest.param([anp("a", 9, ALLOW), cnp("c", 5, DENY)], "undecided", id="whatever the priorities are"),
        pytest.param([anp("a", 100, DENY)], "undecided", id="OVN-Kubernetes does not apply a priority above 99"),
        pytest.param([anp("a", 100, DENY), DENY_ALL], "denied", id="which does not matter where all refuse"),
        pytest.param([anp("a", 100, ALLOW)], "allowed", id="or where all allow"),
        pytest.param([anp("a", 99, DENY)], "denied", id="it applies 99"),
        pytest.param([anp("a", 100, DENY), anp("b", 200, DENY), banp(DENY)], "denied", id="all that may decide agree"),
        pytest.param([anp("a", 5, b.rule("Allow", {"x": {}})), DENY_ALL], "undecided", id="an Allow may match"),
        pytest.param([anp("a", 5, b.rule("Deny", {"x": {}}))], "undecided", id="a Deny may match"),
        pytest.param([anp("a", 5, b.rule("Pass", {"x": {}})), anp("b", 6, DENY)], "undecided", id="a Pass may match"),
        pytest.param(
            [anp("a", 5, b.rule("Pass", {"x": {}}))], "undecided", id="or deny everything, as the API asks of a reader"
        ),
        pytest.param(
            [anp("a", 5, b.rule("Pass", CLIENT, {"x": {}}))], "undecided", id="also beside a peer that matches"
        ),
        pytest.param(
            [anp("a", 5, b.rule("Pass", OTHERS, {"x": {}}, ports=[{"portNumber": {"port": 1}}]))],
            "undecided",
            id="and at another port",
        ),
        pytest.param([anp("a", 5, b.rule("Pass", {"x": {}})), DENY_ALL], "denied", id="a Pass that changes nothing"),
        pytest.param(
            [anp("a", 5, b.rule("Allow", CLIENT, {"x": {}})), DENY_ALL], "undecided", id="an Allow may match nothing"
        ),
        pytest.param(
            [anp("a", 5, b.rule("Deny", CLIENT, {"x": {}}))], "denied", id="a Deny denies all or what matches"
        ),
        pytest.param(
            [anp("a", 5, b.rule("Deny", {"x": {}}, ports=[{"portNumber": {"port": 1}}]))],
            "undecided",
            id="perhaps at every port",
        ),
        pytest.param([anp("a", 5, b.rule("Deny", {"x": {}}), DENY)], "denied", id="a rule after it decides the same"),
        pytest.param([banp(b.rule("Deny", {"x": {}}))], "undecided", id="also in Baseline"),
        pytest.param([banp(b.rule("Allow", {"x": {}}))], "allowed", id="where all else is allowed"),
        pytest.param([anp("a", 5, b.rule("Drop", CLIENT))], "undecided", id="an unknown action may be any"),
        pytest.param(
            [b.admin_policy(subject={}, ingress=[ALLOW])], "undecided", id="an unreadable policy may do anything"
        ),
        pytest.param(
            [anp("a", 5, b.rule("Deny", ALL, ports=[{"icmp": {}}]))], "undecided", id="a port that cannot be read"
        ),
    ],
)
def test_what_is_not_known(policies: list[b.ApiObject], answer: str) -> None:
    """Where something is not known, the answer is decided only if all that is possible agrees."""
    api_objects = [*PODS, *policies]
    verdict = ask(api_objects, "shop/client", "eem/server", tolerant=True)

    assert answer == word(verdict)
    assert verdict.possibly_allowed is (answer != "denied")


@pytest.mark.parametrize(
    ("policies", "reason"),
    [
        pytest.param([anp("a", 1, ALLOW)], Reason.ADMIN_ACCEPTS, id="Admin accepts"),
        pytest.param([anp("a", 1, DENY)], Reason.ADMIN_DENIES, id="Admin denies"),
        pytest.param([banp(ALLOW)], Reason.BASELINE_ACCEPTS, id="Baseline accepts"),
        pytest.param([banp(DENY)], Reason.BASELINE_DENIES, id="Baseline denies"),
        pytest.param([anp("a", 1, PASS), DENY_ALL], Reason.NOT_ADMITTED, id="NetworkPolicies do not admit it"),
        pytest.param([anp("a", 1, PASS), ALLOW_ALL], Reason.ADMITTED, id="NetworkPolicies admit it"),
        pytest.param([anp("a", 1, PASS)], Reason.NOT_ISOLATED, id="nothing decides"),
        pytest.param([anp("a", 1, ALLOW), anp("b", 1, DENY)], Reason.TIERS_NOT_DECIDED, id="not known"),
        pytest.param([anp("a", 100, DENY)], Reason.TIERS_NOT_DECIDED, id="may be denied"),
        pytest.param([anp("a", 100, ALLOW)], Reason.NOT_ISOLATED, id="allowed in any case"),
        pytest.param(
            [b.policy("block", ingress=[b.from_(b.block("10.0.0.0/8"))]), anp("a", 1, PASS)],
            Reason.NOT_DECIDED,
            id="an ipBlock that may match pods",
        ),
        pytest.param(
            [b.policy("block", ingress=[b.from_(b.block("10.0.0.0/8"))]), anp("a", 100, DENY)],
            Reason.TIERS_NOT_DECIDED,
            id="both",
        ),
    ],
)
def test_reasons(policies: list[b.ApiObject], reason: Reason) -> None:
    """The reason says which tier decided."""
    assert reason is ask([*PODS, *policies], "shop/client", "eem/server").ingress.reason


def test_pods_without_addresses() -> None:
    """A pod whose address is not known may be in a network; in all addresses it surely is."""
    new = b.pod("new", "eem", ips=[])
    for network, answer in (("10.0.0.0/8", "undecided"), ("0.0.0.0/0", "denied")):
        policy = b.cluster_policy("c", egress=[b.rule("Deny", {"networks": [network]}, field="to")])
        assert answer == word(ask([*PODS, new, policy], "shop/client", "eem/new"))


def test_names_may_resolve_to_anything() -> None:
    """A rule by names of domains may match any destination."""
    assert outward({"domainNames": ["example.com"]}, action="Accept") == "allowed"
    deny = b.cluster_policy("d", priority=20, egress=[b.rule("Deny", {"networks": ["0.0.0.0/0"]}, field="to")])
    accept = b.cluster_policy("c", egress=[b.rule("Accept", {"domainNames": ["example.com"]}, field="to")])

    assert word(ask([*PODS, accept, deny], "shop/client", "203.0.113.7")) == "undecided"
    assert word(ask([*PODS, deny], "shop/client", "203.0.113.7")) == "denied"
