"""What other evaluators and network plugins got wrong, each by the project and the number it is known under."""

from typing import Any

import builders as b
import pytest

from netpol.asking import ask, block_of, faults_of, parse_policy, policy_of, sources_of, word
from webhook.netpol import ClusterSnapshot, SpecError
from webhook.netpol.evidence import Outcome, Reason
from webhook.netpol.intervals import WHOLE, address_of, holds
from webhook.netpol.matching import Address, peer_matches
from webhook.netpol.model import PolicyType, Protocol
from webhook.netpol.sources.admitted import admitted
from webhook.netpol.sources.budget import Answers
from webhook.netpol.sources.loss import lost_from_anywhere
from webhook.netpol.sources.source_set import EVERYONE
from webhook.netpol.sources.universe import IPBlockMatchesPods, Universe

WEB = b.selector(app="web")
SERVER = b.pod("server", labels={"app": "web"}, ips=["10.244.0.1"], host_ips=["192.168.0.1"], node="n1")
CLIENT = b.pod("client", "shop", labels={"app": "client"}, ips=["10.244.1.1"], node="n2")
SHOP = b.namespace("shop", labels={"team": "b"})


def not_in(key: str, *values: str) -> b.Node:
    return b.selector(b.expression(key, "NotIn", *values))


def is_in(key: str, *values: str) -> b.Node:
    return b.selector(b.expression(key, "In", *values))


def to_server(*objects: b.ApiObject, source: str = "shop/client", **asked: Any) -> str:
    return word(ask([SERVER, CLIENT, SHOP, *objects], source, "eem/server", **asked))


@pytest.mark.parametrize(("source", "answer"), [("192.168.0.1", "allowed"), ("192.168.0.2", "denied")])
def test_netpol_analyzer_own_node(source: str, answer: str) -> None:
    """np-guard/netpol-analyzer isPeerNodeIP: the pod's own node may always connect, another node may not."""
    assert answer == to_server(b.policy(), source=source)


@pytest.mark.parametrize(("protocol", "answer"), [("SCTP", "allowed"), ("UDP", "denied"), ("TCP", "denied")])
def test_netpol_analyzer_405_named_port_and_protocol(protocol: str, answer: str) -> None:
    """np-guard/netpol-analyzer#405: a port's name resolves for its own protocol only."""
    server = b.pod("server", ports=[b.container_port(9090, "newport", "SCTP")])
    policy = b.policy(ingress=[b.from_(ports=[b.port("newport", protocol)])])

    assert answer == to_server(server, policy, port=9090, protocol=protocol)


def test_netpol_analyzer_412_unmatched_name_beside_others() -> None:
    """np-guard/netpol-analyzer#412: a name that resolves to nothing is not dropped, which would open the rule."""
    rule = b.from_(ports=[b.port("nowhere")])
    verdict = ask([SERVER, CLIENT, b.policy(ingress=[rule])], "shop/client", "eem/server")

    assert word(verdict) == "denied"
    assert [item.outcome for item in verdict.ingress.rules] == [Outcome.UNRESOLVED_PORT]
    assert to_server(b.policy(ingress=[rule, b.from_(ports=[b.port(3000)])])) == "allowed"


def test_netpol_analyzer_199_unresolvable_name_is_no_error() -> None:
    """np-guard/netpol-analyzer#199: a name that no container has allows nothing, and raises nothing."""
    policy = policy_of(ingress=[b.from_(ports=[b.port("nowhere")])])
    pod = ClusterSnapshot.from_objects([SERVER]).state("eem").pods["server"]

    assert not admitted([policy], pod, Protocol.TCP, 3000).terms
    assert to_server(b.policy(ingress=[b.from_(ports=[b.port("nowhere")])])) == "denied"


@pytest.mark.parametrize(("pod", "answer"), [("server", "allowed"), ("labelled", "denied")])
def test_netpol_analyzer_one_pod_stands_for_its_owner(pod: str, answer: str) -> None:
    """np-guard/netpol-analyzer deduplicates pods by owner: two pods of one owner may have different labels."""
    owner = b.owner("ReplicaSet", "web")
    pods = [b.pod("server", owners=[owner]), b.pod("labelled", labels={"debug": "on"}, owners=[owner])]
    policy = b.policy(pod_selector=b.selector(b.expression("debug", "Exists")))

    assert answer == word(ask([*pods, CLIENT, policy], "shop/client", f"eem/{pod}"))


