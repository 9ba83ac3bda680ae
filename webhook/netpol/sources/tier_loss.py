"""
What a change takes away where cluster-wide policies speak of the pod: the pods that tiers decide count as they decide.

What is admitted is: the pods that Admin accepts, and of those that it leaves alone, what NetworkPolicies admit where
one isolates the pod, or else everything that Baseline does not deny. Sources that are no pods are left to the
NetworkPolicies, unless a rule has a peer that cannot be read.

A change of a NetworkPolicy leaves the tiers as they are. So pods that they surely decide lose nothing by it, and a pod
that they possibly decide is not surely lost.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from webhook.netpol.cluster_policies import ClusterPolicies, ClusterPolicy, RuleAction, Tier, by_tier
from webhook.netpol.model import Labels, Pod, PolicyType, Protocol
from webhook.netpol.snapshot import ClusterSnapshot
from webhook.netpol.sources.bounds import Bounds
from webhook.netpol.sources.budget import Answers, StepBudget, StepsExhaustedError
from webhook.netpol.sources.decided import NO_POD, NOTHING_DECIDED, Decisions, PodBounds, decisions_of
from webhook.netpol.sources.difference import difference, may_hold_pods
from webhook.netpol.sources.loss import (
    BOUND_CLAUSE,
    IPBLOCK_CLAUSE,
    AddressWitness,
    Loss,
    lost_from_anywhere,
    lost_from_some,
)
from webhook.netpol.sources.sides import Side, TierLoss, Tiers, pods_of
from webhook.netpol.sources.source_set import EVERYONE, Sources, union_of
from webhook.netpol.sources.term_algebra import EVERY, NO_PODS, Terms, intersection
from webhook.netpol.sources.universe import Universe

CALICO_CLAUSE = "whether Calico enforces its policies is not known (--plugin)"
NOT_KNOWN = Decisions(
    accepted=Bounds(surely=NO_PODS, possibly=EVERY),
    denied=Bounds(surely=NO_PODS, possibly=EVERY),
    addresses=frozenset(RuleAction),
    doubts=("the rules of cluster-wide policies are too many to decide in time",),
)
"""What a tier decides whose rules are too many."""

MOST_ANSWERS = 10_000
"""Answers that are kept: a namespace with EEM needs few, and shares them with namespaces of the same policies."""


def tiers_at(
    policies: ClusterPolicies, pod: Pod, namespace_labels: Labels, protocol: Protocol, port: int
) -> Tiers | None:
    """
    Return what the cluster-wide policies decide at one port of a pod; None where none speaks of it.

    It is the same object where the same policies speak of pods with the same named ports.
    """
    speaking = policies.speaking_of(pod, namespace_labels, PolicyType.INGRESS)
    stages = None if policies.calico is None else policies.calico.stages(pod, namespace_labels, PolicyType.INGRESS)
    if not speaking and stages is None:
        return None
    own = None if stages is None else (id(stages), pod.namespace, frozenset(pod.labels.items()))
    question = tuple(map(id, speaking)), pod.ports, protocol, port, own
    if question not in policies.answers:
        if len(policies.answers) >= MOST_ANSWERS:
            policies.answers.clear()
        tiers = _tiers_of(speaking, pod, protocol, port)
        if stages is not None:
            tiers = replace(tiers, calico=_asking(stages, speaking, pod, namespace_labels, protocol, port))
        policies.answers[question] = tiers
    found: Tiers = policies.answers[question]
    return found


def tiers_in(cluster: ClusterSnapshot, pod: Pod, protocol: Protocol, port: int) -> Tiers | None:
    """Return what the cluster-wide policies of a cluster decide at one port of a pod; None where none speaks of it."""
    policies = cluster.cluster_policies
    if policies.is_empty:
        return None
    return tiers_at(policies, pod, cluster.state(pod.namespace).namespace.labels, protocol, port)


def _asking(  # noqa: PLR0913, PLR0917  the parts of one question
    stages: Any, speaking: tuple[ClusterPolicy, ...], pod: Pod, namespace_labels: Labels, protocol: Protocol, port: int
) -> Any:
    from webhook.netpol.calico.course import Asking  # noqa: PLC0415  only where there are such policies

    return Asking(
        stages=stages,
        cluster_wide=speaking,
        pod=pod,
        namespace_labels=namespace_labels,
        protocol=protocol,
        port=port,
    )


def _tiers_of(speaking: Iterable[ClusterPolicy], pod: Pod, protocol: Protocol, port: int) -> Tiers:
    found = {}
    for tier, policies in by_tier(speaking).items():
        try:
            found[tier] = decisions_of(policies, pod, protocol, port, StepBudget())
        except StepsExhaustedError:
            found[tier] = NOT_KNOWN
    return Tiers(admin=found.get(Tier.ADMIN, NOTHING_DECIDED), baseline=found.get(Tier.BASELINE, NOTHING_DECIDED))


def lost_in_tiers(  # noqa: PLR0913, PLR0917  two sides, and what is asked about them
    before: Side, after: Side, demand: Literal["anywhere", "some"], touched: Terms, universe: Universe, answers: Answers
) -> TierLoss | None:
    """
    Return what a change takes away where tiers count; a decided loss is preferred.

    Args:
        touched: the pods for which the change may change what a tier decides; none for a change of a NetworkPolicy.
    """
    has_calico = before.tiers.calico is not None or after.tiers.calico is not None
    if not has_calico or universe.calico == "no":
        return _lost_in_kubernetes(before, after, demand, touched, universe, answers)
    from webhook.netpol.calico.calico_loss import lost_with_calico  # noqa: PLC0415  only where there are such policies

    enforced = lost_with_calico(before, after, demand, touched, universe, answers)
    if universe.calico == "yes":
        return enforced
    ignored = _lost_in_kubernetes(before, after, demand, touched, universe, answers)
    if enforced is not None and ignored is not None and enforced.loss.decided == ignored.loss.decided:
        return ignored
    found = ignored if enforced is None or (ignored is not None and ignored.loss.decided) else enforced
    if found is None or found.loss.only_ipv6:
        return found
    return replace(found, loss=replace(found.loss, decided=False, why_undecided=CALICO_CLAUSE))


def _lost_in_kubernetes(  # noqa: PLR0913, PLR0917  two sides, and what is asked about them
    before: Side, after: Side, demand: Literal["anywhere", "some"], touched: Terms, universe: Universe, answers: Answers
) -> TierLoss | None:
    """Return what a change takes away where Kubernetes' own tiers count alone."""
    budget = StepBudget(left=answers.steps)
    question = _Question(before=before, after=after, touched=touched, universe=universe, answers=answers, budget=budget)
    try:
        found = question.from_anywhere() if demand == "anywhere" else question.from_some()
    except StepsExhaustedError:
        loss = Loss(decided=False, witness=None, why_undecided=BOUND_CLAUSE)
        return TierLoss(loss=loss, before=before.sources, after=after.sources)
    if found is None or found.loss.decided or found.loss.why_undecided:
        return found
    return replace(found, loss=replace(found.loss, why_undecided=doubts_of(before.tiers, after.tiers)))


