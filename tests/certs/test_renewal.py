"""When a certificate is due to be replaced."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certs import needs_renewal, renewal_time

START = datetime(2027, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def test_two_thirds_of_the_life_is_the_time() -> None:
    """A certificate of nine days is due after six, to the second."""
    assert renewal_time(START, START + 9 * DAY) == START + 6 * DAY
    assert needs_renewal(START, START + 9 * DAY, START + 6 * DAY)
    assert not needs_renewal(START, START + 9 * DAY, START + 6 * DAY - timedelta(seconds=1))


def test_jitter_renews_earlier_by_at_most_a_twentieth() -> None:
    """The largest jitter moves the time forward by a twentieth of the lifetime."""
    assert renewal_time(START, START + 60 * DAY, jitter=1.0) == START + 37 * DAY


def test_an_expired_certificate_is_due() -> None:
    """A machine that slept past the end renews at once."""
    assert needs_renewal(START, START + DAY, START + 365 * DAY)


def test_a_certificate_from_the_future_is_not_due() -> None:
    """A clock that stepped back by a year starts no renewal."""
    assert not needs_renewal(START, START + DAY, START - 365 * DAY)


@pytest.mark.parametrize("jitter", [-0.01, 1.01])
def test_jitter_outside_its_range_is_refused(jitter: float) -> None:
    """Jitter is a share between 0 and 1."""
    with pytest.raises(ValueError, match="between 0 and 1"):
        renewal_time(START, START + DAY, jitter=jitter)


@given(
    st.integers(min_value=1, max_value=10_000),
    st.floats(min_value=0, max_value=1),
    st.floats(min_value=0, max_value=1),
)
def test_renewal_leaves_a_third_and_jitter_is_monotonic(hours: int, one: float, two: float) -> None:
    """Whatever the chance, at least a third of the life is left, and more jitter is never later."""
    end = START + timedelta(hours=hours)
    low, high = sorted((one, two))

    assert (
        renewal_time(START, end, jitter=high) <= renewal_time(START, end, jitter=low) <= START + (end - START) * (2 / 3)
    )
