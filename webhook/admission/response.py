"""
The answers that a review can get, and the limits of their texts.

The functions here are the only places that make an AdmissionResponse. A verdict is never an HTTP error, because the API
server treats an HTTP error as a failure of the webhook. The API server drops a warning that has a control character and
cuts a long one, so every text is one line of printable characters, and on the wire within its limit.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from webhook.admission.options import Mode
from webhook.admission.verdict import Verdict
from webhook.netpol.model import no_labels
from webhook.netpol.reading import shorten

FORBIDDEN = 403
INVALID = 422

MOST_CAUSES = 100
"""Causes of one refusal: an object with thousands of faults does not get an answer of thousands of causes."""

LONGEST_MESSAGE = 1024
"""Characters of a refusal, and of each cause: a paragraph on a terminal."""

LONGEST_WARNING = 256
"""
Characters of a warning on the wire; offline, warnings are whole.

Source: the API server cuts each warning to 256 characters once all of them exceed 4,096 (k8s.io/apiserver
endpoints/filters/warning.go).
"""

LONGEST_ANNOTATION = 1024
"""Characters of an audit annotation."""

LONGEST_NAME = 63
"""Characters of one name within a message; a longer name is cut in the middle."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cause:
    """One reason of a refusal, for programs. Source: metav1.StatusCause."""

    reason: str
    message: str
    field: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AdmissionResponse:
    """
    The answer to one review.

    Args:
        code: `status.code`; only sent with a refusal.
        reason: `status.reason`, Forbidden or Invalid.
        patch: RFC 6902 operations of a mutating webhook; empty for none.
        result: the result that the metrics count: allowed, denied, warned, audited, exempt, bypassed, heartbeat or
            errored.
        verdict: the evidence, for the log, for `check` and for tests.
    """

    allowed: bool
    code: int = 200
    reason: str = ""
    message: str = ""
    causes: tuple[Cause, ...] = ()
    warnings: tuple[str, ...] = ()
    audit_annotations: Mapping[str, str] = field(default_factory=no_labels)
    verdict: Verdict | None = None
    patch: tuple[Mapping[str, Any], ...] = ()
    result: str = "allowed"


def allowed(verdict: Verdict, result: str, audit_annotations: Mapping[str, str]) -> AdmissionResponse:
    """Allow the change, with the verdict's warnings."""
    return AdmissionResponse(
        allowed=True,
        message=verdict.message,
        warnings=verdict.warnings,
        audit_annotations=audit_annotations,
        verdict=verdict,
        result=result,
    )


def exempted(verdict: Verdict, reason: str) -> AdmissionResponse:
    """Allow the change without evaluation, with the reason in the verdict and in the audit annotation."""
    return allowed(replace(verdict, exempt=reason), "exempt", {"exempt": reason})


def patched(verdict: Verdict, patch: Iterable[Mapping[str, Any]]) -> AdmissionResponse:
    """Allow the object with the operations of *patch*."""
    return AdmissionResponse(allowed=True, verdict=verdict, patch=tuple(patch))


def denied(
    verdict: Verdict,
    code: int,
    causes: Iterable[Cause],
    audit_annotations: Mapping[str, str],
    *,
    result: str = "denied",
) -> AdmissionResponse:
    """Refuse the change: 403 if it cuts off required ingress, 422 if the object is not valid."""
    return AdmissionResponse(
        allowed=False,
        code=code,
        reason="Invalid" if code == INVALID else "Forbidden",
        message=verdict.message,
        causes=tuple(islice(causes, MOST_CAUSES)),
        warnings=verdict.warnings,
        audit_annotations=audit_annotations,
        verdict=verdict,
        result=result,
    )


def by_mode(verdict: Verdict, mode: Mode, causes: Sequence[Cause], code: int) -> AdmissionResponse:
    """Turn a refusal into what the mode makes of it: enforce refuses, warn warns the user, audit only annotates."""
    note = one_line(verdict.message, LONGEST_ANNOTATION)
    if mode == "warn":
        texts = [f"{cause.field}: {cause.message}" if code == INVALID else cause.message for cause in causes]
        warned = tuple(warning(f"would be refused: {text}") for text in texts)
        verdict = replace(verdict, allowed=True, warnings=(*warned, *verdict.warnings))
        return allowed(verdict, "warned", {"would-deny": note})
    if mode == "audit":
        return allowed(replace(verdict, allowed=True, warnings=()), "audited", {"would-deny": note})
    return denied(verdict, code, causes, {"denied": note})


