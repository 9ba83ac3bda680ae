"""
Judge one change of a NetworkPolicy: the union of all policies as it is, against the union as it would be.

For every requirement of every instance of the namespace that is not exempt, and for every subject that the changed
policy selects before or afterwards:
1. `before` = who is admitted with the request's old object in the place of the cached copy; `after` = the same with
   the change applied.
2. What a requirement can lose depends on whom it demands: from anywhere, each source that was admitted; from some, the
   last one.
3. A terminating policy isolates and admits nothing. It may also be gone the next moment, which nobody will be asked
   about; so where there is one, both worlds are judged.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import assert_never

from webhook.eem.instances import Component, Requirement, SourcesDemand
from webhook.eem.standing import Standing
from webhook.eem.subjects import Subject
from webhook.eem.view import EemNamespace, Guarded
from webhook.netpol.matching import selects
from webhook.netpol.model import NetworkPolicy, Pod, PolicyType
from webhook.netpol.sources.admitted import admitted
from webhook.netpol.sources.budget import StepBudget
from webhook.netpol.sources.loss import Loss, lost_from_anywhere, lost_from_some, only_pods_left
from webhook.netpol.sources.source_set import EVERYONE, Sources, union_of
from webhook.netpol.sources.universe import Universe

Policies = tuple[NetworkPolicy, ...]


@dataclass(frozen=True, kw_only=True)
class Change:
    """
    One change of one policy.

    Args:
        view: the namespace as it is; what it says of the policy itself does not count.
        name: the policy's name.
        old: the policy as it is; None for CREATE.
        new: the policy as it will be; None for DELETE.
    """

    view: EemNamespace
    name: str
    old: NetworkPolicy | None
    new: NetworkPolicy | None

    def touches(self, pod: Pod) -> bool:
        """Say whether the changed policy selects the pod, before or afterwards: else nothing changes for it."""
        return is_selected(self.old, pod) or is_selected(self.new, pod)

    @cached_property
    def touched(self) -> tuple[Guarded, ...]:
        """Give the subjects that the change touches."""
        return tuple(guarded for guarded in self.view.guarded if self.touches(guarded.subject.pod))


def is_selected(policy: NetworkPolicy | None, pod: Pod) -> bool:
    """Say whether a policy, if there is one, isolates the pod."""
    return policy is not None and selects(policy, pod, PolicyType.INGRESS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """
    What a change means for one requirement and one subject.

    Args:
        loss: what is or may be lost; None where nothing is.
        broken: the requirement did not hold before, and does not hold afterwards.
        only_pods: addresses could connect before, and only selected pods can afterwards.
        isolating: the policies that isolate the subject afterwards.
    """

    requirement: Requirement
    subject: Subject
    loss: Loss | None
    broken: bool
    only_pods: bool
    before: Sources
    after: Sources
    isolating: Policies


def judge(change: Change, demand: SourcesDemand, universe: Universe, effort: StepBudget) -> tuple[Finding, ...]:
    """Give a finding for every requirement of every subject that *change* touches and that does not simply hold."""
    return tuple(
        finding
        for guarded in change.touched
        for requirement in guarded.needs
        for finding in _find(
            change, guarded.subject, requirement, change.view.standings[guarded.key], demand, universe, effort
        )
    )


def _find(  # noqa: PLR0913, PLR0917  the parts of one question
    change: Change,
    subject: Subject,
    requirement: Requirement,
    standing: Standing,
    demand: SourcesDemand,
    universe: Universe,
    effort: StepBudget,
) -> tuple[Finding, ...]:
    """Give the worst finding of all worlds, or none. It is never None: a call that is cut short must not be a no."""
    port = (requirement.protocol, requirement.port)
    others = standing.ports[port].without(change.name)
    own = standing.isolating.get(change.name)
    isolated = len(standing.isolating) > (own is not None)
    if isolated and others.everyone:
        return ()
    worlds = [_World(subject=subject, requirement=requirement, others=others, isolated=isolated)]
    if standing.terminating > (own is not None and own.terminating):
        worlds.append(_without_terminating(change, subject, requirement, standing))
    match demand:
        case "some":
            requirement = replace(requirement, sources="some")
        case "anywhere":
            pass
        case other:
            assert_never(other)
    found = [finding for world in worlds for finding in _in_world(change, world, requirement, universe, effort)]
    if found == []:
        return ()
    worst = min(found, key=lambda finding: _badness(finding.loss))
    if worst.loss is None and not worst.broken and not worst.only_pods:
        return ()
    return (replace(worst, isolating=_isolating(change, subject, standing)),)


@dataclass(frozen=True, kw_only=True, slots=True)
class _World:
    """What all other policies amount to: whether they isolate the subject, and whom they admit to the port."""

    subject: Subject
    requirement: Requirement
    others: Sources
    isolated: bool

    def with_policy(self, policy: NetworkPolicy | None) -> Sources:
        """Give who is admitted with *policy* among the others."""
        pod = self.subject.pod
        if policy is None or not selects(policy, pod, PolicyType.INGRESS):
            return self.others if self.isolated else EVERYONE
        own = admitted((policy,), pod, self.requirement.protocol, self.requirement.port)
        return union_of((self.others, own)) if self.isolated else own


def _without_terminating(change: Change, subject: Subject, requirement: Requirement, standing: Standing) -> _World:
    lasting = [policy for name, policy in standing.isolating.items() if name != change.name and not policy.terminating]
    others = admitted(lasting, subject.pod, requirement.protocol, requirement.port)
    return _World(subject=subject, requirement=requirement, others=others, isolated=bool(lasting))


def _in_world(
    change: Change, world: _World, requirement: Requirement, universe: Universe, effort: StepBudget
) -> tuple[Finding, ...]:
    has = world.with_policy(change.new)
    if has.everyone:
        return ()
    had = world.with_policy(change.old)
    lost = lost_from_anywhere if requirement.sources == "anywhere" else lost_from_some
    loss = lost(had, has, universe, effort)
    missing = lost(EVERYONE, has, universe, effort) if loss is None else None
    return (
        Finding(
            requirement=requirement,
            subject=world.subject,
            loss=loss,
            broken=missing is not None and missing.decided,
            only_pods=requirement.component is Component.OPERATOR and loss is None and only_pods_left(had, has),
            before=had,
            after=has,
            isolating=(),
        ),
    )


def _badness(loss: Loss | None) -> int:
    if loss is None:
        return 2
    return 0 if loss.decided else 1


def _isolating(change: Change, subject: Subject, standing: Standing) -> Policies:
    """Give the policies that isolate the subject afterwards: the changed one first, the others by name."""
    others = (standing.isolating[name] for name in standing.names_in_order if name != change.name)
    changed = (change.new,) if change.new is not None and is_selected(change.new, subject.pod) else ()
    return (*changed, *others)


def as_live(policy: NetworkPolicy) -> NetworkPolicy:
    """Give a policy as if it were not terminating: an edit of its spec is judged like any other."""
    return replace(policy, terminating=False) if policy.terminating else policy
