"""What the answers of an audit may rest on outside their namespace, and whether a change of it can change an answer."""

from __future__ import annotations

from dataclasses import dataclass

from rpds import HashTrieMap

from webhook.admission.options import Options, universe_of
from webhook.eem.eem_snapshot import EemSnapshot
from webhook.netpol.cluster_policies import ClusterPolicies
from webhook.netpol.indexes import SortedSet
from webhook.netpol.model import Namespace
from webhook.netpol.sources.loss import address_facts
from webhook.netpol.sources.source_set import Sources
from webhook.netpol.sources.universe import Universe


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """What the answers may rest on outside their namespace."""

    universe: Universe
    namespaces: HashTrieMap[str, Namespace]
    names: SortedSet[str]
    cluster_policies: ClusterPolicies
    strict: bool

    @classmethod
    def of(cls, snapshot: EemSnapshot, options: Options) -> Surroundings:
        """Return the surroundings of every namespace of a cluster."""
        return cls(
            universe=universe_of(snapshot, options),
            namespaces=snapshot.cluster.namespace_objects,
            names=snapshot.cluster.names_in_order,
            cluster_policies=snapshot.cluster.cluster_policies,
            strict=options.strict,
        )

    def has_namespaces_of(self, other: Surroundings) -> bool:
        """Whether no namespace was added, changed or removed."""
        return self.namespaces is other.namespaces and self.names is other.names

    def differs_for(self, sources: Sources, other: Surroundings) -> bool:
        """Whether the answer about *sources* may be another one in the other surroundings."""
        has_tiers = not self.cluster_policies.is_empty  # then even a port that is open to everyone rests on labels
        if self is other or (sources.everyone and not has_tiers):
            return False
        is_by_label = has_tiers or bool(sources.terms)
        if self._settings != other._settings or (is_by_label and self.namespaces is not other.namespaces):
            return True
        here, there = self.universe, other.universe
        if here.pod_addresses is there.pod_addresses:
            return False
        if has_tiers:  # they ask more about the addresses than is compared here
            return bool(sources.blocks)
        return address_facts(sources, here) != address_facts(sources, there)

    def is_same(self, other: Surroundings) -> bool:
        """Whether nothing at all has changed."""
        addresses = self.universe.pod_addresses is other.universe.pod_addresses
        return addresses and self.has_namespaces_of(other) and self._settings == other._settings

    @property
    def _settings(self) -> tuple[object, ...]:
        universe = self.universe
        return universe.families, universe.pod_ranges, universe.ipblock_matches_pods, universe.calico, self.strict
