"""
Search for one choice of labels that escapes every term of a union: exact, and quick where people wrote the terms.

A term is escaped by any of its keys: by a label outside of what the term holds there. Each key has finitely many cells,
"missing, this value, or any other one", each with the terms that it does not escape. So this is a question of
satisfaction, and it is answered as such: what follows is taken first, then one key at a time is split.

1. A term that one key alone can still escape narrows that key's cells; one that no key can, ends this branch.
2. A cell that escapes all that any cell of its key escapes is taken without looking at the others.
3. Parts that share no key are solved apart; what was refuted once is not searched again.

Each split leaves one key fewer, and a look at those that are left costs three steps a key at least: an effort of n
steps ends at a depth of sqrt(2n/3), far from what the interpreter bears.
"""

from dataclasses import dataclass, field

from webhook.netpol.effort import Effort
from webhook.netpol.labelspace import Key

MOST_COMPARED = 16
"""Refuted cells of one key that another is compared with: comparing all with all costs more than it saves."""

SHORT = 5
"""What a term that two keys can escape counts more than another: tried out on random unions of three and four keys."""

WORD = 1024
"""Terms whose bits are handled at the cost of one."""

Cells = dict[int, str | None]
"""The terms (bits) that a choice does not escape -> one such choice: the first, which is the simplest."""

Domains = dict[Key, Cells]
Chosen = dict[Key, str | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Left:
    """
    What is left to search after everything that follows was taken.

    Args:
        terms: those that are still to be escaped.
        domains: the cells of each key that is not chosen yet, as far as they differ in these terms.
        alive: for each such key the terms that some of its cells escape and some do not.
        short: terms that two keys alone can still escape: once one of them fails, the other follows.
    """

    terms: int
    domains: Domains
    alive: dict[Key, int]
    short: int

    def promise(self, key: Key) -> float:
        """Say how much a split by *key* promises: how much follows from it, for each of its cells."""
        alive = self.alive[key]
        return (alive.bit_count() + SHORT * (alive & self.short).bit_count()) / len(self.domains[key])


@dataclass(slots=True)
class Search:
    """
    Look for a cell of each key such that no term is left.

    Args:
        terms: how many there are.
        effort: what the search may take.
    """

    terms: int
    effort: Effort
    refuted: set[tuple[int, frozenset[tuple[Key, frozenset[int]]]]] = field(default_factory=set)

    def run(self, domains: Domains) -> tuple[Chosen, ...]:
        """
        Give a label (None: missing) for each key; nothing where every choice leaves a term.

        Raises:
            BoundReachedError: the search was given up.
        """
        return self._solve((1 << self.terms) - 1, domains)

    def _solve(self, terms: int, domains: Domains) -> tuple[Chosen, ...]:
        chosen: Chosen = {}
        left = self._follow(terms, dict(domains), chosen)
        if left == ():
            return ()
        for part in _parts(left[0]):
            signature = part.terms, frozenset((key, frozenset(cells)) for key, cells in part.domains.items())
            found = () if signature in self.refuted else self._split(part)
            if found == ():
                self.refuted.add(signature)
                return ()
            chosen |= found[0]
        return (chosen,)

    def _split(self, part: _Left) -> tuple[Chosen, ...]:
        key = max(sorted(part.domains), key=part.promise)
        rest = {known: cells for known, cells in part.domains.items() if known != key}
        cells = part.domains[key]
        failed: list[int] = []
        for held in sorted(cells, key=int.bit_count):
            self._take(1 + len(failed))
            if any(held & worse == worse for worse in failed):
                continue
            found = self._solve(held, rest)
            if found != ():
                return (found[0] | {key: cells[held]},)
            failed = [*failed, held][:MOST_COMPARED]
        return ()

    def _follow(self, terms: int, domains: Domains, chosen: Chosen) -> tuple[_Left, ...]:
        """Take what follows until nothing does; nothing is left where some term cannot be escaped."""
        alive: dict[Key, int] = {}
        narrowing = 0
        while True:
            before, once, twice, thrice = terms, 0, 0, 0
            for key, cells in list(domains.items()):
                self._take(1 + len(cells))
                must = narrowing & alive.get(key, 0)
                kept = _kept(cells, terms, must)
                if kept == {}:
                    return ()
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
                return ()
            narrowing = terms & ~twice
            if terms == before and not narrowing:
                return (_Left(terms=terms, domains=domains, alive=alive, short=twice & ~thrice),)

    def _take(self, cells: int) -> None:
        self.effort.take(cells * (1 + self.terms // WORD))


def _kept(cells: Cells, terms: int, must: int) -> Cells:
    """Give the cells that escape every term of *must*, as far as they differ in *terms*."""
    kept: Cells = {}
    for held, value in cells.items():
        if not held & must and held & terms not in kept:
            kept[held & terms] = value
    return kept


def _parts(left: _Left) -> list[_Left]:
    """Group what is left into parts that share no key: each can be searched on its own, the smallest first."""
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