@pytest.mark.parametrize(
    ("source", "answer"),
    [
        pytest.param("10.0.0.1", "allowed", id="in the wide block"),
        pytest.param("10.1.0.1", "denied", id="in its exception"),
        pytest.param("10.1.2.1", "allowed", id="admitted again by a narrow block of another policy"),
        pytest.param("10.1.2.129", "denied", id="in that one's exception"),
        pytest.param("10.2.0.1", "allowed", id="behind the exception"),
        pytest.param("11.0.0.1", "denied", id="outside"),
    ],
)
def test_network_config_analyzer_205_overlapping_blocks(source: str, answer: str) -> None:
    """np-guard/network-config-analyzer#205: blocks and exceptions of several policies overlap."""
    policies = [
        b.policy("wide", ingress=[b.from_(b.block("10.0.0.0/8", "10.1.0.0/16"))]),
        b.policy("narrow", ingress=[b.from_(b.block("10.1.2.0/24", "10.1.2.128/25"))]),
    ]
    snapshot = ClusterSnapshot.from_objects([SERVER, *policies])
    state = snapshot.state("eem")
    who = admitted(state.sorted_policies(), state.pods["server"], Protocol.TCP, 3000)

    assert answer == to_server(*policies, source=source)
    assert holds(who.block(4), address_of(source)[1]) is (answer == "allowed")


def test_cyclonus_132_many_ports() -> None:
    """mattfenwick/cyclonus#132: thousands of port entries cost their number, and no power of it."""
    entries = [b.port(number, protocol) for number in range(2, 60_000, 20) for protocol in ("TCP", "UDP", "SCTP")]
    policies = [b.policy(f"p{index}", ingress=[b.from_(ports=entries)]) for index in range(4)]

    assert to_server(*policies, port=2) == "allowed"
    assert to_server(*policies, port=3) == "denied"


@pytest.mark.parametrize("policy_types", [None, []], ids=["missing", "empty"])
def test_cyclonus_undefaulted_policy_types(policy_types: list[str] | None) -> None:
    """mattfenwick/cyclonus BuildTarget: a policy without defaulting has no policyTypes."""
    assert policy_of(policy_types=policy_types).policy_types == {PolicyType.INGRESS}
    assert policy_of(policy_types=policy_types, egress=[{}]).policy_types == set(PolicyType)


@pytest.mark.parametrize(("team", "answer"), [("a", "denied"), ("b", "denied"), ("c", "allowed"), (None, "allowed")])
def test_azure_npm_4866_not_in_with_two_values(team: str | None, answer: str) -> None:
    """Azure/azure-container-networking#4866: NotIn [a, b] is neither a nor b, not "not a, or not b"."""
    shop = b.namespace("shop", labels=None if team is None else {"team": team})
    policy = b.policy(ingress=[b.from_(b.peer(namespaces=not_in("team", "a", "b")))])

    assert answer == to_server(shop, policy)


@pytest.mark.parametrize("source", ["203.0.113.7", "192.168.0.2", "shop/agent"])
@pytest.mark.parametrize(
    "selector",
    [not_in("team", "a"), b.selector(b.expression("team", "DoesNotExist")), {}],
    ids=["NotIn", "absent", "{}"],
)
def test_cilium_46996_not_in_is_about_namespaces_only(selector: b.Node, source: str) -> None:
    """cilium/cilium#46996: what has no namespace is not in "every namespace but a": hosts and the world are not."""
    agent = b.pod("agent", "shop", ips=["192.168.0.3"], node="n3", host_network=True)

    assert to_server(agent, b.policy(ingress=[b.from_(b.peer(namespaces=selector))]), source=source) == "denied"


@pytest.mark.parametrize(("value", "answer"), [("client", "denied"), ("other", "allowed")])
def test_linkerd_9433_not_in_is_not_in(value: str, answer: str) -> None:
    """linkerd/linkerd2#9433: NotIn is not In."""
    peer = b.peer(namespaces={}, pods=not_in("app", value))

    assert answer == to_server(b.policy(ingress=[b.from_(peer)]))


@pytest.mark.parametrize(
    ("selector", "answer"),
    [
        pytest.param(is_in("app", "web", "client"), "allowed", id="the second value"),
        pytest.param(is_in("app", "client", "web"), "allowed", id="the first value"),
        pytest.param(is_in("app", "web", "db"), "denied", id="neither"),
        pytest.param(
            b.selector(b.expression("app", "Exists"), b.expression("tier", "Exists")),
            "denied",
            id="the second expression",
        ),
    ],
)
def test_kube_router_614_match_expressions_count(selector: b.Node, answer: str) -> None:
    """cloudnativelabs/kube-router#614, Azure/AKS#2006, kubectl-np-viewer#9, popeye#153: every expression and value."""
    assert answer == to_server(b.policy(ingress=[b.from_(b.peer(namespaces={}, pods=selector))]))


@pytest.mark.parametrize(
    ("peer", "answer"),
    [
        pytest.param(
            b.peer(pods=b.selector(app="client"), namespaces=b.selector(team="b")), "allowed", id="both match"
        ),
        pytest.param(b.peer(pods=b.selector(app="client"), namespaces=b.selector(team="a")), "denied", id="pod only"),
        pytest.param(b.peer(pods=WEB, namespaces=b.selector(team="b")), "denied", id="namespace only"),
    ],
)
def test_popeye_116_both_selectors_in_another_namespace(peer: b.Node, answer: str) -> None:
    """derailed/popeye#116: a peer with both selectors looks for the pod in the namespaces, not in its own."""
    assert answer == to_server(b.policy(ingress=[b.from_(peer)]))


