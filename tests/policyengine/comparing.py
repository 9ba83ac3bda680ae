"""
Put seeded sets of policies to the engine and to the product, every pair of their pods and some addresses, and compare.

    PYTHONPATH=.:tests python -m policyengine.comparing --connections 1000000

Policies are written as the API server stores them: defaults are set, and empty lists are left out.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from random import Random
from typing import Any

from oracle.generate import both_ways, cluster_wide_policies, seeded
from oracle.plans import policy
from oracle.vocabulary import NAME_LABEL, POD_KEYS

from policyengine.engine import Engine, EngineConnection, running
from webhook.netpol import ClusterSnapshot, Connection, evaluate
from webhook.netpol.matching import selecting
from webhook.netpol.model import PolicyType

Node = dict[str, Any]

OWN = "own-name"  # a label that no policy mentions
ADDRESSES = ("203.0.113.7", "10.9.9.9", "192.168.77.1")
PORTS = (("TCP", 3000), ("TCP", 8092), ("UDP", 8092), ("SCTP", 9094))
NAMED = ({"name": "ui", "containerPort": 3000}, {"name": "kafka", "containerPort": 8092})
TEAMS = {"eem": "a", "shop": "b", "bank": "c", "later": None}


@dataclass(kw_only=True, slots=True)
class Compared:
    """
    What was compared.

    Args:
        counts: connections by the answer of the product.
        explained: differences by the explanation on the page docs/evidence/oracles.md.
        unexplained: the seeds of sets with other differences.
    """

    counts: Counter[str] = field(default_factory=Counter)
    explained: Counter[str] = field(default_factory=Counter)
    unexplained: list[int] = field(default_factory=list)


def objects_of(seed: int) -> list[Node]:
    """Return a cluster of seven pods in four namespaces, with NetworkPolicies and cluster-wide policies."""
    rng = seeded(seed)
    objects = [named_space(name, team) for name, team in TEAMS.items()]
    for index, namespace in enumerate(("eem", "eem", "eem", "shop", "shop", "bank", "later")):
        objects.append(pod_with(rng, f"p{index}", namespace, f"10.244.{index % 3}.{index + 1}"))
    for index in range(rng.choice((0, 1, 2, 3, 4))):
        made = policy(f"n{index}", both_ways(rng, ipv6=False), rng.choice(("eem", "eem", "shop", "bank")))
        objects.append(stored(made))
    return objects + [one for one in cluster_wide_policies(rng, ipv6=False) if not _is_unknown(one)]


def named_space(name: str, team: str | None) -> Node:
    labels = {NAME_LABEL: name, **({} if team is None else {"team": team})}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def pod_with(rng: Random, name: str, namespace: str, address: str) -> Node:
    labels = {key: rng.choice(values) for key, values in POD_KEYS.items() if rng.random() < 0.6}
    ports = [{**port, "protocol": rng.choice(("TCP", "TCP", "UDP"))} for port in NAMED if rng.random() < 0.6]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"containers": [{"name": "c", "ports": ports}]},
        "status": {"podIP": address, "podIPs": [{"ip": address}]},
    }


def stored(made: Node) -> Node:
    """Return a NetworkPolicy as the API server stores it. Source: defaults.go and the omitempty tags of types.go."""
    spec: Node = made["spec"]
    types = spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])
    stored: Node = {"podSelector": spec.get("podSelector") or {}, "policyTypes": types}
    for section, peers in (("ingress", "from"), ("egress", "to")):
        if spec.get(section):
            stored[section] = [_stored_rule(rule, peers) for rule in spec[section]]
    return {**made, "spec": stored}


def _stored_rule(rule: Node, peers: str) -> Node:
    stored: Node = {peers: rule[peers]} if rule.get(peers) else {}
    if rule.get("ports"):
        stored["ports"] = [
            {"protocol": "TCP", **{key: value for key, value in port.items() if value is not None}}
            for port in rule["ports"]
        ]
    return stored


def _is_unknown(one: Node) -> bool:
    """Whether a policy has a peer that cannot be known, or that the engine cannot be asked about."""
    rules = [
        (rule, key) for section, key in (("ingress", "from"), ("egress", "to")) for rule in one["spec"].get(section, [])
    ]
    return any(peer.keys() & {"services", "nodes"} for rule, key in rules for peer in rule[key])


def connections_of(objects: list[Node]) -> Iterator[tuple[Connection, EngineConnection]]:
    """Yield every pair of pods and addresses, in both forms."""
    pods = {
        f"{one['metadata']['namespace']}/{one['metadata']['name']}": one["status"]["podIP"]
        for one in objects
        if one["kind"] == "Pod"
    }
    ends = {**pods, **dict(zip(ADDRESSES, ADDRESSES, strict=True))}
    for source, destination in product(ends, repeat=2):
        if source != destination and (source in pods or destination in pods):
            for protocol, port in PORTS:
                yield (
                    Connection(source=source, destination=destination, protocol=protocol, port=port),
                    EngineConnection(source=ends[source], destination=ends[destination], protocol=protocol, port=port),
                )


def answers_of(
    engine: Engine, objects: list[Node], ours: list[Node] | None = None
) -> list[tuple[str, bool, Connection]]:
    """Return the answers of the product, about *ours* where that is given, and of the engine."""
    snapshot = ClusterSnapshot.from_objects(objects if ours is None else ours)
    asked = list(connections_of(objects))
    theirs = engine.allowed(objects, [one for _, one in asked])
    return [
        (_word(evaluate(connection, snapshot, ipblock_matches_pods="yes")), answer, connection)
        for (connection, _), answer in zip(asked, theirs, strict=True)
    ]


def _word(verdict: Any) -> str:
    if not verdict.decided:
        return "undecided"
    return "allowed" if verdict.allowed else "denied"


def differing(answers: list[tuple[str, bool, Connection]]) -> list[Connection]:
    """Return the connections on which the two differ; what is not decided may be either."""
    return [one for ours, theirs, one in answers if ours != "undecided" and (ours == "allowed") is not theirs]


def without_names(objects: list[Node]) -> list[Node]:
    """Return the objects without the rules of v1alpha1 that have a port by its name."""
    kept = []
    for one in objects:
        if one["kind"] in {"AdminNetworkPolicy", "BaselineAdminNetworkPolicy"}:
            spec = dict(one["spec"])
            for section in ("ingress", "egress"):
                rules = spec.get(section, [])
                spec[section] = [r for r in rules if not any("namedPort" in port for port in r.get("ports", []))]
            one = {**one, "spec": spec}  # noqa: PLW2901  the same object with fewer rules
        kept.append(one)
    return kept


def final_in_both_directions(objects: list[Node]) -> list[Node]:
    """
    Return the objects with what the engine makes of a NetworkPolicy of one direction.

    It takes the answer of the NetworkPolicies as final where any of them selects the pod, also where none isolates it
    in the direction that is asked: as if one allowed everything there.
    """
    made = [{**one, "metadata": _named(one)} if one["kind"] == "Pod" else one for one in objects]
    snapshot = ClusterSnapshot.from_objects(objects)
    for one in objects:
        if one["kind"] != "Pod":
            continue
        namespace, name = one["metadata"]["namespace"], one["metadata"]["name"]
        pod = snapshot.state(namespace).pods[name]
        policies = snapshot.state(namespace).sorted_policies()
        isolated = {direction for direction in PolicyType if selecting(policies, pod, direction)}
        for direction in PolicyType:
            if isolated and direction not in isolated:
                spec = {
                    "podSelector": {"matchLabels": {OWN: name}},
                    "policyTypes": [direction.value],
                    direction.value.lower(): [{}],
                }
                made.append(policy(f"all-{name}-{direction.value.lower()}", spec, namespace))
    return made


def _named(one: Node) -> Node:
    meta: Node = one["metadata"]
    return {**meta, "labels": {**meta["labels"], OWN: meta["name"]}}


def explanation(engine: Engine, objects: list[Node]) -> str | None:
    """Return why the two differ on a set, in the words of docs/evidence/oracles.md; None if that is not known."""
    if not differing(answers_of(engine, objects, final_in_both_directions(objects))):
        return "a NetworkPolicy of the other direction"
    kept = without_names(objects)
    if not differing(answers_of(engine, kept, final_in_both_directions(kept))):
        return "a port of v1alpha1 by its name"
    newer = [one for one in kept if one["kind"] != "BaselineAdminNetworkPolicy"]
    if len(newer) < len(kept) and not differing(answers_of(engine, newer, final_in_both_directions(newer))):
        return "a Baseline tier of two schemas"
    return None


def compare(engine: Engine, seeds: Iterator[int] | range, connections: int) -> Compared:
    """Compare set by set, until so many connections are compared."""
    found = Compared()
    for seed in seeds:
        objects = objects_of(seed)
        answers = answers_of(engine, objects)
        found.counts.update(ours for ours, _, _ in answers)
        different = differing(answers)
        if different:
            why = explanation(engine, objects)
            if why is None:
                found.unexplained.append(seed)
            else:
                found.explained[why] += len(different)
        if found.counts.total() >= connections:
            break
    return found


def main() -> int:
    """Compare, and print what was found; the exit status is 1 if a difference is not explained."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=1_000_000)
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    arguments = parser.parse_args()
    with running() as engine:
        seeds = range(arguments.first, sys.maxsize)
        found = compare(engine, seeds, arguments.connections)
    print(f"{found.counts.total()} connections: {dict(found.counts)}")
    print(f"explained differences: {dict(found.explained)}; unexplained: {found.unexplained[:10]}")
    return 1 if found.unexplained else 0


if __name__ == "__main__":
    raise SystemExit(main())
