"""Read the text of a file, YAML or JSON, into documents."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NoReturn

from webhook.files.document import MAX_DEPTH, Document, TextFault
from webhook.files.yaml_blocks import read_blocks

_SPACE: Final = re.compile(r"[ \t\r\n]*")


class _DuplicateKeyError(ValueError):
    """Tell that a JSON object has a key twice."""


def read_documents(text: str, *, json_only: bool) -> Iterator[Document]:
    """
    Give every document of a text.

    JSON is read by the JSON decoder (seven times as fast); a text that begins like JSON and is not, is YAML unless
    *json_only*. Several JSON documents may follow one another, as kubectl allows.
    """
    if not json_only and not text.lstrip().startswith("{"):
        return _read_yaml(text)
    try:
        return iter(_read_json(text))
    except _DuplicateKeyError:
        return _read_yaml(text)
    except json.JSONDecodeError as error:
        if not json_only:
            return _read_yaml(text)
        fault = TextFault(line=error.lineno, message=f"not JSON: {error.msg}")
    except (ValueError, RecursionError) as error:
        fault = TextFault(line=1, message=f"not JSON: {error}")
    return iter((Document(number=1, line=fault.line, value=None, faults=(fault,)),))


def _read_yaml(text: str) -> Iterator[Document]:
    plain = read_blocks(text)
    if plain is not None:
        return iter(plain)
    from webhook.files.yaml_documents import read_yaml  # noqa: PLC0415  slow, and seldom needed

    return read_yaml(text)


def _read_json(text: str) -> list[Document]:
    decoder = json.JSONDecoder(object_pairs_hook=_mapping, parse_constant=_constant)
    documents: list[Document] = []
    position = _skip(text, 0)
    line = 1 + text.count("\n", 0, position)
    has_escapes = "\\u" in text  # asked once: to search a long text for each of its documents takes minutes
    while position < len(text):
        value, end = decoder.raw_decode(text, position)
        faults = tuple(TextFault(line=line, message=message) for message in _faults_of(value, has_escapes=has_escapes))
        documents.append(Document(number=len(documents) + 1, line=line, value=None if faults else value, faults=faults))
        start, position = position, _skip(text, end)
        line += text.count("\n", start, position)
    return documents


def _skip(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    return match.end() if match else position


def _mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) != len(pairs):
        raise _DuplicateKeyError("a key is there twice")
    return mapping


def _constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a value that a Kubernetes object can hold")


def _faults_of(value: Any, *, has_escapes: bool) -> Iterator[str]:
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
            yield "holds half of a surrogate pair, which is no character"
