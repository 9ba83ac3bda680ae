"""
The output formats of verdicts.

To add a format, write a function from judged changes to text and add it to FORMATS: `check -o` offers what is there. A
format for pipelines is a function from cases to text in CI_FORMATS, which `plan` and `audit` offer as well.
"""

import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from webhook.admission import Verdict, verdict_json
from webhook.admission.refusal import directions_of, losses_in_words
from webhook.cli.ci_formats import CI_FORMATS
from webhook.cli.output import Style, json_text, style_of
from webhook.cli.results import Case, Judged, case_of, name_of, place_or_none

INDENT: Final = " " * 8


def as_text(judged: Sequence[Judged], style: Style | None = None) -> str:
    """Return verdicts for people, in the style of standard output unless another one is given."""
    style = style or style_of(sys.stdout)
    return "\n".join(_wrapped(line, style) for one in judged for line in _lines(one, style))


def as_json(judged: Sequence[Judged]) -> str:
    """Return verdicts as a JSON list."""
    return json_text(list(map(judged_json, judged)))


def judged_json(judged: Judged) -> dict[str, Any]:
    """Return a verdict as JSON values, each fault with its position in the file."""
    found = verdict_json(judged.verdict)
    for fault in found["faults"]:
        position = place_or_none(judged.place, fault["field"])
        known = {"file": position.file, "line": position.line, "column": position.column} if position else None
        fault["position"] = known
    return found


def _of_cases(form: Callable[[Sequence[Case]], str]) -> Callable[[Sequence[Judged]], str]:
    return lambda judged: form(list(map(case_of, judged)))


FORMATS: Final[Mapping[str, Callable[[Sequence[Judged]], str]]] = {
    "text": as_text,
    "json": as_json,
    **{name: _of_cases(form) for name, form in CI_FORMATS.items()},
}


def _lines(judged: Judged, style: Style) -> Iterator[str]:
    verdict = judged.verdict
    answer = style.good("allowed") if verdict.allowed else style.bad("DENIED ")
    why = f" (not judged: {verdict.exempt})" if verdict.exempt else ""
    yield f"{answer} {verdict.operation} {name_of(verdict.resource)}{why}"
    yield from _refusal(verdict)
    for fault in verdict.faults:
        position = place_or_none(judged.place, fault.field)
        where = f"{position}: " if position else ""
        yield f"{INDENT}{where}{fault.field}: {fault.message}{f' [{fault.rule}]' if fault.rule else ''}"
    for text in verdict.warnings:
        yield f"{INDENT}{style.doubtful('Warning:')} {text}"


def _refusal(verdict: Verdict) -> Iterator[str]:
    """Yield each loss, the worst first, and what to do; kubectl gets the same in one paragraph."""
    if verdict.advice:
        yield f"{INDENT}would cut off required {directions_of(verdict.lost)}:"
        for sentence in losses_in_words(verdict.lost):
            yield f"{INDENT}- {sentence}"
        for sentence in verdict.advice:
            yield f"{INDENT}{sentence}"
        if verdict.policy_kinds.note:
            yield f"{INDENT}({verdict.policy_kinds.note}.)"
    elif verdict.message and not verdict.faults:
        yield f"{INDENT}{verdict.message}"


def _wrapped(line: str, style: Style) -> str:
    """Return a line in pieces that fit into the terminal, each indented like the first."""
    if style.width is None:
        return line
    text = line.lstrip()
    indent = line[: len(line) - len(text)] + ("  " if text.startswith("- ") else "")
    return "\n".join(
        textwrap.wrap(line, style.width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    )
