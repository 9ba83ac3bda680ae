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

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from webhook.eem.instances import Requirement, SourcesDemand
from webhook.eem.snapshot import EemNamespace
from webhook.eem.subjects import Subject
from webhook.netpol.isolation import selecting, selects
from webhook.netpol.loss import Loss, lost_from_anywhere, lost_from_some, only_pods_left
from webhook.netpol.model import NetworkPolicy, PolicyType
from webhook.netpol.sources import EVERYONE, Sources, admitted
from webhook.netpol.universe import Universe

Policies = tuple[NetworkPolicy, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """
    One change of one policy.

    Args:
        others: all other policies of the namespace.
        old: the policy as it is; None for CREATE.
        new: the policy as it will be; None for DELETE.
    """

    others: Policies
    old: NetworkPolicy | None
    new: NetworkPolicy | None

    def worlds(self) -> tuple[tuple[Policies, Policies], ...]:
        """Give (before, after) for each world that the terminating policies leave possible."""
        worlds = [(some(self.old) + self.others, some(self.new) + self.others)]
        lasting = tuple(policy for policy in self.others if not policy.terminating)
        if lasting != self.others:
            worlds.append((some(self.old) + lasting, some(self.new) + lasting))
        return tuple(worlds)

    def touches(self, subject: Subject) -> bool:
        """Say whether the changed policy selects the subject, before or afterwards: else nothing changes for it."""
        return any(selects(policy, subject.pod, PolicyType.INGRESS) for policy in some(self.old) + some(self.new))


def some(policy: NetworkPolicy | None) -> Policies:
    """Give a policy that may not be there as none or one."""
    return () if policy is None else (policy,)


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


def judge(change: Change, view: EemNamespace, demand: SourcesDemand, universe: Universe) -> tuple[Finding, ...]:
    """Give a finding for every requirement and every subject that *change* touches; none where it touches nothing."""
    touched: Mapping[int, bool] = {id(subject): change.touches(subject) for subject in view.subjects}
    worlds = change.worlds()
    return tuple(
        _find(requirement, subject, worlds, universe)
        for requirement in view.requirements(demand)
        for subject in view.subjects_of(requirement)
        if touched[id(subject)]
    )


def _find(
    requirement: Requirement, subject: Subject, worlds: Iterable[tuple[Policies, Policies]], universe: Universe
) -> Finding:
    found = [_in_world(requirement, subject, before, after, universe) for before, after in worlds]
    return min(found, key=lambda finding: _badness(finding.loss))


def _badness(loss: Loss | None) -> int:
    if loss is None:
        return 2
    return 0 if loss.decided else 1


def _in_world(
    requirement: Requirement, subject: Subject, before: Policies, after: Policies, universe: Universe
) -> Finding:
    had = admitted(before, subject.pod, requirement.protocol, requirement.port)
    has = admitted(after, subject.pod, requirement.protocol, requirement.port)
    lost = lost_from_anywhere if requirement.sources == "anywhere" else lost_from_some
    loss = lost(had, has, universe)
    missing = lost(EVERYONE, has, universe) if loss is None else None
    return Finding(
        requirement=requirement,
        subject=subject,
        loss=loss,
        broken=missing is not None and missing.decided,
        only_pods=requirement.sources == "some" and loss is None and only_pods_left(had, has),
        before=had,
        after=has,
        isolating=selecting(after, subject.pod, PolicyType.INGRESS),
    )


def as_live(policy: NetworkPolicy) -> NetworkPolicy:
    """Give a policy as if it were not terminating: an edit of its spec is judged like any other."""
    return replace(policy, terminating=False)
