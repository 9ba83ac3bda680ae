"""
Keep the service registered: what of the two webhook configurations is its own, and nothing else of them.

`entries` says what they should hold (pure), `registrar` makes it so, `heartbeat` proves that reviews arrive.
"""

from webhook.controllers.drift import Drift
from webhook.controllers.entries import MUTATING, NAME, NAMESPACE, VALIDATING
from webhook.controllers.heartbeat import Heartbeat
from webhook.controllers.own_port import OwnEndpoint
from webhook.controllers.registrar import Registrar, Sources, published

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
