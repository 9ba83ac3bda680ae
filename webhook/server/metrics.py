"""
The metrics of the service for Prometheus.

No label has a value from a request except the operation, of which four are known, so clients cannot increase the number
of series. Children are looked up once and kept, because a lookup costs three times as much as the increment.
"""

import asyncio

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

PREFIX = "eem_guardrail"
OPERATIONS = frozenset({"CREATE", "UPDATE", "DELETE", "CONNECT"})
UNKNOWN = "unknown"  # the operation of a review that could not be decoded
ERRORED = "errored"
# Seconds. A verdict takes about a millisecond, a live read at most 500 ms, the API server waits at most 30 s.
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The metrics of the service, in their own registry."""

    def __init__(self, *, version: str) -> None:
        self.registry = CollectorRegistry()
        self._reviews = Counter(
            f"{PREFIX}_reviews",
            "Answered reviews, by result.",
            ("webhook", "operation", "result"),
            registry=self.registry,
        )
        self._durations = Histogram(
            f"{PREFIX}_review_duration_seconds",
            "Seconds from the first byte of a review to its answer.",
            ("webhook",),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._shed = Counter(
            f"{PREFIX}_reviews_shed",
            "Reviews answered with 503, so that the API server sends them again.",
            ("reason",),
            registry=self.registry,
        )
        self._closed = Counter(
            f"{PREFIX}_connections_cut",
            "Connections that the server closed because of a limit.",
            ("reason",),
            registry=self.registry,
        )
        self.connections = Gauge(
            f"{PREFIX}_connections",
            "Open connections, by port of the service.",
            ("port",),
            registry=self.registry,
        )
        Gauge(
            f"{PREFIX}_tasks", "Tasks of the event loop; a steady increase is a leak.", registry=self.registry
        ).set_function(_tasks)
        # The usual process_* metrics: memory, processor time, descriptors, start time.
        ProcessCollector(registry=self.registry)
        self.cache_synced = Gauge(
            f"{PREFIX}_cache_synced",
            "Whether the cache of a resource is complete (1) or not (0).",
            ("resource",),
            registry=self.registry,
        )
        self.cache_objects = Gauge(
            f"{PREFIX}_cache_objects", "Objects in the cache.", ("resource",), registry=self.registry
        )
        self.cache_version_unknown = Gauge(
            f"{PREFIX}_cache_version_unknown",
            "Whether a resource is not served in the version that this release knows (1), or is (0).",
            ("resource",),
            registry=self.registry,
        )
        self.cache_checksum = Gauge(
            f"{PREFIX}_cache_checksum",
            "Checksum of the names and versions of the objects in the cache; equal in replicas with the same objects.",
            ("resource",),
            registry=self.registry,
        )
        self.cache_last_event = Gauge(
            f"{PREFIX}_cache_last_event_timestamp_seconds",
            "Time of the last event or bookmark of the watch of a resource.",
            ("resource",),
            registry=self.registry,
        )
        self.cache_staleness = Gauge(
            f"{PREFIX}_cache_staleness_seconds",
            "Seconds since the API server last confirmed the cache of a resource: the age of the cache.",
            ("resource",),
            registry=self.registry,
        )
        self.certificate_not_after = Gauge(
            f"{PREFIX}_certificate_not_after_timestamp_seconds",
            "Expiry of a certificate in use.",
            ("certificate",),
            registry=self.registry,
        )
        self.certificate_reload_errors = Counter(
            f"{PREFIX}_certificate_reload_errors",
            "Failed replacements of the serving certificate; the old certificate stayed in use.",
            registry=self.registry,
        )
        Gauge(
            f"{PREFIX}_build_info", "Always 1; the label is the version.", ("version",), registry=self.registry
        ).labels(version).set(1)
        self._review_children: dict[tuple[str, str, str], Counter] = {}
        self._duration_children: dict[str, Histogram] = {}

    def review(self, *, webhook: str, operation: str, result: str, seconds: float) -> None:
        """Count one answered review."""
        key = (webhook, operation, result)
        counter = self._review_children.get(key)
        if counter is None:
            counter = self._review_child(webhook, operation, result)
        counter.inc()
        duration = self._duration_children.get(webhook)
        if duration is None:
            duration = self._duration_children[webhook] = self._durations.labels(webhook)
        duration.observe(seconds)

    def shed(self, reason: str) -> None:
        """Count one review that was answered with 503."""
        self._shed.labels(reason).inc()

    def connection_cut(self, reason: str) -> None:
        """Count one connection that was closed because of a limit."""
        self._closed.labels(reason).inc()

    def exposition(self) -> tuple[bytes, str]:
        """Return all metrics in the Prometheus text format, and its content type."""
        return generate_latest(self.registry), CONTENT_TYPE_LATEST

    def _review_child(self, webhook: str, operation: str, result: str) -> Counter:
        if operation not in OPERATIONS:
            return self._reviews.labels(webhook, UNKNOWN, result)
        child = self._reviews.labels(webhook, operation, result)
        self._review_children[webhook, operation, result] = child
        return child


def _tasks() -> float:
    try:
        return float(len(asyncio.all_tasks()))
    except RuntimeError:  # called outside an event loop
        return 0.0
