"""At most one replica leads, whatever the clocks show and whatever requests get lost."""

import asyncio
import logging
from random import Random

import pytest
from aiohttp import web
from cluster_builders import PATIENCE_SECONDS, FakeTime, Token
from fake_api_server import answer, api_server
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from lease_builders import NAME, NAMESPACE, Replica, World

from webhook.cluster.client import ApiClient
from webhook.controllers.lease import LEASES, Election, LeaseTiming


def pair(**offsets: float) -> tuple[World, Replica, Replica]:
    world = World()
    return world, Replica(world, "a"), Replica(world, "b", **offsets)


def test_the_first_replica_takes_the_lease_and_the_second_waits() -> None:
    """The replica that creates a missing Lease holds it; the other sees that it is held."""
    world, first, second = pair()
    first.whole_attempt()
    second.whole_attempt()

    assert (first.leads, second.leads, second.election.holder) == (True, False, "a")
    assert world.lease is not None
    assert world.lease["spec"] == {
        "holderIdentity": "a",
        "leaseDurationSeconds": 15,
        "acquireTime": "1970-01-01T00:00:00.000000Z",
        "renewTime": "1970-01-01T00:00:00.000000Z",
        "leaseTransitions": 0,
    }


def test_a_renewal_is_one_request() -> None:
    """The leader writes without a read before it, and the acquire time stays."""
    world, first, _ = pair()
    first.whole_attempt()
    world.now = 2.0
    first.whole_attempt()

    assert first.asked == ["GET", "POST", "PUT"]
    assert world.lease is not None
    assert world.lease["spec"]["acquireTime"] == "1970-01-01T00:00:00.000000Z"
    assert world.lease["spec"]["renewTime"] == "1970-01-01T00:00:02.000000Z"


def test_an_expired_lease_is_taken_over_and_no_earlier_one() -> None:
    """A holder whose record does not change for 15 s, on the other replica's clock, loses the Lease."""
    world, first, second = pair()
    first.whole_attempt()
    world.now = 4.0
    second.whole_attempt()
    world.now = 18.9
    second.whole_attempt()

    assert not second.leads

    world.now = 19.0
    second.whole_attempt()

    assert (first.leads, second.leads) == (False, True)
    assert world.lease is not None
    assert world.lease["spec"]["leaseTransitions"] == 1


@pytest.mark.parametrize("seed", range(100))
def test_a_frozen_leader_is_replaced_within_18_seconds(seed: int) -> None:
    """A candidate looks every one to two seconds, and once more when the Lease expires."""
    world, first, second = pair()
    second.election = second.made(Random(seed))
    froze_at, looks_at = 20.0 + seed / 100, seed / 50
    renewals = [number * 2.0 for number in range(20)]
    while not second.leads:
        for renewal in [at for at in renewals if at <= min(looks_at, froze_at)]:
            renewals.remove(renewal)
            world.now = renewal
            first.whole_attempt()
        world.now = looks_at
        second.whole_attempt()
        looks_at += second.election._candidate_seconds()  # noqa: SLF001 - what run() waits

    assert 15.0 - 2.0 <= world.now - froze_at <= 18.0


def test_a_new_process_in_the_holders_pod_takes_over_at_once() -> None:
    """A process in the pod of the ended holder need not wait; one with a similar name must."""
    world = World()
    before, other = Replica(world, "pod-1_aa", past="pod-1_"), Replica(world, "pod-11_bb", past="pod-11_")
    before.whole_attempt()
    other.whole_attempt()
    again = Replica(world, "pod-1_cc", past="pod-1_")
    again.whole_attempt()

    assert (other.leads, again.leads, other.election.holder) == (False, True, "pod-1_aa")
    assert world.lease is not None
    assert (world.lease["spec"]["holderIdentity"], world.lease["spec"]["leaseTransitions"]) == ("pod-1_cc", 1)


def test_renewals_keep_the_lease() -> None:
    """A leader that renews each 2 s is not replaced."""
    world, first, second = pair()
    for _ in range(60):
        first.whole_attempt()
        second.whole_attempt()
        world.now += 2.0

        assert (first.leads, second.leads) == (True, False)


@pytest.mark.parametrize("offset", [-86_400.0, -600.0, 600.0, 86_400.0])
def test_clocks_may_differ(offset: float) -> None:
    """Neither a wall clock nor a monotonic clock that is far off makes a replica lead or give up."""
    world, first, second = pair(wall_offset=offset, monotonic_offset=-offset)
    first.whole_attempt()
    for _ in range(20):
        world.now += 2.0
        second.whole_attempt()
        first.whole_attempt()

        assert (first.leads, second.leads) == (True, False)


