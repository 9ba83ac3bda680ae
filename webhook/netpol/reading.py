"""
Read typed values out of API mappings, collecting every fault with its path instead of stopping at the first.

JSON null stands for a missing field everywhere, as in the API server's decoder; a null *item* of a list is the item's
empty value, and a null value of a string map is `""`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from webhook.netpol.faults import Fault


@dataclass(kw_only=True, slots=True)
class Faults:
    """Collect the faults of one object."""

    found: list[Fault] = field(default_factory=list)

    def add(self, path: str, message: str, reason: str = "Invalid") -> None:
        """Note one fault at *path*."""
        self.found += (Fault(field=path, message=message, reason=reason),)

    def mistyped(self, path: str, value: object, expected: str) -> None:
        """Note that *value* is not of the type that the field has."""
        self.add(path, f"must be {expected}, not {describe(value)}", "TypeInvalid")


def describe(value: object) -> str:
    """Name a value's JSON type with a short sight of it, for messages."""
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


def shorten(text: str, limit: int = 60) -> str:
    """Cut *text* in the middle to at most *limit* characters: both ends of a name tell the most."""
    if len(text) <= limit:
        return text
    head = (limit - 1) // 2
    return f"{text[:head]}…{text[len(text) - (limit - 1 - head) :]}"


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
