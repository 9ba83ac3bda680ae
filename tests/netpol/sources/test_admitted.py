"""Who may connect, as a set: the union of what all selecting policies admit to the port."""

from typing import Any

import builders as b
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netpol.asking import block_of, peer_of, pod_of, policy_of, rule_of, sources_of, term_of_peer, tolerated
from webhook.netpol.intervals import address_of, holds, network, subtract
from webhook.netpol.matching import Address, PodEndpoint, peer_matches
from webhook.netpol.model import IPBlock, Protocol
from webhook.netpol.sources.admitted import admitted
from webhook.netpol.sources.source_set import EVERYONE, NO_SOURCES, Sources, union_of
from webhook.netpol.sources.terms import EVERY_POD, admits

POD = pod_of(labels={"app": "web"}, ports=[b.container_port(3000, "ui")])
EVERY = sources_of(b.peer(namespaces={}))


def who(*policies: Any, port: int = 3000, protocol: Protocol = Protocol.TCP) -> Sources:
    return admitted(policies, POD, protocol, port)


@pytest.mark.parametrize(
    ("policies", "sources"),
    [
        pytest.param([], EVERYONE, id="no policy: everyone"),
        pytest.param([policy_of(namespace="shop")], EVERYONE, id="a policy elsewhere: everyone"),
        pytest.param([policy_of(policy_types=["Egress"])], EVERYONE, id="a policy for egress: everyone"),
        pytest.param([policy_of(pod_selector=b.selector(app="db"))], EVERYONE, id="a policy for others: everyone"),
        pytest.param([policy_of()], NO_SOURCES, id="no rule: nobody"),
        pytest.param([policy_of(ingress=[{}])], EVERYONE, id="an empty rule: everyone"),
        pytest.param([policy_of(), policy_of("b", ingress=[{}])], EVERYONE, id="policies add up"),
        pytest.param([policy_of(ingress=[b.from_(ports=[b.port(80)])])], NO_SOURCES, id="another port: nobody"),
        pytest.param(
            [policy_of(ingress=[b.from_(ports=[b.port("ui")])])], EVERYONE, id="a name that resolves: everyone"
        ),
        pytest.param(
            [policy_of(ingress=[b.from_(ports=[b.port("x")])])], NO_SOURCES, id="a name that does not: nobody"
        ),
        pytest.param([policy_of(ingress=[b.from_(b.peer(namespaces={}))])], EVERY, id="all pods: every pod"),
        pytest.param(
            [policy_of(ingress=[b.from_(b.peer(namespaces={})), b.from_(b.peer(pods={}), ports=[b.port(80)])])],
            EVERY,
            id="rules for the port alone count",
        ),
        pytest.param([policy_of(terminating=True, ingress=[{}])], NO_SOURCES, id="a terminating policy isolates only"),
        pytest.param(
            [policy_of(terminating=True, ingress=[{}]), policy_of("b", ingress=[b.from_(b.peer(namespaces={}))])],
            EVERY,
            id="and what others admit stays",
        ),
        pytest.param([tolerated(ingress=[{"from": [{}]}])], Sources(unreadable=True), id="an unreadable peer"),
        pytest.param([tolerated(ingress=[{"ports": [b.port(0)]}])], Sources(unreadable=True), id="an unreadable port"),
        pytest.param(
            [tolerated(ingress=[{"from": [{}], "ports": [b.port(80)]}])],
            NO_SOURCES,
            id="unreadable, but for another port",
        ),
        pytest.param([tolerated(ingress=[{"from": [{}]}, {}])], EVERYONE, id="unreadable beside a rule for everyone"),
        pytest.param(
            [tolerated(terminating=True, ingress=[{"from": [{}]}])], NO_SOURCES, id="unreadable in a terminating policy"
        ),
    ],
)
def test_who_is_admitted(policies: list[Any], sources: Sources) -> None:
    """These policies admit this set to TCP 3000."""
    assert sources == who(*policies)


def test_a_host_networked_pod_admits_everyone() -> None:
    """No policy isolates a pod on its node's network."""
    assert admitted([policy_of()], pod_of(host_network=True), Protocol.TCP, 3000) == EVERYONE


def test_another_protocol_is_another_question() -> None:
    """A rule for one protocol admits no source for another one."""
    policy = policy_of(ingress=[b.from_(ports=[b.port(3000, "SCTP")])])

    assert who(policy, protocol=Protocol.SCTP) == EVERYONE
    assert who(policy) == NO_SOURCES


def test_blocks_and_their_exceptions() -> None:
    """Exceptions are local to their block: what another block admits stays admitted."""
    sources = sources_of(
        b.block("10.0.0.0/8", "10.1.0.0/16", "10.2.0.0/16"), b.block("10.1.2.0/24"), b.block("::/0", "fd00::/8")
    )

    assert sources.block(4) == (
        *subtract((network("10.0.0.0/8")[1],), (network("10.1.0.0/16")[1],))[:1],
        network("10.1.2.0/24")[1],
        (address_of("10.3.0.0")[1], address_of("10.255.255.255")[1]),
    )
    assert sources.block(6) == subtract((network("::/0")[1],), (network("fd00::/8")[1],))
    assert sources.exceptions == (network("10.1.0.0/16"), network("10.2.0.0/16"), network("fd00::/8"))