def test_a_leader_that_cannot_renew_stops_in_time() -> None:
    """Ten seconds after its last renewal began it stops, five seconds before another replica may lead."""
    world, first, second = pair()
    first.whole_attempt()
    second.whole_attempt()
    first.loses_request = True
    world.now = 9.9
    first.whole_attempt()

    assert first.leads

    world.now = 10.0

    assert not first.leads

    world.now = 14.9
    second.whole_attempt()

    assert not second.leads


def test_a_lost_answer_does_not_prolong_the_lease() -> None:
    """A renewal without an answer does not count, and the next one succeeds."""
    world, first, _ = pair()
    first.whole_attempt()
    first.loses_answer = True
    world.now = 5.0
    first.whole_attempt()
    world.now = 9.0
    first.loses_answer = False
    first.whole_attempt()

    assert [holder for _, holder in world.writes] == ["a", "a", "a"]

    world.now = 18.9

    assert first.leads


def test_after_a_release_the_next_attempt_takes_the_lease() -> None:
    """A replica that terminates releases the Lease."""
    world, first, second = pair()
    first.whole_attempt()
    second.whole_attempt()
    first.release()
    second.whole_attempt()

    assert (first.leads, second.leads) == (False, True)
    assert [holder for _, holder in world.writes] == ["a", "", "b"]


def test_a_release_in_the_middle_of_a_renewal() -> None:
    """A renewal that was cancelled but stored does not keep the Lease from being released."""
    world, first, _ = pair()
    first.whole_attempt()
    first.step()
    first.step()
    first.release()

    assert [holder for _, holder in world.writes] == ["a", "a", ""]


def test_a_release_leaves_the_lease_of_the_next_holder() -> None:
    """A Lease that another replica holds by now is not released."""
    world, first, _ = pair()
    first.whole_attempt()
    world.lease = None
    Replica(world, "late").whole_attempt()
    first.release()

    assert [holder for _, holder in world.writes] == ["a", "late"]


def test_a_release_without_the_lease_writes_nothing() -> None:
    """A replica that does not lead has nothing to release."""
    world, first, second = pair()
    first.whole_attempt()
    second.whole_attempt()
    second.release()
    world.now = 30.0
    first.release()

    assert [holder for _, holder in world.writes] == ["a"]


def test_a_release_that_fails_is_not_an_error() -> None:
    """A Lease that cannot be released expires."""
    world, first, second = pair()
    first.whole_attempt()
    second.whole_attempt()
    first.loses_request = True
    first.release()
    world.now = 15.0
    second.whole_attempt()

    assert second.leads


def test_a_release_after_a_renewal_that_failed() -> None:
    """An API server that answered with an error may have stored the renewal: the Lease is read and released."""
    world, first, second = pair()
    first.whole_attempt()
    world.now = 2.0
    first.loses_request = True
    first.whole_attempt()
    first.loses_request = False
    first.release()
    second.whole_attempt()

    assert second.leads


