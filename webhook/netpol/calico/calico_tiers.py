"""Which of Calico's policies are asked about a pod, in which tiers and in which order."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from rpds import HashTrieMap

from webhook.netpol.calico.calico_model import (
    BUILT_IN,
    DEFAULT_TIER,
    CalicoPolicy,
    CalicoTier,
    NetworkSet,
    lookup_of,
)
from webhook.netpol.calico.calico_selectors import holds
from webhook.netpol.cluster_policies import CalicoObject
from webhook.netpol.model import Labels, Pod, PolicyType


@dataclass(frozen=True, kw_only=True, slots=True)
class Selecting:
    """
    A policy that selects a pod, or may do so.

    Args:
        doubt: why it may have no effect, as one clause; empty where it surely has.
    """

    policy: CalicoPolicy
    doubt: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """
    What one tier asks about a pod.

    Args:
        orders: its policies in each order in which they may be asked; one where that is known.
    """

    tier: CalicoTier
    orders: tuple[tuple[Selecting, ...], ...] = ((),)

    @property
    def is_applied(self) -> bool | None:
        """Whether a policy of the tier selects the pod; None where that is not known."""
        doubts = {one.doubt for one in self.orders[0]}
        return True if "" in doubts else None if doubts else False


@dataclass(frozen=True, kw_only=True, slots=True)
class Stages:
    """
    All that Calico asks about a pod in one direction, beside NetworkPolicies.

    Args:
        tiers: those that matter, in their order; the tier `default` is always there.
        doubt: why the order is not known, as one clause; empty where it is.
        sets: the network sets.
    """

    tiers: tuple[Stage, ...]
    doubt: str
    sets: tuple[NetworkSet, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Return the full names of the policies, in their order."""
        return tuple(one.policy.full_name for stage in self.tiers for one in stage.orders[0])


SERVICE_ACCOUNT_CLAUSE: Final = "labels of service accounts are not read, or the value of a label is not known"


@dataclass(frozen=True, kw_only=True, slots=True)
class CalicoPolicies:
    """
    All objects of Calico's kinds: a persistent value.

    Args:
        known: by kind, namespace and name.
        answers: what was found out about these objects, by question: they do not change.
    """

    known: HashTrieMap[tuple[str, str, str], CalicoObject] = HashTrieMap()
    answers: dict[Hashable, Any] = field(default_factory=dict, compare=False, repr=False)

    def with_object(self, found: CalicoObject) -> CalicoPolicies:
        """Add or replace one object."""
        return CalicoPolicies(known=self.known.insert((found.kind, found.namespace, found.name), found))

    def without(self, kind: str, namespace: str, name: str) -> CalicoPolicies:
        """Remove one object; one that is not there is no error."""
        key = kind, namespace, name
        return CalicoPolicies(known=self.known.remove(key)) if key in self.known else self

    def stages(self, pod: Pod, namespace_labels: Labels, policy_type: PolicyType) -> Stages | None:
        """Return what is asked about a pod in one direction; None where no policy may select it."""
        if pod.host_network:
            return None
        labels = frozenset(pod.labels.items()), frozenset(namespace_labels.items())
        question = "stages", pod.namespace, *labels, policy_type
        if question not in self.answers:
            self.answers[question] = self._stages(pod, namespace_labels, policy_type)
        found: Stages | None = self.answers[question]
        return found

    def _stages(self, pod: Pod, namespace_labels: Labels, policy_type: PolicyType) -> Stages | None:
        lookup = lookup_of(pod, namespace_labels)
        found = [
            Selecting(policy=policy, doubt=policy.why_perhaps or ("" if selected else SERVICE_ACCOUNT_CLAUSE))
            for policy in self.known.values()
            if isinstance(policy, CalicoPolicy)
            and policy_type in policy.policy_types
            and (selected := holds(policy.selector, lookup)) is not False
        ]
        if not found:
            return None
        tiers = self._tiers()
        missing = sorted({one.policy.tier for one in found} - tiers.keys())
        stages = [
            Stage(tier=tier, orders=_orders(one for one in found if one.policy.tier == tier.name))
            for tier in tiers.values()
            if tier.name == DEFAULT_TIER or any(one.policy.tier == tier.name for one in found)
        ]
        return Stages(
            tiers=tuple(sorted(stages, key=lambda stage: (stage.tier.order, stage.tier.name))),
            doubt=f"the tier {missing[0]} is not known" if missing else "",
            sets=tuple(known for _, known in sorted(self.known.items(), key=_by_key) if isinstance(known, NetworkSet)),
        )

    def _tiers(self) -> Mapping[str, CalicoTier]:
        """Return the tiers by name; the orders of those that Calico makes are known."""
        known = {tier.name: tier for tier in self.known.values() if isinstance(tier, CalicoTier)}
        built_in = {
            name: replace(tier, default_action=known[name].default_action) if name in known else tier
            for name, tier in BUILT_IN.items()
        }
        return {**known, **built_in}


def _by_key(item: tuple[tuple[str, str, str], CalicoObject]) -> tuple[str, str, str]:
    return item[0]


def _orders(found: Iterable[Selecting]) -> tuple[tuple[Selecting, ...], ...]:
    """
    Return policies in each order in which they may be asked.

    Releases differ in how they compare the names of policies with one order.
    """
    kept = tuple(found)
    before = tuple(sorted(kept, key=lambda one: one.policy.places[0]))
    later = tuple(sorted(kept, key=lambda one: one.policy.places[1]))
    return (before,) if before == later else (before, later)
