"""
Read YAML in its plain form, line by line: what kubectl prints, and most of what people write.

Mappings and lists by indentation, one plain or quoted scalar to a line, comments on lines of their own. Lines come
again and again (`protocol: TCP`), so what a line says is found out once for each text of a line: a third of the time
that libyaml's events take. Whatever else there is in a text, and whatever is wrong in it, is left to the YAML reader:
this one never finds a fault, it gives up.
"""

import re
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from webhook.files.document import MAX_DEPTH, Document, TextFault
from webhook.files.yaml_scalars import as_key, resolve, trap

_LINE: Final = re.compile(
    r"( *)((?:- +)*)"
    r"(?:([A-Za-z_][-A-Za-z0-9_/.]{0,250}):(?: +|$))?"
    r"(?:(\{\}|\[\])|([\"'])([ !#-&(-\[\]-~]*)\5|((?:[A-Za-z0-9_/.]|-[0-9])[-A-Za-z0-9_/.@+=,(): ]*))? *"
)
"""Indentation, dashes, a key, and a value: an empty mapping or list, a quoted text, or a plain scalar."""

_BLANK: Final = re.compile(r" *(?:#[ -~]*)?")
_MARK: Final = re.compile(r"--- *")


class _Line(NamedTuple):
    """
    What one line says.

    Args:
        column: of its first dash, or else of its key.
        dashes: the columns of its dashes.
        inner: the column of its key or scalar, after the dashes.
        key: empty where there is none.
        value: the scalar; the type of an empty mapping or list; None where what follows is the value, or nothing.
        waits: nothing stands after the key.
        notes: what may be meant otherwise.
        is_simple: a key with its scalar, and nothing else.
        says_nothing: it is blank, a comment, or the end of a document.
    """

    column: int = 0
    dashes: tuple[int, ...] = ()
    inner: int = 0
    key: str = ""
    value: Any = None
    waits: bool = False
    notes: tuple[str, ...] = ()
    is_simple: bool = False
    says_nothing: bool = False
    ends_document: bool = False


class _NotPlainError(Exception):
    """Tell that a text has something that only a YAML reader reads."""


def read_blocks(text: str) -> list[Document] | None:
    """Give every document of a text in plain form; None for any other."""
    if not text.isascii() or "\t" in text or "\r" in text:
        return None
    builder = _Builder()
    try:
        builder.read(text.split("\n"))
    except _NotPlainError:
        return None
    return builder.documents


def _read_line(text: str) -> _Line:
    found = _LINE.fullmatch(text)
    if found is None or found.start(2) == found.end():
        return _between(text)
    indent, dashes, name, empty, quote, quoted, plain = found.groups()
    notes: list[str] = []
    key = _key(name, notes) if name is not None else ""
    value: Any = None
    if plain is not None:
        value = _scalar(plain.rstrip(" "), notes)
    elif quote is not None:
        value = quoted
    elif empty is not None:
        value = dict if empty == "{}" else list
    if not key and (not dashes or (value is None and plain is None)):
        raise _NotPlainError
    waits = value is None and plain is None
    first = len(indent)
    return _Line(
        column=first,
        dashes=tuple(first + place for place, letter in enumerate(dashes) if letter == "-") if dashes else (),
        inner=first + len(dashes),
        key=key,
        value=value,
        waits=waits,
        notes=tuple(notes),
        is_simple=bool(key) and not (waits or dashes or notes or value is dict or value is list),
    )


def _between(text: str) -> _Line:
    """Read a line that has no part in a value: blank, a comment, or the end of a document."""
    if _BLANK.fullmatch(text):
        return _Line(says_nothing=True)
    if _MARK.fullmatch(text):
        return _Line(says_nothing=True, ends_document=True)
    raise _NotPlainError


def _scalar(text: str, notes: list[str]) -> Any:
    if ": " in text or text[-1] == ":":
        raise _NotPlainError
    if told := trap(text):
        notes.append(told)
    try:
        return resolve(text)
    except ValueError as error:
        raise _NotPlainError from error


def _key(text: str, notes: list[str]) -> str:
    try:
        return as_key(_scalar(text, notes))
    except ValueError as error:
        raise _NotPlainError from error


