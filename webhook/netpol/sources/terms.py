"""
Sets of pods by labels: which (namespace labels x pod labels) the selectors of a peer match.

A selector depends on a label only through "is it missing, or one of the values that are written, or some other value".
A term is a conjunction of such constraints; a union of terms is the set of pods that policies admit, of all pods that
exist or may come. `difference.py` finds what one union holds and another does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from webhook.netpol.names import is_dns_label, is_label_value
from webhook.netpol.selectors import NAMESPACE_NAME_LABEL, LabelSelector, LabelSelectorRequirement, Operator

NAMESPACE = "namespace"
POD = "pod"
Key = tuple[str, str]
"""Whether it is a label of the namespace or of the pod (NAMESPACE or POD), and its key."""

HOST_NETWORK: Key = (NAMESPACE, "policy-group.network.openshift.io/host-network")
"""The label of the namespace by which OpenShift selects the host network."""

NAME_KEY: Key = (NAMESPACE, NAMESPACE_NAME_LABEL)


class ValueSet(NamedTuple):
    """
    A set of values of one label.

    Args:
        absent: whether a missing label is in the set.
        values: the values that are listed.
        others: False where the set holds the listed values, True where it holds all values but those.
    """

    absent: bool
    values: frozenset[str]
    others: bool

    def intersection(self, other: ValueSet) -> ValueSet:
        """Return the values that are in both sets."""
        absent = self.absent and other.absent
        if self.others and other.others:
            return ValueSet(absent, self.values | other.values, others=True)
        if self.others:
            return ValueSet(absent, other.values - self.values, others=False)
        if other.others:
            return ValueSet(absent, self.values - other.values, others=False)
        return ValueSet(absent, self.values & other.values, others=False)

    def without(self, other: ValueSet) -> ValueSet:
        """Return the values that are in this set and not in the other."""
        return self.intersection(ValueSet(not other.absent, other.values, others=not other.others))

    def is_empty(self) -> bool:
        """Whether the set holds nothing, not even a missing label."""
        return not self.absent and not self.others and not self.values

    def holds(self, value: str | None) -> bool:
        """Whether a label with this value (None: missing) is in the set."""
        if value is None:
            return self.absent
        return (value in self.values) is not self.others


def union_of_values(sets: Sequence[ValueSet]) -> ValueSet:
    """Return the values that are in any of *sets*, of which there is at least one."""
    if len(sets) == 1:
        return sets[0]
    absent = any(known.absent for known in sets)
    listed = frozenset[str]().union(*(known.values for known in sets if not known.others))
    excluded = [known.values for known in sets if known.others]
    if not excluded:
        return ValueSet(absent, listed, others=False)
    return ValueSet(absent, excluded[0].intersection(*excluded[1:]) - listed, others=True)


ANY_VALUE = ValueSet(absent=True, values=frozenset(), others=True)
ANY_NAME = ValueSet(absent=False, values=frozenset(), others=True)

Term = tuple[tuple[Key, ValueSet], ...]
"""A conjunction, sorted by key. A key that it does not name may have any value. The empty term is every pod."""

EVERY_POD: Term = ()


def domain(key: Key) -> ValueSet:
    """Return every value that a label can have: the name label of a namespace is never missing."""
    return ANY_NAME if key == NAME_KEY else ANY_VALUE


def term_of(namespace: str | None, namespace_selector: LabelSelector, pod_selector: LabelSelector) -> Term | None:
    """
    Return the pods that the selectors of a peer match as one term; None where no pod can match.

    Values that no label can have are dropped: a stored selector may have them, a pod cannot.

    Args:
        namespace: the only namespace that the peer speaks of; None where the namespace selector decides.
    """
    constraints: dict[Key, ValueSet] = {}
    if namespace is not None:
        constraints[NAME_KEY] = ValueSet(absent=False, values=frozenset({namespace}), others=False)
    for scope, selector in ((NAMESPACE, namespace_selector), (POD, pod_selector)):
        for requirement in selector.requirements:
            key = (scope, requirement.key)
            values = _values(requirement, key)
            if key in constraints:
                values = constraints[key].intersection(values)
            if values.is_empty():
                return None
            constraints[key] = values
    return tuple(sorted(item for item in constraints.items() if item[1] != domain(item[0])))


def _values(requirement: LabelSelectorRequirement, key: Key) -> ValueSet:
    """Return the values that satisfy one requirement; the name of a namespace is never missing."""
    is_name = key == NAME_KEY
    is_possible = is_dns_label if is_name else is_label_value
    values = requirement.values
    if not all(map(is_possible, values)):
        values = frozenset(filter(is_possible, values))
    operator = requirement.operator
    if operator is Operator.IN:
        return ValueSet(absent=False, values=values, others=False)
    if operator is Operator.NOT_IN:
        return ValueSet(absent=not is_name, values=values, others=True)
    exists = operator is Operator.EXISTS
    return ValueSet(absent=not exists and not is_name, values=frozenset(), others=exists)


def names_in(terms: Iterable[Term]) -> set[str]:
    """Return the names of namespaces that *terms* mention."""
    return {name for term in terms for key, values in term if key == NAME_KEY for name in values.values}


def in_namespace(term: Term, labels: Mapping[str, str]) -> Term | None:
    """Return the pods of *term* in a namespace with these labels; None where the namespace does not match."""
    for (scope, name), values in term:
        if scope == NAMESPACE and not (values.holds(labels[name]) if name in labels else values.absent):
            return None
    return tuple(item for item in term if item[0][0] == POD)


def admits(terms: Iterable[Term], namespace_labels: Mapping[str, str], pod_labels: Mapping[str, str]) -> bool:
    """Whether a pod with these labels is in the union of *terms*."""
    labels = {NAMESPACE: namespace_labels, POD: pod_labels}
    return any(is_in(term, labels) for term in terms)


def is_in(term: Term, labels: Mapping[str, Mapping[str, str]]) -> bool:
    """Whether a pod is in *term*, by the labels of its namespace and its own."""
    return all(values.holds(labels[scope].get(name)) for (scope, name), values in term)
