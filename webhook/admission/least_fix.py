"""
Find the least that makes refused changes acceptable: a small edit of a change, or NetworkPolicies to apply first.

1. Where a small edit of a change is enough, such as a port or a label, it is the fix: it is smaller than a policy.
2. Else policies are tried that select the pods which lose something. They admit everyone at the lost ports, or the
   peers of the old policy. A policy is no fix if it opens what was closed before the change, or isolates pods that the
   change does not isolate.
3. Everything that can be left out is left out: a policy, a direction, a rule, a peer, a port.

Each answer has been judged as the webhook judges it: the policies first, one after the other, then the changes
(`fix_goals`).
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from webhook.admission.fix_goals import ChangesGoal, Edits, FixTarget, Goal, Key, Policies, StateGoal
from webhook.admission.fix_policies import ApiObject, name_of_policy, policies_for
from webhook.admission.options import Options
from webhook.admission.plan import independent
from webhook.admission.small_edit import Edit
from webhook.admission.trial import ObjectChange
from webhook.eem.eem_snapshot import EemSnapshot


@dataclass(frozen=True, kw_only=True, slots=True)
class FixPolicy:
    """A policy of a fix, and the refusals that remain without it."""

    policy: ApiObject
    without: tuple[FixTarget, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class FixEdit:
    """A small edit of a refused change: what to do, as a clause, and the object after it."""

    clause: str
    edited: ApiObject
    refusal: FixTarget


@dataclass(frozen=True, kw_only=True, slots=True)
class Fix:
    """
    The least that makes refused changes acceptable.

    Args:
        policies: to apply first, in this order.
        edits: the changes to make in another way.
        hopeless: the refusals for which nothing was found.
    """

    policies: tuple[FixPolicy, ...] = ()
    edits: tuple[FixEdit, ...] = ()
    hopeless: tuple[FixTarget, ...] = ()


def fix_of_changes(changes: Sequence[ObjectChange], snapshot: EemSnapshot, options: Options) -> Fix:
    """Return the least that makes the refused ones among *changes*, made in their order, acceptable."""
    taken = {change.resource.name for change in changes}
    whole = Fix()
    for group in independent(changes):
        found = _solved(ChangesGoal(changes=group, snapshot=snapshot, options=options), taken, options)
        whole = Fix(
            policies=(*whole.policies, *found.policies),
            edits=(*whole.edits, *found.edits),
            hopeless=(*whole.hopeless, *found.hopeless),
        )
    return whole


def fix_of_state(snapshot: EemSnapshot, options: Options) -> Fix:
    """Return the least policies with which the requirements and the needs hold that are broken."""
    return _solved(StateGoal.of(snapshot, options), set(), options)


def _solved(goal: Goal, taken: set[str], options: Options) -> Fix:
    policies: list[ApiObject] = []
    edits: dict[int, Edit] = {}
    edited: dict[int, FixTarget] = {}
    hopeless: dict[Key, FixTarget] = {}
    tried: set[Key] = set()
    while (refusal := _first(goal.refusals(policies, edits), hopeless)) is not None:
        key = refusal.key
        edit = None if key in tried else goal.edit(refusal)
        if edit is not None and isinstance(key, int):
            edits[key], edited[key] = edit, refusal
            tried.add(key)
            continue
        found = (
            []
            if key in tried and key not in edits
            else policies_for(refusal.lost, refusal.change, refusal.before, options, taken)
        )
        tried.add(key)
        if found and _is_enough(goal.refusals([*policies, *found], edits), key, found):
            policies.extend(found)
            taken.update(map(name_of_policy, found))
        else:
            hopeless[key] = refusal
    least = _least(goal, policies, edits, hopeless)
    return Fix(
        policies=tuple(
            FixPolicy(policy=policy, without=_rest(goal.refusals(_without(least, policy), edits), hopeless))
            for policy in least
        ),
        edits=tuple(FixEdit(clause=edits[key][0], edited=edits[key][1], refusal=edited[key]) for key in sorted(edits)),
        hopeless=tuple(hopeless.values()),
    )


def _first(refusals: Sequence[FixTarget], hopeless: Collection[Key]) -> FixTarget | None:
    return next(iter(_rest(refusals, hopeless)), None)


def _rest(refusals: Sequence[FixTarget], hopeless: Collection[Key]) -> tuple[FixTarget, ...]:
    return tuple(refusal for refusal in refusals if refusal.key not in hopeless)


def _is_enough(refusals: Sequence[FixTarget], key: Key, found: Policies) -> bool:
    """Whether neither the refusal nor one of the policies of its fix is among the refusals."""
    return not {key, *map(name_of_policy, found)} & {refusal.key for refusal in refusals}


def _without(policies: Policies, one: ApiObject) -> list[ApiObject]:
    return [policy for policy in policies if policy is not one]


def _least(goal: Goal, policies: Policies, edits: Edits, hopeless: Collection[Key]) -> Policies:
    """Leave out one thing after the other, until something is refused without each of those that are left."""
    while True:
        fewer = (less for less in _less(policies) if _first(goal.refusals(less, edits), hopeless) is None)
        found = next(fewer, None)
        if found is None:
            return policies
        policies = found


def _less(policies: Policies) -> Iterator[Policies]:
    """Yield the policies with one thing less: a policy, a direction, a rule, a peer or a port."""
    for index, policy in enumerate(policies):
        yield [*policies[:index], *policies[index + 1 :]]
        for smaller in less_of(policy):
            yield [*policies[:index], smaller, *policies[index + 1 :]]


def less_of(policy: ApiObject) -> Iterator[ApiObject]:
    """Yield a policy with one thing less, the largest things first."""
    spec = policy["spec"]
    if len(spec["policyTypes"]) > 1:
        for written in spec["policyTypes"]:
            kept = {key: value for key, value in spec.items() if key != written.lower()}
            yield {**policy, "spec": {**kept, "policyTypes": [one for one in spec["policyTypes"] if one != written]}}
    for section in ("ingress", "egress"):
        rules = spec.get(section, [])
        for smaller in _shorter(rules):
            yield {**policy, "spec": {**spec, section: smaller}}
        for index, rule in enumerate(rules):
            for key in ("from", "to", "ports"):
                for shorter in _shorter(rule.get(key) or []):
                    changed = [*rules[:index], {**rule, key: shorter}, *rules[index + 1 :]]
                    yield {**policy, "spec": {**spec, section: changed}}


def _shorter(items: Sequence[Any]) -> Iterator[list[Any]]:
    """Yield a list without one of its items; an empty list would mean everything, so the last one stays."""
    if len(items) > 1:
        yield from ([*items[:index], *items[index + 1 :]] for index in range(len(items)))
