"""
Keep Python's garbage collector from holding the event loop.

Nearly everything here is freed by its reference count the moment that nobody needs it; the collector only looks for
cycles, and on its way through 20,000 pods it finds none and holds every review for 20 ms and more. So what a list has
brought is set aside: the collector does not look at it any more, and it is freed by its count all the same.
"""

import gc
from typing import Final

from webhook.cluster.store import Store

# Objects made and not freed before the collector looks at these, and how many such looks come before a longer one, of
# which so many come before the longest. A look at 10,000 takes a millisecond; a review leaves none behind. Python's
# own first figure, 700, is met by each review of a large object.
THRESHOLDS: Final = (2_000, 5, 50)


def collect_seldom() -> None:
    """Let the collector wait for more than a review or two; to be called before anything is read."""
    gc.set_threshold(*THRESHOLDS)


class Lists:
    """
    Sets aside what lists have brought.

    Args:
        store: says when there was a list.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._seen = 0

    async def keep_aside(self) -> None:
        """Set aside after each list, once everything is known, until cancelled."""
        while True:
            await self._store.wait_until(self._is_news)
            self._seen = self._count()
            # The young ones first, which are few: what they drop need not be kept for ever.
            gc.collect(1)
            gc.freeze()

    def _is_news(self) -> bool:
        return self._store.has_synced and self._count() != self._seen

    def _count(self) -> int:
        return sum(status.lists for status in self._store.status.values())
