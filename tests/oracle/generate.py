"""
Seeded pairs of a cluster and a change, and seeded connections, made to meet every sentence of the specification.

The same seed gives the same pair, so that a seed is all that a failure has to name.
"""

from dataclasses import dataclass
from random import Random

from oracle.cluster import DELETED, PORT_SETS, UIDS, Maker, cluster, made, namespaces
from oracle.naive import GARBAGE_COLLECTOR, NAMESPACE_CONTROLLER, Change, Settings
from oracle.plans import OWN_NAMESPACE, PLANS, any_spec, open_spec, plan_owner, policy, with_types
from oracle.vocabulary import EVERY_PORT, POD_KEYS, Node, block, rule

OPERATOR_USERS = ("system:serviceaccount:eem:ibm-eem-operator", "system:serviceaccount:shop:ibm-eem-operator")


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """A cluster, a change to it, and the settings under which it is judged."""

    objects: list[Node]
    change: Change
    settings: Settings


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A cluster and a connection in it."""

    objects: list[Node]
    source: str
    destination: str
    protocol: str
    port: int


def seeded(seed: int) -> Random:
    """Return a generator that yields the same numbers for the same seed."""
    return Random(seed)  # repeatable on purpose, nothing secret


def owners(rng: Random) -> list[Node]:
    """Make owner references: to instances that may exist, and to objects that do not."""
    kind, name = rng.choice(tuple(UIDS))
    uid = UIDS[kind, name] if rng.random() < 0.7 else "99999999-0000-4000-8000-000000000009"
    to_instance = {"apiVersion": "events.ibm.com/v1beta1", "kind": kind, "name": name, "uid": uid}
    to_nobody = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "gone", "uid": UIDS[kind, name]}
    return rng.choice(([to_instance], [to_instance], [to_nobody], [to_instance, to_nobody]))


def settings_for(rng: Random, objects: list[Node]) -> Settings:
    """Choose settings; pods' ranges are given for every family in use or for none."""
    seen_ipv6 = any(":" in e["ip"] for o in objects for e in (o.get("status") or {}).get("podIPs") or [])
    families = rng.choice((None, None, None, None, ("IPv4",), ("IPv4", "IPv6"), ("IPv6",)))
    in_use = families or (("IPv4", "IPv6") if seen_ipv6 else ("IPv4",))
    cidrs = {"IPv4": "10.244.0.0/16", "IPv6": "fd00:10:244::/48"}
    return Settings(
        sources="anywhere" if rng.random() < 0.85 else "some",
        ipblock_matches_pods=rng.choice(("unknown", "unknown", "unknown", "yes", "no")),
        pod_cidrs=tuple(cidrs[family] for family in in_use) if rng.random() < 0.4 else (),
        ip_families=families,
        strict=rng.random() < 0.1,
    )


def cached(rng: Random, old: Node | None, *, ipv6: bool) -> list[Node]:
    """Return the policy in the cache: that of the request, or rarely a stale one or none."""
    roll = rng.random()
    if roll < 0.04:
        return [policy("subject", any_spec(rng, ipv6=ipv6))]
    return [] if old is None or roll < 0.06 else [old]


def surroundings(rng: Random, others: list[Node], *, ipv6: bool) -> list[Node]:
    """Make the other policies: those of the plan, some terminating, and some of other namespaces."""
    around = [policy(f"other-{index}", spec) for index, spec in enumerate(others)]
    for item in around:
        if rng.random() < 0.07:
            item["metadata"]["deletionTimestamp"] = DELETED
    if rng.random() < 0.25:
        around.append(policy("elsewhere", any_spec(rng, ipv6=ipv6), rng.choice(("shop", "bank"))))
    if rng.random() < 0.03:
        around.append(policy("operators", open_spec(rng)))
    return around


