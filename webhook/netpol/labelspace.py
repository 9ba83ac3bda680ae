"""
Labels as sets: which (namespace labels x pod labels) a peer of selectors matches.

Every selector depends on a key only through "is it missing, or one of the values somebody wrote, or some other
value". A term is a conjunction of such constraints; a union of terms says whom policies admit, of all pods that exist
or may come. What one union holds and another does not is found in `difference.py`.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from webhook.netpol.model import NAMESPACE_NAME_LABEL, PodPeer
from webhook.netpol.selectors import LabelSelector, LabelSelectorRequirement, Operator
from webhook.netpol.sure import SURE

NAMESPACE = "namespace"
POD = "pod"
Key = tuple[str, str]
"""Whose label (NAMESPACE or POD), and which."""

NAME_KEY: Key = (NAMESPACE, NAMESPACE_NAME_LABEL)

# What matches here cannot be: so that nothing is dropped unless a match was found.
_NO_LABEL_VALUE = re.compile(r"(?!(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?\Z)")
_NO_NAMESPACE_NAME = re.compile(r"(?![a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?\Z)")


@dataclass(frozen=True, slots=True)
class ValueSet:
    """
    What one label may be.

    Args:
        absent: the label may be missing.
        values: the values meant.
        others: True where `values` are those *not* allowed and every other one is.
    """

    absent: bool
    values: frozenset[str]
    others: bool

    def intersection(self, other: "ValueSet") -> "ValueSet":
        """Give what both sets hold."""
        absent = self.absent and other.absent
        if self.others and other.others:
            return ValueSet(absent, self.values | other.values, others=True)
        if self.others:
            return ValueSet(absent, other.values - self.values, others=False)
        if other.others:
            return ValueSet(absent, self.values - other.values, others=False)
        return ValueSet(absent, self.values & other.values, others=False)

    def without(self, other: "ValueSet") -> "ValueSet":
        """Give what this set holds and the other does not."""
        return self.intersection(ValueSet(not other.absent, other.values, others=not other.others))

    def is_empty(self) -> bool:
        """Say whether no label fits."""
        return not (self.absent or self.others) and len(self.values) == 0

    def holds(self, value: str | None) -> bool:
        """Say whether a label with this value (None: missing) fits."""
        if value is None:
            return self.absent
        return (value in self.values) is not self.others


def union_of_values(sets: Sequence[ValueSet]) -> ValueSet:
    """Give what any of *sets* holds."""
    if len(sets) == 1:
        return sets[0]
    absent = SURE[any(known.absent for known in sets)]
    listed = frozenset[str]().union(*(known.values for known in sets if not known.others))
    excluded = [known.values for known in sets if known.others]
    if not excluded:
        return ValueSet(absent, listed, others=False)
    return ValueSet(absent, excluded[0].intersection(*excluded[1:]) - listed, others=True)


ANY_VALUE = ValueSet(absent=True, values=frozenset(), others=True)
ANY_NAME = ValueSet(absent=False, values=frozenset(), others=True)

Term = tuple[tuple[Key, ValueSet], ...]
"""A conjunction, sorted by key; keys that it does not name are free. The empty term is every pod."""

EVERY_POD: Term = ()


def domain(key: Key) -> ValueSet:
    """Give everything that a label can be: a namespace's name label is never missing."""
    return ANY_NAME if key == NAME_KEY else ANY_VALUE


def terms_of(peer: PodPeer) -> tuple[Term, ...]:
    """
    Give the pods that *peer* matches as one term; none where no pod can.

    Values that no label can carry are dropped: a stored selector may hold them, a pod cannot.
    """
    constraints: dict[Key, ValueSet] = {}
    if peer.namespace is not None:
        constraints[NAME_KEY] = ValueSet(absent=False, values=frozenset({peer.namespace}), others=False)
    constraints = _constrained(constraints, NAMESPACE, peer.namespace_selector)
    constraints = _constrained(constraints, POD, peer.pod_selector)
    if any(values.is_empty() for values in constraints.values()):
        return ()
    return ((*sorted((item for item in constraints.items() if item[1] != domain(item[0])), key=_by_key),),)


def _by_key(item: tuple[Key, ValueSet]) -> Key:
    return item[0]


def _constrained(constraints: Mapping[Key, ValueSet], scope: str, selector: LabelSelector) -> dict[Key, ValueSet]:
    constraints = {**constraints}
    for requirement in selector.requirements:
        key = (scope, requirement.key)
        constraints[key] = constraints.get(key, domain(key)).intersection(_values(requirement, key))
    return constraints


def _values(requirement: LabelSelectorRequirement, key: Key) -> ValueSet:
    illegal = _NO_NAMESPACE_NAME if key == NAME_KEY else _NO_LABEL_VALUE
    can_be = frozenset(value for value in requirement.values if not illegal.match(value))
    if requirement.operator is Operator.IN:
        return ValueSet(absent=False, values=can_be, others=False)
    if requirement.operator is Operator.NOT_IN:
        return ValueSet(absent=True, values=can_be, others=True)
    exists = requirement.operator is Operator.EXISTS
    return ValueSet(absent=not exists, values=frozenset(), others=exists)


def admits(terms: Iterable[Term], namespace_labels: Mapping[str, str], pod_labels: Mapping[str, str]) -> bool:
    """Say whether a pod with these labels is in the union of *terms*."""
    labels = {NAMESPACE: namespace_labels, POD: pod_labels}
    return any(is_in(term, labels) for term in terms)


def is_in(term: Term, labels: Mapping[str, Mapping[str, str]]) -> bool:
    """Say whether a pod with these labels, its namespace's and its own, is in *term*."""
    for (scope, name), values in term:  # noqa: SIM110  half the time of all() with a generator
        if not values.holds(labels[scope].get(name)):
            return False
    return True
