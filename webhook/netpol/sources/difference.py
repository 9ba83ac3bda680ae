"""
Find a pod, by (namespace labels x pod labels), that one union of terms holds and another does not: exactly.

1. Terms that differ in one key are merged: thousands of selectors with one value each become one with a set of values.
2. Each term of the first union is a box. Terms of the second that do not meet it are dropped, and so are constraints
   that the whole box satisfies.
3. The values of each label of the box fall into finitely many cells; `search.py` looks for a choice of cells that
   escapes every term.
4. A namespace that exists has the labels that it has, and one that may come has any. So where the choice names a
   namespace that exists, each existing namespace that a term names is asked about with its labels, and then the
   namespaces that may come. An existing namespace that no term names is like one that may come.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass

from webhook.netpol.sources.budget import Answers, StepBudget, StepsExhaustedError
from webhook.netpol.sources.search import Cells, Chosen, Search
from webhook.netpol.sources.terms import (
    ANY_NAME,
    EVERY_POD,
    NAME_KEY,
    NAMESPACE,
    POD,
    Key,
    Term,
    ValueSet,
    domain,
    in_namespace,
    names_in,
    union_of_values,
)
from webhook.netpol.sources.universe import LabelsOf, all_to_come

FAST = 32
"""Values that an operation on sets handles in one step."""

SLOW = 4
"""Values that are handled one by one in one step."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PodWitness:
    """
    Labels of a pod and of its namespace, chosen so that one union holds it and another does not.

    Every namespace has its name as a label. Where the name is missing here, it is any name that neither union mentions.
    """

    namespace_labels: Mapping[str, str]
    pod_labels: Mapping[str, str]


def difference(
    before: Iterable[Term], after: Iterable[Term], answers: Answers, labels_of: LabelsOf = all_to_come
) -> PodWitness | None:
    """
    Return a pod that *before* holds and *after* does not; None where there is none.

    The same pod is found whatever the order of the terms: an answer is the same on every replica and in every run.

    Args:
        before: a union of terms.
        after: another one.
        answers: those of the decision.
        labels_of: the labels of the namespaces that exist; the same in the whole decision.

    Raises:
        StepsExhaustedError: the search needs too many steps; a repeated question within one decision raises again.
    """
    had, has = frozenset(before), frozenset(after)
    if had <= has or EVERY_POD in has:
        return None
    question = had, has
    if question not in answers.known:
        answers.known[question] = _found(had, has, StepBudget(left=answers.steps), labels_of)
    answer: PodWitness | StepsExhaustedError | None = answers.known[question]
    if isinstance(answer, StepsExhaustedError):
        raise StepsExhaustedError
    return answer


def _found(
    had: frozenset[Term], has: frozenset[Term], budget: StepBudget, labels_of: LabelsOf
) -> PodWitness | StepsExhaustedError | None:
    try:
        remaining = merged(has, budget)
        for box in sorted(merged(had - has, budget), key=_by_content):
            cells = _lost(box, remaining, budget, labels_of)
            if cells is not None:
                return _witness(cells)
    except StepsExhaustedError as error:
        return error
    return None


def _lost(box: Term, terms: Sequence[Term], budget: StepBudget, labels_of: LabelsOf) -> Chosen | None:
    """Return labels in *box* that none of *terms* holds, in a namespace that exists or may come; None for none."""
    cells = _outside(box, terms, budget)
    name = None if cells is None else cells.get(NAME_KEY)
    if cells is None or name is None or labels_of(name) is None:
        return cells
    names = names_in((box, *terms))
    if name not in names:
        return cells | {NAME_KEY: unused_name(names, labels_of)}
    allowed = dict(box).get(NAME_KEY, ANY_NAME)
    there = {known: labels for known in names if allowed.holds(known) and (labels := labels_of(known)) is not None}
    concerned = _terms_by_name(terms, there)
    for known in sorted(there):
        found = _lost_in(there[known], box, concerned[known], budget)
        if found is not None:
            return found
    to_come = allowed.without(ValueSet(absent=False, values=frozenset(there), others=False))
    if to_come.is_empty():
        return None
    return _lost(tuple(sorted({**dict(box), NAME_KEY: to_come}.items())), terms, budget, labels_of)


def _terms_by_name(terms: Sequence[Term], names: Iterable[str]) -> dict[str, list[Term]]:
    """Return the terms that may hold pods of each of these namespaces."""
    by_name: dict[str, list[Term]] = {name: [] for name in names}
    for term in terms:
        values = dict(term).get(NAME_KEY, ANY_NAME)
        for name in by_name if values.others else values.values & by_name.keys():
            if values.holds(name):
                by_name[name].append(term)
    return by_name


