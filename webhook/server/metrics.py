"""
The metrics of the service for Prometheus.

No label has a value from a request except the operation, of which four are known, so clients cannot increase the number
of series. Children are looked up once and kept, because a lookup costs three times as much as the increment.
"""

import asyncio
from collections.abc import Iterable
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

PREFIX = "eem_guardrail"
OPERATIONS = frozenset({"CREATE", "UPDATE", "DELETE", "CONNECT"})
UNKNOWN = "unknown"  # the operation of a review that could not be decoded
ERRORED = "errored"
# Seconds. A verdict takes about a millisecond, a live read at most 500 ms, the API server waits at most 30 s.
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class CacheMetrics:
    """What each cache holds, and how recent it is; every metric has the label `resource`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"{PREFIX}_cache_{name}", text, ("resource",), registry=registry)

        self.synced = gauge("synced", "Whether the cache of a resource is complete (1) or not (0).")
        self.objects = gauge("objects", "Objects in the cache.")
        self.version_unknown = gauge(
            "version_unknown",
            "Whether a resource is not served in the version that this release knows (1), or is (0).",
        )
        self.checksum = gauge(
            "checksum",
            "Checksum of the names and versions of the objects in the cache; equal in replicas with the same objects.",
        )
        self.last_event = gauge(
            "last_event_timestamp_seconds", "Time of the last event or bookmark of the watch of a resource."
        )
        self.staleness = gauge(
            "staleness_seconds", "Seconds since the API server last confirmed the cache of a resource."
        )


class CertificateMetrics:
    """The validity of the certificates in use, by the label `certificate`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"{PREFIX}_certificate_{name}_timestamp_seconds", text, ("certificate",), registry=registry)

        self._not_before = gauge("not_before", "Beginning of the validity of a certificate in use.")
        self._not_after = gauge("not_after", "Expiry of a certificate in use.")
        self.reload_errors = Counter(
            f"{PREFIX}_certificate_reload_errors",
            "Failed replacements of the serving certificate; the old certificate stayed in use.",
            registry=registry,
        )

    def show(self, certificate: str, *, not_before: datetime, not_after: datetime) -> None:
        """Show the validity of the certificate that is in use now."""
        self._not_before.labels(certificate).set(not_before.timestamp())
        self._not_after.labels(certificate).set(not_after.timestamp())


class ReviewMetrics:
    """
    Answered reviews, by result and by duration.

    Args:
        webhooks: the names whose errors are shown as 0 before the first one: Prometheus does not see the increase of a
            series that begins with 1.
    """

    def __init__(self, registry: CollectorRegistry, webhooks: Iterable[str]) -> None:
        self._answered = Counter(
            f"{PREFIX}_reviews",
            "Answered reviews, by result.",
            ("webhook", "operation", "result"),
            registry=registry,
        )
        self._durations = Histogram(
            f"{PREFIX}_review_duration_seconds",
            "Seconds from the first byte of a review to its answer.",
            ("webhook",),
            buckets=BUCKETS,
            registry=registry,
        )
        self._shed = Counter(
            f"{PREFIX}_reviews_shed",
            "Reviews answered with 503, so that the API server sends them again.",
            ("reason",),
            registry=registry,
        )
        self._answered_children: dict[tuple[str, str, str], Counter] = {}
        self._duration_children: dict[str, Histogram] = {}
        for webhook in webhooks:
            for operation in (*sorted(OPERATIONS), UNKNOWN):
                self._answered.labels(webhook, operation, ERRORED)

    def answered(self, *, webhook: str, operation: str, result: str, seconds: float) -> None:
        """Count one answered review."""
        key = (webhook, operation, result)
        counter = self._answered_children.get(key)
        if counter is None:
            counter = self._answered_child(webhook, operation, result)
        counter.inc()
        duration = self._duration_children.get(webhook)
        if duration is None:
            duration = self._duration_children[webhook] = self._durations.labels(webhook)
        duration.observe(seconds)

    def shed(self, reason: str) -> None:
        """Count one review that was answered with 503."""
        self._shed.labels(reason).inc()

    def _answered_child(self, webhook: str, operation: str, result: str) -> Counter:
        if operation not in OPERATIONS:
            return self._answered.labels(webhook, UNKNOWN, result)
        child = self._answered.labels(webhook, operation, result)
        self._answered_children[webhook, operation, result] = child
        return child


class AuditMetrics:
    """What the audit costs, and what it and the reviews find besides requirements."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.duration = Histogram(
            f"{PREFIX}_audit_duration_seconds",
            "Seconds of a pass of the audit, with the reviews that were answered meanwhile.",
            buckets=BUCKETS,
            registry=registry,
        )
        self.unknown_annotations = Gauge(
            f"{PREFIX}_unknown_annotations",
            "Annotations of EEM namespaces with an unknown value; the settings of the service apply instead.",
            registry=registry,
        )
        self.unread_policy_kinds = Gauge(
            f"{PREFIX}_unread_policy_kinds",
            "Policy kinds that exist and are not read, so that their objects may override a verdict.",
            registry=registry,
        )
        self.bypasses = Counter(
            f"{PREFIX}_bypasses",
            "Changes that were let through by a user with the right to bypass the guard, without dry runs.",
            registry=registry,
        )


class ConnectionMetrics:
    """The connections of the ports."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.open = Gauge(
            f"{PREFIX}_connections", "Open connections, by port of the service.", ("port",), registry=registry
        )
        self._closed = Counter(
            f"{PREFIX}_connections_cut",
            "Connections that the server closed because of a limit.",
            ("reason",),
            registry=registry,
        )

    def cut(self, reason: str) -> None:
        """Count one connection that was closed because of a limit."""
        self._closed.labels(reason).inc()


class Metrics:
    """
    The metrics of the service, in their own registry.

    Args:
        webhooks: the names of the webhooks that are served.
    """

    def __init__(self, *, version: str, webhooks: Iterable[str] = ()) -> None:
        self.registry = CollectorRegistry()
        self.reviews = ReviewMetrics(self.registry, webhooks)
        self.connections = ConnectionMetrics(self.registry)
        self.cache = CacheMetrics(self.registry)
        self.certificates = CertificateMetrics(self.registry)
        self.audit = AuditMetrics(self.registry)
        tasks = Gauge(
            f"{PREFIX}_tasks", "Tasks of the event loop; a steady increase is a leak.", registry=self.registry
        )
        tasks.set_function(_tasks)
        build = Gauge(
            f"{PREFIX}_build_info", "Always 1; the label is the version.", ("version",), registry=self.registry
        )
        build.labels(version).set(1)
        # The usual process_* metrics: memory, processor time, descriptors, start time.
        ProcessCollector(registry=self.registry)

    def exposition(self) -> tuple[bytes, str]:
        """Return all metrics in the Prometheus text format, and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST


def _tasks() -> float:
    try:
        return float(len(asyncio.all_tasks()))
    except RuntimeError:  # called outside an event loop
        return 0.0
