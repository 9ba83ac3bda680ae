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

from dataclasses import dataclass, field, replace
from typing import Literal

from webhook.admission.exemptions import added_owners
from webhook.admission.review import PolicyReview
from webhook.eem.eem_snapshot import EemSnapshot
from webhook.eem.instances import Component, Requirement, SourcesDemand
from webhook.eem.standing import Standing
from webhook.eem.subjects import Subject
from webhook.eem.view import EemNamespace
from webhook.netpol.matching import selects
from webhook.netpol.model import NetworkPolicy, Pod, PolicyType
from webhook.netpol.sources.admitted import admitted
from webhook.netpol.sources.budget import Answers
from webhook.netpol.sources.difference import PodWitness
from webhook.netpol.sources.loss import AddressWitness, Loss, lost_from_anywhere, lost_from_some, only_pods_left
from webhook.netpol.sources.source_set import EVERYONE, NO_SOURCES, Sources
from webhook.netpol.sources.universe import Universe


@dataclass(frozen=True, kw_only=True, slots=True)
class World:
    """
    The state in which a change is judged.

    Args:
        snapshot: the cluster.
        view: the namespace of the change: as the snapshot has it, or as changes in flight may leave it.
        demand: which sources the requirements of managers and gateways demand there.
        universe: all sources that may want to connect.
        answers: the answers to the questions of one verdict.
        others: what the other policies of the namespace do: as the view has them, or one of the two extremes between
            which all their states are: they are absent, or they isolate every pod and admit nothing.
    """

    snapshot: EemSnapshot
    view: EemNamespace
    demand: SourcesDemand
    universe: Universe
    answers: Answers
    others: Literal["known", "absent", "isolating"] = "known"


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


def judge(review: PolicyReview, world: World) -> tuple[Finding, ...]:
    """Return a finding for every requirement of every subject that the change touches, unless it simply holds."""
    found: list[Finding] = []
    for change in changes_of(review, world):
        for guarded in world.view.guarded:
            if guarded.needs and change.touches(guarded.subject.pod):
                standing = world.view.standings[guarded.key]
                leaving = _leaving(change, world, standing)
                for requirement in guarded.needs:
                    finding = _find(change, world, guarded.subject, requirement, standing, leaving)
                    if finding is not None:
                        found.append(finding)
    return tuple(found)


def touches_only_exempt(review: PolicyReview, world: World) -> bool:
    """Whether the change touches subjects of EEM, and the instances of all of them are exempt."""
    exempt = [guarded.subject.pod for guarded in world.view.guarded if guarded.exempt]
    if not exempt:
        return False
    others = [guarded.subject.pod for guarded in world.view.guarded if not guarded.exempt]
    changes = changes_of(review, world)
    return any(change.touches(pod) for change in changes for pod in exempt) and not any(
        change.touches(pod) for change in changes for pod in others
    )


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


def _find(  # noqa: PLR0913, PLR0917  the parts of one question
    change: Change,
    world: World,
    subject: Subject,
    requirement: Requirement,
    standing: Standing,
    leaving: frozenset[str],
) -> Finding | None:
    """Return the worst finding, with and without the policies that are leaving; None if the requirement holds."""
    own = standing.isolating.get(change.name)
    if world.others == "known":
        others = _Others(
            admitted=standing.ports[requirement.protocol, requirement.port].without(change.name, world.answers),
            isolated=len(standing.isolating) > (own is not None),
        )
    else:
        others = _Others(admitted=NO_SOURCES, isolated=world.others == "isolating")
    if others.isolated and others.admitted.everyone and not leaving:
        return None
    if world.demand == "some":
        requirement = replace(requirement, sources="some")
    question = _Question(change=change, world=world, subject=subject, requirement=requirement, standing=standing)
    answers = [question.finding(others)]
    if leaving:
        answers.append(question.finding(question.lasting(leaving)))
    findings = [finding for finding in answers if finding is not None]
    if not findings:
        return None
    worst = min(findings, key=lambda finding: _badness(finding.loss))
    return worst if worst.loss or worst.broken or worst.only_pods or worst.lost_ipv6 else None


def _leaving(change: Change, world: World, standing: Standing) -> frozenset[str]:
    """Return the names of the other policies that isolate the subject and may be gone the next moment."""
    if not world.view.orphaned and not standing.terminating:
        return frozenset()
    terminating = (name for name, policy in standing.isolating.items() if policy.terminating)
    orphaned = (name for name in world.view.orphaned if name in standing.isolating)
    return frozenset((*terminating, *orphaned)) - {change.name}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Others:
    """What all policies but the changed one amount to: whether they isolate the subject, and what they admit."""

    admitted: Sources
    isolated: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class _Question:
    """What a change means for one requirement of one subject."""

    change: Change
    world: World
    subject: Subject
    requirement: Requirement
    standing: Standing

    def finding(self, others: _Others) -> Finding | None:
        """Return the finding beside these other policies; None if everyone can connect after the change."""
        after = self._admitted(self.change.new, others)
        if after.everyone:
            return None
        before = self._admitted(self.change.old, others)
        lost = lost_from_anywhere if self.requirement.sources == "anywhere" else lost_from_some
        universe, answers = self.world.universe, self.world.answers
        loss = lost(before, after, universe, answers)
        lost_ipv6 = None if loss is None or not loss.only_ipv6 else loss.witness
        loss = None if lost_ipv6 else loss
        missing = lost(EVERYONE, after, universe, answers) if loss is None else None
        is_operator = self.requirement.component is Component.OPERATOR
        return Finding(
            requirement=self.requirement,
            subject=self.subject,
            loss=loss,
            broken=missing is not None and missing.decided,
            only_pods=is_operator and loss is None and only_pods_left(before, after),
            lost_ipv6=lost_ipv6,
            change=self.change,
            world=self.world,
            standing=self.standing,
            before=before,
            after=after,
        )

    def _admitted(self, policy: NetworkPolicy | None, others: _Others) -> Sources:
        """Return the sources that are admitted with *policy* beside the other policies."""
        if policy is None or not is_isolating(policy, self.subject.pod):
            return others.admitted if others.isolated else EVERYONE
        own = admitted((policy,), self.subject.pod, self.requirement.protocol, self.requirement.port)
        return self.world.answers.union_of((others.admitted, own)) if others.isolated else own

    def lasting(self, leaving: frozenset[str]) -> _Others:
        """Return what the other policies amount to without those that are leaving."""
        lasting = [
            policy
            for name, policy in self.standing.isolating.items()
            if name != self.change.name and name not in leaving
        ]
        sources = admitted(lasting, self.subject.pod, self.requirement.protocol, self.requirement.port)
        return _Others(admitted=sources, isolated=bool(lasting))


def _badness(loss: Loss | None) -> int:
    """Return a number that is lower for a worse loss."""
    if loss is None:
        return 2
    return 0 if loss.decided else 1
