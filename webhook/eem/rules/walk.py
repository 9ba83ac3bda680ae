"""
Walk an object along the tree of fields and say where it leaves it.

A null counts as absent, except in a list: the API server drops nulls of fields that are not nullable before it looks.
"""

import difflib
from collections.abc import Callable, Mapping

from webhook.eem.rules.model import KINDS, Fault, Reason, Rule, Subject
from webhook.eem.rules.nodes import is_object
from webhook.eem.rules.paths import Path, shown
from webhook.eem.rules.schema import EXPECTED, FIELDS, Node, tree
from webhook.eem.rules.version import Version

UNKNOWN_FIELD = Rule(
    id="structure.unknown-field",
    severity="warn",
    kinds=KINDS,
    field="spec",
    message="A field that the version does not have is dropped without a word; seen in files only.",
    reason=Reason.NOT_SUPPORTED,
    source="Kubernetes, pruning of custom resources; CRD of EEM 11.0.4 to 11.8.1",
)

Hit = tuple[Rule, Fault]

# What is larger is no integer of the API, and Python refuses to print numbers of thousands of digits.
_BEYOND_64_BITS = 2**63
_JSON_TYPES = {str: "a text", bool: "true or false", int: "a number", float: "a number", list: "a list"}


def walk(subject: Subject) -> list[Hit]:
    """Return every fault of the object's spec against the fields of its kind and version."""
    walker = _Walker(subject)
    walker.check_object(tree(subject.kind, subject.context.version), subject.document, ())
    return walker.hits


class _Walker:
    """The faults found so far, and what one step of the walk needs to know."""

    __slots__ = ("_checks", "_kind", "_offline", "_version", "hits")

    def __init__(self, subject: Subject) -> None:
        self.hits: list[Hit] = []
        self._kind = subject.kind
        self._version = subject.context.version
        self._offline = subject.context.offline
        self._checks: Mapping[str, Callable[[Node, object, Path], None]] = {
            "string": self._check_string,
            "integer": self._check_integer,
            "boolean": self._check_type,
            "object": self.check_object,
            "array": self._check_array,
            "map": self._check_map,
            "opaque": self._check_type,
        }

    def _found(self, node: Node, constraint: str, path: Path, message: str) -> None:
        self.hits.append((node.rules[constraint], Fault(path=path, message=message)))

    def _has_wrong_type(self, node: Node, value: object, path: Path) -> None:
        is_what = "nothing" if value is None else _JSON_TYPES.get(type(value), "an object")
        self._found(node, "type", path, f"is {is_what}: expected {EXPECTED[node.row.type]}")

    def check_object(self, node: Node, value: object, path: Path) -> None:
        """Check the fields of an object: those that it has, then those that it lacks."""
        if not is_object(value):
            self._has_wrong_type(node, value, path)
            return
        children, checks = node.children, self._checks
        for name, below in value.items():
            known = children.get(name)
            if known is None:
                if self._offline and path:
                    self._is_unknown(node, name, path)
            elif below is not None and type(below) is not known.accepts_any:
                checks[known.holds](known, below, (*path, name))
                if known.deprecated is not None and below:
                    fault = Fault(path=(*path, name), message=known.deprecated.message)
                    self.hits.append((known.deprecated, fault))
        for name, rule in node.required:
            if value.get(name) is None:
                self.hits.append((rule, Fault(path=(*path, name), message="must be set")))

    def _check_array(self, node: Node, value: object, path: Path) -> None:
        if not isinstance(value, (list, tuple)):
            self._has_wrong_type(node, value, path)
            return
        if node.row.only_item and len(value) != 1:
            self._found(node, "count", path, f"has {len(value)} entries: expected exactly one")
        entry_node = node.children["[]"]
        for position, entry in enumerate(value):
            self._checks[entry_node.holds](entry_node, entry, (*path, position))

    def _check_map(self, node: Node, value: object, path: Path) -> None:
        if not is_object(value):
            self._has_wrong_type(node, value, path)
            return
        for key, entry in value.items():
            if entry is not None and not isinstance(entry, str):
                where = (*path, str(key))
                self._found(node, "type", where, f"is {_JSON_TYPES.get(type(entry), 'an object')}: expected a text")
        self._check_format(node, value, path)

    def _check_type(self, node: Node, value: object, path: Path) -> None:
        if not (isinstance(value, bool) if node.holds == "boolean" else is_object(value)):
            self._has_wrong_type(node, value, path)

    def _check_integer(self, node: Node, value: object, path: Path) -> None:
        # JSON has one kind of number: the API server takes 8092.0 for a whole one.
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value % 1 != 0:
            self._has_wrong_type(node, value, path)
            return
        row = node.row
        if row.minimum is not None and not (row.minimum <= value and (row.maximum is None or value <= row.maximum)):
            expected = node.rules["range"].message.removeprefix("Must be ").removesuffix(".")
            amount = f"{value:.0f}" if abs(value) < _BEYOND_64_BITS else "out of all bounds"
            self._found(node, "range", path, f"is {amount}: expected {expected}")

    def _check_string(self, node: Node, value: object, path: Path) -> None:
        if not isinstance(value, str):
            self._has_wrong_type(node, value, path)
            return
        if node.choices and value not in node.choices:
            self._found(node, "value", path, self._not_a_choice(node, value))
        elif value or node.row.never_empty:
            self._check_format(node, value, path)

    def _not_a_choice(self, node: Node, value: str) -> str:
        later = [choice.since for choice in node.row.choices if choice.value == value]
        if later:
            return f'"{value}" is known since {later[0]}, and this is {self._version}'
        return f'"{shown(value)}" is not known: expected {" or ".join(sorted(node.choices))}'

    def _check_format(self, node: Node, value: object, path: Path) -> None:
        if node.row.format is not None:
            problem = node.row.format(value)
            if problem is not None:
                self._found(node, "format", path, problem)

    def _is_unknown(self, node: Node, name: object, path: Path) -> None:
        message = _advice(self._kind, self._version, node, str(name))
        self.hits.append((UNKNOWN_FIELD, Fault(path=(*path, str(name)), message=message)))


def _advice(kind: str, version: Version, node: Node, name: str) -> str:
    """Say what was probably meant by a name that is no field."""
    dropped = f"{kind} {version} has no such field, and the API server would drop it"
    prefix = f"{node.row.path}." if node.row.path else ""
    later = [row.since for row in FIELDS[kind] if row.path == f"{prefix}{name}"]
    if later:
        return f"{dropped}: it came with {later[0]}"
    near = difflib.get_close_matches(name, [known for known in node.children if known != "[]"], n=1)
    if near:
        return f"{dropped}: did you mean {near[0]}?"
    elsewhere = [row.path for row in FIELDS[kind] if row.since <= version and row.path.endswith(f".{name}")]
    return f"{dropped}: did you mean {elsewhere[0]}?" if elsewhere else dropped
