"""
Hold one named object as it is in the cluster: the Secret, a webhook configuration.

A reflector keeps it, with a selection of the same name. Not there and not known yet are different: `synced` says which.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from webhook.cluster.ordering import EventType, Ordering, name_of
from webhook.cluster.reflector import Selection
from webhook.cluster.store import KindStatus
from webhook.cluster.timing import Clock
from webhook.eem.resources import ResourceType
from webhook.netpol.parse_objects import Parsed


class Observed:
    """
    One object as it is known now; a sink for a reflector.

    Whatever else a list or a stream brings is not taken in. All of it belongs to one event loop.

    Args:
        namespace: None for what is in no namespace.
    """

    def __init__(
        self, resource: ResourceType, name: str, *, namespace: str | None = None, clock: Clock | None = None
    ) -> None:
        self.resource = resource
        self.selection = Selection(namespace=namespace, name=name)
        self.status: Mapping[str, KindStatus] = {resource.kind: KindStatus(resource=resource)}
        self._known = self.status[resource.kind]
        self._key = (namespace or "", name)
        self._clock = clock or Clock()
        self._ordering = Ordering()
        self._current: Mapping[str, Any] | None = None
        self._listeners: list[Callable[[], None]] = []

    @property
    def current(self) -> Mapping[str, Any] | None:
        """Give the object as it was last seen, or None where it is not there."""
        return self._current

    @property
    def synced(self) -> bool:
        """Say whether it is known: only then does None mean that the object is not there."""
        return self._known.synced

    @property
    def path(self) -> str:
        """Give the object's own path on the API server."""
        return f"{self.resource.path(self.selection.namespace)}/{self.selection.name}"

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call *listener* after all news of the object or of its status; it must be quick and must not raise."""
        self._listeners.append(listener)

    def apply(
        self,
        kind: str,
        event_type: EventType,
        mapping: Mapping[str, Any],
        *,
        parsed: Parsed | None = None,  # noqa: ARG002  it is kept as it was written
    ) -> bool:
        """
        Take in one event, or as "MODIFIED" the answer to a write; say whether it was news.

        What is older than what is known is none, so a write's answer and the watch may come in either order.
        """
        if name_of(mapping) != self._key:
            return False
        is_news = self._ordering.admit(event_type, mapping)
        if is_news:
            self._current = None if event_type == "DELETED" else mapping
        self._heard(kind)
        return is_news

    async def replace(self, kind: str, mappings: Iterable[Mapping[str, Any]], number: int = 0) -> None:
        """Take in a list as all that there is at the resourceVersion *number*."""
        relist = self._ordering.relist()
        found = [mapping for mapping in mappings if name_of(mapping) == self._key and relist.take(mapping)]
        if found:
            self._current = found[0]
        elif relist.gone():
            self._current = None
        self._ordering.replace(relist, number)
        status = self.status[kind]
        status.synced = True
        status.lists += 1
        self._heard(kind)

    def all_heard_before(self, kind: str, number: int) -> None:
        """Take note that all news up to *number* has come, and that the API server spoke."""
        self._ordering.everything_before(number)
        self._heard(kind)

    def mark(self, kind: str, *, synced: bool) -> None:
        """Say that the object cannot be kept up to date any more, or that it can again."""
        self.status[kind].synced = synced
        self.announce()

    def announce(self) -> None:
        """Let everybody who listens look again."""
        for listener in self._listeners:
            listener()

    def _heard(self, kind: str) -> None:
        status = self.status[kind]
        status.objects = len(self._ordering)
        status.heard(self._clock)
        self.announce()
