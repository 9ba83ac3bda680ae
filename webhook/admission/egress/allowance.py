"""
How far a path is reachable under the egress policies of one moment.

A path whose ends are known is asked connection by connection. Of a path whose ends are not known, it counts which
destinations the rules allow at its port: all, some, or none at all, which is exact.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import partial

from rpds import HashTrieMap

from webhook.admission.world import World
from webhook.eem.needs import DNS_PORTS, Need
from webhook.eem.paths import NeedPath, PathEnd, pod_endpoint
from webhook.eem.subjects import Subject
from webhook.netpol.cluster_policies import ClusterPolicy, ClusterRule, RuleAction, Tier
from webhook.netpol.evaluate import evaluate_egress
from webhook.netpol.evidence import DirectionVerdict, Outcome, RuleEvidence
from webhook.netpol.intervals import Interval, subtract, union
from webhook.netpol.matching import Address, PodEndpoint, peer_matches, selecting
from webhook.netpol.model import (
    FIRST_PORT,
    LAST_PORT,
    IPBlock,
    NetworkPolicy,
    NetworkPolicyPeer,
    Pod,
    PodPeer,
    PolicyRule,
    PolicyType,
    PortRange,
    Protocol,
    Unreadable,
)
from webhook.netpol.snapshot import ClusterSnapshot
from webhook.netpol.sources.loss import lost_from_anywhere
from webhook.netpol.sources.source_set import EVERYONE, Sources, union_of

_LETS_OUT = frozenset({Outcome.ADMITS, Outcome.UNDECIDED, Outcome.MATCHES})
EVERY_PORT = ((FIRST_PORT, LAST_PORT),)

TierRules = tuple[tuple[str, ClusterRule | str], ...]
"""Rules with the full names of their policies; a policy of Calico's stands for all of its rules."""


class PathReach(IntEnum):
    """How far a path is reachable; SOME is for a path whose ends are not known."""

    NO = 0
    PERHAPS = 1
    SOME = 2
    YES = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class PathState:
    """
    A path under the policies of one moment.

    Args:
        allowed: the destinations that NetworkPolicies allow or may allow at its port, where its ends are not known.
        easing: the rules of tiers that may accept something there, or pass it on.
        denying: the rules of tiers that may deny something there.
    """

    path: NeedPath
    reach: PathReach
    allowed: Sources = EVERYONE
    easing: TierRules = ()
    denying: TierRules = ()

    def may_lose_to_tiers(self, before: "PathState") -> bool:
        """Whether tiers may deny more than before: by a new rule, or since one that let something pass is gone."""
        is_gone = any(one not in self.easing for one in before.easing)
        return any(one not in before.denying for one in self.denying) or bool(self.denying and is_gone)


