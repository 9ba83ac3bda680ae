"""Explain, in lines of text: whether one connection is allowed, or which sources may connect at all."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from webhook.netpol.evaluate import (
    ConnectionVerdict,
    DirectionVerdict,
    Outcome,
    Reason,
    read_pod_name,
    read_port,
)
from webhook.netpol.faults import SpecError
from webhook.netpol.intervals import IPV4, Interval, Intervals, subtract
from webhook.netpol.matching import selecting
from webhook.netpol.model import PolicyType
from webhook.netpol.reading import Faults
from webhook.netpol.snapshot import ClusterSnapshot
from webhook.netpol.sources.admitted import admitted
from webhook.netpol.sources.source_set import EVERYONE, Sources
from webhook.netpol.sources.terms import NAME_KEY, NAMESPACE, Key, Term, ValueSet


def explain(verdict: ConnectionVerdict) -> tuple[str, ...]:
    """Return the answer, then what each end says, one line each."""
    connection = verdict.connection
    asked = f"{connection.source} -> {connection.destination} {connection.protocol}/{connection.port}"
    answer = "NOT DECIDED" if not verdict.decided else "ALLOWED" if verdict.allowed else "NOT ALLOWED"
    return (f"{asked}: {answer}", *_direction(verdict.ingress), *_direction(verdict.egress))


def _direction(verdict: DirectionVerdict) -> tuple[str, ...]:
    end = "ingress at the destination" if verdict.policy_type is PolicyType.INGRESS else "egress at the source"
    answer = "allowed" if verdict.allowed else "not allowed" if verdict.decided else "not decided"
    lines = [f"{end}: {answer}: {verdict.reason.value}"]
    if verdict.reason is Reason.ADMITTED:
        lines.extend(
            f"  {item.policy} rule #{item.index} {item.outcome.value}"
            for item in verdict.rules
            if item.outcome is Outcome.ADMITS
        )
        return tuple(lines)
    for policy in verdict.policies:
        rules = [item for item in verdict.rules if item.policy == policy]
        if not rules:
            lines.append(f"  {policy} selects the pod and has no rules for this direction")
        lines.extend(f"  {policy} rule #{item.index} {item.outcome.value}" for item in rules)
    return tuple(lines)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reach:
    """
    The sources that may connect to a port of a pod.

    Args:
        policies: `namespace/name` of the policies that isolate the pod; empty where none does.
        sources: everything that ingress admits.
    """

    policies: tuple[str, ...]
    sources: Sources

    def refused(self, family: int, interval: Interval) -> Intervals:
        """Return the addresses of a range, outside the cluster's pods, that may not connect."""
        if self.sources.everyone:
            return ()
        return subtract((interval,), self.sources.block(family))


def who_may_connect(to: str, protocol: str, port: int, snapshot: ClusterSnapshot) -> Reach:
    """
    Return the set of sources that may connect to *port* of the pod or workload *to*.

    The egress policies of the sources are not considered: `evaluate` does so for one source.

    Raises:
        SpecError: there is no such pod, port or protocol; `field` is `to`, `port` or `protocol`.
    """
    faults = Faults()
    pod = read_pod_name(to, "to", snapshot, faults)
    known = read_port(protocol, port, faults)
    if pod is None or known is None:
        raise SpecError(faults.found)
    if pod.host_network:
        return Reach(policies=(), sources=EVERYONE)
    policies = snapshot.state(pod.namespace).sorted_policies()
    isolating = selecting(policies, pod, PolicyType.INGRESS)
    return Reach(policies=tuple(policy.full_name for policy in isolating), sources=admitted(policies, pod, known, port))


def describe_sources(sources: Sources) -> tuple[str, ...]:
    """Return one line for each part of the set, pods first."""
    if sources.everyone:
        return ("everyone: every pod, every node, every address",)
    lines = [_term(term) for term in sorted(sources.terms, key=_term)]
    for family, intervals in sources.blocks:
        lines.extend(f"addresses in {cidr}" for cidr in networks(family, intervals))
    if sources.blocks:
        lines.append("pods with such an address: that depends on the network plugin")
    if sources.unreadable:
        lines.append("perhaps others: a stored policy has parts that cannot be read")
    return tuple(lines) or ("no source",)


def networks(family: int, intervals: Intervals) -> Iterable[str]:
    """Yield the set as CIDRs."""
    make = ipaddress.IPv4Address if family == IPV4 else ipaddress.IPv6Address
    for first, last in intervals:
        for network in ipaddress.summarize_address_range(make(first), make(last)):
            yield str(network)


def _term(term: Term) -> str:
    constraints = dict(term)
    name = constraints.pop(NAME_KEY, None)
    spaces = [_constraint(key, values) for key, values in constraints.items() if key[0] == NAMESPACE]
    pods = [_constraint(key, values) for key, values in constraints.items() if key[0] != NAMESPACE]
    where = "every namespace" if not spaces else f"namespaces with {' and '.join(spaces)}"
    if name is not None:
        listed = ", ".join(sorted(name.values))
        named = f"every namespace but {listed}" if name.others else f"namespace {listed}"
        where = named if not spaces else f"{named} with {' and '.join(spaces)}"
    return f"{'pods with ' + ' and '.join(pods) if pods else 'every pod'} in {where}"


def _constraint(key: Key, values: ValueSet) -> str:
    label = key[1]
    listed = ", ".join(sorted(values.values))
    if values.others:
        if not values.values:
            return f"label {label}"
        return f"{label} not in ({listed})" if values.absent else f"label {label}, not in ({listed})"
    if not values.values:
        return f"no label {label}"
    return f"{label}={listed}" if len(values.values) == 1 else f"{label} in ({listed})"
