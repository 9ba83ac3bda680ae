"""
A persistent sorted set: a change costs two short copies, and the set that it was made from stays what it is.

The values stand in buckets of at most `MOST` values, so that a set of n values is copied in pieces of `MOST` and of
n / `MOST` items. A set of 20,000 values changes within some microseconds, and a search takes two bisections.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, TypeVar

MOST = 512
"""Values of one bucket. A bucket with more is split; one with a quarter of them is joined with a short neighbour."""

Value = TypeVar("Value", bound=Any)


@dataclass(frozen=True, slots=True, eq=False)
class SortedSet(Generic[Value]):
    """
    Distinct values in ascending order.

    Args:
        buckets: the values; no bucket is empty.
        firsts: the first value of each bucket.
    """

    buckets: tuple[tuple[Value, ...], ...] = ()
    firsts: tuple[Value, ...] = ()

    @classmethod
    def of(cls, values: Iterable[Value]) -> "SortedSet[Value]":
        """Return the set of *values*, which may be in any order."""
        found = sorted(set(values))
        half = MOST // 2
        return cls._of_buckets(tuple(tuple(found[at : at + half]) for at in range(0, len(found), half)))

    @classmethod
    def _of_buckets(cls, buckets: tuple[tuple[Value, ...], ...]) -> "SortedSet[Value]":
        return cls(buckets, tuple(bucket[0] for bucket in buckets))

    def __iter__(self) -> Iterator[Value]:
        for bucket in self.buckets:
            yield from bucket

    def starting_at(self, first: Value) -> Iterator[Value]:
        """Yield the values from *first* on."""
        index = max(bisect_right(self.firsts, first) - 1, 0)
        for bucket in islice(self.buckets, index, None):
            yield from bucket[bisect_left(bucket, first) :]

    def insert(self, value: Value) -> "SortedSet[Value]":
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

    def remove(self, value: Value) -> "SortedSet[Value]":
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

    def _with(self, index: int, count: int, buckets: tuple[tuple[Value, ...], ...]) -> "SortedSet[Value]":
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
