"""When a certificate is due for replacement."""

from datetime import UTC, datetime, timedelta

import pytest
from certificate_builders import NAMES, authority, pair
from hypothesis import given
from hypothesis import strategies as st

from certs.authority import CertificateError, issue_serving_pair
from certs.renewal import Lifetimes, authority_due, created, leaf_due, leaf_overdue, renewal_time

START = datetime(2027, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def test_a_certificate_is_due_at_two_thirds_of_its_lifetime() -> None:
    """A certificate of nine days is due after six days, to the second."""
    assert renewal_time(START, START + 9 * DAY) == START + 6 * DAY


def test_jitter_renews_earlier_by_at_most_a_twentieth_of_the_lifetime() -> None:
    """The largest jitter moves the time forward by a twentieth of the lifetime."""
    assert renewal_time(START, START + 60 * DAY, jitter=1.0) == START + 37 * DAY


@pytest.mark.parametrize("jitter", [-0.01, 1.01])
def test_jitter_outside_its_range_is_rejected(jitter: float) -> None:
    """Jitter is a number between 0 and 1."""
    with pytest.raises(ValueError, match="between 0 and 1"):
        renewal_time(START, START + DAY, jitter=jitter)


@given(
    st.integers(min_value=1, max_value=10_000),
    st.floats(min_value=0, max_value=1),
    st.floats(min_value=0, max_value=1),
)
def test_renewal_leaves_a_third_and_jitter_is_monotonic(hours: int, one: float, two: float) -> None:
    """For any jitter, at least a third of the lifetime is left, and a larger jitter never renews later."""
    end = START + timedelta(hours=hours)
    low, high = sorted((one, two))

    assert (
        renewal_time(START, end, jitter=high) <= renewal_time(START, end, jitter=low) <= START + (end - START) * (2 / 3)
    )


def test_the_backdate_is_not_part_of_the_lifetime() -> None:
    """An authority and a leaf are due at two thirds of the time after they were made."""
    ca = authority(now=START)
    leaf = pair(ca, now=START)

    assert created(ca.certificate, Lifetimes()) == START
    assert authority_due(ca.certificate, Lifetimes()) == START + timedelta(days=365) * 2 / 3
    assert leaf_due(leaf.certificate, Lifetimes()) == START + timedelta(days=7) * 2 / 3


@pytest.mark.parametrize("backdate", [timedelta(0), timedelta(hours=1)], ids=["without a backdate", "with a backdate"])
def test_a_leaf_is_overdue_at_five_sixths_of_its_lifetime(backdate: timedelta) -> None:
    """A leaf whose validity is shorter than the backdate was made without one."""
    lifetime = timedelta(seconds=60)
    made = issue_serving_pair(authority(now=START), names=NAMES, now=START, lifetime=lifetime, backdate=backdate)

    assert leaf_overdue(made.certificate, Lifetimes(leaf=lifetime)) == START + timedelta(seconds=50)


@pytest.mark.parametrize(
    "wrong", [{"ca": timedelta(0)}, {"leaf": timedelta(0)}, {"propagation_seconds": 0.0}, {"backdate": -DAY}]
)
def test_lifetimes_must_be_positive(wrong: dict[str, timedelta]) -> None:
    """Settings by which a certificate is never valid, or a rotation does not wait, are rejected at the start."""
    with pytest.raises(CertificateError, match="lifetimes"):
        Lifetimes(**wrong)  # type: ignore[arg-type]
