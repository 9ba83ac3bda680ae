"""Plans agree with a brute-force search by the independent evaluator."""

import pytest

from oracle.orders import differences

QUICK = range(400)
SLOW = [range(first, first + 1000) for first in range(400, 10_400, 1000)]  # ten thousand sets
LEAST_SHARE = 50
"""One set in so many is of each sort, at least: else there is little to agree about."""


@pytest.mark.parametrize("seeds", [QUICK, *(pytest.param(one, marks=pytest.mark.slow) for one in SLOW)], ids=str)
def test_a_plan_exists_where_the_witness_finds_an_order(seeds: range) -> None:
    """No step of a plan loses anything, and where there is no plan, every permutation loses something."""
    found, met = differences(seeds)

    assert found == []
    assert met["blocked"] >= len(seeds) // LEAST_SHARE
    assert met["reordered"] >= len(seeds) // LEAST_SHARE
    assert met["bridged"]


def test_sets_of_seven_changes_agree_as_well() -> None:
    """Of ten thousand, `python -m oracle.orders` compares the plans."""
    found, met = differences(range(60), most=7)

    assert found == []
    assert met["blocked"]
