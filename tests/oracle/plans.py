"""
The scenarios of changes: what a policy was, what it becomes, and which policies stand around it.

Each leans towards one kind of loss; about half of what they make loses nothing.
"""

from collections.abc import Callable
from random import Random

from oracle.cluster import made
from oracle.vocabulary import (
    EVERY_PORT,
    Node,
    block,
    every_address,
    every_pod,
    peers,
    pod_peer,
    ports,
    rule,
    subject_selector,
)

OWN_NAMESPACE = "eem"
UNSPECIFIED_TYPES: tuple[list[str] | None, ...] = (["Ingress"], ["Ingress"], ["Ingress", "Egress"], [], None)


def policy(name: str, spec: Node, namespace: str = OWN_NAMESPACE) -> Node:
    """Make a policy."""
    return made("NetworkPolicy", namespace, name, spec=spec)


def with_types(rng: Random, spec: Node, types: tuple[list[str] | None, ...] = UNSPECIFIED_TYPES) -> Node:
    """Write the policyTypes in one of the forms, or leave them out."""
    chosen = rng.choice(types)
    if chosen is not None or rng.random() < 0.3:
        spec["policyTypes"] = chosen
    return spec


def with_selector(rng: Random, spec: Node) -> Node:
    """Write the podSelector, or leave it out."""
    chosen = subject_selector(rng)
    if chosen is not None or rng.random() < 0.5:
        spec["podSelector"] = chosen
    return spec


def deny_spec(rng: Random) -> Node:
    """Make a policy that isolates pods and admits no source."""
    spec = with_types(rng, with_selector(rng, {}))
    if rng.random() < 0.4:
        spec["ingress"] = rng.choice(([], None))
    return spec


def egress_only(rng: Random) -> Node:
    """Make a policy that leaves ingress alone, whatever its ingress section says."""
    spec: Node = {"podSelector": {}, "policyTypes": ["Egress"]}
    if rng.random() < 0.5:
        spec["ingress"] = rng.choice(([], [{}]))
    if rng.random() < 0.5:
        spec["egress"] = [{"to": [pod_peer(rng)]}]
    return spec


def allow_spec(rng: Random, *, ipv6: bool) -> Node:
    """Make a policy of one to three rules."""
    spec = with_selector(rng, {"ingress": [rule(rng, ipv6=ipv6) for _ in range(rng.choice((1, 1, 2)))]})
    return with_types(rng, spec)


def open_spec(rng: Random) -> Node:
    """Make a policy that admits everybody to every required port, in one of many ways."""
    entry: Node = rng.choice(
        (
            dict,
            lambda: {"from": rng.choice((None, []))},
            lambda: {"from": every_pod(rng) + every_address(rng)},
            lambda: {"from": every_pod(rng) + every_address(rng), "ports": [{"port": p} for p in EVERY_PORT]},
            lambda: {"ports": [{"port": p, "protocol": "TCP"} for p in EVERY_PORT]},
            lambda: {"ports": rng.choice(([], None, [{}], [{"port": 3000, "endPort": 9100}]))},
        )
    )()
    return with_types(rng, {"podSelector": {} if rng.random() < 0.8 else subject_selector(rng), "ingress": [entry]})


def any_spec(rng: Random, *, ipv6: bool) -> Node:
    """Make a policy of any sort."""
    shape = rng.random()
    if shape < 0.25:
        return deny_spec(rng)
    if shape < 0.35:
        return egress_only(rng)
    return open_spec(rng) if shape < 0.55 else allow_spec(rng, ipv6=ipv6)


def rules_with(spec: Node, entries: list[Node]) -> Node:
    """Return the spec with other rules."""
    return {**spec, "ingress": entries}


Plan = tuple[str, Node | None, Node | None, list[Node]]


def plan_isolation(rng: Random, *, ipv6: bool) -> Plan:
    """Isolate pods that were not, or add a policy where others allow."""
    others = [egress_only(rng)] if rng.random() < 0.3 else []
    others += [open_spec(rng)] if rng.random() < 0.25 else []
    new = deny_spec(rng) if rng.random() < 0.5 else allow_spec(rng, ipv6=ipv6)
    if rng.random() < 0.7:
        return "CREATE", None, new, others
    old = egress_only(rng) if rng.random() < 0.5 else {**new, "podSelector": {"matchLabels": {"app": "web"}}}
    return "UPDATE", old, new, others


