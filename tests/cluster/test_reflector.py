"""A reflector keeps its kind as it is in the cluster, whatever the API server answers."""

import asyncio
import json
from itertools import pairwise

import pytest
from aiohttp import web
from cluster_builders import GATEWAYS, NAMESPACES, PODS, POLICIES, FakeTime, Token, contents, reflecting, truth, until
from fake_api_server import Mode, answer, api_server, hang_up, status_body

from webhook.cluster.client import ApiClient
from webhook.cluster.reflector import Reflector
from webhook.cluster.store import Store
from webhook.cluster.timing import ReflectorTiming
from webhook.netpol.parse import read_policy


async def test_lists_every_page_and_then_follows_changes() -> None:
    """A first list of several pages is complete, and later changes arrive."""
    async with api_server() as server:
        for number in range(1203):
            server.put(PODS, f"pod-{number}", f"ns-{number % 7}")
        async with reflecting(server, PODS) as harness:
            await harness.until(lambda: harness.store.has_synced)

            assert contents(harness.store.snapshot, PODS) == truth(server, PODS)
            assert [query["limit"] for query in server.asked("list", "pods")] == ["500"] * 3

            server.put(PODS, "pod-1", "ns-1")
            server.put(PODS, "fresh", "ns-1")
            server.delete(PODS, "pod-2", "ns-2")
            await harness.same(PODS)

            assert len(server.asked("list", "pods")) == 3


async def test_watch_asks_for_bookmarks_and_a_spread_end() -> None:
    """A watch begins at the resourceVersion of the list, with bookmarks, and ends within five to ten minutes."""
    async with api_server() as server, reflecting(server, PODS):
        await server.stream_of(PODS)
        (query,) = server.asked("watch", "pods")

        assert query["allowWatchBookmarks"] == "true"
        assert query["resourceVersion"] == str(server.revision)
        assert 300 <= int(query["timeoutSeconds"]) <= 600


async def test_resumes_after_a_cut_without_listing_again() -> None:
    """After a cut in the middle of a line the watch resumes at the last whole line."""
    async with api_server() as server, reflecting(server, PODS) as harness:
        stream = await server.stream_of(PODS)
        server.put(PODS, "one", "ns")
        await harness.same(PODS)
        seen = server.revision
        stream.paused = True
        server.put(PODS, "two", "ns")
        await stream.write(b'{"type":"ADDED","object":{"metadata":{"na')
        stream.cut()
        await harness.same(PODS)

        assert len(server.asked("list", "pods")) == 1
        assert server.asked("watch", "pods")[-1]["resourceVersion"] == str(seen)


async def test_resumes_at_the_bookmark() -> None:
    """A bookmark moves the place from which a broken watch resumes."""
    async with api_server() as server, reflecting(server, PODS) as harness:
        stream = await server.stream_of(PODS)
        server.put(POLICIES, "elsewhere", "ns")
        heard = harness.store.status["Pod"].last_event_timestamp_seconds
        harness.time.now += 60
        await server.bookmark(PODS)
        await harness.until(lambda: harness.store.status["Pod"].last_event_timestamp_seconds > heard)
        stream.cut()
        await server.asked_times("watch", PODS, 2)

        assert server.asked("watch", "pods")[-1]["resourceVersion"] == str(server.revision)


@pytest.mark.parametrize("as_event", [True, False], ids=["ERROR event", "HTTP status"])
async def test_lists_again_when_the_history_is_gone(*, as_event: bool) -> None:
    """A 410 in either form leads to a list, which also shows the deletions in between."""
    async with api_server() as server, reflecting(server, PODS) as harness:
        server.put(PODS, "stays", "ns")
        server.put(PODS, "goes", "ns")
        await harness.same(PODS)
        stream = await server.stream_of(PODS)
        stream.paused = True
        server.delete(PODS, "goes", "ns")
        server.put(PODS, "comes", "ns")
        if as_event:
            server.compact()
        else:
            server.faults["watch", "pods"].append(answer(410, "Expired", "too old resource version"))
        stream.cut()
        await harness.same(PODS)

        assert len(server.asked("list", "pods")) == 2


