"""
The set of sources that policies admit to a port: pods by their labels, and addresses by their number.

Policies only add up, so the set is the union over all rules of all policies that select the pod.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from webhook.netpol.intervals import Interval, Intervals, union
from webhook.netpol.sources.terms import EVERY_POD, Term


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    """
    A set of sources.

    Args:
        everyone: nothing restricts: all pods, all addresses, every node.
        terms: pods, as a union of terms over namespace and pod labels.
        blocks: per family, the addresses of ipBlocks without their exceptions.
        exceptions: per family, the exceptions of those ipBlocks as they were written.
        unreadable: some part of a policy could not be read, so the set may hold anything else.
    """

    everyone: bool = False
    terms: frozenset[Term] = frozenset()
    blocks: tuple[tuple[int, Intervals], ...] = ()
    exceptions: tuple[tuple[int, Interval], ...] = ()
    unreadable: bool = False

    def is_empty(self) -> bool:
        """Whether the set surely holds nothing."""
        return not (self.terms or self.blocks or self.unreadable or self.everyone)

    def block(self, family: int) -> Intervals:
        """Return the addresses of one family that ipBlocks admit."""
        for known, intervals in self.blocks:
            if known == family:
                return intervals
        return ()


NO_SOURCES = Sources()
EVERYONE = Sources(everyone=True, terms=frozenset({EVERY_POD}))


def union_of(parts: Iterable[Sources]) -> Sources:
    """Return what any of *parts* holds."""
    known = [part for part in parts if not part.is_empty()]
    if len(known) == 1:
        return known[0]
    if not known:
        return NO_SOURCES
    if any(part.everyone for part in known):
        return EVERYONE
    pieces: dict[int, list[Interval]] = {}
    for part in known:
        for family, intervals in part.blocks:
            pieces.setdefault(family, []).extend(intervals)
    return Sources(
        terms=frozenset().union(*(part.terms for part in known)),
        blocks=tuple((family, union(pieces[family])) for family in sorted(pieces)),
        exceptions=tuple(exception for part in known for exception in part.exceptions),
        unreadable=any(part.unreadable for part in known),
    )
