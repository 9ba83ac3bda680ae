"""What is measured, how large, and for how long."""

from dataclasses import dataclass, field

from benchmarks.cluster import LARGE, REPOSITORY, SIZES, Size


@dataclass(frozen=True, kw_only=True)
class Plan:
    """
    One run of the benchmarks.

    Args:
        sizes: clusters that reviews and decisions are measured in, the smallest first.
        largest: what memory, the first list and a list that comes again are measured with.
        repository: what the commands read.
        runs: how often what is short is repeated; the median counts.
        closed_seconds: of each run of the closed loop, in which the processor is never idle.
        open_seconds: of the open loop; the 99th percentile needs some thousand reviews.
        relist_seconds: of the load in which a list comes again; it must be over within them.
        repeats: of each decision.
        real: measure with a real API server too, where one was built.
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
