"""
Keep the service registered: what of the two webhook configurations is its own, and nothing else of them.

`entries` says what they should hold (pure), `registrar` makes it so, `heartbeat` proves that reviews arrive.
"""

from webhook.registration.drift import Drift
from webhook.registration.endpoint import OwnEndpoint
from webhook.registration.entries import MUTATING, NAME, NAMESPACE, VALIDATING
from webhook.registration.heartbeat import Heartbeat
from webhook.registration.registrar import Registrar, Sources, published

__all__ = [
    "MUTATING",
    "NAME",
    "NAMESPACE",
    "VALIDATING",
    "Drift",
    "Heartbeat",
    "OwnEndpoint",
    "Registrar",
    "Sources",
    "published",
]
