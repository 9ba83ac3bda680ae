"""The order in which reviews are admitted and refused, on the test's clock."""

import asyncio
from contextlib import ExitStack
from dataclasses import dataclass, field

import pytest

from webhook.guard.outcomes import Overloaded
from webhook.server import Limits
from webhook.server.bodies import BodyBudget
from webhook.server.gate import Gate

COST = 0.010
"""Seconds that the judging of one review takes, on the test's clock."""
PATIENCE = 3.0
POD, API_SERVER = "10.0.0.7", "192.0.2.1"


@dataclass
class World:
    """A gate, reviews that take time, and an event loop with other work."""

    limits: Limits = field(default_factory=Limits)
    now: float = 1000.0
    judged: list[int] = field(default_factory=list)
    rounds: list[int] = field(default_factory=list)
    elsewhere: float = 0.0

    def __post_init__(self) -> None:
        self.gate = Gate(self.limits, monotonic=lambda: self.now)

    async def review(self, number: int, address: str = POD) -> None:
        """Wait for admission, then compute."""
        await self.gate.admit(address, PATIENCE)
        self.now += COST
        self.judged.append(number)

    async def others(self) -> None:
        """Record, in every iteration of the event loop, how many reviews were judged."""
        while True:
            self.rounds.append(len(self.judged))
            self.now += self.elsewhere
            await asyncio.sleep(0)

    async def burst(self, size: int) -> list[BaseException | None]:
        """Send *size* reviews at once, and return their outcomes."""
        watching = asyncio.create_task(self.others())
        outcomes = await asyncio.gather(*(self.review(number) for number in range(size)), return_exceptions=True)
        watching.cancel()
        return outcomes

    def most_in_a_round(self) -> int:
        """Return the most reviews that were judged in one iteration."""
        return max(after - before for before, after in zip(self.rounds, self.rounds[1:], strict=False))


async def test_a_single_review_does_not_wait() -> None:
    """It is judged in the same iteration of the event loop."""
    world = World()
    watching = asyncio.create_task(world.others())
    for number in range(3):
        await world.review(number)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    watching.cancel()

    assert (world.judged, world.gate.waiting) == ([0, 1, 2], 0)


async def test_a_burst_is_judged_in_order_one_review_per_iteration() -> None:
    """If each of a hundred reviews takes longer than the time of one iteration, an iteration judges one."""
    world = World()
    outcomes = await world.burst(100)

    assert outcomes == [None] * 100
    assert world.judged == list(range(100))
    assert world.most_in_a_round() == 1


async def test_short_reviews_share_an_iteration() -> None:
    """As many as fit are judged together, because an iteration has a cost as well."""
    world = World(limits=Limits(round_seconds=10 * COST))
    await world.burst(200)

    assert 10 <= world.most_in_a_round() <= 11


async def test_half_of_the_time_is_for_judging() -> None:
    """If the event loop has 50 ms of other work per iteration, reviews get 50 ms, too."""
    world = World(elsewhere=5 * COST)
    began = world.now
    await world.burst(200)

    assert world.now - began < 2.2 * 200 * COST


async def test_no_iteration_delays_the_probes() -> None:
    """Judging never takes more than a quarter of a second per iteration."""
    world = World(elsewhere=200 * COST)
    await world.burst(100)

    assert 20 <= world.most_in_a_round() <= 26


async def test_a_review_that_would_wait_too_long_is_refused_at_once() -> None:
    """At 10 ms per review, 300 reviews fit into 3 s; the others are refused without waiting."""
    world = World()
    await world.burst(50)
    world.judged.clear()
    outcomes = await world.burst(1000)
    refused = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, Overloaded)]

    assert 290 <= len(world.judged) <= 310
    assert refused == list(range(len(world.judged), 1000))


async def test_after_a_flood_the_next_review_is_judged_at_once() -> None:
    """Nothing of a flood remains after its reviews are judged."""
    world = World()
    await world.burst(50)
    await world.burst(1000)
    world.judged.clear()
    await world.burst(1)

    assert world.judged == [0]


async def test_the_reviews_of_another_address_do_not_wait_for_a_flood() -> None:
    """The addresses take turns: an API server waits for one review of the pod before each of its own."""
    world = World()
    flood = [asyncio.create_task(world.review(number)) for number in range(100)]
    await asyncio.sleep(0)
    honest = [asyncio.create_task(world.review(number, API_SERVER)) for number in (1000, 1001)]
    await asyncio.gather(*flood, *honest)

    assert world.judged.index(1001) < 8


async def test_only_what_waits_longer_than_the_client_is_refused() -> None:
    """A flood with hours to wait does not send the review of another address away."""
    world = World()
    await world.burst(50)
    flood = [asyncio.create_task(world.review(number)) for number in range(1000)]
    await asyncio.sleep(0)
    await world.review(1000, API_SERVER)
    outcomes = await asyncio.gather(*flood, return_exceptions=True)

    assert any(isinstance(outcome, Overloaded) for outcome in outcomes)


def test_one_address_gets_three_quarters_of_the_places() -> None:
    """The others are free for other addresses."""
    world = World(limits=Limits(max_concurrent_reviews=8))
    with ExitStack() as entered:
        for _ in range(6):
            entered.enter_context(world.gate.entered(POD))
        with pytest.raises(Overloaded, match="6 of them of this client"):
            entered.enter_context(world.gate.entered(POD))
        for _ in range(2):
            entered.enter_context(world.gate.entered(API_SERVER))
        with pytest.raises(Overloaded, match="8 reviews are in progress"):
            entered.enter_context(world.gate.entered(API_SERVER))

    with world.gate.entered(POD):
        assert world.gate.waiting == 0


def test_one_address_gets_three_quarters_of_the_memory() -> None:
    """A body of another address has room, until all of the memory is used."""
    budget = BodyBudget(Limits(max_held_bytes=100))
    budget.take(POD, 75)
    with pytest.raises(Overloaded):
        budget.take(POD, 1)
    budget.take(API_SERVER, 25)
    with pytest.raises(Overloaded):
        budget.take("another", 1)
    budget.give_back(POD, 75)
    budget.take(POD, 75)

    assert budget.held == 100


async def test_a_review_whose_client_has_left_is_skipped() -> None:
    """Its place is cancelled while it waits."""
    world = World()
    tasks = [asyncio.create_task(world.review(number)) for number in range(6)]
    await asyncio.sleep(0)
    for task in tasks[2:5]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert world.judged == [0, 1, 5]


async def test_beyond_50_refusals_per_second_clients_are_told_to_wait() -> None:
    """The first 50 retry on another replica at once; the others after a second on their connection."""
    world = World(limits=Limits(max_concurrent_reviews=0))
    told: list[bool] = []

    def ask() -> None:
        with pytest.raises(Overloaded) as refusal, world.gate.entered(POD):
            pass
        told.append(refusal.value.flooded)

    for _ in range(52):
        ask()
    world.now += 1
    ask()

    assert told == [False] * 50 + [True] * 2 + [False]
