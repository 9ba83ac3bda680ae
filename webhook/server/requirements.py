"""Show Prometheus which requirements hold, as the cluster is at the moment of the scrape."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from webhook.admission.audit import RequirementState
from webhook.server.metrics import PREFIX


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
