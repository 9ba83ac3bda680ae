"""
Refuse the heartbeat: the one NetworkPolicy that must never come to be.

The service itself asks for it, each minute and as a dry run. That it is refused, in these words, proves the whole chain
from the API server through the registration, the Service and the certificate to a verdict.
"""

from dataclasses import replace
from typing import Final

from webhook.admission.response import FORBIDDEN, AdmissionResponse, denied
from webhook.admission.review import AdmissionRequest
from webhook.admission.verdict import Verdict

CANARY_NAMESPACE: Final = "eem-guardrail-canary"
"""Where the heartbeat is asked for: a namespace in which nothing runs, and which is always registered."""
HEARTBEAT_NAME: Final = "eem-guardrail-heartbeat"
HEARTBEAT_REFUSAL: Final = "eem-guardrail is awake: this policy asks whether reviews reach it, and is always refused"


def is_heartbeat(request: AdmissionRequest) -> bool:
    """Say whether *request* makes the heartbeat's policy; one that came to be while nobody answered may be deleted."""
    return (request.operation, request.namespace, request.name) == ("CREATE", CANARY_NAMESPACE, HEARTBEAT_NAME)


def answer_heartbeat(verdict: Verdict) -> AdmissionResponse:
    """Refuse, whatever the mode, dry run or not; counted as `heartbeat`, so that `denied` counts people's refusals."""
    refused = replace(verdict, allowed=False, message=HEARTBEAT_REFUSAL)
    return denied(refused, FORBIDDEN, (), {"denied": HEARTBEAT_REFUSAL}, result="heartbeat")
