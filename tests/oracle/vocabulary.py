"""
The words that the generator makes policies of: selectors, peers, ports, blocks, kept few so that trying all is cheap.

At most two keys are mentioned for pods and two for namespaces. Values include what YAML 1.1 would turn into booleans.
"""

from random import Random
from typing import Any

from oracle.world import INSTANCE_LABEL, PRODUCT, PRODUCT_LABEL

Node = dict[str, Any]

NAME_LABEL = "kubernetes.io/metadata.name"
EVERY_PORT = (3000, 8081, 8092, 8443, 9094)
POD_KEYS = {"app": ("web", "db", "cache"), "on": ("yes", "true", "on")}
NAMESPACE_KEYS = {"team": ("a", "b", "c"), NAME_LABEL: ("eem", "shop", "bank", "later")}
IPV4_BLOCKS = (
    "0.0.0.0/0",
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.1.2.3/8",
    "10.244.0.0/16",
    "10.244.1.0/24",
    "10.200.0.0/13",
    "192.168.0.0/16",
    "203.0.113.0/24",
    "203.0.113.128/25",
    "0.0.0.0/1",
    "128.0.0.0/1",
    "127.0.0.0/8",
)
IPV6_BLOCKS = ("::/0", "::/0", "2001:db8::/32", "fd00::/8", "fd00:10:244::/48", "2000::/3", "fc00::/7")
EXCEPTIONS = {
    "0.0.0.0/0": ("10.0.0.0/8", "10.244.0.0/16", "192.168.0.0/16", "224.0.0.0/4", "0.0.0.0/4", "203.0.113.0/24"),
    "10.0.0.0/8": ("10.244.0.0/16", "10.128.0.0/9", "10.1.0.0/16"),
    "10.1.2.3/8": ("10.244.1.0/24", "10.9.9.9/16"),
    "0.0.0.0/1": ("10.0.0.0/8", "127.0.0.0/8"),
    "192.168.0.0/16": ("192.168.10.0/24",),
    "203.0.113.0/24": ("203.0.113.128/25", "203.0.113.7/32"),
    "::/0": ("fd00::/8", "2001:db8::/32", "fd00:10:244::/48", "ff00::/8", "2000::/4", "fc00::/7"),
    "2001:db8::/32": ("2001:db8:1::/48",),
    "fd00::/8": ("fd00:10:244::/48",),
}


def expression(rng: Random, key: str, values: tuple[str, ...]) -> Node:
    """Make one matchExpressions entry with any of the four operators."""
    operator = rng.choice(("In", "In", "NotIn", "NotIn", "Exists", "DoesNotExist"))
    if operator in {"Exists", "DoesNotExist"}:
        return {"key": key, "operator": operator}
    return {"key": key, "operator": operator, "values": rng.sample(values, rng.choice((1, 2, 2)))}


def selector(rng: Random, keys: dict[str, tuple[str, ...]]) -> Node:
    """Make a selector: empty, by label, by expression, or by both."""
    shape = rng.random()
    if shape < 0.22:
        return rng.choice(({}, {"matchLabels": {}}, {"matchLabels": None, "matchExpressions": []}))
    key = rng.choice(tuple(keys))
    if shape < 0.5:
        return {"matchLabels": {key: rng.choice(keys[key])}}
    made: Node = {"matchExpressions": [expression(rng, key, keys[key])]}
    if shape > 0.9:
        other = rng.choice(tuple(keys))
        made["matchLabels"] = {other: rng.choice(keys[other])}
    return made


def block(rng: Random, *, ipv6: bool) -> Node:
    """Make an ipBlock, with exceptions more often than not where it has any to offer."""
    cidr = rng.choice(IPV6_BLOCKS if ipv6 and rng.random() < 0.5 else IPV4_BLOCKS)
    offered = EXCEPTIONS.get(cidr, ())
    made: Node = {"cidr": cidr}
    if offered and rng.random() < 0.45:
        made["except"] = rng.sample(offered, rng.choice((1, 1, 2)) if len(offered) > 1 else 1)
    elif rng.random() < 0.2:
        made["except"] = rng.choice((None, []))
    return {"ipBlock": made}


def pod_peer(rng: Random) -> Node:
    """Make a peer of selectors: one of them, the other, or both."""
    shape = rng.random()
    if shape < 0.35:
        return {"podSelector": selector(rng, POD_KEYS)}
    if shape < 0.65:
        return {"namespaceSelector": selector(rng, NAMESPACE_KEYS)}
    return {"namespaceSelector": selector(rng, NAMESPACE_KEYS), "podSelector": selector(rng, POD_KEYS)}


def every_pod(rng: Random) -> list[Node]:
    """Make peers that together admit every pod, in one piece or in two."""
    key, values = rng.choice(tuple(NAMESPACE_KEYS.items()))
    some = {"key": key, "operator": "In", "values": list(values[:2])}
    none = {"key": key, "operator": "NotIn", "values": list(values[:2])}
    return rng.choice(
        (
            [{"namespaceSelector": {}}],
            [{"namespaceSelector": {}, "podSelector": {}}],
            [{"namespaceSelector": {"matchExpressions": [e]}} for e in (some, none)],
            [
                {"namespaceSelector": {}, "podSelector": {"matchExpressions": [{"key": "app", "operator": operator}]}}
                for operator in ("Exists", "DoesNotExist")
            ],
        )
    )


