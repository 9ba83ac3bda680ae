"""
Cluster-wide policies, both schemas of policy.networking.k8s.io in one form.

A policy stands in a tier, at a priority. The first rule that matches a connection decides it: Accept and Deny are
final, Pass leaves the tier. NetworkPolicies stand between the tiers Admin and Baseline. A policy isolates nothing by
itself, and no pod on its node's network is ever its subject or its peer.

What cannot be known of a rule is kept as a peer that may match: the names of domains, which are never resolved, the
labels of nodes, which are not read, and fields of a schema that is newer than this reader.

Source: AdminNetworkPolicy and BaselineAdminNetworkPolicy v1alpha1, ClusterNetworkPolicy v1alpha2 and v1beta1
(policy.networking.k8s.io).
"""

from __future__ import annotations

import enum
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any, Final

from rpds import HashTrieMap

from webhook.netpol.indexes import SortedSet
from webhook.netpol.model import (
    IPBlock,
    Labels,
    NetworkPolicyPort,
    Pod,
    PodPeer,
    PolicyType,
    Unreadable,
)
from webhook.netpol.selectors import LabelSelector, matches

ADMIN_KIND: Final = "AdminNetworkPolicy"
BASELINE_KIND: Final = "BaselineAdminNetworkPolicy"
CLUSTER_KIND: Final = "ClusterNetworkPolicy"
CLUSTER_POLICY_KINDS = frozenset({ADMIN_KIND, BASELINE_KIND, CLUSTER_KIND})
CLUSTER_POLICY_GROUP: Final = "policy.networking.k8s.io"

# The group in which users write Calico's objects, and the one in which its API server may store them.
CALICO_GROUPS: Final = ("projectcalico.org", "crd.projectcalico.org")
# Calico's kind NetworkPolicy has a name of its own here.
CALICO_POLICY: Final = "CalicoNetworkPolicy"
CALICO_GLOBAL_POLICY: Final = "GlobalNetworkPolicy"
CALICO_TIER: Final = "Tier"
CALICO_SET: Final = "NetworkSet"
CALICO_GLOBAL_SET: Final = "GlobalNetworkSet"
CALICO_KINDS: Final = frozenset({CALICO_POLICY, CALICO_GLOBAL_POLICY, CALICO_TIER, CALICO_SET, CALICO_GLOBAL_SET})

# Every kind beside NetworkPolicy that is read.
TIERED_KINDS: Final = CLUSTER_POLICY_KINDS | CALICO_KINDS

LAST_PRIORITY: Final = 1000
"""Source: the range of `priority` in all three schemas, 0 to 1000; the lowest number is asked first."""

LAST_APPLIED_PRIORITY: Final = 99
"""The last priority of an AdminNetworkPolicy that OVN-Kubernetes applies. Source: OpenShift, "Admin network policy"."""


class Tier(enum.StrEnum):
    """The tiers of cluster-wide policies; NetworkPolicies stand between them."""

    ADMIN = "Admin"
    BASELINE = "Baseline"


class RuleAction(enum.StrEnum):
    """What a rule does with a connection that it matches; AdminNetworkPolicy says Allow for Accept."""

    ACCEPT = "Accept"
    DENY = "Deny"
    PASS = "Pass"  # noqa: S105  an action, no password


@dataclass(frozen=True, kw_only=True, slots=True)
class NodePeer:
    """
    Nodes by their labels, as destinations: they match addresses of nodes, never a pod on the pod network.

    Args:
        field: the path of the selector in the policy.

    Source: ClusterNetworkPolicyEgressPeer.nodes.
    """

    field: str
    selector: LabelSelector


@dataclass(frozen=True, kw_only=True, slots=True)
class DomainPeer:
    """
    Names of domains, as destinations: they match the addresses that they resolve to, which only the plugin knows.

    Args:
        field: the path of the list in the policy.

    Source: ClusterNetworkPolicyEgressPeer.domainNames.
    """

    field: str
    names: tuple[str, ...]


