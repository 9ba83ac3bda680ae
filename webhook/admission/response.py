"""
The answers that a review can get. These functions are the only places that make an AdmissionResponse.

A verdict is never an HTTP error: the API server takes an HTTP error for a failure of the webhook.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from webhook.admission.options import Mode
from webhook.admission.text import LONGEST_ANNOTATION, LONGEST_MESSAGE, one_line, warning
from webhook.admission.verdict import Verdict
from webhook.netpol.model import no_labels
from webhook.netpol.reading import shorten

MOST_CAUSES = 100
"""Causes of one refusal: more than anybody mends at once, and an absurd object gets no absurd answer."""

FORBIDDEN = 403
INVALID = 422


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
        patch: RFC 6902 operations that a mutating webhook asks for; empty for none.
        result: what the metrics count it as: allowed, denied, warned, audited, exempt, bypassed, heartbeat or
        errored.
        verdict: the evidence, for the log and for tests.
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
    """Let the change through, with the verdict's warnings."""
    return AdmissionResponse(
        allowed=True,
        message=verdict.message,
        warnings=verdict.warnings,
        audit_annotations=audit_annotations,
        verdict=verdict,
        result=result,
    )


def patched(verdict: Verdict, patch: Iterable[Mapping[str, Any]]) -> AdmissionResponse:
    """Let the object through with what *patch* adds to it."""
    return AdmissionResponse(allowed=True, verdict=verdict, patch=tuple(patch))


def denied(
    verdict: Verdict,
    code: int,
    causes: Iterable[Cause],
    audit_annotations: Mapping[str, str],
    *,
    result: str = "denied",
) -> AdmissionResponse:
    """Refuse the change: 403 where it takes something away, 422 where the object itself is wrong."""
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


def by_mode(verdict: Verdict, mode: Mode, causes: tuple[Cause, ...], code: int) -> AdmissionResponse:
    """Turn a refusal into what the mode makes of it: enforce refuses, warn warns whoever asked, audit only notes."""
    note = one_line(verdict.message, LONGEST_ANNOTATION)
    if mode == "warn":
        told = [f"{cause.field}: {cause.message}" if code == INVALID else cause.message for cause in causes]
        warned = tuple(warning(f"would be refused: {text}") for text in told)
        verdict = replace(verdict, allowed=True, warnings=(*warned, *verdict.warnings))
        return allowed(verdict, "warned", {"would-deny": note})
    if mode == "audit":
        return allowed(replace(verdict, allowed=True, warnings=()), "audited", {"would-deny": note})
    return denied(verdict, code, causes, {"denied": note})


def with_note(response: AdmissionResponse, note: str) -> AdmissionResponse:
    """Say one more thing about a refusal, within the length that a message may have."""
    message = f"{shorten(response.message, LONGEST_MESSAGE - len(note) - 1)} {note}"
    verdict = None if response.verdict is None else replace(response.verdict, message=message)
    return replace(response, message=message, verdict=verdict)


def on_old_knowledge(response: AdmissionResponse, resource: str, seconds: float) -> AdmissionResponse:
    """
    Say on how old a view a verdict rests.

    In the audit log always; to whoever asked too, unless the mode is to tell nobody.

    Args:
        resource: the plural of the kind of which nothing was heard for longest.
        seconds: for how long.
    """
    note = f"judged on a view that is {seconds:.0f} s old: the API server has said nothing of {resource} since"
    annotated = {**response.audit_annotations, "stale-view": one_line(note, LONGEST_ANNOTATION)}
    warnings = response.warnings if response.result == "audited" else (*response.warnings, warning(note))
    return replace(response, warnings=warnings, audit_annotations=annotated)
