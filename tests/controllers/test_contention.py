"""Who undoes something now and then is answered at once; who fights is answered later and later."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.controllers.contention import LONGEST_SECONDS, QUICK_SECONDS, RewriteBackoff


def undone_after(rewrites: RewriteBackoff, seconds: float, now: float) -> tuple[float, float]:
    """Have it undone so long after *now*, and write it when it is due; give the delay and the time of the write."""
    now += seconds
    delay = rewrites.due_seconds("content", now)
    now += delay
    rewrites.wrote("content", now)
    return delay, now


def test_what_was_never_written_is_due() -> None:
    """The first write waits for nothing, and neither does one that says something else."""
    rewrites = RewriteBackoff()

    assert rewrites.due_seconds("content", 0.0) == 0

    for _ in range(10):
        rewrites.wrote("content", 0.0)
        rewrites.due_seconds("content", 0.0)

    assert rewrites.due_seconds("content", 0.0) > 0
    assert rewrites.due_seconds("other", 0.0) == 0


def test_a_fight_is_answered_later_and_later() -> None:
    """Three quick undoings are answered at once, then after 2 s, twice as late each time, and 30 s at most."""
    rewrites, now, delays = RewriteBackoff(), 0.0, []
    rewrites.wrote("content", now)
    for _ in range(10):
        delay, now = undone_after(rewrites, 0.1, now)
        delays.append(delay)

    assert delays == pytest.approx([0, 0, 0, 2, 4, 8, 16, 30, 30, 30])
    assert rewrites.fighting


def test_a_wipe_each_five_seconds_is_answered_at_once() -> None:
    """However long it goes on; also where the repair took a moment."""
    rewrites, now = RewriteBackoff(), 0.0
    rewrites.wrote("content", now)
    for _ in range(1000):
        delay, now = undone_after(rewrites, 4.5, now)

        assert delay == 0
        assert not rewrites.fighting


def test_peace_ends_a_fight() -> None:
    """What stays for a while is no longer fought over, and the next undoing is the first."""
    rewrites, now = RewriteBackoff(), 0.0
    rewrites.wrote("content", now)
    for _ in range(6):
        _, now = undone_after(rewrites, 0.1, now)
    rewrites.kept(now + 1)

    assert rewrites.fighting

    rewrites.kept(now + QUICK_SECONDS)

    assert not rewrites.fighting
    assert undone_after(rewrites, 0.1, now + QUICK_SECONDS)[0] == 0


def test_something_new_to_say_ends_a_fight() -> None:
    """Other content is not what was fought over."""
    rewrites, now = RewriteBackoff(), 0.0
    rewrites.wrote("content", now)
    for _ in range(6):
        _, now = undone_after(rewrites, 0.1, now)
    rewrites.wrote("other", now)

    assert not rewrites.fighting


@given(st.lists(st.floats(0.0, 100.0), max_size=60))
def test_nobody_waits_longer_than_the_longest(pauses: list[float]) -> None:
    """Whatever the others do, a repair is never more than 30 s away, and one that waited its time is due."""
    rewrites, now = RewriteBackoff(), 0.0
    rewrites.wrote("content", now)
    for pause in pauses:
        now += pause
        delay = rewrites.due_seconds("content", now)

        assert 0 <= delay <= LONGEST_SECONDS
        assert rewrites.due_seconds("content", now + delay) == 0

        now += delay
        rewrites.wrote("content", now)
