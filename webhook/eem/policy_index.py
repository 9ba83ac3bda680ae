"""
The policies of a namespace by what is asked about them: kept from change to change, so that no question looks at all.

Source: NetworkPolicySpec.podSelector and .policyTypes (networking.k8s.io/v1).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rpds import HashTrieMap

from webhook.netpol.model import NetworkPolicy, PolicyType


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyIndex:
    """
    Policies by their names, in parts that overlap.

    Args:
        by_label: those that select pods by a label, by its key.
        egress: those that restrict egress.
        marked: those that carry a bypass annotation.
    """

    by_label: HashTrieMap[str, HashTrieMap[str, NetworkPolicy]] = HashTrieMap()
    egress: HashTrieMap[str, NetworkPolicy] = HashTrieMap()
    marked: HashTrieMap[str, NetworkPolicy] = HashTrieMap()

    @classmethod
    def of(cls, policies: Iterable[NetworkPolicy]) -> PolicyIndex:
        """Return the index of *policies*."""
        found = cls()
        for policy in policies:
            found = found.changed(policy.name, None, policy)
        return found

    def changed(self, name: str, old: NetworkPolicy | None, new: NetworkPolicy | None) -> PolicyIndex:
        """Return the index with *new* in the place of *old*, which has the same name; None where there is none."""
        by_label, egress, marked = self.by_label, self.egress.discard(name), self.marked.discard(name)
        for label in () if old is None else _labels(old):
            by_label = by_label.insert(label, by_label[label].discard(name))
        if new is not None:
            for label in _labels(new):
                by_label = by_label.insert(label, by_label.get(label, _NONE).insert(name, new))
            egress = egress.insert(name, new) if PolicyType.EGRESS in new.policy_types else egress
            marked = marked.insert(name, new) if new.bypass else marked
        return PolicyIndex(by_label=by_label, egress=egress, marked=marked)

    def selecting_by(self, labels: Iterable[str]) -> Iterator[NetworkPolicy]:
        """Yield the policies that select by one of these labels; one that selects by several may come again."""
        for label in labels:
            yield from self.by_label.get(label, _NONE).values()


_NONE: HashTrieMap[str, NetworkPolicy] = HashTrieMap()


def _labels(policy: NetworkPolicy) -> frozenset[str]:
    return frozenset(requirement.key for requirement in policy.pod_selector.requirements)
