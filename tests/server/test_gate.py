"""Who is let in, in which order, and who is sent away, on a clock of the test's own."""

import asyncio
from dataclasses import dataclass, field

import pytest

from webhook.guard.outcomes import Overloaded
from webhook.server import Limits
from webhook.server.gate import Gate

COST = 0.010
"""Seconds that the judging of one review takes, on the test's clock."""
PATIENCE = 3.0


@dataclass
class World:
    """A gate, reviews that cost time, and an event loop that has other things to do."""

    limits: Limits = field(default_factory=Limits)
    now: float = 1000.0
    judged: list[int] = field(default_factory=list)
    rounds: list[int] = field(default_factory=list)
    elsewhere: float = 0.0

    def __post_init__(self) -> None:
        self.gate = Gate(self.limits, monotonic=lambda: self.now)

    async def review(self, number: int) -> None:
        """Wait for the turn, then compute."""
        await self.gate.admit(PATIENCE)
        self.now += COST
        self.judged.append(number)

    async def others(self) -> None:
        """Note, in every round of the event loop, how many reviews were judged by then."""
        while True:
            self.rounds.append(len(self.judged))
            self.now += self.elsewhere
            await asyncio.sleep(0)

    async def burst(self, size: int) -> list[BaseException | None]:
        """Let so many reviews come at once, and give what became of each."""
        watching = asyncio.create_task(self.others())
        outcomes = await asyncio.gather(*(self.review(number) for number in range(size)), return_exceptions=True)
        watching.cancel()
        return outcomes

    def most_in_a_round(self) -> int:
        """Give the most reviews that were judged between two turns of the others."""
        return max(after - before for before, after in zip(self.rounds, self.rounds[1:], strict=False))


async def test_a_review_alone_waits_for_nobody() -> None:
    """Where nobody is before it, a review is judged in the same round of the event loop."""
    world = World()
    watching = asyncio.create_task(world.others())
    for number in range(3):
        await world.review(number)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    watching.cancel()

    assert (world.judged, world.gate.waiting) == ([0, 1, 2], 0)


async def test_a_burst_is_judged_in_order_and_leaves_the_others_their_turns() -> None:
    """Of a hundred reviews at once, each longer than a turn, one is judged in each round of the event loop."""
    world = World()
    outcomes = await world.burst(100)

    assert outcomes == [None] * 100
    assert world.judged == list(range(100))
    assert world.most_in_a_round() == 1


async def test_short_reviews_share_a_turn() -> None:
    """As many as fit into a turn are judged in it: a round of the event loop costs something, too."""
    world = World(limits=Limits(round_seconds=10 * COST))
    await world.burst(200)

    assert 10 <= world.most_in_a_round() <= 11


async def test_half_of_the_time_is_for_judging() -> None:
    """Where the event loop has 50 ms of other work in each round, reviews get 50 ms too."""
    world = World(elsewhere=5 * COST)
    began = world.now
    await world.burst(200)

    assert world.now - began < 2.2 * 200 * COST


async def test_no_turn_holds_the_probes_up() -> None:
    """However long the rest took, judging never takes more than a quarter of a second at a time."""
    world = World(elsewhere=200 * COST)
    await world.burst(100)

    assert 20 <= world.most_in_a_round() <= 26


async def test_who_would_wait_too_long_is_sent_away_at_once() -> None:
    """With 10 ms for each, a wait of 3 s has room for 300; the others need not wait to hear it."""
    world = World()
    await world.burst(50)
    world.judged.clear()
    outcomes = await world.burst(1000)
    refused = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, Overloaded)]

    assert 290 <= len(world.judged) <= 310
    assert refused == list(range(len(world.judged), 1000))


async def test_after_a_flood_the_next_is_judged_at_once() -> None:
    """Nothing of a flood is left once its reviews are judged."""
    world = World()
    await world.burst(50)
    await world.burst(1000)
    world.judged.clear()
    await world.burst(1)

    assert world.judged == [0]


async def test_a_caller_that_left_takes_no_turn() -> None:
    """Whose connection is lost while it waits is passed over."""
    world = World()
    tasks = [asyncio.create_task(world.review(number)) for number in range(6)]
    await asyncio.sleep(0)
    for task in tasks[2:5]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert world.judged == [0, 1, 5]


async def test_a_flood_is_told_to_wait() -> None:
    """The first 50 of a second go to other replicas at once; the others come back in a second, on their connection."""
    world = World(limits=Limits(max_concurrent_reviews=0))
    told: list[bool] = []

    def ask() -> None:
        with pytest.raises(Overloaded) as refusal, world.gate.entered():
            pass
        told.append(refusal.value.flooded)

    for _ in range(52):
        ask()
    world.now += 1
    ask()

    assert told == [False] * 50 + [True] * 2 + [False]
