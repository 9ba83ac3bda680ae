"""
Read a long JSON text piece by piece, so that no more than one item of a list is held as text and as value at a time.

`kubectl get -o json` prints one List with all objects. Each of its items is parsed by Python's own JSON decoder, from a
window over the text; only the braces, keys and commas around the items are read here. What a document has besides its
`items` comes at its end.

An item as kubectl prints it is parsed in half the time by msgspec, if its value, written again, is the text without its
white space: then no key occurs twice, and no number or text is read otherwise than it is written.
"""

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec

from webhook.files.documents import MAX_DEPTH, Document, NotJsonError, TextFault, decoder_of, faults_of
from webhook.files.yaml_scalars import number_of, whole_float_note

# An error this far from the end of what was read is not caused by that end: etcd takes no object of this size.
_LONGEST_OBJECT: Final = 4 * 1024 * 1024
_SPACE: Final = re.compile(r"[ \t\r\n]*")
_OF_NUMBER: Final = ("", *"0123456789+-.eE")
_ITEMS: Final = "items"
_LONGEST_INDENT: Final = 64
_FAST: Final = msgspec.json.Decoder(float_hook=lambda digits: number_of(float(digits)))


class Piece(NamedTuple):
    """An entry of a document's top-level `items`, by its index; or, with None, the document without these entries."""

    item: int | None
    document: Document


def read_pieces(chunks: Iterator[bytes]) -> Iterator[Piece]:
    """
    Yield the items of each document of a JSON text, and then the document.

    Raises:
        NotJsonError: the text cannot be read as JSON.
        UnicodeDecodeError: it is not UTF-8.
    """
    window = _Window(chunks)
    number = 0
    while window.peek():
        number += 1
        yield from _document(window, number)


def _document(window: "_Window", number: int) -> Iterator[Piece]:
    window.peek()
    line, column = window.line, window.column
    if window.peek() != "{":
        document = window.document(number)
        yield Piece(None, document)
        return
    window.take("{")
    value: dict[str, Any] = {}
    notes: list[TextFault] = []
    faults: list[TextFault] = []
    while window.peek() != "}":
        if value:
            window.take(",")
        window.peek()
        key_line = window.line
        key = window.key()
        window.take(":")
        if key in value:
            notes.append(TextFault(line=key_line, message=f'the key "{key}" occurs twice: the last value counts'))
        if key == _ITEMS and window.peek() == "[":
            value[key] = []
            yield from _items(window, number)
            continue
        field = window.document(number)
        value[key] = field.value
        notes.extend(field.notes)
        faults.extend(field.faults)
    window.take("}")
    yield Piece(
        None,
        Document(
            number=number,
            line=line,
            column=column,
            value=None if faults else value,
            faults=tuple(faults),
            notes=tuple(notes),
        ),
    )


def _items(window: "_Window", number: int) -> Iterator[Piece]:
    window.take("[")
    index = 0
    while window.peek() != "]":
        if index:
            window.take(",")
        window.peek()
        yield Piece(index, window.document(number))
        index += 1
    window.take("]")


