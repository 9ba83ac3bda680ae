"""One named object is known as it is in the cluster, and no other is."""

import asyncio
from random import Random
from typing import Any

from cluster_builders import NAMESPACES, PATIENCE_SECONDS, PODS, FakeTime, Token, take_list
from fake_api_server import FakeApiServer, api_server

from webhook.cluster.client import ApiClient
from webhook.cluster.observed import Observed
from webhook.cluster.reflector import Reflector
from webhook.cluster.timing import ReflectorTiming


def seen(name: str = "mine", number: int = 1, uid: str = "u", **fields: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "ns", "uid": uid, "resourceVersion": str(number)}
    return {"kind": "Pod", "metadata": metadata, **fields}


def observed() -> Observed:
    return Observed(PODS, "mine", namespace="ns", clock=FakeTime().clock())


async def until(one: Observed, server: FakeApiServer, name: str, namespace: str) -> None:
    """Wait until *one* equals the object on the server."""
    changed = asyncio.Event()
    one.subscribe(changed.set)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not one.synced or one.current != server.objects[one.resource.plural].get((namespace, name)):
            await changed.wait()
            changed.clear()


async def test_one_object_is_followed_through_its_life() -> None:
    """Creation, change, deletion and another creation are seen, and other objects are not requested."""
    async with api_server() as server, ApiClient(Token(server.url)) as client:
        server.put(PODS, "other", "ns")
        one = Observed(PODS, "mine", namespace="ns")
        reflector = Reflector(PODS, client, one, selection=one.selection, rng=Random(1), timing=ReflectorTiming())
        task = asyncio.create_task(reflector.run())
        try:
            await until(one, server, "mine", "ns")
            assert one.current is None

            for step in ("made", "changed"):
                server.put(PODS, "mine", "ns", step=step)
                await until(one, server, "mine", "ns")
                assert one.current is not None

            server.delete(PODS, "mine", "ns")
            await until(one, server, "mine", "ns")
            assert one.current is None

            server.put(PODS, "mine", "ns", step="again")
            await until(one, server, "mine", "ns")
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        selectors = {query.get("fieldSelector") for _, _, query, _ in server.requests}

        assert selectors == {"metadata.name=mine"}
        assert one.status["Pod"].objects == 1
        assert one.path == "/api/v1/namespaces/ns/pods/mine"


async def test_a_cluster_scoped_object_has_a_path_without_a_namespace() -> None:
    """Its path begins at the root of the collection."""
    assert Observed(NAMESPACES, "mine").path == "/api/v1/namespaces/mine"


async def test_a_list_without_the_object_means_that_it_was_deleted() -> None:
    """Before any list the object is not known; after a list without it, it does not exist."""
    one = observed()

    assert (one.synced, one.current) == (False, None)

    await take_list(one, "Pod", [seen(), seen("other")], 1)

    assert (one.synced, one.current) == (True, seen())

    await take_list(one, "Pod", [seen("other")], 2)

    assert (one.synced, one.current, one.status["Pod"].objects) == (True, None, 0)


async def test_a_list_with_the_known_version_changes_nothing() -> None:
    """The object stays the same Python object."""
    one = observed()
    await take_list(one, "Pod", [seen()], 1)
    first = one.current
    await take_list(one, "Pod", [seen()], 5)

    assert one.current is first


async def test_an_older_event_does_not_undo_the_answer_to_a_write() -> None:
    """The answer to a write may come before the older events of the watch."""
    one = observed()
    await take_list(one, "Pod", [seen(number=1)], 1)

    assert one.apply("Pod", "MODIFIED", seen(number=3, step="written"))
    assert not one.apply("Pod", "MODIFIED", seen(number=2, step="before"))
    assert not one.apply("Pod", "MODIFIED", seen("other", number=9))
    assert one.current == seen(number=3, step="written")


async def test_listeners_are_called_for_objects_and_status() -> None:
    """A list, a watch that stands, an event, a bookmark and a change of the status each call them."""
    one = observed()
    told: list[bool] = []
    one.subscribe(lambda: told.append(one.synced))
    await take_list(one, "Pod", [], 1)
    one.apply("Pod", "ADDED", seen(number=2))
    one.all_heard_before("Pod", 3)
    one.mark("Pod", synced=False)

    assert told == [False, True, True, True, False]
