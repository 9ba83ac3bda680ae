"""What the parts of a policy match: pods by selectors, ports by number and name, and the ends of a connection."""

from typing import Any

import builders as b
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netpol.asking import peer_of, pod_of, policy_of, port_of, rule_of
from webhook.netpol.intervals import address_of
from webhook.netpol.matching import (
    Address,
    Endpoint,
    PodEndpoint,
    peer_matches,
    rule_covers,
    selecting,
    selects,
    unresolved_names,
)
from webhook.netpol.model import (
    ContainerPort,
    NamedPort,
    NetworkPolicyPort,
    PolicyRule,
    PolicyType,
    PortRange,
    Protocol,
    Unreadable,
)
from webhook.netpol.sources.universe import IPBlockMatchesPods

WEB = b.selector(app="web")


@pytest.mark.parametrize(
    ("policy", "pod", "directions"),
    [
        pytest.param({}, {}, {"Ingress"}, id="an empty selector selects every pod of the namespace"),
        pytest.param({"pod_selector": WEB}, {"labels": {"app": "web", "a": "b"}}, {"Ingress"}, id="labels that match"),
        pytest.param({"pod_selector": WEB}, {"labels": {"app": "db"}}, set(), id="labels that do not"),
        pytest.param({"pod_selector": WEB}, {}, set(), id="no labels"),
        pytest.param({"namespace": "shop"}, {}, set(), id="a policy of another namespace"),
        pytest.param({}, {"host_network": True}, set(), id="a pod on its node's network is never selected"),
        pytest.param({"policy_types": ["Egress"]}, {}, {"Egress"}, id="Egress alone does not isolate for ingress"),
        pytest.param(
            {"policy_types": ["Egress"], "ingress": []}, {}, {"Egress"}, id="nor with an ingress section beside it"
        ),
        pytest.param({"policy_types": ["Ingress"], "egress": []}, {}, {"Ingress"}, id="nor the other way round"),
        pytest.param({"policy_types": ["Ingress", "Egress"]}, {}, {"Ingress", "Egress"}, id="both directions"),
        pytest.param({"egress": [{}]}, {}, {"Ingress", "Egress"}, id="both where only an egress rule is written"),
        pytest.param({"ingress": [{}]}, {}, {"Ingress"}, id="a policy that admits everyone still isolates"),
        pytest.param(
            {"ingress": [b.from_(ports=[b.port(1, "SCTP")])]}, {}, {"Ingress"}, id="so does one for SCTP only"
        ),
        pytest.param({"terminating": True}, {}, {"Ingress"}, id="a terminating policy isolates"),
    ],
)
def test_what_a_policy_selects(policy: dict[str, Any], pod: dict[str, Any], directions: set[str]) -> None:
    """A policy isolates the pods that it selects, in each direction that it restricts."""
    one, subject = policy_of(**policy), pod_of(**pod)

    assert directions == {each.value for each in PolicyType if selects(one, subject, each)}


def test_all_that_select_a_pod() -> None:
    """Every policy that selects the pod isolates it, in the order given."""
    policies = [
        policy_of("c"),
        policy_of("a"),
        policy_of("b", pod_selector=WEB),
        policy_of("d", policy_types=["Egress"]),
    ]

    assert [policy.name for policy in selecting(policies, pod_of(), PolicyType.INGRESS)] == ["c", "a"]
    assert [policy.name for policy in selecting(policies, pod_of(), PolicyType.EGRESS)] == ["d"]


def test_no_policy_selects_a_pod_of_a_namespace_without_policies() -> None:
    """A pod that no policy selects is not isolated."""
    assert selecting([], pod_of(), PolicyType.INGRESS) == ()


# Ports

TCP, UDP, SCTP = Protocol.TCP, Protocol.UDP, Protocol.SCTP
POD = pod_of(
    containers=[
        b.container(b.container_port(3000, "ui"), b.container_port(53, "dns", "UDP"), b.container_port(53, "dns-tcp")),
        b.container(b.container_port(3001, "ui"), b.container_port(3000, "ui-sctp", "SCTP"), name="second"),
    ]
)
NUMBERS = st.integers(1, 4)
ENTRIES = st.builds(PortRange, protocol=st.sampled_from(Protocol), first=NUMBERS, last=NUMBERS) | st.builds(
    NamedPort, protocol=st.sampled_from(Protocol), name=st.sampled_from("abc")
)
NAMED = st.builds(ContainerPort, name=st.sampled_from("ab"), protocol=st.sampled_from(Protocol), number=NUMBERS)


def rule_on(*entries: NetworkPolicyPort) -> PolicyRule:
    """Return a rule without peers for these ports."""
    return PolicyRule(peers=None, ports=entries)


