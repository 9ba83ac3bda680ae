"""Show Prometheus how the service keeps what it stands on: who writes, and how the registration is."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from webhook.registration import Heartbeat, Registrar
from webhook.server.metrics import PREFIX


@dataclass(frozen=True, kw_only=True, slots=True)
class Upkeep:
    """
    What is looked at.

    Args:
        leads: whether this replica writes.
        registrar, heartbeat: None where the registration is somebody else's.
    """

    leads: Callable[[], bool]
    registrar: Registrar | None
    heartbeat: Heartbeat | None


class UpkeepCollector(Collector):
    """
    Collect it at the moment of the scrape.

    A replica that does not lead sends no heartbeat and shows none: alert on the largest value of all replicas.
    """

    def __init__(self, upkeep: Upkeep) -> None:
        self._upkeep = upkeep

    def collect(self) -> Iterator[Metric]:
        """Give every metric of it."""
        yield GaugeMetricFamily(
            f"{PREFIX}_leader", "Whether this replica writes (1) or not (0).", float(self._upkeep.leads())
        )
        if self._upkeep.registrar is not None:
            yield from _registration(self._upkeep.registrar)
        if self._upkeep.heartbeat is not None:
            yield from _heartbeat(self._upkeep.heartbeat)


def _registration(registrar: Registrar) -> Iterator[Metric]:
    drift = GaugeMetricFamily(
        f"{PREFIX}_configuration_drift",
        "1 for each field of the webhook configurations that is not as the manifests have it.",
        labels=("field",),
    )
    for one in registrar.drift:
        drift.add_metric((one.field,), 1.0)
    yield drift
    yield GaugeMetricFamily(
        f"{PREFIX}_registered_namespaces",
        "Namespaces whose NetworkPolicies the API server asks about.",
        float(len(registrar.registered)),
    )
    yield CounterMetricFamily(
        f"{PREFIX}_registration_writes", "Writes to the webhook configurations.", float(registrar.writes)
    )


def _heartbeat(heartbeat: Heartbeat) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        f"{PREFIX}_heartbeat_last_success_timestamp_seconds",
        "When a review was last seen to go all the way through the API server.",
        heartbeat.last_success_timestamp_seconds,
    )
    yield CounterMetricFamily(
        f"{PREFIX}_heartbeat_failures", "Heartbeats that were not refused.", float(heartbeat.failures)
    )
