"""
Search for one choice of labels that escapes every term of a union: exact, and fast for the selectors that people write.

A choice escapes a term by a label that has a value outside of what the term allows. Each key has finitely many cells,
"missing, this value, or any other value", each with the terms that it does not escape. So this is a question of
satisfaction (SAT), and it is answered as such: what follows is taken first, then one key at a time is split.

1. A term that only one key can still escape narrows that key's cells; a term that no key can escape ends the branch.
2. A cell that escapes all terms that any cell of its key escapes is taken without a look at the others.
3. Parts that share no key are solved separately; what was refuted once is not searched again.

Each split leaves one key fewer, and a look at the keys that are left costs at least three steps for each: a budget of n
steps ends at a depth of sqrt(2n/3), far below the recursion limit of the interpreter.
"""

from dataclasses import dataclass, field

from webhook.netpol.sources.budget import StepBudget
from webhook.netpol.sources.terms import Key

MOST_COMPARED = 16
"""Refuted cells of one key that another cell is compared with: to compare all with all costs more than it saves."""

SHORT = 5
"""Weight of a term that only two keys can escape; tuned on random unions of three and four keys."""

WORD = 1024
"""Bits that an operation on integers handles in one step."""

Cells = dict[int, str | None]
"""The terms (as bits) that a value does not escape, and one such value: the first, which is the simplest."""

Domains = dict[Key, Cells]
Chosen = dict[Key, str | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Left:
    """
    What is left to search.

    Args:
        terms: the terms that are still to be escaped.
        domains: the cells of each key that is not chosen yet, as far as they differ in these terms.
        alive: for each such key, the terms that some of its cells escape and some do not.
        short: the terms that only two keys can still escape: if one of the keys fails, the other is forced.
    """

    terms: int
    domains: Domains
    alive: dict[Key, int]
    short: int

    def promise(self, key: Key) -> float:
        """Return how useful a split by *key* is: how much follows from it, for each of its cells."""
        alive = self.alive[key]
        return (alive.bit_count() + SHORT * (alive & self.short).bit_count()) / len(self.domains[key])


@dataclass(slots=True)
class Search:
    """
    The search for a cell of each key such that no term is left.

    Args:
        terms: how many terms there are.
        budget: the steps that the search may take.
        refuted: parts that have no solution.
    """

    terms: int
    budget: StepBudget
    refuted: set[tuple[int, frozenset[tuple[Key, frozenset[int]]]]] = field(default_factory=set)

    def run(self, domains: Domains) -> Chosen | None:
        """
        Return a value (None: missing) for each key; None where every choice leaves a term.

        Raises:
            StepsExhaustedError: the search needs more steps than there are.
        """
        return self._solve((1 << self.terms) - 1, domains)

    def _solve(self, terms: int, domains: Domains) -> Chosen | None:
        chosen: Chosen = {}
        left = self._follow(terms, dict(domains), chosen)
        if left is None:
            return None
        for part in _parts(left):
            signature = part.terms, frozenset((key, frozenset(cells)) for key, cells in part.domains.items())
            found = None if signature in self.refuted else self._split(part)
            if found is None:
                self.refuted.add(signature)
                return None
            chosen |= found
        return chosen

    def _split(self, part: _Left) -> Chosen | None:
        key = max(sorted(part.domains), key=part.promise)
        rest = {known: cells for known, cells in part.domains.items() if known != key}
        cells = part.domains[key]
        failed: list[int] = []
        for held in sorted(cells, key=int.bit_count):
            self._spend(1 + len(failed))
            if any(held & worse == worse for worse in failed):
                continue
            found = self._solve(held, rest)
            if found is not None:
                return found | {key: cells[held]}
            failed = [*failed, held][:MOST_COMPARED]
        return None

    def _follow(self, terms: int, domains: Domains, chosen: Chosen) -> _Left | None:
        """Choose what follows until nothing does; None where some term cannot be escaped."""
        alive: dict[Key, int] = {}
        narrowing = 0
        while True:
            before, once, twice, thrice = terms, 0, 0, 0
            for key, cells in list(domains.items()):
                self._spend(1 + len(cells))
                must = narrowing & alive.get(key, 0)
                kept = _kept(cells, terms, must)
                if not kept:
                    return None
                common = some = next(iter(kept))
                for held in kept:
                    common &= held
                    some |= held
                if common in kept:
                    chosen[key] = kept[common]
                    terms = common
                    del domains[key]
                else:
                    terms = some
                    domains[key], alive[key] = kept, some & ~common
                    thrice |= twice & alive[key]
                    twice |= once & alive[key]
                    once |= alive[key]
            if terms & ~once:
                return None
            narrowing = terms & ~twice
            if terms == before and not narrowing:
                return _Left(terms=terms, domains=domains, alive=alive, short=twice & ~thrice)

    def _spend(self, cells: int) -> None:
        self.budget.spend(cells * (1 + self.terms // WORD))


def _kept(cells: Cells, terms: int, must: int) -> Cells:
    """Return the cells that escape every term of *must*, as far as they differ in *terms*."""
    kept: Cells = {}
    for held, value in cells.items():
        if not held & must and held & terms not in kept:
            kept[held & terms] = value
    return kept


def _parts(left: _Left) -> list[_Left]:
    """Return what is left in parts that share no key, the smallest first: each is searched separately."""
    groups: list[tuple[int, list[Key]]] = []
    for key in left.domains:
        together, keys = left.alive[key], [key]
        apart = []
        for terms, others in groups:
            if terms & together:
                together |= terms
                keys = others + keys
            else:
                apart.append((terms, others))
        groups = [*apart, (together, keys)]
    if len(groups) == 1:
        return [left]
    return [
        _Left(
            terms=terms,
            domains={key: _kept(left.domains[key], terms, 0) for key in keys},
            alive={key: left.alive[key] for key in keys},
            short=left.short,
        )
        for terms, keys in sorted(groups, key=lambda group: (len(group[1]), min(group[1])))
    ]