@pytest.mark.parametrize("peer", [b.peer(namespaces={}), b.peer(pods={}, namespaces={})], ids=["namespaces", "both"])
def test_popeye_259_an_empty_selector_is_everything(peer: b.Node) -> None:
    """derailed/popeye#259: an empty selector selects everything, not nothing."""
    assert to_server(b.policy(ingress=[b.from_(peer)])) == "allowed"
    assert to_server(b.policy(pod_selector={})) == "denied"


@pytest.mark.parametrize(
    ("selector", "answer"),
    [
        (is_in("app", "web", "api"), "denied"),
        (not_in("app", "web"), "allowed"),
        (b.selector(b.expression("app", "Exists")), "denied"),
        (b.selector(b.expression("app", "DoesNotExist")), "allowed"),
    ],
    ids=["In", "NotIn", "Exists", "DoesNotExist"],
)
def test_checkov_7668_match_expressions_of_the_pod_selector(selector: b.Node, answer: str) -> None:
    """bridgecrewio/checkov#7668: matchExpressions decide which pods a policy selects, too."""
    assert answer == to_server(b.policy(pod_selector=selector))


@pytest.mark.parametrize(("port", "answer"), [(3000, "allowed"), (3001, "allowed"), (3002, "denied")])
def test_cilium_30003_one_port_name_in_two_containers(port: int, answer: str) -> None:
    """cilium/cilium#30003: a name stands for the ports of all containers that have it."""
    containers = [b.container(b.container_port(number, "ui"), name=f"c{number}") for number in (3000, 3001)]
    policy = b.policy(ingress=[b.from_(ports=[b.port("ui")])])

    assert answer == to_server(b.pod("server", containers=containers), policy, port=port)


@pytest.mark.parametrize(("setting", "answer"), [("yes", "allowed"), ("no", "denied"), ("unknown", "undecided")])
def test_calico_6634_cilium_9209_blocks_and_pods(setting: IPBlockMatchesPods, answer: str) -> None:
    """projectcalico/calico#6634 and cilium/cilium#9209: an ipBlock matches pods on one plugin, not on the other."""
    policy = b.policy(ingress=[b.from_(b.block("10.244.0.0/16"))])
    universe = Universe(ipblock_matches_pods=setting)
    lost = lost_from_anywhere(EVERYONE, sources_of(b.block("0.0.0.0/0")), universe, Answers())

    assert answer == to_server(policy, ipblock_matches_pods=setting)
    assert {"yes": None, "no": True, "unknown": False}[setting] is (lost and lost.decided)


def test_kube_network_policies_389_host_network_subjects() -> None:
    """kubernetes-sigs/kube-network-policies#380, #389: pods on their node's network are no subjects of policies."""
    host = b.pod("server", labels={"app": "web"}, host_network=True, node="n1")
    verdict = ask([host, CLIENT, b.policy(policy_types=["Ingress", "Egress"])], "shop/client", "eem/server")

    assert verdict.allowed
    assert verdict.ingress.reason is Reason.HOST_NETWORK


@pytest.mark.parametrize(
    "spec",
    [
        {"ingress": [{}]},
        {"podSelector": None, "ingress": [{}]},
        {"podSelector": {}, "policyTypes": ["Egress"], "ingress": [{}]},
        {"podSelector": {}, "policyTypes": ["Ingress"], "egress": [{}], "ingress": [{}]},
    ],
    ids=["no podSelector", "null podSelector", "ingress, but no Ingress", "egress, but no Egress"],
)
def test_network_config_analyzer_refuses_what_the_api_accepts(spec: b.Node) -> None:
    """np-guard/network-config-analyzer refuses a policy without podSelector, or with a section that is inert."""
    api_object = {**b.policy(), "spec": spec}

    assert faults_of(api_object) == []
    assert to_server(api_object) == "allowed"


def test_yaml_booleans_are_no_labels() -> None:
    """Any reader of YAML 1.1: `on: yes` without quotes is no label, and is never read as one of the word True."""
    with pytest.raises(SpecError) as raised:
        parse_policy(b.policy(pod_selector={"matchLabels": {"on": True}}))
    with pytest.raises(SpecError) as raised_key:
        parse_policy(b.policy(pod_selector={"matchLabels": {True: "yes"}}))

    assert [fault.field for fault in raised.value.faults] == ["spec.podSelector.matchLabels[on]"]
    assert [fault.field for fault in raised_key.value.faults] == ["spec.podSelector.matchLabels"]
    assert policy_of(pod_selector=b.selector(on="yes")).pod_selector.requirements[0].values == {"yes"}


def test_kubernetes_cidr_families_do_not_mix() -> None:
    """0.0.0.0/0 is all of IPv4 and none of IPv6."""
    family, number = address_of("2001:db8::1")

    assert block_of("0.0.0.0/0").cidr == WHOLE[4][0]
    assert peer_matches(block_of("0.0.0.0/0"), Address(family=family, number=number), "yes") is False
