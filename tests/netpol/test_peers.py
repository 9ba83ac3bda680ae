"""Which peers match which ends: pods by their labels, addresses by their number, and what depends on the plugin."""

from typing import Any

import builders as b
import pytest

from netpol.asking import peer_of, pod_of
from webhook.netpol.intervals import address_of
from webhook.netpol.peers import Address, Endpoint, PodEndpoint, peer_matches
from webhook.netpol.universe import IPBlockMatchesPods

WEB = b.selector(app="web")
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
    """An ipBlock matches the addresses of its CIDR but for its exceptions, whatever the plugin."""
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
