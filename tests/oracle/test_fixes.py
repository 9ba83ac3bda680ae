"""The least fix of a refused change, judged by the independent evaluator."""

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from oracle.fixes import differences, fix_of, problems, refused_change

QUICK = range(60)
SLOW = [range(first, first + 150) for first in range(60, 660, 150)]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(seed=st.integers(min_value=0, max_value=10**9))
def test_a_fix_is_enough_least_and_opens_nothing(seed: int) -> None:
    """The change is accepted after it, and refused with each single thing left out; no new connection is accepted."""
    case = refused_change(seed)
    assume(case is not None)
    assert case is not None
    fix = fix_of(case)
    assume(not fix.hopeless)

    assert list(problems(case, fix)) == []


@pytest.mark.parametrize("seeds", [QUICK, *(pytest.param(one, marks=pytest.mark.slow) for one in SLOW)], ids=str)
def test_nearly_every_refused_change_has_a_fix(seeds: range) -> None:
    """Each sort of fix occurs: one policy, several, and a small edit of the change."""
    found, met = differences(seeds)

    assert found == []
    assert met["none"] <= met.total() // 10
    assert met["1 policies"]
    assert met["2 policies"]
    assert met["edit"]
