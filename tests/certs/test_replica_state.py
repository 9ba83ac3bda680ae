"""Jumps of the wall clock, as a replica detects them."""

from datetime import UTC, datetime, timedelta

from certs.dependencies import Clocks
from certs.replica_state import WallClockWatch

NOW = datetime(2027, 3, 1, tzinfo=UTC)


class Watched:
    """Two clocks that the test sets, and the watch that compares them."""

    def __init__(self) -> None:
        self.monotonic, self.ahead = 500.0, 0.0
        clocks = Clocks(now=self.now, monotonic=lambda: self.monotonic)
        self.watch = WallClockWatch(clocks, tolerance_seconds=60.0, memory_seconds=1000.0)

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.monotonic + self.ahead)

    def set_ahead(self, ahead: float, after: float = 10.0) -> None:
        """Set the wall clock so many seconds ahead of its start, *after* seconds later."""
        self.monotonic += after
        self.ahead = ahead
        self.watch.update()


def test_a_clock_that_runs_evenly_has_not_jumped() -> None:
    """Time that passes on both clocks is not a jump, and neither is a small step."""
    watched = Watched()
    watched.set_ahead(0.0)
    watched.set_ahead(30.0)

    assert watched.watch.seconds_since_jump() == float("inf")


def test_a_jump_in_either_direction_is_detected() -> None:
    """The time since a jump is measured by the monotonic clock."""
    for ahead in (3600.0, -3600.0):
        watched = Watched()
        watched.set_ahead(ahead)
        watched.monotonic += 5.0

        assert watched.watch.seconds_since_jump() == 5.0


def test_a_jump_forward_does_not_move_the_steady_time() -> None:
    """After a jump forward the steady time runs on as before, until the readings from before are forgotten."""
    watched = Watched()
    watched.set_ahead(86_400.0)
    before = watched.watch.steady_now()
    watched.set_ahead(86_400.0, after=985.0)
    much_later = watched.watch.steady_now()
    watched.set_ahead(86_400.0, after=10.0)

    assert before == NOW + timedelta(seconds=510)
    assert much_later == NOW + timedelta(seconds=1495)
    assert watched.watch.steady_now() == watched.now()


def test_a_jump_back_moves_the_steady_time_back() -> None:
    """An early reading counts while it is remembered, even if the clock was wrong."""
    watched = Watched()
    watched.set_ahead(-3600.0)
    watched.set_ahead(0.0)

    assert watched.watch.steady_now() == watched.now() - timedelta(hours=1)
    watched.set_ahead(0.0, after=1001.0)
    assert watched.watch.steady_now() == watched.now()


def test_the_system_clock_has_a_time_zone() -> None:
    """Without an argument, the time is the time of the system, in UTC."""
    assert Clocks().now().tzinfo is UTC
