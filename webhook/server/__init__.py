"""
Serve verdicts over HTTPS, and tell how the service is over HTTP.

This package knows HTTP, TLS, time and signals; it is handed judges and checks and decides nothing itself. Only here
does an outcome become an HTTP status.
"""

from webhook.server.app import MUTATE_EEM, VALIDATE_EEM, VALIDATE_NETWORK_POLICY, WEBHOOKS, make_app
from webhook.server.health import Check, make_health_app
from webhook.server.lifecycle import Endpoint, Servers, StopSignals, stop_signals
from webhook.server.limits import Limits
from webhook.server.metrics import Metrics
from webhook.server.serving import Drain, Serving
from webhook.server.tls import CertificateSource, PairError

__all__ = [
    "MUTATE_EEM",
    "VALIDATE_EEM",
    "VALIDATE_NETWORK_POLICY",
    "WEBHOOKS",
    "CertificateSource",
    "Check",
    "Drain",
    "Endpoint",
    "Limits",
    "Metrics",
    "PairError",
    "Servers",
    "Serving",
    "StopSignals",
    "make_app",
    "make_health_app",
    "stop_signals",
]