@pytest.mark.parametrize(
    ("ports", "protocol", "port"),
    [
        pytest.param(None, TCP, 3000, id="missing: every port"),
        pytest.param(None, SCTP, 1, id="missing: every protocol"),
        pytest.param([], UDP, 65535, id="empty: every port of every protocol"),
        pytest.param([{}], TCP, 1, id="an empty entry: the first TCP port"),
        pytest.param([{}], TCP, 65535, id="an empty entry: the last TCP port"),
        pytest.param([b.port(protocol="UDP")], UDP, 53, id="a protocol alone: its every port"),
        pytest.param([b.port(3000)], TCP, 3000, id="a number, TCP by default"),
        pytest.param([b.port(3000, end=3010)], TCP, 3000, id="the first of a range"),
        pytest.param([b.port(3000, end=3010)], TCP, 3010, id="the last of a range"),
        pytest.param([b.port(1), b.port(3000)], TCP, 3000, id="entries are ORed"),
        pytest.param([b.port("ui")], TCP, 3000, id="a name, in the first container that has it"),
        pytest.param([b.port("ui")], TCP, 3001, id="and in the second one: all count"),
        pytest.param([b.port("dns", "UDP")], UDP, 53, id="a name of that protocol"),
        pytest.param([b.port("nowhere"), b.port(3000)], TCP, 3000, id="beside a name that nobody has"),
    ],
)
def test_ports_that_are_covered(ports: Any, protocol: Protocol, port: int) -> None:
    """The rule speaks of this port of the pod."""
    assert rule_covers(rule_of({"ports": ports}), POD.ports, protocol, port) is True


@pytest.mark.parametrize(
    ("ports", "protocol", "port"),
    [
        pytest.param([{}], UDP, 53, id="an empty entry: no UDP port"),
        pytest.param([b.port(3000)], UDP, 3000, id="the number, but another protocol"),
        pytest.param([b.port(3000)], TCP, 3001, id="another number"),
        pytest.param([b.port(3000, end=3010)], TCP, 2999, id="below a range"),
        pytest.param([b.port(3000, end=3010)], TCP, 3011, id="above a range"),
        pytest.param([b.port("ui")], TCP, 8080, id="the name has another number"),
        pytest.param([b.port("ui", "UDP")], UDP, 3000, id="the name has another protocol"),
        pytest.param([b.port("ui", "UDP")], TCP, 3000, id="the name is right, but the entry is about UDP"),
        pytest.param([b.port("dns")], TCP, 53, id="a UDP name in a TCP entry"),
        pytest.param([b.port("dns", "UDP")], TCP, 53, id="a UDP name, asked about TCP"),
        pytest.param([b.port("nowhere")], TCP, 3000, id="a name that nobody has covers nothing"),
        pytest.param([b.port("UI".lower() + "x")], TCP, 3000, id="a longer name"),
        pytest.param([b.port(3000, "SCTP")], TCP, 3000, id="SCTP only"),
    ],
)
def test_ports_that_are_not(ports: Any, protocol: Protocol, port: int) -> None:
    """The rule does not speak of this port of the pod."""
    assert rule_covers(rule_of({"ports": ports}), POD.ports, protocol, port) is False


@pytest.mark.parametrize(
    ("ports", "covered"),
    [
        pytest.param([b.port(0)], None, id="alone: not decided"),
        pytest.param([b.port(0), b.port(80)], None, id="beside an entry for another port: not decided"),
        pytest.param([b.port(0), b.port(3000)], True, id="before an entry for the port: covered"),
        pytest.param([b.port(3000), b.port(0)], True, id="behind it: covered"),
        pytest.param("all", None, id="a list that is none: not decided"),
    ],
)
def test_an_unreadable_entry(ports: Any, covered: object) -> None:
    """An entry that cannot be read is never a yes, and never hides one."""
    assert covered is rule_covers(rule_of({"ports": ports}), POD.ports, TCP, 3000)


@pytest.mark.parametrize(
    ("ports", "names"),
    [
        pytest.param(None, (), id="no ports"),
        pytest.param([b.port(3000), b.port("ui")], (), id="all are known"),
        pytest.param([b.port("nowhere"), b.port("ui")], ("nowhere",), id="nobody has the name"),
        pytest.param([b.port("ui", "UDP")], ("ui",), id="nobody has it for that protocol"),
    ],
)
def test_names_that_do_not_resolve(ports: Any, names: tuple[str, ...]) -> None:
    """A name resolves where a container of the pod has it for the same protocol."""
    assert names == unresolved_names(rule_of({"ports": ports}).ports, POD.ports)