def _lost_in(labels: Mapping[str, str], box: Term, terms: Sequence[Term], budget: StepBudget) -> Chosen | None:
    """Return labels in *box* that none of *terms* holds, of a pod in a namespace with these labels; None for none."""
    budget.spend(1 + len(terms))
    inside = in_namespace(box, labels)
    if inside is None:
        return None
    others = [pods for term in terms if (pods := in_namespace(term, labels)) is not None]
    found = _outside(inside, others, budget)
    return None if found is None else found | {(NAMESPACE, key): value for key, value in labels.items()}


def may_hold_pods(terms: Iterable[Term], labels_of: LabelsOf) -> bool:
    """Whether a pod, of a namespace that exists or may come, can be in the union of *terms*."""
    return any(_may_hold_pods(term, labels_of) for term in terms)


def _may_hold_pods(term: Term, labels_of: LabelsOf) -> bool:
    names = dict(term).get(NAME_KEY, ANY_NAME)
    if names.others:
        return True
    known = map(labels_of, names.values)
    return any(labels is None or in_namespace(term, labels) is not None for labels in known)


def unused_name(names: Container[str], labels_of: LabelsOf) -> str:
    """Return the name of a namespace that does not exist and is not in *names*."""
    number = 0
    while (name := f"any-namespace{number or ''}") in names or labels_of(name) is not None:
        number += 1
    return name


def merged(terms: Iterable[Term], budget: StepBudget) -> list[Term]:
    """
    Return the same union in fewer terms: those that differ only in their first or only in their last key are merged.

    Raises:
        StepsExhaustedError: there are too many terms.
    """
    left = list(terms)
    for position in (-1, 0):
        groups: dict[tuple[Key, Term], list[ValueSet]] = {}
        for term in left:
            if not term:
                return [EVERY_POD]
            key, values = term[position]
            budget.spend(1 + len(term) + len(values.values) // FAST)
            groups.setdefault((key, term[:-1] if position else term[1:]), []).append(values)
        left = []
        for (key, rest), sets in groups.items():
            values = union_of_values(sets)
            item = () if values == domain(key) else ((key, values),)
            left.append((*rest, *item) if position else (*item, *rest))
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


def _outside(box: Term, terms: Sequence[Term], budget: StepBudget) -> Chosen | None:
    """Return labels in *box* (None: missing) that none of *terms* holds; None where the terms cover the box."""
    inside = dict(box)
    for term in terms:
        budget.spend(1 + len(term))
        if len(term) == 1:  # nothing but this key can escape it
            key, values = term[0]
            inside[key] = inside.get(key, domain(key)).without(values)
            if inside[key].is_empty():
                return None
    plain: Chosen = {key: _simplest(values) for key, values in inside.items()}
    if not any(_holds(term, plain) for term in terms):
        return plain
    relevant: set[Term] = set()
    for term in terms:
        budget.spend(1 + _size(term, FAST))
        narrowed = _narrow(term, inside)
        if narrowed == EVERY_POD:
            return None
        if narrowed is not None:
            relevant.add(narrowed)
    uses: dict[Key, list[tuple[int, ValueSet]]] = {}
    for index, term in enumerate(relevant):
        budget.spend(_size(term, SLOW))
        for key, values in term:
            uses.setdefault(key, []).append((1 << index, values))
    everything = (1 << len(relevant)) - 1
    domains = {key: _cells(uses[key], inside.get(key, domain(key)), everything) for key in sorted(uses)}
    chosen = Search(terms=len(relevant), budget=budget).run(domains)
    return None if chosen is None else plain | chosen


def _holds(term: Term, cells: Chosen) -> bool:
    """Whether *term* holds these labels; a key that is not chosen yet gets its simplest value, in *cells* too."""
    return all(values.holds(cells.setdefault(key, "other" if key == NAME_KEY else None)) for key, values in term)


def _narrow(term: Term, inside: Mapping[Key, ValueSet]) -> Term | None:
    """Return *term* within the box, without the keys that it does not restrict there; None where they are disjoint."""
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


def _cells(uses: list[tuple[int, ValueSet]], box: ValueSet, everything: int) -> Cells:
    """Return the values of a label of the box, grouped by the terms that hold them, with one example of each group."""
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
    """Return the first of *values* in each cell that is not known yet."""
    first: dict[int, str] = {}
    for value in values:
        held = holders[value]
        if held not in known and (held not in first or value < first[held]):
            first[held] = value
    return {held: first[held] for held in sorted(first, key=first.__getitem__)}


def _fresh(mentioned: Iterable[str]) -> str:
    """Return a value that is not mentioned: valid as a label's value and as a namespace's name."""
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
    """Return the steps of a look at a term: one for each key, and one for so many of its values."""
    return sum(1 + len(values.values) // values_per_step for _, values in term)
