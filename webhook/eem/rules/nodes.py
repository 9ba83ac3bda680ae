"""
Read a tree of unknown shape without ever failing.

The schema says where a value has the wrong type; every other rule asks here and gets the empty value instead.
"""

from collections.abc import Iterator, Mapping

Tree = Mapping[str, object]
_NOTHING: Tree = {}


def is_mapping(node: object) -> bool:
    """Say whether *node* is a JSON object."""
    return isinstance(node, (dict, Mapping))


def child(node: object, *names: str) -> object:
    """Return the value below *node*, or None where there is none."""
    for name in names:
        if not isinstance(node, (dict, Mapping)):
            return None
        node = node.get(name)
    return node


def text(node: object, *names: str) -> str:
    """Return the text below *node*; empty where it is absent or something else."""
    value = child(node, *names)
    return value if isinstance(value, str) else ""


def mapping(node: object, *names: str) -> Tree:
    """Return the object below *node*; empty where it is absent or something else."""
    value = child(node, *names)
    return value if isinstance(value, (dict, Mapping)) else _NOTHING


def integer(node: object, *names: str) -> int | None:
    """Return the whole number below *node*, or None."""
    value = child(node, *names)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def items(node: object, *names: str) -> tuple[object, ...]:
    """Return the entries of the list below *node*; none where it is absent or something else."""
    value = child(node, *names)
    return tuple(value) if isinstance(value, (list, tuple)) else ()


def entries(node: object, *names: str) -> Iterator[tuple[int, Tree]]:
    """Yield position and entry of the objects in the list below *node*."""
    for position, entry in enumerate(items(node, *names)):
        if isinstance(entry, (dict, Mapping)):
            yield position, entry
