"""
What an AdmissionReview means: decode it, decide it, encode the answer.

Pure: the snapshot and the options are arguments, and a response carries its evidence.
"""

from webhook.admission.decide import decide
from webhook.admission.mutate import mutate
from webhook.admission.options import Options
from webhook.admission.prepare import prepared
from webhook.admission.response import AdmissionResponse, Cause
from webhook.admission.review import (
    AdmissionRequest,
    GroupVersionKind,
    GroupVersionResource,
    ReviewError,
    decode_review,
    encode_review,
)
from webhook.admission.validate import validate
from webhook.admission.verdict import Verdict, verdict_json

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
    "encode_review",
    "mutate",
    "prepared",
    "validate",
    "verdict_json",
]
