"""The store replaces whole snapshots, wakes waiting tasks, and never mixes a list with the state before it."""

import asyncio
import math
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from cluster_builders import NAMESPACES, PODS, REPLICA_SETS, FakeTime, contents, take_list

from webhook.cluster.store import Silence, Store
from webhook.cluster.timing import Clock
from webhook.eem import WATCHED, EemSnapshot


def pod(name: str, number: int = 1) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "ns", "uid": name, "resourceVersion": str(number)}
    labels = {"revision": str(number)}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata | {"labels": labels}, "spec": {}}


def namespace(name: str, number: int) -> dict[str, Any]:
    metadata = {"name": name, "uid": name, "resourceVersion": str(number), "labels": {"revision": str(number)}}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


async def test_the_store_is_synced_after_the_list_of_the_last_kind() -> None:
    """Before that `has_synced` is False."""
    store = Store()
    for resource in WATCHED:
        assert not store.has_synced
        await take_list(store, resource.kind, ())

    assert store.has_synced


async def test_a_snapshot_does_not_change() -> None:
    """A reader keeps the state that it took, while the store goes on."""
    store = Store([PODS])
    await take_list(store, "Pod", [pod("a")])
    before = store.snapshot
    store.apply("Pod", "MODIFIED", pod("a", 2))
    store.apply("Pod", "ADDED", pod("b", 3))
    store.apply("Pod", "DELETED", pod("a", 4))

    assert contents(before, PODS) == {("ns", "a"): "1"}
    assert contents(store.snapshot, PODS) == {("ns", "b"): "3"}


async def test_a_list_replaces_its_kind_in_one_step_and_keeps_events_of_other_kinds() -> None:
    """While a list is built no reader sees half of it, and events of other kinds are neither delayed nor lost."""
    milliseconds = count()
    clock = Clock(monotonic=lambda: next(milliseconds) / 1000)
    store = Store([PODS, NAMESPACES], clock)
    await take_list(store, "Pod", [pod("old")])
    sizes: set[int] = set()
    building = asyncio.create_task(take_list(store, "Pod", [pod(f"pod-{number}", 2) for number in range(500)], 2))
    number = 10
    while not building.done():
        number += 1
        store.apply("Namespace", "ADDED", namespace("busy", number))

        assert contents(store.snapshot, NAMESPACES)["", "busy"] == str(number)

        sizes.add(store.snapshot.count("Pod"))
        await asyncio.sleep(0)

    assert sizes <= {1, 500}
    assert number > 90
    assert store.snapshot.count("Pod") == 500
    assert contents(store.snapshot, NAMESPACES)["", "busy"] == str(number)


async def test_two_lists_at_the_same_time_both_take_effect() -> None:
    """Lists of two kinds that are taken in together do not undo each other."""
    milliseconds = count()
    store = Store([PODS, NAMESPACES], Clock(monotonic=lambda: next(milliseconds) / 1000))
    await asyncio.gather(
        take_list(store, "Pod", [pod(f"pod-{number}") for number in range(100)]),
        take_list(store, "Namespace", [namespace(f"ns-{number}", 1) for number in range(100)]),
    )

    assert (store.snapshot.count("Pod"), store.snapshot.count("Namespace")) == (100, 100)


async def test_a_list_that_fails_changes_nothing() -> None:
    """If an object of the list cannot be read, the state before it stays."""

    def broken() -> Iterator[dict[str, Any]]:
        yield pod("new")
        raise LookupError("no more")

    store = Store([PODS])
    await take_list(store, "Pod", [pod("old")])
    before = store.snapshot
    with pytest.raises(LookupError):
        await take_list(store, "Pod", broken())

    assert store.snapshot is before

    store.apply("Pod", "DELETED", pod("old", 9))

    assert store.status["Pod"].objects == 0


async def test_an_event_that_failed_is_taken_from_the_next_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """The version of an event that raised counts as not seen, so the list brings it."""

    def failing(_snapshot: EemSnapshot, _mapping: object) -> EemSnapshot:
        raise RuntimeError("a bug")

    store = Store([PODS])
    await take_list(store, "Pod", [pod("a")], 1)
    with monkeypatch.context() as patched:
        patched.setattr(EemSnapshot, "with_object", failing)
        with pytest.raises(RuntimeError):
            store.apply("Pod", "MODIFIED", pod("a", 2))
    await take_list(store, "Pod", [pod("a", 2)], 2)

    assert contents(store.snapshot, PODS) == {("ns", "a"): "2"}


def replica_set(number: int, replicas: int, live: int = 0, owner: str = "Deployment") -> dict[str, Any]:
    owners = [{"apiVersion": "apps/v1", "kind": owner, "name": "web", "uid": "u", "controller": True}]
    metadata = {"name": "web-1", "namespace": "ns", "uid": "r", "resourceVersion": str(number)}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": metadata | {"ownerReferences": owners},
        "spec": {"replicas": replicas, "template": {"metadata": {"labels": {"app": "web"}}}},
        "status": {"replicas": live},
    }