def every_address(rng: Random) -> list[Node]:
    """Make peers that together admit every address, in one piece or in several."""
    ipv4 = rng.choice(
        (
            ({"cidr": "0.0.0.0/0"},),
            ({"cidr": "0.0.0.0/1"}, {"cidr": "128.0.0.0/1"}),
            ({"cidr": "0.0.0.0/0", "except": ["10.244.0.0/16"]}, {"cidr": "10.0.0.0/8"}),
            ({"cidr": "0.0.0.0/0", "except": ["224.0.0.0/4", "127.0.0.0/8"]},),
        )
    )
    ipv6 = rng.choice((({"cidr": "::/0"},), ({"cidr": "2000::/3"}, {"cidr": "fc00::/7"}), ({"cidr": "::/0"},)))
    return [{"ipBlock": made} for made in (*ipv4, *ipv6)]


def peers(rng: Random, *, ipv6: bool) -> list[Node]:
    """Make the peers of a rule: a full set, or one short of something, or any few."""
    shape = rng.random()
    if shape < 0.6:
        made = every_pod(rng) + every_address(rng)
        for _ in range(rng.choice((0, 0, 1, 1, 2))):
            made.pop(rng.randrange(len(made)))
        return made or [pod_peer(rng)]
    return [block(rng, ipv6=ipv6) if rng.random() < 0.45 else pod_peer(rng) for _ in range(rng.choice((1, 2, 2, 3)))]


def ports(rng: Random, *, narrow: bool = False) -> list[Node] | None:
    """Make the ports of a rule: everything, the required ones (not if narrow), named ones, ranges, others."""
    shape = 1.0 if narrow else rng.random()
    if shape < 0.2:
        return rng.choice((None, []))
    if shape < 0.45:
        return [{"protocol": "TCP", "port": number} for number in EVERY_PORT]
    choices: tuple[Node, ...] = (
        {"protocol": "TCP"},
        {},
        {"port": 1, "endPort": 65535},
        {"port": 2999, "endPort": 8091},
        {"protocol": "TCP", "port": 8081, "endPort": 9094},
        {"port": "kafka-client"},
        {"port": "kafka-client", "protocol": "SCTP"},
        {"port": "kafka-client", "protocol": "UDP"},
        {"port": "ui", "protocol": "TCP"},
        {"port": "nobody-has"},
        {"protocol": "UDP", "port": rng.choice(EVERY_PORT)},
        {"protocol": "SCTP"},
        {"port": rng.choice(EVERY_PORT)},
        {"port": rng.choice(EVERY_PORT), "protocol": None},
    )
    return rng.sample(choices, rng.choice((1, 1, 2, 3)))


def rule(rng: Random, *, ipv6: bool, key: str = "from") -> Node:
    """Make a rule, with nothing where nothing means everything now and then."""
    made: Node = {}
    if rng.random() < 0.75:
        made[key] = peers(rng, ipv6=ipv6)
    elif rng.random() < 0.5:
        made[key] = rng.choice((None, []))
    if (entries := ports(rng)) is not None or rng.random() < 0.3:
        made["ports"] = entries
    return made


def subject_selector(rng: Random) -> Node | None:
    """Make a policy's podSelector, of labels that are documented or that cannot be assumed."""
    shape = rng.random()
    if shape < 0.45:
        return rng.choice(({}, {}, None, {"matchLabels": {}}, {"matchExpressions": None}))
    if shape < 0.6:
        return {"matchLabels": {PRODUCT_LABEL: PRODUCT}}
    key, values = INSTANCE_LABEL, ("gw", "gw2", "mgr", "ibm-eem-operator")
    if shape < 0.72:
        return {"matchLabels": {key: rng.choice(values)}}
    if shape < 0.84:
        key, values = "tier", ("gold", "silver", "on")
    elif shape < 0.9:
        return of_controllers(rng)
    return {"matchExpressions": [expression(rng, key, values)]}


def of_controllers(rng: Random) -> Node:
    """
    Make a podSelector of labels that controllers add, or that only assumed pods have.

    It compares a label whose value may not be known with one value at most, and not by NotIn: a comparison with several
    ones has answers between the two extremes that the product looks at.
    """
    key = rng.choice(("pod-template-hash", "controller-revision-hash"))
    return rng.choice(
        (
            {"matchLabels": {"apps.kubernetes.io/pod-index": rng.choice("01")}},
            {"matchLabels": {"statefulset.kubernetes.io/pod-name": "mgr-ibm-eem-manager-0"}},
            {"matchLabels": {"eem.ei.ibm.com/component": rng.choice(("gw", "mgr"))}},
            {"matchLabels": {key: "5d8f"}},
            {"matchExpressions": [{"key": key, "operator": rng.choice(("Exists", "DoesNotExist"))}]},
        )
    )