@given(st.lists(ENTRIES, min_size=1, max_size=4), st.lists(NAMED, max_size=4), st.sampled_from(Protocol), NUMBERS)
def test_a_rule_is_the_union_of_its_entries(
    entries: list[PortRange | NamedPort], named: list[ContainerPort], protocol: Protocol, port: int
) -> None:
    """A rule covers a port where an entry does; order and number of the containers do not matter."""
    rule = rule_on(*entries)
    turned = rule_on(*reversed(entries))

    covered = any(rule_covers(rule_on(entry), named, protocol, port) for entry in entries)

    assert covered is rule_covers(rule, named, protocol, port)
    assert rule_covers(turned, named[::-1] * 2, protocol, port) is rule_covers(rule, named, protocol, port)


@given(ENTRIES, st.lists(NAMED, max_size=4), st.sampled_from(Protocol), NUMBERS)
def test_an_entry_covers_its_own_protocol_only(
    entry: PortRange | NamedPort, named: list[ContainerPort], protocol: Protocol, port: int
) -> None:
    """What an entry covers has the entry's protocol."""
    assert entry.protocol is protocol or not rule_covers(rule_on(entry), named, protocol, port)


def test_the_unreadable_entry_is_what_it_is() -> None:
    """Port zero, which these tests take for unreadable, is."""
    assert isinstance(port_of(b.port(0)), Unreadable)


# Peers

TEAM_A = b.selector(team="a")


def a_pod(namespace: str = "eem", team: str | None = None, **fields: Any) -> PodEndpoint:
    labels = {b.NAME_LABEL: namespace, **({"team": team} if team else {})}
    return PodEndpoint(pod=pod_of("peer", namespace, **fields), namespace_labels=labels)


def an_address(text: str) -> Address:
    family, number = address_of(text)
    return Address(family=family, number=number)


@pytest.mark.parametrize(
    ("peer", "end"),
    [
        pytest.param(b.peer(pods={}), a_pod(), id="podSelector {}: a pod of the own namespace"),
        pytest.param(b.peer(pods=WEB), a_pod(labels={"app": "web"}), id="podSelector: labels that match"),
        pytest.param(b.peer(namespaces={}), a_pod(), id="namespaceSelector {}: a pod of the own namespace"),
        pytest.param(b.peer(namespaces={}), a_pod("shop"), id="namespaceSelector {}: a pod of another one"),
        pytest.param(b.peer(namespaces=TEAM_A), a_pod("shop", "a"), id="namespaceSelector: labels that match"),
        pytest.param(
            b.peer(namespaces=b.selector(**{b.NAME_LABEL: "shop"})), a_pod("shop"), id="a namespace by its name label"
        ),
        pytest.param(
            b.peer(pods=WEB, namespaces=TEAM_A), a_pod("shop", "a", labels={"app": "web"}), id="both selectors match"
        ),
        pytest.param(
            b.peer(pods={}, namespaces=b.selector(b.expression("team", "NotIn", "a", "b"))),
            a_pod("shop"),
            id="NotIn: a namespace without the label",
        ),
    ],
)
def test_pods_that_a_peer_matches(peer: b.Node, end: Endpoint) -> None:
    """This peer, in a policy of the namespace eem, matches this pod."""
    assert peer_matches(peer_of(peer), end, "unknown") is True


@pytest.mark.parametrize(
    ("peer", "end"),
    [
        pytest.param(b.peer(pods={}), a_pod("shop"), id="podSelector {}: a pod of another namespace"),
        pytest.param(b.peer(pods=WEB), a_pod("shop", labels={"app": "web"}), id="podSelector: in another namespace"),
        pytest.param(b.peer(pods=WEB), a_pod(labels={"app": "db"}), id="podSelector: other labels"),
        pytest.param(b.peer(namespaces=TEAM_A), a_pod("shop", "b"), id="namespaceSelector: another value"),
        pytest.param(
            b.peer(namespaces=TEAM_A), a_pod(labels={"team": "a"}), id="a pod's labels are not its namespace's"
        ),
        pytest.param(b.peer(pods=b.selector(team="a")), a_pod(team="a"), id="nor the other way round"),
        pytest.param(
            b.peer(pods=WEB, namespaces=TEAM_A), a_pod("shop", "a", labels={"app": "db"}), id="both: only the namespace"
        ),
        pytest.param(
            b.peer(pods=WEB, namespaces=TEAM_A), a_pod("shop", "b", labels={"app": "web"}), id="both: only the pod"
        ),
        pytest.param(
            b.peer(pods={}, namespaces=b.selector(b.expression("team", "NotIn", "a", "b"))),
            a_pod("shop", "b"),
            id="NotIn: the second value",
        ),
        *(
            pytest.param(peer, end, id=f"{name}: {what}")
            for peer, name in (
                (b.peer(pods={}), "podSelector {}"),
                (b.peer(namespaces={}), "namespaceSelector {}"),
                (b.peer(pods={}, namespaces={}), "both {}"),
                (b.peer(namespaces=b.selector(b.expression("team", "NotIn", "a"))), "NotIn"),
                (b.peer(namespaces=b.selector(b.expression("team", "DoesNotExist"))), "DoesNotExist"),
            )
            for end, what in (
                (an_address("203.0.113.7"), "no address outside"),
                (a_pod(host_network=True, ips=["192.168.0.1"]), "no pod on its node's network"),
            )
        ),
    ],
)
def test_ends_that_it_does_not(peer: b.Node, end: Endpoint) -> None:
    """This peer, in a policy of the namespace eem, does not match this end, whatever the plugin."""
    for setting in ("yes", "no", "unknown"):
        assert peer_matches(peer_of(peer), end, setting) is False


