"""The benchmark of a change of a cluster-wide policy judges what it says, on the event loop or beside it."""

import asyncio

import pytest

from benchmarks.cluster_change import measure
from webhook.guard.judging_tiers import MOST_AT_ONCE


@pytest.mark.parametrize(("count", "waits"), [(2, False), (MOST_AT_ONCE + 1, True)])
def test_a_change_is_judged(*, count: int, waits: bool) -> None:
    """It closes every namespace, so it is refused."""
    found = asyncio.run(measure(count))

    assert (found["namespaces"], found["in a thread"], found["verdict"]) == (count, waits, "refused")
    assert found["processor time, ms"] > 0