ClusterPeer = PodPeer | IPBlock | NodePeer | DomainPeer | Unreadable
"""
One peer. An IPBlock matches the addresses of pods, too. `Unreadable` stands for a peer without a known field: it may
match everything.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterRule:
    """
    One rule of a cluster-wide policy.

    Args:
        index: position in the policy's list of rules.
        name: what the policy calls it; may be empty.
        peers: they are ORed; without any, the rule matches nothing.
        ports: None stands for every port of every protocol; the listed ones are ORed.
    """

    index: int
    name: str = ""
    action: RuleAction
    peers: tuple[ClusterPeer, ...]
    ports: tuple[NetworkPolicyPort, ...] | None = None

    @property
    def may_fail_closed(self) -> bool:
        """
        Whether a plugin may take it for a rule that accepts nothing, or else for one that denies everything.

        Source: ClusterNetworkPolicyIngressPeer, on a peer of which a plugin knows no field: it has to fail closed.
        """
        return any(isinstance(peer, Unreadable) for peer in self.peers)


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterPolicy:
    """
    One AdminNetworkPolicy, BaselineAdminNetworkPolicy or ClusterNetworkPolicy.

    Args:
        priority: the lowest number is asked first; 0 where the kind has none.
        subject: the pods that it speaks of.
        resource_version: as the API server set it; empty for objects from files.
        faulty: whether it has faults.
        why_perhaps: why it may have no effect at all, as one clause; empty where it surely has.
    """

    kind: str
    name: str
    uid: str = ""
    resource_version: str = ""
    tier: Tier
    priority: int = 0
    subject: PodPeer = field(default_factory=PodPeer)
    ingress: tuple[ClusterRule, ...] = ()
    egress: tuple[ClusterRule, ...] = ()
    faulty: bool = False
    why_perhaps: str = ""

    @property
    def full_name(self) -> str:
        """Return `kind/name`: three kinds may have objects of one name."""
        return f"{self.kind}/{self.name}"

    def rules(self, policy_type: PolicyType) -> tuple[ClusterRule, ...]:
        """Return the rules for one direction."""
        return self.ingress if policy_type is PolicyType.INGRESS else self.egress

    def selects(self, pod: Pod, namespace_labels: Labels) -> bool:
        """Whether *pod* is a subject."""
        in_namespace = not pod.host_network and matches(self.subject.namespace_selector, namespace_labels)
        return in_namespace and matches(self.subject.pod_selector, pod.labels)


@dataclass(frozen=True, kw_only=True, slots=True)
class CalicoObject:
    """An object of one of Calico's kinds; its name may begin with the name of a tier."""

    kind: str
    namespace: str = ""
    name: str
    resource_version: str = ""
    faulty: bool = False


TierPolicies = tuple[tuple[tuple[ClusterPolicy, ...], ...], ...]
"""
The policies of one tier that speak of a pod: for each schema, in the order of priority, those of one priority.

Nothing says in which order two policies of one priority are asked, or those of two schemas: each may be the first.
"""

MOST_SPACES: Final = 20_000
"""Namespaces whose policies are kept: as many as may have EEM in them."""

Place = tuple[Tier, bool, int, str, str]
"""The place of a policy: its tier, whether it has the newer schema, its priority, its kind and its name."""


def _place_of(policy: ClusterPolicy) -> Place:
    return policy.tier, policy.kind == CLUSTER_KIND, policy.priority, policy.kind, policy.name


def _schema_of(policy: ClusterPolicy) -> bool:
    return policy.kind == CLUSTER_KIND


