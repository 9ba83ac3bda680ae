"""
Judge one change of a NetworkPolicy: compare the union of all policies before the change with the union after it.

For every requirement of every instance of the namespace that is not exempt, and for every subject that the changed
policy selects before or after the change:
1. `before` = the sources that are admitted with the request's old object in the place of the cached copy; `after` = the
   same with the change applied.
2. A requirement from anywhere loses each source that was admitted and is not any more; a requirement from some source
   loses only the last one.
3. A terminating policy isolates and admits nothing. It may be gone the next moment, without another review; so may a
   policy whose owners do not exist, which the garbage collector deletes. A change beside such policies is judged with
   them and without them.

Judging gives findings only. Texts, examples and remedies are made for the one verdict that is sent (explanation.py).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from webhook.admission.exemptions import added_owners
from webhook.admission.review import PolicyReview
from webhook.admission.world import World
from webhook.eem.instances import Component, Requirement
from webhook.eem.standing import NOTHING_ADMITTED, Port, PortStanding, Standing, port_standing_of
from webhook.eem.subjects import Subject
from webhook.eem.view import Guarded
from webhook.netpol.matching import selects
from webhook.netpol.model import NetworkPolicy, Pod, PolicyType
from webhook.netpol.sources.admitted import admitted_by
from webhook.netpol.sources.difference import PodWitness
from webhook.netpol.sources.loss import AddressWitness, Loss, lost_from_anywhere, lost_from_some, only_pods_left
from webhook.netpol.sources.sides import Side, Tiers
from webhook.netpol.sources.source_set import EVERYONE, NO_SOURCES, Sources
from webhook.netpol.sources.term_algebra import NO_PODS
from webhook.netpol.sources.tier_loss import is_broken, lost_in_tiers, tiers_in

LABEL_CLAUSE = "a policy selects by a label whose value is not known yet"


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """
    One change of one policy.

    Args:
        name: the policy's name.
        old: the policy before the change; None for CREATE.
        new: the policy after the change; None for DELETE.
    """

    name: str
    old: NetworkPolicy | None
    new: NetworkPolicy | None

    def touches(self, pod: Pod) -> bool:
        """Whether the changed policy selects the pod, before or after the change: otherwise nothing changes for it."""
        return is_isolating(self.old, pod) or is_isolating(self.new, pod)


NO_CHANGE = Change(name="", old=None, new=None)
"""For findings about the state, and about changes of other kinds of policies."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """
    What a change means for one requirement and one subject.

    Args:
        loss: what is or may be lost; None for nothing.
        broken: the requirement did not hold before the change and does not hold after it.
        only_pods: addresses could connect before the change, and only selected pods can after it.
        lost_ipv6: an example of lost IPv6 addresses, where nothing else is lost; that is no reason to refuse.
        change: the change that has this effect.
        world: the state in which it has this effect.
        standing: how the subject stands in that state.
        before: the sources that are admitted before the change.
        after: the sources that are admitted after it.
        denied_by: the cluster-wide policies whose rules deny what is lost or was closed; empty where none does.
    """

    requirement: Requirement
    subject: Subject
    loss: Loss | None
    broken: bool
    only_pods: bool
    lost_ipv6: PodWitness | AddressWitness | None
    change: Change = field(compare=False)
    world: World = field(compare=False)
    standing: Standing = field(compare=False)
    before: Sources = field(compare=False)
    after: Sources = field(compare=False)
    denied_by: tuple[str, ...] = ()


def judge(changes: Iterable[Change], world: World) -> tuple[Finding, ...]:
    """Return a finding for every requirement of every subject that the changes touch, unless it simply holds."""
    return tuple(
        finding
        for change in changes
        for guarded in world.view.guarded
        if guarded.needs
        for finding in findings_of(change, world, guarded)
    )


def findings_of(change: Change, world: World, guarded: Guarded) -> list[Finding]:
    """Return a finding for each requirement of one subject, unless it simply holds."""
    if len(guarded.readings) == 1:
        each = _findings(change, world, guarded)
    else:
        each = [in_all_readings(found) for found in zip(*_in_readings(change, world, guarded), strict=True)]
    return [finding for finding in each if finding is not None]


def _in_readings(change: Change, world: World, guarded: Guarded) -> Iterator[list[Finding | None]]:
    """Yield the findings in each reading of the subject's labels; once for readings that the same policies select."""
    selected: list[object] = []
    has_tiers = not world.snapshot.cluster.cluster_policies.is_empty
    for reading in guarded.readings:
        pod = reading.subject.pod
        by = (
            is_isolating(change.old, pod),
            is_isolating(change.new, pod),
            world.view.standing(reading).names_in_order.buckets if change.touches(pod) else None,
            pod.labels if has_tiers else None,  # cluster-wide policies select by labels as well
        )
        if by not in selected:
            selected.append(by)
            yield _findings(change, world, reading)


