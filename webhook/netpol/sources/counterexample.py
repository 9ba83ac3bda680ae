"""
Turn the witness of a loss into the smallest example, for messages.

The search returns any pod that is cut off. Here its labels are dropped one by one while it stays cut off, and it
is moved into a namespace that exists, where such a pod would be cut off too. A pod that exists is a better
example: users know it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import TypeVar

from webhook.netpol.intervals import holds
from webhook.netpol.model import Labels, Namespace, Pod
from webhook.netpol.selectors import NAMESPACE_NAME_LABEL
from webhook.netpol.sources.budget import StepBudget, StepsExhaustedError
from webhook.netpol.sources.difference import PodWitness, merged, unused_name
from webhook.netpol.sources.source_set import Sources
from webhook.netpol.sources.terms import NAMESPACE, POD, Key, Term, admits, names_in
from webhook.netpol.sources.universe import LabelsOf, all_to_come

AnyKey = TypeVar("AnyKey", str, Key)

IsExample = Callable[[Labels, Labels], bool]
"""Whether a pod with these labels, its namespace's and its own, is cut off."""

MOST_NAMESPACES = 20
"""Existing namespaces that are tried: an example needs one, and trying each costs some microseconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PodExample:
    """
    A pod that is cut off.

    Args:
        namespace: its namespace.
        labels: its labels; none of them can be dropped.
        namespace_labels: labels that the namespace must have; empty for a namespace that exists.
        pod: the name of a pod that exists and is cut off; empty where none was found.
        any_pod: whether every pod is cut off by its labels.
    """

    namespace: str
    labels: Mapping[str, str]
    namespace_labels: Mapping[str, str]
    pod: str = ""
    any_pod: bool = False


def smallest_example(  # noqa: PLR0913, PLR0917  a question, and the places where its answer may stand
    witness: PodWitness,
    before: Sources,
    after: Sources,
    namespaces: Iterable[Namespace],
    budget: StepBudget,
    labels_of: LabelsOf = all_to_come,
) -> PodExample:
    """
    Return the smallest example like *witness*, in the first of *namespaces* where such a pod is cut off.

    Where the budget does not suffice, the example is right and may have a label that could be dropped.
    """
    name = witness.namespace_labels.get(NAMESPACE_NAME_LABEL)
    if name is None:
        name = unused_name(names_in((*before.terms, *after.terms)), labels_of)
    spaces: Labels = {**witness.namespace_labels, NAMESPACE_NAME_LABEL: name}
    is_there = labels_of(name) is not None
    example = PodExample(
        namespace=name,
        labels=witness.pod_labels,
        namespace_labels={} if is_there else {key: spaces[key] for key in spaces if key != NAMESPACE_NAME_LABEL},
    )
    try:
        had, has = (
            _concerned(merged(sources.terms, budget), witness.pod_labels, budget) for sources in (before, after)
        )
        by_label = admits(had, spaces, witness.pod_labels)

        def is_cut_off(namespace_labels: Labels, pod_labels: Labels) -> bool:
            budget.spend(1 + len(had) + len(has) + len(pod_labels))
            was_admitted = not by_label or admits(had, namespace_labels, pod_labels)
            return was_admitted and not admits(has, namespace_labels, pod_labels)

        if is_there:
            return replace(example, labels=_fewest(example.labels, partial(is_cut_off, spaces)))
        return _smallest(example, is_cut_off, namespaces)
    except StepsExhaustedError:
        return example


def existing_pod(
    before: Sources, after: Sources, pods: Iterable[tuple[Namespace, Pod]], budget: StepBudget, *, by_address: bool
) -> PodExample | None:
    """
    Return a pod that exists and is cut off, with the labels for which it is; None where the search finds none.

    Args:
        pods: the pods to try, each with its namespace.
        by_address: whether an ipBlock may admit pods: then a pod whose address a block holds is not surely cut off.
    """
    try:
        had, has = merged(before.terms, budget), merged(after.terms, budget)
        for namespace, pod in pods:
            budget.spend(1 + len(had) + len(has))
            if by_address and any(holds(after.block(family), number) for family, number in pod.addresses):
                continue

            def is_cut_off(labels: Labels, spaces: Labels = namespace.labels) -> bool:
                return admits(had, spaces, labels) and not admits(has, spaces, labels)

            if is_cut_off(pod.labels):
                labels = _fewest(pod.labels, is_cut_off)
                return PodExample(namespace=namespace.name, labels=labels, namespace_labels={}, pod=pod.name)
    except StepsExhaustedError:
        pass
    return None


def _concerned(terms: Iterable[Term], pod_labels: Labels, budget: StepBudget) -> list[Term]:
    """Return the terms that may hold a pod with some of these labels."""
    found = []
    for term in terms:
        budget.spend(1 + len(term))
        if all(
            scope == NAMESPACE or values.absent or values.holds(pod_labels.get(name)) for (scope, name), values in term
        ):
            found.append(term)
    return found


def _smallest(example: PodExample, is_cut_off: IsExample, namespaces: Iterable[Namespace]) -> PodExample:
    name = {NAMESPACE_NAME_LABEL: example.namespace}
    spaces = {**example.namespace_labels, **name}
    labels = _fewest(example.labels, partial(is_cut_off, spaces))
    for namespace in islice(namespaces, MOST_NAMESPACES):
        if is_cut_off(namespace.labels, labels):
            labels = _fewest(labels, partial(is_cut_off, namespace.labels))
            return PodExample(namespace=namespace.name, labels=labels, namespace_labels={})
    cells = {(NAMESPACE, key): value for key, value in example.namespace_labels.items()}
    cells |= {(POD, key): value for key, value in labels.items()}
    cells = _fewest(cells, lambda fewer: is_cut_off({**_of(NAMESPACE, fewer), **name}, _of(POD, fewer)))
    return PodExample(namespace=example.namespace, labels=_of(POD, cells), namespace_labels=_of(NAMESPACE, cells))


def _fewest(labels: Mapping[AnyKey, str], is_example: Callable[[dict[AnyKey, str]], bool]) -> dict[AnyKey, str]:
    """Drop labels one by one while the rest is an example; without one label, an earlier one may be dropped too."""
    kept = dict(labels)
    before = len(kept) + 1
    while len(kept) < before:
        before = len(kept)
        for key in sorted(kept):
            fewer = {known: value for known, value in kept.items() if known != key}
            if is_example(fewer):
                kept = fewer
    return kept


def _of(scope: str, cells: Mapping[Key, str]) -> dict[str, str]:
    return {name: value for (known, name), value in cells.items() if known == scope}
