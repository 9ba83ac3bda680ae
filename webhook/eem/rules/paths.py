"""
Where in an object something stands: as a field path, as an identity that survives reordering, as a JSON pointer.

A path is a tuple of names and list positions; it becomes text only when there is something to say about it.
"""

import re
from collections.abc import Mapping

Path = tuple[str | int, ...]

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*", re.ASCII)
# A key in a message: longer than any valid label key's name part (63), short enough for one line.
_LONGEST_KEY = 80
# What tells the entries of a list apart when they are written in another order, best first.
_ENTRY_NAMES = ("name", "secretName", "endpoint", "organization")


def shown(text: str, longest: int = _LONGEST_KEY) -> str:
    """Make any text fit for one line of a message: bounded, without control characters."""
    clipped = text if len(text) <= longest else f"{text[:longest]}..."
    return "".join(character if character.isprintable() else f"\\u{ord(character):04x}" for character in clipped)


def field_text(path: Path) -> str:
    """
    Write the path as the API server does: `spec.listeners[0].port`, `metadata.labels[example.com/team]`.

    Source: field.Path of k8s.io/apimachinery (Child, Index, Key).
    """
    parts: list[str] = []
    for step in path:
        if isinstance(step, int):
            parts.append(f"[{step}]")
        elif _PLAIN_NAME.fullmatch(step) and len(step) <= _LONGEST_KEY:
            parts.append(f".{step}" if parts else step)
        else:
            parts.append(f"[{shown(step)}]")
    return "".join(parts)


def order_of(path: Path) -> tuple[tuple[int, int, str], ...]:
    """Return a key that sorts paths name by name, and list positions as numbers."""
    return tuple((0, step, "") if isinstance(step, int) else (1, 0, step) for step in path)


def identity(document: object, path: Path) -> tuple[str, ...]:
    """
    Return what stays the same of a path when the entries of a list change places.

    A position becomes the entry's own name, else its secret's, its endpoint's, or the text itself.
    """
    steps: list[str] = []
    node = document
    for step in path:
        if isinstance(step, str):
            steps.append(step)
            node = node.get(step) if isinstance(node, Mapping) else None
        else:
            node = node[step] if isinstance(node, (list, tuple)) else None
            steps.append(f"[{_entry_name(node)}]")
    return tuple(steps)


def _entry_name(entry: object) -> str:
    if isinstance(entry, str):
        return entry
    if isinstance(entry, Mapping):
        for key in _ENTRY_NAMES:
            name = entry.get(key)
            if isinstance(name, str):
                return name
    return ""


def pointer(path: Path) -> str:
    """
    Write the path as a JSON pointer, with `~` and `/` in names escaped.

    Source: RFC 6901 section 3.
    """
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)
