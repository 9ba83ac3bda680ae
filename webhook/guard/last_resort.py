"""
Leave reviews to replicas that know better, and give the verdict where there are none.

A replica that has heard nothing for minutes may be cut off alone, or the API server may be gone for all of them. It
cannot tell which; but the API server sends a review that was answered with 503 and `Retry-After` again, the same bytes
with the same uid, up to ten times. So a replica with an old view sends a review away twice. When it comes for the
third time, nobody better has answered, and a verdict on an old view is worth more than none: what was known when the
API server went silent is still nearly all of the truth, and a refusal asks for the policies live in any case.

With up to five replicas that all have old views, one of them is asked for the third time within the eleven attempts
(2 x 5 + 1). Where one of three has a fresh view and the attempts fall on them at random, an old one answers before the
fresh one is asked in 48 of 243 cases if two are old; if one is, in 1 of 27. That is while Kubernetes has not yet heard
that they are not ready; afterwards they are not asked at all.

Source: client-go rest/request.go (the body is kept and sent again) and rest/with_retry.go (ten times at most).
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Protocol

from webhook.admission import AdmissionRequest, AdmissionResponse
from webhook.admission.response import on_old_knowledge
from webhook.guard.outcomes import Judge, Stale

ENOUGH_SIGHTINGS: Final = 3
"""The sighting of a review at which a replica with an old view gives the verdict."""

MOST_REVIEWS: Final = 4096
"""Reviews that are counted at a time; more than an API server has under way, with the repetitions of ten seconds."""


class Silence(Protocol):
    """For how long nothing was heard of a kind."""

    @property
    def resource(self) -> str:
        """Give the plural of the kind."""

    @property
    def seconds(self) -> float:
        """Say for how long."""


class Sightings:
    """How often each of the latest reviews was seen; the one that was seen longest ago is forgotten first."""

    def __init__(self, most: int = MOST_REVIEWS) -> None:
        self._most = most
        self._seen: OrderedDict[str, int] = OrderedDict()

    def count(self, uid: str) -> int:
        """Count one more sighting and say which it is, the first being 1."""
        seen = self._seen[uid] = self._seen.pop(uid, 0) + 1
        if len(self._seen) > self._most:
            self._seen.popitem(last=False)
        return seen


class LastResort:
    """
    A judge that gives its verdict on an old view only when nobody has a better one.

    Args:
        judge: gives the verdict; it raises NotReady where there never was a view.
        silence: gives the longest silence where it is too long, None while the view is fresh.
    """

    def __init__(self, judge: Judge, silence: Callable[[], Silence | None]) -> None:
        self._judge = judge
        self._silence = silence
        self._sightings = Sightings()

    async def __call__(self, request: AdmissionRequest) -> AdmissionResponse:
        """Judge one review, or leave it to another replica."""
        found = self._silence()
        if found is None:
            return await self._judge(request)
        if self._sightings.count(request.uid) < ENOUGH_SIGHTINGS:
            raise Stale(f"the API server has said nothing of {found.resource} for {found.seconds:.0f} s")
        return on_old_knowledge(await self._judge(request), found.resource, found.seconds)
