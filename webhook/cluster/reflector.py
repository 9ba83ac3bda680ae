"""
Keep a store, or whatever else takes in news, as one kind is in the cluster: list, then watch, for ever.

It knows how an API server fails: streams that end, stall, or are cut anywhere; resourceVersions that expired; kinds
that are not installed yet; rights that are missing. It does not know what an object means.

Source: Kubernetes API concepts, "Efficient detection of changes"; client-go tools/cache/reflector.go.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, NoReturn, cast

import msgspec

from webhook.cluster.client import ApiClient
from webhook.cluster.errors import ApiError, ClusterError, ForbiddenError, UnreachableError, one_line, status_error
from webhook.cluster.lines import LineSplitter, LineTooLongError
from webhook.cluster.listing import Page, complete, decode_items, pages
from webhook.cluster.ordering import EventType, version_number
from webhook.cluster.probe import Reachability
from webhook.cluster.sink import Sink
from webhook.cluster.store import read_ahead
from webhook.cluster.timing import LARGE_LINE_BYTES, Backoff, Clock, Timing, Turn
from webhook.eem import OPTIONAL_KINDS, ResourceType
from webhook.netpol.parse_objects import Parsed

_log: Final = logging.getLogger(__name__)

# A list with a smaller resourceVersion than was seen comes from a server that lags, unless etcd was restored from a
# backup: then every list is like that, and a cache that refused them all would be wrong for ever. Five in a row,
# seconds apart.
_LISTS_THAT_CONVINCE: Final = 5
# A kind is believed not to be there when two lists in a row have missed it, a second or more apart, unless it had no
# objects: an API server that starts may answer 404 before it has read its CustomResourceDefinitions, and a cache that
# is empty by mistake would let every change pass.
_MISSES_THAT_CONVINCE: Final = 2
_RELIST_STATUSES: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.GONE, HTTPStatus.NOT_FOUND})
# What an API server says that has not come as far yet as another one had, or never will: a restored backup.
_TOO_LARGE: Final = "too large resource version"
_CHANGES: Final = frozenset({"ADDED", "MODIFIED", "DELETED"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """
    Which objects of a kind are meant; without arguments, all.

    Args:
        namespace: those of one namespace.
        name: the one of this name. Rights that `resourceNames` limits cover lists and watches that are asked so.
    """

    namespace: str | None = None
    name: str | None = None

    @property
    def query(self) -> Mapping[str, str]:
        """Give what a list or a watch is asked besides."""
        return {} if self.name is None else {"fieldSelector": f"metadata.name={self.name}"}


EVERYTHING: Final = Selection()


class _Event(msgspec.Struct):
    """One line of a watch."""

    type: str
    object: dict[str, Any]


class _MissingError(ClusterError):
    """Tell that the API server does not know the kind."""


class Reflector:
    """Keeps one kind of a sink up to date, or a selection of it."""

    def __init__(  # noqa: PLR0913 - what it works on, and what tests replace
        self,
        resource: ResourceType,
        client: ApiClient,
        store: Sink,
        *,
        selection: Selection = EVERYTHING,
        reach: Reachability | None = None,
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
        self._reach = reach or Reachability(client, clock=self._clock, rng=self._rng)
        self._path = resource.path(selection.namespace)
        self._query = selection.query
        self._retry = Backoff(self._timing.retry, self._clock, self._rng)
        self._missing = Backoff(self._timing.missing, self._clock, self._rng)
        self._resource_version: str | None = None
        self._newest = 0
        self._listed_at = float("-inf")
        self._refused_lists = 0
        self._misses = 0
        self._forbidden_at: float | None = None
        self._spoke = False
        self._mute = False
        self._is_told = False

    async def run(self) -> None:
        """List and watch until cancelled; nothing that the API server does ends it."""
        while True:
            try:
                if self._resource_version is None:
                    await self._list()
                await self._watch()
            except _MissingError:
                await self._clock.sleep(self._missing.next_seconds())
            except UnreachableError as error:
                self._fault(error)
                if not await self._reach.until_answered():
                    self._tell()
                    await self._clock.sleep(self._retry.next_seconds())
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
        longest = self._timing.retry.longest_seconds
        return max(self._retry.next_seconds(), min(error.retry_after_seconds, longest))

    async def _list(self) -> None:
        early = self._listed_at + self._timing.list_interval_seconds - self._clock.monotonic()
        if early > 0:
            await self._clock.sleep(early)
        self._listed_at = self._clock.monotonic()
        try:
            found = [page async for page in pages(self._client, self._path, query=self._query)]
        except ApiError as error:
            if error.status == HTTPStatus.NOT_FOUND and self.resource.kind in OPTIONAL_KINDS:
                await self._miss()
            if error.status == HTTPStatus.FORBIDDEN:
                raise self._forbidden("list", error) from error
            raise
        resource_version = found[0].resource_version
        number = version_number(resource_version)
        self._believe(number)
        await self._store.replace(self.resource.kind, decode_items(self.resource, _drained(found)), number)
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
        is_empty = self._status.lists > 0 and not self._status.objects
        if is_empty or self._misses >= _MISSES_THAT_CONVINCE:
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
            **self._query,
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(seconds),
        }
        try:
            async with (
                asyncio.timeout(stall_seconds) as deadline,
                self._client.stream(self._path, query) as chunks,
            ):
                self._spoke = False
                # A stream that opens is news of the API server, but not again and again if nothing ever follows.
                if not self._mute:
                    self._store.all_heard_before(self.resource.kind, version_number(version))
                self._store.mark(self.resource.kind, synced=True)
                self._recovered()
                await self._follow(chunks, deadline)
        except TimeoutError as error:
            self._mute = not self._spoke
            raise UnreachableError(f"the watch gave no whole line for {stall_seconds:g} s") from error
        except ApiError as error:
            if error.status in _RELIST_STATUSES or _TOO_LARGE in error.message.lower():
                self._resource_version = None
            if error.status == HTTPStatus.FORBIDDEN:
                raise self._forbidden("watch", error) from error
            raise
        except (LineTooLongError, msgspec.MsgspecError) as error:
            # The same line would come again.
            self._resource_version = None
            raise UnreachableError(f"the watch gave a line that is no event: {error}") from error
        lasted = self._clock.monotonic() - began
        if lasted < self._timing.short_watch_seconds:
            self._mute = not self._spoke
            raise UnreachableError(f"the watch ended after {lasted:.1f} s")

    async def _follow(self, chunks: AsyncIterator[bytes], deadline: asyncio.Timeout) -> None:
        loop = asyncio.get_running_loop()
        splitter, turn = LineSplitter(), Turn(self._clock.monotonic)
        async for chunk in chunks:
            for line in splitter.feed(chunk):
                deadline.reschedule(loop.time() + self._timing.stall_seconds)
                self._spoke, self._mute = True, False
                if len(line) > LARGE_LINE_BYTES:  # the next one waits: news stay in their order
                    self._take(*await asyncio.to_thread(_read, self.resource, line))
                else:
                    self._take(_decode(self.resource, line))
                await turn.share()

    def _take(self, event: _Event, parsed: Parsed | None = None) -> None:
        kind = self.resource.kind
        if event.type == "ERROR":
            self._resource_version = None
            raise status_error(event.object)
        resource_version = (event.object.get("metadata") or {}).get("resourceVersion", "")
        number = version_number(resource_version)
        if event.type == "BOOKMARK":
            self._store.all_heard_before(kind, number)
        elif event.type in _CHANGES:
            self._store.apply(kind, cast("EventType", event.type), event.object, parsed=parsed)
        if number > self._newest:
            self._newest = number
            self._resource_version = resource_version

    def _forbidden(self, verb: str, error: ApiError) -> ForbiddenError:
        """Give the error that names the right; what has been forbidden for long is not known any more."""
        now = self._clock.monotonic()
        self._forbidden_at = now if self._forbidden_at is None else self._forbidden_at
        if now - self._forbidden_at >= self._timing.forbidden_seconds:
            self._store.mark(self.resource.kind, synced=False)
        return ForbiddenError(verb, self.resource, error.message)

    def _report(self, error: Exception) -> None:
        self._fault(error)
        self._tell()

    def _fault(self, error: Exception) -> None:
        """Take note of what is wrong."""
        problem = one_line(str(error)) or type(error).__name__
        self._is_told = self._is_told and problem == self._status.problem
        self._status.problem = problem
        self._store.announce()

    def _tell(self) -> None:
        """Log what is wrong, unless that was done."""
        level = logging.DEBUG if self._is_told else logging.WARNING
        _log.log(level, "%s: %s", self.resource.plural, self._status.problem)
        self._is_told = True

    def _recovered(self) -> None:
        if self._is_told:
            _log.info("%s: up to date again", self.resource.plural)
        self._is_told = False
        self._forbidden_at = None
        self._status.problem = ""
        self._store.announce()


def _decode(resource: ResourceType, line: bytes) -> _Event:
    """Read one line of a watch."""
    event = msgspec.json.decode(line, type=_Event)
    if event.type in _CHANGES:
        complete(resource, event.object)
    return event


def _read(resource: ResourceType, line: bytes) -> tuple[_Event, Parsed | None]:
    """Read one line and what its object means, where a snapshot knows it by more than its fields; in a thread."""
    event = _decode(resource, line)
    is_read = event.type in _CHANGES and event.type != "DELETED"
    return event, read_ahead(event.object) if is_read else None


def _drained(found: list[Page]) -> Iterator[msgspec.Raw]:
    """Give the items of pages, and let go of each page after its last item: all at once would hold the event loop."""
    found.reverse()
    while found:
        yield from found.pop().items