@pytest.mark.parametrize(
    "block",
    [
        b.block("10.0.0.0/8", "10.0.0.0/9", "10.128.0.0/9"),
        {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/7"]}},
    ],
    ids=["in two halves", "at once"],
)
def test_a_block_that_is_all_exception(block: b.Node) -> None:
    """A block whose exceptions take everything away admits no address."""
    assert sources_of(block).blocks == ()


def test_peers_that_match_no_pod_are_not_there() -> None:
    """A selector that contradicts itself adds no source."""
    nobody = b.selector(b.expression("a", "Exists"), b.expression("a", "DoesNotExist"))

    assert sources_of(b.peer(pods=nobody)) == NO_SOURCES


# Laws

PEERS = st.one_of(
    st.builds(b.peer, pods=st.sampled_from([{}, b.selector(app="x"), b.selector(b.expression("app", "NotIn", "x"))])),
    st.builds(b.peer, namespaces=st.sampled_from([{}, b.selector(team="a")])),
    st.sampled_from(
        [
            b.block("10.0.0.0/8", "10.1.0.0/16"),
            b.block("10.1.0.0/24"),
            b.block("0.0.0.0/0", "10.0.0.0/7"),
            b.block("fd00::/8", "fd00::/16"),
        ]
    ),
)
RULES = st.lists(st.builds(lambda peers: b.from_(*peers), st.lists(PEERS, max_size=3)), max_size=3)
ADDRESSES = st.sampled_from(["10.1.0.1", "10.1.1.1", "10.2.0.1", "11.0.0.1", "12.0.0.1", "fd00::1", "fd01::1", "::1"])
PODS = st.builds(
    lambda labels, namespace: PodEndpoint(
        pod=pod_of("peer", namespace, labels=labels), namespace_labels={b.NAME_LABEL: namespace, "team": namespace}
    ),
    st.sampled_from([{}, {"app": "x"}, {"app": "y"}]),
    st.sampled_from(["eem", "a"]),
)


@given(RULES, ADDRESSES)
def test_addresses_are_admitted_as_by_each_peer(nodes: list[b.Node], text: str) -> None:
    """The set holds an address where a rule has no peers or one of its blocks matches it."""
    family, number = address_of(text)
    rules = [rule_of(node) for node in nodes]
    sources = union_of(rule.admits for rule in rules)
    address = Address(family=family, number=number)
    matched = any(
        rule.peers is None or any(peer_matches(peer, address, "unknown") for peer in rule.peers) for rule in rules
    )

    assert matched is (sources.everyone or holds(sources.block(family), number))


@given(RULES, PODS)
def test_pods_are_admitted_as_by_each_peer(nodes: list[b.Node], end: PodEndpoint) -> None:
    """The set holds a pod by its labels where a rule has no peers or one of its selectors matches it."""
    rules = [rule_of(node) for node in nodes]
    sources = union_of(rule.admits for rule in rules)
    matched = any(rule.peers is None or any(peer_matches(peer, end, "no") for peer in rule.peers) for rule in rules)

    assert matched is admits(sources.terms, end.namespace_labels, end.pod.labels)


@given(st.lists(RULES, max_size=3))
def test_a_union_of_sets_is_the_set_of_all_rules(parts: list[list[b.Node]]) -> None:
    """It does not matter whether rules are put together, or what they admit."""
    rules = [[rule_of(node) for node in part] for part in parts]
    together = union_of(union_of(rule.admits for rule in part) for part in rules)

    assert together == union_of(rule.admits for part in rules for rule in part)


@given(RULES)
def test_order_never_matters(nodes: list[b.Node]) -> None:
    """Rules and peers may stand in any order; only exceptions keep theirs."""
    one = union_of(rule_of(node).admits for node in nodes)
    turned = ({**node, "from": node["from"][::-1]} if "from" in node else node for node in nodes[::-1])
    two = union_of(rule_of(node).admits for node in turned)

    assert (one.everyone, one.terms, one.blocks) == (two.everyone, two.terms, two.blocks)
    assert sorted(one.exceptions) == sorted(two.exceptions)


def test_unions() -> None:
    """The union of one set is that set, of none it is empty; an unreadable part stays unless everyone is admitted."""
    unreadable = Sources(unreadable=True)

    assert union_of([EVERY]) is EVERY
    assert union_of([]) == NO_SOURCES
    assert union_of([EVERY, unreadable]).unreadable
    assert union_of([unreadable, EVERYONE]) == EVERYONE
    blocks = [sources_of(b.block("::/0")), sources_of(b.block("10.0.0.0/9")), sources_of(b.block("10.128.0.0/9"))]
    assert union_of(blocks) == sources_of(b.block("10.0.0.0/8"), b.block("::/0"))


def test_the_builders_make_what_they_say() -> None:
    """The peers of these tests are blocks and selectors."""
    assert isinstance(block_of("10.0.0.0/8"), IPBlock)
    assert term_of_peer(peer_of(b.peer(namespaces={}))) == EVERY_POD
