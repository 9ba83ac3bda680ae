"""The sizes, durations and repetitions of a run."""

from dataclasses import dataclass, field

from benchmarks.cluster import LARGE, REPOSITORY, SIZES, Size


@dataclass(frozen=True, kw_only=True)
class Plan:
    """
    One run of the benchmarks.

    Args:
        sizes: the clusters for reviews and decisions, the smallest first.
        largest: the cluster for memory, the first list and a repeated list.
        repository: the cluster that the commands read.
        runs: the repetitions of short measurements; the median counts.
        closed_seconds: the length of each run of the closed loop, in which the processor is never idle.
        open_seconds: the length of the open loop; the 99th percentile needs some thousand reviews.
        relist_seconds: the length of the load during a repeated list, which must end within it.
        repeats: the repetitions of each decision.
        real: whether to measure a real API server too, if one is built.
    """

    sizes: tuple[Size, ...] = SIZES
    largest: Size = LARGE
    repository: Size = REPOSITORY
    runs: int = 5
    closed_seconds: float = 3.0
    open_seconds: float = 20.0
    relist_seconds: float = 6.0
    repeats: int = 1000
    real: bool = True
    notes: tuple[str, ...] = field(default=())


FULL = Plan()
QUICK = Plan(runs=1, closed_seconds=1.0, open_seconds=2.0, relist_seconds=5.0, repeats=200, real=False)
