"""The sizes, durations and repetitions of a run."""

from dataclasses import dataclass

from benchmarks.cluster import LARGE, PRINTED, REPOSITORY, SIZES, Size


@dataclass(frozen=True, kw_only=True)
class Plan:
    """
    One run of the benchmarks.

    Args:
        sizes: the clusters for reviews and decisions, the smallest first.
        largest: the cluster for memory, the first list and a repeated list.
        repository: the cluster that the commands read.
        printed: the clusters that commands read as kubectl prints them, in JSON and in YAML.
        runs: the repetitions of short measurements; the median counts.
        closed_seconds: the length of each run of the closed loop, in which the processor is never idle.
        open_seconds: the length of the open loop; the 99th percentile needs some thousand reviews.
        relist_seconds: the length of the load during a repeated list, which must end within it.
        repeats: the repetitions of each decision.
        real: whether to measure a real API server too, if one is built.
        growth: whether to measure what grows with the cluster, which takes two minutes.
    """

    sizes: tuple[Size, ...] = SIZES
    largest: Size = LARGE
    repository: Size = REPOSITORY
    printed: tuple[Size, Size] = PRINTED
    runs: int = 5
    closed_seconds: float = 3.0
    open_seconds: float = 20.0
    relist_seconds: float = 6.0
    repeats: int = 1000
    real: bool = True
    growth: bool = True


FULL = Plan()
QUICK = Plan(
    printed=(Size(policies=50, pods=2_000), Size(policies=50, pods=500)),
    runs=1,
    closed_seconds=1.0,
    open_seconds=2.0,
    relist_seconds=5.0,
    repeats=200,
    real=False,
    growth=False,
)
