"""
The documents of a text: values with their lines, faults and notes. JSON is read here, YAML by `yaml_reader`.

Large states are best read as JSON: the JSON decoder takes a fifth of the time of the YAML reader.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from webhook.files.yaml_scalars import number_of, whole_float_note

# The API server's objects are some 30 levels deep. Code that walks an object later may recurse, and Python limits
# the stack to 1,000 frames.
MAX_DEPTH: Final = 200

_SPACE: Final = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True, kw_only=True, slots=True)
class TextFault:
    """A fault or note in a text, its line and its column (from 1; 0 if that is not known)."""

    line: int
    message: str
    column: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """
    One document of a text.

    Args:
        number: its place in the text, from 1; empty documents count.
        line: the line where it begins, from 1.
        column: the column where it begins, from 1.
        text: what was read, of an item of a long text; empty for other documents.
        value: None if the document has faults or is empty.
        item_lines: the lines where the entries of the top-level list `items` begin, if they are known.
        faults: why the document cannot be read.
        notes: readings that may not be what the writer meant.
    """

    number: int
    line: int
    value: Any
    item_lines: tuple[int, ...] = ()
    faults: tuple[TextFault, ...] = ()
    notes: tuple[TextFault, ...] = ()
    column: int = 1
    text: str = ""


class NotJsonError(ValueError):
    """
    Raised when a text is not JSON that this module reads.

    Args:
        line: the line of the fault, from 1.
        column: its column, from 1; 0 if it is not known.
        is_json: whether the text is JSON all the same: a key occurs twice, and the YAML reader finds its line.
    """

    def __init__(self, line: int, message: str, *, column: int = 0, is_json: bool = False) -> None:
        super().__init__(message)
        self.line = line
        self.column = column
        self.is_json = is_json


def read_json(text: str) -> list[Document]:
    """
    Return the documents of a JSON text; several may follow one another, as kubectl allows.

    Raises:
        NotJsonError: the text cannot be read as JSON.
    """
    whole_floats: list[str] = []
    try:
        return _documents(text, decoder_of(whole_floats), whole_floats)
    except json.JSONDecodeError as error:
        raise NotJsonError(error.lineno, error.msg, column=error.colno) from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, NotJsonError):
            raise
        raise NotJsonError(1, str(error), column=1) from error


def decoder_of(whole_floats: list[str]) -> json.JSONDecoder:
    """Return the decoder that reads JSON as kubectl does, and adds the digits of whole floats to *whole_floats*."""

    def read_float(digits: str) -> int | float:
        number = number_of(float(digits))
        if isinstance(number, int):
            whole_floats.append(digits)
        return number

    return json.JSONDecoder(object_pairs_hook=_mapping, parse_constant=_constant, parse_float=read_float)


def _documents(text: str, decoder: json.JSONDecoder, whole_floats: list[str]) -> list[Document]:
    documents: list[Document] = []
    position = _skip(text, 0)
    line = 1 + text.count("\n", 0, position)
    has_escapes = "\\u" in text  # asked once: to search a long text for each of its documents takes minutes
    while position < len(text):
        value, end = decoder.raw_decode(text, position)
        column = position - text.rfind("\n", 0, position)
        told = faults_of(value, has_escapes=has_escapes)
        faults = tuple(TextFault(line=line, column=column, message=message) for message in told)
        notes = tuple(TextFault(line=line, message=whole_float_note(digits)) for digits in whole_floats)
        whole_floats.clear()
        number = len(documents) + 1
        documents.append(
            Document(number=number, line=line, value=None if faults else value, faults=faults, notes=notes)
        )
        start, position = position, _skip(text, end)
        line += text.count("\n", start, position)
    return documents


def _skip(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        raise NotJsonError(1, "a key occurs twice", is_json=True)
    return mapping


def _constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a value that a Kubernetes object can hold")


def faults_of(value: Any, *, has_escapes: bool) -> Iterator[str]:
    """Return why a value that is JSON cannot be an object of Kubernetes."""
    level, depth = [value], 0
    while level:
        level = [
            child
            for container in level
            if container.__class__ in (dict, list)
            for child in (container.values() if container.__class__ is dict else container)
            if child.__class__ in (dict, list)
        ]
        depth += 1
    if depth > MAX_DEPTH:
        yield f"nested more than {MAX_DEPTH} deep"
    elif has_escapes:
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            yield "contains half of a surrogate pair, which is not a character"
