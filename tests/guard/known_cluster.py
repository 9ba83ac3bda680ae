"""The cache of the cluster as the judges see it, which a test changes."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from webhook.eem import EemSnapshot


@dataclass(kw_only=True)
class KnownCluster:
    """
    A cache of the cluster: `see` brings a change, as the watch does.

    Args:
        waiting: set while a judge waits for a change.
    """

    snapshot: EemSnapshot
    has_synced: bool = True
    follows_policies: bool = True
    waiting: asyncio.Event = field(default_factory=asyncio.Event)
    listeners: list[Callable[[], None]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def see(self, snapshot: EemSnapshot) -> None:
        """Replace what is known, and report the change to the judges."""
        self.snapshot = snapshot
        for listener in self.listeners:
            listener()
        self.changed.set()

    def subscribe(self, listener: Callable[[], None]) -> None:
        self.listeners.append(listener)

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self.changed.clear()
            self.waiting.set()
            await self.changed.wait()
