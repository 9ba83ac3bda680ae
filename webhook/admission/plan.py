"""
Find an order of several changes in which no step interrupts required ingress.

Changes that cannot affect each other are planned apart: a change of a policy, an instance, a pod or a workload affects
the EEM of its own namespace only; a change of a cluster-scoped object may affect all. The search is exact for groups of
up to MOST_EXACT changes: it visits each set of changes that can be reached without an interruption once. In a larger
group it applies the first change that is safe, over and over. In either case each step of a plan has been tried.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, count
from typing import Any, Final

from webhook.admission.options import Options
from webhook.admission.trial import ObjectChange, Trial, attempt
from webhook.eem.eem_snapshot import EemSnapshot

ApiObject = Mapping[str, Any]

MOST_EXACT: Final = 12
"""With n changes there are at most n · 2^(n-1) trials, each of a fraction of a millisecond: 24,576, some seconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanStep:
    """
    One step of a plan.

    Args:
        change: what is applied or deleted.
        trial: its result on the state after the steps before it.
        is_temporary: a policy that is needed only on the way is applied or deleted; the changes do not contain it.
    """

    change: ObjectChange
    trial: Trial
    is_temporary: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """
    An order of changes.

    Args:
        steps: in order; each is safe.
        blocked: the changes without a place in an order of the given changes alone, each with what it would interrupt.
        is_exact: whether it is certain that no order of the given changes exists where changes are blocked.
    """

    steps: tuple[PlanStep, ...] = ()
    blocked: tuple[PlanStep, ...] = ()
    is_exact: bool = True

    @property
    def is_complete(self) -> bool:
        """Whether there is an order of the given changes alone."""
        return not self.blocked

    @property
    def temporary(self) -> tuple[PlanStep, ...]:
        """Return the steps that apply a policy which is needed only on the way."""
        return tuple(step for step in self.steps if step.is_temporary and step.change.new is not None)


def plan(changes: Sequence[ObjectChange], snapshot: EemSnapshot, options: Options) -> Plan:
    """
    Return an order of *changes* in which each step is safe: the first one in the order of permutations.

    If there is none, changes are blocked. The steps then contain temporary policies with which there is an order: the
    remedies of blocked changes, none of which can be left out; their deletions are the last steps. If temporary
    policies do not help, the steps are those that can be made.
    """
    whole = Plan()
    for group in independent(changes):
        found = _planned(group, snapshot, options)
        if not found.is_complete:
            bridged = _with_temporary_policies(group, snapshot, options, found)
            found = replace(found, steps=bridged.steps)
        snapshot = found.steps[-1].trial.after if found.steps else snapshot
        whole = Plan(
            steps=(*whole.steps, *found.steps),
            blocked=(*whole.blocked, *found.blocked),
            is_exact=whole.is_exact and found.is_exact,
        )
    return whole


def independent(changes: Sequence[ObjectChange]) -> Iterator[tuple[ObjectChange, ...]]:
    """Yield groups of changes that cannot affect each other, each in the given order."""
    if any(not change.resource.namespace for change in changes):
        yield tuple(changes)
        return
    groups: dict[str, list[ObjectChange]] = {}
    for change in changes:
        groups.setdefault(change.resource.namespace, []).append(change)
    yield from map(tuple, groups.values())


def _planned(changes: Sequence[ObjectChange], snapshot: EemSnapshot, options: Options) -> Plan:
    search = _Search(changes=changes, options=options)
    everything = frozenset(range(len(changes)))
    is_exact = len(changes) <= MOST_EXACT
    found = search.exact(everything, snapshot, ()) if is_exact else search.greedy(everything, snapshot)
    steps = search.longest if found is None else found
    state = steps[-1].trial.after if steps else snapshot
    placed = {id(step.change) for step in steps}
    blocked = (change for change in changes if id(change) not in placed)
    trials = tuple(PlanStep(change=change, trial=attempt(change, state, options)) for change in blocked)
    return Plan(steps=steps, blocked=trials, is_exact=is_exact)


