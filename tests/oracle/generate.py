"""
Seeded pairs of a cluster and a change, and seeded connections, made to meet every sentence of the specification.

The same seed gives the same pair, so that a seed is all that a failure has to name.
"""

from dataclasses import dataclass
from random import Random

from oracle.cluster import DELETED, PORT_SETS, UIDS, Maker, cluster, made, namespaces
from oracle.naive import GARBAGE_COLLECTOR, NAMESPACE_CONTROLLER, Change, Settings
from oracle.plans import OWN_NAMESPACE, PLANS, any_spec, open_spec, plan_owner, policy, with_types
from oracle.vocabulary import EVERY_PORT, IPV6_BLOCKS, NAMESPACE_KEYS, POD_KEYS, Node, block, rule, selector

CANONICAL_BLOCKS = ("0.0.0.0/0", "10.0.0.0/8", "10.244.0.0/16", "192.168.0.0/16", "203.0.113.0/24")
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


def pods_chosen(rng: Random) -> Node:
    """Make a subject or a peer of pods."""
    if rng.random() < 0.5:
        return {"namespaces": selector(rng, NAMESPACE_KEYS)}
    return {"pods": {"namespaceSelector": selector(rng, NAMESPACE_KEYS), "podSelector": selector(rng, POD_KEYS)}}


def cluster_peer(rng: Random, direction: str, *, ipv6: bool) -> Node:
    """Make a peer of a cluster-wide policy, seldom one that cannot be known."""
    shape = rng.random()
    if shape < 0.06:
        return {"services": {}}
    if direction == "ingress" or shape < 0.5:
        return pods_chosen(rng)
    if shape < 0.85:
        return {"networks": rng.sample((*CANONICAL_BLOCKS, *(IPV6_BLOCKS[2:4] if ipv6 else ())), rng.choice((1, 2)))}
    return rng.choice(({"nodes": {}}, {"nodes": {"matchLabels": {"a": "b"}}}))


def cluster_ports(rng: Random, *, newer: bool) -> list[Node]:
    """Make the ports of a rule, in the older or the newer schema."""
    protocol, port = rng.choice(("TCP", "TCP", "UDP", "SCTP")), rng.choice(EVERY_PORT)
    ends = {"start": port - rng.choice((0, 1, 900)), "end": port + rng.choice((1, 5000))}
    if rng.random() < 0.2:
        return [{"destinationNamedPort" if newer else "namedPort": rng.choice(("ui", "https", "kafka", "web"))}]
    if newer:
        destination = rng.choice(({"number": port}, {"range": ends}))
        return [{protocol.lower(): {"destinationPort": destination}}]
    return [
        rng.choice(
            ({"portNumber": {"protocol": protocol, "port": port}}, {"portRange": {"protocol": protocol, **ends}})
        )
    ]


def cluster_rules(rng: Random, actions: tuple[str, ...], direction: str, *, newer: bool, ipv6: bool) -> list[Node]:
    """Make the rules of one direction."""
    made = []
    for _ in range(rng.choice((1, 1, 2))):
        peers = [cluster_peer(rng, direction, ipv6=ipv6) for _ in range(rng.choice((1, 1, 2)))]
        rule: Node = {"action": rng.choice(actions), "from" if direction == "ingress" else "to": peers}
        if rng.random() < 0.4 and not any("networks" in peer or "nodes" in peer for peer in peers):
            rule["protocols" if newer else "ports"] = cluster_ports(rng, newer=newer)
        made.append(rule)
    return made


def cluster_wide(rng: Random, index: int, *, ipv6: bool) -> Node:
    """Make a cluster-wide policy; few priorities, so that some are the same."""
    shape = rng.random()
    kind = (
        "AdminNetworkPolicy" if shape < 0.4 else "ClusterNetworkPolicy" if shape < 0.8 else "BaselineAdminNetworkPolicy"
    )
    newer = kind == "ClusterNetworkPolicy"
    spec: Node = {"subject": pods_chosen(rng) if rng.random() < 0.6 else {"namespaces": {}}}
    if newer:
        spec["tier"] = rng.choice(("Admin", "Baseline"))
    actions = ("Allow", "Deny")
    if kind != "BaselineAdminNetworkPolicy":
        spec["priority"] = rng.choice((1, 2, 3, 100) if newer else (1, 2, 3, 3, 100))
        actions = ("Accept" if newer else "Allow", "Deny", "Pass")
    for direction in ("ingress", "egress"):
        if rng.random() < 0.7:
            spec[direction] = cluster_rules(rng, actions, direction, newer=newer, ipv6=ipv6)
    name = "default" if kind == "BaselineAdminNetworkPolicy" else f"c{index}"
    version = "v1beta1" if newer else "v1alpha1"
    api_version = f"policy.networking.k8s.io/{version}"
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}, "spec": spec}


def cluster_wide_policies(rng: Random, *, ipv6: bool) -> list[Node]:
    """Make cluster-wide policies: mostly of one schema, as in a cluster whose plugin has one; at most one Baseline."""
    made = [cluster_wide(rng, index, ipv6=ipv6) for index in range(rng.choice((1, 1, 2, 3)))]
    if rng.random() < 0.8:
        newer = made[0]["kind"] == "ClusterNetworkPolicy"
        made = [policy for policy in made if (policy["kind"] == "ClusterNetworkPolicy") is newer]
    return list({(policy["kind"], policy["metadata"]["name"]): policy for policy in made}.values())


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
    if rng.random() < 0.6:
        objects += cluster_wide_policies(rng, ipv6=ipv6)
    source, destination = rng.sample(ends, 2)
    if "/" not in source and "/" not in destination:
        destination = "eem/gw-0"
    protocol = rng.choice(("TCP", "TCP", "TCP", "UDP", "SCTP"))
    return Question(
        objects=objects, source=source, destination=destination, protocol=protocol, port=rng.choice(EVERY_PORT)
    )