def generate_pair(seed: int) -> Pair:
    """Make a cluster and a change to it."""
    rng = seeded(seed)
    objects, ipv6 = cluster(rng)
    plan = rng.choice(PLANS)
    operation, before, after, others = plan(rng, ipv6=ipv6)
    if operation == "UPDATE" and rng.random() < 0.12:
        before, after = after, before
    old = None if before is None else policy("subject", before)
    new = None if after is None else policy("subject", after)
    if plan is plan_owner and new is not None and rng.random() < 0.8:
        new["metadata"]["ownerReferences"] = owners(rng)
    elif old is not None and rng.random() < 0.03:
        for item in (old, new or {"metadata": {}}):
            item["metadata"]["deletionTimestamp"] = DELETED
    objects = objects + surroundings(rng, others, ipv6=ipv6) + cached(rng, old, ipv6=ipv6)
    change = change_of(rng, operation, old, new)
    return Pair(objects=objects, change=change, settings=settings_for(rng, objects))


def change_of(rng: Random, operation: str, old: Node | None, new: Node | None) -> Change:
    """Make the request, seldom by one of those who pass, and not always with a name."""
    user = "kubernetes-admin"
    if rng.random() < 0.02:
        user = rng.choice((*OPERATOR_USERS, GARBAGE_COLLECTOR, NAMESPACE_CONTROLLER))
    name = "subject"
    if operation == "CREATE" and new is not None and rng.random() < 0.08:
        name, new["metadata"] = "", {"generateName": "subject-", "namespace": OWN_NAMESPACE}
    elif operation == "DELETE" and rng.random() < 0.15:
        name = ""  # as in a deletecollection: the name is in the old object alone
    return Change(operation=operation, namespace=OWN_NAMESPACE, name=name, object=new, old_object=old, username=user)


def both_ways(rng: Random, *, ipv6: bool) -> Node:
    """Make a policy with rules for both directions, of which its types may count one, both or neither."""
    spec: Node = {"podSelector": rng.choice(({}, None, {"matchLabels": {"app": rng.choice(POD_KEYS["app"])}}))}
    if rng.random() < 0.3:
        spec["podSelector"] = {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "db"]}]}
    if rng.random() < 0.8:
        spec["ingress"] = [rule(rng, ipv6=ipv6) for _ in range(rng.choice((0, 1, 2)))]
        if rng.random() < 0.4:
            spec["ingress"].append({"from": [block(rng, ipv6=ipv6)]})
    if rng.random() < 0.6:
        spec["egress"] = [rule(rng, ipv6=ipv6, key="to") for _ in range(rng.choice((0, 1, 2)))]
    return with_types(rng, spec, (None, [], ["Ingress"], ["Egress"], ["Ingress", "Egress"]))


def generate_connection(seed: int) -> Question:
    """Make a cluster and a connection to ask about."""
    rng = seeded(seed)
    ipv6 = rng.random() < 0.3
    maker = Maker(rng, ipv6=ipv6)
    objects = namespaces(rng)
    ends: list[str] = []
    for namespace, name in (("eem", "gw-0"), ("eem", "gw-1"), ("shop", "web-0"), ("bank", "db-0")):
        labels = {key: rng.choice(values) for key, values in POD_KEYS.items() if rng.random() < 0.6}
        containers = rng.choice(PORT_SETS)
        if rng.random() < 0.12:
            objects.append(maker.on_host(namespace, name, labels, [{"name": "c"}]))
        else:
            objects.append(maker.pod(namespace, name, labels, containers))
        ends.append(f"{namespace}/{name}")
    if rng.random() < 0.3:
        labels = {"app": rng.choice(POD_KEYS["app"])}
        template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c"}]}}
        spec = {"selector": {"matchLabels": labels}, "template": template}
        objects.append(made("Deployment", "shop", "batch", spec=spec))
        ends.append("shop/batch")
    ends += ["203.0.113.7", "10.9.9.9", "192.168.77.1"] + (["2001:db8::7"] if ipv6 else [])
    for index in range(rng.choice((1, 1, 2, 3, 4))):
        space = rng.choice(("eem", "eem", "shop"))
        objects.append(policy(f"p{index}", both_ways(rng, ipv6=ipv6), space))
    source, destination = rng.sample(ends, 2)
    if "/" not in source and "/" not in destination:
        destination = "eem/gw-0"
    protocol = rng.choice(("TCP", "TCP", "TCP", "UDP", "SCTP"))
    return Question(
        objects=objects, source=source, destination=destination, protocol=protocol, port=rng.choice(EVERY_PORT)
    )
