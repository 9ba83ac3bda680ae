"""What the peers of a rule, and all policies together, admit."""

from collections.abc import Iterable
from dataclasses import replace

from webhook.netpol.intervals import IPV4, IPV6, Interval, subtract, union
from webhook.netpol.matching import rule_covers, selecting
from webhook.netpol.model import (
    IPBlock,
    NetworkPolicy,
    NetworkPolicyPeer,
    Pod,
    PodPeer,
    PolicyType,
    Protocol,
)
from webhook.netpol.sources.source_set import EVERYONE, Sources, union_of
from webhook.netpol.sources.terms import Term, term_of


def admitted(policies: Iterable[NetworkPolicy], pod: Pod, protocol: Protocol, port: int) -> Sources:
    """
    Return the sources that may open a connection to *port* of *pod*.

    1. No policy selects the pod for ingress: everyone.
    2. Else the union of all rules that cover the port, of all policies that select the pod. A terminating policy
       selects, but adds nothing: what it admits ends with it, and no review is sent for that.

    Source: NetworkPolicySpec.ingress (networking.k8s.io/v1).
    """
    isolating = selecting(policies, pod, PolicyType.INGRESS)
    if not isolating:
        return EVERYONE
    parts: list[Sources] = []
    is_readable = True
    for policy in isolating:
        if policy.terminating:
            continue
        for rule in policy.ingress:
            covered = rule_covers(rule, pod.ports, protocol, port)
            if covered:
                parts.append(rule.admits)
            elif covered is None:
                is_readable = False
    together = union_of(parts)
    return together if is_readable or together.everyone else replace(together, unreadable=True)


def sources_of(peers: Iterable[NetworkPolicyPeer] | None) -> Sources:
    """Return what the peers of one rule admit, its ports aside; None stands for no list of peers, which is everyone."""
    if peers is None:
        return EVERYONE
    terms: set[Term] = set()
    blocks: dict[int, list[Interval]] = {IPV4: [], IPV6: []}
    exceptions: list[tuple[int, Interval]] = []
    unreadable = False
    for peer in peers:
        if isinstance(peer, PodPeer):
            term = term_of(peer.namespace, peer.namespace_selector, peer.pod_selector)
            if term is not None:
                terms.add(term)
        elif isinstance(peer, IPBlock):
            blocks[peer.family].extend(subtract((peer.cidr,), union(peer.except_)))
            exceptions.extend((peer.family, interval) for interval in peer.except_)
        else:
            unreadable = True
    return Sources(
        terms=frozenset(terms),
        blocks=tuple((family, union(pieces)) for family, pieces in blocks.items() if pieces),
        exceptions=tuple(exceptions),
        unreadable=unreadable,
    )
