"""Explain, in lines of text: whether one connection is allowed, or which sources may connect at all."""

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from webhook.netpol.cluster_policies import RuleAction
from webhook.netpol.evaluate import (
    Connection,
    ConnectionVerdict,
    evaluate,
    read_pod_name,
    read_port,
)
from webhook.netpol.evidence import DirectionVerdict, Outcome, Reason, RuleEvidence
from webhook.netpol.faults import SpecError
from webhook.netpol.intervals import IPV4, Interval, Intervals, subtract
from webhook.netpol.matching import selecting
from webhook.netpol.model import PolicyType
from webhook.netpol.reading import Faults, shown
from webhook.netpol.snapshot import ClusterSnapshot, Plugin, enforces_calico
from webhook.netpol.sources.admitted import admitted
from webhook.netpol.sources.budget import StepBudget
from webhook.netpol.sources.sides import Side
from webhook.netpol.sources.source_set import EVERYONE, Sources
from webhook.netpol.sources.terms import NAME_KEY, NAMESPACE, Key, Term, ValueSet
from webhook.netpol.sources.tier_loss import surely_admitted, tiers_at
from webhook.netpol.sources.universe import IPBlockMatchesPods, Universe


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
    decides = _DECIDES.get(verdict.reason)
    if decides is not None:
        lines.extend(f"  {_rule(item)}" for item in verdict.rules if (item.outcome, item.action) == decides)
        return tuple(lines)
    for policy in verdict.policies:
        rules = [item for item in verdict.rules if item.policy == policy]
        if not rules:
            lines.append(f"  {policy} selects the pod and has no rules for this direction")
        lines.extend(f"  {_rule(item)}" for item in rules)
    return tuple(lines)


_DECIDES = {
    Reason.ADMITTED: (Outcome.ADMITS, None),
    Reason.ADMIN_ACCEPTS: (Outcome.MATCHES, RuleAction.ACCEPT),
    Reason.ADMIN_DENIES: (Outcome.MATCHES, RuleAction.DENY),
    Reason.BASELINE_ACCEPTS: (Outcome.MATCHES, RuleAction.ACCEPT),
    Reason.BASELINE_DENIES: (Outcome.MATCHES, RuleAction.DENY),
    Reason.CALICO_ALLOWS: (Outcome.MATCHES, RuleAction.ACCEPT),
    Reason.CALICO_DENIES: (Outcome.MATCHES, RuleAction.DENY),
}
"""The rules that decide, where the reason is that a rule does: the others do not matter then."""

_VERBS = {
    RuleAction.ACCEPT: ("accepts it", "accept it"),
    RuleAction.DENY: ("denies it", "deny it"),
    RuleAction.PASS: ("passes it to the next tier", "pass it to the next tier"),
}


def _rule(item: RuleEvidence) -> str:
    """Return what one rule does, with its policy and its name."""
    named = f" {shown(item.name)!r}" if item.name else ""
    effect = item.outcome.value
    if item.action is not None and item.outcome is Outcome.MATCHES:
        effect = _VERBS[item.action][0]
    elif item.action is not None and item.outcome is Outcome.UNDECIDED:
        effect = f"may {_VERBS[item.action][1]}: {item.doubt}"
    return f"{item.policy} rule #{item.index}{named} {effect}"


MOST_SENDERS = 5_000
"""Pods whose egress is looked at: some hundred milliseconds."""

