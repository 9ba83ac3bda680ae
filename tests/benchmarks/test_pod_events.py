"""The benchmark of pod events measures each figure that its page shows."""

from benchmarks.cluster import SMALL
from benchmarks.pod_events import measure


async def test_every_figure_is_measured() -> None:
    """On a small cluster, each figure is a time, and the whole burst takes no less than its longest piece."""
    figures = await measure(SMALL, 40)

    assert figures.pop("cluster") == "10 policies, 50 pods"
    assert len(figures) == 6
    assert all(one > 0 for one in figures.values())
    assert figures["burst of 40, altogether"] >= figures["burst of 40, longest hold"]
