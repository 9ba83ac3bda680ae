"""
Hold the cluster as it is known now.

The snapshot is an immutable value; the store swaps it. Whoever reads it keeps a state that does not change under
them. A list replaces all objects of its kind in one swap, however long the next snapshot took to build: what other
kinds brought in the meantime is kept in a journal and applied to it first.
"""

import asyncio
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from webhook.cluster.ordering import EventType, Ordering, name_of
from webhook.cluster.timing import Clock, Turn
from webhook.eem import WATCHED, EemSnapshot, ResourceType
from webhook.eem.resources import NETWORK_POLICIES
from webhook.netpol.parse_objects import Parsed, is_large, read_object

STALE_SECONDS: Final = 300.0
"""
After how long a silence a kind is no longer trusted.

A bookmark comes each minute, and a stream without one is given up after 85 s and opened again: a silence that outlasts
three such attempts is none of the API server's pauses.
"""

_Change = Callable[[EemSnapshot], EemSnapshot]


@dataclass(kw_only=True, slots=True)
class KindStatus:
    """
    How well one kind is known; written by its reflector, read by metrics and probes.

    Args:
        synced: a list was taken in, and nothing forbids to keep it up to date.
        served: False while the API server does not know the kind at all.
        objects: how many there are.
        lists: how many lists were taken in.
        last_event_timestamp_seconds: when the API server last said something of this kind (a list, an event, a
            bookmark), as seconds since 1970; 0 before the first time.
        heard_at_seconds: the same on the monotonic clock; minus infinity before the first time, infinity where it will
            always be true.
        problem: what is wrong now, in words; empty when nothing is.
    """

    resource: ResourceType
    synced: bool = False
    served: bool = True
    objects: int = 0
    lists: int = 0
    last_event_timestamp_seconds: float = 0.0
    heard_at_seconds: float = -math.inf
    problem: str = ""

    def heard(self, clock: Clock) -> None:
        """Take note that the API server has just said something of this kind."""
        self.last_event_timestamp_seconds = clock.wall()
        self.heard_at_seconds = clock.monotonic()


@dataclass(frozen=True, kw_only=True, slots=True)
class Silence:
    """How long the API server has said nothing of one kind, named by its plural."""

    resource: str
    seconds: float


