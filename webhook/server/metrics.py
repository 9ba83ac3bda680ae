"""
Count reviews and show them to Prometheus.

No label takes a value from a request, except the operation, of which there are four: whatever is sent, the number of
series stays the same. Children are looked up once and kept, since looking one up costs three times the increment.
"""

import asyncio

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

PREFIX = "eem_guardrail"
OPERATIONS = frozenset({"CREATE", "UPDATE", "DELETE", "CONNECT"})
UNKNOWN = "unknown"  # the operation of a review that could not be read
ERRORED = "errored"
# Seconds. A verdict takes about a millisecond, a live read at most 500 ms, the API server waits at most 30 s.
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The service's metrics, in a registry of their own."""

    def __init__(self, *, version: str) -> None:
        self.registry = CollectorRegistry()
        self._reviews = Counter(
            f"{PREFIX}_reviews",
            "Reviews answered, by what came of them.",
            ("webhook", "operation", "result"),
            registry=self.registry,
        )
        self._durations = Histogram(
            f"{PREFIX}_review_duration_seconds",
            "Time from a review's header to its answer.",
            ("webhook",),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._shed = Counter(
            f"{PREFIX}_reviews_shed",
            "Reviews answered with 503 for another replica to take.",
            ("reason",),
            registry=self.registry,
        )
        self._closed = Counter(
            f"{PREFIX}_connections_cut",
            "Connections closed by a limit of the server.",
            ("reason",),
            registry=self.registry,
        )
        self.connections = Gauge(
            f"{PREFIX}_connections",
            "Connections to a port of the service that are open.",
            ("port",),
            registry=self.registry,
        )
        Gauge(
            f"{PREFIX}_tasks", "Tasks of the event loop; ever more of them are a leak.", registry=self.registry
        ).set_function(_tasks)
        # process_*, as other services show it: memory, processor time, descriptors, start.
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
        self.cache_checksum = Gauge(
            f"{PREFIX}_cache_checksum",
            "The same in all replicas that know the same objects: their names and versions, summed up.",
            ("resource",),
            registry=self.registry,
        )
        self.cache_last_event = Gauge(
            f"{PREFIX}_cache_last_event_timestamp_seconds",
            "When the watch of a resource last brought anything.",
            ("resource",),
            registry=self.registry,
        )
        self.cache_staleness = Gauge(
            f"{PREFIX}_cache_staleness_seconds",
            "For how long the API server has said nothing of a resource: so old may be what is known of it.",
            ("resource",),
            registry=self.registry,
        )
        self.certificate_not_after = Gauge(
            f"{PREFIX}_certificate_not_after_timestamp_seconds",
            "When a certificate in use expires.",
            ("certificate",),
            registry=self.registry,
        )
        self.certificate_reload_errors = Counter(
            f"{PREFIX}_certificate_reload_errors",
            "Attempts to take a new serving certificate that failed; the old one stayed in use.",
            registry=self.registry,
        )
        Gauge(
            f"{PREFIX}_build_info", "Always 1; the label tells the version.", ("version",), registry=self.registry
        ).labels(version).set(1)
        self._review_children: dict[tuple[str, str, str], Counter] = {}
        self._duration_children: dict[str, Histogram] = {}

    def review(self, *, webhook: str, operation: str, result: str, seconds: float) -> None:
        """Count one review that was answered."""
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
        """Count one review that was sent to another replica."""
        self._shed.labels(reason).inc()

    def connection_cut(self, reason: str) -> None:
        """Count one connection that a limit closed."""
        self._closed.labels(reason).inc()

    def exposition(self) -> tuple[bytes, str]:
        """Give all metrics as Prometheus' text, with its content type."""
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
    except RuntimeError:  # asked outside of an event loop
        return 0.0
