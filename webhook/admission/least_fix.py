"""
Find the least that makes refused changes acceptable: a small edit of a change, or NetworkPolicies to apply first.

1. Where a small edit of a change is enough, such as a port or a label, it is the fix: it is smaller than a policy.
2. Else policies are tried that select the pods which lose something. They admit everyone at the lost ports, or the
   peers of the old policy. A policy is no fix if it opens what was closed before the change, or isolates pods that the
   change does not isolate.
3. Everything that can be left out is left out: a policy, a direction, a rule, a peer, a port.

Each answer has been judged as the webhook judges it: the policies first, one after the other, then the changes.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol, Self

from webhook.admission.audit import Audit, audit
from webhook.admission.fix_policies import ApiObject, name_of_policy, pods_in, policies_for
from webhook.admission.inflight import NOTHING_IN_FLIGHT
from webhook.admission.networkpolicy import assess
from webhook.admission.options import Options, egress_of, universe_of
from webhook.admission.plan import independent
from webhook.admission.review import PolicyReview
from webhook.admission.small_edit import Edit, small_edits
from webhook.admission.trial import ObjectChange, request_of, verdict_on
from webhook.admission.verdict import Lost, ResourceName, Verdict
from webhook.eem.eem_snapshot import EemSnapshot
from webhook.eem.paths import ServiceTranslation
from webhook.netpol.sources.budget import Answers
from webhook.netpol.sources.opening import Opening

Policies = Sequence[ApiObject]
Edits = Mapping[int, Edit]
Key = int | str
"""The number of a change, the name of a policy of the fix, or an instance and a component."""

NO_EDITS: Final[Edits] = {}

TRANSLATIONS: Final[tuple[ServiceTranslation, ...]] = ("before-policy", "after-policy")


@dataclass(frozen=True, kw_only=True, slots=True)
class FixTarget:
    """
    A change that is refused, or what is broken without a change.

    Args:
        change: None for what is broken.
        lost: what is a reason to refuse.
        before: the cluster before the change.
    """

    key: Key
    change: ObjectChange | None
    lost: tuple[Lost, ...]
    before: EemSnapshot

    @property
    def after(self) -> EemSnapshot:
        """Return the cluster after the change."""
        return self.before if self.change is None else self.change.applied_to(self.before)


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


class Goal(Protocol):
    """What a fix has to bring about."""

    def refusals(self, policies: Policies, edits: Edits) -> tuple[FixTarget, ...]:
        """Return what is refused, or broken, after the policies are applied."""

    def edit(self, refusal: FixTarget) -> Edit | None:
        """Return a small edit with which a change is not refused; None if there is none."""


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


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangesGoal:
    """Changes that are made in their order are not refused."""

    changes: Sequence[ObjectChange]
    snapshot: EemSnapshot
    options: Options

    def refusals(self, policies: Policies, edits: Edits) -> tuple[FixTarget, ...]:
        """Return the policies and changes that are refused; a change that is refused is not made."""
        state, found = _applied(policies, self.snapshot, self.options)
        current: dict[ResourceName, ApiObject | None] = {}
        for number, given in enumerate(self.changes):
            new = edits[number][1] if number in edits else given.new
            change = replace(given, old=current.get(given.resource, given.old), new=new)
            verdict = verdict_on(change, state, self.options)
            if verdict.advice:
                found.append(_refusal(number, change, verdict, state, self.options))
            elif verdict.allowed:
                state = change.applied_to(state)
                current[given.resource] = change.new
        return tuple(found)

    def edit(self, refusal: FixTarget) -> Edit | None:
        """Return the first small edit that is accepted and opens nothing that is closed both before and after."""
        change = refusal.change
        if change is None or change.resource.kind != "NetworkPolicy":
            return None
        state, namespace = refusal.before, change.resource.namespace
        review = PolicyReview.of(request_of(change), state.cluster.state(namespace).policies)
        losses = assess(review, state, NOTHING_IN_FLIGHT, self.options).losses
        edits = small_edits(review, losses)
        return next((edit for edit in edits if self._is_fine(replace(change, new=edit[1]), refusal)), None)

    def _is_fine(self, edited: ObjectChange, refusal: FixTarget) -> bool:
        verdict = verdict_on(edited, refusal.before, self.options)
        if verdict.advice or verdict.faults:
            return False
        namespace = edited.resource.namespace
        opening = Opening(
            after=edited.applied_to(refusal.before).cluster.state(namespace).sorted_policies(),
            before=[state.cluster.state(namespace).sorted_policies() for state in (refusal.before, refusal.after)],
            universe=universe_of(refusal.before, self.options),
            answers=Answers(),
        )
        return not any(opening.opens(pod) for pod in pods_in(namespace, refusal.before))


@dataclass(frozen=True, kw_only=True, slots=True)
class StateGoal:
    """
    The requirements hold, and the needs where egress is judged.

    Args:
        known: the audit of the state as it is.
        translated: where it is not known when the address of a Service is translated, the audits of the state for each
            possibility, by the options: what is cut off with neither shall hold with both.
    """

    snapshot: EemSnapshot
    options: Options
    known: Audit
    translated: Mapping[ServiceTranslation, Audit]

    @classmethod
    def of(cls, snapshot: EemSnapshot, options: Options) -> Self:
        """Return the goal for a state."""
        possible = TRANSLATIONS if options.service_translation == "unknown" else ()
        translated = {one: audit(snapshot, replace(options, service_translation=one)) for one in possible}
        return cls(snapshot=snapshot, options=options, known=audit(snapshot, options), translated=translated)

    def refusals(self, policies: Policies, edits: Edits) -> tuple[FixTarget, ...]:
        """Return the policies that are refused, and what is broken after they are applied."""
        del edits
        state, found = _applied(policies, self.snapshot, self.options)
        broken: dict[str, list[Lost]] = {}
        for lost in self._broken(state):
            ref = lost.instance
            broken.setdefault(f"{ref.kind}/{ref.namespace}/{ref.name}/{lost.component.value}", []).append(lost)
        refusals = (FixTarget(key=key, change=None, lost=tuple(losses), before=state) for key, losses in broken.items())
        return (*found, *refusals)

    def _broken(self, state: EemSnapshot) -> Iterator[Lost]:
        audited = audit(state, self.options, known=self.known)
        yield from (one.lost for one in audited.states() if not one.met and one.lost is not None)
        needs = {one.need.name: one.lost for one in audited.need_states() if not one.met}
        cut_off = {one.need.name for one in self.known.need_states() if not one.met}
        for translation, known in self.translated.items():
            options = replace(self.options, service_translation=translation)
            states = audit(state, options, known=known).need_states()
            needs = {one.need.name: one.lost for one in states if not one.met and one.need.name in cut_off} | needs
        yield from filter(None, needs.values())

    def edit(self, refusal: FixTarget) -> Edit | None:
        """Return None: there is no change."""
        del refusal
        return None


def _applied(policies: Policies, state: EemSnapshot, options: Options) -> tuple[EemSnapshot, list[FixTarget]]:
    """Return the state after the policies are applied, and those of them that are refused."""
    found: list[FixTarget] = []
    for policy in policies:
        change = ObjectChange(old=None, new=policy)
        verdict = verdict_on(change, state, options)
        if verdict.advice or verdict.faults:
            found.append(_refusal(name_of_policy(policy), change, verdict, state, options))
        state = state.with_object(policy)
    return state, found


def _refusal(key: Key, change: ObjectChange, verdict: Verdict, before: EemSnapshot, options: Options) -> FixTarget:
    counted = (
        lost
        for lost in verdict.lost
        if (lost.decided or options.strict)
        and (lost.direction == "ingress" or egress_of(lost.instance.namespace, before, options) == "enforce")
    )
    return FixTarget(key=key, change=change, lost=tuple(counted), before=before)
