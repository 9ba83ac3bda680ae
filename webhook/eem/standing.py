"""
How each subject stands: which policies isolate it, and what each of them admits to each port that it needs.

Kept from change to change: a policy that comes, changes or goes costs one look at each subject, not a new look at all
policies. So a decision costs the same in a namespace of ten policies and of five thousand.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property

from rpds import HashTrieMap

from webhook.netpol.isolation import selects
from webhook.netpol.model import NetworkPolicy, Pod, PolicyType, Protocol
from webhook.netpol.sorted_set import SortedSet
from webhook.netpol.sources import EVERYONE, NOBODY, Sources, admitted, union_of
from webhook.netpol.sure import SURE

Port = tuple[Protocol, int]


@dataclass(frozen=True, kw_only=True)
class PortStanding:
    """
    What the policies that isolate a subject admit to one of its ports.

    Args:
        admitting: what each policy admits by itself, by the policy's name; those that admit nobody are not there.
        everyone: how many of them admit everyone.
    """

    admitting: HashTrieMap[str, Sources] = HashTrieMap()
    everyone: int = 0

    @cached_property
    def total(self) -> Sources:
        """Give what all of them admit together."""
        return union_of(self.admitting.values())

    def without(self, name: str) -> Sources:
        """Give what all but one of them admit together."""
        own = self.admitting[name] if name in self.admitting else None  # noqa: SIM401  no call that could fail
        if self.everyone > (own is not None and own.everyone):
            return EVERYONE
        if own is None:
            return self.total
        # The same policy is often asked about again and again: by dry run, by diff, and then for good.
        asked: dict[str, Sources] = self.__dict__.setdefault("asked", {})
        if name not in asked:
            asked.clear()
            asked[name] = union_of(sources for known, sources in self.admitting.items() if known != name)
        return asked[name]

    def with_policy(self, name: str, sources: Sources | None) -> PortStanding:
        """Put what a policy admits in the place of what it admitted; None where it does not isolate any more."""
        own = self.admitting[name] if name in self.admitting else None  # noqa: SIM401  no call that could fail
        if sources == NOBODY:
            sources = None
        if own == sources:
            return self
        everyone = self.everyone - (own is not None and own.everyone) + (sources is not None and sources.everyone)
        admitting = self.admitting.discard(name) if sources is None else self.admitting.insert(name, sources)
        return PortStanding(admitting=admitting, everyone=everyone)


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """
    How one subject stands.

    Args:
        pod: stands for every pod of the subject.
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

    def prepare(self) -> tuple[Sources, ...]:
        """Give what all policies together admit to each port, and keep it."""
        return tuple(port.total for port in self.ports.values())

    def with_policy(self, name: str, policy: NetworkPolicy | None) -> Standing:
        """Take in that a policy has come, has changed, or (None) has gone."""
        known = self.isolating[name] if name in self.isolating else None  # noqa: SIM401  the same
        if policy is not None and not selects(policy, self.pod, PolicyType.INGRESS):
            policy = None
        if known is None and policy is None:
            return self
        terminating = self.terminating - (known is not None and known.terminating)
        names = self.names_in_order
        return replace(
            self,
            isolating=self.isolating.discard(name) if policy is None else self.isolating.insert(name, policy),
            names_in_order=names.remove(name) if policy is None else names.insert(name),
            terminating=terminating + (policy is not None and policy.terminating),
            ports=HashTrieMap(
                (port, standing.with_policy(name, contribution(policy, self.pod, port)))
                for port, standing in self.ports.items()
            ),
        )


def contribution(policy: NetworkPolicy | None, pod: Pod, port: Port) -> Sources | None:
    """Give what one policy that isolates *pod* admits by itself; None for no policy."""
    return None if policy is None else admitted((policy,), pod, *port)


def standing_of(pod: Pod, ports: Iterable[Port], policies: Iterable[NetworkPolicy]) -> Standing:
    """Look at all policies once."""
    isolating = [policy for policy in policies if SURE[selects(policy, pod, PolicyType.INGRESS)]]
    by_port: dict[Port, PortStanding] = {}
    for port in ports:
        each = ((policy.name, admitted((policy,), pod, *port)) for policy in isolating)
        admitting = [(name, sources) for name, sources in each if sources != NOBODY]
        by_port[port] = PortStanding(
            admitting=HashTrieMap(admitting), everyone=sum(sources.everyone for _, sources in admitting)
        )
    return Standing(
        pod=pod,
        isolating=HashTrieMap((policy.name, policy) for policy in isolating),
        names_in_order=SortedSet.of(policy.name for policy in isolating),
        terminating=sum(policy.terminating for policy in isolating),
        ports=HashTrieMap(by_port),
    )
