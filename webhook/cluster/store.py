"""
Hold the cluster as it is known now.

The snapshot is an immutable value that the store replaces, so a reader keeps a state that does not change. A list
replaces all objects of its kind in one step, however long the next snapshot took to build: the changes of other kinds
that came meanwhile are kept in a journal and applied to it first.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from webhook.cluster.ordering import EventType, Name, ObjectVersion, Ordering, Relist, name_of
from webhook.cluster.sink import KindStatus
from webhook.cluster.timing import Clock, TimeSlice
from webhook.cluster.watch_events import read_ahead
from webhook.eem import WATCHED, EemSnapshot, PolicyKind, ResourceType
from webhook.eem.destinations import Destinations
from webhook.eem.resources import NETWORK_POLICIES, OPTIONAL_RIGHTS
from webhook.netpol.parse_meta import read_owners
from webhook.netpol.parse_objects import Parsed, is_large
from webhook.netpol.reading import Faults
from webhook.netpol.reading import mapping as read_mapping

STALE_SECONDS: Final = 300.0
"""
The silence after which a kind counts as stale.

A bookmark comes each minute, and a stream without one is given up after 85 s and opened again. A silence that outlasts
three such attempts is not a pause of the API server.
"""

_POLICY_KINDS: Final = OPTIONAL_RIGHTS | {NETWORK_POLICIES.kind}
_Change = Callable[[EemSnapshot], EemSnapshot]


@dataclass(frozen=True, kw_only=True, slots=True)
class Silence:
    """For how long nothing has come of one kind, named by its plural."""

    resource: str
    seconds: float


class Store:
    """
    The current snapshot, and how well it is known.

    Each kind has one writer, its reflector. The store belongs to one event loop.
    """

    def __init__(self, resources: Iterable[ResourceType] = WATCHED, clock: Clock | None = None) -> None:
        self.status: Mapping[str, KindStatus] = {resource.kind: KindStatus(resource=resource) for resource in resources}
        self._clock = clock or Clock()
        self._snapshot = EemSnapshot.empty()
        self._orderings = {kind: Ordering() for kind in self.status}
        self._replacing = asyncio.Lock()
        self._journal: list[_Change] | None = None
        self._listeners: list[Callable[[], None]] = []
        self._lacks_policy_kinds = False
        self._waiters: set[asyncio.Future[None]] = set()

    @property
    def snapshot(self) -> EemSnapshot:
        """Return the cluster as it is known now."""
        return self._snapshot

    @property
    def has_synced(self) -> bool:
        """Whether every kind is known, and which policy kinds there are."""
        return not self._lacks_policy_kinds and all(status.synced for status in self.status.values())

    @property
    def follows_policies(self) -> bool:
        """Whether nothing keeps the watch of NetworkPolicies from showing what changes now."""
        return not self.status[NETWORK_POLICIES.kind].problem

    @property
    def lists(self) -> int:
        """Return the number of lists that were taken in, of all kinds together."""
        return sum(status.lists for status in self.status.values())

    def apply(
        self, kind: str, event_type: EventType, mapping: Mapping[str, Any], *, parsed: Parsed | None = None
    ) -> bool:
        """Process one event; return whether it was new. *parsed* is the object if it was read beforehand."""
        ordering = self._orderings[kind]
        is_dropped = event_type != "DELETED" and is_idle(mapping)
        is_new = ordering.skip(mapping) if is_dropped else ordering.admit(event_type, mapping)
        if is_new:
            try:
                if is_dropped or event_type == "DELETED":
                    namespace, name = name_of(mapping)
                    self._change(lambda snapshot: snapshot.without_object(kind, namespace, name))
                elif parsed is not None:
                    self._change(lambda snapshot: snapshot.with_parsed(parsed))
                else:
                    self._change(lambda snapshot: snapshot.with_object(mapping))
            except Exception:
                ordering.forget(name_of(mapping))  # otherwise the next list would skip the object
                raise
        self._heard(kind)
        return is_new

    def begin_list(self, kind: str) -> "_StoreIntake":
        """
        Begin to take in a list as the complete set of objects of one kind.

        Nothing changes before its end; then it replaces the kind in one step. Only objects that differ from what is
        known cost time and memory. The kind is synced when its watch stands, which `mark` tells.
        """
        finish = partial(self._finish_list, kind)
        return _StoreIntake(kind, self._orderings[kind].relist(), TimeSlice(self._clock.monotonic), finish)

    async def _finish_list(
        self, kind: str, relist: Relist, changed: Mapping[Name, _Change], number: int, time_slice: TimeSlice
    ) -> None:
        async with self._replacing:
            before = building = self._snapshot
            leaving: list[object] = []
            self._journal = []
            try:
                for name, change in changed.items():
                    leaving.append(before.cluster.find(kind, *name))
                    building = change(building)
                    await time_slice.check()
                for name in relist.before:
                    if name not in relist.listed:
                        leaving.append(before.cluster.find(kind, *name))
                        building = building.without_object(kind, *name)
                    await time_slice.check()
                if all(status.lists for known, status in self.status.items() if known != kind):
                    building = await _prepared(building, time_slice)
                while self._journal:
                    changes, self._journal = self._journal, []
                    for change in changes:
                        building = change(building)
                        await time_slice.check()
            finally:
                self._journal = None
            # There is no await between the last look into the journal and the end of this block.
            self._orderings[kind].replace(relist, number)
            self._snapshot = building
            self.status[kind].lists += 1
            self._heard(kind)
        # To free 20,000 pods at once would hold the event loop for 50 ms, so the old objects are freed one at a time.
        leaving.extend(before.cluster.parts())
        del before, building
        while leaving:
            leaving.pop()
            await time_slice.check()
        while relist.before:
            relist.before.popitem()
            await time_slice.check()

    def all_heard_before(self, kind: str, number: int) -> None:
        """Note that all changes of a kind up to *number* have come, and that the API server has just answered."""
        self._orderings[kind].everything_before(number)
        self._heard(kind)

    def _heard(self, kind: str) -> None:
        status = self.status[kind]
        status.objects = len(self._orderings[kind])
        status.heard(self._clock)
        self.announce()

    def known(self, kind: str) -> Mapping[Name, ObjectVersion]:
        """Return the version of each known object of a kind; the mapping changes with the events."""
        return self._orderings[kind].known

    def newest(self, kind: str) -> int:
        """Return the largest resourceVersion of a kind that is known; 0 before the first list."""
        return self._orderings[kind].newest

    def checksum(self, kind: str) -> int:
        """Return a number that is equal on all replicas that know the same objects of a kind; 0 for files."""
        return self._orderings[kind].checksum

    def staleness_seconds(self, kind: str) -> float:
        """
        Return how many seconds ago the last list, event or bookmark of a kind came.

        Infinity if none ever came; 0 if the cluster is files.
        """
        return max(self._clock.monotonic() - self.status[kind].heard_at_seconds, 0.0)

    def silence(self, longer_than_seconds: float = STALE_SECONDS) -> Silence | None:
        """Return the longest silence if it is longer than the limit; None while every kind is fresh."""
        longest = min(self.status.values(), key=lambda status: status.heard_at_seconds)
        seconds = self.staleness_seconds(longest.resource.kind)
        if seconds <= longer_than_seconds:
            return None
        return Silence(resource=longest.resource.plural, seconds=seconds)

    def not_ready(self, kind: str, stale_seconds: float = STALE_SECONDS) -> str | None:
        """Return why no verdict should depend on what is known of a kind; None if it may."""
        status, silent_seconds = self.status[kind], self.staleness_seconds(kind)
        if not status.synced:
            return status.problem or ("not watched yet" if status.lists else "not listed yet")
        if silent_seconds <= stale_seconds:
            return None
        reason = f": {status.problem}" if status.problem else ""
        return f"no event or bookmark from the API server for {silent_seconds:.0f} s{reason}"

    def notes(self) -> str | None:
        """Return what operators should know about the kinds, besides their problems; None for nothing."""
        found = [f"{status.resource.plural}: {status.note}" for status in self.status.values() if status.note]
        return "; ".join(found) or None

    def mark(self, kind: str, *, synced: bool) -> None:
        """Note that a kind can no longer be kept up to date, or that it can again, beginning with what is known."""
        self.status[kind].synced = synced
        self.announce()

    def distrust(self, kind: str) -> None:
        """Note that what is known of a kind may be wrong: it is not known until the next list."""
        self._orderings[kind].distrust()
        self.mark(kind, synced=False)

    def reset(self, snapshot: EemSnapshot) -> None:
        """Replace the snapshot by one that does not come from an API server, with every kind of it known."""
        self._snapshot = snapshot
        for kind, status in self.status.items():
            status.synced = True
            status.objects = snapshot.count(kind)
            status.lists += 1
            status.heard(self._clock)
            status.heard_at_seconds = math.inf
        self.announce()

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until *condition* holds; it is checked after each change of the snapshot or of a status."""
        while not condition():
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)

    def await_policy_kinds(self) -> None:
        """Note that `set_policy_kinds` will tell which policy kinds the cluster has: until then it is not known."""
        self._lacks_policy_kinds = True

    def set_policy_kinds(self, read: tuple[PolicyKind, ...], unread: tuple[PolicyKind, ...]) -> None:
        """Note which policy kinds beside NetworkPolicy the cluster has, and which of them are read."""
        self._lacks_policy_kinds = False
        self._change(lambda snapshot: replace(snapshot, read_kinds=read, unread_kinds=unread))
        self.announce()

    def set_operator_namespaces(self, kind: str, namespaces: frozenset[str]) -> None:
        """Note the namespaces of the operators for which a kind was installed."""
        known = self._snapshot.operator_namespaces.insert(kind, namespaces)
        self._change(lambda snapshot: replace(snapshot, operator_namespaces=known))

    def set_destinations(self, found: Destinations) -> None:
        """Note what is behind the names and addresses that EEM calls."""
        self._change(lambda snapshot: replace(snapshot, destinations=found))
        self.announce()

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call *listener* after each change of the snapshot or of a status; it must be quick and must not raise."""
        self._listeners.append(listener)

    def announce(self) -> None:
        """Call all listeners and wake all waiting tasks, so that they look again."""
        for listener in self._listeners:
            listener()
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _change(self, change: _Change) -> None:
        self._snapshot = change(self._snapshot)
        if self._journal is not None:
            self._journal.append(change)


class _StoreIntake:
    """A list of one kind while it is taken in; of each object that changed only what a snapshot keeps is held."""

    def __init__(
        self,
        kind: str,
        relist: Relist,
        time_slice: TimeSlice,
        finish: Callable[[Relist, Mapping[Name, _Change], int, TimeSlice], Awaitable[None]],
    ) -> None:
        self._kind = kind
        self._relist = relist
        self._time_slice = time_slice
        self._finish = finish
        self._changed: dict[Name, _Change] = {}

    async def add(self, mappings: Iterable[Mapping[str, Any]]) -> None:
        """Add the objects of one page; *mappings* is consumed bit by bit."""
        for mapping in mappings:
            if not is_idle(mapping) and self._relist.take(mapping):
                self._changed[name_of(mapping)] = await self._change_to(mapping)
            await self._time_slice.check()

    async def finish(self, number: int = 0) -> None:
        """Make the added objects the complete set of objects, at the resourceVersion *number*."""
        await self._finish(self._relist, self._changed, number, self._time_slice)

    async def _change_to(self, mapping: Mapping[str, Any]) -> _Change:
        """Return the change that adds or replaces one object; a large policy is read in a thread."""
        is_slow = self._kind in _POLICY_KINDS and is_large(mapping)
        parsed = await asyncio.to_thread(read_ahead, mapping) if is_slow else read_ahead(mapping)
        if parsed is None:
            return lambda snapshot: snapshot.with_object(mapping)
        return lambda snapshot: snapshot.with_parsed(parsed)


def is_idle(api_object: Mapping[str, Any]) -> bool:
    """
    Whether an object is a ReplicaSet of a Deployment, without a replica.

    It has no pods, and only the template of the Deployment counts. A cluster keeps ten for each Deployment, so the
    store keeps none of them.

    Source: apps/v1 DeploymentSpec.revisionHistoryLimit, ReplicaSetSpec.replicas, ReplicaSetStatus.replicas.
    """
    if api_object.get("kind") != "ReplicaSet":
        return False
    faults = Faults()
    spec = read_mapping(api_object.get("spec"), "spec", faults)
    status = read_mapping(api_object.get("status"), "status", faults)
    if spec.get("replicas") != 0 or status.get("replicas"):
        return False
    metadata = read_mapping(api_object.get("metadata"), "metadata", faults)
    return any(owner.kind == "Deployment" for owner in read_owners(metadata, faults))


async def _prepared(snapshot: EemSnapshot, time_slice: TimeSlice) -> EemSnapshot:
    """Return the snapshot with all that the first review would have to wait for."""
    for namespace, known in snapshot.eem.items():
        standings = {}
        for key, standing in known.find_standings():
            standings[key] = standing
            for port in standing.ports.values():
                _ = port.total
            await time_slice.check()
        snapshot = replace(snapshot, eem=snapshot.eem.insert(namespace, known.with_standings(standings)))
    return snapshot