@pytest.mark.parametrize("listed", [True, False], ids=["list", "watch"])
async def test_an_old_replica_set_is_not_kept(*, listed: bool) -> None:
    """A ReplicaSet of a Deployment is dropped with its last pod and kept again when it is scaled up."""
    store = Store([REPLICA_SETS])

    async def take(one: dict[str, Any]) -> int:
        if listed:
            await take_list(store, "ReplicaSet", [one])
        else:
            store.apply("ReplicaSet", "MODIFIED", one)
        return store.snapshot.count("ReplicaSet")

    states = [replica_set(1, 2, 2), replica_set(2, 0, 1), replica_set(3, 0), replica_set(4, 0), replica_set(5, 1)]

    assert [await take(one) for one in states] == [1, 1, 0, 0, 1]
    assert store.status["ReplicaSet"].objects == 1


async def test_a_replica_set_of_another_owner_is_kept_without_replicas() -> None:
    """Its template counts, since no Deployment in the snapshot has it."""
    store = Store([REPLICA_SETS])
    await take_list(store, "ReplicaSet", [replica_set(1, 0, owner="Rollout")])

    assert store.snapshot.count("ReplicaSet") == 1


async def test_waiting_tasks_wake_when_their_condition_holds() -> None:
    """A task that is cancelled while it waits does not affect the others."""
    store = Store([PODS])
    waiting = [asyncio.create_task(store.wait_until(lambda: store.snapshot.count("Pod") == 2)) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    store.apply("Pod", "ADDED", pod("a"))
    await asyncio.sleep(0)

    assert not waiting[1].done()

    store.apply("Pod", "ADDED", pod("b"))
    async with asyncio.timeout(30):
        await asyncio.gather(*waiting[1:])


async def test_the_status_has_the_time_of_the_last_list_event_or_bookmark() -> None:
    """Each of them sets it, in seconds since 1970."""
    time = FakeTime(now=5000.0)
    store = Store([PODS], time.clock())

    assert store.status["Pod"].last_event_timestamp_seconds == 0

    await take_list(store, "Pod", [pod("a")])

    assert store.status["Pod"].last_event_timestamp_seconds == 5000

    time.now += 60
    store.all_heard_before("Pod", 10)

    assert store.status["Pod"].last_event_timestamp_seconds == 5060


async def test_reset_makes_every_kind_synced() -> None:
    """A snapshot from files fills the whole store."""
    store = Store()
    store.reset(EemSnapshot.from_objects([pod("a")]))

    assert store.has_synced
    assert store.status["Pod"].objects == 1


async def test_staleness_is_the_time_since_the_last_list_event_or_bookmark() -> None:
    """Each of them resets it, for its own kind only; before the first it is infinite."""
    time = FakeTime()
    store = Store([PODS, NAMESPACES], time.clock())
    before = store.staleness_seconds("Pod")
    await take_list(store, "Pod", [pod("a")])
    time.now += 70
    listed = store.staleness_seconds("Pod")
    store.apply("Pod", "MODIFIED", pod("a", 2))
    time.now += 5
    event = store.staleness_seconds("Pod")
    store.all_heard_before("Pod", 7)
    bookmark = store.staleness_seconds("Pod")

    assert (before, listed, event, bookmark) == (math.inf, 70, 5, 0)
    assert store.staleness_seconds("Namespace") == math.inf


async def test_the_longest_silence_decides_and_has_its_reason() -> None:
    """The kind with the oldest event decides, once it is older than the limit."""
    time = FakeTime()
    store = Store([PODS, NAMESPACES], time.clock())
    await take_list(store, "Pod", [])
    time.now += 60
    await take_list(store, "Namespace", [])
    time.now += 240
    at_the_bound = store.silence(), store.not_ready("Pod")
    time.now += 1
    store.status["Pod"].problem = "no connection"

    assert at_the_bound == (None, None)
    assert store.silence() == Silence(resource="pods", seconds=301)
    assert store.silence(longer_than_seconds=302) is None
    assert store.not_ready("Pod") == "no event or bookmark from the API server for 301 s: no connection"
    assert store.not_ready("Namespace") is None


async def test_a_kind_without_a_list_and_a_watch_is_not_ready() -> None:
    """The reason is the problem of the kind, if there is one."""
    store = Store([PODS])
    before = store.not_ready("Pod")
    await store.begin_list("Pod").finish(1)
    listed = store.not_ready("Pod")
    store.status["Pod"].problem = "the account may not list pods"

    assert (before, listed) == ("not listed yet", "not watched yet")
    assert store.not_ready("Pod") == "the account may not list pods"


async def test_files_are_never_stale() -> None:
    """A state from files is as valid after a year as at once."""
    time = FakeTime()
    store = Store(WATCHED, time.clock())
    store.reset(EemSnapshot.from_objects([pod("a")]))
    time.now += 365 * 86_400

    assert (store.silence(), store.staleness_seconds("Pod"), store.not_ready("Pod")) == (None, 0, None)
