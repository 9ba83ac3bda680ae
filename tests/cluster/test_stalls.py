"""Watches that fall silent while their connections stay open are noticed, and no event is missed afterwards."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from aiohttp import web
from cluster_builders import NAMESPACES, PATIENCE_SECONDS, PODS, Harness, Token, contents, reflecting, truth
from fake_api_server import FakeApiServer, answer, api_server, hang_up, status_body
from network import DOWN, SILENCES, UP, Network, network

from webhook.cluster.probe import Probing
from webhook.cluster.timing import Delays, ReflectorTiming

QUICK = Delays(first_seconds=0.02, longest_seconds=0.1)
SHORT = ReflectorTiming(stall_seconds=0.3, retry=QUICK, list_interval_seconds=0.05)
PROBING = Probing(interval_seconds=0.05, timeout_seconds=0.2, starting_seconds=0.2, spread_seconds=0.02)
LONG_TEXT = "x" * 20_000
"""Longer than a trickle could send during any test."""


@asynccontextmanager
async def behind_a_network() -> AsyncIterator[tuple[FakeApiServer, Network, Harness]]:
    """Watch pods and namespaces in real time through a network that can fall silent."""
    async with api_server() as server, network(server.port) as between:
        server.put(PODS, "kept", "ns")
        server.put(PODS, "goes", "ns")
        credentials = Token(f"http://{between.address}")
        async with reflecting(
            server, PODS, NAMESPACES, timing=SHORT, credentials=credentials, probing=PROBING
        ) as harness:
            await harness.same(PODS)
            await server.stream_of(PODS)
            await server.stream_of(NAMESPACES)
            await harness.until(lambda: harness.store.has_synced)
            yield server, between, harness


async def change_everything(server: FakeApiServer) -> None:
    """Change objects; a silent network holds the events back."""
    server.put(PODS, "new", "ns", status={"message": LONG_TEXT})
    server.put(PODS, "kept", "ns", labels={"changed": "yes"})
    server.delete(PODS, "goes", "ns")
    server.put(NAMESPACES, "new")


@pytest.mark.parametrize("silence", [pytest.param(silence, id=name) for name, silence in SILENCES.items()])
async def test_a_silent_network_is_noticed_and_no_event_is_missed(silence: Callable[[Network], None]) -> None:
    """However it falls silent, the stall is noticed and reported, and the watch resumes at the same place: no list."""
    async with behind_a_network() as (server, between, harness):
        silence(between)
        await change_everything(server)
        await harness.until(lambda: all(status.problem for status in harness.store.status.values()))
        known = contents(harness.store.snapshot, PODS)
        between.heal()
        await harness.same(PODS)
        await harness.same(NAMESPACES)
        await harness.until(lambda: not any(status.problem for status in harness.store.status.values()))

        assert ("ns", "goes") in known
        assert len(server.asked("list", "pods")) == len(server.asked("list", "namespaces")) == 1


async def test_a_network_that_carries_nothing_up_is_noticed_when_a_stream_ends() -> None:
    """While events come down, the store is up to date; a new stream cannot be opened, and that is noticed."""
    async with behind_a_network() as (server, between, harness):
        between.hold(UP)
        server.put(PODS, "seen", "ns")
        await harness.same(PODS)
        for stream in list(server.streams):
            stream.ended.set()
        await harness.until(lambda: all(status.problem for status in harness.store.status.values()))
        await change_everything(server)
        between.heal()
        await harness.same(PODS)
        await harness.same(NAMESPACES)

        assert len(server.asked("list", "pods")) == len(server.asked("list", "namespaces")) == 1


async def test_after_a_silence_a_lost_history_leads_to_one_list() -> None:
    """If the API server no longer has the missed events, one list replaces them, including deletions."""
    async with behind_a_network() as (server, between, harness):
        between.hold(UP, DOWN)
        await change_everything(server)
        server.compact()
        await harness.until(lambda: bool(harness.store.status["Pod"].problem))
        between.heal()
        await harness.same(PODS)
        await harness.same(NAMESPACES)

        assert len(server.asked("list", "pods")) == 2


async def test_streams_without_a_line_do_not_reset_the_staleness() -> None:
    """A stream that opens counts once; if no line follows, the store becomes stale all the same."""
    async with api_server() as server, reflecting(server, PODS, timing=ReflectorTiming(stall_seconds=0.05)) as harness:
        await harness.same(PODS)
        status = harness.store.status["Pod"]
        await server.asked_times("watch", PODS, 2)
        heard = status.heard_at_seconds
        harness.time.now += 400
        await server.asked_times("watch", PODS, 5)
        silent = (status.heard_at_seconds, harness.store.silence() is not None)
        await speak(server, harness)

        assert silent == (heard, True)


async def speak(server: FakeApiServer, harness: Harness) -> None:
    """Send bookmarks on the open stream until one is taken in."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while harness.store.silence() is not None:
            await server.bookmark(PODS)
            await asyncio.sleep(0)