def surely_admitted(side: Side, universe: Universe, budget: StepBudget) -> tuple[Sources, str]:
    """
    Return the sources that are surely admitted, and why others may be, as one clause; empty where none is.

    Raises:
        StepsExhaustedError: there are too many terms.
    """
    if side.tiers.calico is None or universe.calico == "no":
        surely = side.surely(budget)
        return surely, doubts_of(side.tiers) if surely != side.possibly(budget) else ""
    from webhook.netpol.calico.calico_loss import admitted_with_calico  # noqa: PLC0415  as above

    sources, doubt = admitted_with_calico(side, universe)
    return sources, CALICO_CLAUSE if universe.calico == "unknown" else doubt


def doubts_of(*tiers: Tiers) -> str:
    """Return the first thing that is not known of the tiers, as one clause."""
    found = (doubt for one in tiers for tier in (one.admin, one.baseline) for doubt in tier.doubts)
    return next(found, IPBLOCK_CLAUSE)


def is_broken(side: Side, demand: Literal["anywhere", "some"], universe: Universe, answers: Answers) -> bool:
    """Whether a requirement surely does not hold."""
    if side.tiers.calico is not None and universe.calico != "no":
        from webhook.netpol.calico.calico_loss import is_broken_with_calico  # noqa: PLC0415  as above

        is_shut = is_broken_with_calico(side, demand, universe, answers)
        return is_shut and (universe.calico == "yes" or _is_broken_in_kubernetes(side, demand, universe, answers))
    return _is_broken_in_kubernetes(side, demand, universe, answers)


def _is_broken_in_kubernetes(
    side: Side, demand: Literal["anywhere", "some"], universe: Universe, answers: Answers
) -> bool:
    budget = StepBudget(left=answers.steps)
    try:
        if demand == "anywhere" and may_hold_pods(side.denied(budget).surely, universe.labels_of):
            return True
        possibly = side.possibly(budget)
    except StepsExhaustedError:
        return False
    lost = lost_from_anywhere if demand == "anywhere" else lost_from_some
    missing = lost(EVERYONE, possibly, universe, answers)
    return missing is not None and missing.decided