class _Level:
    """
    A mapping or a list that is being filled.

    Args:
        column: of its keys or dashes.
        key: one whose value, if it has any, is still to come; None where there is none.
    """

    __slots__ = ("column", "container", "is_list", "key", "lines")

    def __init__(self, column: int, container: Any) -> None:
        self.column = column
        self.container = container
        self.is_list = container.__class__ is list
        self.key: str | None = None
        self.lines: list[int] = []


class _Builder:
    """Puts lines together, one document after another."""

    def __init__(self) -> None:
        self.documents: list[Document] = []
        self._stack: list[_Level] = []
        self._is_due = False  # a document was announced and has nothing in it yet
        self._line = 0
        self._items: _Level | None = None
        self._notes: list[TextFault] = []

    def read(self, lines: Iterable[str]) -> None:
        """
        Read all lines of a text.

        Raises:
            _NotPlainError: they are not all plain.
        """
        known: dict[str, _Line] = {}
        stack = self._stack
        for number, text in enumerate(lines, 1):
            line = known.get(text)
            if line is None:
                line = known[text] = _read_line(text)
            if line.is_simple and stack:  # by far the most lines: one more key of the mapping at hand
                level = stack[-1]
                if level.column == line.column and not level.is_list and line.key not in level.container:
                    level.container[line.key] = line.value
                    level.key = None
                    continue
            self._take(line, number)
        self._end_document()
        if self._is_due:
            raise _NotPlainError

    def _take(self, line: _Line, number: int) -> None:
        if line.says_nothing:
            if line.ends_document:
                self._end_document()
                self._is_due = True
            return
        if not self._stack:
            self._begin_document(line, number)
        level = self._level_at(line)
        if line.dashes:
            level = self._open_items(level, line, number)
        elif level.column != line.column:
            level = self._open(level, {}, line.column)
        if line.key:
            _put(level, line.key, line.value)
            level.key = line.key if line.waits else None
        elif level.is_list:
            level.container.append(_fresh(line.value))
        for note in line.notes:
            self._notes.append(TextFault(line=number, message=note))

    def _begin_document(self, line: _Line, number: int) -> None:
        if line.column or line.dashes or not line.key:
            raise _NotPlainError
        self._is_due = False
        self._line = number
        self._stack.append(_Level(0, {}))

    def _end_document(self) -> None:
        if not self._stack:
            if self._is_due:
                raise _NotPlainError
            return
        self.documents.append(
            Document(
                number=len(self.documents) + 1,
                line=self._line,
                value=self._stack[0].container,
                item_lines=tuple(self._items.lines) if self._items is not None else (),
                notes=tuple(self._notes),
            )
        )
        self._stack.clear()
        self._items = None
        self._notes.clear()

    def _level_at(self, line: _Line) -> _Level:
        """Leave what is further in than the line, and give where it goes on."""
        stack, column = self._stack, line.column
        level = stack[-1]
        while level.column > column or (level.column == column and level.is_list and not line.dashes):
            stack.pop()
            level = stack[-1]
        return level

    def _open(self, level: _Level, container: Any, column: int) -> _Level:
        """Begin a mapping or a list as the value that a key waits for."""
        # A list may stand as far out as the key that it belongs to, a mapping may not.
        is_inside = column > level.column or (column == level.column and container.__class__ is list)
        if level.key is None or not is_inside:
            raise _NotPlainError
        level.container[level.key] = container
        opened = _Level(column, container)
        if level.key == "items" and len(self._stack) == 1:
            self._items = opened
        level.key = None
        return self._push(opened)

    def _open_items(self, level: _Level, line: _Line, number: int) -> _Level:
        """Begin the item of a list, and what the same line begins within it."""
        for place, column in enumerate(line.dashes):
            if place:
                inner: list[Any] = []
                level.container.append(inner)
                level = self._push(_Level(column, inner))
            elif not level.is_list or level.column != column:
                level = self._open(level, [], column)
            level.lines.append(number)
        if not line.key:
            return level
        item: dict[str, Any] = {}
        level.container.append(item)
        return self._push(_Level(line.inner, item))

    def _push(self, level: _Level) -> _Level:
        self._stack.append(level)
        if len(self._stack) > MAX_DEPTH:
            raise _NotPlainError
        return level


def _put(level: _Level, key: str, value: Any) -> None:
    if level.is_list or key in level.container:
        raise _NotPlainError
    level.container[key] = _fresh(value)


def _fresh(value: Any) -> Any:
    """Give the value of a line; an empty mapping or list is one of its own each time."""
    return value() if value is dict or value is list else value
