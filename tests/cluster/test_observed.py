"""One named object is held as it is in the cluster, and nothing else is."""

import asyncio
from random import Random
from typing import Any

from cluster_builders import NAMESPACES, PATIENCE_SECONDS, PODS, FakeTime, Token
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
    """Wait until *one* is what the server has."""
    changed = asyncio.Event()
    one.subscribe(changed.set)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not one.synced or one.current != server.objects[one.resource.plural].get((namespace, name)):
            await changed.wait()
            changed.clear()


async def test_follows_the_one_object_through_its_life() -> None:
    """What is made, changed, deleted and made again under the name is held; its neighbours are not asked for."""
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


async def test_an_object_without_a_namespace_has_a_path_without_one() -> None:
    """What is cluster-scoped is asked for at the collection's root."""
    assert Observed(NAMESPACES, "mine").path == "/api/v1/namespaces/mine"


async def test_a_list_without_the_object_says_that_it_is_gone() -> None:
    """After a relist that lacks it, the object is not there; before any list, nothing is known."""
    one = observed()

    assert (one.synced, one.current) == (False, None)

    await one.replace("Pod", [seen(), seen("other")], 1)

    assert (one.synced, one.current) == (True, seen())

    await one.replace("Pod", [seen("other")], 2)

    assert (one.synced, one.current, one.status["Pod"].objects) == (True, None, 0)


async def test_the_same_again_is_kept() -> None:
    """A list that brings what is known changes nothing."""
    one = observed()
    await one.replace("Pod", [seen()], 1)
    first = one.current
    await one.replace("Pod", [seen()], 5)

    assert one.current is first


async def test_old_news_is_no_news() -> None:
    """A write's answer that comes before the watch shows it is not undone by the older event."""
    one = observed()
    await one.replace("Pod", [seen(number=1)], 1)

    assert one.apply("Pod", "MODIFIED", seen(number=3, step="written"))
    assert not one.apply("Pod", "MODIFIED", seen(number=2, step="before"))
    assert not one.apply("Pod", "MODIFIED", seen("other", number=9))
    assert one.current == seen(number=3, step="written")


async def test_listeners_hear_of_objects_and_of_status() -> None:
    """Every piece of news, a bookmark and a change of the status are told."""
    one = observed()
    told: list[bool] = []
    one.subscribe(lambda: told.append(one.synced))
    await one.replace("Pod", [], 1)
    one.apply("Pod", "ADDED", seen(number=2))
    one.all_heard_before("Pod", 3)
    one.mark("Pod", synced=False)

    assert told == [True, True, True, False]
