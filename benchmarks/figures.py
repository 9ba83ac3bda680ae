"""The quantities that are measured, with their units and targets."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median

from benchmarks.cluster import Size


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """
    One quantity.

    Args:
        target: the value to reach; None if there is no target.
        more_is_better: whether a larger value than the target reaches it.
        places: digits shown after the point.
    """

    name: str
    unit: str
    target: float | None = None
    more_is_better: bool = False
    places: int = 0

    def reached(self, value: float) -> bool | None:
        """Whether a value reaches the target; None if there is no target."""
        if self.target is None:
            return None
        return value >= self.target if self.more_is_better else value <= self.target

    def shown(self, value: float) -> str:
        """Return a value with its digits."""
        return f"{value:,.{self.places}f}"


CPU = Quantity(name="processor time of a review, over TLS", unit="ms", target=0.15, places=3)
GROWTH = Quantity(name="the same, in the largest cluster against the smallest", unit="times", target=1.2, places=2)
REVIEWS = Quantity(name="reviews on one core", unit="a second", target=6_600, more_is_better=True)
MIDDLE = Quantity(name="answer at 200 reviews a second, median", unit="ms", places=2)
SLOW = Quantity(name="answer at 200 reviews a second, 99th percentile", unit="ms", target=1.5, places=2)
DECISION = Quantity(name="decision alone, warm", unit="µs", target=60, places=1)
AFTER_CHANGE = Quantity(name="decision just after a change of policies, with that change", unit="µs", target=1_000)
POD_EVENT = Quantity(name="event of a pod of EEM", unit="µs", target=50)
OTHER_EVENT = Quantity(name="event of another pod", unit="µs", target=50)
MEMORY = Quantity(name="memory, pods of 6 KB from a stand-in of the API server", unit="MiB", target=128)
SYNCED = Quantity(name="start to ready, from that stand-in", unit="s", target=5.0, places=1)
REAL_MEMORY = Quantity(name="memory, from kube-apiserver", unit="MiB", target=128)
REAL_SYNCED = Quantity(name="start to ready, from kube-apiserver", unit="s", target=5.0, places=1)
HOLD = Quantity(name="longest answer while all pods are listed again", unit="ms", target=10, places=1)
CALM = Quantity(name="longest answer in as many reviews with no list", unit="ms", places=1)
READY = Quantity(name="start to ready, on files", unit="s", target=0.4, places=2)
CHECK = Quantity(name="`check` of a repository", unit="s", target=1.0, places=2)
EXPLAIN = Quantity(name="`explain` in a repository", unit="s", target=0.23, places=2)
PRINTED = Quantity(name="`check` of a state as kubectl prints it, JSON", unit="s", target=12, places=1)
PRINTED_MEMORY = Quantity(name="the same, memory", unit="MiB", target=381)
PRINTED_YAML = Quantity(name="`check` of a state as kubectl prints it, YAML", unit="s", target=35, places=1)

QUANTITIES = (
    CPU, REVIEWS, GROWTH, MIDDLE, SLOW, DECISION, AFTER_CHANGE, POD_EVENT, OTHER_EVENT,
    REAL_MEMORY, REAL_SYNCED, MEMORY, SYNCED, HOLD, CALM, READY, CHECK, EXPLAIN,
    PRINTED, PRINTED_MEMORY, PRINTED_YAML,
)  # fmt: skip
"""The quantities in the order of the table."""


@dataclass(kw_only=True)
class Figures:
    """The samples of each quantity, by size of cluster."""

    samples: dict[Quantity, dict[Size, tuple[float, ...]]] = field(default_factory=dict)

    def add(self, quantity: Quantity, size: Size, samples: Iterable[float]) -> None:
        """Add the samples of one quantity in one size of cluster."""
        self.samples.setdefault(quantity, {})[size] = tuple(samples)

    def of(self, quantity: Quantity) -> Mapping[Size, float]:
        """Return the median of one quantity for each size; empty if it was not measured."""
        return {size: median(samples) for size, samples in self.samples.get(quantity, {}).items()}

    def raw(self) -> list[dict[str, object]]:
        """Return every sample, as JSON values."""
        return [
            {
                "figure": quantity.name,
                "unit": quantity.unit,
                "wanted": quantity.target,
                "policies": size.policies,
                "pods": size.pods,
                "samples": [round(sample, 4) for sample in samples],
            }
            for quantity, sizes in self.samples.items()
            for size, samples in sizes.items()
        ]
