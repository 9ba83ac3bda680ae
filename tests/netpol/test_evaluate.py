"""One connection, both ends: the rule step by step, with its evidence; and the laws that follow from it."""

from typing import Any

import builders as b
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netpol.asking import ask, tolerated, word
from webhook.netpol import ClusterSnapshot, Connection, SpecError, evaluate
from webhook.netpol.evaluate import read_pod_name
from webhook.netpol.evidence import Outcome, Reason, RuleEvidence
from webhook.netpol.reading import Faults
from webhook.netpol.sources.universe import IPBlockMatchesPods

SERVER = b.pod(
    "server",
    labels={"app": "server"},
    ips=["10.244.0.1"],
    host_ips=["192.168.0.1", "fd01::1"],
    node="n1",
    ports=[b.container_port(3000, "ui")],
)
CLIENT = b.pod("client", "shop", labels={"app": "client"}, ips=["10.244.0.2"], node="n2")
AGENT = b.pod("agent", "shop", ips=["192.168.0.1"], node="n1", host_network=True)
OTHER_AGENT = b.pod("other-agent", "shop", ips=["192.168.0.2"], node="n2", host_network=True)
PODS = [SERVER, CLIENT, AGENT, OTHER_AGENT, b.namespace("eem"), b.namespace("shop", labels={"team": "a"})]
FROM_SHOP = b.from_(b.peer(namespaces=b.selector(team="a")))
DENY = b.policy("deny")


# The rule, step by step


@pytest.mark.parametrize(
    ("source", "destination", "ingress", "egress"),
    [
        pytest.param("eem/server", "eem/server", Reason.SELF, Reason.SELF, id="a pod to itself"),
        pytest.param("10.244.0.1", "eem/server", Reason.SELF, Reason.SELF, id="a pod to itself by its address"),
        pytest.param("192.168.0.1", "eem/server", Reason.OWN_NODE, Reason.NOT_A_POD, id="the pod's own node"),
        pytest.param("fd01::1", "eem/server", Reason.OWN_NODE, Reason.NOT_A_POD, id="by the node's second address"),
        pytest.param("shop/agent", "eem/server", Reason.OWN_NODE, Reason.HOST_NETWORK, id="a host pod of the own node"),
        pytest.param("eem/server", "192.168.0.1", Reason.NOT_A_POD, Reason.OWN_NODE, id="and the pod to that node"),
        pytest.param("eem/server", "shop/agent", Reason.HOST_NETWORK, Reason.OWN_NODE, id="and to that host pod"),
        pytest.param(
            "192.168.0.2", "eem/server", Reason.NOT_ADMITTED, Reason.NOT_A_POD, id="another node is an address"
        ),
        pytest.param(
            "shop/other-agent", "eem/server", Reason.NOT_ADMITTED, Reason.HOST_NETWORK, id="so is a host pod of it"
        ),
        pytest.param(
            "eem/server", "shop/other-agent", Reason.HOST_NETWORK, Reason.NOT_ADMITTED, id="and the other way"
        ),
        pytest.param("shop/client", "eem/server", Reason.NOT_ADMITTED, Reason.NOT_ISOLATED, id="a pod"),
        pytest.param("10.244.0.2", "eem/server", Reason.NOT_ADMITTED, Reason.NOT_ISOLATED, id="a pod by its address"),
        pytest.param("eem/server", "shop/client", Reason.NOT_ISOLATED, Reason.NOT_ADMITTED, id="out of isolation"),
        pytest.param("203.0.113.7", "eem/server", Reason.NOT_ADMITTED, Reason.NOT_A_POD, id="an address"),
        pytest.param("203.0.113.7", "203.0.113.8", Reason.NOT_A_POD, Reason.NOT_A_POD, id="two addresses"),
    ],
)
def test_the_reasons_under_a_default_deny(source: str, destination: str, ingress: Reason, egress: Reason) -> None:
    """Each end says why it allows or does not, where all of eem is denied both ways."""
    deny_both = b.policy("deny", policy_types=["Ingress", "Egress"])
    verdict = ask([*PODS, deny_both], source, destination)

    assert (ingress, egress) == (verdict.ingress.reason, verdict.egress.reason)
    assert verdict.allowed is not ({Reason.NOT_ADMITTED} & {ingress, egress} != set())
    assert verdict.decided