def with_warnings(
    verdict: Verdict, mode: Mode, warnings: Sequence[str], annotations: Mapping[str, str]
) -> AdmissionResponse:
    """Allow the change with *warnings*; in audit mode they are an annotation and the user does not see them."""
    if not warnings:
        return allowed(verdict, "allowed", annotations)
    if mode == "audit":
        noted = {"noted": one_line("; ".join(warnings), LONGEST_ANNOTATION), **annotations}
        return allowed(replace(verdict, warnings=()), "audited", noted)
    return allowed(replace(verdict, warnings=tuple(warnings)), "warned", annotations)


def with_note(response: AdmissionResponse, note: str) -> AdmissionResponse:
    """Add a note to a refusal; the message is cut so that both fit into its limit."""
    message = f"{shorten(response.message, LONGEST_MESSAGE - len(note) - 1)} {note}"
    verdict = None if response.verdict is None else replace(response.verdict, message=message)
    return replace(response, message=message, verdict=verdict)


def with_unread_kinds(response: AdmissionResponse) -> AdmissionResponse:
    """Add one note that policies of kinds that were not read may override the verdict, if there are such kinds."""
    verdict = response.verdict
    note = "" if verdict is None or verdict.exempt else verdict.policy_kinds.note
    if verdict is None or not note:
        return response
    annotated = {**response.audit_annotations, "unread-policy-kinds": note}
    if response.result == "audited":
        return replace(response, audit_annotations=annotated)
    if not response.allowed:
        return replace(with_note(response, f"({note}.)"), audit_annotations=annotated)
    verdict = replace(verdict, warnings=(*verdict.warnings, warning(note)))
    return replace(response, warnings=(*response.warnings, warning(note)), audit_annotations=annotated, verdict=verdict)


def with_unknown_settings(response: AdmissionResponse, problems: Sequence[str]) -> AdmissionResponse:
    """Add what is wrong with the annotations of the namespace: warnings, except in audit mode, and an annotation."""
    verdict = response.verdict
    annotated = {**response.audit_annotations, "unknown-settings": one_line("; ".join(problems), LONGEST_ANNOTATION)}
    if verdict is None or response.result == "audited":
        return replace(response, audit_annotations=annotated)
    verdict = replace(verdict, warnings=(*verdict.warnings, *map(warning, problems)))
    return replace(response, warnings=verdict.warnings, audit_annotations=annotated, verdict=verdict)


def with_age(response: AdmissionResponse, resource: str, seconds: float) -> AdmissionResponse:
    """
    Add the age of the view on which a verdict rests: an audit annotation, and a warning except in audit mode.

    Args:
        resource: the plural of the kind about which the API server has been silent for the longest time.
        seconds: the length of that silence.
    """
    note = f"judged on data that is {seconds:.0f} s old: the API server has sent nothing about {resource} since"
    annotated = {**response.audit_annotations, "stale-view": one_line(note, LONGEST_ANNOTATION)}
    warnings = response.warnings if response.result == "audited" else (*response.warnings, warning(note))
    return replace(response, warnings=warnings, audit_annotations=annotated)


def one_line(text: str, limit: int) -> str:
    """Return *text* with a question mark for each control character, cut to *limit* characters at its end."""
    clean = printable(text)
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def printable(text: str) -> str:
    """Return *text* with a question mark for each control character."""
    return text if text.isprintable() else "".join(character if character.isprintable() else "?" for character in text)


def warning(text: str) -> str:
    """Return *text* as a warning: one line. Only the wire limits its length."""
    return printable(text)


def as_many_as_fit(sentences: Sequence[str], room: int) -> str:
    """Join the sentences that fit into *room* characters, at least the first one, and count those that are left out."""
    text = shorten(sentences[0], max(room - len("; and 999 more"), LONGEST_NAME))
    for index, sentence in enumerate(sentences[1:], start=1):
        more = f"; and {len(sentences) - index} more"
        if len(text) + len("; ") + len(sentence) + len(more) > room:
            return text + more
        text = f"{text}; {sentence}"
    return text
