"""
Label selectors, and the labels that they match.

A key that is missing and a key whose value is `""` are different things. `NotIn` and `DoesNotExist` match where the
key is missing; `In` and `Exists` do not. Values compare as strings, with case.

Source: apimachinery pkg/apis/meta/v1 LabelSelector, pkg/labels Requirement.Matches.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

NAMESPACE_NAME_LABEL = "kubernetes.io/metadata.name"
"""The label that the API server sets on every namespace; no user can set another value."""


UNKNOWN: Final = "(unknown)"
"""
The value of a label that is there with a value that is not known; no label can have this text as its value.

The value is the same before and after a change, so a question about such labels has two extreme answers: the value fits
no requirement of a selector that compares values, or it fits every one. UNKNOWN fits none.
"""

FITTING: Final = "(fitting)"
"""The value of such a label in the other reading: it fits every requirement that compares values."""


def readings(labels: Mapping[str, str]) -> tuple[Mapping[str, str], ...]:
    """Return the labels in each reading of those with an unknown value: one reading where all values are known."""
    if UNKNOWN not in labels.values():
        return (labels,)
    return labels, {key: FITTING if value == UNKNOWN else value for key, value in labels.items()}


class Operator(enum.StrEnum):
    """How a requirement compares, in the API's words."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelSelectorRequirement:
    """One item of `matchExpressions`; an entry of `matchLabels` is the same as `In` with one value."""

    key: str
    operator: Operator
    values: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelSelector:
    """All requirements of a selector, `matchLabels` among them: they are ANDed. Without any, everything matches."""

    requirements: tuple[LabelSelectorRequirement, ...] = ()


EVERYTHING = LabelSelector()


def satisfies(requirement: LabelSelectorRequirement, labels: Mapping[str, str]) -> bool:
    """
    Whether *labels* satisfy one requirement.

    Source: apimachinery pkg/labels/selector.go, Requirement.Matches.
    """
    operator = requirement.operator
    if requirement.key not in labels:
        return operator in {Operator.NOT_IN, Operator.DOES_NOT_EXIST}
    if operator in {Operator.EXISTS, Operator.DOES_NOT_EXIST}:
        return operator is Operator.EXISTS
    value = labels[requirement.key]
    if value in {UNKNOWN, FITTING}:
        return value == FITTING
    return (value in requirement.values) is (operator is Operator.IN)


def matches(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Whether *labels* satisfy every requirement of *selector*."""
    for requirement in selector.requirements:  # noqa: SIM110  half the time of all() with a generator
        if not satisfies(requirement, labels):
            return False
    return True