def _priority_of(policy: ClusterPolicy) -> int:
    return policy.priority


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterPolicies:
    """
    All cluster-wide policies, in the order in which they are asked: a persistent value.

    Args:
        known: by kind and name.
        in_order: their places.
        spaces: by the labels of a namespace, the policies whose subjects may be in it: found out when first asked.
        calico: the CalicoPolicies, which have tiers of their own; None where there are none, so that a cluster without
            them does not load what reads them.
        answers: what was found out about these policies, by question: they do not change.

    Source: ClusterNetworkPolicySpec.tier and .priority; AdminNetworkPolicySpec.priority.
    """

    known: HashTrieMap[tuple[str, str], ClusterPolicy] = HashTrieMap()
    in_order: SortedSet[Place] = field(default_factory=SortedSet, compare=False)
    spaces: dict[frozenset[tuple[str, str]], tuple[Labels, tuple[ClusterPolicy, ...]]] = field(
        default_factory=dict, compare=False, repr=False
    )
    calico: Any = None
    answers: dict[Hashable, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def is_empty(self) -> bool:
        """Whether no policy of any tier is known."""
        return not len(self.known) and self.calico is None

    @classmethod
    def of(cls, policies: Iterable[ClusterPolicy]) -> ClusterPolicies:
        """Return the value that holds *policies*; of several with one kind and name, the last one counts."""
        known = {(policy.kind, policy.name): policy for policy in policies}
        return cls(known=HashTrieMap(known), in_order=SortedSet.of(map(_place_of, known.values())))

    def with_policy(self, policy: ClusterPolicy) -> ClusterPolicies:
        """Add or replace one policy."""
        left = self.without(policy.kind, policy.name)
        return ClusterPolicies(
            known=left.known.insert((policy.kind, policy.name), policy),
            in_order=left.in_order.insert(_place_of(policy)),
            calico=left.calico,
            spaces={
                key: (labels, _with(found, policy))
                if matches(policy.subject.namespace_selector, labels)
                else (labels, found)
                for key, (labels, found) in left.spaces.items()
            },
        )

    def without(self, kind: str, name: str) -> ClusterPolicies:
        """Remove one policy; one that is not there is no error."""
        old = self.known.get((kind, name))
        if old is None:
            return self
        return ClusterPolicies(
            known=self.known.remove((kind, name)),
            in_order=self.in_order.remove(_place_of(old)),
            calico=self.calico,
            spaces={
                key: (labels, tuple(policy for policy in found if policy is not old))
                for key, (labels, found) in self.spaces.items()
            },
        )

    def find(self, kind: str, namespace: str, name: str) -> ClusterPolicy | CalicoObject | None:
        """Return one policy, or one object of Calico's; None where there is none."""
        if kind in CLUSTER_POLICY_KINDS or self.calico is None:
            return self.known.get((kind, name))
        found: CalicoObject | None = self.calico.known.get((kind, namespace, name))
        return found

    def names(self, kind: str) -> tuple[tuple[str, str], ...]:
        """Return (namespace, name) of every policy, or of every object of Calico's, of one kind."""
        if kind in CLUSTER_POLICY_KINDS:
            return tuple(("", name) for known, name in self.known if known == kind)
        known_objects = () if self.calico is None else self.calico.known
        return tuple((namespace, name) for known, namespace, name in known_objects if known == kind)

    def without_object(self, kind: str, namespace: str, name: str) -> ClusterPolicies:
        """Remove one policy, or one object of Calico's; one that is not there is no error."""
        if kind in CLUSTER_POLICY_KINDS:
            return self.without(kind, name)
        if self.calico is None or (left := self.calico.without(kind, namespace, name)) is self.calico:
            return self
        return replace(self, calico=left if len(left.known) else None, answers={})

    def in_namespace(self, labels: Labels) -> tuple[ClusterPolicy, ...]:
        """Return the policies whose subjects may be in a namespace with these labels, in their order."""
        key = frozenset(labels.items())
        if key not in self.spaces:
            if len(self.spaces) >= MOST_SPACES:
                self.spaces.clear()
            policies = (self.known[place[3:]] for place in self.in_order)
            found = tuple(policy for policy in policies if matches(policy.subject.namespace_selector, labels))
            self.spaces[key] = labels, found
        return self.spaces[key][1]

    def speaking_of(self, pod: Pod, namespace_labels: Labels, policy_type: PolicyType) -> tuple[ClusterPolicy, ...]:
        """Return the policies that have rules for *pod* in this direction, in their order."""
        if pod.host_network or not len(self.known):
            return ()
        return tuple(
            policy
            for policy in self.in_namespace(namespace_labels)
            if policy.rules(policy_type) and matches(policy.subject.pod_selector, pod.labels)
        )


def _with(found: tuple[ClusterPolicy, ...], policy: ClusterPolicy) -> tuple[ClusterPolicy, ...]:
    return tuple(sorted((*found, policy), key=_place_of))


def by_tier(policies: Iterable[ClusterPolicy]) -> Mapping[Tier, TierPolicies]:
    """Return policies, which are in their order, by tier, by schema and by priority; a tier without any is missing."""
    return {
        tier: tuple(
            tuple(tuple(equal) for _, equal in groupby(of_schema, _priority_of))
            for _, of_schema in groupby(of_tier, _schema_of)
        )
        for tier, of_tier in groupby(policies, _tier_of)
    }


def _tier_of(policy: ClusterPolicy) -> Tier:
    return policy.tier


NO_CLUSTER_POLICIES = ClusterPolicies()