class Store:
    """
    The current snapshot, and how well it is known.

    One writer for each kind: its reflector. All of it belongs to one event loop.
    """

    def __init__(self, resources: Iterable[ResourceType] = WATCHED, clock: Clock | None = None) -> None:
        self.status: Mapping[str, KindStatus] = {resource.kind: KindStatus(resource=resource) for resource in resources}
        self._clock = clock or Clock()
        self._snapshot = EemSnapshot.empty()
        self._orderings = {kind: Ordering() for kind in self.status}
        self._replacing = asyncio.Lock()
        self._journal: list[_Change] | None = None
        self._listeners: list[Callable[[], None]] = []
        self._waiters: set[asyncio.Future[None]] = set()

    @property
    def snapshot(self) -> EemSnapshot:
        """Give the cluster as it is known now."""
        return self._snapshot

    @property
    def has_synced(self) -> bool:
        """Say whether every kind is known."""
        return all(status.synced for status in self.status.values())

    def apply(
        self, kind: str, event_type: EventType, mapping: Mapping[str, Any], *, parsed: Parsed | None = None
    ) -> bool:
        """Take in one event; say whether it was news. *parsed* is the object as read beforehand, where it was."""
        is_news = self._orderings[kind].admit(event_type, mapping)
        if is_news:
            try:
                if event_type == "DELETED":
                    namespace, name = name_of(mapping)
                    self._change(lambda snapshot: snapshot.without_object(kind, namespace, name))
                elif parsed is not None:
                    self._change(lambda snapshot: snapshot.with_parsed(parsed))
                else:
                    self._change(lambda snapshot: snapshot.with_object(mapping))
            except Exception:
                self._orderings[kind].forget(name_of(mapping))  # else the list that follows would pass over it
                raise
        self.heard(kind)
        return is_news

    async def replace(self, kind: str, mappings: Iterable[Mapping[str, Any]], number: int = 0) -> None:
        """
        Make *mappings* all that there is of one kind, in one swap, and the kind synced.

        Only what differs from what is known costs anything. *mappings* is consumed bit by bit; when it raises,
        nothing changes.

        Args:
            number: the list's resourceVersion as a number.
        """
        turn = Turn(self._clock.monotonic)
        async with self._replacing:
            ordering = self._orderings[kind]
            relist = ordering.relist()
            before = building = self._snapshot
            leaving: list[object] = []
            self._journal = []
            try:
                for mapping in mappings:
                    if relist.take(mapping):
                        leaving.append(before.cluster.find(kind, *name_of(mapping)))
                        building = await _with_object(building, kind, mapping)
                    await turn.share()
                for name in relist.before:
                    if name not in relist.listed:
                        leaving.append(before.cluster.find(kind, *name))
                        building = building.without_object(kind, *name)
                    await turn.share()
                if all(status.synced for known, status in self.status.items() if known != kind):
                    await _prepare(building, turn)
                while self._journal:
                    changes, self._journal = self._journal, []
                    for change in changes:
                        building = change(building)
                        await turn.share()
            finally:
                self._journal = None
            # Nothing awaits between the last look into the journal and here.
            ordering.replace(relist, number)
            self._snapshot = building
            status = self.status[kind]
            status.synced = True
            status.lists += 1
            self.heard(kind)
        # To free 20,000 pods at once would hold the event loop for 50 ms: what is old goes piece after piece.
        leaving.extend(before.cluster.parts())
        del before, building
        while leaving:
            leaving.pop()
            await turn.share()
        while relist.before:
            relist.before.popitem()
            await turn.share()

    def all_heard_before(self, kind: str, number: int) -> None:
        """Take note that all news of a kind up to *number* has come, and that the API server spoke."""
        self._orderings[kind].everything_before(number)
        self.heard(kind)

    def heard(self, kind: str) -> None:
        """Take note that the API server has just said something of this kind."""
        status = self.status[kind]
        status.objects = len(self._orderings[kind])
        status.heard(self._clock)
        self.announce()

    def checksum(self, kind: str) -> int:
        """Give a number that is the same for all who know the same objects of a kind; 0 where the cluster is files."""
        return self._orderings[kind].checksum

    def staleness_seconds(self, kind: str) -> float:
        """
        Say for how long the API server has said nothing of a kind: so old may be what is known of it.

        Infinity where it never said anything; 0 where the cluster is files.
        """
        return max(self._clock.monotonic() - self.status[kind].heard_at_seconds, 0.0)

    def silence(self, longer_than_seconds: float = STALE_SECONDS) -> Silence | None:
        """Give the longest silence, where it is longer than that; None where all that is known is fresh."""
        longest = min(self.status.values(), key=lambda status: status.heard_at_seconds)
        seconds = self.staleness_seconds(longest.resource.kind)
        if seconds <= longer_than_seconds:
            return None
        return Silence(resource=longest.resource.plural, seconds=seconds)

    def not_ready(self, kind: str, stale_seconds: float = STALE_SECONDS) -> str | None:
        """Say why no verdict should rest on what is known of a kind; None where it may."""
        status, silent = self.status[kind], self.staleness_seconds(kind)
        if not status.synced:
            return status.problem or "not listed yet"
        if silent <= stale_seconds:
            return None
        reason = f": {status.problem}" if status.problem else ""
        return f"the API server has said nothing of it for {silent:.0f} s{reason}"

    def mark(self, kind: str, *, synced: bool) -> None:
        """Say that a kind cannot be kept up to date any more, or that it can again from what is known of it."""
        self.status[kind].synced = synced
        self.announce()

    def reset(self, snapshot: EemSnapshot) -> None:
        """Take a whole snapshot that does not come from an API server, every kind of it known."""
        self._snapshot = snapshot
        for kind, status in self.status.items():
            status.synced = True
            status.objects = snapshot.count(kind)
            status.lists += 1
            status.heard(self._clock)
            status.heard_at_seconds = math.inf
        self.announce()

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until *condition* holds; it is asked again after every change of the snapshot or of a status."""
        while not condition():
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call *listener* after every change of the snapshot or of a status; it must be quick and must not raise."""
        self._listeners.append(listener)

    def announce(self) -> None:
        """Let everybody who waits look again."""
        for listener in self._listeners:
            listener()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _change(self, change: _Change) -> None:
        self._snapshot = change(self._snapshot)
        if self._journal is not None:
            self._journal.append(change)


async def _with_object(snapshot: EemSnapshot, kind: str, mapping: Mapping[str, Any]) -> EemSnapshot:
    """Add or replace one object; a large policy is read in a thread."""
    if kind == NETWORK_POLICIES.kind and is_large(mapping):
        parsed = await asyncio.to_thread(read_ahead, mapping)
        return snapshot if parsed is None else snapshot.with_parsed(parsed)
    return snapshot.with_object(mapping)


def read_ahead(mapping: Mapping[str, Any]) -> Parsed | None:
    """Return an object as the snapshot would read it; None where its kind is not read."""
    return read_object(mapping)[0]


async def _prepare(snapshot: EemSnapshot, turn: Turn) -> None:
    """Find out before it is in use what the first review would have to wait for."""
    for known in snapshot.eem.values():
        known.precompute()
        await turn.share()
