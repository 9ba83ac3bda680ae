"""
Judge NetworkPolicies while the cluster changes underneath.

A verdict rests on the cache, and the cache is always a little behind. So whatever was admitted and not seen yet is
judged as both done and not done; and before a refusal the API server is asked, live, whether it must be: somebody may
have repaired things on another replica a moment ago.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from webhook.admission import AdmissionRequest, AdmissionResponse, Options, decide
from webhook.admission.decide import NOTHING_IN_FLIGHT, is_version_of, pending_change
from webhook.admission.inflight import MOST_PENDING, InFlight
from webhook.admission.response import with_note
from webhook.admission.review import metadata_text
from webhook.eem import EemSnapshot
from webhook.eem.resources import NETWORK_POLICIES
from webhook.guard.outcomes import ListError, NotReady, Overloaded
from webhook.netpol.model import NetworkPolicy
from webhook.netpol.parse import read_policy
from webhook.netpol.parse_objects import is_large

LIVE_SECONDS = 0.4
"""
How long a refusal may take to be confirmed. The shortest timeout that a webhook can have is 1 s, of which the server
keeps back half for its answer to arrive.
"""

LONGEST_REASON = 200  # characters: the path that was asked for has up to 122
IN_DOUBT = "(A change of another policy was admitted a moment ago and may still be on its way; try again.)"

ListPolicies = Callable[[str], Awaitable[Iterable[Mapping[str, Any]]]]
"""Read every NetworkPolicy of one namespace from the API server, as it is now; raises ListError."""

log = logging.getLogger(__name__)


class Known(Protocol):
    """What is known of the cluster: a store, seen from here."""

    @property
    def snapshot(self) -> EemSnapshot:
        """Give the cluster as it is known now."""

    @property
    def has_synced(self) -> bool:
        """Say whether every kind is known."""

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call *listener* after every change."""

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until *condition* holds; it is asked again after every change."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """
    The policies of one namespace as the API server lists them.

    Args:
        policies: by name.
        began: when it was asked, in seconds of the judge's clock: they are as they were then, or later.
        cached: what the cache had of them from then on, until they were listed.
    """

    policies: Mapping[str, NetworkPolicy]
    began: float
    cached: Mapping[str, NetworkPolicy]


class PolicyJudge:
    """
    The judge of NetworkPolicies.

    Args:
        known: what is known of the cluster.
        options: how decisions are made.
        live: asks the API server; None where the cluster is files.
        monotonic: seconds, never going back.
    """

    def __init__(
        self,
        known: Known,
        options: Options,
        live: ListPolicies | None = None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        live_seconds: float = LIVE_SECONDS,
    ) -> None:
        self._known = known
        self._options = options
        self._live = live
        self._monotonic = monotonic
        self._live_seconds = live_seconds
        self._in_flight: dict[str, InFlight] = {}  # by namespace
        known.subscribe(self._look)

    @property
    def in_flight(self) -> int:
        """Count the changes that were admitted and that nobody has seen yet."""
        return sum(len(known.pending) for known in self._in_flight.values())

    async def __call__(self, request: AdmissionRequest) -> AdmissionResponse:
        """Judge one review."""
        if not self._known.has_synced:
            raise NotReady("the cluster is not known yet")
        if self._live is None:
            # Files do not change by what is asked: nothing is ever in flight.
            return decide(request, self._known.snapshot, self._options)
        await self._make_room(request.namespace, self._live)
        response = self._decide(request)
        if response.verdict is None or not response.verdict.lost:
            return self._admit(request, response)
        return self._admit(request, await self._confirm(request, response, self._live))

    async def _confirm(
        self, request: AdmissionRequest, response: AdmissionResponse, live: ListPolicies
    ) -> AdmissionResponse:
        """
        Ask the API server whether something is lost; where that hangs on a change in flight, wait what becomes of it.

        It takes at most the time for one live list, whatever happens.
        """
        was_listed = False
        try:
            async with asyncio.timeout(self._live_seconds):
                while True:
                    listed = await self._list(request.namespace, live)
                    was_listed, response = True, self._decide(request, listed)
                    if not self._is_in_doubt(request, response, listed):
                        return response
                    await self._known.wait_until(partial(self._has_moved, request.namespace, listed.cached))
        except (ListError, TimeoutError) as error:
            if not was_listed:
                return self._unconfirmed(response, error)
        # What was listed is old by now and must not be judged again: the refusal stands.
        return with_note(response, IN_DOUBT)

    def _is_in_doubt(self, request: AdmissionRequest, response: AdmissionResponse, listed: Listed) -> bool:
        """Say whether the request is refused only for what may come of changes that were admitted and not seen yet."""
        if response.allowed:
            return False
        return decide(request, self._as_listed(request.namespace, listed), self._options).allowed

    def _has_moved(self, namespace: str, cached: Mapping[str, NetworkPolicy]) -> bool:
        return self._cached(namespace) is not cached

    async def _list(self, namespace: str, live: ListPolicies) -> Listed:
        """
        Ask the API server, and again if the watch has brought something meanwhile.

        Else what is listed could be older than what is known: what has gone since would count as there.
        """
        while True:
            began, before = self._monotonic(), self._cached(namespace)
            found = await live(namespace)
            listed = await _read_beside(namespace, found, before)
            if not self._has_moved(namespace, before):
                return Listed(policies=listed, began=began, cached=before)

    def _decide(self, request: AdmissionRequest, listed: Listed | None = None) -> AdmissionResponse:
        """Decide on what is cached, or what was listed."""
        now, namespace = self._monotonic(), request.namespace
        in_flight = self._unseen(namespace, now)
        if listed is None:
            return decide(request, self._known.snapshot, self._options, in_flight)
        # What the list shows to have happened still counts where the cache, which has not seen it, is asked.
        self._keep(namespace, in_flight.without_failed(listed.policies, listed.began))
        in_doubt = in_flight.without_shown(listed.policies, listed.began)
        return decide(request, self._as_listed(namespace, listed), self._options, in_doubt)

    def _as_listed(self, namespace: str, listed: Listed) -> EemSnapshot:
        return with_policies(self._known.snapshot, namespace, listed.policies)

    def _admit(self, request: AdmissionRequest, response: AdmissionResponse) -> AdmissionResponse:
        """Remember what was admitted: nothing else runs between the decision and here."""
        pending = pending_change(request, self._known.snapshot, self._monotonic()) if response.allowed else None
        if pending is not None:
            self._forget_old(pending.admitted_at)
            known = self._in_flight.get(request.namespace, NOTHING_IN_FLIGHT)
            self._keep(request.namespace, known.with_admitted(pending))
        return response

    async def _make_room(self, namespace: str, live: ListPolicies) -> None:
        """
        Make sure that so much is in flight in one namespace only that deciding there keeps nobody else waiting.

        Raises:
            Overloaded: it is too much, and nobody can say yet what has failed of it.
        """
        if len(self._in_flight.get(namespace, NOTHING_IN_FLIGHT).pending) < MOST_PENDING:
            return
        try:
            async with asyncio.timeout(self._live_seconds):
                listed = await self._list(namespace, live)
        except (ListError, TimeoutError) as error:
            raise Overloaded("too much is in flight in one namespace, and what of it cannot be asked") from error
        unseen = self._unseen(namespace, self._monotonic())
        if len(self._keep(namespace, unseen.without_failed(listed.policies, listed.began)).pending) >= MOST_PENDING:
            raise Overloaded("too much is in flight in one namespace")

    def _unseen(self, namespace: str, now: float) -> InFlight:
        """Give what is in flight in a namespace, without what the cache has seen."""
        in_flight = self._in_flight.get(namespace)
        if in_flight is None:
            return NOTHING_IN_FLIGHT
        return self._keep(namespace, in_flight.without_seen(self._cached(namespace), now))

    def _keep(self, namespace: str, in_flight: InFlight) -> InFlight:
        if in_flight.pending:
            self._in_flight[namespace] = in_flight
        else:
            self._in_flight.pop(namespace, None)
        return in_flight

    def _forget_old(self, now: float) -> None:
        """Forget what is too old to happen, in namespaces, too, about which nobody asks any more."""
        for namespace in [name for name, known in self._in_flight.items() if known.is_over(now)]:
            del self._in_flight[namespace]

    def _cached(self, namespace: str) -> Mapping[str, NetworkPolicy]:
        """Give the policies as the watch has brought them; while it brings nothing, this is one and the same object."""
        return self._known.snapshot.cluster.state(namespace).policies

    def _look(self) -> None:
        """Look at each state of the cache, lest something comes and goes unseen."""
        for namespace in tuple(self._in_flight):
            self._unseen(namespace, self._monotonic())

    def _unconfirmed(self, response: AdmissionResponse, error: Exception) -> AdmissionResponse:
        reason = "it did not answer in time" if isinstance(error, TimeoutError) else str(error)
        log.warning("a verdict could not be confirmed", extra={"fields": {"reason": reason}})
        if response.allowed:
            return response
        return with_note(
            response, f"(The API server could not be asked whether this still is so: {reason[:LONGEST_REASON]})"
        )


def read_listed(
    namespace: str, listed: Iterable[Mapping[str, Any]], cached: Mapping[str, NetworkPolicy]
) -> Mapping[str, NetworkPolicy]:
    """Read what was listed; what is cached in the same version need not be read again."""
    found: dict[str, NetworkPolicy] = {}
    for mapping in listed:
        name = metadata_text(mapping, "name")
        found[name] = cached[name] if is_cached(mapping, cached) else read_policy(mapping, namespace)[0]
    return found


async def _read_beside(
    namespace: str, listed: Iterable[Mapping[str, Any]], cached: Mapping[str, NetworkPolicy]
) -> Mapping[str, NetworkPolicy]:
    """Read what was listed; where much of it is not cached, in a thread."""
    mappings = tuple(listed)
    if is_large([mapping for mapping in mappings if not is_cached(mapping, cached)]):
        return await asyncio.to_thread(read_listed, namespace, mappings, cached)
    return read_listed(namespace, mappings, cached)


def is_cached(mapping: Mapping[str, Any], cached: Mapping[str, NetworkPolicy]) -> bool:
    """Say whether this very version of a policy is known."""
    known = cached.get(metadata_text(mapping, "name"))
    return known is not None and is_version_of(known, mapping)


def with_policies(snapshot: EemSnapshot, namespace: str, listed: Mapping[str, NetworkPolicy]) -> EemSnapshot:
    """Give the snapshot with the policies of one namespace replaced by those of a list."""
    cached = snapshot.cluster.state(namespace).policies
    for name, policy in listed.items():
        if cached.get(name) is not policy:
            snapshot = snapshot.with_parsed(policy)
    for name in cached.keys() - listed.keys():
        snapshot = snapshot.without_object(NETWORK_POLICIES.kind, namespace, name)
    return snapshot


class InstanceJudge:
    """
    The judge of EEM resources: one question, one answer, on the snapshot of the moment.

    Args:
        known: what is known of the cluster.
        options: how decisions are made, at the moment: the platform may be found out later than the service starts.
        judge: what is asked: validate or mutate.
    """

    def __init__(
        self,
        known: Known,
        options: Callable[[], Options],
        judge: Callable[[AdmissionRequest, EemSnapshot, Options], AdmissionResponse],
    ) -> None:
        self._known = known
        self._options = options
        self._judge = judge

    async def __call__(self, request: AdmissionRequest) -> AdmissionResponse:
        """Judge one review."""
        if not self._known.has_synced:
            raise NotReady("the cluster is not known yet")
        return self._judge(request, self._known.snapshot, self._options())
