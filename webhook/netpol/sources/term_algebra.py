"""
Intersections and differences of sets of pods by labels, as unions of terms.

A difference of two terms is at most one term for each key of the second: exact, and short where the terms have few
keys or do not meet. Steps are counted, since a union of many terms with many keys may grow without bounds.
"""

from collections.abc import Collection, Iterable

from webhook.netpol.sources.budget import StepBudget
from webhook.netpol.sources.terms import EVERY_POD, Term, domain

Terms = frozenset[Term]

NO_PODS: Terms = frozenset()
EVERY: Terms = frozenset({EVERY_POD})


def both(left: Term, right: Term) -> Term | None:
    """Return the pods that are in both terms; None for none."""
    if not left or not right:
        return left or right
    known = dict(left)
    for key, values in right:
        inside = known[key].intersection(values) if key in known else values
        if inside.is_empty():
            return None
        known[key] = inside
    return tuple(sorted(known.items()))


def intersection(left: Iterable[Term], right: Collection[Term], budget: StepBudget) -> Terms:
    """
    Return the pods that are in both unions.

    Raises:
        StepsExhaustedError: there are too many terms.
    """
    found: set[Term] = set()
    for term in left:
        budget.spend(1 + len(right))
        found |= {inside for other in right if (inside := both(term, other)) is not None}
    return frozenset(found)


def without(left: Iterable[Term], right: Iterable[Term], budget: StepBudget) -> Terms:
    """
    Return the pods of one union that are not in another.

    Raises:
        StepsExhaustedError: there are too many terms.
    """
    kept = set(left)
    for taken in right:
        budget.spend(1 + len(kept) * (1 + len(taken)))
        kept = {piece for term in kept for piece in _pieces(term, taken)}
    return frozenset(kept)


def _pieces(term: Term, taken: Term) -> Iterable[Term]:
    """Yield the pods of *term* that are not in *taken*: for each key, those that escape by it and not by one before."""
    if both(term, taken) is None:
        yield term
        return
    left = dict(term)
    for key, values in taken:
        known = left.get(key, domain(key))
        outside = known.without(values)
        if not outside.is_empty():
            yield tuple(sorted({**left, key: outside}.items()))
        left[key] = known.intersection(values)
