"""Edits that race, on a real API server: what is only together a break, and what needs the edit before it."""

from collections.abc import Callable

import pytest
from harness.racing import Racing

Say = Callable[[str, object], None]

SEED = 20261126
LAG_SECONDS = 0.05  # well below what a refusal waits for the watch
PAIRS = [
    pytest.param(300, id="300"),
    pytest.param(10_000, id="10000", marks=[pytest.mark.long, pytest.mark.timeout(7200)]),
]
REPAIRS = [
    pytest.param(300, id="300"),
    pytest.param(10_000, id="10000", marks=[pytest.mark.long, pytest.mark.timeout(7200)]),
]


@pytest.mark.parametrize("lag_seconds", [0.0, LAG_SECONDS], ids=["as it is", "with a watch that lags"])
@pytest.mark.parametrize("count", PAIRS)
def test_pairs_that_break_together_are_not_both_admitted(
    arena: Racing, figure: Say, count: int, lag_seconds: float
) -> None:
    """Of two edits 0 to 50 ms apart that are each fine, one replica admits exactly one, and nobody is cut off."""
    arena.order("fault", lag_seconds=lag_seconds)

    found = arena.order("pairs", group="two" if lag_seconds else "one", count=count, seed=SEED)

    figure(f"{count} pairs", found)
    assert found["wrong"] == {}, found["told"]
    assert sum(found["kinds"].values()) == count
    assert found["overlapping"] > 0


@pytest.mark.parametrize("lag_seconds", [0.0, LAG_SECONDS], ids=["as it is", "with a watch that lags"])
@pytest.mark.parametrize("count", REPAIRS)
def test_a_repair_through_another_replica_counts_at_once(
    arena: Racing, figure: Say, count: int, lag_seconds: float
) -> None:
    """A fix through one replica and at once the edit that needs it through the other: nothing is refused."""
    arena.order("fault", lag_seconds=lag_seconds)

    found = arena.order("fixes", count=count, seed=SEED)

    figure(f"{count} repairs", found)
    assert found["wrong"] == {}, found["told"]
    assert sum(found["fixed_by"].values()) >= count
    assert found["lists"] > 0
