"""One document of a text, YAML or JSON, with where it stands and what is wrong in it."""

from dataclasses import dataclass
from typing import Any, Final

# The API server's own objects are about 30 deep; what walks an object later may recurse (Python's limit is 1,000
# frames).
MAX_DEPTH: Final = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class TextFault:
    """One thing that is wrong with a text, and the line (from 1) where it is."""

    line: int
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """
    One document of a file.

    Args:
        number: its place in the file, from 1; empty documents count.
        line: where it begins, from 1.
        value: None when there are faults, or when the document is empty.
        item_lines: where each entry of the top-level list `items` begins, when that is known.
        notes: what is read, but perhaps not as it was meant.
    """

    number: int
    line: int
    value: Any
    item_lines: tuple[int, ...] = ()
    faults: tuple[TextFault, ...] = ()
    notes: tuple[TextFault, ...] = ()
