"""The garbage collector stays out of the way once the cluster is known."""

import asyncio
import gc
from collections.abc import Iterator

import pytest
from builders import namespace, pod

from webhook.cluster.garbage_collection import THRESHOLDS, collect_seldom, freeze_lists
from webhook.cluster.store import Store
from webhook.eem import EemSnapshot


@pytest.fixture(autouse=True)
def collector() -> Iterator[None]:
    """Give the collector back as it was."""
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


async def frozen_more_than(count: int) -> None:
    while gc.get_freeze_count() <= count:  # noqa: ASYNC110  the collector tells nobody
        await asyncio.sleep(0)


async def test_what_every_list_brought_is_set_aside() -> None:
    """The first one and each after it."""
    store = Store()
    task = asyncio.create_task(freeze_lists(store))
    gc.unfreeze()
    for number in (1, 2):
        before = gc.get_freeze_count()
        store.reset(EemSnapshot.from_objects([namespace("eem"), *(pod(f"pod-{index}") for index in range(number))]))
        async with asyncio.timeout(10):
            await frozen_more_than(before)
    task.cancel()

    assert gc.get_freeze_count() > 0


async def test_nothing_is_set_aside_while_a_kind_is_not_known() -> None:
    """What comes and goes until then would be kept for ever."""
    store = Store()
    gc.unfreeze()
    task = asyncio.create_task(freeze_lists(store))
    await store.replace("Pod", [pod("one")], 1)
    for _ in range(10):
        await asyncio.sleep(0)
    task.cancel()

    assert gc.get_freeze_count() == 0


def test_the_collector_waits_for_more_than_a_review() -> None:
    """Python's own threshold is met by each review of a large object."""
    collect_seldom()

    assert gc.get_threshold() == THRESHOLDS