@dataclass(frozen=True, kw_only=True, slots=True)
class _Question:
    """What a change takes away; the set of each side is between two bounds."""

    before: Side
    after: Side
    touched: Terms
    universe: Universe
    answers: Answers
    budget: StepBudget

    def from_anywhere(self) -> TierLoss | None:
        """Return the loss of a requirement from anywhere: first what is surely lost, then what is perhaps lost."""
        perhaps: TierLoss | None = None
        for surely in (True, False):
            for found in (self._beside(surely), self._denied(surely), self._no_longer_accepted(surely)):
                if found is not None and surely and found.loss.decided:
                    return found
                if found is not None and not surely:
                    perhaps = perhaps or replace(found, loss=replace(found.loss, decided=False))
        return perhaps or self._addresses()

    def _beside(self, surely: bool) -> TierLoss | None:  # noqa: FBT001  both bounds are asked in turn
        """Return the loss by NetworkPolicies, of sources that no tier decides."""
        decided = (
            self.before.tiers.admin.accepted,
            self.after.tiers.admin.accepted,
            self.before.denied(self.budget),
            self.after.denied(self.budget),
        )
        left_alone = NO_PODS.union(*(part.possibly if surely else part.surely for part in decided))
        after = union_of((self.after.sources, Sources(terms=left_alone)))
        found = self._lost(self.before.sources, after)
        if found is None or not self.before.addresses or not isinstance(found.loss.witness, AddressWitness):
            return found
        return replace(found, loss=replace(found.loss, decided=False))

    def _denied(self, surely: bool) -> TierLoss | None:  # noqa: FBT001  both bounds are asked in turn
        """Return the loss of pods that could connect, and that a tier denies after the change."""
        newly = self._newly_denied()
        had = pods_of(self.before.sources, self.universe)
        accepted, still = self.before.tiers.admin.accepted, self.after.tiers.admin.accepted
        denied = self.before.denied(self.budget)
        if surely:
            had_pods, now, has = accepted.surely | had.surely, newly.surely, still.possibly | denied.possibly
        else:
            had_pods, now, has = accepted.possibly | had.possibly, newly.possibly, still.surely | denied.surely
        lost = intersection(had_pods, now, self.budget)
        witness = difference(lost, has, self.answers, self.universe.labels_of)
        if witness is None:
            return None
        loss = Loss(decided=surely, witness=witness)
        denied_by = self.after.denying
        return TierLoss(loss=loss, before=Sources(terms=lost), after=Sources(terms=has), denied_by=denied_by)

    def _newly_denied(self) -> PodBounds:
        """Return the pods that a tier denies after the change, and may not have denied before it."""
        if self.before.tiers is not self.after.tiers:
            denied = self.after.denied(self.budget)
            return Bounds(
                surely=intersection(denied.surely, self.touched, self.budget),
                possibly=intersection(denied.possibly, self.touched, self.budget),
            )
        return self.after.tiers.baseline.denied if self.before.isolated and not self.after.isolated else NO_POD

    def _no_longer_accepted(self, surely: bool) -> TierLoss | None:  # noqa: FBT001  both bounds are asked in turn
        """Return the loss of pods that Admin accepted, and that nothing admits after the change."""
        if self.before.tiers is self.after.tiers:
            return None
        accepted, still = self.before.tiers.admin.accepted, self.after.tiers.admin.accepted
        had = accepted.surely if surely else accepted.possibly
        has = still.possibly if surely else still.surely
        before = Sources(terms=intersection(had, self.touched, self.budget))
        return self._lost(before, union_of((self.after.sources, Sources(terms=has))))

    def _addresses(self) -> TierLoss | None:
        """Return the loss of addresses that a rule with a peer that cannot be read may deny after the change."""
        is_new = self.before.tiers is not self.after.tiers or self.before.isolated is not self.after.isolated
        has_addresses = self.before.sources.everyone or bool(self.before.sources.blocks)
        if is_new and has_addresses and RuleAction.DENY in self.after.addresses:
            loss, denied_by = Loss(decided=False, witness=None), self.after.denying
            return TierLoss(loss=loss, before=self.before.sources, after=self.after.sources, denied_by=denied_by)
        return None

    def from_some(self) -> TierLoss | None:
        """Return the loss of a requirement from some source."""
        surely = self.before.surely(self.budget), self.after.surely(self.budget)
        possibly = self.before.possibly(self.budget), self.after.possibly(self.budget)
        pairs = [(surely[0], possibly[1])]
        same = self.before.tiers is self.after.tiers
        pairs += [(surely[0], surely[1]), (possibly[0], possibly[1])] if same else [(possibly[0], surely[1])]
        for index, (had, has) in enumerate(pairs):
            loss = lost_from_some(had, has, self.universe, self.answers)
            if loss is not None and (index > 0 or loss.decided):
                decided = loss.decided and index == 0
                found = TierLoss(loss=replace(loss, decided=decided), before=had, after=has)
                return found if self.after.isolated else replace(found, denied_by=self.after.denying)
        return None

    def _lost(self, before: Sources, after: Sources) -> TierLoss | None:
        loss = lost_from_anywhere(before, after, self.universe, self.answers)
        return None if loss is None else TierLoss(loss=loss, before=before, after=after)
