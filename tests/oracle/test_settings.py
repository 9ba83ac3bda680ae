"""Every combination of what the guard may be told about a cluster, with every sort of source among the rules."""

from itertools import product

import pytest

from oracle.generate import Pair
from oracle.naive import Change, Settings
from oracle.plans import OWN_NAMESPACE, policy
from oracle.product import compare
from oracle.semantics import NAME_LABEL
from oracle.vocabulary import Node

PODS_IPV4, PODS_IPV6 = "10.244.0.0/16", "fd00:10:244::/48"
OWN_PODS: Node = {"podSelector": {}}
EVERY_POD: Node = {"namespaceSelector": {}}
OWN_BY_NAME: Node = {"namespaceSelector": {"matchLabels": {NAME_LABEL: OWN_NAMESPACE}}}
OTHERS_BY_NAME: Node = {
    "namespaceSelector": {"matchExpressions": [{"key": NAME_LABEL, "operator": "NotIn", "values": [OWN_NAMESPACE]}]}
}
TO_COME: Node = {
    "namespaceSelector": {"matchLabels": {"team": "later"}},
    "podSelector": {"matchLabels": {"app": "new"}},
}


def blocks(*cidrs: str, **except_: list[str]) -> list[Node]:
    return [{"ipBlock": {"cidr": cidr, **except_}} for cidr in cidrs]


PEERS: dict[str, list[Node]] = {
    "everyone": [],
    "every pod and every address": [EVERY_POD, *blocks("0.0.0.0/0", "::/0")],
    "every pod and IPv4": [EVERY_POD, *blocks("0.0.0.0/0")],
    "every pod and IPv6": [EVERY_POD, *blocks("::/0")],
    "the own namespace and all others by name, every address": [
        OWN_PODS,
        OTHERS_BY_NAME,
        *blocks("0.0.0.0/0", "::/0"),
    ],
    "the own namespace by name": [OWN_BY_NAME],
    "pods that may come": [TO_COME],
    "every address": blocks("0.0.0.0/0", "::/0"),
    "addresses but the pods'": [
        EVERY_POD,
        *blocks("0.0.0.0/0", **{"except": [PODS_IPV4]}),
        *blocks("::/0", **{"except": [PODS_IPV6]}),
    ],
    "pods by their addresses": blocks(PODS_IPV4, PODS_IPV6),
    "half of the pods by their addresses": blocks("10.244.0.0/17", "fd00:10:244::/49"),
    "an office": blocks("203.0.113.0/24", "2001:db8::/32"),
    "loopback": blocks("127.0.0.0/8", "::1/128"),
}
BEFORE = (
    "everyone",
    "every pod and every address",
    "pods that may come",
    "every address",
    "pods by their addresses",
    "half of the pods by their addresses",
    "an office",
)
SEEN: dict[str, list[str]] = {
    "none": [],
    "both": ["10.244.7.7", "fd00:10:244::7"],
    "the other half": ["10.244.200.7", "fd00:10:244:8000::7"],
}


def pair(before: str, after: str, seen: str, settings: Settings) -> Pair:
    """Make an edit of an allow from some sources to others, in a cluster with pods at these addresses."""
    named = {"name": OWN_NAMESPACE, "labels": {NAME_LABEL: OWN_NAMESPACE}}
    addresses = [{"ip": text} for text in SEEN[seen]]
    meta = {"name": "web-0", "namespace": OWN_NAMESPACE, "labels": {"app": "web"}}
    old, new = (
        policy("subject", {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"from": PEERS[name]}]})
        for name in (before, after)
    )
    objects: list[Node] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": named},
        {
            "apiVersion": "events.ibm.com/v1beta1",
            "kind": "EventGateway",
            "metadata": {"name": "gw", "namespace": OWN_NAMESPACE},
            "spec": {},
        },
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": meta,
            "spec": {"containers": [{"name": "c"}]},
            "status": {"phase": "Running", "podIPs": addresses},
        },
        old,
    ]
    change = Change(operation="UPDATE", namespace=OWN_NAMESPACE, name="subject", object=new, old_object=old)
    return Pair(objects=objects, change=change, settings=settings)


@pytest.mark.parametrize("ipblock_matches_pods", ["yes", "no", "unknown"])
@pytest.mark.parametrize("families", [None, ("IPv4",), ("IPv6",), ("IPv4", "IPv6")])
@pytest.mark.parametrize("told", [False, True], ids=["pod ranges not told", "pod ranges told"])
@pytest.mark.parametrize("sources", ["anywhere", "some"])
def test_every_setting_with_every_sort_of_source(
    ipblock_matches_pods: str,
    families: tuple[str, ...] | None,
    told: bool,  # noqa: FBT001  a column of the table
    sources: str,
) -> None:
    """The product loses what the witness loses, as decided, for each edit from one sort of source to another."""
    differing = []
    for seen, before, after in product(SEEN, BEFORE, PEERS):
        in_use = families or (("IPv4", "IPv6") if len(SEEN[seen]) > 1 else ("IPv4",))
        ranges = {"IPv4": PODS_IPV4, "IPv6": PODS_IPV6}
        settings = Settings(
            sources=sources,
            ipblock_matches_pods=ipblock_matches_pods,
            pod_cidrs=tuple(ranges[family] for family in in_use) if told else (),
            ip_families=families,
        )
        found = compare(pair(before, after, seen, settings))
        if found is not None:
            differing.append((seen, before, after, found))

    assert differing == []
