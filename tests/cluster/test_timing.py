"""Retry delays grow, are spread and are reset, and long work yields the event loop."""

import asyncio
import random
from itertools import count

from cluster_builders import FakeTime

from webhook.cluster.timing import Backoff, Clock, Delays, TimeSlice

RETRY = Delays(first_seconds=0.8, longest_seconds=30.0)


class Highest(random.Random):
    """A random generator that always returns the longest delay."""

    def uniform(self, a: float, b: float) -> float:
        """Return the upper end."""
        return max(a, b)


def test_delays_double_up_to_the_longest() -> None:
    """The limits are those of client-go: 0.8 s, doubled, 30 s."""
    backoff = Backoff(RETRY, FakeTime().clock(), Highest())

    assert [backoff.next_seconds() for _ in range(8)] == [0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 30.0, 30.0]


def test_delays_are_spread_over_the_whole_range() -> None:
    """Full jitter: replicas that fail together do not return together."""
    first = [Backoff(RETRY, FakeTime().clock(), random.Random(seed)).next_seconds() for seed in range(300)]

    assert min(first) < 0.05
    assert max(first) > 0.75
    assert all(0 <= delay <= 0.8 for delay in first)


def test_two_minutes_without_a_failure_reset_the_delay() -> None:
    """After 120 s without a failure the next delay is the first."""
    time = FakeTime()
    backoff = Backoff(RETRY, time.clock(), Highest())
    for _ in range(5):
        backoff.next_seconds()
    time.now += 119

    assert backoff.next_seconds() == 25.6

    time.now += 121

    assert backoff.next_seconds() == 0.8


async def test_long_work_lets_other_tasks_run() -> None:
    """A task yields after each time slice of 1 ms."""
    milliseconds = count()
    time_slice = TimeSlice(Clock(monotonic=lambda: next(milliseconds) / 1000).monotonic)
    ran = 0

    async def other() -> None:
        nonlocal ran
        while True:
            ran += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    for _ in range(600):
        await time_slice.check()
    task.cancel()

    assert ran >= 600 / 6 - 2
