"""Keep to the pace that the API server and the event loop can bear."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

# 1 ms of work at a time: an admission review takes a handful of turns of the event loop, and all of them together
# then wait less than 10 ms.
TURN_SECONDS: Final = 0.001

# An event of more bytes is read in a thread: the costliest of this size, a list of nothing but empty entries, holds the
# event loop for 40 ms. Few are as large; a pod with its managedFields has 5 to 10 KiB.
LARGE_LINE_BYTES: Final = 32 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Clock:
    """What time it is and how one waits; an argument everywhere, so that tests need not wait."""

    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


@dataclass(frozen=True, kw_only=True, slots=True)
class Delays:
    """How long to wait at most: *first* seconds, doubled up to *longest*; forgotten after *reset* without failure."""

    first_seconds: float
    longest_seconds: float
    reset_seconds: float = 120.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """
    How patient a reflector is; all in seconds.

    Args:
        retry: after failures (client-go's figures).
        missing: between looks at a kind that is not installed.
        list_interval_seconds: between the beginnings of two lists, whatever happens.
        stall_seconds: without a whole line before a stream counts as dead: the API server sends a bookmark each 60, and
            within 90 it is told that the API server does not answer.
        watch_min_seconds: how long the server is asked to keep a stream, at least;
        watch_max_seconds: and at most. The spread keeps replicas from coming back together.
        short_watch_seconds: a stream that ended sooner counts as a failure, lest it be opened in a loop.
        forbidden_seconds: how long a kind that is known may be forbidden before it counts as unknown: an API server
            that starts forbids everything until it has read the roles.
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
    Says how long to wait before the next attempt.

    Full jitter, any moment up to the current limit, spreads the replicas that a returning API server has to bear.

    Source: client-go tools/cache/reflector.go (0.8 s, 30 s, factor 2, jitter, reset after 2 min).
    """

    def __init__(self, delays: Delays, clock: Clock, rng: random.Random) -> None:
        self._delays = delays
        self._clock = clock
        self._rng = rng
        self._limit = delays.first_seconds
        self._last = float("-inf")

    def next_seconds(self) -> float:
        """Give the seconds to wait after a failure that has just happened."""
        now = self._clock.monotonic()
        if now - self._last > self._delays.reset_seconds:
            self._limit = self._delays.first_seconds
        self._last = now
        delay = self._rng.uniform(0.0, self._limit)
        self._limit = min(self._limit * 2, self._delays.longest_seconds)
        return delay


class Turn:
    """Gives the event loop to the others whenever this task has held it long enough."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._began = monotonic()

    async def share(self) -> None:
        """Let the others run if this task's time is up."""
        if self._monotonic() - self._began >= TURN_SECONDS:
            await asyncio.sleep(0)
            self._began = self._monotonic()
