"""
Read label selectors, with the checks that the API server makes.

Source: apimachinery pkg/apis/meta/v1/validation, ValidateLabelSelector; IsQualifiedName, IsValidLabelValue.
"""

import re
from functools import lru_cache
from typing import Any

from webhook.netpol.reading import Faults, describe, items, mapping, shorten, string, strings
from webhook.netpol.selectors import EVERYTHING, LabelSelector, LabelSelectorRequirement, Operator

_OPERATORS = {member.value: member for member in Operator}
_LABEL_VALUE = re.compile(r"(?:[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_LABEL_NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_DNS_SUBDOMAIN = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")
_LONGEST_SUBDOMAIN = 253  # RFC 1123, as IsDNS1123Subdomain has it


@lru_cache(maxsize=1024)  # a cluster has some dozens; strangers cannot make it grow
def is_label_key(text: str) -> bool:
    """Say whether *text* can be a label's key: a name of at most 63 characters, perhaps after a DNS prefix and `/`."""
    prefix, slash, name = text.rpartition("/")
    if slash and not (len(prefix) <= _LONGEST_SUBDOMAIN and _DNS_SUBDOMAIN.fullmatch(prefix)):
        return False
    return _LABEL_NAME.fullmatch(name) is not None


def is_label_value(text: str) -> bool:
    """Say whether *text* can be a label's value: empty, or at most 63 characters of a limited alphabet."""
    return _LABEL_VALUE.fullmatch(text) is not None


def read_selector(value: object, path: str, faults: Faults) -> LabelSelector:
    """Read a selector; null, missing and `{}` match everything, and who asks must know whether that is meant."""
    if value is None:
        return EVERYTHING
    selector = mapping(value, path, faults)
    if not selector:
        return EVERYTHING
    requirements: list[LabelSelectorRequirement] = []
    for key, text in strings(selector.get("matchLabels"), f"{path}.matchLabels", faults).items():
        if not is_label_key(key):
            _bad_key(key, f"{path}.matchLabels", faults)
        if not is_label_value(text):
            _bad_value(text, f"{path}.matchLabels[{key}]", faults)
        requirements.append(LabelSelectorRequirement(key=key, operator=Operator.IN, values=frozenset({text})))
    for item_path, item in items(selector.get("matchExpressions"), f"{path}.matchExpressions", faults):
        requirement = _requirement(item, item_path, faults)
        if requirement is not None:
            requirements.append(requirement)
    return LabelSelector(requirements=tuple(requirements))


def _requirement(value: Any, path: str, faults: Faults) -> LabelSelectorRequirement | None:
    before = len(faults.found)
    expression = mapping(value, path, faults)
    if len(faults.found) > before:
        return None
    key = string(expression.get("key"), f"{path}.key", faults)
    if not is_label_key(key):
        _bad_key(key, f"{path}.key", faults)
    written = string(expression.get("operator"), f"{path}.operator", faults)
    values = [
        string(item, item_path, faults) for item_path, item in items(expression.get("values"), f"{path}.values", faults)
    ]
    operator = _OPERATORS.get(written)
    if operator is None:
        known = ", ".join(member.value for member in Operator)
        faults.mistyped(f"{path}.operator", expression.get("operator"), f"one of {known}")
        return None
    if operator in {Operator.IN, Operator.NOT_IN}:
        if not values:
            faults.add(f"{path}.values", f"must not be empty where operator is {operator.value}", "Required")
        for index, text in enumerate(values):
            if not is_label_value(text):
                _bad_value(text, f"{path}.values[{index}]", faults)
    elif values:
        faults.add(f"{path}.values", f"must be empty where operator is {operator.value}", "Forbidden")
    return LabelSelectorRequirement(key=key, operator=operator, values=frozenset(values))


def _bad_key(key: str, path: str, faults: Faults) -> None:
    faults.add(
        path,
        f"{shorten(repr(key))} is not a label key (at most 63 of A-Z a-z 0-9 - _ ., after a prefix/)",
    )


def _bad_value(text: str, path: str, faults: Faults) -> None:
    faults.add(path, f"{describe(text)} is not a label value (at most 63 of A-Z a-z 0-9 - _ .)")
