"""
Read label selectors, with the checks that the API server makes.

Source: apimachinery pkg/apis/meta/v1/validation, ValidateLabelSelector.
"""

from typing import Any

from webhook.netpol.names import is_label_key, is_label_value
from webhook.netpol.reading import Faults, describe, items, mapping, shorten, string, strings
from webhook.netpol.selectors import EVERYTHING, LabelSelector, LabelSelectorRequirement, Operator

_OPERATORS = {member.value: member for member in Operator}
# Fields that are not written are null.
_NO_SELECTOR = dict.fromkeys(("matchLabels", "matchExpressions"))
_NO_EXPRESSION = dict.fromkeys(("key", "operator", "values"))


def read_selector(value: object, path: str, faults: Faults) -> LabelSelector:
    """Read a selector; null, missing and `{}` match everything, and who asks must know whether that is meant."""
    if value is None:
        return EVERYTHING
    selector = {**_NO_SELECTOR, **mapping(value, path, faults)}
    requirements: list[LabelSelectorRequirement] = []
    for key, text in strings(selector["matchLabels"], f"{path}.matchLabels", faults).items():
        _check_key(key, f"{path}.matchLabels", faults)
        _check_value(text, f"{path}.matchLabels[{key}]", faults)
        requirements += (LabelSelectorRequirement(key=key, operator=Operator.IN, values=frozenset({text})),)
    for item_path, item in items(selector["matchExpressions"], f"{path}.matchExpressions", faults):
        requirements += _requirement(item, item_path, faults)
    return LabelSelector(requirements=tuple(requirements))


def _requirement(value: Any, path: str, faults: Faults) -> tuple[LabelSelectorRequirement, ...]:
    """Read one expression; nothing where it cannot be read."""
    before = len(faults.found)
    expression = {**_NO_EXPRESSION, **mapping(value, path, faults)}
    if len(faults.found) > before:
        return ()
    key = string(expression["key"], f"{path}.key", faults)
    _check_key(key, f"{path}.key", faults)
    values = [
        string(item, item_path, faults) for item_path, item in items(expression["values"], f"{path}.values", faults)
    ]
    match expression["operator"]:
        case str() as written if written in _OPERATORS:
            operator = _OPERATORS[written]
        case written:
            string(written, f"{path}.operator", faults)
            faults.mistyped(f"{path}.operator", written, f"one of {', '.join(_OPERATORS)}")
            return ()
    if operator in {Operator.IN, Operator.NOT_IN}:
        if not values:
            faults.add(f"{path}.values", f"must not be empty where operator is {operator.value}", "Required")
        for index, text in enumerate(values):
            _check_value(text, f"{path}.values[{index}]", faults)
    elif values:
        faults.add(f"{path}.values", f"must be empty where operator is {operator.value}", "Forbidden")
    return (LabelSelectorRequirement(key=key, operator=operator, values=frozenset(values)),)


def _check_key(key: str, path: str, faults: Faults) -> None:
    if not is_label_key(key):
        faults.add(
            path,
            f"{shorten(repr(key))} is not a label key (at most 63 of A-Z a-z 0-9 - _ ., after a prefix/)",
        )


def _check_value(text: str, path: str, faults: Faults) -> None:
    if not is_label_value(text):
        faults.add(path, f"{describe(text)} is not a label value (at most 63 of A-Z a-z 0-9 - _ .)")
