"""
Notice that what is known of the cluster is wrong although no watch fails.

When etcd is restored from a backup, the cluster goes back to an older state with smaller resourceVersions. The API
server accepts a watch from a larger resourceVersion than its own and sends no event for it, so a reflector would never
list again. Therefore a resourceVersion that goes back, wherever it is seen, makes every reflector list again, and each
kind counts as not known until then. A restored cluster may also pass the known resourceVersions before anything sees
it. Therefore the store is compared with the API server every few minutes.

Source: Kubernetes documentation, "Restoring an etcd cluster"; k8s.io/apiserver storage/cacher (a watch sends only
events after its resourceVersion).
"""

import logging
from collections.abc import Callable, Mapping
from typing import Final

from webhook.cluster.client import ApiClient
from webhook.cluster.errors import ClusterError
from webhook.cluster.lists import WholeList, metadata_pages
from webhook.cluster.ordering import Name, ObjectVersion, name_of, version_number, version_of
from webhook.cluster.store import Store
from webhook.cluster.timing import Clock, TimeSlice
from webhook.eem import ResourceType

_log: Final = logging.getLogger(__name__)

# Between the comparisons of two kinds. With 12 kinds each is compared every 5 minutes.
COMPARE_SECONDS: Final = 25.0
# Between the two comparisons of one kind that must agree: events that are under way arrive in this time.
CONFIRM_SECONDS: Final = 5.0

Differences = Mapping[Name, tuple[ObjectVersion | None, ObjectVersion | None]]
"""By the name of an object: its version in the store, and its version in the list; None if it is not there."""


class History:
    """Makes reflectors list again; one for all reflectors of a client."""

    def __init__(self) -> None:
        self._listeners: list[tuple[str, Callable[[str], None]]] = []

    def subscribe(self, kind: str, listener: Callable[[str], None]) -> None:
        """Call *listener* with a reason when what is known of a kind cannot be trusted."""
        self._listeners.append((kind, listener))

    def went_back(self, reason: str) -> None:
        """Note that the cluster has gone back to an older state: no kind can be trusted."""
        _log.warning(
            "the cluster went back to an older state (was etcd restored?); every kind is listed again: %s", reason
        )
        for _, listener in self._listeners:
            listener(reason)

    def differs(self, kind: str, reason: str) -> None:
        """Note that what is known of one kind is wrong."""
        _log.warning("%s; the kind is listed again", reason)
        for known, listener in self._listeners:
            if known == kind:
                listener(reason)


def older_than_known(known: Mapping[Name, ObjectVersion], newest: int, listed: WholeList) -> str:
    """
    Return how a list shows that the cluster went back; empty if it does not.

    Args:
        known: the objects of the kind in the store, as they are now.
        newest: the largest resourceVersion of the kind that was known before the list began.
    """
    if 0 < listed.number < newest:
        return f"a list has resourceVersion {listed.number} after {newest}"
    for mapping in listed.objects:
        version, cached = version_of(mapping), known.get(name_of(mapping))
        # A version that the watch has brought since the list began proves nothing.
        if cached is not None and cached.uid == version.uid and 0 < version.number < cached.number <= newest:
            return f"a list has an object at resourceVersion {version.number} after {cached.number}"
    return ""


class Comparison:
    """
    Compares the store with the API server, one kind after another.

    Args:
        history: is told of a kind that differs.
    """

    def __init__(self, client: ApiClient, store: Store, history: History, *, clock: Clock | None = None) -> None:
        self._client = client
        self._store = store
        self._history = history
        self._clock = clock or Clock()

    async def run(self) -> None:
        """Compare until cancelled; no answer of the API server ends it."""
        while True:
            for status in [status for status in self._store.status.values() if status.served]:
                await self._clock.sleep(COMPARE_SECONDS)
                try:
                    if status.synced and status.served:
                        await self.compare(status.resource)
                except ClusterError as error:
                    _log.debug("%s could not be compared: %s", status.resource.plural, error)
                except Exception:  # noqa: BLE001 - a bug here must not end the service, whose watches go on
                    _log.exception("%s could not be compared", status.resource.plural)

    async def compare(self, resource: ResourceType) -> None:
        """
        Compare one kind, and have it listed again if it differs.

        Events may be under way during a list, so only a difference that a second list shows unchanged counts.

        Raises:
            ClusterError: a list could not be read.
        """
        first = await self.differences(resource)
        if not first:
            return
        await self._clock.sleep(CONFIRM_SECONDS)
        second = await self.differences(resource)
        confirmed = sorted(name for name in first if first[name] == second.get(name))
        if confirmed and self._store.status[resource.kind].synced:
            namespace, name = confirmed[0]
            where = f"{namespace}/{name}" if namespace else name
            reason = f"{len(confirmed)} {resource.plural} are not as the API server has them, such as {where}"
            self._history.differs(resource.kind, reason)

    async def differences(self, resource: ResourceType) -> Differences:
        """
        Return the objects of a kind whose version in the store is not that of a list.

        Raises:
            ClusterError: the list could not be read.
        """
        known, time_slice = self._store.known(resource.kind), TimeSlice(self._clock.monotonic)
        found: dict[Name, tuple[ObjectVersion | None, ObjectVersion | None]] = {}
        listed: set[Name] = set()
        number = 0
        async for page in metadata_pages(self._client, resource):
            number = version_number(page.resource_version)
            for name, version in page.versions:
                listed.add(name)
                cached = known.get(name)
                if cached != version and not _is_explained(resource, cached, number):
                    found[name] = cached, version
                await time_slice.check()
        for name, cached in tuple(known.items()):
            if name not in listed and cached.number <= number:
                found[name] = cached, None
            await time_slice.check()
        return found


def _is_explained(resource: ResourceType, cached: ObjectVersion | None, number: int) -> bool:
    """Whether an object may differ from a list: it changed after the list, or the store keeps no such object."""
    return resource.kind == "ReplicaSet" if cached is None else cached.number > number
