"""Tell the time, wait, and wait longer after each failure. All of it is an argument, so that tests need not wait."""

import asyncio
import math
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

FIRST_SECONDS = 1.0  # after the first failure; the API server may only be restarting
LONGEST_SECONDS = 30.0  # client-go's; a right that is missing is perhaps given today, and asking costs one request


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Clock:
    """
    What time it is and how one waits.

    Args:
        now: the wall clock, aware; it may jump.
        monotonic: seconds from anywhere; never goes back, and may stand still while the machine is suspended.
        sleep: waits for so many seconds of the monotonic clock.
    """

    now: Callable[[], datetime] = _now
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


class Backoff:
    """Says how long to wait after a failure: any time up to a limit that doubles, so that replicas spread."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._limit = FIRST_SECONDS

    def next_seconds(self) -> float:
        """Give the seconds to wait after a failure: at least half the limit, for a busy loop helps nobody."""
        delay = self._limit * self._rng.uniform(0.5, 1.0)
        self._limit = min(self._limit * 2, LONGEST_SECONDS)
        return delay

    def reset(self) -> None:
        """Forget the failures: something succeeded."""
        self._limit = FIRST_SECONDS


class WallClock:
    """
    Notices when the wall clock jumps, by the monotonic one.

    Args:
        tolerance_seconds: a jump that is smaller does no harm, for certificates are valid some time before they are
            made.
        memory_seconds: for how long a reading counts against later ones that are further on.
    """

    def __init__(self, clock: Clock, *, tolerance_seconds: float, memory_seconds: float) -> None:
        self._clock = clock
        self._tolerance_seconds, self._memory_seconds = tolerance_seconds, memory_seconds
        self._offset = self._measure()
        self._jumped_at = float("-inf")
        # When each offset was last seen, the least first; an offset goes when a smaller one is seen after it.
        self._offsets: deque[tuple[float, float]] = deque()
        self.look()

    def look(self) -> None:
        """Compare the clocks."""
        monotonic, offset = self._clock.monotonic(), self._measure()
        if abs(offset - self._offset) > self._tolerance_seconds:
            self._jumped_at = monotonic
        self._offset = offset
        while self._offsets and self._offsets[-1][1] >= offset:
            self._offsets.pop()
        self._offsets.append((monotonic, offset))
        while self._offsets[0][0] < monotonic - self._memory_seconds:
            self._offsets.popleft()

    def seconds_since_jump(self) -> float:
        """Say how long ago the wall clock jumped, by the monotonic clock."""
        return self._clock.monotonic() - self._jumped_at

    def steady_now(self) -> datetime:
        """
        Give the time by the earliest of the remembered readings, carried on by the monotonic clock.

        A jump forward does not hurry it, before the time to which it jumped would have had to be forgotten.
        """
        return datetime.fromtimestamp(self._clock.monotonic() + self._offsets[0][1], UTC)

    def _measure(self) -> float:
        """Give the wall clock's lead over the monotonic one, in whole seconds: smaller steps are no news."""
        return float(math.floor(self._clock.now().timestamp() - self._clock.monotonic()))
