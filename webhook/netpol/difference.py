"""
Find the pods, by (namespace labels x pod labels), that one union of terms admits and another does not: exactly.

1. Terms that differ in one key are one term: thousands of selectors that name a value each become one with a set.
2. Each term of the first union is a box. Terms of the second that lie beside it are pruned, and constraints that the
   whole box fulfils are dropped.
3. What a label of the box can be falls into finitely many cells; `search.py` looks for a choice of cells that escapes
   every term.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from webhook.netpol.effort import BoundReachedError, Effort
from webhook.netpol.labelspace import EVERY_POD, NAME_KEY, NAMESPACE, POD, Key, Term, ValueSet, domain, union_of_values
from webhook.netpol.search import Cells, Chosen, Search

FAST = 32
"""Values that the interpreter's own sets handle in one step."""

SLOW = 4
"""Values that are looked at one by one in one step."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PodWitness:
    """
    Labels of a pod and of its namespace, chosen so that one union admits it and another does not.

    Every namespace has its name as a label. Where the name is not here, any will do that neither union mentions.
    """

    namespace_labels: Mapping[str, str]
    pod_labels: Mapping[str, str]


def difference(before: Iterable[Term], after: Iterable[Term], effort: Effort) -> tuple[PodWitness, ...]:
    """
    Find a pod that *before* admits and *after* does not: one where there is any, else none.

    The same pod is found whatever the order of the terms: an answer is the same on every replica and in every run.

    Raises:
        BoundReachedError: the search was given up; asked again within the same effort, it still is.
    """
    had, has = frozenset(before), frozenset(after)
    if had <= has or EVERY_POD in has:
        return ()
    question = had, has
    if question not in effort.known:
        effort.known[question] = _found(had, has, effort)
    answer: tuple[PodWitness, ...] | BoundReachedError = effort.known[question]
    match answer:
        case BoundReachedError():
            raise BoundReachedError
        case _:
            return answer


def _found(had: frozenset[Term], has: frozenset[Term], effort: Effort) -> tuple[PodWitness, ...] | BoundReachedError:
    """Search with half of the effort that is left, so that a hard question does not swallow an easy one."""
    part = effort.half()
    try:
        remaining = merged(has, part)
        for box in sorted(merged(had - has, part), key=_by_content):
            cells = _outside(box, remaining, part)
            if cells != ():
                return (_witness(cells[0]),)
    except BoundReachedError as given_up:
        return given_up
    finally:
        effort.spend(part)
    return ()


def merged(terms: Iterable[Term], effort: Effort) -> list[Term]:
    """
    Give the same union in fewer terms: those that differ in their first or in their last key alone are one.

    Raises:
        BoundReachedError: there are too many.
    """
    left = list(terms)
    for position in (-1, 0):
        groups: dict[tuple[Key, Term], list[ValueSet]] = {}
        for term in left:
            if not term:
                return [EVERY_POD]
            key, values = term[position]
            effort.take(1 + len(term) + len(values.values) // FAST)
            group = groups.setdefault((key, term[:-1] if position else term[1:]), [])
            group += (values,)
        left = []
        for (key, rest), sets in groups.items():
            values = union_of_values(sets)
            item = () if values == domain(key) else ((key, values),)
            left += ((*rest, *item) if position else (*item, *rest),)
    return left


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


def _outside(box: Term, terms: Sequence[Term], effort: Effort) -> tuple[Chosen, ...]:
    """Give labels in *box* that none of *terms* holds (None: missing); none where they cover it."""
    inside = dict(box)
    for term in terms:
        effort.take(1 + len(term))
        if len(term) == 1:  # nothing but this key can escape it
            key, values = term[0]
            inside[key] = inside.get(key, domain(key)).without(values)
            if inside[key].is_empty():
                return ()
    plain: Chosen = {key: _simplest(values) for key, values in inside.items()}
    if not any(_holds(term, plain) for term in terms):
        return (plain,)
    relevant: set[Term] = set()
    for term in terms:
        effort.take(1 + _size(term, FAST))
        narrowed = _narrow(term, inside)
        if narrowed == EVERY_POD:
            return ()
        if narrowed is not None:
            relevant.add(narrowed)
    uses: dict[Key, list[tuple[int, ValueSet]]] = {}
    for index, term in enumerate(relevant):
        effort.take(_size(term, SLOW))
        for key, values in term:
            used = uses.setdefault(key, [])
            used += ((1 << index, values),)
    everything = (1 << len(relevant)) - 1
    domains = {key: _cells(uses[key], inside.get(key, domain(key)), everything) for key in sorted(uses)}
    chosen = Search(terms=len(relevant), effort=effort).run(domains)
    return () if chosen == () else (plain | chosen[0],)


def _holds(term: Term, cells: Chosen) -> bool:
    """Say whether *term* holds these labels; a key that is not chosen yet gets its simplest label, here and for all."""
    return all(values.holds(cells.setdefault(key, "other" if key == NAME_KEY else None)) for key, values in term)


def _narrow(term: Term, inside: Mapping[Key, ValueSet]) -> Term | None:
    """Give *term* within the box, without the keys that it does not restrict there; None where they are disjoint."""
    kept: list[tuple[Key, ValueSet]] = []
    for key, values in term:
        box = inside.get(key)
        if box is None:
            kept += ((key, values),)
            continue
        both = values.intersection(box)
        if both.is_empty():
            return None
        if both != box:
            kept += ((key, values),)
    return tuple(kept)


def _cells(uses: list[tuple[int, ValueSet]], box: ValueSet, everything: int) -> Cells:
    """Group everything that a label of the box can be by the terms that hold it: terms -> one example."""
    others = absent = everything
    mentioned: set[str] = set(box.values)
    for bit, values in uses:
        mentioned |= values.values
        if not values.others:
            others &= ~bit
        if not values.absent:
            absent &= ~bit
    holders = dict.fromkeys(mentioned, others)
    for bit, values in uses:
        for value in values.values:
            holders[value] ^= bit
    cells: Cells = {}
    if box.absent:
        cells[absent] = None
    if box.others and others not in cells:
        cells[others] = _fresh(mentioned)
    return cells | _named(holders, mentioned - box.values if box.others else box.values, cells)


def _named(holders: Mapping[str, int], values: Iterable[str], known: Cells) -> Cells:
    """Give the first of *values* in each cell that is not known yet, in their order."""
    first: dict[int, str] = {}
    for value in values:
        held = holders[value]
        if held not in known and (held not in first or value < first[held]):
            first[held] = value
    return {held: first[held] for held in sorted(first, key=first.__getitem__)}


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


def _size(term: Term, values_per_step: int) -> int:
    """Give what a term costs to look at: a step for each key, and one for so many of its values."""
    return sum(1 + len(values.values) // values_per_step for _, values in term)
