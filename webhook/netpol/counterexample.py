"""
Turn a witness of a loss into the smallest example that people recognise.

The search gives any pod that is cut off. Here its labels are dropped one by one as long as it stays cut off, and it is
moved into a namespace that exists, where such a pod there would be cut off too.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

from webhook.netpol.labelspace import PodWitness, admits
from webhook.netpol.model import NAMESPACE_NAME_LABEL, Namespace
from webhook.netpol.sources import Sources

MOST_NAMESPACES = 200
"""Existing namespaces that are tried: an example needs one, and a refusal must not wait for thousands."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PodExample:
    """
    A pod that is cut off.

    Args:
        namespace: its namespace.
        labels: its labels: not one can be dropped.
        namespace_labels: labels that the namespace must have; empty for one that exists.
    """

    namespace: str
    labels: Mapping[str, str]
    namespace_labels: Mapping[str, str]


def smallest_example(
    witness: PodWitness, before: Sources, after: Sources, namespaces: Iterable[Namespace]
) -> PodExample:
    """Give the smallest example like *witness*, in the first of *namespaces* where one stands."""
    name = witness.namespace_labels.get(NAMESPACE_NAME_LABEL) or _unused_name(before, after)
    spaces: dict[str, str] = {**witness.namespace_labels, NAMESPACE_NAME_LABEL: name}
    labels = dict(witness.pod_labels)
    by_label = admits(before.terms, spaces, labels)

    def is_cut_off(namespace_labels: Mapping[str, str], pod_labels: Mapping[str, str]) -> bool:
        was_admitted = admits(before.terms, namespace_labels, pod_labels) or not by_label
        return was_admitted and not admits(after.terms, namespace_labels, pod_labels)

    for key in sorted(labels):
        fewer = {known: value for known, value in labels.items() if known != key}
        if is_cut_off(spaces, fewer):
            labels = fewer
    for namespace in islice(namespaces, MOST_NAMESPACES):
        if is_cut_off(namespace.labels, labels):
            return PodExample(namespace=namespace.name, labels=labels, namespace_labels={})
    for key in sorted(spaces):
        fewer = {known: value for known, value in spaces.items() if known != key}
        if key != NAMESPACE_NAME_LABEL and is_cut_off(fewer, labels):
            spaces = fewer
    del spaces[NAMESPACE_NAME_LABEL]
    return PodExample(namespace=name, labels=labels, namespace_labels=spaces)


def _unused_name(before: Sources, after: Sources) -> str:
    """Give a namespace name that no selector speaks of, so that the witness stays what it is."""
    spoken_of = {
        value
        for term in (*before.terms, *after.terms)
        for (_, key), values in term
        if key == NAMESPACE_NAME_LABEL
        for value in values.values
    }
    number = 0
    while (name := f"any-namespace{number or ''}") in spoken_of:
        number += 1
    return name
