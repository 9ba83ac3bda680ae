"""
What a fix has to bring about: that changes are not refused, or that what is broken holds.

A goal judges policies, and edits of the changes, as the webhook does, and returns what is refused or broken with them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol, Self

from webhook.admission.audit import Audit, audit
from webhook.admission.fix_policies import ApiObject, name_of_policy, pods_in
from webhook.admission.inflight import NOTHING_IN_FLIGHT
from webhook.admission.networkpolicy import assess
from webhook.admission.options import Options, egress_of, universe_of
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


class Goal(Protocol):
    """What a fix has to bring about."""

    def refusals(self, policies: Policies, edits: Edits) -> tuple[FixTarget, ...]:
        """Return what is refused, or broken, after the policies are applied."""

    def edit(self, refusal: FixTarget) -> Edit | None:
        """Return a small edit with which a change is not refused; None if there is none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangesGoal:
    """
    Changes that are made in their order are not refused.

    Where it is not known when the address of a Service is translated, a change is refused for egress that it cuts off
    with either plugin, and one path that is left is enough for it to be accepted. For a fix it is not: the path that it
    opens may not be the one that counts. So what a change cuts off without the policies of the fix, it cuts off with
    neither plugin after them; and the policies themselves are refused with neither.
    """

    changes: Sequence[ObjectChange]
    snapshot: EemSnapshot
    options: Options

    def refusals(self, policies: Policies, edits: Edits) -> tuple[FixTarget, ...]:
        """Return the policies and changes that are refused; a change that is refused is not made."""
        state, found = _applied(policies, self.snapshot, (self.options, *_translated(self.options)))
        bare = self.snapshot
        current: dict[ResourceName, ApiObject | None] = {}
        for number, given in enumerate(self.changes):
            new = edits[number][1] if number in edits else given.new
            change = replace(given, old=current.get(given.resource, given.old), new=new)
            verdict = verdict_on(change, state, self.options)
            if verdict.advice:
                found.append(_refusal(number, change, verdict, state, self.options))
            elif lost := self._lost_by_translation(change, bare, state):
                found.append(FixTarget(key=number, change=change, lost=lost, before=state))
            elif verdict.allowed:
                state, bare = change.applied_to(state), change.applied_to(bare)
                current[given.resource] = change.new
        return tuple(found)

    def _lost_by_translation(self, change: ObjectChange, bare: EemSnapshot, state: EemSnapshot) -> tuple[Lost, ...]:
        """
        Return what an accepted change cuts off with one plugin, of the egress that it cuts off without the fix.

        Args:
            bare: the cluster without the policies of the fix, and with what was changed before.
            state: the same with these policies.
        """
        possible = () if state is bare else _translated(self.options)
        refused = verdict_on(change, bare, self.options) if possible else None
        if refused is None or not refused.advice:
            return ()
        cut_off = set(map(_need_of, _counted(refused, bare, self.options)))
        return tuple(
            lost
            for options in possible
            for lost in _counted(verdict_on(change, state, options), state, options)
            if lost.direction == "egress" and _need_of(lost) in cut_off
        )

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
        translated = {one.service_translation: audit(snapshot, one) for one in _translated(options)}
        return cls(snapshot=snapshot, options=options, known=audit(snapshot, options), translated=translated)

    def refusals(self, policies: Policies, edits: Edits) -> tuple[FixTarget, ...]:
        """Return the policies that are refused, and what is broken after they are applied."""
        del edits
        state, found = _applied(policies, self.snapshot, (self.options,))
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


def _translated(options: Options) -> tuple[Options, ...]:
    """Return the options for each possibility, where it is not known when the address of a Service is translated."""
    possible = TRANSLATIONS if options.service_translation == "unknown" else ()
    return tuple(replace(options, service_translation=one) for one in possible)


def _applied(
    policies: Policies, state: EemSnapshot, possible: Sequence[Options]
) -> tuple[EemSnapshot, list[FixTarget]]:
    """Return the state after the policies are applied, and those of them that are refused with one of the options."""
    found: list[FixTarget] = []
    for policy in policies:
        change = ObjectChange(old=None, new=policy)
        for options in possible:
            verdict = verdict_on(change, state, options)
            if verdict.advice or verdict.faults:
                found.append(_refusal(name_of_policy(policy), change, verdict, state, options))
                break
        state = state.with_object(policy)
    return state, found


def _refusal(key: Key, change: ObjectChange, verdict: Verdict, before: EemSnapshot, options: Options) -> FixTarget:
    return FixTarget(key=key, change=change, lost=_counted(verdict, before, options), before=before)


def _counted(verdict: Verdict, before: EemSnapshot, options: Options) -> tuple[Lost, ...]:
    """Return what is a reason to refuse a change."""
    return tuple(
        lost
        for lost in verdict.lost
        if options.refuses(decided=lost.decided)
        and (lost.direction == "ingress" or egress_of(lost.instance.namespace, before, options) == "enforce")
    )


def _need_of(lost: Lost) -> tuple[object, ...]:
    return lost.instance, lost.component, lost.need, lost.protocol
