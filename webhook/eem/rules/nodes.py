"""
Read a tree of unknown shape without ever failing.

The schema says where a value has the wrong type; every other rule asks here and gets the empty value instead.
"""

from collections.abc import Mapping, Sequence
from typing import TypeGuard

Tree = Mapping[str, object]
_NOTHING: Tree = {}
# What is certainly no object. Asking these first keeps the general question, which is slow, for what is seldom seen.
_NO_OBJECTS = frozenset({str, bool, int, float, list, tuple, type(None)})


def is_object(node: object) -> TypeGuard[Tree]:
    """Say whether *node* is a JSON object."""
    return type(node) is dict or (type(node) not in _NO_OBJECTS and isinstance(node, Mapping))


def child(node: object, *names: str) -> object:
    """Return the value below *node*, or None where there is none."""
    for name in names:
        if type(node) is dict or is_object(node):  # by far the most frequent, and the cheapest to ask
            node = node.get(name)
        else:
            return None
    return node


def text(node: object, *names: str) -> str:
    """Return the text below *node*; empty where it is absent or something else."""
    value = child(node, *names)
    return value if isinstance(value, str) else ""


def mapping(node: object, *names: str) -> Tree:
    """Return the object below *node*; empty where it is absent or something else."""
    value = child(node, *names)
    return value if is_object(value) else _NOTHING


def integer(node: object, *names: str) -> int | None:
    """Return the whole number below *node*, or None."""
    value = child(node, *names)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def items(node: object, *names: str) -> Sequence[object]:
    """Return the entries of the list below *node*; none where it is absent or something else."""
    value = child(node, *names)
    return value if isinstance(value, (list, tuple)) else ()


def entries(node: object, *names: str) -> list[tuple[int, Tree]]:
    """Return position and entry of the objects in the list below *node*."""
    return [(position, entry) for position, entry in enumerate(items(node, *names)) if is_object(entry)]
