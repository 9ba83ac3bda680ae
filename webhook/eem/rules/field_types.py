"""
What one field of an instance may hold, in which versions, and the rules that follow from it.

Fields are written nested, as they stand in the objects (product_fields.py); `rooted` gives each its path. Every
constraint of a field is a rule of its own, so that it can be listed, cited and switched off: `type.replicas`,
`required.license.use`, `value.manager.storage.type`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from webhook.eem.rules.formats import Format, demand_of
from webhook.eem.rules.product_version import FIRST, ProductVersion
from webhook.eem.rules.rule import Rule
from webhook.netpol.faults import FaultReason

Type = Literal["string", "integer", "boolean", "object", "array", "map", "opaque"]

CRD = "CRD of EEM 11.8.1"
ENTRY = "[]"
"""The name of the entries of a list, as a field of the list."""

EXPECTED: Mapping[Type, str] = {
    "string": "a string",
    "integer": "an integer",
    "boolean": "true or false",
    "object": "an object",
    "array": "a list",
    "map": "an object whose values are strings",
    "opaque": "an object",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """One value that a field may have, and since when."""

    value: str
    since: ProductVersion = FIRST


@dataclass(frozen=True, kw_only=True, slots=True)
class Deprecation:
    """Since when a field is deprecated, and which field replaces it."""

    since: ProductVersion
    instead: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """
    One field.

    Args:
        type: `map` holds strings by any key; `opaque` is an object whose fields are not checked.
        fields: the fields of an object by name; of a list, its entries by `[]`.
        path: from the root, with `[]` for the entries of a list; set by `rooted`.
        since: the version that brought the field; no earlier than the one that brought its parent.
        required: it must be set wherever its parent is.
        required_until: the last version in which it is required; None for all.
        choices: the values that it may have; none for any value.
        only_item: the list has exactly one entry.
        format: what checks a value of the right type.
        never_empty: an empty string is checked against the format too.
        may_be_empty: an empty string counts as not set, so it is no violation of the choices.
        rule_name: the name of the field in rule ids; derived from the path where it is empty.
        source: of the constraints beyond the CRD.
    """

    type: Type
    fields: Mapping[str, "Field"] = field(default_factory=dict)
    path: str = ""
    since: ProductVersion = FIRST
    required: bool = False
    required_until: ProductVersion | None = None
    choices: tuple[Choice, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    only_item: bool = False
    format: Format | None = None
    never_empty: bool = False
    may_be_empty: bool = False
    deprecated: Deprecation | None = None
    rule_name: str = ""
    source: str = CRD

    @property
    def name(self) -> str:
        """The name in rule ids: the path without `spec.` and `[]`; the entries of a list have a name of their own."""
        plain = self.path.removesuffix(ENTRY) + (".items" if self.path.endswith(ENTRY) else "")
        return self.rule_name or plain.replace(ENTRY, "").removeprefix("spec.")

    def rooted(self, path: str = "", since: ProductVersion = FIRST) -> "Field":
        """Return the field and all below it with their paths, none older than its parent."""
        came = max(self.since, since)
        below = {
            name: child.rooted(f"{path}{'.' if path and name != ENTRY else ''}{name}", came)
            for name, child in self.fields.items()
        }
        return replace(self, path=path, since=came, fields=below)

    def with_descendants(self) -> Iterator["Field"]:
        """Yield the field and all below it, parents first."""
        yield self
        for child in self.fields.values():
            yield from child.with_descendants()


def rules_of(row: Field, kind: str) -> dict[str, Rule]:
    """Return the rules of one field, by the first word of their ids."""
    rules = {
        constraint: Rule(
            id=f"{constraint}.{row.name}",
            severity="deny",
            kinds=(kind,),
            field=row.path,
            message=message,
            reason=reason,
            source=row.source,
            since=row.since,
            until=row.required_until if constraint == "required" else None,
        )
        for constraint, reason, message in _constraints(row)
    }
    if row.deprecated is not None:
        rules["deprecated"] = Rule(
            id=f"deprecated.{row.name}",
            severity="warn",
            kinds=(kind,),
            field=row.path,
            message=f"Deprecated since {row.deprecated.since}: use {row.deprecated.instead} instead.",
            reason="Invalid",
            source="EEM 11.8 gateway reference",
            since=row.deprecated.since,
        )
    return rules


def _constraints(row: Field) -> Iterator[tuple[str, FaultReason, str]]:
    """Yield what a field demands: the first word of the rule's id, the reason of a violation, the sentence."""
    yield "type", "TypeInvalid", f"Must be {EXPECTED[row.type]}."
    if row.required:
        yield "required", "Required", "Must be set."
    if row.choices:
        names = (f"{c.value} (since {c.since})" if c.since > row.since else c.value for c in row.choices)
        yield "value", "NotSupported", f"Must be one of: {', '.join(names)}."
    if row.minimum is not None:
        yield "range", "Invalid", f"Must be {limits_of(row)}."
    if row.only_item:
        yield "count", "Invalid", "Must have exactly one entry."
    if row.format is not None:
        yield "format", "Invalid", demand_of(row.format)


def limits_of(row: Field) -> str:
    """Return the limits of a number in words."""
    return f"at least {row.minimum}" if row.maximum is None else f"from {row.minimum} to {row.maximum}"
