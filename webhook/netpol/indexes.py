"""
Persistent indexes of a snapshot: a change costs microseconds, and the index that it was made from stays what it is.

Whether an address range holds pods is asked in every decision about an ipBlock, and must not cost more in a large
cluster than in a small one. So the index is part of the snapshot, and is kept from change to change.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Generic, TypeVar

from rpds import HashTrieMap

from webhook.netpol.intervals import IPV4, IPV6, Intervals, IPAddress

MOST = 512
"""Values of one bucket. A bucket with more is split; one with a quarter of them is joined with a short neighbour."""

Value = TypeVar("Value", bound=Any)


@dataclass(frozen=True, slots=True, eq=False)
class SortedSet(Generic[Value]):
    """
    Distinct values in ascending order.

    A change copies one bucket of at most `MOST` values and the list of buckets: five microseconds in a set of 20,000
    values. A search is two bisections.

    Args:
        buckets: the values; no bucket is empty.
        firsts: the first value of each bucket.
    """

    buckets: tuple[tuple[Value, ...], ...] = ()
    firsts: tuple[Value, ...] = ()

    @classmethod
    def of(cls, values: Iterable[Value]) -> SortedSet[Value]:
        """Return the set of *values*, which may be in any order."""
        found = sorted(set(values))
        half = MOST // 2
        return cls._of_buckets(tuple(tuple(found[at : at + half]) for at in range(0, len(found), half)))

    @classmethod
    def _of_buckets(cls, buckets: tuple[tuple[Value, ...], ...]) -> SortedSet[Value]:
        return cls(buckets, tuple(bucket[0] for bucket in buckets))

    def __iter__(self) -> Iterator[Value]:
        for bucket in self.buckets:
            yield from bucket

    def starting_at(self, first: Value) -> Iterator[Value]:
        """Yield the values from *first* on."""
        index = max(bisect_right(self.firsts, first) - 1, 0)
        for bucket in islice(self.buckets, index, None):
            yield from bucket[bisect_left(bucket, first) :]

    def insert(self, value: Value) -> SortedSet[Value]:
        """Return the set with *value* in it."""
        if not self.buckets:
            return SortedSet(((value,),), (value,))
        index = max(bisect_right(self.firsts, value) - 1, 0)
        bucket = self.buckets[index]
        place = bisect_left(bucket, value)
        if bucket[place : place + 1] == (value,):
            return self
        grown = list(bucket)
        grown.insert(place, value)
        if len(grown) <= MOST:
            return self._with(index, 1, (tuple(grown),))
        return self._with(index, 1, (tuple(grown[: MOST // 2]), tuple(grown[MOST // 2 :])))

    def remove(self, value: Value) -> SortedSet[Value]:
        """Return the set without *value*; one that is not in it is no error."""
        index = bisect_right(self.firsts, value) - 1
        bucket = self.buckets[index] if index >= 0 else ()
        place = bisect_left(bucket, value)
        if bucket[place : place + 1] != (value,):
            return self
        left = list(bucket)
        del left[place]
        if len(left) > MOST // 4:
            return self._with(index, 1, (tuple(left),))
        start = max(index - 1, 0)
        around = (*self.buckets[start:index], tuple(left), *self.buckets[index + 1 : index + 2])
        return self._with(start, len(around), _joined(around))

    def _with(self, index: int, count: int, buckets: tuple[tuple[Value, ...], ...]) -> SortedSet[Value]:
        """Return the set with *buckets* in the place of *count* of its own, from *index* on."""
        changed, firsts = list(self.buckets), list(self.firsts)
        changed[index : index + count] = buckets
        firsts[index : index + count] = [bucket[0] for bucket in buckets]
        return SortedSet(tuple(changed), tuple(firsts))

    def holds_between(self, first: Value, last: Value) -> bool:
        """Whether some value lies between *first* and *last*, both included."""
        index = bisect_right(self.firsts, last) - 1
        if index < 0:
            return False
        bucket = self.buckets[index]
        return bool(bucket[bisect_right(bucket, last) - 1] >= first)


def _joined(buckets: Iterable[tuple[Value, ...]]) -> tuple[tuple[Value, ...], ...]:
    """Return the same values in fewer buckets, where neighbours have few, and without an empty one."""
    kept: list[tuple[Value, ...]] = []
    for bucket in buckets:
        if kept and len(kept[-1]) + len(bucket) <= MOST // 2:
            kept[-1] = (*kept[-1], *bucket)
        else:
            kept.append(bucket)
    return tuple(bucket for bucket in kept if bucket)


@dataclass(frozen=True, kw_only=True, slots=True)
class PodAddresses:
    """
    The addresses of all pods of a cluster.

    Args:
        bearers: how many pods bear each address: for a moment, two pods may.
        ipv4: the numbers of the IPv4 addresses.
        ipv6: the numbers of the IPv6 addresses.
    """

    bearers: HashTrieMap[IPAddress, int] = HashTrieMap()
    ipv4: SortedSet[int] = field(default_factory=SortedSet, compare=False)
    ipv6: SortedSet[int] = field(default_factory=SortedSet, compare=False)

    @classmethod
    def of(cls, addresses: Iterable[IPAddress]) -> PodAddresses:
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

    def changed(self, gone: Iterable[IPAddress], come: Iterable[IPAddress]) -> PodAddresses:
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
