"""
Read values out of API objects, which are trees of unknown shape.

There are two ways, for two questions. `value_at` and the functions named like it follow field names down a tree and
never fail: a value that is missing or has another type reads as empty. `mapping`, `items`, `string`, `boolean`,
`integer` and `strings` read one value that must have a type, and note a fault with its path where it has another.

JSON null stands for a missing field everywhere, as in the API server's decoder; a null *item* of a list is the item's
empty value, and a null value of a string map is `""`.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from webhook.netpol.faults import Fault, FaultReason

Tree = Mapping[str, object]
"""A JSON object of unknown shape."""

Path = tuple[str | int, ...]
"""Where a value stands in an object: field names, map keys and positions in lists."""

_NOTHING: Tree = {}
# Types that are certainly no object: to look them up first avoids the slow question for most values.
_NO_OBJECTS = frozenset({str, bool, int, float, list, tuple, type(None)})
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*", re.ASCII)
# Characters of a name or text in a message: more than any label key's name (63), and few enough for one line.
_LONGEST_SHOWN = 80


def is_object(node: object) -> TypeGuard[Tree]:
    """Whether *node* is a JSON object."""
    return type(node) is dict or (type(node) not in _NO_OBJECTS and isinstance(node, Mapping))


def value_at(node: object, *names: str) -> object:
    """Return the value at a path of field names below *node*; None where there is none."""
    for name in names:
        if type(node) is dict or is_object(node):  # the first test is the cheap one, and true for nearly every node
            node = node.get(name)
        else:
            return None
    return node


def text_at(node: object, *names: str) -> str:
    """Return the string at a path below *node*; `""` where it is missing or has another type."""
    value = value_at(node, *names)
    return value if isinstance(value, str) else ""


def object_at(node: object, *names: str) -> Tree:
    """Return the object at a path below *node*; an empty one where it is missing or has another type."""
    value = value_at(node, *names)
    return value if is_object(value) else _NOTHING


def integer_at(node: object, *names: str) -> int | None:
    """Return the integer at a path below *node*; None where it is missing or has another type."""
    value = value_at(node, *names)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def list_at(node: object, *names: str) -> Sequence[object]:
    """Return the list at a path below *node*; an empty one where it is missing or has another type."""
    value = value_at(node, *names)
    return value if isinstance(value, (list, tuple)) else ()


def objects_at(node: object, *names: str) -> list[tuple[int, Tree]]:
    """Return position and value of every object in the list at a path below *node*."""
    return [(position, entry) for position, entry in enumerate(list_at(node, *names)) if is_object(entry)]


def field_text(path: Path) -> str:
    """
    Return the path as the API server writes it: `spec.listeners[0].port`, `metadata.labels[example.com/team]`.

    Source: field.Path of k8s.io/apimachinery (Child, Index, Key).
    """
    parts: list[str] = []
    for step in path:
        if isinstance(step, int):
            parts.append(f"[{step}]")
        elif _PLAIN_NAME.fullmatch(step) and len(step) <= _LONGEST_SHOWN:
            parts.append(f".{step}" if parts else step)
        else:
            parts.append(f"[{shown(step)}]")
    return "".join(parts)


def shorten(text: str, limit: int = 60) -> str:
    """Return *text* with at most *limit* characters: a longer one is cut in the middle, so that both ends stay."""
    if len(text) <= limit:
        return text
    head = (limit - 1) // 2
    return f"{text[:head]}…{text[len(text) - (limit - 1 - head) :]}"


def shown(text: str) -> str:
    """Return *text* for a message: one line of printable characters, shortened."""
    short = shorten(text, _LONGEST_SHOWN)
    if short.isprintable():
        return short
    return "".join(character if character.isprintable() else f"\\u{ord(character):04x}" for character in short)


def describe(value: object) -> str:
    """Return the JSON type of a value with its beginning and end, for messages."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    if isinstance(value, (int, float)):
        return f"the number {shorten(_digits(value))}"
    if isinstance(value, str):
        return f"the string {shorten(repr(value))}"
    return "an object" if isinstance(value, Mapping) else "a list"


def _digits(value: float) -> str:
    try:
        return str(value)
    except ValueError:  # Python refuses to print integers of more than 4,300 digits
        return "of more than 4,300 digits"


@dataclass(kw_only=True, slots=True)
class Faults:
    """The faults of one object, collected while it is read."""

    found: list[Fault] = field(default_factory=list)

    def add(self, path: str, message: str, reason: FaultReason = "Invalid") -> None:
        """Note a fault at *path*."""
        self.found.append(Fault(field=path, message=message, reason=reason))

    def mistyped(self, path: str, value: object, expected: str) -> None:
        """Note that *value* does not have the type of the field at *path*."""
        self.add(path, f"must be {expected}, not {describe(value)}", "TypeInvalid")


def mapping(value: object, path: str, faults: Faults) -> Mapping[str, Any]:
    """Read an object; null and missing are the empty one."""
    match value:
        case None:
            return {}
        case dict() | Mapping():  # the first is the cheap one
            return value
        case _:
            faults.mistyped(path, value, "an object")
            return {}


def items(value: object, path: str, faults: Faults) -> list[tuple[str, Any]]:
    """Read a list as (path, item); null and missing are the empty one."""
    match value:
        case None:
            return []
        case list() | tuple():
            return [(f"{path}[{index}]", item) for index, item in enumerate(value)]
        case _:
            faults.mistyped(path, value, "a list")
            return []


def string(value: object, path: str, faults: Faults) -> str:
    """Read a string; null and missing are `""`."""
    match value:
        case None:
            return ""
        case str():
            return value
        case _:
            faults.mistyped(path, value, "a string")
            return ""


def boolean(value: object, path: str, faults: Faults) -> bool | None:
    """Read a boolean; null and missing are None."""
    if value is None or isinstance(value, bool):
        return value
    faults.mistyped(path, value, "true or false")
    return None


def integer(value: object, path: str, faults: Faults) -> int | None:
    """Read an integer; null and missing are None."""
    match value:
        case None:
            return None
        case int() if value is not True and value is not False:
            return value
        case _:
            faults.mistyped(path, value, "an integer")
            return None


def strings(value: object, path: str, faults: Faults) -> dict[str, str]:
    """Read a map of strings, such as labels."""
    found: dict[str, str] = {}
    untrusted: Mapping[Any, Any] = mapping(value, path, faults)
    for key, item in untrusted.items():
        match key:
            case str():
                found[key] = string(item, f"{path}[{key}]", faults)
            case _:
                faults.mistyped(path, key, "an object whose keys are strings")
    return found
