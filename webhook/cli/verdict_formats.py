"""
The output formats of verdicts.

To add a format, write a function from verdicts to text and add it to FORMATS: `check -o` offers what is there.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from webhook.admission import Verdict, verdict_json

INDENT: Final = " " * 8


def as_text(verdicts: Sequence[Verdict]) -> str:
    """Return verdicts for people."""
    return "\n".join(line for verdict in verdicts for line in _lines(verdict))


def as_json(verdicts: Sequence[Verdict]) -> str:
    """Return verdicts as a JSON list."""
    return msgspec.json.format(msgspec.json.encode([verdict_json(verdict) for verdict in verdicts])).decode()


FORMATS: Final[Mapping[str, Callable[[Sequence[Verdict]], str]]] = {"text": as_text, "json": as_json}


def _lines(verdict: Verdict) -> Iterator[str]:
    resource = verdict.resource
    answer = "allowed" if verdict.allowed else "DENIED"
    why = f" (not judged: {verdict.exempt})" if verdict.exempt else ""
    name = f"{resource.namespace}/{resource.name}" if resource.namespace else resource.name
    yield f"{answer:8}{verdict.operation} {resource.kind} {name}{why}"
    if verdict.message and not verdict.faults:
        yield f"{INDENT}{verdict.message}"
    for fault in verdict.faults:
        yield f"{INDENT}{fault.field}: {fault.message}{f' [{fault.rule}]' if fault.rule else ''}"
    for text in verdict.warnings:
        yield f"{INDENT}Warning: {text}"
