"""
Serve verdicts over HTTPS, and the probes, the metrics and the audit of the service over HTTP.

This package knows HTTP, TLS, time and signals. It is handed judges and checks and decides nothing itself. Only this
package maps an outcome of a judge to an HTTP status.
"""

from webhook.server.app import (
    MUTATE_EEM,
    VALIDATE_CLUSTER_POLICY,
    VALIDATE_EEM,
    VALIDATE_NETWORK_POLICY,
    WEBHOOKS,
    make_app,
)
from webhook.server.health import Check, make_health_app
from webhook.server.lifecycle import ServedPort, Servers, StopSignals, stop_signals
from webhook.server.limits import Limits
from webhook.server.local import LOOPBACK, make_local_app
from webhook.server.metrics import Metrics
from webhook.server.serving import Drain, Serving
from webhook.server.tls import CertificateSource, PairError

__all__ = [
    "LOOPBACK",
    "MUTATE_EEM",
    "VALIDATE_CLUSTER_POLICY",
    "VALIDATE_EEM",
    "VALIDATE_NETWORK_POLICY",
    "WEBHOOKS",
    "CertificateSource",
    "Check",
    "Drain",
    "Limits",
    "Metrics",
    "PairError",
    "ServedPort",
    "Servers",
    "Serving",
    "StopSignals",
    "make_app",
    "make_health_app",
    "make_local_app",
    "stop_signals",
]
