"""
The policies of Calico, in their tiers and orders.

Tiers are asked by their order. In a tier, the policies that select the pod in a direction are asked by theirs; the
first rule that matches decides: Allow and Deny are final, Pass leaves the tier. Where a policy of the tier selects the
pod and no rule matches, the tier's default action counts. After the last tier, everything is allowed. NetworkPolicies
of Kubernetes are policies of the tier `default`, at order 1000, whose rules allow.

Labels are named as Calico names them: `pcns.` before the labels of a namespace, `pcsa.` before those of a service
account, which are not read.

Source: Calico documentation, NetworkPolicy, GlobalNetworkPolicy, Tier, NetworkSet, GlobalNetworkSet
(projectcalico.org/v3).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from webhook.netpol.calico.calico_selectors import EVERYTHING, Expression, Lookup
from webhook.netpol.cluster_policies import (
    CALICO_GLOBAL_POLICY,
    CALICO_GLOBAL_SET,
    CALICO_POLICY,
    CALICO_SET,
    CALICO_TIER,
    CalicoObject,
    RuleAction,
)
from webhook.netpol.intervals import IPV4, IPV6, Intervals, union
from webhook.netpol.model import Labels, NetworkPolicyPort, Pod, PolicyType, no_labels
from webhook.netpol.selectors import UNKNOWN

NAMESPACE_LABEL: Final = "projectcalico.org/namespace"
ORCHESTRATOR_LABEL: Final = "projectcalico.org/orchestrator"
ORCHESTRATOR: Final = "k8s"
SERVICE_ACCOUNT_LABEL: Final = "projectcalico.org/serviceaccount"
NAMESPACE_PREFIX: Final = "pcns."
SERVICE_ACCOUNT_PREFIX: Final = "pcsa."
NAMESPACE_NAMES: Final = frozenset({"projectcalico.org/name", "kubernetes.io/metadata.name"})
"""The labels of a namespace that are its name."""

DEFAULT_TIER: Final = "default"
NETWORK_POLICY_ORDER: Final = 1000.0
"""The order of NetworkPolicies in the tier `default`."""

TierAction = Literal["Deny", "Pass"]


@dataclass(frozen=True, kw_only=True, slots=True)
class CalicoTier(CalicoObject):
    """
    A Tier.

    Args:
        order: the lowest number is asked first; infinite where it is missing.
        default_action: what happens where a policy of the tier selects the pod, and no rule matches.
    """

    kind: str = CALICO_TIER
    order: float
    default_action: TierAction = "Deny"


BUILT_IN: Final[Mapping[str, CalicoTier]] = {
    tier.name: tier
    for tier in (
        CalicoTier(name="kube-admin", order=1_000, default_action="Pass"),
        CalicoTier(name="adminnetworkpolicy", order=1_000, default_action="Pass"),
        CalicoTier(name=DEFAULT_TIER, order=1_000_000),
        CalicoTier(name="kube-baseline", order=10_000_000, default_action="Pass"),
        CalicoTier(name="baselineadminnetworkpolicy", order=10_000_000, default_action="Pass"),
    )
}
"""The tiers that Calico makes; their orders are fixed by validation."""

ADMIN_TIER: Final = BUILT_IN["kube-admin"]
BASELINE_TIER: Final = BUILT_IN["kube-baseline"]

Networks = Mapping[int, Intervals]
"""Addresses by family."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkSet(CalicoObject):
    """A NetworkSet or a GlobalNetworkSet: addresses with labels, which selectors of rules match like a pod's."""

    labels: Labels = field(default_factory=no_labels)
    nets: Networks


@dataclass(frozen=True, kw_only=True, slots=True)
class Entity:
    """
    One end of a connection, as a rule describes it: all parts must match.

    Args:
        selector: pods and network sets by their labels and namespaces; None where nothing is selected.
        not_selector: those that do not match; None for none.
        nets: addresses; None for all. They match the addresses of pods, too.
        not_nets: addresses that do not match.
        doubts: the parts that are not evaluated, as clauses: with any, it may match or not.
    """

    selector: Expression | None = None
    not_selector: Expression | None = None
    nets: Networks | None = None
    not_nets: Networks | None = None
    doubts: tuple[str, ...] = ()


ANY_ENTITY: Final = Entity()


