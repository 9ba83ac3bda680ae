"""
Keep one kind of the store as it is in the cluster: list, then watch, for ever.

It knows how an API server fails: streams that end, stall, or are cut anywhere; resourceVersions that expired; kinds
that are not installed yet; rights that are missing. It does not know what an object means.

Source: Kubernetes API concepts, "Efficient detection of changes"; client-go tools/cache/reflector.go.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from http import HTTPStatus
from itertools import chain
from typing import Any, Final, NoReturn, cast

import msgspec

from webhook.cluster.client import ApiClient
from webhook.cluster.errors import ApiError, ClusterError, ForbiddenError, UnreachableError, one_line, status_error
from webhook.cluster.lines import LineSplitter, LineTooLongError
from webhook.cluster.listing import complete, decode_items, pages
from webhook.cluster.ordering import EventType, version_number
from webhook.cluster.pace import Backoff, Clock, Delays, Turn
from webhook.cluster.store import Store
from webhook.eem import OPTIONAL_KINDS, ResourceType

_log: Final = logging.getLogger(__name__)

# A list with a smaller resourceVersion than was seen comes from a server that lags, unless etcd was restored from a
# backup: then every list is like that, and a cache that refused them all would be wrong for ever. Five in a row,
# seconds apart.
_LISTS_THAT_CONVINCE: Final = 5
# A kind that vanished while it had objects is believed gone when it was missed twice: an API server that starts may
# answer 404 before it has read its CustomResourceDefinitions, and an emptied cache would let every change pass.
_MISSES_THAT_CONVINCE: Final = 2
_RELIST_STATUSES: Final = frozenset({HTTPStatus.GONE, HTTPStatus.NOT_FOUND})
_CHANGES: Final = frozenset({"ADDED", "MODIFIED", "DELETED"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """
    How patient a reflector is; all in seconds.

    Args:
        retry: after failures; client-go's figures but for the longest, which is what a verdict may lag behind an API
            server that has come back.
        retry_after_seconds: the longest pause that the API server is given where it asks for one.
        missing: between looks at a kind that is not installed.
        list_interval_seconds: between the beginnings of two lists, whatever happens.
        stall_seconds: without a whole line before a stream counts as dead: the API server sends a bookmark each 60.
        watch_min_seconds: how long the server is asked to keep a stream, at least;
        watch_max_seconds: and at most. The spread keeps replicas from coming back together.
        short_watch_seconds: a stream that ended sooner counts as a failure, lest it be opened in a loop.
    """

    retry: Delays = field(default_factory=lambda: Delays(first_seconds=0.8, longest_seconds=5.0))
    retry_after_seconds: float = 30.0
    missing: Delays = field(default_factory=lambda: Delays(first_seconds=1.0, longest_seconds=10.0))
    list_interval_seconds: float = 1.0
    stall_seconds: float = 90.0
    watch_min_seconds: int = 300
    watch_max_seconds: int = 600
    short_watch_seconds: float = 1.0


class _Event(msgspec.Struct):
    """One line of a watch."""

    type: str
    object: dict[str, Any]


class _MissingError(ClusterError):
    """Tell that the API server does not know the kind."""


class Reflector:
    """Keeps one kind of a store up to date."""

    def __init__(  # noqa: PLR0913 - what it works on, and the three things that tests replace
        self,
        resource: ResourceType,
        client: ApiClient,
        store: Store,
        *,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        timing: Timing | None = None,
    ) -> None:
        self.resource = resource
        self._client = client
        self._store = store
        self._status = store.status[resource.kind]
        self._clock = clock or Clock()
        self._rng = rng or random.Random()  # noqa: S311 - spreads load, keeps no secret
        self._timing = timing or Timing()
        self._retry = Backoff(self._timing.retry, self._clock, self._rng)
        self._missing = Backoff(self._timing.missing, self._clock, self._rng)
        self._resource_version: str | None = None
        self._newest = 0
        self._listed_at = float("-inf")
        self._refused_lists = 0
        self._misses = 0

    async def run(self) -> None:
        """List and watch until cancelled; nothing that the API server does ends it."""
        while True:
            try:
                if self._resource_version is None:
                    await self._list()
                await self._watch()
            except _MissingError:
                await self._clock.sleep(self._missing.next_seconds())
            except ClusterError as error:
                self._report(error)
                await self._clock.sleep(self._pause(error))
            except Exception as error:  # noqa: BLE001 - see below
                # A bug must not leave the cache silently stale: it is told, and the kind is listed again.
                _log.exception("%s: unexpected", self.resource.plural)
                self._report(error)
                self._resource_version = None
                await self._clock.sleep(self._retry.next_seconds())

    def _pause(self, error: ClusterError) -> float:
        """Say how long to wait after *error*: not at all where the history is gone, for an API server told us so."""
        if not isinstance(error, ApiError):
            return self._retry.next_seconds()
        if error.status == HTTPStatus.GONE:
            return 0.0  # the lists' own pace is kept in any case
        return max(self._retry.next_seconds(), min(error.retry_after_seconds, self._timing.retry_after_seconds))

    async def _list(self) -> None:
        early = self._listed_at + self._timing.list_interval_seconds - self._clock.monotonic()
        if early > 0:
            await self._clock.sleep(early)
        self._listed_at = self._clock.monotonic()
        try:
            found = [page async for page in pages(self._client, self.resource.path())]
        except ApiError as error:
            if error.status == HTTPStatus.NOT_FOUND and self.resource.kind in OPTIONAL_KINDS:
                await self._miss()
            if error.status == HTTPStatus.FORBIDDEN:
                self._store.mark(self.resource.kind, synced=False)
                raise ForbiddenError("list", self.resource, error.message) from error
            raise
        resource_version = found[0].resource_version
        number = version_number(resource_version)
        self._believe(number)
        items = chain.from_iterable(page.items for page in found)
        await self._store.replace(self.resource.kind, decode_items(self.resource, items), number)
        self._misses = 0
        self._status.served = True
        self._newest = number
        self._resource_version = resource_version
        self._recovered()

    def _believe(self, number: int) -> None:
        """Refuse a list that is older than what was seen, unless every list is."""
        if number < self._newest:
            self._refused_lists += 1
            if self._refused_lists < _LISTS_THAT_CONVINCE:
                raise ClusterError(f"a list at resourceVersion {number} is older than {self._newest}, which was seen")
            _log.warning(
                "%s: the cluster went back from resourceVersion %d to %d: restored from a backup?",
                self.resource.plural,
                self._newest,
                number,
            )
        self._refused_lists = 0

    async def _miss(self) -> NoReturn:
        """Take note that the kind is not served; its objects go once that is certain."""
        self._misses += 1
        if not self._status.objects or self._misses >= _MISSES_THAT_CONVINCE:
            if self._status.served:
                _log.info("%s are not installed", self.resource.plural)
            await self._store.replace(self.resource.kind, (), self._newest)
            self._status.served = False
            self._recovered()
        raise _MissingError

    async def _watch(self) -> None:
        version = self._resource_version or ""
        stall_seconds = self._timing.stall_seconds
        began = self._clock.monotonic()
        seconds = self._rng.randint(self._timing.watch_min_seconds, self._timing.watch_max_seconds)
        query = {
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(seconds),
        }
        try:
            async with (
                asyncio.timeout(stall_seconds) as deadline,
                self._client.stream(self.resource.path(), query) as chunks,
            ):
                self._store.all_heard_before(self.resource.kind, version_number(version))
                self._store.mark(self.resource.kind, synced=True)
                self._recovered()
                await self._follow(chunks, deadline)
        except TimeoutError as error:
            raise UnreachableError(f"the watch gave no whole line for {stall_seconds:g} s") from error
        except ApiError as error:
            if error.status in _RELIST_STATUSES:
                self._resource_version = None
                self._misses += error.status == HTTPStatus.NOT_FOUND
            if error.status == HTTPStatus.FORBIDDEN:
                self._store.mark(self.resource.kind, synced=False)
                raise ForbiddenError("watch", self.resource, error.message) from error
            raise
        except (LineTooLongError, msgspec.MsgspecError) as error:
            # The same line would come again.
            self._resource_version = None
            raise UnreachableError(f"the watch gave a line that is no event: {error}") from error
        lasted = self._clock.monotonic() - began
        if lasted < self._timing.short_watch_seconds:
            raise UnreachableError(f"the watch ended after {lasted:.1f} s")

    async def _follow(self, chunks: AsyncIterator[bytes], deadline: asyncio.Timeout) -> None:
        loop = asyncio.get_running_loop()
        splitter, turn = LineSplitter(), Turn(self._clock.monotonic)
        async for chunk in chunks:
            for line in splitter.feed(chunk):
                deadline.reschedule(loop.time() + self._timing.stall_seconds)
                self._take(msgspec.json.decode(line, type=_Event))
                await turn.share()

    def _take(self, event: _Event) -> None:
        kind = self.resource.kind
        if event.type == "ERROR":
            self._resource_version = None
            raise status_error(event.object)
        resource_version = (event.object.get("metadata") or {}).get("resourceVersion", "")
        number = version_number(resource_version)
        if event.type == "BOOKMARK":
            self._store.all_heard_before(kind, number)
        elif event.type in _CHANGES:
            self._store.apply(kind, cast("EventType", event.type), complete(self.resource, event.object))
        if number > self._newest:
            self._newest = number
            self._resource_version = resource_version

    def _report(self, error: Exception) -> None:
        problem = one_line(str(error)) or type(error).__name__
        level = logging.DEBUG if problem == self._status.problem else logging.WARNING
        _log.log(level, "%s: %s", self.resource.plural, problem)
        self._status.problem = problem
        self._store.announce()

    def _recovered(self) -> None:
        if self._status.problem:
            _log.info("%s: up to date again", self.resource.plural)
        self._status.problem = ""
        self._store.announce()
