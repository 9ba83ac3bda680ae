"""
The addresses of a cluster's pods, as a persistent index: a pod that comes or goes changes it within microseconds.

Whether an address range holds pods is asked in every decision about an ipBlock, and must not cost more in a large
cluster than in a small one. So the index is part of the snapshot, and is kept from change to change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from rpds import HashTrieMap

from webhook.netpol.intervals import IPV4, IPV6, Intervals
from webhook.netpol.sorted_set import SortedSet

Address = tuple[int, int]
"""Family (4 or 6) and number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PodAddresses:
    """
    The addresses of all pods of a cluster.

    Args:
        bearers: how many pods bear each address: for a moment, two pods may.
        ipv4: the numbers of the IPv4 addresses.
        ipv6: the numbers of the IPv6 addresses.
    """

    bearers: HashTrieMap[Address, int] = HashTrieMap()
    ipv4: SortedSet[int] = field(default_factory=SortedSet, compare=False)
    ipv6: SortedSet[int] = field(default_factory=SortedSet, compare=False)

    @classmethod
    def of(cls, addresses: Iterable[Address]) -> PodAddresses:
        """Return the index of *addresses*, each as often as pods bear it."""
        bearers = Counter(addresses)
        return cls(
            bearers=HashTrieMap(bearers),
            ipv4=SortedSet.of(number for family, number in bearers if family == IPV4),
            ipv6=SortedSet.of(number for family, number in bearers if family == IPV6),
        )

    def families(self) -> tuple[int, ...]:
        """Return the address families in use: IPv4 always, IPv6 where a pod has such an address."""
        return (IPV4, IPV6) if self.ipv6.buckets else (IPV4,)

    def holds_any(self, family: int, intervals: Intervals) -> bool:
        """Whether a pod has an address of this family in *intervals*."""
        known = self.ipv4 if family == IPV4 else self.ipv6
        return any(known.holds_between(first, last) for first, last in intervals)

    def changed(self, gone: Iterable[Address], come: Iterable[Address]) -> PodAddresses:
        """Return the index after one pod has lost the addresses *gone* and has got the addresses *come*."""
        bearers = self.bearers
        numbers = {IPV4: self.ipv4, IPV6: self.ipv6}
        for address in gone:
            left = bearers[address] - 1
            bearers = bearers.insert(address, left) if left else bearers.remove(address)
            if not left:
                numbers[address[0]] = numbers[address[0]].remove(address[1])
        for address in come:
            others = bearers.get(address, 0)
            bearers = bearers.insert(address, others + 1)
            if not others:
                numbers[address[0]] = numbers[address[0]].insert(address[1])
        return PodAddresses(bearers=bearers, ipv4=numbers[IPV4], ipv6=numbers[IPV6])


NO_ADDRESSES = PodAddresses()