def _findings(change: Change, world: World, guarded: Guarded) -> list[Finding | None]:
    """Return the finding for each requirement of one subject, in the order of its needs."""
    pod = guarded.subject.pod
    was_isolating, isolates = is_isolating(change.old, pod), is_isolating(change.new, pod)
    if not (was_isolating or isolates):
        return [None] * len(guarded.needs)
    standing = world.view.standing(guarded)
    case = _Case(
        change=change,
        world=world,
        subject=guarded.subject,
        standing=standing,
        old=change.old if was_isolating else None,
        new=change.new if isolates else None,
        leaving=standing.leaving(world.view.orphaned) - {change.name},
    )
    return [case.find(requirement) for requirement in guarded.needs]


def in_all_readings(each: Sequence[Finding | None]) -> Finding | None:
    """
    Return one finding for those in each reading of the subject's labels; None for nothing.

    What is lost in each reading is lost, whatever the values of the labels are. A reading in which every selector that
    compares an unknown value fits, and one in which none does, bound all others: policies add up, so a source that is
    lost in both is lost where some selectors fit.
    """
    found = [finding for finding in each if finding is not None]
    if not found:
        return None
    worst = min(found, key=lambda finding: _badness(finding.loss))
    loss, is_in_all = worst.loss, len(found) == len(each)
    if loss is not None and loss.decided and not (is_in_all and all(_is_surely_lost(known) for known in found)):
        loss = replace(loss, decided=False, why_undecided=LABEL_CLAUSE)
    is_broken = is_in_all and all(known.broken for known in found)
    is_nothing = not (loss or is_broken or worst.only_pods or worst.lost_ipv6)
    return None if is_nothing else replace(worst, loss=loss, broken=is_broken)


def _is_surely_lost(finding: Finding) -> bool:
    return finding.loss is not None and finding.loss.decided


def changes_of(review: PolicyReview, world: World) -> tuple[Change, ...]:
    """
    Return what the request may lead to: one change, or two if it adds an owner that is not a live instance.

    In that case the garbage collector may delete the policy, and that deletion is allowed without evaluation.
    """
    old, new = review.old_in(world.view.policies), review.new
    if new is None:
        return (Change(name=review.name, old=old, new=None),)
    update = Change(name=review.name, old=None if old is None else _as_live(old), new=_as_live(new))
    if review.request.operation == "CREATE" or not added_owners(review.request, world.snapshot):
        return (update,)
    deletion = replace(update, new=None)
    return (deletion,) if review.request.leaves_spec_unchanged else (deletion, update)


def _as_live(policy: NetworkPolicy) -> NetworkPolicy:
    """Return a policy as if it were not terminating: an edit of its spec is judged like any other."""
    return replace(policy, terminating=False) if policy.terminating else policy


def is_isolating(policy: NetworkPolicy | None, pod: Pod) -> bool:
    """Whether there is a policy and it isolates the pod."""
    return policy is not None and selects(policy, pod, PolicyType.INGRESS)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Others:
    """What all policies but the changed one amount to at a port: whether they isolate the subject, what they admit."""

    isolated: bool
    port: PortStanding


