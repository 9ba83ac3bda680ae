"""While an API server does not answer, one probe serves all reflectors, and all resume soon after it is back."""

import logging
from collections.abc import Callable
from itertools import pairwise

import pytest
from cluster_builders import BY_KIND, NAMESPACES, PODS, Harness, contents, reflecting, truth, until
from fake_api_server import FakeApiServer, answer, api_server, hang_up

from webhook.eem import WATCHED, ResourceType

ALL = tuple(BY_KIND.values())


def vanish(server: FakeApiServer) -> None:
    """Let the API server answer nothing more: it closes every connection."""
    server.always["probe", "readyz"] = hang_up
    for resource in WATCHED:
        for verb in ("list", "metadata", "watch"):
            server.always[verb, resource.plural] = hang_up
    for stream in list(server.streams):
        stream.cut()


def noting(server: FakeApiServer, harness: Harness) -> list[tuple[float, str]]:
    """Record the time of each request; a request that aiohttp repeats by itself at the same moment counts once."""
    seen: dict[tuple[float, str], None] = {}
    server.on_request = lambda verb, plural: seen.setdefault((harness.time.now, f"{verb} {plural}"))
    return seen  # type: ignore[return-value]


async def all_watched(server: FakeApiServer, *resources: ResourceType) -> None:
    for resource in resources:
        await server.stream_of(resource)


@pytest.mark.parametrize("seed", range(1, 6))
async def test_five_minutes_without_an_api_server(seed: int, caplog: pytest.LogCaptureFixture) -> None:
    """
    Five minutes cost less than a request a second, one line in the log, and none of the known objects.

    When the API server is back, every kind is exact within ten seconds, the requests of the replicas are spread, and
    there are two for each kind: a look at its resourceVersion, and the watch.
    """
    caplog.set_level(logging.INFO)
    async with api_server() as server:
        server.put(PODS, "kept", "ns")
        async with reflecting(server, *ALL, seed=seed * 1000) as harness:
            await harness.until(lambda: harness.store.has_synced)
            await all_watched(server, *ALL)
            caplog.clear()
            seen = noting(server, harness)
            began = harness.time.now
            vanish(server)
            await until(lambda: harness.time.now - began >= 300)
            probes = [at for at, what in seen if what == "probe readyz"]

            assert len(seen) <= 300
            assert all(1.5 <= later - earlier <= 2.5 for earlier, later in pairwise(probes))
            assert harness.store.has_synced
            assert contents(harness.store.snapshot, PODS) == truth(server, PODS)
            assert harness.store.staleness_seconds("Pod") >= 300
            assert harness.reach.problem.startswith(f"no answer for {harness.time.now - probes[0]:.0f} s: ")
            assert [record.message.partition(":")[0] for record in caplog.records] == ["the API server does not answer"]

            server.put(PODS, "new", "ns")
            server.delete(PODS, "kept", "ns")
            server.put(NAMESPACES, "new")
            server.always.clear()
            back = harness.time.now
            seen.clear()
            harness.time.slept.clear()
            await harness.same(PODS)
            await harness.same(NAMESPACES)
            await all_watched(server, *ALL)

            await harness.until(lambda: not any(status.problem for status in harness.store.status.values()))

            assert harness.time.now - back < 10
            assert harness.reach.problem == ""
            assert len({seconds for seconds in harness.time.slept if seconds <= 1}) == len(ALL)
            resumed = sorted(f"{verb} {kind.plural}" for kind in ALL for verb in ("metadata", "watch"))
            assert sorted(what for _, what in seen) == sorted(["probe readyz", *resumed])
            assert len(caplog.records) == 2
            assert caplog.records[1].message.startswith("the API server answers again, after 30")


async def test_a_stream_that_alone_is_cut_keeps_its_own_backoff() -> None:
    """While the API server answers other requests, a stream that is cut again and again is opened less often."""
    async with api_server() as server, reflecting(server, PODS, NAMESPACES) as harness:
        await all_watched(server, PODS, NAMESPACES)
        seen = noting(server, harness)
        server.always["watch", "pods"] = hang_up
        for stream in server.open_streams("pods"):
            stream.cut()
        await until(lambda: len({at for at, what in seen if what == "watch pods"}) >= 12)
        times = sorted({at for at, what in seen if what == "watch pods"})

        assert times[-1] - times[0] > 60
        assert harness.reach.problem == ""


@pytest.mark.parametrize(
    "starting",
    [answer(500, "InternalError"), answer(403, "Forbidden"), answer(429, Retry_After="1")],
    ids=["500", "403", "429"],
)
async def test_an_api_server_that_starts_gets_probes_only(starting: Callable[..., object]) -> None:
    """While it is not ready, it gets no other request; once it is, all reflectors resume."""
    async with api_server() as server, reflecting(server, PODS, NAMESPACES) as harness:
        await all_watched(server, PODS, NAMESPACES)
        seen = noting(server, harness)
        vanish(server)
        await until(lambda: bool(harness.reach.problem))
        server.always.clear()
        server.always["probe", "readyz"] = starting  # type: ignore[assignment]
        seen.clear()
        began = harness.time.now
        await until(lambda: harness.time.now - began >= 6)
        meanwhile = {what for _, what in seen}
        del server.always["probe", "readyz"]
        await all_watched(server, PODS, NAMESPACES)

        assert meanwhile == {"probe readyz"}
        assert harness.time.now - began < 10


async def test_an_account_that_may_not_read_readyz_waits_once() -> None:
    """If the probe is forbidden for good, the reflectors wait for it once and then no more."""
    async with api_server() as server, reflecting(server, PODS) as harness:
        server.always["probe", "readyz"] = answer(403, "Forbidden")
        waits: list[float] = []
        for _ in range(3):
            stream = await server.stream_of(PODS)
            began = harness.time.now
            stream.cut()
            await until(lambda old=stream: server.open_streams("pods")[-1:] not in ([], [old]))
            waits.append(harness.time.now - began)

        assert 10 <= waits[0] < 14
        assert max(waits[1:]) < 5


@pytest.mark.parametrize("status", [401, 404, 302])
async def test_any_other_answer_shows_that_the_api_server_is_there(status: int) -> None:
    """After such an answer the results of the lists and watches count."""
    async with api_server() as server, reflecting(server, PODS) as harness:
        server.always["probe", "readyz"] = answer(status)
        stream = await server.stream_of(PODS)
        began = harness.time.now
        stream.cut()
        await until(lambda: server.open_streams("pods")[-1:] not in ([], [stream]))

        assert harness.time.now - began < 1
