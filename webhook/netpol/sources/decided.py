"""
Which pods the cluster-wide policies accept or deny at one port of a pod, as two bounds: surely and possibly.

    rest = everything
    for each rule in its order: hit = rest & what it matches; rest -= hit; Accept, Deny or Pass get the hit

So a rule decides what it matches without what the rules of other actions before it match. Where a rule may match, its
policy may have no effect, or another policy may be asked before it, what is surely decided takes the worst of it, and
what is possibly decided the best. Ingress rules match pods alone: an address that is no pod's is decided by no rule,
unless the rule has a peer that cannot be read.

Source: ClusterNetworkPolicySpec.tier and .priority, ClusterNetworkPolicyRuleAction (policy.networking.k8s.io).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from webhook.netpol.cluster_policies import ClusterPolicy, ClusterRule, RuleAction, TierPolicies
from webhook.netpol.matching import rule_covers
from webhook.netpol.model import Pod, PodPeer, Protocol
from webhook.netpol.sources.bounds import Bounds
from webhook.netpol.sources.budget import StepBudget
from webhook.netpol.sources.term_algebra import EVERY, NO_PODS, Terms, without
from webhook.netpol.sources.terms import term_of
from webhook.netpol.tiers import ORDER_CLAUSE, doubt_of

PodBounds = Bounds[Terms]
"""Pods by their labels, between two bounds."""

NO_POD: PodBounds = Bounds(surely=NO_PODS, possibly=NO_PODS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Decisions:
    """
    What one tier decides at one port of a pod.

    Args:
        addresses: what it possibly does with addresses that are no pods'.
        denying: the full names of the policies that deny something.
        doubts: what is not known, one clause for each policy.
    """

    accepted: PodBounds = NO_POD
    denied: PodBounds = NO_POD
    addresses: frozenset[RuleAction] = frozenset()
    denying: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


NOTHING_DECIDED = Decisions()


@dataclass(frozen=True, kw_only=True, slots=True)
class Hit:
    """
    What a rule matches, before any other rule is asked.

    Args:
        policy: the full name of its policy.
        addresses: whether it possibly matches addresses that are no pods'.
        doubt: why it is not known, as one clause with the policy's name; empty where it is known.
    """

    policy: str
    action: RuleAction
    surely: Terms
    possibly: Terms
    addresses: bool
    doubt: str


def decisions_of(tier: TierPolicies, pod: Pod, protocol: Protocol, port: int, budget: StepBudget) -> Decisions:
    """
    Return what the policies of one tier decide at *port* of *pod*.

    Raises:
        StepsExhaustedError: there are too many rules that meet each other.
    """
    collected = _Collected(budget=budget)
    schemas = [
        [[list(hits_of(policy, pod, protocol, port)) for policy in equal] for equal in schema] for schema in tier
    ]
    for schema in schemas:
        others = [hit for other in schemas if other is not schema for equal in other for one in equal for hit in one]
        before: list[Hit] = []
        for equal in schema:
            for hits in equal:
                beside = [*others, *(hit for other in equal if other is not hits for hit in other)]
                for index, hit in enumerate(hits):
                    collected.add(hit, before=[*before, *hits[:index]], perhaps_before=beside)
            before.extend(hit for hits in equal for hit in hits)
    return collected.decisions()


def hits_of(policy: ClusterPolicy, pod: Pod, protocol: Protocol, port: int) -> Iterator[Hit]:
    """Yield what each rule of a policy matches that covers the port, or may cover it, and what it may deny besides."""
    for rule in policy.ingress:
        covered = rule_covers(rule, pod.ports, protocol, port)
        pods, is_readable = pods_of_rule(rule)
        doubt = policy.why_perhaps or (doubt_of(rule) if covered is None or not is_readable else "")
        is_sure = not policy.why_perhaps and (is_readable or rule.action is RuleAction.DENY)
        hit = Hit(
            policy=policy.full_name,
            action=rule.action,
            surely=pods if covered and is_sure else NO_PODS,
            possibly=pods if is_readable else EVERY,
            addresses=not is_readable,
            doubt=f"{policy.full_name}: {doubt}" if doubt else "",
        )
        if covered is not False:
            yield hit
        if rule.may_fail_closed and rule.action is not RuleAction.ACCEPT:
            yield replace(hit, action=RuleAction.DENY, surely=NO_PODS)


def pods_of_rule(rule: ClusterRule) -> tuple[Terms, bool]:
    """Return the pods that an ingress rule matches by its readable peers, and whether all its peers are readable."""
    pods = [peer for peer in rule.peers if isinstance(peer, PodPeer)]
    terms = (term_of(None, peer.namespace_selector, peer.pod_selector) for peer in pods)
    return frozenset(term for term in terms if term is not None), len(pods) == len(rule.peers)


@dataclass(kw_only=True, slots=True)
class _Collected:
    """What the rules of a tier decide, collected rule by rule."""

    budget: StepBudget
    surely: dict[RuleAction, Terms] = field(default_factory=dict)
    possibly: dict[RuleAction, Terms] = field(default_factory=dict)
    addresses: set[RuleAction] = field(default_factory=set)
    denying: dict[str, None] = field(default_factory=dict)
    doubts: dict[str, None] = field(default_factory=dict)

    def add(self, hit: Hit, before: Iterable[Hit], perhaps_before: Iterable[Hit]) -> None:
        """Add one rule, after the rules that are surely, and those that are perhaps, asked before it."""
        taken = [other for other in before if other.action is not hit.action]
        perhaps = [other for other in perhaps_before if other.action is not hit.action]
        self.budget.spend(1 + len(taken) + len(perhaps))
        lower = without(hit.surely, _union(other.possibly for other in (*taken, *perhaps)), self.budget)
        upper = without(hit.possibly, _union(other.surely for other in taken), self.budget)
        self.surely[hit.action] = self.surely.get(hit.action, NO_PODS) | lower
        self.possibly[hit.action] = self.possibly.get(hit.action, NO_PODS) | upper
        if hit.doubt:
            self.doubts[hit.doubt] = None
        elif lower != upper and perhaps:
            self.doubts[ORDER_CLAUSE] = None
        if hit.addresses:
            self.addresses.add(hit.action)
        if hit.action is RuleAction.DENY and upper:
            self.denying[hit.policy] = None

    def decisions(self) -> Decisions:
        """Return what was collected."""
        return Decisions(
            accepted=self._bounds(RuleAction.ACCEPT),
            denied=self._bounds(RuleAction.DENY),
            addresses=frozenset(self.addresses),
            denying=tuple(self.denying),
            doubts=tuple(self.doubts),
        )

    def _bounds(self, action: RuleAction) -> PodBounds:
        return Bounds(surely=self.surely.get(action, NO_PODS), possibly=self.possibly.get(action, NO_PODS))


def _union(parts: Iterable[Terms]) -> Terms:
    return frozenset().union(*parts)
