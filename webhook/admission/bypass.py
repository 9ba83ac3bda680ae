"""
Break-glass: a refused change that its user marks with a reason, and may make nevertheless.

The mark is an annotation of the policy. It counts in the one request that adds or changes it, or in the deletion of a
policy that carries it: an annotation that was left there does nothing later. Whether the user has the right is asked
for each request, and for the user who makes it.

Source: k8s.io/api/authorization/v1 SubjectAccessReview.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from webhook.admission.response import LONGEST_ANNOTATION, AdmissionResponse, allowed, one_line, warning
from webhook.admission.review import AdmissionRequest
from webhook.eem.standing import Standing
from webhook.eem.view import EemNamespace
from webhook.netpol.parse import BYPASS_ANNOTATION
from webhook.netpol.parse_meta import read_annotation

VERB: Final = "bypass"
GROUP: Final = "eem-guardrail.io"
RESOURCE: Final = "networkpolicies"
EXEMPT: Final = "bypass"


@dataclass(frozen=True, kw_only=True, slots=True)
class BypassMark:
    """The bypass annotation of a policy, which exists or was deleted."""

    policy: str
    reason: str


def bypass_reason(request: AdmissionRequest) -> str:
    """Return the reason for which a request asks to be let through; empty if it does not ask."""
    new = read_annotation(request.object, BYPASS_ANNOTATION)
    old = read_annotation(request.old_object, BYPASS_ANNOTATION)
    if request.operation == "DELETE":
        return old
    return "" if new == old else new


def access_review(request: AdmissionRequest) -> Mapping[str, Any]:
    """Return the question whether the user of a request may bypass the guard in its namespace."""
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": request.username,
            "groups": list(request.groups),
            "uid": request.user_uid,
            "extra": {key: list(values) for key, values in request.user_extra.items()},
            "resourceAttributes": {
                "verb": VERB,
                "group": GROUP,
                "resource": RESOURCE,
                "namespace": request.namespace,
                "name": request.name,
            },
        },
    }


def refusal_to_bypass(answer: object, user: str) -> str:
    """Return why the answer to an access review does not let a user through; empty if it does."""
    status = answer.get("status") if isinstance(answer, Mapping) else None
    if not isinstance(status, Mapping):
        return "the API server's answer about the right to bypass cannot be read"
    if status.get("allowed") is True and status.get("denied") is not True:
        return ""
    return f"user {user} has no right to {VERB} {RESOURCE}.{GROUP} in this namespace"


def bypassed(refused: AdmissionResponse, reason: str) -> AdmissionResponse:
    """Return a refusal as allowed, with what is cut off in a warning and in the audit log."""
    if refused.verdict is None:
        raise ValueError("a refusal has its verdict")
    told = warning(f"let through by {BYPASS_ANNOTATION}: {refused.message}")
    verdict = replace(
        refused.verdict, allowed=True, exempt=EXEMPT, message="", warnings=(told, *refused.verdict.warnings)
    )
    note = {
        "bypass": one_line(reason, LONGEST_ANNOTATION),
        "would-deny": one_line(refused.message, LONGEST_ANNOTATION),
    }
    return allowed(verdict, "bypassed", note)


class BypassMarks:
    """
    The policies of a namespace that carry a bypass annotation.

    Args:
        view: the namespace.
        before: the namespace as it was at the last audit; None if that is not known.
    """

    def __init__(self, view: EemNamespace, before: EemNamespace | None) -> None:
        self._marked = dict(view.index.marked)
        earlier = {} if before is None else dict(before.index.marked)
        changed = {} if before is None else self._marked
        self._moved = [
            *(policy for name, policy in changed.items() if earlier.get(name) is not policy),
            *(policy for name, policy in earlier.items() if name not in view.policies),
        ]

    def of_break(
        self, subjects: Iterable[tuple[object, Standing]], known: tuple[BypassMark, ...] | None
    ) -> tuple[BypassMark, ...]:
        """
        Return the policies that may have broken a requirement: those that isolate its pods, and what changed with it.

        Args:
            subjects: its pods.
            known: what was found when it broke; None if it has just broken.
        """
        standings = [standing for _, standing in subjects]
        found = [
            policy
            for name, policy in sorted(self._marked.items())
            if any(name in standing.isolating for standing in standings)
        ]
        concerned = (*found, *(self._moved if known is None else ()))
        marks = [BypassMark(policy=policy.full_name, reason=policy.bypass) for policy in concerned]
        return tuple(dict.fromkeys((*(known or ()), *marks)))
