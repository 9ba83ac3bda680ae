"""Clocks that jump, and waits that grow."""

import random
from datetime import UTC, datetime, timedelta

from certs.pace import FIRST_SECONDS, LONGEST_SECONDS, Backoff, Clock, WallClock

NOW = datetime(2027, 3, 1, tzinfo=UTC)


class Clocks:
    """Two clocks that are set by hand."""

    def __init__(self) -> None:
        self.monotonic, self.ahead = 500.0, 0.0
        self.clock = Clock(now=self.now, monotonic=lambda: self.monotonic)
        self.wall = WallClock(self.clock, tolerance_seconds=60.0, memory_seconds=1000.0)

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.monotonic + self.ahead)

    def jump(self, ahead: float, after: float = 10.0) -> None:
        self.monotonic += after
        self.ahead = ahead
        self.wall.look()


def test_a_clock_that_runs_on_has_not_jumped() -> None:
    """Time that passes on both clocks, and a small step, are no jump."""
    clocks = Clocks()
    clocks.jump(0.0)
    clocks.jump(30.0)

    assert clocks.wall.seconds_since_jump() == float("inf")


def test_a_jump_is_noticed_either_way() -> None:
    """The time since a jump is the monotonic clock's."""
    for ahead in (3600.0, -3600.0):
        clocks = Clocks()
        clocks.jump(ahead)
        clocks.monotonic += 5.0

        assert clocks.wall.seconds_since_jump() == 5.0


def test_a_jump_ahead_does_not_hurry_the_steady_time() -> None:
    """After a jump ahead the steady time goes on as before, until the jump is as old as the memory."""
    clocks = Clocks()
    clocks.jump(86_400.0)
    before = clocks.wall.steady_now()
    clocks.jump(86_400.0, after=985.0)
    much_later = clocks.wall.steady_now()
    clocks.jump(86_400.0, after=10.0)

    assert before == NOW + timedelta(seconds=510)
    assert much_later == NOW + timedelta(seconds=1495)
    assert clocks.wall.steady_now() == clocks.now()


def test_a_jump_back_holds_the_steady_time_back() -> None:
    """A time that was once read counts while it is remembered, though the clock was wrong."""
    clocks = Clocks()
    clocks.jump(-3600.0)
    clocks.jump(0.0)

    assert clocks.wall.steady_now() == clocks.now() - timedelta(hours=1)
    clocks.jump(0.0, after=1001.0)
    assert clocks.wall.steady_now() == clocks.now()


def test_waits_double_up_to_a_limit_and_are_forgotten() -> None:
    """Each wait is between half its limit and the limit."""
    backoff = Backoff(random.Random(3))
    waits = [backoff.next_seconds() for _ in range(8)]
    limits = [min(FIRST_SECONDS * 2**number, LONGEST_SECONDS) for number in range(8)]

    assert all(limit / 2 <= wait <= limit for wait, limit in zip(waits, limits, strict=True))
    backoff.reset()
    assert backoff.next_seconds() <= FIRST_SECONDS


def test_the_real_clock_is_aware() -> None:
    """Without an argument the time is the system's, in UTC."""
    assert Clock().now().tzinfo is UTC
