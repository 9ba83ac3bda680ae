"""
The standing of each subject: which policies isolate it, and what each of them admits to each port that it needs.

It is kept from change to change: a policy that is added, changed or deleted costs one look at each subject, not a new
look at all policies. So a decision costs the same in a namespace of ten policies and of five thousand. A subject with
new labels begins with the standing of one with similar labels, and costs a look at the policies that select by what
differs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from rpds import HashTrieMap

from webhook.netpol.indexes import SortedSet
from webhook.netpol.matching import selecting, selects
from webhook.netpol.model import NetworkPolicy, Pod, PolicyType, Protocol
from webhook.netpol.sources.admitted import admitted_by
from webhook.netpol.sources.budget import Answers
from webhook.netpol.sources.source_set import EVERYONE, NO_SOURCES, Sources, union_of

Port = tuple[Protocol, int]


@dataclass(frozen=True, kw_only=True)
class PortStanding:
    """
    What the policies that isolate a subject admit to one of its ports.

    Args:
        admitting: what each policy admits by itself, by the policy's name; policies that admit nothing are left out.
        everyone: how many of them admit everyone.
    """

    admitting: HashTrieMap[str, Sources] = HashTrieMap()
    everyone: int = 0

    @cached_property
    def total(self) -> Sources:
        """Return what all of them admit together."""
        return union_of(self.admitting.values())

    def is_open_without(self, name: str) -> bool:
        """Whether another policy than the one of this name admits everyone."""
        return self.everyone > self._is_everyone(name)

    def total_with(self, name: str, sources: Sources, answers: Answers) -> Sources:
        """
        Return what all of them admit together if the policy of this name admits *sources*.

        Subjects with the same policies share the answer.
        """
        if sources.everyone or self.is_open_without(name):
            return EVERYONE
        if sources == self._admitted_by(name):
            return self.total
        others = (known for other, known in self.admitting.items() if other != name)
        return answers.union_of((*others, sources))

    def with_policy(self, name: str, sources: Sources) -> PortStanding:
        """Return the standing after the policy of this name admits *sources*, and nothing else."""
        everyone = self.everyone - self._is_everyone(name)
        if sources.is_empty() and name not in self.admitting:
            return self
        if sources.is_empty():
            return PortStanding(admitting=self.admitting.remove(name), everyone=everyone)
        if name in self.admitting and self.admitting[name] == sources:
            return self
        return PortStanding(admitting=self.admitting.insert(name, sources), everyone=everyone + sources.everyone)

    def _admitted_by(self, name: str) -> Sources:
        return self.admitting.get(name, NO_SOURCES)

    def _is_everyone(self, name: str) -> bool:
        return self._admitted_by(name).everyone


NOTHING_ADMITTED = PortStanding()


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """
    The standing of one subject.

    Args:
        pod: one of the subject's pods, which stands for all of them.
        isolating: the policies that isolate it, by name.
        names_in_order: the names of these policies.
        terminating: how many of these are terminating.
        ports: for each port that it needs.
    """

    pod: Pod
    isolating: HashTrieMap[str, NetworkPolicy] = HashTrieMap()
    names_in_order: SortedSet[str] = field(default_factory=SortedSet, compare=False)
    terminating: int = 0
    ports: HashTrieMap[Port, PortStanding] = HashTrieMap()

    def leaving(self, orphaned: Mapping[str, NetworkPolicy]) -> frozenset[str]:
        """
        Return the names of the policies that may be gone the next moment, without another review.

        Args:
            orphaned: the policies that the garbage collector deletes.
        """
        if not orphaned and not self.terminating:
            return frozenset()
        terminating = (name for name, policy in self.isolating.items() if policy.terminating)
        return frozenset((*terminating, *(name for name in orphaned if name in self.isolating)))

    def with_policy(self, name: str, policy: NetworkPolicy | None) -> Standing:
        """Return the standing after the policy of this name was added, changed, or (None) deleted."""
        isolates = policy is not None and selects(policy, self.pod, PolicyType.INGRESS)
        isolated = name in self.isolating
        if policy is None or not isolates:
            return self._without(name) if isolated else self
        was_terminating = isolated and self.isolating[name].terminating
        return replace(
            self,
            isolating=self.isolating.insert(name, policy),
            names_in_order=self.names_in_order.insert(name),
            terminating=self.terminating - was_terminating + policy.terminating,
            ports=HashTrieMap(
                (port, standing.with_policy(name, admitted_by(policy, self.pod.ports, *port)))
                for port, standing in self.ports.items()
            ),
        )

    def of_pod(self, pod: Pod, concerned: Iterable[NetworkPolicy]) -> Standing:
        """
        Return the standing of a subject that differs from this one in its labels alone.

        Args:
            concerned: the policies that select by a label that differs.
        """
        found = replace(self, pod=pod)
        for policy in concerned:
            found = found.with_policy(policy.name, policy)
        return found

    def _without(self, name: str) -> Standing:
        """Return the standing without a policy that isolates the subject."""
        return replace(
            self,
            isolating=self.isolating.remove(name),
            names_in_order=self.names_in_order.remove(name),
            terminating=self.terminating - self.isolating[name].terminating,
            ports=HashTrieMap((port, standing.with_policy(name, NO_SOURCES)) for port, standing in self.ports.items()),
        )


def standing_of(pod: Pod, ports: Iterable[Port], policies: Iterable[NetworkPolicy]) -> Standing:
    """Return the standing of a subject; this looks at all policies."""
    isolating = selecting(policies, pod, PolicyType.INGRESS)
    return Standing(
        pod=pod,
        isolating=HashTrieMap((policy.name, policy) for policy in isolating),
        names_in_order=SortedSet.of(policy.name for policy in isolating),
        terminating=sum(policy.terminating for policy in isolating),
        ports=HashTrieMap((port, port_standing_of(pod, port, isolating)) for port in ports),
    )


def port_standing_of(pod: Pod, port: Port, isolating: Iterable[NetworkPolicy]) -> PortStanding:
    """Return what policies that isolate a pod admit to one of its ports."""
    each = ((policy.name, admitted_by(policy, pod.ports, *port)) for policy in isolating)
    admitting = [(name, sources) for name, sources in each if not sources.is_empty()]
    return PortStanding(admitting=HashTrieMap(admitting), everyone=sum(sources.everyone for _, sources in admitting))
