"""
What an AdmissionReview means: decode it, decide it, encode the answer.

This package does no IO: the snapshot and the options are arguments, and a response has its evidence.
"""

from webhook.admission.instance import default, validate
from webhook.admission.networkpolicy import decide
from webhook.admission.options import Options
from webhook.admission.response import AdmissionResponse, Cause
from webhook.admission.review import AdmissionRequest, GroupVersionKind, GroupVersionResource, ReviewError
from webhook.admission.verdict import Verdict, verdict_json
from webhook.admission.wire import decode_review, encode_review

__all__ = [
    "AdmissionRequest",
    "AdmissionResponse",
    "Cause",
    "GroupVersionKind",
    "GroupVersionResource",
    "Options",
    "ReviewError",
    "Verdict",
    "decide",
    "decode_review",
    "default",
    "encode_review",
    "validate",
    "verdict_json",
]
