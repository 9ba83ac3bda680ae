"""
Put seeded refused changes to the search for the least fix, and its answers to the witness.

    PYTHONPATH=.:tests python -m oracle.fixes --changes 10000

The witness judges each policy of a fix as a change of its own, then the refused change; again with each single thing
left out; and asks about connections with the fix that were not allowed without it. The command exits with 1 if there is
any difference.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from oracle.connections import RANK, End, direction_answer, find_end
from oracle.generate import Pair, generate_pair
from oracle.naive import Change, judge
from oracle.orders import after
from oracle.plans import OWN_NAMESPACE
from oracle.product import options_of
from oracle.semantics import SOUND
from oracle.vocabulary import EVERY_PORT, Node
from oracle.world import of_kind
from webhook.admission.least_fix import Fix, fix_of_changes, less_of
from webhook.admission.trial import ObjectChange
from webhook.eem import EemSnapshot

ADDRESSES = ("203.0.113.7", "10.1.2.3", "192.168.10.1")
PORTS = (*(("TCP", port) for port in (*EVERY_PORT, 3001)), ("UDP", 8092))


@dataclass(frozen=True, kw_only=True, slots=True)
class RefusedChange:
    """A cluster and a change that the witness refuses there."""

    pair: Pair
    objects: list[Node]

    @property
    def old(self) -> Node | None:
        """Return the policy before the change."""
        old: Node | None = self.pair.change.old_object
        return old

    @property
    def new(self) -> Node | None:
        """Return the policy after the change."""
        new: Node | None = self.pair.change.object
        return new

    def is_refused(self, objects: Sequence[Node], old: Node | None, new: Node | None) -> bool:
        """Whether the witness refuses a change."""
        operation = "CREATE" if old is None else "DELETE" if new is None else "UPDATE"
        name = (new or old or {})["metadata"].get("name", "")
        change = Change(operation=operation, namespace=OWN_NAMESPACE, name=name, object=new, old_object=old)
        return judge(objects, change, self.pair.settings).denied(self.pair.settings)

    def is_fixed_by(self, policies: Iterable[Node], new: Node | None) -> bool:
        """Whether the witness accepts each policy, and then the change."""
        objects: list[Node] = self.objects
        for policy in policies:
            if self.is_refused(objects, None, policy):
                return False
            objects = [*objects, policy]
        return not self.is_refused(objects, self.old, new)


def refused_change(seed: int) -> RefusedChange | None:
    """Make a change that the witness refuses, in a cluster that has its old object; None if it accepts the change."""
    pair = generate_pair(seed)
    others = [
        item for item in pair.objects if (item["kind"], item["metadata"].get("name")) != ("NetworkPolicy", "subject")
    ]
    old = pair.change.old_object
    case = RefusedChange(pair=pair, objects=others if old is None else [*others, old])
    return case if case.is_refused(case.objects, case.old, case.new) else None


def fix_of(case: RefusedChange) -> Fix:
    """Return the answer of the product."""
    change = ObjectChange(old=case.old, new=case.new)
    return fix_of_changes([change], EemSnapshot.from_objects(case.objects), options_of(case.pair.settings))


def problems(case: RefusedChange, fix: Fix) -> Iterator[str]:
    """Yield what is wrong with a fix."""
    policies = [dict(one.policy) for one in fix.policies]
    new: Any = dict(fix.edits[0].edited) if fix.edits else case.new
    if not case.is_fixed_by(policies, new):
        yield "the change is refused with the fix"
    for index, policy in enumerate(policies):
        for smaller in ([], *([dict(less)] for less in less_of(policy))):
            if case.is_fixed_by([*policies[:index], *smaller, *policies[index + 1 :]], new):
                yield f"something can be left out of {policy}: {smaller}"
    without = [case.objects, after(case.objects, case.old, case.new)]
    fixed = [*case.objects, *policies]
    reading = case.pair.settings.ipblock_matches_pods
    yield from (f"opens {one}" for one in opened(without, [fixed, after(fixed, case.old, new)], reading))


def opened(without: Sequence[Sequence[Node]], fixed: Sequence[Sequence[Node]], reading: str) -> Iterator[str]:
    """
    Yield connections that pods of EEM's namespace accept in one of the fixed clusters, and in none of the others.

    Args:
        reading: whether an ipBlock matches pods: "unknown", "yes" or "no".
    """
    semantics = replace(SOUND, block_reading=lambda _: reading)
    pods = [f"{pod['metadata']['namespace']}/{pod['metadata']['name']}" for pod in of_kind(without[0], "Pod")]
    own = [pod for pod in pods if pod.startswith(f"{OWN_NAMESPACE}/")]
    for destination, source in product(own, (*pods, *ADDRESSES)):
        goal = find_end(destination, without[0])
        starts = [] if source == destination else possible_ends(source, without[0])
        for start, (protocol, port) in product(starts, PORTS):
            was, now = (
                max(
                    RANK[direction_answer("Ingress", (goal, start, goal), (protocol, port), objects, semantics)]
                    for objects in each
                )
                for each in (without, fixed)
            )
            if now > was:
                yield f"{source} ({', '.join(start.addresses)}) to {destination} {protocol}/{port}"


def possible_ends(text: str, objects: Sequence[Node]) -> list[End]:
    """Return one end of connections; of a pod that has no address yet, one for each of a few that it may get."""
    end = find_end(text, objects)
    return [end] if end.addresses else [replace(end, addresses=(address,)) for address in ADDRESSES]


def differences(seeds: Iterable[int]) -> tuple[list[tuple[int, str]], Counter[str]]:
    """Return the seeds with a wrong fix and what is wrong with it, and how many fixes of each sort were met."""
    found: list[tuple[int, str]] = []
    met = Counter[str]()
    for seed in seeds:
        case = refused_change(seed)
        if case is None:
            continue
        fix = fix_of(case)
        sort = "none" if fix.hopeless else "edit" if fix.edits else f"{len(fix.policies)} policies"
        met[sort] += 1
        if not fix.hopeless:
            found.extend((seed, problem) for problem in problems(case, fix))
    return found, met


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m oracle.fixes", description=__doc__)
    parser.add_argument("--changes", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, metavar="SEED")
    asked = parser.parse_args()
    found, met = differences(range(asked.first, asked.first + asked.changes))
    sys.stdout.write(f"{asked.changes} changes, {met.total()} refused: {dict(met)}\n{found or 'no difference'}\n")
    return 1 if found else 0


if __name__ == "__main__":
    raise SystemExit(main())
