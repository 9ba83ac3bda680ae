"""An occasional change is repaired at once; in a fight the repairs come later and later."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.controllers.contention import LONGEST_SECONDS, QUICK_SECONDS, RewriteBackoff


def undone_after(rewrites: RewriteBackoff, seconds: float, now: float) -> tuple[float, float]:
    """Undo the content that many seconds after *now* and write it when it is due; return the delay and the time."""
    now += seconds
    delay = rewrites.due_seconds("content", now)
    now += delay
    rewrites.wrote("content", now)
    return delay, now


def test_new_content_is_due_at_once() -> None:
    """The first write does not wait, and neither does one of other content."""
    rewrites = RewriteBackoff()

    assert rewrites.due_seconds("content", 0.0) == 0

    for _ in range(10):
        rewrites.wrote("content", 0.0)
        rewrites.due_seconds("content", 0.0)

    assert rewrites.due_seconds("content", 0.0) > 0
    assert rewrites.due_seconds("other", 0.0) == 0


def test_in_a_fight_the_writes_come_later_and_later() -> None:
    """After three quick changes without delay come 2 s, doubled each time, and 30 s at most."""
    rewrites, now, delays = RewriteBackoff(), 0.0, []
    rewrites.wrote("content", now)
    for _ in range(10):
        delay, now = undone_after(rewrites, 0.1, now)
        delays.append(delay)

    assert delays == pytest.approx([0, 0, 0, 2, 4, 8, 16, 30, 30, 30])
    assert rewrites.fighting


def test_a_wipe_each_five_seconds_is_repaired_at_once() -> None:
    """It is no fight, however long it goes on, and even if the repair takes a moment."""
    rewrites, now = RewriteBackoff(), 0.0
    rewrites.wrote("content", now)
    for _ in range(1000):
        delay, now = undone_after(rewrites, 4.5, now)

        assert delay == 0
        assert not rewrites.fighting


def test_a_while_without_changes_ends_a_fight() -> None:
    """After it the next change is the first."""
    rewrites, now = RewriteBackoff(), 0.0
    rewrites.wrote("content", now)
    for _ in range(6):
        _, now = undone_after(rewrites, 0.1, now)
    rewrites.kept(now + 1)

    assert rewrites.fighting

    rewrites.kept(now + QUICK_SECONDS)

    assert not rewrites.fighting
    assert undone_after(rewrites, 0.1, now + QUICK_SECONDS)[0] == 0


def test_other_content_ends_a_fight() -> None:
    """The changes of the old content do not count for it."""
    rewrites, now = RewriteBackoff(), 0.0
    rewrites.wrote("content", now)
    for _ in range(6):
        _, now = undone_after(rewrites, 0.1, now)
    rewrites.wrote("other", now)

    assert not rewrites.fighting


@given(st.lists(st.floats(0.0, 100.0), max_size=60))
def test_no_write_waits_longer_than_the_longest_delay(pauses: list[float]) -> None:
    """A repair is never more than 30 s away, and it is due after its delay."""
    rewrites, now = RewriteBackoff(), 0.0
    rewrites.wrote("content", now)
    for pause in pauses:
        now += pause
        delay = rewrites.due_seconds("content", now)

        assert 0 <= delay <= LONGEST_SECONDS
        assert rewrites.due_seconds("content", now + delay) == 0

        now += delay
        rewrites.wrote("content", now)
