"""
The part of a report about policies that are no NetworkPolicies: their rules, and what would be lost without them.

What is lost without one is what an audit of the namespace finds to be lost in a cluster that lacks it.
"""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from webhook.admission.egress.need_standing import NamespaceNeeds, need_steps
from webhook.admission.namespace_audit import NamespaceAudit, NamespacePass
from webhook.admission.options import Options
from webhook.admission.surroundings import Surroundings
from webhook.admission.verdict import Lost
from webhook.admission.world import World
from webhook.eem.eem_snapshot import EemSnapshot
from webhook.eem.standing import Port
from webhook.netpol.cluster_policies import ClusterPolicy, ClusterRule, RuleAction
from webhook.netpol.explain import describe_sources
from webhook.netpol.matching import rule_covers
from webhook.netpol.model import Pod, PolicyType
from webhook.netpol.sources.budget import Answers
from webhook.netpol.sources.decided import pods_of_rule
from webhook.netpol.sources.source_set import EVERYONE, Sources

if TYPE_CHECKING:  # a cluster without Calico does not load it
    from webhook.netpol.calico.calico_model import CalicoPolicy, CalicoRule

WidePolicy: TypeAlias = "ClusterPolicy | CalicoPolicy"
BY_SELECTOR = "what its selectors and networks match"
Found = TypeVar("Found")


def kind_and_name(policy: WidePolicy) -> tuple[str, str]:
    """Return the kind and the name of a policy; before the kinds of Calico is the name of the product."""
    if isinstance(policy, ClusterPolicy):
        return policy.kind, policy.name
    kind, _, name = policy.full_name.partition("/")
    return kind, name


@dataclass(frozen=True, kw_only=True, slots=True)
class WidePolicies:
    """
    The cluster-wide policies and those of Calico that concern the pods of one namespace.

    Args:
        audited: the audit of the namespace.
        needs: the audit of its needs; None where egress is not judged.
    """

    audited: NamespaceAudit
    needs: NamespaceNeeds | None
    snapshot: EemSnapshot
    options: Options

    def of_pod(self, pod: Pod, policy_type: PolicyType) -> tuple[WidePolicy, ...]:
        """Return the policies that have rules for a pod, in their order: the cluster-wide ones, and those of Calico."""
        labels, policies = self.snapshot.namespace(pod.namespace).labels, self.snapshot.cluster.cluster_policies
        asks_calico = policies.calico is not None and self.audited.surroundings.universe.calico != "no"
        stages = policies.calico.stages(pod, labels, policy_type) if asks_calico else None
        calico = () if stages is None else (one.policy for stage in stages.tiers for one in stage.orders[0])
        return (*policies.speaking_of(pod, labels, policy_type), *calico)

    def of_namespace(self) -> Iterable[WidePolicy]:
        """Return the policies that have rules for any pod, in either direction."""
        pods = [guarded.subject.pod for guarded in self.audited.view.guarded]
        every = (policy for way in PolicyType for pod in pods for policy in self.of_pod(pod, way))
        return {policy.full_name: policy for policy in every}.values()

    def lost_without(self, policy: WidePolicy) -> Iterator[Lost]:
        """Yield what is lost without a policy, apart from the ingress that its deletion is judged to lose."""
        ways = (PolicyType.EGRESS,) if isinstance(policy, ClusterPolicy) else tuple(PolicyType)
        opening = [way for way in ways if any(rule.action is not RuleAction.DENY for rule in policy.rules(way))]
        if not opening:
            return
        namespace = "" if isinstance(policy, ClusterPolicy) else policy.namespace
        cluster = self.snapshot.cluster.without(policy.kind, namespace, policy.name)
        snapshot = replace(self.snapshot, cluster=cluster)
        surroundings = Surroundings.of(snapshot, self.options)
        if PolicyType.INGRESS in opening:
            passing = NamespacePass(
                snapshot=snapshot,
                options=self.options,
                view=self.audited.view,
                surroundings=surroundings,
                before=None,
            )
            after = _finished(passing.steps(0.0, {}))
            yield from _lost(self.audited.states, after.states)
        if PolicyType.EGRESS in opening and self.needs is not None:
            world = World(
                snapshot=snapshot,
                view=self.audited.view,
                demand=self.audited.demand,
                universe=surroundings.universe,
                answers=Answers(),
            )
            left = _finished(need_steps(world, self.options, surroundings, 0.0, {}))
            yield from _lost(self.needs.states, left.states)


def rules_at(policy: WidePolicy, pod: Pod, port: Port) -> list[dict[str, Any]]:
    """Return the rules of a policy that decide about a port."""
    rules: Iterable[ClusterRule | CalicoRule] = policy.ingress
    return [
        {"rule": rule.index, "name": _name(rule), "action": rule.action.value, "sources": list(_words(rule))}
        for rule in rules
        if rule_covers(rule, pod.ports, *port) is not False
    ]


def _name(rule: "ClusterRule | CalicoRule") -> str:
    return rule.name if isinstance(rule, ClusterRule) else ""


def _words(rule: "ClusterRule | CalicoRule") -> Sequence[str]:
    if not isinstance(rule, ClusterRule):
        return describe_sources(EVERYONE) if rule.admits_all else (BY_SELECTOR,)
    terms, is_readable = pods_of_rule(rule)
    return describe_sources(Sources(terms=terms, unreadable=not is_readable), pods_by_address=False)


def _finished(steps: Generator[None, None, Found]) -> Found:
    """Return what steps end with."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: Found = end.value
            return found


def _lost(before: Mapping[Any, Any], after: Mapping[Any, Any]) -> Iterator[Lost]:
    """Yield what is lost after a change and was not before."""
    for key, state in after.items():
        if state.lost is not None and (key not in before or before[key].lost is None):
            yield state.lost
