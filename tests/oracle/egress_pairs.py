"""
Seeded changes of egress, put to the product and to the witness.

    PYTHONPATH=.:tests python -m oracle.egress_pairs --pairs 1000000

The witness asks each end of each path by itself, in the tiers of all policies: the operator needs every manager pod on
8081 (E1), and a gateway every manager pod on 3000 or the address in its endpoint (E3). A need is lost if a path was
reachable and all are closed; it is in doubt if a path got worse otherwise.

Source: the product's documentation of egress; NetworkPolicyEgressRule; the tiers of cluster-wide policies.
"""

import argparse
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from oracle.agreement import REPORTED, say
from oracle.cluster import PORT_SETS, Maker, Node, instance, namespaces, operator
from oracle.connections import RANK, End, direction_answer, find_end
from oracle.generate import Pair, both_ways, cluster_wide_policies, seeded
from oracle.naive import Change, Settings
from oracle.plans import OWN_NAMESPACE, policy
from oracle.product import request_of
from oracle.semantics import SOUND, Object
from oracle.vocabulary import POD_KEYS
from oracle.world import (
    COMPONENT_LABEL,
    COMPONENT_VALUES,
    GATEWAY_KIND,
    INSTANCE_LABEL,
    MANAGER_KIND,
    OPERATOR,
    PRODUCT,
    PRODUCT_LABEL,
    of_kind,
)
from webhook.admission import Options, decide
from webhook.eem import EemSnapshot

GATEWAY, OPERATOR_POD = "gw-ibm-egw-gateway-0", f"{OPERATOR}-6c4-x"
OUTSIDE = ("203.0.113.7", "10.9.9.9", "192.168.77.1")
PORTS = (443, 3000, 8080)
SHARED = 5  # changes of one cluster: making it takes a third of the time
Path = list[tuple[End, int]]
Outcomes = tuple[frozenset[str], frozenset[str]]
"""The needs that are surely lost, and those that are in doubt."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EgressPair:
    """A cluster by its number, a change to it, and the address and port of the gateway's endpoint."""

    number: int
    pair: Pair
    endpoint: tuple[str, int]


def generate(seed: int) -> EgressPair:
    """Make a change of a policy in a cluster, which some seeds share."""
    number, rng = seed // SHARED, seeded(seed)
    objects, endpoint = cluster_of(number)
    operation = rng.choice(("CREATE", "UPDATE", "DELETE"))
    old = None if operation == "CREATE" else policy("subject", egress_spec(rng))
    new = None if operation == "DELETE" else policy("subject", egress_spec(rng))
    before = [*objects] if old is None else [*objects, old]
    change = Change(operation=operation, namespace=OWN_NAMESPACE, name="subject", object=new, old_object=old)
    return EgressPair(number=number, pair=Pair(objects=before, change=change, settings=Settings()), endpoint=endpoint)


@lru_cache(maxsize=1)
def cluster_of(number: int) -> tuple[list[Node], tuple[str, int]]:
    """Make a cluster whose egress is known, with the address and port of the gateway's endpoint."""
    rng = Random(f"cluster {number}")
    maker = Maker(rng, ipv6=False)
    objects = [*namespaces(rng), maker.pod("shop", "web-0", some_labels(rng), rng.choice(PORT_SETS))]
    objects += [
        component_pod(rng, maker, "manager", "mgr", f"mgr-ibm-eem-manager-{number}")
        for number in range(rng.choice((1, 1, 2)))
    ]
    objects.append(component_pod(rng, maker, "gateway", "gw", GATEWAY))
    objects += operators(rng, maker)
    addresses = [entry["ip"] for pod in of_kind(objects, "Pod") for entry in pod["status"].get("podIPs") or []]
    endpoint = rng.choice((*OUTSIDE, *addresses)), rng.choice(PORTS)
    objects += instances(rng, endpoint)
    objects += [policy(f"other-{index}", egress_spec(rng)) for index in range(rng.choice((0, 0, 1, 2)))]
    if rng.random() < 0.3:
        objects += cluster_wide_policies(rng, ipv6=False)
    return objects, endpoint


@lru_cache(maxsize=1)
def snapshot_of(number: int) -> EemSnapshot:
    """Return a cluster as the product sees it."""
    snapshot = EemSnapshot.empty()
    for api_object in cluster_of(number)[0]:  # as they are stored, unknown fields and all
        snapshot = snapshot.with_object(api_object)
    return snapshot


def some_labels(rng: Random) -> Node:
    return {key: rng.choice(values) for key, values in POD_KEYS.items() if rng.random() < 0.6}


def component_pod(rng: Random, maker: Maker, component: str, name: str, pod_name: str) -> Node:
    """Make a pod of an instance."""
    own = {PRODUCT_LABEL: PRODUCT, INSTANCE_LABEL: name, COMPONENT_LABEL: COMPONENT_VALUES[component]}
    return maker.pod(OWN_NAMESPACE, pod_name, {**some_labels(rng), **own}, rng.choice(PORT_SETS))


def operators(rng: Random, maker: Maker) -> list[Node]:
    """Make the operator in half of the clusters, without a switch."""
    if rng.random() < 0.5:
        return []
    deployment = operator(rng, maker, OWN_NAMESPACE)[0]
    deployment["spec"]["template"]["spec"]["containers"][0].pop("env", None)
    return [
        deployment,
        maker.pod(
            OWN_NAMESPACE, OPERATOR_POD, {PRODUCT_LABEL: PRODUCT, INSTANCE_LABEL: OPERATOR}, [{"name": OPERATOR}]
        ),
    ]


