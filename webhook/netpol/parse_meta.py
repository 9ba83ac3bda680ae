"""
Parse what the objects of all APIs have in common: label selectors and owner references.

Source: k8s.io/apimachinery, pkg/apis/meta/v1 (LabelSelector, OwnerReference) and ValidateLabelSelector.
"""

from collections.abc import Mapping
from typing import Any

from webhook.netpol.model import OwnerReference
from webhook.netpol.names import is_label_key, is_label_value
from webhook.netpol.reading import Faults, boolean, describe, items, mapping, shorten, string, strings
from webhook.netpol.selectors import EVERYTHING, LabelSelector, LabelSelectorRequirement, Operator

_OPERATORS = {member.value: member for member in Operator}


def read_selector(value: object, path: str, faults: Faults) -> LabelSelector:
    """Return a selector; null, missing and `{}` match everything, and the caller decides whether that is meant."""
    if value is None:
        return EVERYTHING
    selector = mapping(value, path, faults)
    requirements: list[LabelSelectorRequirement] = []
    for key, text in strings(selector.get("matchLabels"), f"{path}.matchLabels", faults).items():
        _check_key(key, f"{path}.matchLabels", faults)
        _check_value(text, f"{path}.matchLabels[{key}]", faults)
        requirements.append(LabelSelectorRequirement(key=key, operator=Operator.IN, values=frozenset({text})))
    for item_path, item in items(selector.get("matchExpressions"), f"{path}.matchExpressions", faults):
        requirement = _requirement(item, item_path, faults)
        if requirement is not None:
            requirements.append(requirement)
    return LabelSelector(requirements=tuple(requirements))


def _requirement(value: object, path: str, faults: Faults) -> LabelSelectorRequirement | None:
    """Return one expression; None where it cannot be read."""
    before = len(faults.found)
    expression = mapping(value, path, faults)
    if len(faults.found) > before:
        return None
    key = string(expression.get("key"), f"{path}.key", faults)
    _check_key(key, f"{path}.key", faults)
    written = items(expression.get("values"), f"{path}.values", faults)
    values = [string(item, item_path, faults) for item_path, item in written]
    operator = _operator(expression.get("operator"), f"{path}.operator", faults)
    if operator is None:
        return None
    if operator in {Operator.IN, Operator.NOT_IN}:
        if not values:
            faults.add(f"{path}.values", f"must not be empty where operator is {operator.value}", "Required")
        for index, text in enumerate(values):
            _check_value(text, f"{path}.values[{index}]", faults)
    elif values:
        faults.add(f"{path}.values", f"must be empty where operator is {operator.value}", "Forbidden")
    return LabelSelectorRequirement(key=key, operator=operator, values=frozenset(values))


def _operator(value: object, path: str, faults: Faults) -> Operator | None:
    if isinstance(value, str) and value in _OPERATORS:
        return _OPERATORS[value]
    string(value, path, faults)
    faults.mistyped(path, value, f"one of {', '.join(_OPERATORS)}")
    return None


def _check_key(key: str, path: str, faults: Faults) -> None:
    if not is_label_key(key):
        faults.add(
            path,
            f"{shorten(repr(key))} is not a label key (at most 63 of A-Z a-z 0-9 - _ ., after a prefix/)",
        )


def _check_value(text: str, path: str, faults: Faults) -> None:
    if not is_label_value(text):
        faults.add(path, f"{describe(text)} is not a label value (at most 63 of A-Z a-z 0-9 - _ .)")


def read_annotation(api_object: object, key: str) -> str:
    """Return the value of one annotation without the space around it; empty if there is none that can be read."""
    metadata = mapping(mapping(api_object, "", Faults()).get("metadata"), "metadata", Faults())
    value = mapping(metadata.get("annotations"), "metadata.annotations", Faults()).get(key)
    return value.strip() if isinstance(value, str) else ""


def read_owners(metadata: Mapping[str, Any], faults: Faults) -> tuple[OwnerReference, ...]:
    """Return `metadata.ownerReferences`."""
    owners = []
    for path, item in items(metadata.get("ownerReferences"), "metadata.ownerReferences", faults):
        owner = mapping(item, path, faults)
        owners.append(
            OwnerReference(
                api_version=string(owner.get("apiVersion"), f"{path}.apiVersion", faults),
                kind=string(owner.get("kind"), f"{path}.kind", faults),
                name=string(owner.get("name"), f"{path}.name", faults),
                uid=string(owner.get("uid"), f"{path}.uid", faults),
            )
        )
        boolean(owner.get("controller"), f"{path}.controller", faults)  # only its type is checked
    return tuple(owners)
