"""
Judge NetworkPolicies while the cluster changes underneath.

A verdict rests on the cache, and the cache is always a little behind. So whatever was admitted and not seen yet is
judged as both done and not done; and before a refusal the API server is asked once, live, whether it must be: somebody
may have repaired things on another replica a moment ago.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Protocol

from webhook.admission import AdmissionRequest, AdmissionResponse, Options, decide
from webhook.admission.decide import pending_change
from webhook.admission.inflight import InFlight
from webhook.admission.response import with_note
from webhook.cluster.errors import ClusterError
from webhook.eem import EemSnapshot
from webhook.eem.resources import NETWORK_POLICIES
from webhook.server.refusals import NotReady

LIVE_SECONDS = 0.5
"""How long a live list may take: a refusal must come well within the webhook's timeout of 5 s."""

ListPolicies = Callable[[str], Awaitable[Iterable[Mapping[str, Any]]]]
"""Read every NetworkPolicy of one namespace from the API server, as it is now; raises ClusterError."""

log = logging.getLogger(__name__)


class Known(Protocol):
    """What is known of the cluster: a store, seen from here."""

    @property
    def snapshot(self) -> EemSnapshot:
        """Give the cluster as it is known now."""

    @property
    def has_synced(self) -> bool:
        """Say whether every kind is known."""


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
        self._in_flight = InFlight()

    async def __call__(self, request: AdmissionRequest) -> AdmissionResponse:
        """Judge one review."""
        if not self._known.has_synced:
            raise NotReady("the cluster is not known yet")
        response = self._decide(request, self._known.snapshot)
        if response.verdict is None or not response.verdict.lost or self._live is None:
            return response
        began = self._monotonic()
        try:
            async with asyncio.timeout(self._live_seconds):
                listed = await self._live(request.namespace)
        except (ClusterError, TimeoutError) as error:
            return self._unconfirmed(response, error)
        self._in_flight = self._in_flight.without_failed(request.namespace, began)
        return self._decide(request, with_policies(self._known.snapshot, request.namespace, listed))

    def _decide(self, request: AdmissionRequest, snapshot: EemSnapshot) -> AdmissionResponse:
        """Decide, and remember at once what was admitted: nothing else runs in between."""
        if self._live is None:
            # Files do not change by what is asked: nothing is ever in flight.
            return decide(request, snapshot, self._options)
        now = self._monotonic()
        concerned = {
            pending.namespace: snapshot.cluster.state(pending.namespace) for pending in self._in_flight.pending
        }
        policies = {name: state.policies for name, state in concerned.items()}
        self._in_flight = self._in_flight.without_seen(policies, now)
        response = decide(request, snapshot, self._options, self._in_flight)
        if response.allowed:
            pending = pending_change(request, snapshot, now)
            if pending is not None:
                self._in_flight = self._in_flight.with_admitted(pending)
        return response

    def _unconfirmed(self, response: AdmissionResponse, error: Exception) -> AdmissionResponse:
        reason = "it did not answer in time" if isinstance(error, TimeoutError) else str(error)
        log.warning("a verdict could not be confirmed", extra={"fields": {"reason": reason}})
        if response.allowed:
            return response
        return with_note(response, f"(The API server could not be asked whether this still is so: {reason[:100]})")


def with_policies(snapshot: EemSnapshot, namespace: str, listed: Iterable[Mapping[str, Any]]) -> EemSnapshot:
    """Give the snapshot with the policies of one namespace replaced by those of a list."""
    gone = set(snapshot.cluster.state(namespace).policies)
    for mapping in listed:
        snapshot = snapshot.with_object(mapping)
        gone.discard(mapping["metadata"]["name"])
    for name in gone:
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
