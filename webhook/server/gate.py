"""
Admit no more reviews than can be answered in time, and leave time for everything else on the event loop.

A judge computes, so reviews do not overlap: under load they wait for the processor. In the event loop's own queue they
cannot be counted: a burst of 600 reviews of 10 ms delays the probes for six seconds, and most clients have left before
their review is judged. So reviews wait in a queue of their own. In each iteration, the event loop admits as many as it
can judge in a few milliseconds, and a review that would wait too long is answered with 503 at once. Client addresses
take turns, so that the flood of one does not delay the reviews of another.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from webhook.guard.outcomes import Overloaded
from webhook.server.bodies import BodyBudget
from webhook.server.limits import Limits

# Weight of the newest measurement in the average cost of a review: an average over some 20 iterations, a tenth of a
# second under load.
_NEWEST: Final = 0.1
# The longest time for reviews in one iteration: a probe must be answered within a second.
_LONGEST_ROUND_SECONDS: Final = 0.25


Waiting = TypeVar("Waiting")


class FairQueue(Generic[Waiting]):
    """What waits, by client address: the addresses take turns, and each has its own queue."""

    def __init__(self) -> None:
        self._of_address: dict[str, deque[Waiting]] = {}  # the address whose turn is next is the first

    def __len__(self) -> int:
        """Return how many wait."""
        return sum(map(len, self._of_address.values()))

    def add(self, address: str, waiting: Waiting) -> None:
        """Add one to the queue of its address."""
        self._of_address.setdefault(address, deque()).append(waiting)

    def take(self) -> Waiting:
        """Remove and return the next one; the queue is not empty."""
        address = next(iter(self._of_address))
        queue = self._of_address.pop(address)
        first = queue.popleft()
        if queue:
            self._of_address[address] = queue
        return first

    def ahead_of(self, address: str) -> int:
        """Return how many would be taken before one that this address adds now."""
        own = len(self._of_address.get(address, ()))
        return sum(min(len(queue), own + 1) for queue in self._of_address.values()) - (own > 0)


class Gate:
    """
    The queue of reviews, the number of reviews in progress, and the budget of their bodies.

    All paths share one gate, because they share one processor core.

    Args:
        limits: how many reviews may be in progress, and the time for reviews in one iteration of the event loop.
        monotonic: returns seconds that never go back.
    """

    def __init__(self, limits: Limits, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._monotonic = monotonic
        self.bodies = BodyBudget(limits)
        self._inside: Counter[str] = Counter()  # by client address
        self._queue: FairQueue[asyncio.Future[None]] = FairQueue()
        self._cost = _Average()  # seconds of judging per review
        self._pace = _Average()  # seconds that pass per review while reviews wait
        self._round: _Round | None = None  # None while there are no reviews
        self._counted_from, self._sent_away = float("-inf"), 0

    @property
    def waiting(self) -> int:
        """Return the number of waiting reviews."""
        return len(self._queue)

    async def admit(self, address: str, patience_seconds: float) -> None:
        """
        Wait until the review may be judged.

        Args:
            address: of its client.
            patience_seconds: the longest time that the review can wait.

        Raises:
            Overloaded: the review would wait longer.
        """
        loop = asyncio.get_running_loop()
        now = self._monotonic()
        if self._round is None:
            self._round = _Round(began=now, ends=now + self._limits.round_seconds)
            loop.call_soon(self._next_round)
        if not self._queue and now < self._round.ends:
            return
        ahead = self._queue.ahead_of(address)
        expected = (ahead + 1) * self._pace.value
        if expected > patience_seconds:
            raise self._overloaded(f"{ahead} reviews already wait, about {expected:.1f} s", now)
        place: asyncio.Future[None] = loop.create_future()
        self._queue.add(address, place)
        await place
        if self._round is not None:
            self._round.enter(self._monotonic())

    @contextmanager
    def entered(self, address: str) -> Iterator[None]:
        """
        Occupy a place while a review of a client address is judged.

        Raises:
            Overloaded: there is no free place.
        """
        most = self._limits.max_concurrent_reviews
        inside, own = self._inside.total(), self._inside[address]
        if inside >= most or own >= self._limits.of_address(most):
            problem = f"{inside} reviews are in progress, {own} of them of this client, which is the limit"
            raise self._overloaded(problem, self._monotonic())
        self._inside[address] += 1
        try:
            yield
        finally:
            self._inside[address] -= 1
            if not self._inside[address]:
                del self._inside[address]

    def _next_round(self) -> None:
        """Admit as many waiting reviews as there is time for; once per event loop iteration while reviews wait."""
        ended, now = self._round, self._monotonic()
        if ended is None or not self._queue:
            self._round = None
            return
        # At least half of the time is for judging: the handshakes of clients that were answered with 503 would
        # otherwise leave no time for the reviews that wait.
        elsewhere = 0.0
        if ended.entered_at is not None:
            judging = now - ended.entered_at
            elsewhere = ended.entered_at - ended.began
            self._cost.add(judging / ended.entered)
            self._pace.add((judging + min(elsewhere, judging)) / ended.entered)
        seconds = max(self._limits.round_seconds, min(elsewhere, _LONGEST_ROUND_SECONDS))
        self._round = _Round(began=now, ends=now)
        room = max(round(seconds / self._cost.value), 1) if self._cost.value else 1
        while self._queue and room:
            place = self._queue.take()
            if not place.done():  # it is cancelled if the client has left
                place.set_result(None)
                room -= 1
        asyncio.get_running_loop().call_soon(self._next_round)

    def _overloaded(self, problem: str, now: float) -> Overloaded:
        """Return the outcome: retry elsewhere at once, or after a second if many reviews were refused just now."""
        if now - self._counted_from >= 1.0:
            self._counted_from, self._sent_away = now, 0
        self._sent_away += 1
        return Overloaded(problem, flooded=self._sent_away > self._limits.max_sent_elsewhere_per_second)


@dataclass(kw_only=True, slots=True)
class _Round:
    """One iteration of the event loop; in seconds of the gate's clock."""

    began: float
    ends: float
    entered: int = 0
    entered_at: float | None = None

    def enter(self, now: float) -> None:
        """Count a review that has waited and is judged now."""
        self.entered += 1
        if self.entered_at is None:
            self.entered_at = now


class _Average:
    """An exponentially weighted average; 0 before the first measurement."""

    def __init__(self) -> None:
        self.value = 0.0

    def add(self, measured: float) -> None:
        """Add one measurement."""
        self.value += _NEWEST * (measured - self.value) if self.value else measured
