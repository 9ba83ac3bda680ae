"""The garbage collector does not delay reviews once the cluster is known."""

import asyncio
import gc
from collections.abc import Iterator

import pytest
from builders import namespace, pod
from cluster_builders import take_list

from webhook.cluster.garbage_collection import THRESHOLDS, collect_seldom, freeze_lists
from webhook.cluster.store import Store
from webhook.eem import EemSnapshot


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    """Restore the settings of the collector."""
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


async def frozen_more_than(count: int) -> None:
    while gc.get_freeze_count() <= count:  # noqa: ASYNC110  the collector has no event
        await asyncio.sleep(0)


async def test_the_objects_of_each_list_are_frozen() -> None:
    """The first list and each list after it freeze objects."""
    store = Store()
    task = asyncio.create_task(freeze_lists(store))
    gc.unfreeze()
    for number in (1, 2):
        before = gc.get_freeze_count()
        store.reset(EemSnapshot.from_objects([namespace("eem"), *(pod(f"pod-{index}") for index in range(number))]))
        async with asyncio.timeout(30):
            await frozen_more_than(before)
    task.cancel()

    assert gc.get_freeze_count() > 0


async def test_nothing_is_frozen_before_the_store_is_synced() -> None:
    """Objects that come and go until then would stay frozen for ever."""
    store = Store()
    gc.unfreeze()
    task = asyncio.create_task(freeze_lists(store))
    await take_list(store, "Pod", [pod("one")], 1)
    for _ in range(10):
        await asyncio.sleep(0)
    task.cancel()

    assert gc.get_freeze_count() == 0


def test_the_thresholds_are_above_the_objects_of_one_review() -> None:
    """Python's own threshold is reached in each review of a large object."""
    collect_seldom()

    assert gc.get_threshold() == THRESHOLDS