@pytest.mark.parametrize("text", ["null", "[]"])
async def test_an_invalid_answer_does_not_end_the_election(text: str, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and the next attempt follows."""
    async with api_server(further=(LEASES,)) as server, ApiClient(Token(server.url)) as client:

        async def odd(_: web.Request) -> web.Response:
            return web.Response(text=text, content_type="application/json")

        server.faults["GET", LEASES.plural].append(odd)
        election = Election(client, namespace=NAMESPACE, name=NAME, identity="a", clock=FakeTime().clock())
        led = asyncio.Event()
        election.subscribe(lambda: led.set() if election.leads else None)
        running = asyncio.create_task(election.run())
        async with asyncio.timeout(PATIENCE_SECONDS):
            await led.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    assert "unexpected" in caplog.text


def test_a_deleted_lease_stays_with_its_known_holder() -> None:
    """A replica that knows the holder waits until it expires, and the holder creates the Lease again."""
    world, first, second = pair()
    first.whole_attempt()
    second.whole_attempt()
    world.lease = None
    second.whole_attempt()

    assert not second.leads

    first.whole_attempt()

    assert first.leads
    assert world.lease is not None


def test_a_former_leader_learns_it_at_its_next_renewal() -> None:
    """A renewal that finds another holder ends the leadership at once."""
    world, first, _ = pair()
    first.whole_attempt()
    world.lease = None
    late = Replica(world, "late")
    late.whole_attempt()
    first.whole_attempt()

    assert (first.leads, late.leads) == (False, True)


def test_a_lease_duration_of_more_than_a_minute_is_not_respected() -> None:
    """A Lease for a year, or one without a duration, does not keep other replicas out for ever."""
    world, first, second = pair()
    first.whole_attempt()
    assert world.lease is not None
    world.lease["spec"]["leaseDurationSeconds"] = 31_536_000
    second.whole_attempt()
    world.now = 59.9
    second.whole_attempt()

    assert not second.leads

    world.now = 60.0
    second.whole_attempt()

    assert second.leads


def test_a_lease_without_a_spec_is_free() -> None:
    """A replica takes it."""
    world, first, _ = pair()
    world.lease = {"metadata": {"name": NAME, "resourceVersion": "7"}}
    first.whole_attempt()

    assert first.leads


class Elections(RuleBasedStateMachine):
    """Replicas whose requests overlap, get lost or come late, and that are killed; one Lease, one true time."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.replicas: list[Replica] = []

    @initialize(offsets=st.lists(st.floats(-1e5, 1e5), min_size=2, max_size=3))
    def begin(self, offsets: list[float]) -> None:
        self.replicas = [
            Replica(self.world, f"r{number}", monotonic_offset=offset, wall_offset=-offset)
            for number, offset in enumerate(offsets)
        ]

    def chosen(self, number: int) -> Replica:
        return self.replicas[number % len(self.replicas)]

    @rule(number=st.integers(0, 2))
    def step(self, number: int) -> None:
        self.chosen(number).step()

    @rule(number=st.integers(0, 2))
    def whole(self, number: int) -> None:
        self.chosen(number).whole_attempt()

    @rule()
    def all_attempt(self) -> None:
        for replica in self.replicas:
            replica.whole_attempt()

    @rule(number=st.integers(0, 2), request=st.booleans(), answered=st.booleans())
    def weather(self, number: int, *, request: bool, answered: bool) -> None:
        self.chosen(number).loses_request, self.chosen(number).loses_answer = request, answered

    @rule(seconds=st.sampled_from([0.1, 2.0, 5.0, 9.9, 15.0]))
    def pass_time(self, seconds: float) -> None:
        self.world.now += seconds

    @rule(number=st.integers(0, 2))
    def release(self, number: int) -> None:
        self.chosen(number).release()

    @rule(number=st.integers(0, 2))
    def restart(self, number: int) -> None:
        """Kill one replica; a new process with a new name replaces it."""
        self.chosen(number).drop()
        at = number % len(self.replicas)
        self.replicas[at] = Replica(self.world, f"r{at}-{self.world.now}-{self.world.revision}")

    @invariant()
    def one_leads(self) -> None:
        leading = [replica.identity for replica in self.replicas if replica.leads]

        assert len(leading) <= 1, leading

    def teardown(self) -> None:
        for replica in self.replicas:
            replica.drop()


Elections.TestCase.settings = settings(max_examples=300, stateful_step_count=30, deadline=None)
TestElections = Elections.TestCase


async def test_run_takes_renews_and_releases_the_lease() -> None:
    """Over a real connection the Lease is created, renewed, announced to listeners, and released on cancellation."""
    async with api_server(further=(LEASES,)) as server, ApiClient(Token(server.url)) as client:
        timing = LeaseTiming(retry_seconds=0.01)
        election = Election(client, namespace=NAMESPACE, name=NAME, identity="a", rng=Random(1), timing=timing)
        told = asyncio.Queue[bool]()
        election.subscribe(lambda: told.put_nowait(election.leads))
        running = asyncio.create_task(election.run())
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await told.get()
            await server.written_times("PUT", LEASES, 3)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

        assert server.objects["leases"][NAMESPACE, NAME]["spec"]["holderIdentity"] == ""
        assert not election.leads


async def test_failures_do_not_end_the_election(caplog: pytest.LogCaptureFixture) -> None:
    """No answer of the API server ends it, and a leader that cannot renew logs it."""
    caplog.set_level(logging.INFO)
    clock = FakeTime().clock()
    async with api_server(further=(LEASES,)) as server, ApiClient(Token(server.url)) as client:
        server.faults["GET", "leases"] += [answer(500), answer(403, "Forbidden", "no")]
        server.faults["PUT", "leases"] += [answer(500)] * 3
        election = Election(client, namespace=NAMESPACE, name=NAME, identity="a", clock=clock, rng=Random(1))
        told = asyncio.Queue[bool]()
        election.subscribe(lambda: told.put_nowait(election.leads))
        running = asyncio.create_task(election.run())
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await told.get()
            await server.written_times("PUT", LEASES, 5)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    assert "the Lease could not be renewed or taken: 500" in caplog.text
