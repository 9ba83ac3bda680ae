"""
Judge NetworkPolicies while the cluster changes.

A verdict rests on the cache, and the cache is always a little behind. So a change is judged for each outcome that the
changes in flight may have; and before a refusal the policies are listed live, because another replica may have admitted
a repair that the cache does not have yet.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Protocol

from webhook.admission import AdmissionRequest, AdmissionResponse, Options, decide
from webhook.admission.cluster_change import ClusterChange
from webhook.admission.inflight import NOTHING_IN_FLIGHT, InFlight, extreme_policies, pending_change
from webhook.admission.inflight_tiers import TiersInFlight
from webhook.admission.networkpolicy import Assessment, answer, assess, review_of, settle
from webhook.admission.options import mode_of
from webhook.admission.response import with_note
from webhook.admission.review import Policies, PolicyReview, policy_named
from webhook.eem import EemSnapshot
from webhook.eem.resources import NETWORK_POLICIES
from webhook.guard.live_lists import SPACING_SECONDS, Listed, ListPolicies, LiveLists
from webhook.guard.outcomes import ListError, NotReady
from webhook.netpol.cluster_policies import ClusterPolicies

LIVE_SECONDS = 0.4
"""
How long the confirmation of a refusal may take. The shortest timeout of a webhook is 1 s, and the server keeps half of
it for the answer to arrive.
"""

LONGEST_REASON = 200  # characters of an error message; the path in it has up to 122
IN_DOUBT = "(Another change of a policy was admitted a moment ago and its outcome is not known yet; try again.)"
MANY_IN_DOUBT = (
    "(More changes of cluster-wide policies were admitted a moment ago than can be judged one by one, and their "
    "outcome is not known yet; try again.)"
)

Basis = tuple[EemSnapshot, InFlight]
"""The cluster and the changes in flight on which a change is judged."""

Reconsider = Callable[[AdmissionRequest, AdmissionResponse], Awaitable[AdmissionResponse]]
"""Return a refusal as it stands, or the change let through."""

log = logging.getLogger(__name__)


async def leave_refused(_request: AdmissionRequest, refused: AdmissionResponse) -> AdmissionResponse:
    """Return a refusal as it stands."""
    return refused


class ClusterCache(Protocol):
    """The cache of the cluster."""

    @property
    def snapshot(self) -> EemSnapshot:
        """Return the cluster as it is known now."""

    @property
    def has_synced(self) -> bool:
        """Whether every kind is known."""

    @property
    def follows_policies(self) -> bool:
        """Whether nothing keeps the watch of NetworkPolicies from showing what changes now."""

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Call *listener* after every change."""

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Wait until *condition* holds; it is checked after every change."""


class PolicyJudge:
    """
    The judge of NetworkPolicies.

    Args:
        cache: the cluster as it is known.
        options: the settings of decisions.
        live: lists policies from the API server; None if the cluster is read from files.
        monotonic: returns seconds that never go back.
        live_seconds: how long the confirmation of a refusal may take.
        spacing_seconds: the time between live lists of one namespace.
        reconsider: returns a refusal as it stands, or the change let through.
    """

    def __init__(  # noqa: PLR0913  tests set the times
        self,
        cache: ClusterCache,
        options: Options,
        live: ListPolicies | None = None,
        *,
        reconsider: Reconsider = leave_refused,
        monotonic: Callable[[], float] = time.monotonic,
        live_seconds: float = LIVE_SECONDS,
        spacing_seconds: float = SPACING_SECONDS,
    ) -> None:
        self._cache = cache
        self._options = options
        self._lists = (
            None
            if live is None
            else LiveLists(live, self._cached, monotonic, most_seconds=live_seconds, spacing_seconds=spacing_seconds)
        )
        self._reconsider = reconsider
        self._monotonic = monotonic
        self._live_seconds = live_seconds
        self._in_flight: dict[str, InFlight] = {}  # by namespace
        self._tiers = TiersInFlight()
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
        if self._lists is None:  # files do not change because of a verdict, so nothing is ever in flight
            decided = decide(request, self._cache.snapshot, self._options)
            return await self._reconsidered(request, decided)
        review = review_of(request, self._cache.snapshot)
        response = settle(review, self._cache.snapshot, self._options)
        if response is None:
            response = await self._reconsidered(request, await self._judged(review, self._lists))
        # No other review is judged between the verdict and here, unless the change is one that is let through anyway.
        pending = pending_change(review, self._cache.snapshot, self._monotonic()) if response.allowed else None
        if pending is not None:
            self._forget_old(pending.admitted_at)
            known = self._in_flight.get(request.namespace, NOTHING_IN_FLIGHT)
            self._keep(request.namespace, known.with_admitted(pending))
        return response

    async def _reconsidered(self, request: AdmissionRequest, response: AdmissionResponse) -> AdmissionResponse:
        """Return the response, or what becomes of the refusal of a change that cuts off required ingress."""
        is_loss = response.result == "denied" and response.verdict is not None and bool(response.verdict.lost)
        return await self._reconsider(request, response) if is_loss else response

    async def _judged(self, review: PolicyReview, lists: LiveLists) -> AdmissionResponse:
        """
        Judge on the cache, confirm a loss with a live list, and explain the result.

        While the watch is interrupted, every result is confirmed: the API server may come back with an older state.

        Raises:
            NotReady: it has.
        """
        basis = self._basis(review)
        assessment, note = assess(review, *basis, self._options), ""
        if assessment.needs_confirmation or (assessment.world is not None and not self._cache.follows_policies):
            assessment, note = await self._confirmed(review, basis, assessment, lists)
        response = answer(review, assessment, self._cache.snapshot, self._options)
        if response.allowed and not self._cache.has_synced:
            raise NotReady("the cluster is not known any more")
        return with_note(response, note) if note and not response.allowed else response

    async def _confirmed(
        self, review: PolicyReview, basis: Basis, assessment: Assessment, lists: LiveLists
    ) -> tuple[Assessment, str]:
        """
        Judge on a live list; if a refusal depends on a change in flight, wait until the watch shows the outcome.

        Return the last assessment, with a note for a refusal that rests on incomplete knowledge. This takes at most the
        time for one confirmation, after the wait for a turn of the live lists. If the list shows what the cache has,
        the change is not judged again.
        """
        namespace, was_listed = review.request.namespace, False
        beginning = await lists.begin(namespace)
        try:
            async with asyncio.timeout(self._live_seconds):
                while True:
                    listed = await asyncio.shield(beginning)
                    # A list that the watch has overtaken may be older than the cache: a policy that was deleted since
                    # would count.
                    if not self._has_moved(namespace, listed.cached):
                        was_listed, confirmed = True, self._basis(review, listed)
                        if not _is_same(confirmed, basis):
                            basis, assessment = confirmed, assess(review, *confirmed, self._options)
                        if not self._is_enforced(namespace) or not assessment.is_in_doubt(self._options):
                            return assessment, ""
                        seen = self._cluster_wide
                        await self._cache.wait_until(partial(self._has_moved, namespace, listed.cached, seen))
                    beginning = await lists.begin(namespace)
        except (ListError, TimeoutError) as error:
            if not was_listed:
                return assessment, _unconfirmed(error)
        # The list is old by now, so the change is not judged again: the refusal stands.
        return assessment, MANY_IN_DOUBT if basis[1].any_tiers else IN_DOUBT

    def _basis(self, review: PolicyReview, listed: Listed | None = None) -> Basis:
        """Return the cluster and the changes in flight on which to judge: as cached, or as listed."""
        namespace = review.request.namespace
        in_flight = self._unseen(namespace, self._monotonic())
        tiers = self._unseen_tiers().others(self._cluster_wide)
        if listed is None:
            return self._cache.snapshot, replace(in_flight, tiers=tiers.each, any_tiers=tiers.are_extremes)
        # A change that the list shows still counts for verdicts on the cache, which has not seen it.
        self._keep(namespace, in_flight.without_failed(listed.policies, listed.began))
        snapshot = with_policies(self._cache.snapshot, namespace, listed.policies)
        shown = in_flight.without_shown(listed.policies, listed.began)
        return snapshot, replace(shown, tiers=tiers.each, any_tiers=tiers.are_extremes)

    def _is_enforced(self, namespace: str) -> bool:
        return mode_of(namespace, self._cache.snapshot, self._options) == "enforce"

    def _has_moved(self, namespace: str, cached: Policies, tiers: ClusterPolicies | None = None) -> bool:
        """Whether the watch has changed the policies in the cache."""
        return self._cached(namespace) is not cached or (tiers is not None and self._cluster_wide is not tiers)

    @property
    def _cluster_wide(self) -> ClusterPolicies:
        return self._cache.snapshot.cluster.cluster_policies

    def admit(self, change: ClusterChange, size: int) -> None:
        """Count an admitted change of a cluster-wide policy until its outcome is seen; *size* is that of its review."""
        if self._lists is not None and change.changed:
            self._tiers = self._unseen_tiers().with_admitted(change, self._cluster_wide, self._monotonic(), size=size)

    def others(self, change: ClusterChange) -> Iterator[tuple[ClusterChange, EemSnapshot]]:
        """Yield the change in the other states in which changes in flight may leave the cluster, one by one."""
        snapshot = self._cache.snapshot
        for other in self._unseen_tiers().around(change, self._cluster_wide):
            yield other, snapshot.with_cluster_policies(other.before)
        for namespace in self._in_flight.keys() & snapshot.eem.keys():
            in_flight = self._in_flight[namespace]
            views = in_flight.other_views(snapshot.eem[namespace], "")
            is_overfull = in_flight.overfull_at is not None
            states = extreme_policies(namespace) if is_overfull else (dict(view.policies) for view in views)
            for policies in states:
                yield change, with_policies(snapshot, namespace, policies)

    def _unseen_tiers(self) -> TiersInFlight:
        """Return the changes of cluster-wide policies in flight, without those whose outcome the cache shows."""
        self._tiers = self._tiers.without_seen(self._cluster_wide, self._monotonic())
        return self._tiers

    def _unseen(self, namespace: str, now: float) -> InFlight:
        """Return the changes in flight in a namespace, without those whose outcome the cache shows."""
        in_flight = self._in_flight.get(namespace, NOTHING_IN_FLIGHT)
        return self._keep(namespace, in_flight.without_seen(self._cached(namespace), now))

    def _keep(self, namespace: str, in_flight: InFlight) -> InFlight:
        if in_flight.is_empty:
            self._in_flight.pop(namespace, None)
        else:
            self._in_flight[namespace] = in_flight
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
        self._unseen_tiers()
        for namespace in tuple(self._in_flight):
            self._unseen(namespace, self._monotonic())


def _is_same(basis: Basis, other: Basis) -> bool:
    return basis[0] is other[0] and basis[1] == other[1]


def _unconfirmed(error: Exception) -> str:
    """Log that a verdict was not confirmed, and return the note for a refusal."""
    reason = "it did not answer in time" if isinstance(error, TimeoutError) else str(error)
    log.warning("a verdict could not be confirmed", extra={"fields": {"reason": reason}})
    return f"(The API server could not be asked to confirm this: {reason[:LONGEST_REASON]})"


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