@dataclass(frozen=True, kw_only=True, slots=True)
class _Case:
    """
    What a change means for one subject.

    Args:
        old: the policy before the change, if it isolates the subject.
        new: the policy after the change, if it isolates the subject.
        leaving: the other policies that isolate the subject and may be gone the next moment.
    """

    change: Change
    world: World
    subject: Subject
    standing: Standing
    old: NetworkPolicy | None
    new: NetworkPolicy | None
    leaving: frozenset[str]

    def find(self, requirement: Requirement) -> Finding | None:
        """Return the worst finding, with and without the policies that are leaving; None if the requirement holds."""
        port = requirement.protocol, requirement.port
        others = self._others(port)
        if others.port.is_open_without(self.change.name) and not self.leaving:
            return None
        requirement = self.world.demanded(requirement)
        beside = (others, self._lasting(port)) if self.leaving else (others,)
        findings = [finding for one in beside if (finding := self._finding(requirement, one)) is not None]
        worst = min(findings, key=lambda finding: _badness(finding.loss), default=None)
        is_telling = worst is not None and (worst.loss or worst.broken or worst.only_pods or worst.lost_ipv6)
        return worst if is_telling else None

    def _others(self, port: Port) -> _Others:
        """Return the other policies of the world."""
        if self.world.others != "known":
            return _Others(isolated=self.world.others == "isolating", port=NOTHING_ADMITTED)
        isolating, name = self.standing.isolating, self.change.name
        return _Others(isolated=len(isolating) > (name in isolating), port=self.standing.ports[port])

    def _lasting(self, port: Port) -> _Others:
        """Return the other policies without those that are leaving."""
        gone = {self.change.name, *self.leaving}
        lasting = [policy for name, policy in self.standing.isolating.items() if name not in gone]
        return _Others(isolated=bool(lasting), port=port_standing_of(self.subject.pod, port, lasting))

    def _finding(self, requirement: Requirement, others: _Others) -> Finding | None:
        """Return the finding beside these other policies; None if everyone can connect after the change."""
        after = self._admitted(self.new, requirement, others)
        tiers = tiers_in(self.world.snapshot.cluster, self.subject.pod, requirement.protocol, requirement.port)
        if tiers is not None:
            return self._finding_in_tiers(requirement, tiers, others)
        if after.everyone:
            return None
        before = self._admitted(self.old, requirement, others)
        lost = lost_from_anywhere if requirement.sources == "anywhere" else lost_from_some
        universe, answers = self.world.universe, self.world.answers
        loss = lost(before, after, universe, answers)
        only_ipv6 = loss is not None and loss.only_ipv6
        missing = lost(EVERYONE, after, universe, answers) if loss is None or only_ipv6 else None
        return self._found(requirement, loss, before, after, broken=missing is not None and missing.decided)

    def _finding_in_tiers(self, requirement: Requirement, tiers: Tiers, others: _Others) -> Finding | None:
        """Return the finding where tiers decide before the NetworkPolicies and after them."""
        before, after = (
            Side(
                sources=self._admitted(policy, requirement, others),
                isolated=others.isolated or policy is not None,
                tiers=tiers,
            )
            for policy in (self.old, self.new)
        )
        demand, universe, answers = requirement.sources, self.world.universe, self.world.answers
        found = lost_in_tiers(before, after, demand, NO_PODS, universe, answers)
        by = after.denying if found is None else found.denied_by
        if found is None:
            is_shut = is_broken(after, demand, universe, answers)
            return replace(self._found(requirement, None, before.sources, after.sources, broken=is_shut), denied_by=by)
        return replace(self._found(requirement, found.loss, found.before, found.after, broken=False), denied_by=by)

    def _found(
        self, requirement: Requirement, loss: Loss | None, before: Sources, after: Sources, *, broken: bool
    ) -> Finding:
        lost_ipv6 = None if loss is None or not loss.only_ipv6 else loss.witness
        loss = None if lost_ipv6 else loss
        is_operator = requirement.component is Component.OPERATOR
        return Finding(
            requirement=requirement,
            subject=self.subject,
            loss=loss,
            broken=broken,
            only_pods=is_operator and loss is None and only_pods_left(before, after),
            lost_ipv6=lost_ipv6,
            change=self.change,
            world=self.world,
            standing=self.standing,
            before=before,
            after=after,
        )

    def _admitted(self, policy: NetworkPolicy | None, requirement: Requirement, others: _Others) -> Sources:
        """Return the sources that are admitted with *policy*, if there is one, beside the other policies."""
        if policy is None and not others.isolated:
            return EVERYONE
        own = NO_SOURCES
        if policy is not None:
            own = admitted_by(policy, self.subject.pod.ports, requirement.protocol, requirement.port)
        return others.port.total_with(self.change.name, own, self.world.answers)


def _badness(loss: Loss | None) -> int:
    """Return a number that is lower for a worse loss."""
    if loss is None:
        return 2
    return 0 if loss.decided else 1