@pytest.mark.parametrize(
    ("block", "text", "is_matched"),
    [
        pytest.param(b.block("203.0.113.0/24"), "203.0.113.0", True, id="the first address"),
        pytest.param(b.block("203.0.113.0/24"), "203.0.113.255", True, id="the last address"),
        pytest.param(b.block("203.0.113.0/24"), "203.0.114.0", False, id="one above"),
        pytest.param(b.block("203.0.113.0/24"), "203.0.112.255", False, id="one below"),
        pytest.param(b.block("203.0.113.0/24", "203.0.113.8/29"), "203.0.113.8", False, id="the first exception"),
        pytest.param(b.block("203.0.113.0/24", "203.0.113.8/29"), "203.0.113.15", False, id="the last exception"),
        pytest.param(b.block("203.0.113.0/24", "203.0.113.8/29"), "203.0.113.16", True, id="behind the exception"),
        pytest.param(b.block("0.0.0.0/0"), "2001:db8::1", False, id="0.0.0.0/0 holds no IPv6"),
        pytest.param(b.block("::/0"), "203.0.113.7", False, id="::/0 holds no IPv4"),
        pytest.param(b.block("::/0"), "::203.0.113.7", True, id="an IPv4-compatible address is IPv6"),
        pytest.param(b.block("2001:db8::/32", "2001:db8:1::/48"), "2001:db8:1::1", False, id="an IPv6 exception"),
    ],
)
def test_blocks_and_addresses(block: b.Node, text: str, is_matched: bool) -> None:  # noqa: FBT001  a column
    """An ipBlock matches the addresses of its CIDR except its exceptions, on every plugin."""
    for setting in ("yes", "no", "unknown"):
        assert is_matched is peer_matches(peer_of(block), an_address(text), setting)


INSIDE = a_pod(ips=["10.244.0.7"])
OUTSIDE = a_pod(ips=["10.9.0.7"])
BOTH_FAMILIES = a_pod(ips=["10.9.0.7", "fd00::7"])
WITHOUT = a_pod()
HOST = a_pod(host_network=True, ips=["10.244.0.7"])


@pytest.mark.parametrize(
    ("block", "end", "answers"),
    [
        pytest.param(
            b.block("10.244.0.0/16"), INSIDE, (True, False, None), id="its address is inside: as the plugin does"
        ),
        pytest.param(b.block("10.244.0.0/16"), OUTSIDE, (False, False, False), id="its address is outside: no"),
        pytest.param(
            b.block("10.244.0.0/16", "10.244.0.0/24"), INSIDE, (False, False, False), id="it is in the exception: no"
        ),
        pytest.param(b.block("fd00::/8"), BOTH_FAMILIES, (True, False, None), id="its second address counts"),
        pytest.param(b.block("10.244.0.0/16"), WITHOUT, (None, False, None), id="it has no address yet: not known"),
        pytest.param(b.block("0.0.0.0/0"), WITHOUT, (True, False, None), id="no address yet, but every one is inside"),
        pytest.param(
            b.block("0.0.0.0/0", "10.0.0.0/8"),
            WITHOUT,
            (None, False, None),
            id="no address yet, and there are exceptions",
        ),
        pytest.param(b.block("10.244.0.0/16"), HOST, (True, True, True), id="on its node's network it is an address"),
        pytest.param(b.block("10.1.0.0/16"), HOST, (False, False, False), id="and may be outside"),
    ],
)
def test_blocks_and_pods(block: b.Node, end: Endpoint, answers: tuple[bool | None, ...]) -> None:
    """Whether an ipBlock matches a pod on the pod network differs between plugins: yes, no, not known."""
    settings: tuple[IPBlockMatchesPods, ...] = ("yes", "no", "unknown")

    assert answers == tuple(peer_matches(peer_of(block), end, setting) for setting in settings)


@pytest.mark.parametrize("end", [INSIDE, HOST, an_address("203.0.113.7")], ids=["a pod", "a node's pod", "an address"])
def test_an_unreadable_peer(end: Endpoint) -> None:
    """A peer that cannot be read may match any end."""
    assert peer_matches(peer_of({}), end, "no") is None
