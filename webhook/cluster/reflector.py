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
from webhook.cluster.definitions import Definition, Installation
from webhook.cluster.errors import (
    ApiError,
    ClusterError,
    DistrustedError,
    ForbiddenError,
    MissingError,
    UnreachableError,
    calls_for_a_list,
    status_error,
)
from webhook.cluster.lists import current_version, decode_items, pages
from webhook.cluster.ordering import EventType, version_number
from webhook.cluster.probe import Reachability
from webhook.cluster.sink import ProblemLog, Selection, Sink
from webhook.cluster.timing import Backoff, Clock, ReflectorTiming, TimeSlice, first_of
from webhook.cluster.watch_events import CHANGES, LineTooLongError, WatchEvent, read_events
from webhook.eem.resources import OPTIONAL_KINDS, OPTIONAL_RIGHTS, ResourceType
from webhook.netpol.parse_objects import Parsed

_log: Final = logging.getLogger(__name__)

# A kind counts as not installed when two lists in a row got 404, a second or more apart, unless it had no objects: an
# API server that starts may answer 404 before it has read its CustomResourceDefinitions, and an empty cache would let
# every change pass.
_MISSES_THAT_CONVINCE: Final = 2
EVERYTHING: Final = Selection()


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
        definition: Definition | None = None,
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
        self._selection = selection
        self._definition = definition or Definition(resource)
        self._definition.subscribe(self._follow_definition)
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
        self._problems = ProblemLog(self._status, sink.announce)

    async def run(self) -> None:
        """List and watch until cancelled; no answer of the API server ends it."""
        while True:
            try:
                if self._resource_version is None:
                    await self._list()
                await self._watch()
            except MissingError:
                await first_of(self._clock.sleep(self._missing.next_seconds()), self._definition.changed.wait())
            except DistrustedError:
                continue  # the interval between lists is kept in any case
            except UnreachableError as error:
                self._problems.note(error)
                if not await self._reach.until_answered():
                    self._problems.log()
                    await self._clock.sleep(self._retry.next_seconds())
            except ClusterError as error:
                self._problems.note(error)
                self._problems.log()
                is_known = self._status.synced and self._status.served
                if isinstance(error, ForbiddenError) and self.resource.kind in OPTIONAL_RIGHTS and not is_known:
                    await self._leave_out()
                await self._clock.sleep(self._pause_seconds(error))
            except Exception as error:  # noqa: BLE001 - see below
                # A bug must not leave the cache stale without notice: it is reported, and the kind listed again.
                _log.exception("%s: unexpected error", self.resource.plural)
                self._problems.note(error)
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
        self._problems.note(reason)
        self.reopen()

    def _check_order(self, number: int, what: str) -> None:
        """
        Check that a resourceVersion is not smaller than the known one; 0 cannot be compared.

        Raises:
            DistrustedError: it is, so the cluster went back to an older state.
        """
        if 0 < number < self._newest:
            self._history.went_back(f"{self.resource.plural}: {what} has resourceVersion {number} after {self._newest}")
            raise DistrustedError

    def _pause_seconds(self, error: ClusterError) -> float:
        """Return how long to wait after *error*: not at all after a 410, since the API server answers."""
        if not isinstance(error, ApiError):
            return self._retry.next_seconds()
        if error.status == HTTPStatus.GONE:
            return 0.0  # the interval between lists is kept in any case
        longest = self._timing.retry.longest_seconds
        return max(self._retry.next_seconds(), min(error.retry_after_seconds, longest))

    async def _list(self) -> None:
        if self._definition.is_absent:
            self._definition.changed.clear()
            await self._miss()
        early = self._listed_at + self._timing.list_interval_seconds - self._clock.monotonic()
        if early > 0:
            await self._clock.sleep(early)
        self._listed_at = self._clock.monotonic()
        distrusted = self._distrusted
        self._definition.changed.clear()
        intake = self._sink.begin_list(self.resource.kind)
        resource_version: str | None = None
        try:
            async for page in pages(self._client, self._path, query=self._selection.query):
                if resource_version is None:
                    resource_version = page.resource_version
                    self._check_order(version_number(resource_version), "a list")
                await intake.add(decode_items(self._definition.served, page.items))
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
            raise DistrustedError
        if not self._status.served:
            self._status.served = True
            self._sink.mark(self.resource.kind, synced=False)  # it counted as absent; now the watch must stand
        self._newest, self._resource_version = number, resource_version
        self._misses, self._is_current = 0, True

    @property
    def _path(self) -> str:
        return self._definition.served.path(self._selection.namespace)

    async def _miss(self) -> NoReturn:
        """Find out why the path of the kind is not found; remove its objects only if it is not installed."""
        installation = self._definition.installation
        if installation is None and self._definition.is_absent:
            raise MissingError
        if installation is not None and installation.is_installed:
            self._keep_known(installation)
            raise MissingError
        if installation is None and self._definition.is_observed and self._status.objects:
            self._sink.mark(self.resource.kind, synced=False)
            raise ClusterError(f"not served, and {self._definition.name} is not known, which would tell why")
        self._misses += 1
        is_empty = self._status.lists > 0 and not self._status.objects
        if installation is not None or is_empty or self._misses >= _MISSES_THAT_CONVINCE:
            if self._status.served:
                _log.info("%s are not installed", self.resource.plural)
            await self._leave_out()
            self._recovered()
        raise MissingError

    async def _leave_out(self) -> None:
        """Count the kind as one without objects."""
        if self._status.synced and not self._status.served:
            self._sink.all_heard_before(self.resource.kind, self._newest)
            return
        await self._sink.begin_list(self.resource.kind).finish(self._newest)
        self._status.served = False
        self._sink.mark(self.resource.kind, synced=True)

    def _keep_known(self, installation: Installation) -> None:
        """
        Keep what is known of a kind that is installed but not served.

        While no version is served no client can change an instance, so what was known stays true.
        """
        if installation.served is None and self._status.synced:
            self._sink.all_heard_before(self.resource.kind, self._newest)
        else:
            self._problems.note(self._definition.note or "the API server does not serve it yet")

    def _follow_definition(self, is_new: bool) -> None:  # noqa: FBT001 - a listener
        """Read the version that is served now; a kind that was installed just now is not known yet."""
        installation, served = self._definition.installation, self._definition.served
        self._status.note = self._definition.note
        if served != self._status.resource:
            self._status.resource = served
            self.reopen()
        if is_new or (installation is not None and installation.is_installed and not self._status.served):
            self._distrust("it has just been installed")
        self._sink.announce()

    async def _watch(self) -> None:
        if not self._is_current:
            await self._check_history()
        self._is_current = False
        version = self._resource_version or ""
        stall_seconds = self._timing.stall_seconds
        began = self._clock.monotonic()
        seconds = self._rng.randint(self._timing.watch_min_seconds, self._timing.watch_max_seconds)
        query = {
            **self._selection.query,
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
        if (lasted := self._clock.monotonic() - began) < self._timing.short_watch_seconds:
            self._mute = not self._got_line
            raise UnreachableError(f"the watch ended after {lasted:.1f} s")

    async def _check_history(self) -> None:
        """
        Check, before a watch resumes, that the cluster did not go back: the watch itself would not show it.

        Raises:
            ClusterError: it did, or the API server did not answer.
        """
        try:
            number = await current_version(self._client, self._path, self._selection.query)
        except ApiError as error:
            raise self._refused("list", error) from error
        self._check_order(number, "the API server")

    def _refused(self, verb: str, error: ApiError) -> ClusterError:
        """Return the error of a refused request; after some refusals the kind must be listed."""
        if calls_for_a_list(error):
            self._resource_version = None
        return self._forbidden(verb, error) if error.status == HTTPStatus.FORBIDDEN else error

    async def _follow(self, chunks: AsyncIterator[bytes], deadline: asyncio.Timeout) -> None:
        loop, time_slice = asyncio.get_running_loop(), TimeSlice(self._clock.monotonic)
        async for event, parsed in read_events(self._definition.served, chunks):
            if self._reopens:
                return
            deadline.reschedule(loop.time() + self._timing.stall_seconds)
            self._got_line, self._mute = True, False
            self._take(event, parsed)
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

    def _recovered(self) -> None:
        self._forbidden_at = None
        self._problems.clear()
