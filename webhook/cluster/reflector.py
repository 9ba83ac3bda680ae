"""
Keep a sink as one kind is in the cluster: list, then watch, until cancelled.

The reflector handles the failures of an API server: streams that end, stall or are cut anywhere, resourceVersions that
expired, kinds that are not installed yet, and missing rights. It does not know what an object means.

Source: Kubernetes API concepts, "Efficient detection of changes"; client-go tools/cache/reflector.go.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Final, NoReturn, cast

import msgspec

from webhook.cluster.client import ApiClient
from webhook.cluster.consistency import History
from webhook.cluster.errors import ApiError, ClusterError, ForbiddenError, UnreachableError, one_line, status_error
from webhook.cluster.list_watch import (
    CHANGES,
    LineSplitter,
    LineTooLongError,
    WatchEvent,
    current_version,
    decode_event,
    decode_items,
    pages,
)
from webhook.cluster.ordering import EventType, version_number
from webhook.cluster.probe import Reachability
from webhook.cluster.sink import Selection, Sink
from webhook.cluster.store import read_ahead
from webhook.cluster.timing import Backoff, Clock, ReflectorTiming, TimeSlice
from webhook.eem import OPTIONAL_KINDS, ResourceType
from webhook.netpol.parse_objects import Parsed

_log: Final = logging.getLogger(__name__)

# A kind counts as not installed when two lists in a row got 404, a second or more apart, unless it had no objects: an
# API server that starts may answer 404 before it has read its CustomResourceDefinitions, and an empty cache would let
# every change pass.
_MISSES_THAT_CONVINCE: Final = 2
_RELIST_STATUSES: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.GONE, HTTPStatus.NOT_FOUND})
# The message of an API server whose state is older than the resourceVersion that the watch named: it lags behind
# another API server, or etcd was restored from a backup.
_TOO_LARGE: Final = "too large resource version"
# An event with more bytes is read in a thread: the costliest event of this size, a list of empty entries, holds the
# event loop for 40 ms. Few are as large; a pod with its managedFields has 5 to 10 KiB.
_LARGE_LINE_BYTES: Final = 32 * 1024

EVERYTHING: Final = Selection()


class _MissingError(ClusterError):
    """Raised when the API server does not know the kind."""


class _DistrustedError(ClusterError):
    """Raised when what is known of the kind may be wrong, so that it must be listed."""


class Reflector:
    """Keeps one kind of a sink, or a selection of it, up to date."""

    def __init__(  # noqa: PLR0913 - what it works on, and what tests replace
        self,
        resource: ResourceType,
        client: ApiClient,
        sink: Sink,
        *,
        selection: Selection = EVERYTHING,
        reach: Reachability | None = None,
        history: History | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        timing: ReflectorTiming | None = None,
    ) -> None:
        self.resource = resource
        self._client = client
        self._sink = sink
        self._status = sink.status[resource.kind]
        self._clock = clock or Clock()
        self._rng = rng or random.Random()  # noqa: S311 - spreads load, keeps no secret
        self._timing = timing or ReflectorTiming()
        self._reach = reach or Reachability(client, clock=self._clock, rng=self._rng)
        self._history = history or History()
        self._history.subscribe(resource.kind, self._distrust)
        self._path = resource.path(selection.namespace)
        self._query = selection.query
        self._retry = Backoff(self._timing.retry, self._clock, self._rng)
        self._missing = Backoff(self._timing.missing, self._clock, self._rng)
        self._resource_version: str | None = None
        self._newest = 0
        self._listed_at = float("-inf")
        self._is_current = False
        self._distrusted = 0
        self._deadline: asyncio.Timeout | None = None
        self._reopens = False
        self._misses = 0
        self._forbidden_at: float | None = None
        self._got_line = False
        self._mute = False
        self._is_logged = False

    async def run(self) -> None:
        """List and watch until cancelled; no answer of the API server ends it."""
        while True:
            try:
                if self._resource_version is None:
                    await self._list()
                await self._watch()
            except _MissingError:
                await self._clock.sleep(self._missing.next_seconds())
            except _DistrustedError:
                continue  # the interval between lists is kept in any case
            except UnreachableError as error:
                self._note_problem(error)
                if not await self._reach.until_answered():
                    self._log_problem()
                    await self._clock.sleep(self._retry.next_seconds())
            except ClusterError as error:
                self._report(error)
                await self._clock.sleep(self._pause_seconds(error))
            except Exception as error:  # noqa: BLE001 - see below
                # A bug must not leave the cache stale without notice: it is reported, and the kind is listed again.
                _log.exception("%s: unexpected error", self.resource.plural)
                self._report(error)
                self._resource_version = None
                await self._clock.sleep(self._retry.next_seconds())

    def reopen(self) -> None:
        """End the watch; before it is opened again, the history of the cluster is checked."""
        if self._deadline is not None:
            self._reopens = True
            self._deadline.reschedule(asyncio.get_running_loop().time())

    def _distrust(self, reason: str) -> None:
        """Trust nothing that is known of the kind, and list it."""
        self._distrusted += 1
        self._resource_version, self._newest = None, 0
        self._sink.distrust(self.resource.kind)
        self._note_problem(reason)
        self.reopen()

    def _check_order(self, number: int, what: str) -> None:
        """
        Check that a resourceVersion is not smaller than the known one; 0 cannot be compared.

        Raises:
            _DistrustedError: it is, so the cluster went back to an older state.
        """
        if 0 < number < self._newest:
            self._history.went_back(f"{self.resource.plural}: {what} has resourceVersion {number} after {self._newest}")
            raise _DistrustedError

    def _pause_seconds(self, error: ClusterError) -> float:
        """Return how long to wait after *error*: not at all after a 410, since the API server answers."""
        if not isinstance(error, ApiError):
            return self._retry.next_seconds()
        if error.status == HTTPStatus.GONE:
            return 0.0  # the interval between lists is kept in any case
        longest = self._timing.retry.longest_seconds
        return max(self._retry.next_seconds(), min(error.retry_after_seconds, longest))

    async def _list(self) -> None:
        early = self._listed_at + self._timing.list_interval_seconds - self._clock.monotonic()
        if early > 0:
            await self._clock.sleep(early)
        self._listed_at = self._clock.monotonic()
        distrusted = self._distrusted
        intake = self._sink.begin_list(self.resource.kind)
        resource_version: str | None = None
        try:
            async for page in pages(self._client, self._path, query=self._query):
                if resource_version is None:
                    resource_version = page.resource_version
                    self._check_order(version_number(resource_version), "a list")
                await intake.add(decode_items(self.resource, page.items))
        except ApiError as error:
            if error.status == HTTPStatus.NOT_FOUND and self.resource.kind in OPTIONAL_KINDS:
                await self._miss()
            if error.status == HTTPStatus.FORBIDDEN:
                raise self._forbidden("list", error) from error
            raise
        number = version_number(resource_version)
        await intake.finish(number)
        if distrusted != self._distrusted:
            self._sink.distrust(self.resource.kind)  # the list may have begun before the cluster went back
            raise _DistrustedError
        self._misses = 0
        self._status.served = True
        self._newest = number
        self._resource_version = resource_version
        self._is_current = True

    async def _miss(self) -> NoReturn:
        """Note that the kind is not served; remove its objects once that is certain."""
        self._misses += 1
        is_empty = self._status.lists > 0 and not self._status.objects
        if is_empty or self._misses >= _MISSES_THAT_CONVINCE:
            if self._status.served:
                _log.info("%s are not installed", self.resource.plural)
            await self._sink.begin_list(self.resource.kind).finish(self._newest)
            self._sink.mark(self.resource.kind, synced=True)
            self._status.served = False
            self._recovered()
        raise _MissingError

    async def _watch(self) -> None:
        if not self._is_current:
            await self._check_history()
        self._is_current = False
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
                asyncio.timeout(stall_seconds) as self._deadline,
                self._client.stream(self._path, query) as chunks,
            ):
                self._got_line = self._reopens = False
                # A stream that opens shows that the API server is there, but not if the one before stayed silent.
                if not self._mute:
                    self._sink.all_heard_before(self.resource.kind, version_number(version))
                self._sink.mark(self.resource.kind, synced=True)
                self._recovered()
                await self._follow(chunks, self._deadline)
        except TimeoutError as error:
            if self._reopens:
                return
            self._mute = not self._got_line
            raise UnreachableError(f"no whole line came from the watch for {stall_seconds:g} s") from error
        except ApiError as error:
            raise self._refused("watch", error) from error
        except (LineTooLongError, msgspec.MsgspecError) as error:
            # The same line would come again.
            self._resource_version = None
            raise UnreachableError(f"a line of the watch is not an event: {error}") from error
        finally:
            self._deadline = None
            if not self._status.synced:  # the first watch failed, and time has passed since the list
                self._resource_version = None
        lasted = self._clock.monotonic() - began
        if lasted < self._timing.short_watch_seconds:
            self._mute = not self._got_line
            raise UnreachableError(f"the watch ended after {lasted:.1f} s")

    async def _check_history(self) -> None:
        """
        Check, before a watch resumes, that the cluster did not go back: the watch itself would not show it.

        Raises:
            ClusterError: it did, or the API server did not answer.
        """
        try:
            number = await current_version(self._client, self._path, self._query)
        except ApiError as error:
            raise self._refused("list", error) from error
        self._check_order(number, "the API server")

    def _refused(self, verb: str, error: ApiError) -> ClusterError:
        """Return the error of a refused request; after some refusals the kind must be listed."""
        if error.status in _RELIST_STATUSES or _TOO_LARGE in error.message.lower():
            self._resource_version = None
        return self._forbidden(verb, error) if error.status == HTTPStatus.FORBIDDEN else error

    async def _follow(self, chunks: AsyncIterator[bytes], deadline: asyncio.Timeout) -> None:
        loop = asyncio.get_running_loop()
        splitter, time_slice = LineSplitter(), TimeSlice(self._clock.monotonic)
        async for chunk in chunks:
            for line in splitter.feed(chunk):
                if self._reopens:
                    return
                deadline.reschedule(loop.time() + self._timing.stall_seconds)
                self._got_line, self._mute = True, False
                if len(line) > _LARGE_LINE_BYTES:  # the next line waits, so the events keep their order
                    self._take(*await asyncio.to_thread(_read, self.resource, line))
                else:
                    self._take(decode_event(self.resource, line))
                await time_slice.check()

    def _take(self, event: WatchEvent, parsed: Parsed | None = None) -> None:
        kind = self.resource.kind
        if event.type == "ERROR":
            self._resource_version = None
            raise status_error(event.object)
        resource_version = (event.object.get("metadata") or {}).get("resourceVersion", "")
        number = version_number(resource_version)
        self._check_order(number, "an event")
        if event.type == "BOOKMARK":
            self._sink.all_heard_before(kind, number)
        elif event.type in CHANGES:
            self._sink.apply(kind, cast("EventType", event.type), event.object, parsed=parsed)
        if number > self._newest:
            self._newest = number
            self._resource_version = resource_version

    def _forbidden(self, verb: str, error: ApiError) -> ForbiddenError:
        """Return the error that names the right; a kind that has been forbidden for long is no longer known."""
        now = self._clock.monotonic()
        self._forbidden_at = now if self._forbidden_at is None else self._forbidden_at
        if now - self._forbidden_at >= self._timing.forbidden_seconds:
            self._sink.mark(self.resource.kind, synced=False)
        return ForbiddenError(verb, self.resource, error.message)

    def _report(self, error: Exception) -> None:
        self._note_problem(error)
        self._log_problem()

    def _note_problem(self, error: Exception | str) -> None:
        problem = one_line(str(error)) or type(error).__name__
        self._is_logged = self._is_logged and problem == self._status.problem
        self._status.problem = problem
        self._sink.announce()

    def _log_problem(self) -> None:
        """Log the problem, as a warning unless it already was."""
        level = logging.DEBUG if self._is_logged else logging.WARNING
        _log.log(level, "%s: %s", self.resource.plural, self._status.problem)
        self._is_logged = True

    def _recovered(self) -> None:
        if self._is_logged:
            _log.info("%s: up to date again", self.resource.plural)
        self._is_logged = False
        self._forbidden_at = None
        self._status.problem = ""
        self._sink.announce()


def _read(resource: ResourceType, line: bytes) -> tuple[WatchEvent, Parsed | None]:
    """Decode one line and read its object, if a snapshot reads objects of the kind; called in a thread."""
    event = decode_event(resource, line)
    is_read = event.type in CHANGES and event.type != "DELETED"
    return event, read_ahead(event.object) if is_read else None