@dataclass(frozen=True, kw_only=True, slots=True)
class Allowance:
    """
    What the policies of one moment let out of a subject.

    Args:
        isolating: the policies that restrict its egress, the changed one first.
        cluster: the cluster with these policies alone in the subject's namespace.
    """

    subject: Subject
    isolating: tuple[NetworkPolicy, ...]
    cluster: ClusterSnapshot
    world: World

    @classmethod
    def of(
        cls, changed: NetworkPolicy | None, others: Iterable[NetworkPolicy], subject: Subject, world: World
    ) -> "Allowance":
        """Return the allowance of the other policies together with one state of the changed one."""
        own = () if changed is None else selecting((changed,), subject.pod, PolicyType.EGRESS)
        isolating = (*own, *others)
        cluster = world.snapshot.cluster.with_policies(
            subject.pod.namespace, HashTrieMap((policy.name, policy) for policy in isolating)
        )
        return cls(subject=subject, isolating=isolating, cluster=cluster, world=world)

    def state(self, path: NeedPath, need: Need) -> PathState:
        """Return how far a path is reachable."""
        if path.is_known:
            return PathState(path=path, reach=min(self._reach(end, need.protocol) for end in path.ends))
        found = self._state_of_unknown(path, need)
        easing, denying = self._tier_rules(path.ports, need.protocol)
        accepts = any(isinstance(rule, str) or rule.action is RuleAction.ACCEPT for _, rule in easing)
        if (accepts and found.reach is PathReach.NO) or (denying and found.reach > PathReach.PERHAPS):
            found = replace(found, reach=PathReach.PERHAPS)
        return replace(found, easing=easing, denying=denying)

    def _tier_rules(self, ports: tuple[int, ...] | None, protocol: Protocol) -> tuple[TierRules, TierRules]:
        """Return the rules of tiers that may accept or pass something at a port, and those that may deny something."""
        ranges = EVERY_PORT if ports is None else tuple((port, port) for port in ports)
        rules = [
            (policy.full_name, rule)
            for policy in self._cluster_wide
            if not (self.isolating and policy.tier is Tier.BASELINE)
            for rule in policy.egress
            if rule.may_fail_closed or _covers(rule, protocol, ranges) is not False
        ]
        calico = tuple((name, name) for name in self._calico)
        easing = tuple(one for one in rules if one[1].action is not RuleAction.DENY)
        denying = tuple(one for one in rules if one[1].action is RuleAction.DENY or one[1].may_fail_closed)
        return (*easing, *calico), (*denying, *calico)

    def _state_of_unknown(self, path: NeedPath, need: Need) -> PathState:
        if not self.isolating:
            return PathState(path=path, reach=PathReach.YES)
        sure, possible = self._rules(path.ports, need.protocol)
        if need.apart_from:
            return self._apart(path, need, possible)
        allowed = union_of(rule.admits for rule in possible)
        reach = PathReach.NO if allowed.is_empty() else PathReach.PERHAPS
        if any(rule.admits.everyone or rule.admits.terms or rule.admits.blocks for rule in sure):
            reach = PathReach.SOME
        if self._are_all(path, need, sure):
            reach = PathReach.YES
        return PathState(path=path, reach=reach, allowed=allowed)

    def _are_all(self, path: NeedPath, need: Need, rules: Iterable[PolicyRule]) -> bool:
        """Whether the rules allow every destination; for a path to any port, on every port."""
        whole = rules if path.ports else [rule for rule in rules if _covers_all(rule, need.protocol)]
        allowed = union_of(rule.admits for rule in whole)
        return lost_from_anywhere(EVERYONE, allowed, self.world.universe, self.world.answers) is None

    def ways(self, path: NeedPath, need: Need) -> Iterator[tuple[str, int]]:
        """Yield the full name of each policy and the index of each rule that lets a path out, or may."""
        if path.is_known:
            rules = (rule for end in path.ends for rule in self._verdict(end, need.protocol).rules)
            yield from ((one.policy, one.index) for one in rules if _lets_out(one))
            return
        _, possible = self._rules(path.ports, need.protocol)
        chosen = set(map(id, possible))
        for policy in self.isolating:
            yield from ((policy.full_name, index) for index, rule in enumerate(policy.egress) if id(rule) in chosen)

    def _reach(self, end: PathEnd, protocol: Protocol) -> PathReach:
        verdict = self._verdict(end, protocol)
        return PathReach.YES if verdict.allowed else PathReach.NO if verdict.decided else PathReach.PERHAPS

    def _verdict(self, end: PathEnd, protocol: Protocol) -> DirectionVerdict:
        return evaluate_egress(
            pod_endpoint(self.subject.pod, self.cluster),
            end.endpoint,
            protocol,
            end.port,
            self.cluster,
            ipblock_matches_pods=self.world.universe.ipblock_matches_pods,
            calico=self.world.universe.calico,
        )

    def _rules(self, ports: tuple[int, ...] | None, protocol: Protocol) -> tuple[list[PolicyRule], list[PolicyRule]]:
        """Return the rules that surely cover one of the ports, and those that may: by a name, or unreadable."""
        ranges = EVERY_PORT if ports is None else tuple((port, port) for port in ports)
        rules = [rule for policy in self.isolating if not policy.terminating for rule in policy.egress]
        sure = [rule for rule in rules if _covers(rule, protocol, ranges)]
        possible = [rule for rule in rules if _covers(rule, protocol, ranges) is not False]
        return sure, possible

    def _apart(self, path: NeedPath, need: Need, rules: Iterable[PolicyRule]) -> PathState:
        """Return how far anything is reachable that is not one of the destinations of other needs."""
        left = [rule for rule in rules if _covers(rule, need.protocol, EVERY_PORT, apart_from=DNS_PORTS) is not False]
        remains = partial(_remains, apart_from=need.apart_from, allowance=self)
        allowed = union_of(rule.admits for rule in left)
        found = any(rule.peers is None or any(map(remains, rule.peers)) for rule in left)
        if self._are_all(path, need, left):
            return PathState(path=path, reach=PathReach.YES, allowed=allowed)
        return PathState(path=path, reach=PathReach.SOME if found else PathReach.NO, allowed=allowed)

    @property
    def is_limited(self) -> bool:
        """Whether any policy restricts the egress of the subject."""
        return bool(self.isolating or self.overriding)

    @property
    def overriding(self) -> tuple[str, ...]:
        """Return the names of other policies for its egress: they may allow or deny what NetworkPolicies do not."""
        return (*(policy.full_name for policy in self._cluster_wide), *self._calico)

    @property
    def _cluster_wide(self) -> tuple[ClusterPolicy, ...]:
        pod = self.subject.pod
        labels = self.cluster.state(pod.namespace).namespace.labels
        return self.cluster.cluster_policies.speaking_of(pod, labels, PolicyType.EGRESS)

    @property
    def _calico(self) -> tuple[str, ...]:
        """Return the names of Calico's policies that may be asked."""
        pod, calico = self.subject.pod, self.cluster.cluster_policies.calico
        if calico is None or self.world.universe.calico == "no":
            return ()
        labels = self.cluster.state(pod.namespace).namespace.labels
        stages = calico.stages(pod, labels, PolicyType.EGRESS)
        return () if stages is None else tuple(stages.names)

    def denying(self, paths: Iterable[NeedPath], protocol: Protocol) -> tuple[str, ...]:
        """Return the full names of the policies of tiers that deny an end of a path."""
        verdicts = (self._verdict(end, protocol) for path in paths for end in path.ends)
        rules = (rule for verdict in verdicts if not verdict.allowed for rule in verdict.rules)
        found = (rule.policy for rule in rules if rule.action is RuleAction.DENY and rule.outcome is Outcome.MATCHES)
        return tuple(dict.fromkeys(found))


