"""Clocks, retry delays, and time slices that keep long work from holding the event loop."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

# Long work runs 1 ms at a time. An admission review needs a few iterations of the event loop, so it waits less than
# 10 ms in all.
SLICE_SECONDS: Final = 0.001


@dataclass(frozen=True, kw_only=True, slots=True)
class Clock:
    """The current time and the way to wait. It is always an argument, so that tests need not wait."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


@dataclass(frozen=True, kw_only=True, slots=True)
class Delays:
    """
    The delays of a backoff.

    Args:
        first_seconds: the upper limit of the first delay; it is doubled after each failure.
        longest_seconds: the highest limit.
        reset_seconds: after this time without a failure the limit is *first_seconds* again.
    """

    first_seconds: float
    longest_seconds: float
    reset_seconds: float = 120.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ReflectorTiming:
    """
    The delays and time limits of a reflector; all in seconds.

    Args:
        retry: after failures (client-go's figures).
        missing: between lists of a kind that is not installed.
        list_interval_seconds: between the beginnings of two lists, in every case.
        stall_seconds: without a whole line, after which a stream counts as dead: the API server sends a bookmark each
            60 s, and within 90 s the problem must show that the API server does not answer.
        watch_min_seconds, watch_max_seconds: how long the API server is asked to keep a stream; drawn between the two,
            so that the replicas do not reconnect together.
        short_watch_seconds: a stream that ends sooner counts as a failure, so that it is not reopened in a loop.
        forbidden_seconds: how long a known kind may be forbidden before it counts as not known: an API server that
            starts forbids everything until it has read the roles.
    """

    retry: Delays = field(default_factory=lambda: Delays(first_seconds=0.8, longest_seconds=30.0))
    missing: Delays = field(default_factory=lambda: Delays(first_seconds=1.0, longest_seconds=10.0))
    list_interval_seconds: float = 1.0
    stall_seconds: float = 85.0
    watch_min_seconds: int = 300
    watch_max_seconds: int = 600
    short_watch_seconds: float = 1.0
    forbidden_seconds: float = 30.0


class Backoff:
    """
    Exponential backoff with full jitter: each delay is drawn between 0 and the current limit.

    Full jitter spreads the requests of many replicas when an API server returns.

    Source: client-go tools/cache/reflector.go (0.8 s, 30 s, factor 2, jitter, reset after 2 min).
    """

    def __init__(self, delays: Delays, clock: Clock, rng: random.Random) -> None:
        self._delays = delays
        self._clock = clock
        self._rng = rng
        self._limit = delays.first_seconds
        self._last = float("-inf")

    def next_seconds(self) -> float:
        """Return how many seconds to wait after a failure that happened just now."""
        now = self._clock.monotonic()
        if now - self._last > self._delays.reset_seconds:
            self._limit = self._delays.first_seconds
        self._last = now
        delay = self._rng.uniform(0.0, self._limit)
        self._limit = min(self._limit * 2, self._delays.longest_seconds)
        return delay


async def first_of(*waits: Awaitable[object]) -> None:
    """Wait until one of *waits* ends, and cancel the others."""
    tasks = [asyncio.ensure_future(one) for one in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()


class TimeSlice:
    """The time for which one task may hold the event loop before other tasks run."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._began = monotonic()

    async def check(self) -> None:
        """Let other tasks run if the slice is used up, and begin the next one."""
        if self._monotonic() - self._began >= SLICE_SECONDS:
            await asyncio.sleep(0)
            self._began = self._monotonic()