_BY_ADDRESS = {
    "yes": "pods with such an address (--ipblock-matches-pods yes)",
    "no": "no pods by their address (--ipblock-matches-pods no)",
    "unknown": "pods with such an address: that depends on the network plugin",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Reach:
    """
    The sources that may connect to a port of a pod.

    Args:
        policies: `namespace/name` of the policies that isolate the pod; empty where none does.
        sources: everything that ingress surely admits.
        tiers: `kind/name` of the cluster-wide policies that have ingress rules for the pod, in their order.
        doubt: why cluster-wide policies may admit more, as one clause; empty where it is known.
        pods_by_address: whether an address in the set may be a pod's: not where only tiers take pods away.
    """

    policies: tuple[str, ...]
    sources: Sources
    tiers: tuple[str, ...] = ()
    doubt: str = ""
    pods_by_address: bool = True

    def refused(self, family: int, interval: Interval) -> Intervals:
        """Return the addresses of a range, outside the cluster's pods, that may not connect."""
        if self.sources.everyone:
            return ()
        return subtract((interval,), self.sources.block(family))


def who_may_connect(to: str, protocol: str, port: int, snapshot: ClusterSnapshot, plugin: Plugin = "auto") -> Reach:
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
    names, sources = tuple(policy.full_name for policy in isolating), admitted(policies, pod, known, port)
    labels, cluster_wide = snapshot.state(pod.namespace).namespace.labels, snapshot.cluster_policies
    tiers = tiers_at(cluster_wide, pod, labels, known, port)
    if tiers is None:
        return Reach(policies=names, sources=sources)
    side, calico = Side(sources=sources, isolated=bool(isolating), tiers=tiers), enforces_calico(snapshot, plugin)
    universe = Universe(pod_addresses=snapshot.pod_addresses, labels_of=snapshot.labels_of, calico=calico)
    surely, doubt = surely_admitted(side, universe, StepBudget())
    in_calico = tiers.calico is not None and calico != "no"
    speaking = cluster_wide.speaking_of(pod, labels, PolicyType.INGRESS)
    return Reach(
        policies=names,
        sources=surely,
        tiers=(
            *(policy.full_name for policy in speaking),
            *(tiers.calico.stages.names if tiers.calico is not None and in_calico else ()),
        ),
        doubt=doubt,
        pods_by_address=not (sources.everyone or in_calico),
    )


def held_back(  # noqa: PLR0913, PLR0917  the parts of one question
    to: str,
    protocol: str,
    port: int,
    snapshot: ClusterSnapshot,
    ipblock_matches_pods: IPBlockMatchesPods,
    plugin: Plugin = "auto",
) -> tuple[str, ...]:
    """
    Return the pods, `namespace/name`, that ingress admits and that their own egress policies surely do not let connect.

    Of a cluster with many pods, only the first MOST_SENDERS that an egress policy may restrict are asked about.
    """
    waiting = islice(_restricted(snapshot), MOST_SENDERS)
    asked = (Connection(source=name, destination=to, protocol=protocol, port=port) for name in waiting)
    verdicts = (evaluate(one, snapshot, ipblock_matches_pods=ipblock_matches_pods, plugin=plugin) for one in asked)
    return tuple(
        verdict.connection.source
        for verdict in verdicts
        if verdict.ingress.allowed and verdict.egress.decided and not verdict.egress.allowed
    )


def _restricted(snapshot: ClusterSnapshot) -> Iterator[str]:
    """Yield the pods whose egress a policy may restrict, in order."""
    tiers = snapshot.cluster_policies
    for state in sorted(snapshot.namespaces(), key=lambda state: state.namespace.name):
        labels = state.namespace.labels
        policies = [policy for policy in state.policies.values() if PolicyType.EGRESS in policy.policy_types]
        for name in sorted(state.pods):
            pod = state.pods[name]
            if not pod.finished and (
                tiers.calico is not None
                or selecting(policies, pod, PolicyType.EGRESS)
                or tiers.speaking_of(pod, labels, PolicyType.EGRESS)
            ):
                yield f"{state.namespace.name}/{name}"


def describe_sources(
    sources: Sources, ipblock_matches_pods: IPBlockMatchesPods = "unknown", *, pods_by_address: bool = True
) -> tuple[str, ...]:
    """Return one line for each part of the set, pods first; *pods_by_address* as in Reach."""
    if sources.everyone:
        return ("everyone: every pod, every node, every address",)
    lines = [_term(term) for term in sorted(sources.terms, key=_term)]
    if sources.blocks and not pods_by_address:
        return (*lines, "every node, and every address that is no pod's")
    for family, intervals in sources.blocks:
        lines.extend(f"addresses in {cidr}" for cidr in networks(family, intervals))
    if sources.blocks:
        lines.append(_BY_ADDRESS[ipblock_matches_pods])
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
