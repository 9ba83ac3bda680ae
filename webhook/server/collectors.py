"""Prometheus collectors that read a state when it is scraped: the requirements, and the state of the controllers."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from webhook.admission.egress.need_standing import NeedState
from webhook.admission.namespace_audit import RequirementState
from webhook.server.metrics import PREFIX


class DriftedField(Protocol):
    """One field of a webhook configuration that differs from the manifests."""

    @property
    def field(self) -> str:
        """Return the field's name, a metric label with few values."""


class RegistrationState(Protocol):
    """The visible state of the registration."""

    @property
    def drift(self) -> Iterable[DriftedField]:
        """Return the fields that differ from the manifests."""

    @property
    def registered(self) -> frozenset[str]:
        """Return the namespaces whose NetworkPolicies the API server sends for review."""

    @property
    def writes(self) -> int:
        """Return the number of writes."""


class HeartbeatState(Protocol):
    """The visible state of the heartbeat."""

    @property
    def last_success_timestamp_seconds(self) -> float:
        """Return when a heartbeat review last came back through the API server."""

    @property
    def failures(self) -> int:
        """Return the number of heartbeats that the guard did not refuse."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RequirementCollector(Collector):
    """
    Collects `requirement_met`: one series per requirement of each instance.

    Args:
        audit: returns the state of every requirement.
    """

    audit: Callable[[], Iterable[RequirementState]]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Return the metric."""
        family = GaugeMetricFamily(
            f"{PREFIX}_requirement_met",
            "Whether required ingress holds for every pod of the component (1) or not (0).",
            labels=("namespace", "kind", "instance", "component", "port"),
        )
        for state in self.audit():
            ref = state.requirement.instance
            labels = (ref.namespace, ref.kind, ref.name, state.requirement.component.value, str(state.requirement.port))
            family.add_metric(labels, 1.0 if state.met else 0.0)
        yield family


@dataclass(frozen=True, kw_only=True, slots=True)
class NeedCollector(Collector):
    """
    Collects `need_met`: one series per need of each instance; needs that differ in the destination alone share it.

    Args:
        audit: returns the state of every need.
    """

    audit: Callable[[], Iterable[NeedState]]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Return the metric."""
        names = ("namespace", "kind", "instance", "component", "port", "need", "level")
        held: dict[tuple[str, ...], bool] = {}
        for state in self.audit():
            need = state.need
            ref, port = need.instance, "" if need.port is None else str(need.port)
            labels: tuple[str, ...] = (
                *(ref.namespace, ref.kind, ref.name),
                *(need.component.value, port, need.id, need.level),
            )
            held[labels] = state.met and held.get(labels, True)
        family = GaugeMetricFamily(
            f"{PREFIX}_need_met",
            "Whether egress that EEM needs holds for every pod of the component (1) or not (0).",
            labels=names,
        )
        for labels, is_met in held.items():
            family.add_metric(labels, 1.0 if is_met else 0.0)
        yield family


@dataclass(frozen=True, kw_only=True, slots=True)
class ControllerState:
    """
    The state of the controllers.

    Args:
        leads: whether this replica is the leader.
        registrar, heartbeat: None if the guard does not manage the registration.
    """

    leads: Callable[[], bool]
    registrar: RegistrationState | None
    heartbeat: HeartbeatState | None


class ControllerCollector(Collector):
    """
    Collects the state of the controllers.

    Only the leader sends heartbeats and shows their metrics: alert on the largest value of all replicas.
    """

    def __init__(self, state: ControllerState) -> None:
        self._state = state

    def collect(self) -> Iterator[Metric]:
        """Return every metric of the controllers."""
        yield GaugeMetricFamily(
            f"{PREFIX}_leader",
            "Whether this replica is the leader, which writes to the cluster (1), or not (0).",
            float(self._state.leads()),
        )
        if self._state.registrar is not None:
            yield from _registration(self._state.registrar)
        if self._state.heartbeat is not None:
            yield from _heartbeat(self._state.heartbeat)


def _registration(registrar: RegistrationState) -> Iterator[Metric]:
    drift = GaugeMetricFamily(
        f"{PREFIX}_configuration_drift",
        "1 for each field of the webhook configurations that differs from the manifests.",
        labels=("field",),
    )
    for one in registrar.drift:
        drift.add_metric((one.field,), 1.0)
    yield drift
    yield GaugeMetricFamily(
        f"{PREFIX}_registered_namespaces",
        "Namespaces whose NetworkPolicies the API server sends for review.",
        float(len(registrar.registered)),
    )
    yield CounterMetricFamily(
        f"{PREFIX}_registration_writes", "Writes to the webhook configurations.", float(registrar.writes)
    )


def _heartbeat(heartbeat: HeartbeatState) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        f"{PREFIX}_heartbeat_last_success_timestamp_seconds",
        "Time of the last heartbeat review that came back through the API server.",
        heartbeat.last_success_timestamp_seconds,
    )
    yield CounterMetricFamily(
        f"{PREFIX}_heartbeat_failures", "Heartbeat reviews that the guard did not refuse.", float(heartbeat.failures)
    )