@pytest.mark.parametrize("source", ["shop/client", "203.0.113.7", "2001:db8::1", "shop/other-agent"])
def test_no_policy_allows_everyone(source: str) -> None:
    """A pod that no policy selects accepts and sends everything."""
    verdict = ask(PODS, source, "eem/server")

    assert verdict.allowed
    assert verdict.ingress.reason is Reason.NOT_ISOLATED
    assert verdict.ingress.policies == ()


@pytest.mark.parametrize(
    ("ingress_admits", "egress_admits", "answer"),
    [(True, True, "allowed"), (True, False, "denied"), (False, True, "denied"), (False, False, "denied")],
)
def test_both_ends_must_allow(ingress_admits: bool, egress_admits: bool, answer: str) -> None:  # noqa: FBT001  columns
    """A connection needs the source's egress and the destination's ingress."""
    policies = [
        b.policy("in", ingress=[{}] if ingress_admits else []),
        b.policy("out", "shop", policy_types=["Egress"], egress=[{}] if egress_admits else []),
    ]

    assert answer == word(ask([*PODS, *policies], "shop/client", "eem/server"))


def test_named_ports_of_egress_are_the_destinations() -> None:
    """A named port of an egress rule resolves at the destination, and an address has none."""
    policies = [b.policy("out", "shop", policy_types=["Egress"], egress=[b.to(ports=[b.port("ui")])])]

    assert ask([*PODS, *policies], "shop/client", "eem/server").allowed
    assert not ask([*PODS, *policies], "shop/client", "eem/server", 3001).allowed
    assert not ask([*PODS, *policies], "shop/client", "203.0.113.7").allowed


def test_replies_need_no_rule() -> None:
    """Replies belong to the connection: the server's own egress does not matter."""
    verdict = ask([*PODS, b.policy("out", policy_types=["Egress"])], "shop/client", "eem/server")

    assert verdict.allowed


# Evidence


def test_evidence_of_a_refusal() -> None:
    """Every policy that isolates is named, with each of its rules and what it does not match; no other policy is."""
    policies = [
        b.policy(
            "b-rules", ingress=[b.from_(b.peer(pods={})), b.from_(ports=[b.port(80)]), b.from_(ports=[b.port("x")])]
        ),
        b.policy("a-deny"),
        b.policy("c-elsewhere", "shop", ingress=[{}]),
        b.policy("d-others", pod_selector=b.selector(app="db"), ingress=[{}]),
        b.policy("e-egress", policy_types=["Egress"], egress=[{}]),
    ]
    verdict = ask([*PODS, *policies], "shop/client", "eem/server")

    assert verdict.ingress.reason is Reason.NOT_ADMITTED
    assert verdict.ingress.policies == ("eem/a-deny", "eem/b-rules")
    assert verdict.ingress.rules == (
        RuleEvidence(policy="eem/b-rules", index=0, outcome=Outcome.OTHER_PEER),
        RuleEvidence(policy="eem/b-rules", index=1, outcome=Outcome.OTHER_PORT),
        RuleEvidence(policy="eem/b-rules", index=2, outcome=Outcome.UNRESOLVED_PORT),
    )


def test_evidence_of_an_admission() -> None:
    """The rule that admits is named by its policy and its index."""
    verdict = ask(
        [*PODS, DENY, b.policy("allow", ingress=[b.from_(b.peer(pods={})), FROM_SHOP])], "shop/client", "eem/server"
    )

    assert verdict.ingress.reason is Reason.ADMITTED
    assert [item for item in verdict.ingress.rules if item.outcome is Outcome.ADMITS] == [
        RuleEvidence(policy="eem/allow", index=1, outcome=Outcome.ADMITS)
    ]


# What is not decided

BY_BLOCK = b.policy("allow", ingress=[b.from_(b.block("10.244.0.0/16"))])


@pytest.mark.parametrize(("setting", "answer"), [("yes", "allowed"), ("no", "denied"), ("unknown", "undecided")])
def test_blocks_that_hold_a_pod(setting: IPBlockMatchesPods, answer: str) -> None:
    """Where only an ipBlock admits a pod, the answer depends on the plugin."""
    verdict = ask([*PODS, BY_BLOCK], "shop/client", "eem/server", ipblock_matches_pods=setting)

    assert answer == word(verdict)
    assert not verdict.decided or verdict.ingress.decided
    assert verdict.allowed is (setting == "yes")