def _lets_out(rule: RuleEvidence) -> bool:
    return rule.outcome in _LETS_OUT and rule.action is not RuleAction.DENY


def _covers(
    rule: PolicyRule | ClusterRule, protocol: Protocol, ranges: Iterable[Interval], apart_from: tuple[int, ...] = ()
) -> bool | None:
    """Whether a rule covers a port of *ranges*; None where a port name or an unreadable part decides."""
    if rule.ports is None:
        return True
    is_possible = False
    for entry in rule.ports:
        if isinstance(entry, PortRange):
            common = [(max(entry.first, first), min(entry.last, last)) for first, last in ranges]
            common = [(first, last) for first, last in common if first <= last]
            left = subtract(union(common), union((port, port) for port in apart_from))
            if entry.protocol is protocol and left:
                return True
        elif isinstance(entry, Unreadable) or entry.protocol is protocol:
            is_possible = True
    return None if is_possible else False


def _covers_all(rule: PolicyRule, protocol: Protocol) -> bool:
    return rule.ports is None or any(
        isinstance(entry, PortRange) and (entry.protocol, entry.first, entry.last) == (protocol, FIRST_PORT, LAST_PORT)
        for entry in rule.ports
    )


def _remains(peer: NetworkPolicyPeer, apart_from: tuple[PathEnd, ...], allowance: Allowance) -> bool:
    """Whether a peer may be something else than these destinations: an address, a pod, or a pod to come."""
    if isinstance(peer, IPBlock):
        known = [end.endpoint for end in apart_from]
        single = [(one.number, one.number) for one in known if isinstance(one, Address) and one.family == peer.family]
        single += [
            (number, number)
            for one in known
            if isinstance(one, PodEndpoint)
            for family, number in one.pod.addresses
            if family == peer.family
        ]
        return bool(subtract(subtract((peer.cidr,), union(peer.except_)), union(single)))
    if isinstance(peer, PodPeer):
        return _selects_others(peer, apart_from, allowance.cluster)
    return True


def _selects_others(peer: PodPeer, apart_from: tuple[PathEnd, ...], cluster: ClusterSnapshot) -> bool:
    """Whether a peer selects another pod than these, or no pod that exists: then it is for pods to come."""
    known = {
        (end.endpoint.pod.namespace, end.endpoint.pod.name)
        for end in apart_from
        if isinstance(end.endpoint, PodEndpoint)
    }
    if not any(peer_matches(peer, end.endpoint, "no") for end in apart_from if isinstance(end.endpoint, PodEndpoint)):
        return True
    states = cluster.namespaces() if peer.namespace is None else (cluster.state(peer.namespace),)
    return any(
        (pod.namespace, pod.name) not in known and not pod.finished and _matches(peer, pod, state.namespace.labels)
        for state in states
        for pod in state.pods.values()
    )


def _matches(peer: PodPeer, pod: Pod, namespace_labels: object) -> bool:
    return peer_matches(peer, PodEndpoint(pod=pod, namespace_labels=namespace_labels), "no") is True  # type: ignore[arg-type]
