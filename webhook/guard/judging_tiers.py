"""
Judge cluster-wide policies while the cluster changes.

A refusal is not confirmed by a live list: administrators change these policies seldom, and the audit shows what changes
that different replicas have admitted at the same moment close together.
"""

import asyncio
from collections.abc import Callable
from functools import partial

from webhook.admission import AdmissionRequest, AdmissionResponse, Options
from webhook.admission.cluster_change import ClusterChange, change_of, name_in
from webhook.admission.clusterpolicy import decide_cluster_change
from webhook.admission.response import with_note
from webhook.eem import EemSnapshot
from webhook.guard.judging import IN_DOUBT, MANY_IN_DOUBT, ClusterCache, PolicyJudge
from webhook.guard.outcomes import NotReady

MOST_AT_ONCE = 50
"""
Namespaces with EEM over which a change of a cluster-wide policy is judged on the event loop. A change may touch all of
them, so more are judged in a thread.
"""


class ClusterPolicyJudge:
    """
    The judge of cluster-wide policies: one review after the other.

    Args:
        cache: the cluster as it is known.
        options: returns the current settings.
        policies: the judge of NetworkPolicies, which keeps the changes in flight.
    """

    def __init__(self, cache: ClusterCache, options: Callable[[], Options], policies: PolicyJudge) -> None:
        self._cache = cache
        self._options = options
        self._policies = policies
        self._turn = asyncio.Lock()

    async def __call__(self, request: AdmissionRequest) -> AdmissionResponse:
        """
        Judge one review.

        Raises:
            NotReady: the cluster is not known yet.
            ReviewError: the request is about another kind, or does not have its object.
        """
        if not self._cache.has_synced:
            raise NotReady("the cluster is not known yet")
        async with self._turn:
            snapshot = self._cache.snapshot
            change = change_of(request, name_in(request), snapshot)
            response = await self._decided(request, change, snapshot)
            for other, there in tuple(self._policies.others(change)):
                if not response.allowed:
                    break
                found = await self._decided(request, other, there)
                note = MANY_IN_DOUBT if other.others == "any" else IN_DOUBT
                response = response if found.allowed else with_note(found, note)
            if response.allowed and not request.dry_run and not request.leaves_spec_unchanged:
                self._policies.admit(change, request.size)
            return response

    async def _decided(
        self, request: AdmissionRequest, change: ClusterChange, snapshot: EemSnapshot
    ) -> AdmissionResponse:
        decide_it = partial(decide_cluster_change, request, change, snapshot, self._options())
        return await asyncio.to_thread(decide_it) if len(snapshot.eem) > MOST_AT_ONCE else decide_it()