async def test_a_stream_after_one_with_lines_resets_the_staleness() -> None:
    """After an outage of a stream that had lines, the store is fresh as soon as the next one is open."""
    async with api_server() as server, reflecting(server, PODS) as harness:
        stream = await server.stream_of(PODS)
        server.put(PODS, "one", "ns")
        await harness.same(PODS)
        harness.time.now += 400
        assert harness.store.silence() is not None
        stream.cut()
        await harness.until(lambda: harness.store.silence() is None)


@pytest.mark.parametrize(
    "too_large",
    [
        answer(504, "Timeout", "Too large resource version: 120, current: 90"),
        answer(400, "BadRequest", 'invalid resource version "120"'),
    ],
    ids=["too large", "not understood"],
)
async def test_a_resource_version_that_is_refused_leads_to_a_list(too_large: Callable[..., object]) -> None:
    """A refused resourceVersion is not used again."""
    async with api_server() as server, reflecting(server, PODS) as harness:
        stream = await server.stream_of(PODS)
        server.put(PODS, "one", "ns")
        await harness.same(PODS)
        stream.paused = True
        server.put(PODS, "two", "ns")
        server.faults["watch", "pods"].append(too_large)  # type: ignore[arg-type]
        stream.cut()
        await harness.same(PODS)

        assert len(server.asked("list", "pods")) == 2


async def test_empty_answers_to_watches_are_retried_with_growing_delays() -> None:
    """An empty 200 for every watch makes no loop of requests and does not reset the staleness."""

    async def empty(_: web.Request) -> web.StreamResponse:
        return web.Response()

    async with api_server() as server:
        server.always["watch", "pods"] = empty
        async with reflecting(server, PODS) as harness:
            await server.asked_times("watch", PODS, 3)
            heard = harness.store.status["Pod"].heard_at_seconds
            await server.asked_times("watch", PODS, 16)

            assert harness.store.status["Pod"].heard_at_seconds == heard
            assert harness.time.now - heard > 30
            assert len(server.asked("list", "pods")) == 1


async def test_a_right_that_is_missing_for_a_moment_changes_nothing() -> None:
    """An API server that starts forbids everything; a known kind stays synced for that half minute."""
    async with api_server() as server, reflecting(server, PODS) as harness:
        stream = await server.stream_of(PODS)
        await harness.until(lambda: harness.store.has_synced)
        seen: list[bool] = []
        harness.store.subscribe(lambda: seen.append(harness.store.has_synced))
        server.faults["watch", "pods"] += [answer(403, "Forbidden", "not allowed")] * 4
        stream.cut()
        await server.asked_times("watch", PODS, 6)
        await harness.until(lambda: not harness.store.status["Pod"].problem)

        assert set(seen) == {True}


async def test_a_hundred_faults_end_with_the_exact_state_and_few_lists() -> None:
    """After faults in any order the store equals the cluster, and no two lists began within a second."""
    faults = [
        hang_up,
        answer(500, "InternalError"),
        answer(429, "TooManyRequests", Retry_After="1"),
        answer(410, "Expired", "too old resource version"),
        answer(504, "Timeout", "Too large resource version: 1, current: 0"),
        answer(401, "Unauthorized"),
    ]
    began: list[float] = []
    async with api_server() as server, reflecting(server, PODS, seed=7) as harness:
        server.on_request = lambda verb, _: began.append(harness.time.now) if verb == "list" else None
        for number in range(100):
            stream = await server.stream_of(PODS)
            server.put(PODS, f"pod-{number % 7}", "ns")
            if number % 3 == 0:
                server.delete(PODS, f"pod-{number % 7}", "ns")
            server.faults["watch", "pods"] += [faults[number % len(faults)]]
            server.faults["list", "pods"] += [faults[(number // 3) % len(faults)]] if number % 2 else []
            if number % 5 == 0:
                await stream.event("ERROR", status_body(410, "Expired", "too old resource version"))
            stream.cut()
            await harness.same(PODS)

        lists = sorted(set(began))
        assert contents(harness.store.snapshot, PODS) == truth(server, PODS)
        assert len(lists) > 20
        assert min(later - earlier for earlier, later in pairwise(lists)) >= 1
