"""A cluster that was restored from an older backup of etcd is noticed, listed, and not known until then."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from cluster_builders import (
    GATEWAYS,
    NAMESPACES,
    PODS,
    POLICIES,
    REPLICA_SETS,
    Harness,
    contents,
    reflecting,
    truth,
    until,
)
from fake_api_server import FakeApiServer, answer, api_server

from webhook.cluster.consistency import COMPARE_SECONDS, CONFIRM_SECONDS, Comparison, older_than_known
from webhook.cluster.lists import WholeList
from webhook.cluster.observed import Observed
from webhook.cluster.ordering import ObjectVersion
from webhook.cluster.reflector import Reflector
from webhook.eem import ResourceType

KINDS = (PODS, NAMESPACES, POLICIES, GATEWAYS)
SPEC = {"podSelector": {}}


@asynccontextmanager
async def restored(*, cut: bool) -> AsyncIterator[tuple[FakeApiServer, Harness]]:
    """
    Watch a cluster and restore its etcd from an older backup.

    Args:
        cut: whether the API server is started again, which breaks the watches.
    """
    async with api_server() as server:
        server.put(NAMESPACES, "eem")
        server.put(POLICIES, "allow", "eem", spec=SPEC)
        server.put(GATEWAYS, "gw", "eem", spec={})
        backup = server.backup()
        async with reflecting(server, *KINDS) as harness:
            for number in range(20):
                server.put(POLICIES, f"later-{number}", "eem", spec=SPEC)
                server.put(PODS, f"later-{number}", "eem")
            server.delete(POLICIES, "allow", "eem")
            for kind in KINDS:
                await harness.same(kind)
                await server.stream_of(kind)
            await harness.until(lambda: harness.store.has_synced)
            server.restore(backup)
            if cut:
                for stream in list(server.streams):
                    stream.cut()
            yield server, harness


async def exact(server: FakeApiServer, harness: Harness) -> None:
    """Wait until the store has what the restored cluster has, of every kind."""
    store = harness.store
    await harness.until(
        lambda: store.has_synced and all(contents(store.snapshot, kind) == truth(server, kind) for kind in KINDS)
    )


async def test_a_restart_of_the_api_server_after_a_restore_leads_to_lists() -> None:
    """The resourceVersion of the API server is checked before a watch resumes: exact within 10 s."""
    async with restored(cut=True) as (server, harness):
        began = harness.time.now
        await exact(server, harness)

        assert harness.time.now - began < 10
        assert {len(server.asked("list", kind.plural)) for kind in KINDS} == {2}


async def test_a_bookmark_that_goes_back_leads_to_lists_of_every_kind() -> None:
    """One watch sees it, and the others, which see nothing, are listed with it."""
    async with restored(cut=False) as (server, harness):
        began = harness.time.now
        await server.bookmark(PODS)
        await exact(server, harness)

        assert harness.time.now - began < 10


async def test_an_event_that_goes_back_leads_to_lists_of_every_kind() -> None:
    """The event itself is not taken in."""
    async with restored(cut=False) as (server, harness):
        began = harness.time.now
        (stream,) = server.open_streams(POLICIES.plural)
        await stream.event("ADDED", server.put(POLICIES, "new", "eem", spec=SPEC))
        await exact(server, harness)

        assert harness.time.now - began < 10


async def test_the_cluster_is_not_known_until_it_was_listed() -> None:
    """From the first sign on, no kind is synced before its list, and the reason is its problem."""
    async with restored(cut=False) as (server, harness):
        store, problems = harness.store, set[str]()
        wrong: list[str] = []

        def look() -> None:
            for kind in KINDS:
                status = store.status[kind.kind]
                if status.synced and contents(store.snapshot, kind) != truth(server, kind):
                    wrong.append(kind.plural)
                problems.add(store.not_ready(kind.kind) or "")

        await server.bookmark(PODS)
        await harness.until(lambda: not store.has_synced)
        look()
        store.subscribe(look)
        await exact(server, harness)

    assert wrong == []
    assert any("pods: an event has resourceVersion" in problem for problem in problems)


async def test_the_same_resource_version_may_belong_to_another_state() -> None:
    """After a restore an object with the known uid and resourceVersion is read again."""
    async with api_server() as server, reflecting(server, NAMESPACES) as harness:
        server.put(NAMESPACES, "eem")
        backup = server.backup()
        server.put(NAMESPACES, "eem", labels={"of": "the lost state"})
        server.put(NAMESPACES, "last")
        await harness.same(NAMESPACES)
        stream = await server.stream_of(NAMESPACES)
        server.restore(backup)
        again = server.put(NAMESPACES, "eem", labels={"of": "the new state"})
        stream.cut()
        await harness.until(lambda: harness.store.snapshot.count("Namespace") == 1 and harness.store.has_synced)

        assert harness.store.known("Namespace")["", "eem"].number == int(again["metadata"]["resourceVersion"])
        assert harness.store.snapshot.namespace("eem").labels["of"] == "the new state"


async def test_a_restore_during_a_list_leads_to_another_list() -> None:
    """A list that began before the sign is not trusted."""
    async with api_server() as server, reflecting(server, PODS, NAMESPACES) as harness:
        server.put(PODS, "old", "ns")
        await harness.same(PODS)
        await server.stream_of(NAMESPACES)
        told = asyncio.Event()

        def tell(verb: str, plural: str) -> None:
            if (verb, plural) == ("list", "pods") and not told.is_set():
                told.set()
                harness.history.went_back("a test says so")

        server.on_request = tell
        server.compact()
        server.revision += 1
        server.compact()
        (await server.stream_of(PODS)).cut()
        await server.asked_times("list", PODS, 3)
        await harness.until(lambda: harness.store.has_synced)

        assert len(server.asked("list", "pods")) == 3
        assert len(server.asked("list", "namespaces")) == 2


async def test_a_watch_that_is_reopened_shows_that_the_cluster_went_back() -> None:
    """The registration has the watch of its configuration reopened after conflicts that no event explains."""
    async with api_server() as server, reflecting(server) as harness:
        observed = Observed(NAMESPACES, "mine", clock=harness.time.clock())
        reflector = Reflector(
            NAMESPACES, harness.client, observed, selection=observed.selection, clock=harness.time.clock()
        )
        server.put(NAMESPACES, "mine")
        backup = server.backup()
        server.put(NAMESPACES, "mine")
        task = asyncio.create_task(reflector.run())
        await server.stream_of(NAMESPACES)
        await until(lambda: observed.synced)
        reflector.reopen()
        await server.asked_times("watch", NAMESPACES, 2)
        resumed = len(server.asked("list", "namespaces"))
        server.restore(backup)
        reflector.reopen()
        await until(lambda: observed.synced and observed.current == server.objects["namespaces"]["", "mine"])
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert resumed == 1
    reflector.reopen()  # without a watch there is nothing to reopen


def version(number: int, uid: str = "u") -> ObjectVersion:
    return ObjectVersion(uid=uid, number=number)


def whole(number: int, **objects: tuple[str, int]) -> WholeList:
    return WholeList(
        number=number,
        objects=[
            {"metadata": {"name": name, "uid": uid, "resourceVersion": str(at)}} for name, (uid, at) in objects.items()
        ],
    )


@pytest.mark.parametrize(
    ("listed", "reason"),
    [
        pytest.param(whole(100, a=("u", 90)), "", id="as known"),
        pytest.param(whole(99), "a list has resourceVersion 99 after 100", id="an older list"),
        pytest.param(whole(0), "", id="a list without a number"),
        pytest.param(whole(300, a=("u", 80)), "a list has an object at resourceVersion 80 after 90", id="an object"),
        pytest.param(whole(300, a=("other", 80)), "", id="another object of the name"),
        pytest.param(whole(300, b=("u", 105)), "", id="an event that came during the list"),
        pytest.param(whole(300, c=("u", 80)), "", id="an unknown object"),
    ],
)
def test_a_live_list_shows_that_the_cluster_went_back(listed: WholeList, reason: str) -> None:
    """By its own number, or by an object that is older than its known state."""
    known = {("", "a"): version(90), ("", "b"): version(110)}

    assert older_than_known(known, 100, listed) == reason


# The comparison


@asynccontextmanager
async def compared(*kinds: ResourceType) -> AsyncIterator[tuple[FakeApiServer, Harness, Comparison]]:
    """Watch a cluster, and compare the store with it on demand."""
    async with api_server() as server:
        for number in range(5):
            for kind in kinds:
                server.put(kind, f"one-{number}", "eem" if kind.namespaced else "", spec=SPEC)
        async with reflecting(server, *kinds) as harness:
            await harness.until(lambda: harness.store.has_synced)
            for kind in kinds:
                await server.stream_of(kind)
            clock = harness.time.clock()
            yield server, harness, Comparison(harness.client, harness.store, harness.history, clock=clock)


async def test_a_store_without_a_difference_is_not_listed() -> None:
    """One list of metadata for each kind is enough."""
    async with compared(*KINDS) as (server, harness, comparison):
        for kind in KINDS:
            await comparison.compare(kind)

        assert {len(server.asked("metadata", kind.plural)) for kind in KINDS} == {1}
        assert {len(server.asked("list", kind.plural)) for kind in KINDS} == {1}
        assert harness.store.has_synced


@pytest.mark.parametrize("lost", ["creation", "change", "deletion", "another object of the name"])
async def test_a_difference_leads_to_a_list_of_the_kind(lost: str, caplog: pytest.LogCaptureFixture) -> None:
    """An event that never came is noticed by the second list that shows the same difference."""
    async with compared(POLICIES, PODS) as (server, harness, comparison):
        for stream in server.streams:
            stream.paused = True
        policies = server.objects[POLICIES.plural]
        if lost == "creation":
            server.put(POLICIES, "new", "eem", spec=SPEC)
        elif lost == "change":
            server.put(POLICIES, "one-1", "eem", spec=SPEC)
        else:
            del policies["eem", "one-1"]
        if lost == "another object of the name":
            server.put(POLICIES, "one-1", "eem", spec=SPEC)
        server.put(POLICIES, "last", "eem", spec=SPEC)
        server.history.clear()
        await comparison.compare(POLICIES)
        await harness.same(POLICIES)
        await harness.until(lambda: harness.store.has_synced)
        versions = {key: one["metadata"]["resourceVersion"] for key, one in policies.items()}

        assert {key: str(one.number) for key, one in harness.store.known("NetworkPolicy").items()} == versions
        assert len(server.asked("list", "networkpolicies")) == 2
        assert len(server.asked("list", "pods")) == 1
        assert "networkpolicies are not as the API server has them, such as eem/" in caplog.text


async def test_events_that_are_under_way_are_no_difference() -> None:
    """Changes before, during and after the first list arrive before the second."""
    async with compared(POLICIES) as (server, harness, comparison):
        (stream,) = server.open_streams(POLICIES.plural)
        stream.paused = True
        server.put(POLICIES, "new", "eem", spec=SPEC)
        server.delete(POLICIES, "one-1", "eem")
        listed = asyncio.Event()

        def go_on(verb: str, _: str) -> None:
            if verb == "metadata" and not listed.is_set():
                listed.set()
                stream.paused = False
                server.put(POLICIES, "one-2", "eem", spec=SPEC)
                server.delete(POLICIES, "one-3", "eem")

        server.on_request = go_on
        await comparison.compare(POLICIES)
        await harness.same(POLICIES)

        assert len(server.asked("list", "networkpolicies")) == 1
        assert harness.store.has_synced


async def test_changes_after_the_list_are_no_difference() -> None:
    """An object that the store knows in a newer version, or newer than the list, is right."""
    async with compared(POLICIES) as (server, harness, comparison):

        async def late(_: object) -> None:
            old = server.backup()
            server.put(POLICIES, "one-1", "eem", spec=SPEC)
            server.put(POLICIES, "new", "eem", spec=SPEC)
            await harness.same(POLICIES)
            server.restore(old)

        server.faults["metadata", "networkpolicies"].append(late)

        assert await comparison.differences(POLICIES) == {}


async def test_replica_sets_that_the_store_does_not_keep_are_no_difference() -> None:
    """The metadata does not tell whether a ReplicaSet has replicas."""
    async with compared(REPLICA_SETS) as (server, harness, comparison):
        owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "u", "controller": True}
        old = server.put(REPLICA_SETS, "old", "eem", spec={"replicas": 0})
        old["metadata"]["ownerReferences"] = [owner]
        await harness.until(lambda: harness.store.newest("ReplicaSet") == server.revision)

        assert ("eem", "old") not in harness.store.known("ReplicaSet")
        assert await comparison.differences(REPLICA_SETS) == {}


async def test_every_kind_is_compared_in_turn(caplog: pytest.LogCaptureFixture) -> None:
    """Each kind has its time; an API server that fails, a kind that is not known, and a bug end nothing."""
    async with compared(POLICIES, PODS) as (server, harness, comparison):
        server.faults["metadata", "networkpolicies"].append(answer(500))
        began, time = harness.time.now, harness.time
        running = asyncio.create_task(comparison.run())
        await until(lambda: len(server.asked("metadata", "pods")) == 2)
        spent = time.now - began
        harness.store.status["NetworkPolicy"].synced = False
        asked = len(server.asked("metadata", "networkpolicies"))
        harness.store.known = lambda _: None  # type: ignore[assignment,method-assign,return-value]
        await until(lambda: len(server.asked("metadata", "pods")) == 4)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    assert spent == 4 * COMPARE_SECONDS
    assert (asked, len(server.asked("metadata", "networkpolicies"))) == (2, 2)
    assert "pods could not be compared" in caplog.text


async def test_a_difference_is_confirmed_by_a_second_list() -> None:
    """Between the two lists events have time to come."""
    async with compared(POLICIES) as (server, harness, comparison):
        del server.objects[POLICIES.plural]["eem", "one-1"]
        server.revision += 1
        await comparison.compare(POLICIES)

        assert CONFIRM_SECONDS in harness.time.slept
