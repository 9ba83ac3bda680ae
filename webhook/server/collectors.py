"""Prometheus collectors that read a state at the moment of the scrape: requirements, and what the controllers do."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from webhook.admission.audit import RequirementState
from webhook.server.metrics import PREFIX


class DriftedField(Protocol):
    """One field of a webhook configuration that is not as the manifests have it."""

    @property
    def field(self) -> str:
        """Return the field, one of few: it is a metric's label."""


class RegistrationState(Protocol):
    """What the registration shows of itself."""

    @property
    def drift(self) -> Iterable[DriftedField]:
        """Return the fields that are not as the manifests have them."""

    @property
    def registered(self) -> frozenset[str]:
        """Return the namespaces whose NetworkPolicies the API server asks about."""

    @property
    def writes(self) -> int:
        """Return how many writes there were."""


class HeartbeatState(Protocol):
    """What the heartbeat shows of itself."""

    @property
    def last_success_timestamp_seconds(self) -> float:
        """Return when a review was last seen to go all the way through the API server."""

    @property
    def failures(self) -> int:
        """Return how many heartbeats were not refused."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RequirementCollector(Collector):
    """
    Collect `requirement_met`: one series for each requirement of each instance.

    Args:
        audit: gives the state of every requirement.
    """

    audit: Callable[[], Iterable[RequirementState]]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Give the one metric."""
        family = GaugeMetricFamily(
            f"{PREFIX}_requirement_met",
            "Whether a required ingress holds for every pod it is about (1) or not (0).",
            labels=("namespace", "kind", "instance", "component", "port"),
        )
        for state in self.audit():
            ref = state.requirement.instance
            labels = (ref.namespace, ref.kind, ref.name, state.requirement.component.value, str(state.requirement.port))
            family.add_metric(labels, 1.0 if state.met else 0.0)
        yield family


@dataclass(frozen=True, kw_only=True, slots=True)
class ControllerState:
    """
    What is looked at.

    Args:
        leads: whether this replica writes.
        registrar, heartbeat: None where the registration is somebody else's.
    """

    leads: Callable[[], bool]
    registrar: RegistrationState | None
    heartbeat: HeartbeatState | None


class ControllerCollector(Collector):
    """
    Collect it at the moment of the scrape.

    A replica that does not lead sends no heartbeat and shows none: alert on the largest value of all replicas.
    """

    def __init__(self, state: ControllerState) -> None:
        self._state = state

    def collect(self) -> Iterator[Metric]:
        """Give every metric of it."""
        yield GaugeMetricFamily(
            f"{PREFIX}_leader", "Whether this replica writes (1) or not (0).", float(self._state.leads())
        )
        if self._state.registrar is not None:
            yield from _registration(self._state.registrar)
        if self._state.heartbeat is not None:
            yield from _heartbeat(self._state.heartbeat)


def _registration(registrar: RegistrationState) -> Iterator[Metric]:
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


def _heartbeat(heartbeat: HeartbeatState) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        f"{PREFIX}_heartbeat_last_success_timestamp_seconds",
        "When a review was last seen to go all the way through the API server.",
        heartbeat.last_success_timestamp_seconds,
    )
    yield CounterMetricFamily(
        f"{PREFIX}_heartbeat_failures", "Heartbeats that were not refused.", float(heartbeat.failures)
    )