@pytest.mark.parametrize(
    ("policies", "answer"),
    [
        pytest.param([BY_BLOCK, b.policy("all", ingress=[{}])], "allowed", id="another rule surely admits"),
        pytest.param(
            [BY_BLOCK, b.policy("out", "shop", policy_types=["Egress"])], "denied", id="the other end surely refuses"
        ),
        pytest.param(
            [BY_BLOCK, b.policy("out", "shop", policy_types=["Egress"], egress=[{}])],
            "undecided",
            id="the other end surely allows",
        ),
        pytest.param(
            [b.policy("allow", ingress=[b.from_(b.block("10.244.0.0/16"), ports=[b.port(80)])])],
            "denied",
            id="the block is about another port",
        ),
        pytest.param(
            [b.policy("allow", ingress=[b.from_(b.block("10.244.0.0/16"), b.peer(namespaces={}))])],
            "allowed",
            id="another peer of the rule surely matches",
        ),
        pytest.param(
            [b.policy("allow", ingress=[b.from_(b.block("10.244.0.0/16"), b.peer(pods={}))])],
            "undecided",
            id="another peer of the rule surely does not",
        ),
    ],
)
def test_what_decides_all_the_same(policies: list[b.ApiObject], answer: str) -> None:
    """What is not known matters only where nothing known decides."""
    assert answer == word(ask([*PODS, *policies], "shop/client", "eem/server"))


@pytest.mark.parametrize("rule", [{"from": [{}]}, {"ports": [b.port(0)]}], ids=["a peer", "a port"])
def test_unreadable_rules(rule: b.Node) -> None:
    """A stored rule with a part that cannot be read admits no source surely."""
    snapshot = ClusterSnapshot.from_objects(PODS).with_parsed(tolerated(ingress=[rule]))
    verdict = evaluate(Connection(source="shop/client", destination="eem/server", port=3000), snapshot)

    assert word(verdict) == "undecided"
    assert not verdict.allowed


# Ends


@pytest.mark.parametrize(
    ("fields", "faults"),
    [
        pytest.param({"source": "web"}, [("source", "Invalid")], id="neither a pod nor an address"),
        pytest.param({"source": "300.0.0.1"}, [("source", "Invalid")], id="no address"),
        pytest.param({"source": ""}, [("source", "Invalid")], id="nothing"),
        pytest.param({"destination": "eem/nobody"}, [("destination", "NotFound")], id="no such pod"),
        pytest.param({"destination": "nowhere/server"}, [("destination", "NotFound")], id="no such namespace"),
        pytest.param({"destination": "eem/"}, [("destination", "NotFound")], id="no name"),
        pytest.param({"protocol": "ICMP"}, [("protocol", "NotSupported")], id="no protocol of policies"),
        pytest.param({"protocol": "tcp"}, [("protocol", "NotSupported")], id="in lower case"),
        pytest.param({"port": 0}, [("port", "Invalid")], id="port zero"),
        pytest.param({"port": 65536}, [("port", "Invalid")], id="port 65536"),
        pytest.param({"port": 10**5000}, [("port", "Invalid")], id="a port of 5,000 digits"),
        pytest.param(
            {"source": "a", "destination": "b/c", "protocol": "d", "port": -1},
            [("source", "Invalid"), ("destination", "NotFound"), ("protocol", "NotSupported"), ("port", "Invalid")],
            id="all at once",
        ),
    ],
)
def test_questions_that_make_no_sense(fields: dict[str, Any], faults: list[tuple[str, str]]) -> None:
    """Each fault of a question is told by the part that it is in."""
    asked = {"source": "shop/client", "destination": "eem/server", "protocol": "TCP", "port": 3000} | fields
    with pytest.raises(SpecError) as raised:
        ask(PODS, **asked)

    assert faults == [(fault.field, fault.reason) for fault in raised.value.faults]


def test_a_workload_stands_for_its_pods() -> None:
    """A workload's template is an end where no pod has that name, and is never its own peer."""
    web = b.workload("web", labels={"app": "web"})
    verdict = ask([web, b.policy(pod_selector=b.selector(app="web"))], "eem/web", "eem/web")

    assert verdict.ingress.reason is Reason.NOT_ADMITTED
    assert verdict.egress.reason is Reason.NOT_ISOLATED


def test_a_pod_is_preferred_to_a_workload_and_kinds_go_by_name() -> None:
    """Of several objects with one name a pod is meant, else the first kind by name."""
    workloads = [b.workload("web", kind="StatefulSet"), b.workload("web", kind="DaemonSet"), b.workload("db")]
    without = ClusterSnapshot.from_objects(workloads)
    pods = ClusterSnapshot.from_objects([*workloads, b.pod("web")])

    faults = Faults()
    found = [read_pod_name("eem/web", "to", known, faults) for known in (without, pods, ClusterSnapshot())]

    assert [pod and pod.template_of for pod in found] == ["DaemonSet", "", None]
    assert [(fault.field, fault.reason) for fault in faults.found] == [("to", "NotFound")]


