"""
Fold all tiers that are asked about one port of a pod into the course of connections, from the last tier to the first.

With `then` for what a rule matches and `else` for the rest:

    Allow: then = everything     Deny: then = nothing     Pass: then = what the tiers after this one admit

NetworkPolicies stand in the middle of the tier `default`, so what is before them is kept apart from what is after them:

    admitted = ((base & kept) | added)
    base     = what NetworkPolicies admit, or what rules after them admit; without NetworkPolicies, what these admit

A change of a NetworkPolicy changes the base alone.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from webhook.netpol.calico.calico_model import (
    ADMIN_TIER,
    ANY_ENTITY,
    BASELINE_TIER,
    DEFAULT_TIER,
    NETWORK_POLICY_ORDER,
    CalicoRule,
    CalicoTier,
    Entity,
    lookup_of,
)
from webhook.netpol.calico.calico_selectors import Not, all_of, holds
from webhook.netpol.calico.calico_tiers import Selecting, Stage, Stages
from webhook.netpol.calico.regions import (
    NOT_KNOWN,
    NOTHING,
    SURELY_ALL,
    SURELY_NONE,
    Algebra,
    Between,
    EntityReader,
    Region,
    of_family,
)
from webhook.netpol.cluster_policies import ClusterPolicy, RuleAction, Tier, by_tier
from webhook.netpol.intervals import IPV4, IPV6, WHOLE
from webhook.netpol.matching import rule_covers
from webhook.netpol.model import Labels, Pod, PolicyType, Protocol
from webhook.netpol.sources.bounds import Bounds
from webhook.netpol.sources.budget import StepBudget
from webhook.netpol.sources.decided import hits_of
from webhook.netpol.sources.universe import Universe

ORDER_CLAUSE = "it has the order of NetworkPolicies, 1000, and their sequence is not defined"
ADDRESS_CLAUSE = "whether all pods have such addresses or labels is not known (--pod-cidr)"
PART_CLAUSE = "it has parts that are not evaluated"


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """
    The course of a connection to NetworkPolicies and past them.

    Args:
        kept: the sources that come as far as NetworkPolicies: `base & kept` is admitted.
        added: the sources that are admitted whatever NetworkPolicies say.
        beside: the sources that are admitted after them, where they isolate the pod and do not admit these.
        alone: the sources that are admitted where no NetworkPolicy isolates the pod.
        denying: the full names of the policies that may deny something.
        doubts: what is not known, as clauses.
    """

    kept: Between = SURELY_ALL
    added: Between = SURELY_NONE
    beside: Between = SURELY_NONE
    alone: Between = SURELY_ALL
    denying: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Asking:
    """
    What is asked about one port of one pod.

    Args:
        stages: what Calico asks.
        cluster_wide: the policies of Kubernetes' own tiers that speak of the pod, in their order.
    """

    stages: Stages
    cluster_wide: tuple[ClusterPolicy, ...]
    pod: Pod
    namespace_labels: Labels
    protocol: Protocol
    port: int


_Hit = tuple[Between, RuleAction]
"""What a rule matches, and what it does with it."""

_Asked = tuple[CalicoTier, bool | None, tuple[tuple[_Hit, ...], ...]]
"""A tier, whether a policy of it selects the pod, and what its rules match in each order in which they may be asked."""


def course_of(asking: Asking, universe: Universe, budget: StepBudget) -> Course:
    """
    Return the course of connections to a port of a pod.

    Raises:
        StepsExhaustedError: there are too many rules that meet each other.
    """
    if asking.stages.doubt:
        return Course(
            kept=NOT_KNOWN,
            added=NOT_KNOWN,
            beside=NOT_KNOWN,
            alone=NOT_KNOWN,
            denying=asking.stages.names,
            doubts=(asking.stages.doubt,),
        )
    reader = EntityReader(algebra=Algebra(budget=budget), universe=universe, sets=asking.stages.sets)
    return _Folding(asking=asking, reader=reader).course()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Folding:
    """The fold over all tiers."""

    asking: Asking
    reader: EntityReader
    denying: dict[str, None] = field(default_factory=dict)
    doubts: dict[str, None] = field(default_factory=dict)

    def course(self) -> Course:
        """Return what comes of all tiers."""
        tiers = [(stage.tier, stage.is_applied, stage.orders) for stage in self.asking.stages.tiers]
        own = next(stage for stage in self.asking.stages.tiers if stage.tier.name == DEFAULT_TIER)
        asked = [
            (tier, is_applied, tuple(self._hits(order) for order in orders))
            for tier, is_applied, orders in tiers
            if tier.name != DEFAULT_TIER
        ]
        asked += self._cluster_wide()
        asked.sort(key=lambda one: one[0].order)
        onwards = SURELY_ALL
        for one in reversed([one for one in asked if one[0].order > own.tier.order]):
            onwards = self._through(one, onwards, SURELY_ALL)
        before, after = self._around_policies(own)
        passed = onwards if own.tier.default_action == "Pass" else SURELY_NONE
        alone = self._end(own.tier, own.is_applied, onwards)
        kept = self._fold(before, SURELY_ALL, SURELY_NONE, SURELY_NONE)
        added = self._fold(before, SURELY_NONE, onwards, SURELY_ALL)
        for one in reversed([one for one in asked if one[0].order <= own.tier.order]):
            kept, added = self._through(one, kept, SURELY_NONE), self._through(one, added, SURELY_ALL)
        return Course(
            kept=kept,
            added=added,
            beside=self._fold(after, passed, onwards, SURELY_ALL),
            alone=self._fold(after, alone, onwards, SURELY_ALL),
            denying=tuple(self.denying),
            doubts=tuple(self.doubts),
        )

    def _through(self, asked: _Asked, onwards: Between, accepted: Between) -> Between:
        """Return what comes of a tier, with all that is after it."""
        tier, is_applied, orders = asked
        return self._fold(orders, self._end(tier, is_applied, onwards), onwards, accepted)

    def _end(self, tier: CalicoTier, is_applied: bool | None, onwards: Between) -> Between:  # noqa: FBT001  as of Stage
        """Return what comes of connections that no rule of a tier matches."""
        if tier.default_action == "Pass" or is_applied is False:
            return onwards
        return SURELY_NONE if is_applied else self.reader.algebra.join((SURELY_NONE, onwards))

    def _fold(self, orders: Sequence[Sequence[_Hit]], end: Between, onwards: Between, accepted: Between) -> Between:
        """Return what comes of rules, in each order in which they may be asked."""
        then = {RuleAction.ACCEPT: accepted, RuleAction.DENY: SURELY_NONE, RuleAction.PASS: onwards}
        found = []
        for hits in orders:
            rest = end
            for matched, action in reversed(hits):
                rest = self.reader.algebra.choose(matched, then[action], rest)
            found.append(rest)
        return self.reader.algebra.join(found)

    def _around_policies(self, own: Stage) -> tuple[tuple[tuple[_Hit, ...], ...], tuple[tuple[_Hit, ...], ...]]:
        """Return what is asked before NetworkPolicies and after them: at their order, perhaps both."""
        before, after = [], []
        for order in own.orders:
            early = [_perhaps(one) for one in order if one.policy.order <= NETWORK_POLICY_ORDER]
            late = [_perhaps(one) for one in order if one.policy.order >= NETWORK_POLICY_ORDER]
            before.append(self._hits(early))
            after.append(self._hits(late))
        return tuple(before), tuple(after)

    def _cluster_wide(self) -> list[_Asked]:
        """Return the tiers of Kubernetes' own cluster-wide policies, as Calico asks them."""
        found: list[_Asked] = []
        for tier, stands_as in ((Tier.ADMIN, ADMIN_TIER), (Tier.BASELINE, BASELINE_TIER)):
            schemas = by_tier(self.asking.cluster_wide).get(tier, ())
            size = max((len(equal) for schema in schemas for equal in schema), default=0)
            orders = []
            for first in range(len(schemas)):
                sequence = [*schemas[first:], *schemas[:first]]
                for turn in range(size):  # of policies with one priority each may be the first
                    groups = [equal for schema in sequence for equal in schema]
                    turned = [
                        one for equal in groups for one in (*equal[turn % len(equal) :], *equal[: turn % len(equal)])
                    ]
                    orders.append(tuple(hit for policy in turned for hit in self._hits_of_kubernetes(policy)))
            if orders:
                found.append((stands_as, True, tuple(dict.fromkeys(orders))))
        return found

    def _hits_of_kubernetes(self, policy: ClusterPolicy) -> Iterable[_Hit]:
        for hit in hits_of(policy, self.asking.pod, self.asking.protocol, self.asking.port):
            addresses = WHOLE if hit.addresses else {IPV4: (), IPV6: ()}
            possibly = Region(pods=hit.possibly, ipv4=addresses[IPV4], ipv6=addresses[IPV6])
            self._note(hit.policy, hit.action, hit.doubt)
            yield Bounds(surely=Region(pods=hit.surely), possibly=possibly), hit.action

    def _hits(self, order: Iterable[Selecting]) -> tuple[_Hit, ...]:
        """Return what the rules of policies match, one after the other."""
        return tuple(
            hit for one in order for rule in one.policy.rules(PolicyType.INGRESS) for hit in self._hit(one, rule)
        )

    def _hit(self, selecting: Selecting, rule: CalicoRule) -> Iterable[_Hit]:
        asking, name = self.asking, selecting.policy.full_name
        covered = rule_covers(rule, asking.pod.ports, asking.protocol, asking.port)
        own = self._own_matches(rule.own)
        if covered is False or own is False:
            return
        other = self.reader.region(rule.other)
        matched = self.reader.algebra.meet(other, of_family(rule.family))
        doubts = [*rule.doubts, *rule.own.doubts, *rule.other.doubts]
        if selecting.doubt or rule.doubts or covered is None or own is None:
            matched = Bounds(surely=NOTHING, possibly=matched.possibly)
            doubts = [selecting.doubt, *doubts, PART_CLAUSE]
        elif matched.surely != matched.possibly:
            doubts.append(ADDRESS_CLAUSE)
        clause = next(filter(None, doubts), "")
        self._note(name, rule.action, f"{name}: {clause}" if clause else "")
        yield matched, rule.action

    def _note(self, policy: str, action: RuleAction, doubt: str) -> None:
        if action is RuleAction.DENY:
            self.denying[policy] = None
        if doubt:
            self.doubts[doubt] = None

    def _own_matches(self, own: Entity) -> bool | None:
        """Whether a rule's own end is the pod."""
        if own == ANY_ENTITY:
            return True
        lookup = lookup_of(self.asking.pod, self.asking.namespace_labels)
        answers: list[bool | None] = [None] * len(own.doubts)
        if own.selector is not None:
            answers.append(holds(own.selector, lookup))
        if own.not_selector is not None:
            answers.append(holds(Not(own.not_selector), lookup))
        if own.nets is not None:
            answers.append(_as_answer(self.reader.pods_in(own.nets)))
        if own.not_nets is not None:
            answers.append(_as_answer(self.reader.algebra.opposite(self.reader.pods_in(own.not_nets))))
        return all_of(iter(answers))


def _as_answer(pods: Between) -> bool | None:
    """Return whether a region that holds all pods, some or none holds one pod."""
    return True if pods.surely.pods else None if pods.possibly.pods else False


def _perhaps(one: Selecting) -> Selecting:
    """Return a policy, with a doubt where NetworkPolicies have its order."""
    return replace(one, doubt=one.doubt or ORDER_CLAUSE) if one.policy.order == NETWORK_POLICY_ORDER else one
