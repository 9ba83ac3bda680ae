"""
Compare an object with the tree of fields that its kind has in a version, and installed definitions with all versions.

A null counts as missing, except in a list: the API server drops nulls of fields that are not nullable before it checks.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from webhook.eem.resources import EEM_GROUP
from webhook.eem.rules.field_types import ENTRY, EXPECTED, Field, limits_of, rules_of
from webhook.eem.rules.product_fields import FIELDS, ROOTS
from webhook.eem.rules.product_version import NEWEST, ProductVersion
from webhook.eem.rules.rule import KINDS, Resource, Rule, RuleContext
from webhook.netpol.reading import Path, Tree, describe, is_object, list_at, object_at, shown, text_at

Found = Iterator[tuple[Rule, Path, str]]
"""What is found on the way: the rule, where it is violated, and the message."""

UNKNOWN_FIELD = Rule(
    id="structure.unknown-field",
    severity="warn",
    kinds=KINDS,
    field="spec",
    message="A field should be one that the version has; the API server drops others, so this is for files.",
    reason="NotSupported",
    source="Kubernetes, pruning of custom resources; CRD of EEM 11.0.4 to 11.8.1",
)

_SCALARS: Mapping[str, type] = {"string": str, "boolean": bool, "integer": int}
_KIND_KEY = "x-kubernetes-group-version-kind"
_STEP = re.compile(r"([^.\[]+)(\[\])?")
# Trees that are kept: both kinds in all 32 releases, twice over.
_KEPT_TREES = 128


def _all() -> tuple[Mapping[tuple[str, str], Mapping[str, Rule]], tuple[Rule, ...]]:
    """Return the rules of each field, and all of them once: what both kinds demand alike is one rule."""
    by_id: dict[str, Rule] = {}
    of_rows = {(kind, row.path): rules_of(row, kind) for kind, rows in FIELDS.items() for row in rows}
    for (kind, _), rules in of_rows.items():
        for rule in rules.values():
            twin = by_id.get(rule.id)
            by_id[rule.id] = rule if twin is None else replace(rule, kinds=(*twin.kinds, kind))
    shared = {key: {name: by_id[rule.id] for name, rule in rules.items()} for key, rules in of_rows.items()}
    return shared, tuple(by_id.values())


_BY_ROW, FIELD_RULES = _all()


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """
    One field in one version, with the rules of its constraints.

    Args:
        accepts_any: the Python type of which every value is valid, where the type is all that is checked.
    """

    row: Field
    rules: Mapping[str, Rule]
    choices: frozenset[str]
    children: Mapping[str, "Node"]
    required: tuple[tuple[str, Rule], ...]
    deprecated: Rule | None
    accepts_any: type | None


@lru_cache(maxsize=_KEPT_TREES)
def tree(kind: str, version: ProductVersion) -> Node:
    """Return the fields that *kind* has in *version*, `spec` and all below."""
    return _node(kind, version, ROOTS[kind])


def _node(kind: str, version: ProductVersion, row: Field) -> Node:
    children = {name: _node(kind, version, below) for name, below in row.fields.items() if below.since <= version}
    rules = {key: rule for key, rule in _BY_ROW.get((kind, row.path), {}).items() if rule.applies_to(version)}
    return Node(
        row=row,
        rules=rules,
        choices=frozenset(choice.value for choice in row.choices if choice.since <= version),
        children=children,
        required=tuple((name, node.rules["required"]) for name, node in children.items() if "required" in node.rules),
        deprecated=rules.get("deprecated"),
        accepts_any=_SCALARS.get(row.type) if set(rules) <= {"type", "required"} else None,
    )


def check_fields(resource: Resource) -> Found:
    """Yield every violation of the fields that the object's kind has in the operator's version."""
    version, kind = resource.context.version, resource.kind
    yield from _Walk(kind=kind, version=version, offline=resource.context.offline).check_object(
        tree(kind, version), resource.document, ()
    )


def stored_form(document: Tree, context: RuleContext) -> Tree:
    """
    Return an object as the API server stores it: without the fields that the operator's version does not have.

    An object that comes from the API server is in this form already, and one for a version that is not known stays.

    Source: Kubernetes, pruning of custom resources.
    """
    kind, version = text_at(document, "kind"), context.version
    if not context.offline or kind not in KINDS or version.may_be_newer:
        return document
    return {**document, **object_at(_known_part(tree(kind, version), document))}


def _known_part(node: Node, value: object) -> object:
    if node.row.type == "object" and is_object(value):
        known = node.children
        return {name: _known_part(known[name], below) for name, below in value.items() if name in known}
    if node.row.type == "array" and isinstance(value, (list, tuple)):
        return [_known_part(node.children[ENTRY], entry) for entry in value]
    return value


@dataclass(frozen=True, kw_only=True, slots=True)
class _Walk:
    """What every step along the tree needs to know."""

    kind: str
    version: ProductVersion
    offline: bool

    def check(self, node: Node, value: object, path: Path) -> Found:
        """Check one value against its field."""
        match node.row.type:
            case "object":
                return self.check_object(node, value, path)
            case "array":
                return self._check_list(node, value, path)
            case "map":
                return self._check_map(node, value, path)
            case "integer":
                return self._check_integer(node, value, path)
            case "string":
                return self._check_string(node, value, path)
            case type_:
                fits = isinstance(value, bool) if type_ == "boolean" else is_object(value)
                return iter(()) if fits else _mistyped(node, value, path)

    def check_object(self, node: Node, value: object, path: Path) -> Found:
        """Check the fields of an object: first those that it has, then those that it lacks."""
        if not is_object(value):
            yield from _mistyped(node, value, path)
            return
        for name, below in value.items():
            known = node.children.get(name)
            if known is None:
                if self.offline and path:
                    yield UNKNOWN_FIELD, (*path, str(name)), self._advice(node, str(name))
            elif below is not None and type(below) is not known.accepts_any:
                yield from self.check(known, below, (*path, name))
                if known.deprecated is not None and below:
                    yield known.deprecated, (*path, name), known.deprecated.message.removesuffix(".")
        for name, rule in node.required:
            if value.get(name) is None:
                yield rule, (*path, name), "must be set"

    def _check_list(self, node: Node, value: object, path: Path) -> Found:
        if not isinstance(value, (list, tuple)):
            yield from _mistyped(node, value, path)
            return
        if node.row.only_item and len(value) != 1:
            yield node.rules["count"], path, f"must have exactly one entry, not {len(value)}"
        entry_node = node.children[ENTRY]
        for position, entry in enumerate(value):
            if type(entry) is not entry_node.accepts_any:
                yield from self.check(entry_node, entry, (*path, position))

    def _check_map(self, node: Node, value: object, path: Path) -> Found:
        if not is_object(value):
            yield from _mistyped(node, value, path)
            return
        for key, entry in value.items():
            if entry is not None and not isinstance(entry, str):
                yield node.rules["type"], (*path, str(key)), f"must be a string, not {describe(entry)}"
        yield from _check_format(node, value, path)

    def _check_integer(self, node: Node, value: object, path: Path) -> Found:
        # JSON has one kind of number: the API server accepts 8092.0 as an integer.
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value % 1 != 0:
            yield from _mistyped(node, value, path)
            return
        least, most = node.row.minimum, node.row.maximum
        if least is not None and (value < least or (most is not None and value > most)):
            yield node.rules["range"], path, f"must be {limits_of(node.row)}, not {describe(value)}"

    def _check_string(self, node: Node, value: object, path: Path) -> Found:
        if not isinstance(value, str):
            yield from _mistyped(node, value, path)
        elif node.choices and value not in node.choices:
            if value or not node.row.may_be_empty:
                yield node.rules["value"], path, self._choice(node, value)
        elif value or node.row.never_empty:
            yield from _check_format(node, value, path)

    def _choice(self, node: Node, value: str) -> str:
        expected = " or ".join(sorted(node.choices))
        later = [choice.since for choice in node.row.choices if choice.value == value]
        if later:
            return f'must be {expected}: "{value}" exists since {later[0]}, and the operator is {self.version.in_words}'
        return f'must be {expected}, not "{shown(value)}"'

    def _advice(self, node: Node, name: str) -> str:
        """Return what was probably meant by a name that is no field."""
        if self.version.may_be_newer:
            return f"is not a field of {self.kind} {NEWEST}, the newest version known here: check it for a typo"
        dropped = f"is not a field of {self.kind} {self.version.in_words}: the API server drops it"
        prefix = f"{node.row.path}." if node.row.path else ""
        rows = FIELDS[self.kind]
        later = [row.since for row in rows if row.path == f"{prefix}{name}"]
        if later:
            return f"{dropped}; it exists since {later[0]}"
        near = difflib.get_close_matches(name, [known for known in node.children if known != ENTRY], n=1)
        elsewhere = [row.path for row in rows if row.since <= self.version and row.path.endswith(f".{name}")]
        meant = next(iter((*near, *elsewhere)), None)
        return dropped if meant is None else f"{dropped}; did you mean {meant}?"


def _mistyped(node: Node, value: object, path: Path) -> Found:
    yield node.rules["type"], path, f"must be {EXPECTED[node.row.type]}, not {describe(value)}"


def _check_format(node: Node, value: object, path: Path) -> Found:
    problem = None if node.row.format is None else node.row.format(value)
    if problem is not None:
        yield node.rules["format"], path, problem


def installed_version(openapi: Mapping[str, object]) -> ProductVersion | None:
    """
    Return the oldest version that has every field of the installed definitions; None where there are no definitions.

    Each line of releases added fields, and none was ever removed, so the newest field tells a lower bound where no
    operator's Deployment tells the version.

    Args:
        openapi: the API server's OpenAPI v3 document of events.ibm.com/v1beta1.
    """
    found = [
        row.since
        for schema in object_at(openapi, "components", "schemas").values()
        for names in list_at(schema, _KIND_KEY)
        if text_at(names, "group") == EEM_GROUP
        for row in FIELDS.get(text_at(names, "kind"), ())
        if _has(schema, row.path)
    ]
    return max(found)._replace(or_later=True) if found else None


def _has(schema: object, path: str) -> bool:
    """Whether a definition has the field at *path*, such as `spec.listeners[].groups[].name`."""
    for step, is_list in _STEP.findall(path):
        below = object_at(schema, "properties").get(step)
        if not is_object(below):
            return False
        schema = below.get("items") if is_list else below
    return True