async def test_lists_at_once_after_an_outage_that_outlasted_the_history() -> None:
    """An API server that answers 410 is back, so the list does not wait for the backoff of the outage."""
    async with api_server() as server, reflecting(server, PODS) as harness:
        await harness.same(PODS)
        stream = await server.stream_of(PODS)
        server.always["watch", "pods"] = answer(500)
        stream.cut()
        await server.asked_times("watch", PODS, 12)
        server.put(PODS, "new", "ns")
        harness.time.slept.clear()
        server.always["watch", "pods"] = answer(410, "Expired", "too old resource version")
        await server.asked_times("watch", PODS, 13)
        del server.always["watch", "pods"]
        await harness.same(PODS)

        assert len(server.asked("list", "pods")) == 2
        assert 0.0 in harness.time.slept


async def test_lists_again_after_any_error_event() -> None:
    """After an ERROR event of any kind the resourceVersion is not used again."""
    async with api_server() as server, reflecting(server, PODS) as harness:
        stream = await server.stream_of(PODS)
        await stream.event("ERROR", status_body(504, "Timeout", "Too large resource version"))
        await server.asked_times("list", PODS, 2)
        server.put(PODS, "new", "ns")
        await harness.same(PODS)

        assert len(server.asked("list", "pods")) == 2


async def test_a_list_begins_again_when_its_continue_token_expired() -> None:
    """Half a list is never shown."""
    async with api_server() as server:
        for number in range(600):
            server.put(PODS, f"pod-{number}", "ns")
        seen: list[int] = []

        def forget_once(verb: str, plural: str) -> None:
            if (verb, plural) == ("list", "pods") and len(server.asked("list", "pods")) == 1:
                server.compact()

        server.on_request = forget_once
        async with reflecting(server, PODS) as harness:
            harness.store.subscribe(lambda: seen.append(len(harness.store.snapshot.names("Pod"))))
            await harness.same(PODS)

            assert [("continue" in query) for query in server.asked("list", "pods")] == [False, True, False, True]
            assert set(seen) <= {0, 600}


async def test_a_silent_stream_is_closed_and_resumed() -> None:
    """A stream without a line for the stall time counts as dead, and is opened again at the same place."""
    async with api_server() as server, reflecting(server, PODS, timing=ReflectorTiming(stall_seconds=0.1)) as harness:
        await harness.until(lambda: harness.store.has_synced)
        (await server.stream_of(PODS)).paused = True
        server.put(PODS, "missed", "ns")
        await harness.same(PODS)

        assert len(server.asked("list", "pods")) == 1
        assert len(server.asked("watch", "pods")) >= 2


async def test_bytes_without_a_line_do_not_keep_a_stream_alive() -> None:
    """A stream that sends bytes but never ends a line counts as dead, too."""
    async with api_server() as server, reflecting(server, PODS, timing=ReflectorTiming(stall_seconds=0.2)) as harness:
        stream = await server.stream_of(PODS)
        stream.paused = True
        server.put(PODS, "missed", "ns")

        async def trickle() -> None:
            async with asyncio.timeout(20):
                while not stream.ended.is_set() and stream in server.streams:
                    await stream.write(b"x")
                    await asyncio.sleep(0.01)  # the trickle itself

        trickling = asyncio.create_task(trickle())
        await harness.same(PODS)
        stream.ended.set()
        await asyncio.gather(trickling, return_exceptions=True)

        assert len(server.asked("watch", "pods")) >= 2


async def test_an_event_of_several_mebibytes_arrives_whole() -> None:
    """A large event with characters of several bytes can come in any chunks."""
    async with api_server() as server, reflecting(server, PODS) as harness:
        stream = await server.stream_of(PODS)
        stream.paused = True
        mapping = server.put(PODS, "large", "ns", status={"message": "žluťoučký кот 🐈" * 200_000})
        line = json.dumps({"type": "ADDED", "object": mapping}, ensure_ascii=False).encode() + b"\n"
        assert len(line) > 4 * 2**20
        for start in range(0, len(line), 65_537):
            await stream.write(line[start : start + 65_537])
        await harness.same(PODS)

        assert len(server.asked("watch", "pods")) == 1


