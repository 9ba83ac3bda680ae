"""
Hold one named object as it is in the cluster: the Secret, or a webhook configuration.

A reflector with a selection of the same name fills it. "Not there" and "not known yet" differ: `synced` tells which.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from webhook.cluster.ordering import EventType, Name, Ordering, Relist, name_of
from webhook.cluster.sink import KindStatus, Selection
from webhook.cluster.timing import Clock
from webhook.eem.resources import ResourceType
from webhook.netpol.parse_objects import Parsed


def whole(mapping: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the whole object."""
    return mapping


class Observed:
    """
    One object as it is known now; a reflector fills it.

    It ignores all other objects of a list or a stream. It belongs to one event loop.

    Args:
        namespace: None for a cluster-scoped object.
        keep: returns the part of the object that is held.
    """

    def __init__(
        self,
        resource: ResourceType,
        name: str,
        *,
        namespace: str | None = None,
        keep: Callable[[Mapping[str, Any]], Mapping[str, Any]] = whole,
        clock: Clock | None = None,
    ) -> None:
        self.resource = resource
        self.selection = Selection(namespace=namespace, name=name)
        self.status: Mapping[str, KindStatus] = {resource.kind: KindStatus(resource=resource)}
        self._known = self.status[resource.kind]
        self._key = (namespace or "", name)
        self._keep = keep
        self._clock = clock or Clock()
        self._ordering = Ordering()
        self._current: Mapping[str, Any] | None = None
        self._listeners: list[Callable[[], None]] = []

    @property
    def current(self) -> Mapping[str, Any] | None:
        """Return the object as it was last seen, or None if it does not exist."""
        return self._current

    @property
    def synced(self) -> bool:
        """Whether the object is known: only then does a `current` of None mean that it does not exist."""
        return self._known.synced

    @property
    def path(self) -> str:
        """Return the path of the object on the API server."""
        return f"{self.resource.path(self.selection.namespace)}/{self.selection.name}"

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call *listener* after each change of the object or of its status; it must be quick and must not raise."""
        self._listeners.append(listener)

    def apply(
        self,
        kind: str,
        event_type: EventType,
        mapping: Mapping[str, Any],
        *,
        parsed: Parsed | None = None,  # noqa: ARG002  the object is kept as it was written
    ) -> bool:
        """
        Process one event, or with "MODIFIED" the answer to a write; return whether it was new.

        Older states are ignored, so the answer to a write and the event of the watch may come in either order.
        """
        if name_of(mapping) != self._key:
            return False
        is_new = self._ordering.admit(event_type, mapping)
        if is_new:
            self._current = None if event_type == "DELETED" else self._keep(mapping)
        self._heard(kind)
        return is_new

    def begin_list(self, kind: str) -> "_ObservedIntake":
        """Begin to take in a list; nothing changes before its end."""
        return _ObservedIntake(self._key, self._ordering.relist(), partial(self._finish_list, kind))

    def _finish_list(self, kind: str, relist: Relist, changed: Mapping[str, Any] | None, number: int) -> None:
        if changed is not None:
            self._current = self._keep(changed)
        elif relist.gone():
            self._current = None
        self._ordering.replace(relist, number)
        self.status[kind].lists += 1
        self._heard(kind)

    def all_heard_before(self, kind: str, number: int) -> None:
        """Note that all changes up to *number* have come."""
        self._ordering.everything_before(number)
        self._heard(kind)

    def mark(self, kind: str, *, synced: bool) -> None:
        """Note whether the object can be kept up to date."""
        self.status[kind].synced = synced
        self.announce()

    def distrust(self, kind: str) -> None:
        """Note that what is known may be wrong: the object is not known until the next list."""
        self._ordering.distrust()
        self.mark(kind, synced=False)

    def announce(self) -> None:
        """Call all listeners, so that they look again."""
        for listener in self._listeners:
            listener()

    def _heard(self, kind: str) -> None:
        status = self.status[kind]
        status.objects = len(self._ordering)
        status.heard(self._clock)
        self.announce()


class _ObservedIntake:
    """A list while it is taken in; only the one object of it is kept."""

    def __init__(
        self, key: Name, relist: Relist, finish: Callable[[Relist, Mapping[str, Any] | None, int], None]
    ) -> None:
        self._key = key
        self._relist = relist
        self._finish = finish
        self._changed: Mapping[str, Any] | None = None

    async def add(self, mappings: Iterable[Mapping[str, Any]]) -> None:
        """Add the objects of one page."""
        for mapping in mappings:
            if name_of(mapping) == self._key and self._relist.take(mapping):
                self._changed = mapping

    async def finish(self, number: int = 0) -> None:
        """Make the object, or its absence, the known state at the resourceVersion *number*."""
        self._finish(self._relist, self._changed, number)