class _Window:
    """
    The part of a text that is being read.

    Args:
        chunks: the text; a chunk of some megabytes holds hundreds of items.
    """

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self.line = 1
        self._line_start = -1  # the last line end before the position
        self._chunks = chunks
        self._decode = codecs.getincrementaldecoder("utf-8-sig")()
        self._text = ""
        self._position = 0
        self._is_end = False
        self._is_printed = True
        self._whole_floats: list[str] = []
        self._decoder = decoder_of(self._whole_floats)

    @property
    def column(self) -> int:
        """Return the column of the next character, from 1."""
        return self._position - self._line_start

    def peek(self) -> str:
        """Return the next character that is not white space; empty at the end."""
        while True:
            found = _SPACE.match(self._text, self._position)
            self._advance(found.end() if found else self._position)
            if self._position < len(self._text) or not self._more():
                return self._text[self._position : self._position + 1]

    def take(self, character: str) -> None:
        """
        Read one character.

        Raises:
            NotJsonError: there is another one.
        """
        if self.peek() != character:
            raise NotJsonError(self.line, f"Expecting '{character}'", column=self.column)
        self._position += 1

    def key(self) -> str:
        """
        Read the key of a mapping.

        Raises:
            NotJsonError: there is none.
        """
        if self.peek() != '"':
            message = "Expecting property name enclosed in double quotes"
            raise NotJsonError(self.line, message, column=self.column)
        key: str = self._value(self._decoder)[0]
        return key

    def document(self, number: int) -> Document:
        """
        Read one value, as the document of that number.

        Raises:
            NotJsonError: the value is not JSON.
        """
        self.peek()
        line, column = self.line, self.column
        plain = self._plain()
        if plain is not None:
            text = plain[1]
            is_shallow = text.count("{") + text.count("[") <= MAX_DEPTH
            faults = () if is_shallow else self._faults((line, column), *plain)
            value = None if faults else plain[0]
            return Document(number=number, line=line, column=column, text=text, value=value, faults=faults)
        self._whole_floats.clear()
        try:
            value, text = self._value(self._decoder)
        except NotJsonError as error:
            if not error.is_json:
                raise
            return self._with_twins(number, line, column)
        faults = self._faults((line, column), value, text)
        notes = tuple(TextFault(line=line, message=whole_float_note(digits)) for digits in self._whole_floats)
        return Document(
            number=number,
            line=line,
            column=column,
            text=text,
            value=None if faults else value,
            faults=faults,
            notes=notes,
        )

    @staticmethod
    def _faults(start: tuple[int, int], value: Any, text: str) -> tuple[TextFault, ...]:
        line, column = start
        told = faults_of(value, has_escapes="\\u" in text)
        return tuple(TextFault(line=line, column=column, message=message) for message in told)

    def _plain(self) -> tuple[Any, str] | None:
        """
        Read a mapping that is printed on lines of its own, with its text; None where another reader may tell more.

        A JSON text has no line end within a string, and no mapping begins with another mapping. So if the text up to a
        closing brace can be read at all, it is the whole mapping.
        """
        if not (self._is_printed and self._text.startswith("{\n", self._position)):
            return None
        start = self._text.rfind("\n", max(self._position - _LONGEST_INDENT, 0), self._position)
        indent = self._text[start : self._position]
        if start < 0 or indent.strip():
            return None
        end = self._text.find(f"{indent}}}", self._position) + len(indent) + 1
        text = self._text[self._position : end]
        try:
            value = _FAST.decode(text)
            is_same = msgspec.json.encode(value) == msgspec.json.format(text, indent=-1).encode()
        except (ValueError, RecursionError):
            self._is_printed = False  # not as kubectl prints it, or cut: to try each item takes too long
            return None
        if not is_same:
            return None
        self._advance(end)
        return value, text

    def _with_twins(self, number: int, line: int, column: int) -> Document:
        """Read a value that has a key twice with the YAML reader, which finds the line."""
        from webhook.files.yaml_reader import read_yaml  # noqa: PLC0415  slow, and seldom needed

        _, text = self._value(json.JSONDecoder())
        found = next(read_yaml(text))
        return Document(
            number=number,
            line=line,
            column=column,
            text=text,
            value=found.value,
            faults=tuple(TextFault(line=fault.line + line - 1, message=fault.message) for fault in found.faults),
            notes=tuple(TextFault(line=note.line + line - 1, message=note.message) for note in found.notes),
        )

    def _value(self, decoder: json.JSONDecoder) -> tuple[Any, str]:
        """
        Read one value; return it with its text.

        Raises:
            NotJsonError: it is not JSON, or has a key twice; then it is not taken from the text.
        """
        while True:
            try:
                value, end = decoder.raw_decode(self._text, self._position)
            except json.JSONDecodeError as error:
                is_cut = error.pos > len(self._text) - _LONGEST_OBJECT
                # Twice as much as before: a long value is not read again for each chunk of it.
                if not (is_cut and self._more(2 * (len(self._text) - self._position))):
                    self._advance(error.pos)
                    raise NotJsonError(self.line, error.msg, column=self.column) from error
                continue
            except NotJsonError:
                raise
            except (ValueError, RecursionError) as error:
                raise NotJsonError(self.line, str(error), column=self.column) from error
            # A number may go on in the next chunk; a mapping, a list and a text have an end of their own.
            may_go_on = self._text[end - 1] not in '}]"' and self._text[end : end + 1] in _OF_NUMBER
            if not (may_go_on and self._more()):
                text = self._text[self._position : end]
                self._advance(end)
                return value, text

    def _advance(self, position: int) -> None:
        self.line += self._text.count("\n", self._position, position)
        line_end = self._text.rfind("\n", self._position, position)
        if line_end >= 0:
            self._line_start = line_end
        self._position = position

    def _more(self, wanted: int = 1) -> bool:
        """Read more, up to a text of *wanted* characters from here on; return whether there was more."""
        if self._is_end:
            return False
        parts = [self._text[self._position :]]
        size = len(parts[0])
        while size < wanted or len(parts) == 1:
            chunk = next(self._chunks, b"")
            self._is_end = not chunk
            parts.append(self._decode.decode(chunk, final=self._is_end))
            size += len(parts[-1])
            if self._is_end:
                break
        self._text = "".join(parts)
        self._line_start -= self._position
        self._position = 0
        self._is_printed = True
        return True
