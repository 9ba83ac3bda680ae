"""
Who may connect to a pod's port: a set of sources, of pods by their labels and of addresses by their number.

Policies only add up, so the set is the union over all rules of all policies that select the pod. A set is symbolic:
it speaks of every pod that exists or may come, and of every address.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import assert_never

from webhook.netpol.intervals import IPV4, IPV6, Interval, Intervals, subtract, union
from webhook.netpol.isolation import selecting
from webhook.netpol.labelspace import EVERY_POD, Term, terms_of
from webhook.netpol.model import (
    IPBlock,
    NetworkPolicy,
    NetworkPolicyPeer,
    Pod,
    PodPeer,
    PolicyRule,
    PolicyType,
    Protocol,
    Unreadable,
)
from webhook.netpol.ports import rule_covers
from webhook.netpol.sure import SURE, Answer


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    """
    A set of sources.

    Args:
        everyone: nothing restricts: all pods, all addresses, every node.
        terms: pods, as a union of terms over namespace and pod labels.
        blocks: per family, the addresses of ipBlocks without their exceptions.
        exceptions: per family, the exceptions of those ipBlocks as they were written.
        unreadable: some part of a policy could not be read, so the set may hold anything besides.
    """

    everyone: bool = False
    terms: frozenset[Term] = frozenset()
    blocks: tuple[tuple[int, Intervals], ...] = ()
    exceptions: tuple[tuple[int, Interval], ...] = ()
    unreadable: bool = False

    def block(self, family: int) -> Intervals:
        """Give the addresses of one family that ipBlocks admit."""
        return next((intervals for known, intervals in self.blocks if known == family), ())


NOBODY = Sources()
EVERYONE = Sources(everyone=True, terms=frozenset({EVERY_POD}))


def admitted(policies: Iterable[NetworkPolicy], pod: Pod, protocol: Protocol, port: int) -> Sources:
    """
    Give the sources that may open a connection to *port* of *pod*.

    1. No policy selects the pod for ingress: everyone.
    2. Else the union of all rules that cover the port, of all policies that select the pod. A terminating policy
       selects, but adds nothing: what it admits goes with it, without another question.

    Source: NetworkPolicySpec.ingress (networking.k8s.io/v1).
    """
    isolating = selecting(policies, pod, PolicyType.INGRESS)
    if isolating == ():
        return EVERYONE
    rules: list[PolicyRule] = []
    unreadable = False
    for policy in isolating:
        if policy.terminating:
            continue
        for rule in policy.ingress:
            match rule_covers(rule, pod.ports, protocol, port):
                case Answer.YES:
                    rules += (rule,)
                case Answer.UNSURE:
                    unreadable = True
                case Answer.NO:
                    pass
                case other:
                    assert_never(other)
    sources = of_rules(rules, unreadable=unreadable)
    if sources.unreadable and not any(policy.faulty for policy in isolating):
        raise ValueError("a policy without faults has parts that cannot be read")
    return sources


def of_rules(rules: Iterable[PolicyRule], *, unreadable: bool = False) -> Sources:
    """Give the union of what *rules* admit, their ports aside."""
    together = union_of(of_rule(rule) for rule in rules)
    return replace(together, unreadable=True) if unreadable and not together.everyone else together


def of_rule(rule: PolicyRule) -> Sources:
    """Give what one rule admits, its ports aside; found once, for it is asked about every pod and port."""
    known = rule.sources
    if known is None:
        known = EVERYONE if rule.peers is None else _of_peers(rule.peers)
        object.__setattr__(rule, "sources", known)
    return known


def worked_out(policy: NetworkPolicy) -> NetworkPolicy:
    """Find out what each rule admits now, and not when somebody waits for it; it is the same policy."""
    for rule in policy.ingress:
        of_rule(rule)
    return policy


def _of_peers(peers: Iterable[NetworkPolicyPeer]) -> Sources:
    terms: set[Term] = set()
    blocks: dict[int, list[Interval]] = {IPV4: [], IPV6: []}
    exceptions: list[tuple[int, Interval]] = []
    unreadable = False
    for peer in peers:
        match peer:
            case PodPeer():
                terms |= {*terms_of(peer)}
            case IPBlock():
                pieces = subtract((peer.cidr,), union(peer.except_)) if peer.except_ else (peer.cidr,)
                blocks[peer.family] += pieces
                exceptions += ((peer.family, interval) for interval in peer.except_)
            case Unreadable():
                unreadable = True
            case other:
                assert_never(other)
    return Sources(
        terms=NOBODY.terms | terms,
        blocks=tuple((family, union(pieces)) for family, pieces in blocks.items() if pieces),
        exceptions=tuple(exceptions),
        unreadable=unreadable,
    )


def union_of(parts: Iterable[Sources]) -> Sources:
    """Give what any of *parts* holds."""
    known = [part for part in parts if part != NOBODY]
    if len(known) == 1:
        return known[0]
    if SURE[any(part.everyone for part in known)]:
        return EVERYONE
    if not known:
        return NOBODY
    pieces: dict[int, list[Interval]] = {}
    for part in known:
        for family, intervals in part.blocks:
            pieces.setdefault(family, []).extend(intervals)
    return Sources(
        terms=frozenset().union(*(part.terms for part in known)),
        blocks=tuple((family, union(pieces[family])) for family in sorted(pieces)),
        exceptions=tuple(exception for part in known for exception in part.exceptions),
        unreadable=any(part.unreadable for part in known),
    )