@dataclass(kw_only=True, slots=True)
class _Search:
    """
    The search for an order of one group.

    Args:
        dead: sets of changes that are left, from which no order leads to the end.
        longest: the most steps that were made before no change was safe.
    """

    changes: Sequence[ObjectChange]
    options: Options
    dead: set[frozenset[int]] = field(default_factory=set)
    longest: tuple[PlanStep, ...] = ()

    def exact(
        self, left: frozenset[int], state: EemSnapshot, steps: tuple[PlanStep, ...]
    ) -> tuple[PlanStep, ...] | None:
        """Return all steps of an order that begins with *steps*; None if there is none."""
        if not left:
            return steps
        for number in sorted(left):
            rest = left - {number}
            if rest in self.dead:
                continue
            step = self._try(number, state)
            if step.trial.is_safe:
                found = self.exact(rest, step.trial.after, (*steps, step))
                if found is not None:
                    return found
        self.dead.add(left)
        if len(steps) > len(self.longest):
            self.longest = steps
        return None

    def greedy(self, left: frozenset[int], state: EemSnapshot) -> tuple[PlanStep, ...]:
        """Return the steps that are made if the first safe change is always the next."""
        steps: list[PlanStep] = []
        while True:
            tried = (self._try(number, state) for number in sorted(left))
            step = next((step for step in tried if step.trial.is_safe), None)
            if step is None:
                return tuple(steps)
            steps.append(step)
            left = frozenset(number for number in left if self.changes[number] is not step.change)
            state = step.trial.after

    def _try(self, number: int, state: EemSnapshot) -> PlanStep:
        return PlanStep(change=self.changes[number], trial=attempt(self.changes[number], state, self.options))


def _with_temporary_policies(
    changes: Sequence[ObjectChange], snapshot: EemSnapshot, options: Options, without: Plan
) -> Plan:
    """Return a complete plan with temporary policies, none of which can be left out; *without* if there is none."""
    taken = {change.resource.name for change in changes}
    remedies: list[ApiObject] = []
    found = without
    while not found.is_complete:
        losses = chain.from_iterable(step.trial.verdict.lost for step in found.blocked)
        known = [remedy["spec"] for remedy in remedies]
        new = [lost.remedy for lost in losses if lost.remedy is not None and lost.remedy["spec"] not in known]
        if not new:
            return without
        remedies.append(_named_apart(new[0], taken))
        found = _between(remedies, changes, snapshot, options)
    for remedy in tuple(remedies):
        fewer = [kept for kept in remedies if kept is not remedy]
        shorter = _between(fewer, changes, snapshot, options)
        if shorter.is_complete:
            remedies, found = fewer, shorter
    return found


def _named_apart(remedy: ApiObject, taken: set[str]) -> ApiObject:
    """Return a remedy under a name that no change has, which is added to *taken*."""
    stem = remedy["metadata"]["name"]
    names = chain((f"{stem}-temporary",), (f"{stem}-temporary-{number}" for number in count(2)))
    name = next(name for name in names if name not in taken)
    taken.add(name)
    return {**remedy, "metadata": {**remedy["metadata"], "name": name}}


def _between(
    remedies: Sequence[ApiObject], changes: Sequence[ObjectChange], snapshot: EemSnapshot, options: Options
) -> Plan:
    """Return the plan in which *remedies* are applied before the changes and deleted after them."""
    created = _temporary([ObjectChange(old=None, new=remedy) for remedy in remedies], snapshot, options)
    found = _planned(changes, created.steps[-1].trial.after if created.steps else snapshot, options)
    if created.blocked or found.blocked:
        return Plan(steps=(), blocked=(*created.blocked, *found.blocked), is_exact=found.is_exact)
    last = (*created.steps, *found.steps)[-1].trial.after
    deleted = _temporary([ObjectChange(old=remedy, new=None) for remedy in remedies], last, options)
    steps = (*created.steps, *found.steps, *deleted.steps)
    return Plan(steps=steps, blocked=deleted.blocked, is_exact=found.is_exact)


def _temporary(changes: Sequence[ObjectChange], snapshot: EemSnapshot, options: Options) -> Plan:
    steps: list[PlanStep] = []
    for change in changes:
        trial = attempt(change, snapshot, options)
        step = PlanStep(change=change, trial=trial, is_temporary=True)
        if not trial.is_safe:
            return Plan(steps=tuple(steps), blocked=(step,))
        steps.append(step)
        snapshot = trial.after
    return Plan(steps=tuple(steps))