@pytest.mark.parametrize(
    ("pod", "reason"),
    [
        pytest.param(b.pod("other", ips=["10.244.0.9"]), Reason.ADMITTED, id="a live pod's address is that pod"),
        pytest.param(
            b.pod("other", ips=["10.244.0.9"], phase="Succeeded"),
            Reason.NOT_ADMITTED,
            id="a finished pod's is free again",
        ),
        pytest.param(
            b.pod("other", ips=["10.244.0.9"], host_network=True), Reason.NOT_ADMITTED, id="a host pod's is its node's"
        ),
    ],
)
def test_whose_address_it_is(pod: b.ApiObject, reason: Reason) -> None:
    """An address that a pod on the pod network bears is that pod."""
    policy = b.policy(ingress=[b.from_(b.peer(pods={}))])

    assert reason is ask([SERVER, b.pod("third"), pod, policy], "10.244.0.9", "eem/server").ingress.reason


def test_an_address_that_two_pods_bear() -> None:
    """An address that two pods bear, as while one is replaced, is the first of them by name."""
    pods = [b.pod(name, labels={"app": name}, ips=["10.244.0.9"]) for name in ("y", "x", "z")]
    policy = b.policy(pod_selector=b.selector(app="server"), ingress=[b.from_(b.peer(pods=b.selector(app="x")))])

    assert ask([SERVER, *pods, policy], "10.244.0.9", "eem/server").allowed


# Laws

SELECTORS = st.sampled_from(
    [{}, b.selector(app="server"), b.selector(app="x"), b.selector(b.expression("app", "NotIn", "x"))]
)
SPACES = st.sampled_from([{}, b.selector(team="a"), b.selector(b.expression("team", "DoesNotExist"))])
PEERS = st.one_of(
    st.builds(b.peer, pods=SELECTORS),
    st.builds(b.peer, namespaces=SPACES),
    st.builds(b.peer, pods=SELECTORS, namespaces=SPACES),
    st.sampled_from([b.block("10.244.0.0/16"), b.block("0.0.0.0/0", "10.0.0.0/8"), b.block("203.0.113.0/24")]),
)
PORTS = st.sampled_from([b.port(), b.port(3000), b.port(80), b.port("ui"), b.port(3000, "UDP"), b.port(1, end=4000)])


def rules(peers_field: str) -> st.SearchStrategy[b.Node]:
    return st.fixed_dictionaries(
        {}, optional={peers_field: st.lists(PEERS, max_size=2), "ports": st.lists(PORTS, max_size=2)}
    )


POLICIES = st.builds(
    b.policy,
    name=st.sampled_from(["p", "q"]),
    namespace=st.sampled_from(["eem", "shop"]),
    pod_selector=SELECTORS,
    policy_types=st.sampled_from([["Ingress"], ["Egress"], ["Ingress", "Egress"]]),
    ingress=st.lists(rules("from"), max_size=2),
    egress=st.lists(rules("to"), max_size=2),
)
CLUSTERS = st.lists(
    POLICIES, max_size=3, unique_by=lambda policy: (policy["metadata"]["namespace"], policy["metadata"]["name"])
)
SOURCES = st.sampled_from(["shop/client", "203.0.113.7", "10.1.0.1", "2001:db8::1", "shop/other-agent", "eem/server"])
SETTINGS = st.sampled_from(["yes", "no", "unknown"])
ORDER = {"denied": 0, "undecided": 1, "allowed": 2}


@given(CLUSTERS, POLICIES, st.booleans(), rules("from"), rules("to"), SOURCES, SETTINGS)
def test_an_added_rule_never_takes_away(  # noqa: PLR0913, PLR0917  what the law quantifies over
    policies: list[b.ApiObject],
    policy: b.ApiObject,
    is_first: bool,  # noqa: FBT001
    ingress: b.Node,
    egress: b.Node,
    source: str,
    setting: IPBlockMatchesPods,
) -> None:
    """With policyTypes fixed, one more rule in any place never makes a connection less allowed."""
    policy = {**policy, "metadata": {**policy["metadata"], "name": "changed"}}
    spec = policy["spec"]
    place = 0 if is_first else len(spec["ingress"])
    more = {
        **spec,
        "ingress": [*spec["ingress"][:place], ingress, *spec["ingress"][place:]],
        "egress": [*spec["egress"], egress],
    }
    before = ask([*PODS, *policies, policy], source, "eem/server", ipblock_matches_pods=setting)
    after = ask([*PODS, *policies, {**policy, "spec": more}], source, "eem/server", ipblock_matches_pods=setting)

    assert ORDER[word(before)] <= ORDER[word(after)]