def instances(rng: Random, endpoint: tuple[str, int]) -> list[Node]:
    """Make a manager and a gateway that are not exempt."""
    manager, gateway = instance(rng, MANAGER_KIND, "mgr"), instance(rng, GATEWAY_KIND, "gw")
    gateway["spec"]["managerEndpoint"] = "https://{}:{}".format(*endpoint)
    for one in (manager, gateway):
        one["spec"].pop("deployNetworkPolicies", None)
        one["metadata"].pop("deletionTimestamp", None)
    return [manager, gateway]


def egress_spec(rng: Random) -> Node:
    """Make a policy, mostly one that restricts egress, and often one that allows all or one of the ports."""
    spec = both_ways(rng, ipv6=False)
    if rng.random() < 0.5:
        spec["policyTypes"] = ["Egress"]
        spec["podSelector"] = {}
    if rng.random() < 0.4:
        wide = ({}, {"ports": [{"port": rng.choice((*PORTS, 8081))}]}, {"to": [{"podSelector": {}}]})
        spec["egress"] = [*(spec.get("egress") or []), rng.choice(wide)]
    return spec


def name_of(pod: Object) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


def paths_of(asked: EgressPair, objects: Sequence[Object]) -> dict[str, tuple[End, list[Path]]]:
    """Return the pod and the paths of each need, by its row."""
    pods = of_kind(objects, "Pod")
    ends = [find_end(name_of(pod), objects) for pod in pods if "-ibm-eem-manager-" in name_of(pod)]
    address, port = asked.endpoint
    bearers = [pod for pod in pods if any(entry["ip"] == address for entry in pod["status"].get("podIPs") or [])]
    goal = name_of(bearers[0]) if bearers else address
    gateway = find_end(f"{OWN_NAMESPACE}/{GATEWAY}", objects)
    found: dict[str, tuple[End, list[Path]]] = {
        "E3": (gateway, [[(end, 3000) for end in ends], [(find_end(goal, objects), port)]])
    }
    if of_kind(objects, "Deployment"):
        found["E1"] = find_end(f"{OWN_NAMESPACE}/{OPERATOR_POD}", objects), [[(end, 8081) for end in ends]]
    return found


def reach(source: End, path: Path, objects: Sequence[Object]) -> str:
    """Return how far a path is reachable: all its ends have to be."""
    answers = []
    for end, port in path:
        is_same = end.pod is not None and end.pod["metadata"] == source.pod["metadata"]
        answers.append(
            "allowed" if is_same else direction_answer("Egress", (source, end, end), ("TCP", port), objects, SOUND)
        )
    return min(answers, key=RANK.__getitem__)


def expected(asked: EgressPair) -> Outcomes:
    """Return what the witness finds."""
    before = asked.pair.objects
    change = asked.pair.change
    after = [one for one in before if one is not change.old_object] + ([change.object] if change.object else [])
    lost, doubtful = set[str](), set[str]()
    space = next(one for one in before if one["kind"] == "Namespace" and one["metadata"]["name"] == OWN_NAMESPACE)
    if "deletionTimestamp" in space["metadata"]:
        return frozenset(), frozenset()  # a namespace that is being deleted needs nothing any more
    for row, (source, paths) in paths_of(asked, before).items():
        was = [RANK[reach(source, path, before)] for path in paths]
        now = [RANK[reach(source, path, after)] for path in paths]
        if max(now) == 0 and max(was) == RANK["allowed"]:
            lost.add(row)
        elif any(new < old for old, new in zip(was, now, strict=True)):
            doubtful.add(row)
    return frozenset(lost), frozenset(doubtful)


def answered(asked: EgressPair) -> Outcomes:
    """Return what the product finds, of the needs that the witness knows."""
    snapshot, old = snapshot_of(asked.number), asked.pair.change.old_object
    snapshot = snapshot if old is None else snapshot.with_object(old)
    response = decide(request_of(asked.pair), snapshot, Options(egress="enforce"))
    found = [one for one in (response.verdict.lost if response.verdict else ()) if one.need in {"E1", "E3"}]
    return frozenset(one.need for one in found if one.decided), frozenset(one.need for one in found if not one.decided)


def agreement_on_egress(seeds: Iterable[int]) -> tuple[list[int], Counter[str]]:
    """Return the seeds on which the two differ, and how often each outcome occurred."""
    differing, met = [], Counter[str]()
    for seed in seeds:
        asked = generate(seed)
        witness = expected(asked)
        if answered(asked) != witness:
            differing.append(seed)
        met.update(f"{row} lost" for row in witness[0])
        met.update(f"{row} in doubt" for row in witness[1])
        met["pairs"] += 1
    return differing, met


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m oracle.egress_pairs", description=__doc__)
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--first", type=int, default=0, metavar="SEED")
    asked = parser.parse_args()
    differing: list[int] = []
    met = Counter[str]()
    for start in range(asked.first, asked.first + asked.pairs, REPORTED):
        found, counted = agreement_on_egress(range(start, min(start + REPORTED, asked.first + asked.pairs)))
        differing += found
        met += counted
        say(f"{met['pairs']} pairs, {len(differing)} differ {differing[:5] or ''}")
    for name, count in sorted(met.items()):
        say(f"{name}: {count / met['pairs']:.2%}")
    return 1 if differing else 0


if __name__ == "__main__":
    raise SystemExit(main())