@dataclass(frozen=True, kw_only=True, slots=True)
class CalicoRule:
    """
    One rule; a rule with action Log decides nothing and is left out.

    Args:
        index: position in the policy's list of rules.
        own: the end that the policy selects.
        other: the other end.
        ports: of the destination, as in NetworkPolicies; None for every port.
        family: 4 or 6 where the rule is for one family of addresses only.
        doubts: the parts that are not evaluated, as clauses.
    """

    index: int
    action: RuleAction
    own: Entity = ANY_ENTITY
    other: Entity = ANY_ENTITY
    ports: tuple[NetworkPolicyPort, ...] | None = None
    family: int | None = None
    doubts: tuple[str, ...] = ()

    @property
    def admits_all(self) -> bool:
        """Whether its other end may be anything."""
        return self.other == ANY_ENTITY


@dataclass(frozen=True, kw_only=True, slots=True)
class CalicoPolicy(CalicoObject):
    """
    A NetworkPolicy or a GlobalNetworkPolicy of Calico.

    Args:
        order: the lowest number is asked first; infinite where it is missing.
        selector: the pods that it selects, by their labels and namespaces.
        why_perhaps: why it may have no effect on a pod that it selects, as one clause; empty where it surely has.
    """

    uid: str = ""
    tier: str = DEFAULT_TIER
    order: float = math.inf
    selector: Expression = EVERYTHING
    policy_types: frozenset[PolicyType] = frozenset({PolicyType.INGRESS})
    ingress: tuple[CalicoRule, ...] = ()
    egress: tuple[CalicoRule, ...] = ()
    why_perhaps: str = ""

    @property
    def short_name(self) -> str:
        """Return its name without the name of its tier, which some releases write before it."""
        return self.name.removeprefix(f"{self.tier}.")

    @property
    def full_name(self) -> str:
        """Return the product, the kind and the name, since Kubernetes has a kind NetworkPolicy as well."""
        if self.kind == CALICO_GLOBAL_POLICY:
            return f"Calico {self.kind}/{self.short_name}"
        return f"Calico NetworkPolicy/{self.namespace}/{self.short_name}"

    def rules(self, policy_type: PolicyType) -> tuple[CalicoRule, ...]:
        """Return the rules for one direction."""
        return self.ingress if policy_type is PolicyType.INGRESS else self.egress

    @property
    def places(self) -> tuple[tuple[float, str], tuple[float, str]]:
        """Return its place among the policies of its tier, as releases before 3.31 sort them, and as later ones do."""
        before = (
            f"{self.namespace}/{self.tier}.{self.short_name}" if self.namespace else f"{self.tier}.{self.short_name}"
        )
        kind = "NetworkPolicy" if self.kind == CALICO_POLICY else self.kind
        return (self.order, before), (self.order, f"{self.short_name}/{self.namespace}/{kind}")


def lookup_of(pod: Pod, namespace_labels: Labels) -> Lookup:
    """Return what knows the labels of a pod as Calico names them."""

    def lookup(key: str) -> str | None:
        if key == NAMESPACE_LABEL:
            return pod.namespace
        if key == ORCHESTRATOR_LABEL:
            return ORCHESTRATOR
        if key == SERVICE_ACCOUNT_LABEL or key.startswith(SERVICE_ACCOUNT_PREFIX):
            return UNKNOWN
        if key.startswith(NAMESPACE_PREFIX):
            name = key.removeprefix(NAMESPACE_PREFIX)
            return pod.namespace if name in NAMESPACE_NAMES else namespace_labels.get(name)
        return pod.labels.get(key)

    return lookup


def lookup_of_set(known: NetworkSet, namespace_labels: Labels) -> Lookup:
    """Return what knows the labels of a network set."""

    def lookup(key: str) -> str | None:
        if key == NAMESPACE_LABEL:
            return known.namespace or None
        if key.startswith(NAMESPACE_PREFIX):
            name = key.removeprefix(NAMESPACE_PREFIX)
            own = known.namespace or None
            return own if name in NAMESPACE_NAMES else namespace_labels.get(name)
        return known.labels.get(key)

    return lookup


def networks_of(nets: Iterable[tuple[int, tuple[int, int]]]) -> Networks:
    """Return addresses by family."""
    listed = tuple(nets)
    return {family: union(one for known, one in listed if known == family) for family in (IPV4, IPV6)}


SET_KINDS: Final = frozenset({CALICO_SET, CALICO_GLOBAL_SET})
