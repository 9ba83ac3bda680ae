"""What decides before a change and after it: the tiers of cluster-wide policies, and NetworkPolicies between them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from webhook.netpol.cluster_policies import RuleAction
from webhook.netpol.intervals import IPV4, WHOLE, Intervals, subtract
from webhook.netpol.sources.bounds import Bounds
from webhook.netpol.sources.budget import StepBudget
from webhook.netpol.sources.decided import NOTHING_DECIDED, Decisions, PodBounds
from webhook.netpol.sources.loss import Loss
from webhook.netpol.sources.source_set import EVERYONE, Sources
from webhook.netpol.sources.term_algebra import EVERY, Terms, without
from webhook.netpol.sources.terms import EVERY_POD
from webhook.netpol.sources.universe import UNICAST, Universe

if TYPE_CHECKING:
    from webhook.netpol.calico.course import Asking


@dataclass(frozen=True, kw_only=True, slots=True)
class Tiers:
    """
    What the two tiers decide at one port of a pod.

    Args:
        calico: what Calico asks there, in its own tiers; None where no policy of Calico's may select the pod.
    """

    admin: Decisions = NOTHING_DECIDED
    baseline: Decisions = NOTHING_DECIDED
    calico: Asking | None = None


NO_TIERS = Tiers()


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """
    What decides before a change, or after it.

    Args:
        sources: what the NetworkPolicies admit; everyone where none isolates the pod.
        isolated: whether one does: then Baseline is not asked.
    """

    sources: Sources
    isolated: bool
    tiers: Tiers = NO_TIERS

    def denied(self, budget: StepBudget) -> PodBounds:
        """Return the pods that a tier denies."""
        admin, baseline = self.tiers.admin, self.tiers.baseline
        if self.isolated:
            return admin.denied
        return Bounds(
            surely=admin.denied.surely | without(baseline.denied.surely, admin.accepted.possibly, budget),
            possibly=admin.denied.possibly | without(baseline.denied.possibly, admin.accepted.surely, budget),
        )

    @property
    def denying(self) -> tuple[str, ...]:
        """Return the full names of the policies of the tiers that deny something."""
        admin, baseline = self.tiers.admin.denying, self.tiers.baseline.denying
        return admin if self.isolated else tuple(dict.fromkeys((*admin, *baseline)))

    @property
    def addresses(self) -> frozenset[RuleAction]:
        """Return what a tier possibly does with addresses that are no pods'."""
        admin, baseline = self.tiers.admin.addresses, self.tiers.baseline.addresses
        return admin if self.isolated else admin | baseline

    def surely(self, budget: StepBudget) -> Sources:
        """Return the sources that are surely admitted."""
        terms = without(self.sources.terms, self.denied(budget).possibly, budget)
        blocks = () if RuleAction.DENY in self.addresses else self._blocks
        return self._holding(self.tiers.admin.accepted.surely | terms, blocks)

    def possibly(self, budget: StepBudget) -> Sources:
        """Return the sources that are possibly admitted."""
        terms = without(self.sources.terms, self.denied(budget).surely, budget)
        blocks = tuple(WHOLE.items()) if RuleAction.ACCEPT in self.addresses else self._blocks
        return self._holding(self.tiers.admin.accepted.possibly | terms, blocks)

    @property
    def _blocks(self) -> tuple[tuple[int, Intervals], ...]:
        return tuple(WHOLE.items()) if self.sources.everyone else self.sources.blocks

    def _holding(self, terms: Terms, blocks: tuple[tuple[int, Intervals], ...]) -> Sources:
        everyone = self.sources.everyone and EVERY_POD in terms and blocks == self._blocks
        return EVERYONE if everyone else replace(self.sources, everyone=False, terms=terms, blocks=blocks)


@dataclass(frozen=True, kw_only=True, slots=True)
class TierLoss:
    """
    A loss with the two sets that show it: a lost source is in *before* and not in *after*.

    Args:
        denied_by: the full names of the policies whose rules deny the source; empty where NetworkPolicies shut it out.
    """

    loss: Loss
    before: Sources
    after: Sources
    denied_by: tuple[str, ...] = ()


def pods_of(sources: Sources, universe: Universe) -> PodBounds:
    """Return the pods that a set of sources holds, by their labels or by their addresses."""
    if sources.everyone:
        return Bounds(surely=EVERY, possibly=EVERY)
    block, matches = sources.block(IPV4), universe.ipblock_matches_pods
    ranges = UNICAST[IPV4] if universe.pod_ranges is None else universe.pod_ranges.get(IPV4, ())
    by_address = matches == "yes" and bool(block) and not subtract(ranges, block)
    maybe = sources.unreadable or (matches != "no" and bool(block))
    return Bounds(surely=EVERY if by_address else sources.terms, possibly=EVERY if maybe else sources.terms)
