"""
The table of fields as rules, and as a tree for each version.

Every constraint of a field is a rule of its own, so that it can be listed, cited and set apart: `type.replicas`,
`required.license.use`, `value.manager.storage.type`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from webhook.eem.rules import formats
from webhook.eem.rules.fields import Field, Type
from webhook.eem.rules.gateway_fields import GATEWAY_FIELDS
from webhook.eem.rules.manager_fields import MANAGER_FIELDS
from webhook.eem.rules.model import EEM, GATEWAY, Reason, Rule
from webhook.eem.rules.version import Version

FIELDS: Mapping[str, tuple[Field, ...]] = {EEM: MANAGER_FIELDS, GATEWAY: GATEWAY_FIELDS}

EXPECTED = {
    "string": "a text",
    "integer": "a whole number",
    "boolean": "true or false",
    "object": "an object",
    "array": "a list",
    "map": "an object",
    "opaque": "an object",
}
_FORMATS: Mapping[formats.Format, str] = {
    formats.object_name: "Must be the name of an object: lower-case letters, digits, '-' and '.' (RFC 1123).",
    formats.data_key: "Must be a key of a Secret: letters, digits, '-', '_' and '.'.",
    formats.size: "Must be a Kubernetes quantity above zero, such as 500Mi, 250M or 0.5Ti.",
    formats.host: "Must be a host name in lower case (RFC 1123), with no scheme, port or path, and no address.",
    formats.http_url: "Must be an absolute URL that begins http:// or https:// (RFC 3986).",
    formats.https_url: "Must be an absolute URL that begins https:// (RFC 3986).",
    formats.json_pointer: "Must be a JSON pointer such as /realm_access/roles (RFC 6901).",
    formats.labels: "Must be labels: keys name or prefix/name, values of at most 63 letters, digits, '-', '_', '.'.",
    formats.annotations: "Must be annotations: keys name or prefix/name.",
}
_SCALARS = {"string": str, "boolean": bool, "integer": int}
# Trees that are kept: both kinds in all 32 releases, twice over.
_KEPT_TREES = 128


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """
    One field of one version, with the rules that its constraints are.

    Args:
        accepts_any: the type of which every value is fine, where the type is all that is asked.
    """

    row: Field
    holds: Type
    rules: Mapping[str, Rule]
    choices: frozenset[str]
    children: Mapping[str, "Node"]
    required: tuple[tuple[str, Rule], ...]
    deprecated: Rule | None
    accepts_any: type | None


def _constraints(row: Field) -> dict[str, tuple[Reason, str]]:
    """Say what a row demands, by the first word of the rule's id."""
    found = {"type": (Reason.TYPE_INVALID, f"Must be {EXPECTED[row.type]}{' of texts' * (row.type == 'map')}.")}
    if row.required:
        found["required"] = (Reason.REQUIRED, "Must be set.")
    if row.choices:
        shown = (f"{c.value} (since {c.since})" if c.since > row.since else c.value for c in row.choices)
        found["value"] = (Reason.NOT_SUPPORTED, f"Must be one of: {', '.join(shown)}.")
    if row.minimum is not None:
        limits = f"at least {row.minimum}" if row.maximum is None else f"from {row.minimum} to {row.maximum}"
        found["range"] = (Reason.INVALID, f"Must be {limits}.")
    if row.only_item:
        found["count"] = (Reason.INVALID, "Must have exactly one entry.")
    if row.format is not None:
        found["format"] = (Reason.INVALID, _FORMATS[row.format])
    return found


def _rules_of(row: Field, kind: str) -> dict[str, Rule]:
    """Write out the constraints of one row as rules."""
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
        for constraint, (reason, message) in _constraints(row).items()
    }
    if row.deprecated is not None:
        rules["deprecated"] = Rule(
            id=f"deprecated.{row.name}",
            severity="warn",
            kinds=(kind,),
            field=row.path,
            message=f"Deprecated since {row.deprecated.since}: {row.deprecated.instead} takes its place.",
            reason=Reason.INVALID,
            source="EEM 11.8 gateway reference",
            since=row.deprecated.since,
        )
    return rules


def _all() -> tuple[dict[tuple[str, str], dict[str, Rule]], tuple[Rule, ...]]:
    """Return the rules of each row, and all of them once: what both kinds have alike is one rule."""
    by_row: dict[tuple[str, str], dict[str, Rule]] = {}
    by_id: dict[str, Rule] = {}
    for kind, rows in FIELDS.items():
        for row in rows:
            rules = _rules_of(row, kind)
            for constraint, rule in rules.items():
                twin = by_id.get(rule.id)
                if twin is not None:
                    rules[constraint] = replace(rule, kinds=(*twin.kinds, kind))
                by_id[rule.id] = rules[constraint]
            by_row[kind, row.path] = rules
    return by_row, tuple(by_id.values())


_BY_ROW, SCHEMA_RULES = _all()


@lru_cache(maxsize=_KEPT_TREES)
def tree(kind: str, version: Version) -> Node:
    """Return the fields that *kind* has in *version*, `spec` and all below."""
    rows = {row.path: row for row in FIELDS[kind] if row.since <= version}
    return _node(kind, version, rows, Field(path="", type="object"))


def _node(kind: str, version: Version, rows: Mapping[str, Field], row: Field) -> Node:
    children = {
        _parent_and_name(path)[1]: _node(kind, version, rows, below)
        for path, below in rows.items()
        if _parent_and_name(path)[0] == row.path
    }
    required = (
        (name, rule)
        for name, node in children.items()
        if (rule := node.rules.get("required")) and rule.applies_to(version)
    )
    rules = _BY_ROW.get((kind, row.path), {})
    deprecated = rules.get("deprecated")
    return Node(
        row=row,
        holds=row.type,
        rules=rules,
        choices=frozenset(choice.value for choice in row.choices if choice.since <= version),
        children=children,
        required=tuple(required),
        deprecated=deprecated if deprecated and deprecated.applies_to(version) else None,
        accepts_any=_SCALARS.get(row.type) if set(rules) <= {"type", "required"} else None,
    )


def _parent_and_name(path: str) -> tuple[str, str]:
    """Split `spec.listeners[].port` into the parent's path and the name; an entry's name is `[]`."""
    if path.endswith("[]"):
        return path.removesuffix("[]"), "[]"
    parent, _, name = path.rpartition(".")
    return parent, name
