"""
The line and the column of a field in a file.

Reading keeps the line of each document only. A position is looked up for the few faults that are shown, by composing
the document again with the YAML parser, which also reads JSON.
"""

import json
import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Final

import yaml

from webhook.files.file_objects import FileFault, Place, Source

_STEP: Final = re.compile(r"\[([^\]]*)\]|([^.\[\]]+)")
_LINE_OF_ITEM: Final = re.compile(r"( *)- ")
_END_OF_DOCUMENT: Final = re.compile(r"(?:---|\.\.\.)(?:\s|$)")
LARGEST_BYTES: Final = 1024 * 1024
"""Of a larger text, only the object in question is composed: that takes a second for each MiB."""

MOST_LOCATED: Final = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Position:
    """
    A place in a file; line and columns from 1.

    Args:
        file: its path; of a file in a Git revision, the path in the repository.
        end_column: the first one after the key of the field, in the same line.
    """

    file: str
    line: int
    column: int
    end_column: int

    def __str__(self) -> str:
        """Return the position as compilers print it."""
        return f"{self.file}:{self.line}:{self.column}"


def position_of(place: Place, field: str) -> Position:
    """
    Return where a field of an object is, or where the deepest part of its path is that the file has.

    Args:
        place: of the object.
        field: its path, `spec.ingress[0].ports[1].port`; empty for the object itself.
    """
    file, node = _document(place)
    start = max(place.line, 1), 1
    line, column, end = _deepest(_Tree(node=node), f"{place.item}.{field}") or (*start, 2)
    return Position(file=file, line=line, column=column, end_column=end)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Tree:
    """A text that was composed; None where that is not possible. It begins at *start* in its file."""

    node: yaml.Node | None
    start: tuple[int, int] = (1, 1)
    has_items: bool = True


def _deepest(tree: _Tree, path: str) -> tuple[int, int, int] | None:
    """Return line, column and end column of the deepest part of a path that is there; None without any."""
    node, found = tree.node, None
    for step in _steps(path):
        child = _child(node, step)
        if child is None:
            break
        node, key = child
        begin, stop = key.start_mark, key.end_mark
        indent = tree.start[1] - 1 if begin.line == 0 else 0
        end = stop.column if stop.line == begin.line else begin.column + 1
        found = begin.line + tree.start[0], begin.column + indent + 1, end + indent + 1
    return found


def located(faults: Iterable[FileFault]) -> list[FileFault]:
    """Return faults of files, the first ones with the line and the column of the field that each is about."""
    found = list(faults)
    trees: dict[tuple[str, int, str], _Tree] = {}
    return [*(_located(fault, trees) for fault in found[:MOST_LOCATED]), *found[MOST_LOCATED:]]


def _located(fault: FileFault, trees: dict[tuple[str, int, str], _Tree]) -> FileFault:
    place, source = fault.place, fault.source
    if source is None or not place.document or place.column:
        return fault
    is_part = source.is_object or len(source.text) > LARGEST_BYTES
    key = (place.file, place.document, place.item if is_part else "")
    if key not in trees:
        trees[key] = _tree(source, place)
    tree = trees[key]
    path = f"{place.item}.{fault.field}" if tree.has_items else fault.field
    line, column, _ = _deepest(tree, path) or (*_start(tree, source, place), 0)
    return replace(fault, place=replace(place, line=line, column=column))


def _start(tree: _Tree, source: Source, place: Place) -> tuple[int, int]:
    """Return where an object begins, or the first character of its line."""
    if source.is_object:
        return source.line, source.column
    if tree.node is not None:
        mark = tree.node.start_mark
        return mark.line + tree.start[0], mark.column + (tree.start[1] if mark.line == 0 else 1)
    line = source.text.split("\n", place.line)[place.line - 1]
    return place.line, len(line) - len(line.lstrip()) + 1


def _tree(source: Source, place: Place) -> _Tree:
    """Compose the document of a place, or of a long text only the object."""
    if source.is_object:
        node = _composed(source.text, 0)
        return _Tree(node=node, start=(source.line, source.column), has_items=False)
    text = source.text
    if text.lstrip().startswith("{"):
        try:
            return _json_tree(text, place.document)
        except (ValueError, RecursionError):  # YAML in braces
            pass
    if len(text) <= LARGEST_BYTES:
        return _Tree(node=_composed(text, place.document - 1))
    lines = text.split("\n")[place.line - 1 :]
    item = _LINE_OF_ITEM.match(lines[0]) if place.item else None
    if item is None:
        end = next((index for index, line in enumerate(lines) if _END_OF_DOCUMENT.match(line)), len(lines))
        return _Tree(node=_composed("\n".join(lines[:end]), 0), start=(place.line, 1), has_items=bool(place.item))
    inner = f"{item[1]} "
    end = next((index for index, line in enumerate(lines) if index and line and not line.startswith(inner)), len(lines))
    node = _composed("\n".join(lines[:end]), 0)
    found = _child(node, "0")
    return _Tree(node=found[0] if found else None, start=(place.line, 1), has_items=False)


def _json_tree(text: str, number: int) -> _Tree:
    """
    Compose one of the JSON documents of a text, which may follow one another without a mark.

    Raises:
        ValueError: the text is not JSON.
    """
    decoder, start, end = json.JSONDecoder(), 0, 0
    for _ in range(number):
        start = len(text) - len(text[end:].lstrip())
        _, end = decoder.raw_decode(text, start)
    line, column = text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start)
    return _Tree(node=_composed(text[start:end], 0), start=(line, column))


def _composed(text: str, index: int) -> yaml.Node | None:
    """Return a document of a YAML text; None where that is not possible, as of an empty text."""
    if len(text) > 4 * LARGEST_BYTES:
        return None
    try:
        return next(islice(yaml.compose_all(text, Loader=yaml.CSafeLoader), index, None), None)
    except (ValueError, RecursionError, yaml.YAMLError):
        return None


def _document(place: Place) -> tuple[str, yaml.Node | None]:
    """Return the file and the document of a place; None where it cannot be read again, such as standard input."""
    file, text = _text(place.file)
    return file, _composed(text, place.document - 1) if place.document else None


def _text(file: str) -> tuple[str, str]:
    """Return the path of a file, in the repository if it is one of a revision, and its text; empty without one."""
    path = Path(file)
    try:
        if path.is_file():
            return file, path.read_text(encoding="utf-8") if path.stat().st_size <= LARGEST_BYTES else ""
        revision, separator, inner = file.partition(":")
        if not separator or not inner:
            return file, ""
        shown = subprocess.run(["git", "show", f"{revision}:{inner}"], capture_output=True, check=True)  # noqa: S603, S607
        return inner, shown.stdout.decode()
    except (OSError, ValueError, subprocess.CalledProcessError):
        return file, ""


def _steps(path: str) -> Iterator[str]:
    for index, key in _STEP.findall(path):
        yield index or key


def _child(node: yaml.Node | None, step: str) -> tuple[yaml.Node, yaml.Node] | None:
    """Return a part of a node and what stands for it: the key of a mapping, or the item of a list."""
    if isinstance(node, yaml.MappingNode):
        found = [(value, key) for key, value in node.value if key.value == step]
        return found[-1] if found else None  # of equal keys the last one wins
    if isinstance(node, yaml.SequenceNode) and step.isdigit() and int(step) < len(node.value):
        item = node.value[int(step)]
        return item, item
    return None