@given(CLUSTERS, POLICIES, SOURCES, SETTINGS)
def test_a_first_selecting_policy_never_adds(
    policies: list[b.ApiObject], policy: b.ApiObject, source: str, setting: IPBlockMatchesPods
) -> None:
    """A policy that selects a pod that was not isolated never makes a connection of it more allowed."""
    policy = {**policy, "metadata": {**policy["metadata"], "name": "added"}}
    before = ask([*PODS, *policies], source, "eem/server", ipblock_matches_pods=setting)
    after = ask([*PODS, *policies, policy], source, "eem/server", ipblock_matches_pods=setting)

    for was, now in ((before.ingress, after.ingress), (before.egress, after.egress)):
        if not was.policies:
            assert ORDER[word_of_end(was)] >= ORDER[word_of_end(now)]
        else:
            assert set(was.policies) <= set(now.policies)
            assert ORDER[word_of_end(was)] <= ORDER[word_of_end(now)]


def word_of_end(end: Any) -> str:
    return "allowed" if end.allowed else "denied" if end.decided else "undecided"


@given(CLUSTERS, SOURCES, SETTINGS, st.randoms(use_true_random=False))
def test_order_never_matters(
    policies: list[b.ApiObject], source: str, setting: IPBlockMatchesPods, random: Any
) -> None:
    """Policies, rules, peers and ports may stand in any order."""
    shuffled = [turned(policy) for policy in policies]
    random.shuffle(shuffled)
    before = ask([*PODS, *policies], source, "eem/server", ipblock_matches_pods=setting)
    after = ask([*shuffled, *PODS[::-1]], source, "eem/server", ipblock_matches_pods=setting)

    assert word(before) == word(after)
    assert before.ingress.policies == after.ingress.policies


def turned(node: Any) -> Any:
    """Return a JSON tree with every list reversed."""
    if isinstance(node, dict):
        return {key: turned(value) for key, value in node.items()}
    return [turned(item) for item in reversed(node)] if isinstance(node, list) else node


# The pods of a workload


def of_hash(operator: str) -> b.Node:
    return b.selector(b.expression("pod-template-hash", operator, *(["5d8f"] if operator in {"In", "NotIn"} else [])))


@pytest.mark.parametrize(
    ("operator", "isolated", "admitted"),
    [
        ("In", Reason.UNKNOWN_LABEL, Reason.UNKNOWN_LABEL),
        ("NotIn", Reason.UNKNOWN_LABEL, Reason.UNKNOWN_LABEL),
        ("Exists", Reason.NOT_ADMITTED, Reason.ADMITTED),
        ("DoesNotExist", Reason.NOT_ISOLATED, Reason.NOT_ADMITTED),
    ],
)
def test_a_label_with_an_unknown_value(operator: str, isolated: Reason, admitted: Reason) -> None:
    """The pods of a Deployment have a hash that is not known: to compare it decides nothing, at either end."""
    made = b.workload("web", "shop", labels={"app": "web"})
    denied = ask([*PODS, made, b.policy("deny", "shop", pod_selector=of_hash(operator))], "eem/server", "shop/web")
    opened = ask(
        [*PODS, made, b.policy("allow", ingress=[b.from_(b.peer(of_hash(operator), {}))])], "shop/web", "eem/server"
    )

    assert (denied.ingress.reason, opened.ingress.reason) == (isolated, admitted)
    assert denied.decided is (isolated is not Reason.UNKNOWN_LABEL)
    assert not (opened.allowed and not opened.decided)


@pytest.mark.parametrize(("replicas", "reason"), [(1, Reason.NOT_ADMITTED), (2, Reason.UNKNOWN_LABEL)])
def test_a_stateful_set_stands_for_its_pods(replicas: int, reason: Reason) -> None:
    """The labels of a single pod are known; which of several pods is meant is not."""
    made = b.workload("web", "shop", kind="StatefulSet", labels={"app": "web"})
    made["spec"]["replicas"] = replicas
    first = b.selector(**{"apps.kubernetes.io/pod-index": "0"})

    verdict = ask([*PODS, made, b.policy("deny", "shop", pod_selector=first)], "eem/server", "shop/web")

    assert verdict.ingress.reason is reason
