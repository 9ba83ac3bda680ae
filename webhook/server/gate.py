"""
Take no more reviews than can be answered in time, and let everything else on the event loop have its turn.

A judge computes, so reviews do not overlap: under load they wait for the processor, not for each other. Left to the
event loop they would wait where nobody counts them: a burst of 600 reviews of 10 ms holds up the probes for six
seconds, and by then most callers are gone, for whom the rest is judged all the same. So reviews wait in a line of
their own, from which the event loop takes a few milliseconds' worth at a time, and whoever would wait too long is sent
to another replica at once.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from webhook.guard.outcomes import Overloaded
from webhook.server.bodies import BodyBudget
from webhook.server.limits import Limits

# How much the newest look counts towards what a review costs: some 20 looks, a tenth of a second under load.
_NEWEST: Final = 0.1
# No single turn is longer, whatever else went on: a probe must have its answer within a second.
_LONGEST_TURN_SECONDS: Final = 0.25


class Gate:
    """
    How many reviews wait and are being judged, of how many, and how many bytes their bodies have.

    One gate serves all paths: they share one processor core.

    Args:
        limits: how many are judged at once, and how long a turn is.
        monotonic: seconds, never going back.
    """

    def __init__(self, limits: Limits, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._monotonic = monotonic
        self.bodies = BodyBudget(limits.max_held_body_bytes)
        self._inside = 0
        self._line: deque[asyncio.Future[None]] = deque()
        self._cost = _Average()  # seconds of judging for each review
        self._pace = _Average()  # seconds that pass for each review while there is a line
        self._turn: _Turn | None = None  # None while nobody is there
        self._counted_from, self._sent_away = float("-inf"), 0

    @property
    def waiting(self) -> int:
        """How many reviews wait for their turn."""
        return len(self._line)

    async def turn(self, patience_seconds: float) -> None:
        """
        Wait until the processor is this review's.

        Args:
            patience_seconds: how long the review can wait.

        Raises:
            Overloaded: it would have to wait longer.
        """
        loop = asyncio.get_running_loop()
        now = self._monotonic()
        if self._turn is None:
            self._turn = _Turn(began=now, ends=now + self._limits.turn_seconds)
            loop.call_soon(self._look)
        if not self._line and now < self._turn.ends:
            return
        expected = (len(self._line) + 1) * self._pace.value
        if expected > patience_seconds:
            raise self._overloaded(f"{len(self._line)} reviews wait, for {expected:.1f} s, no more are taken", now)
        place: asyncio.Future[None] = loop.create_future()
        self._line.append(place)
        await place
        if self._turn is not None:
            self._turn.enter(self._monotonic())

    @contextmanager
    def entered(self) -> Iterator[None]:
        """
        Take a place for as long as a review is judged.

        Raises:
            Overloaded: there is none.
        """
        if self._inside >= self._limits.max_concurrent_reviews:
            problem = f"{self._inside} reviews are being judged, no more are taken"
            raise self._overloaded(problem, self._monotonic())
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1

    def _look(self) -> None:
        """Let in as many as there is time for, once in each round of the event loop for as long as somebody waits."""
        turn, now = self._turn, self._monotonic()
        if turn is None or not self._line:
            self._turn = None
            return
        # Half of the time is for judging, however much else there is to do: handshakes of callers that were sent away
        # would otherwise leave nothing for those that wait.
        elsewhere = 0.0
        if turn.entered_at is not None:
            judging = now - turn.entered_at
            elsewhere = turn.entered_at - turn.began
            self._cost.add(judging / turn.entered)
            self._pace.add((judging + min(elsewhere, judging)) / turn.entered)
        seconds = max(self._limits.turn_seconds, min(elsewhere, _LONGEST_TURN_SECONDS))
        self._turn = _Turn(began=now, ends=now)
        room = max(round(seconds / self._cost.value), 1) if self._cost.value else 1
        while self._line and room:
            place = self._line.popleft()
            if not place.done():  # a caller that left has been cancelled
                place.set_result(None)
                room -= 1
        asyncio.get_running_loop().call_soon(self._look)

    def _overloaded(self, problem: str, now: float) -> Overloaded:
        """Send away: to another replica at once, and after a second where many are sent away."""
        if now - self._counted_from >= 1.0:
            self._counted_from, self._sent_away = now, 0
        self._sent_away += 1
        return Overloaded(problem, flooded=self._sent_away > self._limits.max_sent_elsewhere_per_second)


@dataclass(kw_only=True, slots=True)
class _Turn:
    """One round of the event loop; in seconds of its clock."""

    began: float
    ends: float
    entered: int = 0
    entered_at: float | None = None

    def enter(self, now: float) -> None:
        """Count a review that has waited and begins to be judged."""
        self.entered += 1
        if self.entered_at is None:
            self.entered_at = now


class _Average:
    """A figure that moves with what was measured last; 0 before there is any."""

    def __init__(self) -> None:
        self.value = 0.0

    def add(self, measured: float) -> None:
        """Take one measurement in."""
        self.value += _NEWEST * (measured - self.value) if self.value else measured
