"""
Keep Python's garbage collector from holding the event loop.

Reference counts free nearly every object here at once; the collector only looks for cycles. A walk over 20,000 pods
finds none and delays every review by 20 ms and more. Therefore the objects that a list has created are frozen
(`gc.freeze`): the collector skips them, and reference counts still free them.
"""

import gc
from typing import Final

from webhook.cluster.store import Store

# Allocations minus deallocations before the collector runs on the youngest generation, and how many runs come before
# one on the next older generation. A run over 10,000 objects takes a millisecond, and a review leaves no cycle behind.
# Python's own first threshold, 700, is reached in each review of a large object.
THRESHOLDS: Final = (2_000, 5, 50)


def collect_seldom() -> None:
    """Raise the collector's thresholds; call it before any object is read."""
    gc.set_threshold(*THRESHOLDS)


async def freeze_lists(store: Store) -> None:
    """Freeze the objects of each new list once *store* is synced, until cancelled."""
    frozen = 0

    def is_due() -> bool:
        return store.has_synced and store.lists != frozen

    while True:
        await store.wait_until(is_due)
        frozen = store.lists
        # Collect the young generations first, which are small: what they free need not stay frozen.
        gc.collect(1)
        gc.freeze()
