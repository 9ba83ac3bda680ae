"""
Put seeded sets of changes to the planner and, by brute force, to the witness.

    PYTHONPATH=.:tests python -m oracle.orders --sets 10000 --most 7

The witness tries every permutation of the changes: no step of a plan may lose anything, and where the planner finds no
order, there must be none. The command exits with 1 if there is any difference.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random

from oracle.cluster import cluster
from oracle.generate import seeded
from oracle.naive import Change, Settings, judge
from oracle.plans import OWN_NAMESPACE, PLANS, policy
from oracle.vocabulary import Node
from webhook.admission.options import Options
from webhook.admission.plan import Plan, plan
from webhook.admission.trial import ObjectChange
from webhook.eem import EemSnapshot

SETTINGS = Settings()
MOST_CHANGES = 5
REQUIRED = (3000, 8081, 8092, 8443, 9094)
REFACTORINGS = 0.5
"""The share of sets that move the required ports from policies to others, and of clusters with a default deny."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeSet:
    """A cluster and several changes to it, each of another policy."""

    objects: list[Node]
    changes: tuple[tuple[Node | None, Node | None], ...]


def generate_set(seed: int, most: int = MOST_CHANGES) -> ChangeSet:
    """Make a cluster and two or more changes of its policies."""
    rng = seeded(seed)
    objects, ipv6 = cluster(rng)
    changes = _refactoring(rng, most) if rng.random() < REFACTORINGS else _unrelated(rng, most, ipv6=ipv6)
    objects += [old for old, _ in changes if old is not None]
    if rng.random() < REFACTORINGS:
        objects.append(policy("deny", {"podSelector": {}, "policyTypes": ["Ingress"]}))
    return ChangeSet(objects=objects, changes=tuple(changes))


Changes = list[tuple[Node | None, Node | None]]


def _unrelated(rng: Random, most: int, *, ipv6: bool) -> Changes:
    """Make changes that have nothing to do with each other."""
    changes: Changes = []
    for number in range(rng.randint(2, most)):
        _, before, after, _ = rng.choice(PLANS)(rng, ipv6=ipv6)
        states = (None if spec is None else policy(f"p{number}", spec) for spec in (before, after))
        changes.append((next(states), next(states)))
    return changes


def _refactoring(rng: Random, most: int) -> Changes:
    """Make changes that allow the required ports by other policies than before."""
    names = [f"p{number}" for number in range(rng.randint(2, most))]
    sides = [_allows(rng, names) for _ in range(2)]
    changes = [(sides[0].get(name), sides[1].get(name)) for name in names]
    rng.shuffle(changes)
    return [(old, new) for old, new in changes if old != new]


def _allows(rng: Random, names: Sequence[str]) -> dict[str, Node]:
    """Return policies that together allow every required port, nearly always."""
    ports: dict[str, list[Node]] = {}
    for port in REQUIRED:
        for name in rng.sample(names, rng.choice((1, 1, 2))):
            ports.setdefault(name, []).append({"protocol": "TCP", "port": port})
    if rng.random() < 0.1:
        ports.popitem()
    return {
        name: policy(name, {"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [{"ports": entries}]})
        for name, entries in ports.items()
    }


def planned(case: ChangeSet) -> Plan:
    """Return the planner's answer."""
    changes = [ObjectChange(old=old, new=new) for old, new in case.changes]
    return plan(changes, EemSnapshot.from_objects(case.objects), Options(egress="off"))


def is_safe(objects: Sequence[Node], old: Node | None, new: Node | None) -> bool:
    """Whether the witness finds that one change loses nothing."""
    operation = "CREATE" if old is None else "DELETE" if new is None else "UPDATE"
    name = (old or new or {})["metadata"]["name"]
    change = Change(operation=operation, namespace=OWN_NAMESPACE, name=name, object=new, old_object=old)
    return not judge(objects, change, SETTINGS).denied(SETTINGS)


def after(objects: Sequence[Node], old: Node | None, new: Node | None) -> list[Node]:
    """Return the objects after a change."""
    return [item for item in objects if item is not old] + ([] if new is None else [new])


def has_order(case: ChangeSet) -> bool:
    """Whether some permutation of the changes loses nothing at any step."""
    dead: set[frozenset[int]] = set()

    def leads_to_the_end(objects: Sequence[Node], left: frozenset[int]) -> bool:
        if left in dead:
            return False
        for number in left:
            old, new = case.changes[number]
            if is_safe(objects, old, new) and leads_to_the_end(after(objects, old, new), left - {number}):
                return True
        dead.add(left)
        return not left

    return leads_to_the_end(case.objects, frozenset(range(len(case.changes))))


def first_unsafe(case: ChangeSet, found: Plan) -> int | None:
    """Return the number of the first step that loses something; None if all are safe."""
    objects: Sequence[Node] = case.objects
    for number, step in enumerate(found.steps):
        old = None if step.change.old is None else _same(objects, step.change.old)
        new = None if step.change.new is None else dict(step.change.new)
        if not is_safe(objects, old, new):
            return number
        objects = after(objects, old, new)
    return None


def _same(objects: Sequence[Node], wanted: object) -> Node:
    return next(item for item in objects if item == wanted)


def differences(seeds: Iterable[int], most: int = MOST_CHANGES) -> tuple[list[tuple[int, str]], Counter[str]]:
    """Return the seeds on which planner and witness differ, what differs, and how many sets of each sort were met."""
    found: list[tuple[int, str]] = []
    met = Counter[str]()
    for seed in seeds:
        case = generate_set(seed, most)
        answer = planned(case)
        unsafe = first_unsafe(case, answer)
        exists = has_order(case)
        met["bridged" if answer.blocked and answer.temporary else "blocked" if answer.blocked else "ordered"] += 1
        met["reordered"] += not answer.blocked and [step.change.old for step in answer.steps] != [
            old for old, _ in case.changes
        ]
        if unsafe is not None:
            found.append((seed, f"step {unsafe} loses something"))
        if answer.is_complete is not exists:
            found.append((seed, "there is an order" if exists else "there is no order"))
    return found, met


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m oracle.orders", description=__doc__)
    parser.add_argument("--sets", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, metavar="SEED")
    parser.add_argument("--most", type=int, default=7, metavar="CHANGES", help="changes of a set (default: 7)")
    asked = parser.parse_args()
    found, met = differences(range(asked.first, asked.first + asked.sets), asked.most)
    sys.stdout.write(f"{asked.sets} sets of up to {asked.most} changes: {dict(met)}\n{found or 'no difference'}\n")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