@pytest.mark.parametrize(
    "line",
    [b"not json\n", b'{"type":"ADDED"}\n', b'{"type":"ADDED","object":{"metadata":[1]}}\n', b"x" * (33 * 2**20)],
    ids=["not JSON", "no object", "metadata is a list", "no end within 32 MiB"],
)
async def test_lists_again_after_a_line_that_is_not_an_event(line: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """The same line would come again, so the kind is listed."""
    async with api_server() as server, reflecting(server, PODS) as harness:
        stream = await server.stream_of(PODS)
        stream.paused = True
        server.put(PODS, "new", "ns")
        writing = asyncio.create_task(stream.write(line))
        await harness.same(PODS)
        await asyncio.gather(writing, return_exceptions=True)

        assert len(server.asked("list", "pods")) == 2
        assert "pods" in caplog.text


async def test_unknown_event_types_are_ignored() -> None:
    """An event of a type that does not exist yet changes nothing."""
    async with api_server() as server, reflecting(server, PODS) as harness:
        stream = await server.stream_of(PODS)
        await stream.event("RENAMED", {"metadata": {"name": "x"}})
        server.put(PODS, "one", "ns")
        await harness.same(PODS)

        assert len(server.asked("watch", "pods")) == 1


async def test_a_kind_that_is_not_installed_is_empty_and_listed_again() -> None:
    """A missing CustomResourceDefinition counts as synced without objects; once it exists the kind is listed."""
    async with api_server() as server:
        server.missing.add("eventgateways")
        async with reflecting(server, GATEWAYS) as harness:
            await server.asked_times("list", GATEWAYS, 8)
            status = harness.store.status["EventGateway"]

            assert (status.synced, status.served, status.objects, status.problem) == (True, False, 0, "")
            assert max(harness.time.slept) <= 10

            server.missing.clear()
            server.put(GATEWAYS, "gw", "eem", spec={})
            await harness.same(GATEWAYS)

            assert status.served
            await server.stream_of(GATEWAYS)


async def test_a_kind_that_is_removed_becomes_empty() -> None:
    """When the CustomResourceDefinition is removed, its objects are."""
    async with api_server() as server:
        server.put(GATEWAYS, "gw", "eem", spec={})
        async with reflecting(server, GATEWAYS) as harness:
            await harness.same(GATEWAYS)
            stream = await server.stream_of(GATEWAYS)
            server.missing.add("eventgateways")
            stream.cut()
            await harness.until(lambda: not harness.store.status["EventGateway"].served)

            assert contents(harness.store.snapshot, GATEWAYS) == {}
            assert harness.store.has_synced
            # Two lists after the first have missed it.
            assert len(server.asked("list", "eventgateways")) == 3


async def test_one_404_does_not_empty_a_kind() -> None:
    """An API server that starts answers 404 for a moment; the instances stay known."""
    async with api_server() as server:
        server.put(GATEWAYS, "gw", "eem", spec={})
        async with reflecting(server, GATEWAYS) as harness:
            await harness.same(GATEWAYS)
            stream = await server.stream_of(GATEWAYS)
            sizes: list[int] = []
            harness.store.subscribe(lambda: sizes.append(len(harness.store.snapshot.names("EventGateway"))))
            server.compact()
            server.revision += 1
            server.compacted = server.revision
            server.faults["list", "eventgateways"].append(answer(404, "NotFound", "not found"))
            stream.cut()
            await server.asked_times("list", GATEWAYS, 3)
            await server.stream_of(GATEWAYS)

            assert set(sizes) == {1}


async def test_a_first_404_is_not_believed() -> None:
    """A replica that starts with its API server does not take one 404 for a kind that is not installed."""
    async with api_server() as server:
        server.put(GATEWAYS, "gw", "eem", spec={})
        server.faults["list", "eventgateways"].append(answer(404, "NotFound", "404 page not found"))
        async with reflecting(server, GATEWAYS) as harness:
            known: set[tuple[bool, int]] = set()
            store = harness.store
            store.subscribe(lambda: known.add((store.has_synced, len(store.snapshot.names("EventGateway")))))
            await harness.same(GATEWAYS)

            assert (True, 0) not in known


async def test_404_of_a_built_in_kind_is_a_problem() -> None:
    """A server without pods is not an API server: the kind is never synced, and the problem says so."""
    async with api_server() as server:
        server.missing.add("pods")
        async with reflecting(server, PODS) as harness:
            await harness.until(lambda: "404" in harness.store.status["Pod"].problem)

            assert not harness.store.has_synced


@pytest.mark.parametrize("verb", ["list", "watch"])
async def test_a_missing_right_is_named_and_waited_for(verb: str, caplog: pytest.LogCaptureFixture) -> None:
    """Without the right the kind is not synced; the problem has the rule for the ClusterRole, which may come later."""
    async with api_server() as server:
        server.put(POLICIES, "p", "ns", spec={"podSelector": {}})
        server.always[verb, "networkpolicies"] = answer(403, "Forbidden", "not allowed")
        async with reflecting(server, POLICIES) as harness:
            status = harness.store.status["NetworkPolicy"]
            await harness.until(lambda: bool(status.problem) and not status.synced)

            assert f'apiGroups ["networking.k8s.io"], resources ["networkpolicies"], verbs ["{verb}"]' in status.problem
            assert status.problem in caplog.text

            server.always.clear()
            await harness.until(lambda: harness.store.has_synced and not status.problem)
            await harness.same(POLICIES)


@pytest.mark.parametrize(
    "fault",
    [
        answer(401, "Unauthorized"),
        answer(429, "TooManyRequests", Retry_After="7"),
        answer(500, "InternalError"),
        answer(302, Location="http://127.0.0.1:1/"),
        hang_up,
    ],
    ids=["401", "429", "500", "redirect", "hang-up"],
)
@pytest.mark.parametrize("verb", ["list", "watch"])
async def test_failures_are_retried_with_growing_delays(verb: str, fault: Mode) -> None:
    """Every failure is retried with growing delays, and at most one list begins in a second."""
    async with api_server() as server:
        server.put(PODS, "one", "ns")
        server.always[verb, "pods"] = fault
        began: list[tuple[str, float]] = []
        async with reflecting(server, PODS) as harness:
            server.on_request = lambda verb, _: began.append((verb, harness.time.now))
            await server.asked_times(verb, PODS, 28)
            server.always.clear()
            await harness.same(PODS)
            await server.stream_of(PODS)
            await harness.until(lambda: not harness.store.status["Pod"].problem)

        lists = [at for what, at in began if what == "list"]
        tries = [at for what, at in began if what == verb]
        if fault is hang_up:
            # aiohttp repeats a GET by itself, once, at the same moment: the connection might have been an old one.
            lists = sorted(set(lists))

        assert all(later - earlier >= 1 for earlier, later in pairwise(lists))
        assert tries[27] - tries[0] > 60
        assert max(harness.time.slept) <= 30


async def test_retry_after_is_respected_up_to_a_limit() -> None:
    """The API server can ask for a pause, but not for hours."""
    async with api_server() as server:
        server.faults["list", "pods"] += [
            answer(429, Retry_After="20"),
            answer(503, Retry_After="86400"),
            answer(503, Retry_After="Mon, 23 Nov 2026 22:00:00 GMT"),
        ]
        async with reflecting(server, PODS) as harness:
            await harness.until(lambda: harness.store.has_synced)

            assert harness.time.slept[0] == 20
            assert harness.time.slept[1] == 30
            assert harness.time.slept[2] < 4


async def test_the_api_server_may_be_absent_at_the_start_and_later() -> None:
    """Without an API server nothing is synced; it may come, go and come again."""
    async with api_server() as server:
        await server.stop()
        async with reflecting(server, PODS, NAMESPACES) as harness:
            await harness.until(lambda: all(status.problem for status in harness.store.status.values()))

            assert not harness.store.has_synced

            server.put(PODS, "one", "ns")
            await server.start()
            await harness.until(lambda: harness.store.has_synced)
            await harness.same(PODS)
            await server.stream_of(NAMESPACES)
            await server.stop()
            await harness.until(lambda: bool(harness.store.status["Namespace"].problem))

            assert harness.store.has_synced
            assert contents(harness.store.snapshot, PODS) == truth(server, PODS)

            server.put(NAMESPACES, "new")
            await server.start()
            await harness.same(NAMESPACES)


async def test_streams_that_end_at_once_are_reopened_with_growing_delays() -> None:
    """A server that closes every watch at once gets no loop of requests."""
    async with api_server() as server:

        async def close(request: web.Request) -> web.StreamResponse:
            response = web.StreamResponse()
            await response.prepare(request)
            return response

        server.always["watch", "pods"] = close
        async with reflecting(server, PODS) as harness:
            await server.asked_times("watch", PODS, 14)

            assert harness.time.now - 1000 > 30
            assert len(server.asked("list", "pods")) == 1


async def test_a_kind_is_synced_when_its_first_watch_stands() -> None:
    """While the storage of a new kind is initialized, objects are created that the list does not have."""
    async with api_server() as server:
        fault = answer(429, "TooManyRequests", "storage is (re)initializing", Retry_After="1")
        server.always["watch", "eventgateways"] = fault
        async with reflecting(server, GATEWAYS) as harness:
            store, synced_with = harness.store, list[int]()
            await server.asked_times("watch", GATEWAYS, 1)
            store.subscribe(lambda: synced_with.append(store.snapshot.count("EventGateway")) if store.has_synced else 0)
            server.put(GATEWAYS, "gw", "eem", spec={})
            await server.asked_times("watch", GATEWAYS, 3)
            waiting = store.not_ready("EventGateway"), store.status["EventGateway"].lists
            server.always.clear()
            await harness.until(lambda: store.has_synced)

        assert waiting[0] == "429 TooManyRequests: storage is (re)initializing"
        assert waiting[1] >= 2
        assert set(synced_with) == {1}


async def test_a_watch_that_ended_in_time_is_opened_again_at_once() -> None:
    """The end that the watch asked for is not a failure: no delay, no list."""
    async with api_server() as server, reflecting(server, PODS) as harness:
        stream = await server.stream_of(PODS)
        harness.time.now += 400
        stream.ended.set()
        await server.asked_times("watch", PODS, 2)

        assert harness.time.slept == []
        assert harness.store.status["Pod"].problem == ""


async def test_an_older_list_is_refused_once() -> None:
    """An older list makes the kind not known; the next one shows the state of the restored cluster."""
    async with api_server() as server:
        server.put(PODS, "old", "ns")
        async with reflecting(server, PODS) as harness:
            await harness.same(PODS)
            server.put(PODS, "new", "ns")
            await harness.same(PODS)
            known = contents(harness.store.snapshot, PODS)
            del server.objects["pods"]["ns", "new"]
            server.list_revision = lambda _: 50
            gone = status_body(410, "Expired", "too old resource version")
            await (await server.stream_of(PODS)).event("ERROR", gone)
            await harness.until(lambda: "a list has resourceVersion 50" in harness.store.status["Pod"].problem)

            assert contents(harness.store.snapshot, PODS) == known
            assert not harness.store.has_synced

            await harness.same(PODS)
            await harness.until(lambda: harness.store.has_synced)

            assert len(server.asked("list", "pods")) == 3


async def test_replays_and_late_deletions_lead_to_a_list_and_change_nothing() -> None:
    """Old states, old additions, and the deletion of an earlier object of the same name are not taken in."""
    async with api_server() as server, reflecting(server, PODS) as harness:
        first = server.put(PODS, "pod", "ns")
        server.put(PODS, "pod", "ns")
        gone = server.delete(PODS, "pod", "ns")
        last = server.put(PODS, "pod", "ns")
        await harness.same(PODS)
        seen: set[str] = set()
        harness.store.subscribe(lambda: seen.update(contents(harness.store.snapshot, PODS).values()))
        for number, (event_type, mapping) in enumerate((("MODIFIED", first), ("ADDED", first), ("DELETED", gone))):
            stream = await server.stream_of(PODS)
            await stream.event(event_type, mapping)
            await server.asked_times("list", PODS, number + 2)
            await harness.until(lambda: harness.store.has_synced)
            await until(lambda old=stream: server.open_streams("pods")[-1:] not in ([], [old]))

        assert seen == {last["metadata"]["labels"]["revision"]}
        assert len(server.asked("list", "pods")) == 4


async def test_pages_that_are_too_large_are_asked_for_in_smaller_ones() -> None:
    """Large objects make smaller pages, down to one object."""
    async with api_server() as server:
        for number in range(30):
            server.put(PODS, f"pod-{number}", "ns", status={"message": "x" * 10_000})
        time = FakeTime()
        store = Store([PODS], time.clock())
        async with ApiClient(Token(server.url), max_answer_bytes=60_000) as client:
            task = asyncio.create_task(Reflector(PODS, client, store, clock=time.clock()).run())
            async with asyncio.timeout(20):
                await store.wait_until(lambda: store.has_synced)
            task.cancel()

        assert contents(store.snapshot, PODS) == truth(server, PODS)
        assert [query["limit"] for query in server.asked("list", "pods")][:4] == ["500", "100", "20", "4"]


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b'{"metadata":{"resourceVersion":"1"},"items":[1]}', b'{"metadata":{"resourceVersion":"1"},"items":'],
    ids=["empty", "not a mapping", "item is a number", "truncated"],
)
async def test_a_list_that_is_none_changes_nothing(body: bytes) -> None:
    """An answer that is not a list is a problem to report and to retry."""
    async with api_server() as server:

        async def respond(_: web.Request) -> web.StreamResponse:
            return web.Response(body=body, content_type="application/json")

        server.always["list", "pods"] = respond
        async with reflecting(server, PODS) as harness:
            await harness.until(lambda: bool(harness.store.status["Pod"].problem))

            assert not harness.store.has_synced

            server.always.clear()
            await harness.until(lambda: harness.store.has_synced)


