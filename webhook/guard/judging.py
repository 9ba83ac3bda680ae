"""
Judge NetworkPolicies while the cluster changes.

A verdict rests on the cache, and the cache is always a little behind. So a change is judged for each outcome that the
changes in flight may have; and before a refusal the policies are listed live, because another replica may have admitted
a repair that the cache does not have yet.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from webhook.admission import AdmissionRequest, AdmissionResponse, Options, decide
from webhook.admission.inflight import MOST_PENDING, NOTHING_IN_FLIGHT, InFlight, pending_change
from webhook.admission.networkpolicy import Assessment, answer, assess, review_of, settle
from webhook.admission.options import mode_of
from webhook.admission.response import with_note
from webhook.admission.review import Policies, PolicyReview, is_version_of, metadata_text, policy_named
from webhook.eem import EemSnapshot
from webhook.eem.resources import NETWORK_POLICIES
from webhook.guard.outcomes import ListError, NotReady, Overloaded
from webhook.netpol.model import NetworkPolicy
from webhook.netpol.parse import read_policy
from webhook.netpol.parse_objects import is_large

LIVE_SECONDS = 0.4
"""
How long the confirmation of a refusal may take. The shortest timeout of a webhook is 1 s, and the server keeps half of
it for the answer to arrive.
"""

LONGEST_REASON = 200  # characters of an error message; the path in it has up to 122
IN_DOUBT = "(Another change of a NetworkPolicy was admitted a moment ago and its outcome is not known yet; try again.)"

ListPolicies = Callable[[str], Awaitable[Iterable[Mapping[str, Any]]]]
"""Return every NetworkPolicy of one namespace as the API server has it now; raises ListError."""

Basis = tuple[EemSnapshot, InFlight]
"""The cluster and the changes in flight on which a change is judged."""

log = logging.getLogger(__name__)


class ClusterCache(Protocol):
    """The cache of the cluster."""

    @property
    def snapshot(self) -> EemSnapshot:
        """Return the cluster as it is known now."""

    @property
    def has_synced(self) -> bool:
        """Whether every kind is known."""

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call *listener* after every change."""

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until *condition* holds; it is checked after every change."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """
    The policies of one namespace as the API server lists them.

    Args:
        policies: by name.
        began: the time of the request, in seconds of the judge's clock: the policies are as they were then, or later.
        cached: the policies in the cache, from that time until they were listed.
    """

    policies: Policies
    began: float
    cached: Policies


class PolicyJudge:
    """
    The judge of NetworkPolicies.

    Args:
        cache: the cluster as it is known.
        options: the settings of decisions.
        live: lists policies from the API server; None if the cluster is read from files.
        monotonic: returns seconds that never go back.
        live_seconds: how long the confirmation of a refusal may take.
    """

    def __init__(
        self,
        cache: ClusterCache,
        options: Options,
        live: ListPolicies | None = None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        live_seconds: float = LIVE_SECONDS,
    ) -> None:
        self._cache = cache
        self._options = options
        self._live = live
        self._monotonic = monotonic
        self._live_seconds = live_seconds
        self._in_flight: dict[str, InFlight] = {}  # by namespace
        cache.subscribe(self._look)

    @property
    def in_flight(self) -> int:
        """Count the changes in flight."""
        return sum(len(known.pending) for known in self._in_flight.values())

    async def __call__(self, request: AdmissionRequest) -> AdmissionResponse:
        """
        Judge one review.

        Raises:
            NoVerdict: no verdict is possible now.
            ReviewError: the request is not about a NetworkPolicy, or does not have its object.
        """
        if not self._cache.has_synced:
            raise NotReady("the cluster is not known yet")
        if self._live is None:  # files do not change because of a verdict, so nothing is ever in flight
            return decide(request, self._cache.snapshot, self._options)
        await self._make_room(request.namespace, self._live)
        review = review_of(request, self._cache.snapshot)
        response = settle(review, self._cache.snapshot, self._options)
        if response is None:
            response = await self._judged(review, self._live)
        # No other review is judged between the verdict and here.
        pending = pending_change(review, self._cache.snapshot, self._monotonic()) if response.allowed else None
        if pending is not None:
            self._forget_old(pending.admitted_at)
            known = self._in_flight.get(request.namespace, NOTHING_IN_FLIGHT)
            self._keep(request.namespace, known.with_admitted(pending))
        return response

    async def _judged(self, review: PolicyReview, live: ListPolicies) -> AdmissionResponse:
        """Judge on the cache, confirm a loss with a live list, and explain the result."""
        basis = self._basis(review)
        assessment, note = assess(review, *basis, self._options), ""
        if assessment.losses:
            assessment, note = await self._confirmed(review, basis, assessment, live)
        response = answer(review, assessment, self._cache.snapshot, self._options)
        return with_note(response, note) if note and not response.allowed else response

    async def _confirmed(
        self, review: PolicyReview, basis: Basis, assessment: Assessment, live: ListPolicies
    ) -> tuple[Assessment, str]:
        """
        Judge on a live list; if a refusal depends on a change in flight, wait until the watch shows the outcome.

        Return the last assessment, with a note for a refusal that rests on incomplete knowledge. This takes at most the
        time for one confirmation. If the list shows what the cache has, the change is not judged again.
        """
        namespace, was_listed = review.request.namespace, False
        try:
            async with asyncio.timeout(self._live_seconds):
                while True:
                    listed = await self._list(namespace, live)
                    was_listed, confirmed = True, self._basis(review, listed)
                    if not _is_same(confirmed, basis):
                        basis, assessment = confirmed, assess(review, *confirmed, self._options)
                    if not self._is_enforced(namespace) or not assessment.is_in_doubt(self._options):
                        return assessment, ""
                    await self._cache.wait_until(partial(self._has_moved, namespace, listed.cached))
        except (ListError, TimeoutError) as error:
            if not was_listed:
                return assessment, _unconfirmed(error)
        # The list is old by now, so the change is not judged again: the refusal stands.
        return assessment, IN_DOUBT

    def _basis(self, review: PolicyReview, listed: Listed | None = None) -> Basis:
        """Return the cluster and the changes in flight on which to judge: as cached, or as listed."""
        namespace = review.request.namespace
        in_flight = self._unseen(namespace, self._monotonic())
        if listed is None:
            return self._cache.snapshot, in_flight
        # A change that the list shows still counts for verdicts on the cache, which has not seen it.
        self._keep(namespace, in_flight.without_failed(listed.policies, listed.began))
        snapshot = with_policies(self._cache.snapshot, namespace, listed.policies)
        return snapshot, in_flight.without_shown(listed.policies, listed.began)

    def _is_enforced(self, namespace: str) -> bool:
        return mode_of(namespace, self._cache.snapshot, self._options) == "enforce"

    async def _list(self, namespace: str, live: ListPolicies) -> Listed:
        """
        List the policies, and again if the watch brings a change meanwhile.

        Otherwise the list could be older than the cache, and a policy that was deleted since would count.
        """
        while True:
            began, before = self._monotonic(), self._cached(namespace)
            found = await live(namespace)
            policies = await _parsed(namespace, found, before)
            if not self._has_moved(namespace, before):
                return Listed(policies=policies, began=began, cached=before)

    def _has_moved(self, namespace: str, cached: Policies) -> bool:
        """Whether the watch has changed the policies in the cache."""
        return self._cached(namespace) is not cached

    async def _make_room(self, namespace: str, live: ListPolicies) -> None:
        """
        Ensure that few enough changes are in flight in one namespace to judge each review quickly.

        Raises:
            Overloaded: there are too many, and a live list does not show that some have failed.
        """
        if len(self._in_flight.get(namespace, NOTHING_IN_FLIGHT).pending) < MOST_PENDING:
            return
        try:
            async with asyncio.timeout(self._live_seconds):
                listed = await self._list(namespace, live)
        except (ListError, TimeoutError) as error:
            raise Overloaded("too many changes are in flight in one namespace, and the live list failed") from error
        unseen = self._unseen(namespace, self._monotonic())
        if len(self._keep(namespace, unseen.without_failed(listed.policies, listed.began)).pending) >= MOST_PENDING:
            raise Overloaded("too many changes are in flight in one namespace")

    def _unseen(self, namespace: str, now: float) -> InFlight:
        """Return the changes in flight in a namespace, without those whose outcome the cache shows."""
        in_flight = self._in_flight.get(namespace, NOTHING_IN_FLIGHT)
        return self._keep(namespace, in_flight.without_seen(self._cached(namespace), now))

    def _keep(self, namespace: str, in_flight: InFlight) -> InFlight:
        if in_flight.pending:
            self._in_flight[namespace] = in_flight
        else:
            self._in_flight.pop(namespace, None)
        return in_flight

    def _forget_old(self, now: float) -> None:
        """Forget changes that are too old to happen, also in namespaces for which no review comes any more."""
        for namespace in [name for name, known in self._in_flight.items() if known.is_over(now)]:
            del self._in_flight[namespace]

    def _cached(self, namespace: str) -> Policies:
        """Return the policies in the cache: the same object until the watch brings a change of one of them."""
        return self._cache.snapshot.cluster.state(namespace).policies

    def _look(self) -> None:
        """Look at each state of the cache, so that no outcome is missed."""
        for namespace in tuple(self._in_flight):
            self._unseen(namespace, self._monotonic())


def _is_same(basis: Basis, other: Basis) -> bool:
    return basis[0] is other[0] and basis[1] == other[1]


def _unconfirmed(error: Exception) -> str:
    """Log that a verdict was not confirmed, and return the note for a refusal."""
    reason = "it did not answer in time" if isinstance(error, TimeoutError) else str(error)
    log.warning("a verdict could not be confirmed", extra={"fields": {"reason": reason}})
    return f"(The API server could not be asked to confirm this: {reason[:LONGEST_REASON]})"


async def _parsed(namespace: str, listed: Iterable[Mapping[str, Any]], cached: Policies) -> Policies:
    """Parse the policies of a list, except those that the cache has in the same version; many in a thread."""
    found: dict[str, NetworkPolicy] = {}
    unknown: list[Mapping[str, Any]] = []
    for mapping in listed:
        known = policy_named(metadata_text(mapping, "name"), cached)
        if known is not None and is_version_of(known, mapping):
            found[known.name] = known
        else:
            unknown.append(mapping)
    parse = partial(_parse_policies, namespace, unknown)
    return found | (await asyncio.to_thread(parse) if is_large(unknown) else parse())


def _parse_policies(namespace: str, listed: Iterable[Mapping[str, Any]]) -> dict[str, NetworkPolicy]:
    return {policy.name: policy for policy in (read_policy(mapping, namespace)[0] for mapping in listed)}


def with_policies(snapshot: EemSnapshot, namespace: str, listed: Policies) -> EemSnapshot:
    """Return the snapshot with the policies of one namespace replaced by those of a list."""
    cached = snapshot.cluster.state(namespace).policies
    for name, policy in listed.items():
        if policy_named(name, cached) is not policy:
            snapshot = snapshot.with_parsed(policy)
    for name in cached.keys() - listed.keys():
        snapshot = snapshot.without_object(NETWORK_POLICIES.kind, namespace, name)
    return snapshot


class InstanceJudge:
    """
    The judge of EEM resources: it decides on the snapshot of the moment.

    Args:
        cache: the cluster as it is known.
        options: returns the current settings: the platform may be detected after the service has started.
        decide: validate or default.
    """

    def __init__(
        self,
        cache: ClusterCache,
        options: Callable[[], Options],
        decide: Callable[[AdmissionRequest, EemSnapshot, Options], AdmissionResponse],
    ) -> None:
        self._cache = cache
        self._options = options
        self._decide = decide

    async def __call__(self, request: AdmissionRequest) -> AdmissionResponse:
        """
        Judge one review.

        Raises:
            NotReady: the cluster is not known yet.
            ReviewError: the request is about another group or version, or does not have its object.
        """
        if not self._cache.has_synced:
            raise NotReady("the cluster is not known yet")
        return self._decide(request, self._cache.snapshot, self._options())
