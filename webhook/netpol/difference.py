"""
Find the pods, by (namespace labels x pod labels), that one union of terms admits and another does not: exactly.

The space of all pods falls into finitely many cells, and the question is decided by search: split on one key at a time,
look only at splits that leave the fewest terms, drop what cannot matter any more, solve parts that share no key
separately, and remember what was already refuted.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from webhook.netpol.labelspace import EVERY_POD, NAMESPACE, POD, Key, Term, ValueSet, domain

MOST_STEPS = 40_000
"""
Steps of one search (a step touches one key's split or one term) before the answer is "undecided". A step costs about
a microsecond, so the longest search stays below 50 ms.
"""


class BoundReachedError(Exception):
    """Tell that a search took more than MOST_STEPS: whoever asked must answer "undecided"."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PodWitness:
    """Labels of a pod and of its namespace, chosen so that one union admits it and another does not."""

    namespace_labels: Mapping[str, str]
    pod_labels: Mapping[str, str]


def difference(before: Iterable[Term], after: Iterable[Term]) -> PodWitness | None:
    """
    Find a pod that *before* admits and *after* does not; None where there is none.

    The same pod is found whatever the order of the terms: an answer is the same on every replica and in every run.

    Raises:
        BoundReachedError: the search was given up.
    """
    remaining = tuple(dict.fromkeys(after))
    if EVERY_POD in remaining:
        return None
    kept = frozenset(remaining)
    steps = _Steps()
    for term in sorted((term for term in dict.fromkeys(before) if term not in kept), key=_by_content):
        found = _Search(term, remaining, steps).run()
        if found is not None:
            return _witness(found)
    return None


def _by_content(term: Term) -> list[tuple[Key, bool, bool, list[str]]]:
    return [(key, values.absent, values.others, sorted(values.values)) for key, values in term]


def _witness(cells: Mapping[Key, str | None]) -> PodWitness:
    return PodWitness(
        namespace_labels={
            name: value for (scope, name), value in sorted(cells.items()) if scope == NAMESPACE and value is not None
        },
        pod_labels={
            name: value for (scope, name), value in sorted(cells.items()) if scope == POD and value is not None
        },
    )


@dataclass(slots=True)
class _Steps:
    taken: int = 0

    def take(self, count: int) -> None:
        self.taken += count
        if self.taken > MOST_STEPS:
            raise BoundReachedError


@dataclass(slots=True)
class _Search:
    """
    Look for a cell of *box* that none of *terms* holds.

    Terms are bits of an integer, and a cell of a key is the set of terms that it leaves possible. A cell is refuted
    with a set of terms; every superset of that set is refuted with it.
    """

    box: Term
    terms: tuple[Term, ...]
    steps: _Steps
    cells: dict[Key, dict[int, str | None]] = field(default_factory=dict)
    keys_of: list[tuple[Key, ...]] = field(default_factory=list)
    refuted: set[tuple[int, frozenset[Key]]] = field(default_factory=set)

    def run(self) -> dict[Key, str | None] | None:
        """Give the chosen value for each key that matters (None: missing), or None where *terms* cover the box."""
        inside = dict(self.box)
        relevant: list[Term] = []
        for term in self.terms:
            self.steps.take(1 + _size(term))
            narrowed = _narrow(term, inside)
            if narrowed == ():
                return None
            if narrowed is not None:
                relevant.append(narrowed)
        self.keys_of = [tuple(key for key, _ in term) for term in relevant]
        self._split(relevant, inside)
        chosen = self._solve((1 << len(relevant)) - 1, frozenset(self.cells))
        if chosen is None:
            return None
        for key, values in inside.items():
            if key not in chosen:
                chosen[key] = _simplest(values)
        return chosen

    def _split(self, terms: list[Term], inside: dict[Key, ValueSet]) -> None:
        by_key: dict[Key, list[tuple[int, ValueSet]]] = {}
        everything = (1 << len(terms)) - 1
        for index, term in enumerate(terms):
            for key, values in term:
                by_key.setdefault(key, []).append((1 << index, values))
        self.steps.take(sum(_size(term) for term in terms))
        for key, uses in by_key.items():
            self.cells[key] = _cells(uses, inside.get(key, domain(key)), everything)

    def _solve(self, active: int, keys: frozenset[Key]) -> dict[Key, str | None] | None:
        if not active:
            return {}
        if (active, keys) in self.refuted:
            return None
        uses: dict[Key, int] = {}
        left: dict[int, list[Key]] = {}
        single: Key | None = None
        for index in _bits(active):
            left[index] = [key for key in self.keys_of[index] if key in keys]
            self.steps.take(len(self.keys_of[index]))
            if not left[index]:
                return None
            if len(left[index]) == 1 and (single is None or left[index][0] < single):
                single = left[index][0]
            for key in left[index]:
                uses[key] = uses.get(key, 0) | (1 << index)
        parts = _parts(active, left, uses) if single is None else [active]
        if len(parts) > 1:
            return self._solve_parts(parts, keys)
        chosen = self._branch(single if single is not None else _busiest(uses), active, keys)
        if chosen is None:
            self.refuted.add((active, keys))
        return chosen

    def _solve_parts(self, parts: list[int], keys: frozenset[Key]) -> dict[Key, str | None] | None:
        together: dict[Key, str | None] = {}
        for part in sorted(parts, key=int.bit_count):
            chosen = self._solve(part, keys)
            if chosen is None:
                return None
            together.update(chosen)
        return together

    def _branch(self, key: Key, active: int, keys: frozenset[Key]) -> dict[Key, str | None] | None:
        splits: dict[int, str | None] = {}
        self.steps.take(len(self.cells[key]))
        for mask, value in self.cells[key].items():
            splits.setdefault(mask & active, value)
        rest = keys - {key}
        failed: list[int] = []
        for left in sorted(splits, key=int.bit_count):
            self.steps.take(1 + len(failed))
            if any(left & worse == worse for worse in failed):
                continue
            chosen = self._solve(left, rest)
            if chosen is not None:
                chosen[key] = splits[left]
                return chosen
            failed.append(left)
        return None


def _narrow(term: Term, inside: Mapping[Key, ValueSet]) -> Term | None:
    """Give *term* within the box, without the keys that it does not restrict there; None where they are disjoint."""
    kept: list[tuple[Key, ValueSet]] = []
    for key, values in term:
        box = inside.get(key)
        if box is None:
            kept.append((key, values))
            continue
        both = values.intersection(box)
        if both.is_empty():
            return None
        if both != box:
            kept.append((key, values))
    return tuple(kept)


def _cells(uses: list[tuple[int, ValueSet]], box: ValueSet, everything: int) -> dict[int, str | None]:
    """Group everything that a label of the box can be by the terms that hold it: terms -> one example."""
    mentioned: set[str] = set(box.values)
    named = 0
    cofinite = 0
    absent = everything
    for bit, values in uses:
        mentioned |= values.values
        named |= bit
        if values.others:
            cofinite |= bit
        if not values.absent:
            absent &= ~bit
    free = everything & ~named
    holders = dict.fromkeys(mentioned, free | cofinite)
    for bit, values in uses:
        for value in values.values:
            holders[value] = holders[value] & ~bit if values.others else holders[value] | bit
    cells: dict[int, str | None] = {}
    if box.absent:
        cells[absent] = None
    if box.others:
        cells.setdefault(free | cofinite, _fresh(mentioned))
    for value in sorted(mentioned):
        if box.holds(value):
            cells.setdefault(holders[value], value)
    return cells


def _fresh(mentioned: Iterable[str]) -> str:
    """Give a value that nobody mentioned: legal as a label's value and as a namespace's name."""
    taken = frozenset(mentioned)
    number = 0
    while (value := f"other{number or ''}") in taken:
        number += 1
    return value


def _simplest(values: ValueSet) -> str | None:
    if values.absent:
        return None
    return _fresh(values.values) if values.others else min(values.values)


def _bits(mask: int) -> Iterable[int]:
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


def _busiest(uses: Mapping[Key, int]) -> Key:
    return max(sorted(uses), key=lambda key: uses[key].bit_count())


def _parts(active: int, keys_of: Mapping[int, Iterable[Key]], uses: Mapping[Key, int]) -> list[int]:
    """Group terms into parts that share no key: each can be solved on its own."""
    parts: list[int] = []
    while active:
        part = reached = active & -active
        while reached:
            index = reached.bit_length() - 1
            reached ^= 1 << index
            for key in keys_of[index]:
                reached |= uses[key] & ~part
                part |= uses[key]
        parts.append(part)
        active &= ~part
    return parts


def _size(term: Term) -> int:
    """Give what a term costs to look at: a step for each key, and one for every eight values."""
    return sum(1 + len(values.values) // 8 for _, values in term)