async def test_large_policies_come_whole_and_in_order() -> None:
    """A policy of ten thousand blocks is read beside the event loop, and what comes after it is taken in after it."""
    blocks = [{"ipBlock": {"cidr": f"10.{at // 256}.{at % 256}.0/24"}} for at in range(10_000)]
    spec = {"podSelector": {}, "ingress": [{"from": blocks}]}
    async with api_server() as server:
        server.put(POLICIES, "listed", "ns", spec=spec)
        async with reflecting(server, POLICIES) as harness:
            await server.stream_of(POLICIES)
            server.put(POLICIES, "seen", "ns", spec=spec)
            server.put(POLICIES, "seen", "ns", spec={"podSelector": {}})
            server.put(POLICIES, "kept", "ns", spec=spec)
            server.put(POLICIES, "gone", "ns", spec=spec)
            server.delete(POLICIES, "gone", "ns")
            server.put(POLICIES, "last", "ns")
            await harness.until(lambda: ("ns", "last") in contents(harness.store.snapshot, POLICIES))
            known = harness.store.snapshot.cluster.state("ns").policies

            assert set(known) == {"listed", "seen", "kept", "last"}
            assert known["seen"].ingress == ()
            for name in ("listed", "kept"):
                assert known[name] == read_policy(server.objects["networkpolicies"]["ns", name])[0]
