"""
The answers that a review can get. These functions are the only places that make an AdmissionResponse.

A verdict is never an HTTP error: the API server takes an HTTP error for a failure of the webhook.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from webhook.admission.verdict import Verdict
from webhook.netpol.model import no_labels
from webhook.netpol.reading import shorten

LONGEST_MESSAGE = 1024
"""Characters of a refusal: what fits a terminal without drowning the reader."""

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
        result: what the metrics count it as: allowed, denied, warned, audited, exempt, bypassed or errored.
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


def denied(
    verdict: Verdict, code: int, causes: Iterable[Cause], audit_annotations: Mapping[str, str]
) -> AdmissionResponse:
    """Refuse the change: 403 where it takes something away, 422 where the object itself is wrong."""
    return AdmissionResponse(
        allowed=False,
        code=code,
        reason="Invalid" if code == INVALID else "Forbidden",
        message=verdict.message,
        causes=tuple(causes),
        warnings=verdict.warnings,
        audit_annotations=audit_annotations,
        verdict=verdict,
        result="denied",
    )


def with_note(response: AdmissionResponse, note: str) -> AdmissionResponse:
    """Say one more thing about a refusal, within the length that a message may have."""
    message = f"{shorten(response.message, LONGEST_MESSAGE - len(note) - 1)} {note}"
    verdict = None if response.verdict is None else replace(response.verdict, message=message)
    return replace(response, message=message, verdict=verdict)