def plan_deletion(rng: Random, *, ipv6: bool) -> Plan:
    """Delete an allow under a default-deny, the last policy, or the denial itself."""
    others = [deny_spec(rng)] if rng.random() < 0.75 else []
    others += [allow_spec(rng, ipv6=ipv6)] if rng.random() < 0.3 else []
    shape = rng.random()
    old = open_spec(rng) if shape < 0.6 else allow_spec(rng, ipv6=ipv6) if shape < 0.85 else deny_spec(rng)
    return "DELETE", old, None, others


def plan_ports(rng: Random, *, ipv6: bool) -> Plan:
    """Change the ports of a rule, mostly from all that is needed to less."""
    others = [any_spec(rng, ipv6=ipv6)] if rng.random() < 0.25 else []
    spec = open_spec(rng)
    entry = spec["ingress"][0]
    new = {**entry, "ports": ports(rng, narrow=rng.random() < 0.7)}
    if rng.random() < 0.3:
        entry = {**entry, "ports": ports(rng)}
    return "UPDATE", rules_with(spec, [entry]), rules_with(spec, [new]), others


def plan_sources(rng: Random, *, ipv6: bool) -> Plan:
    """Change the peers of a rule, mostly from everybody to fewer pods."""
    others = [any_spec(rng, ipv6=ipv6)] if rng.random() < 0.25 else []
    spec = open_spec(rng)
    entry = spec["ingress"][0]
    shape = rng.random()
    if shape < 0.5:
        narrowed = [pod_peer(rng) for _ in range(rng.choice((1, 2)))]
        narrowed += every_address(rng) if rng.random() < 0.6 else []
    else:
        narrowed = peers(rng, ipv6=ipv6)
    if rng.random() < 0.35:
        entry = {**entry, "from": peers(rng, ipv6=ipv6)}
    return "UPDATE", rules_with(spec, [entry]), rules_with(spec, [{**entry, "from": narrowed}]), others


def plan_addresses(rng: Random, *, ipv6: bool) -> Plan:
    """Change the ipBlocks of a rule and leave its pods."""
    others = [any_spec(rng, ipv6=ipv6)] if rng.random() < 0.3 else []
    spec = open_spec(rng)
    pods = every_pod(rng)
    entry = {**spec["ingress"][0], "from": pods + every_address(rng)}
    new = [block(rng, ipv6=ipv6) for _ in range(rng.choice((1, 1, 2, 3)))]
    if rng.random() < 0.3:
        entry = {**entry, "from": pods + [block(rng, ipv6=ipv6) for _ in range(2)]}
    return "UPDATE", rules_with(spec, [entry]), rules_with(spec, [{**entry, "from": pods + new}]), others


def plan_anything(rng: Random, *, ipv6: bool) -> Plan:
    """Do anything to a policy among any others."""
    others = [any_spec(rng, ipv6=ipv6) for _ in range(rng.choice((0, 1, 1, 2)))]
    operation = rng.choice(("CREATE", "UPDATE", "DELETE"))
    old = None if operation == "CREATE" else any_spec(rng, ipv6=ipv6)
    new = None if operation == "DELETE" else any_spec(rng, ipv6=ipv6)
    if operation == "UPDATE" and rng.random() < 0.5:
        new = with_types(rng, with_selector(rng, {"ingress": (old or {}).get("ingress")}))
    return operation, old, new, others


def plan_owner(rng: Random, *, ipv6: bool) -> Plan:
    """Leave the spec unchanged; the caller adds the owners."""
    spec = open_spec(rng)
    others = [deny_spec(rng)] if rng.random() < 0.8 else []
    return "UPDATE", spec, spec, others + ([any_spec(rng, ipv6=ipv6)] if rng.random() < 0.2 else [])


PLANS: tuple[Callable[..., Plan], ...] = (
    *(plan_isolation,) * 4,
    *(plan_deletion,) * 3,
    *(plan_ports,) * 5,
    *(plan_sources,) * 7,
    *(plan_addresses,) * 2,
    *(plan_anything,) * 2,
    plan_owner,
)
