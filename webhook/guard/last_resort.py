"""
Leave reviews to replicas with a newer view of the cluster, and give the verdict if there are none.

A replica that has received nothing for minutes may have lost its connection alone, or the API server may be silent for
all replicas; it cannot know which. But if a review is answered with 503 and `Retry-After`, the API server repeats it,
the same bytes with the same uid, up to ten times. So a replica with an old view rejects a review twice. At the third
attempt it gives the verdict: most of an old view is still true, and a refusal needs a live list in any case.

Five replicas that all have old views need at most eleven attempts (2 x 5 + 1) until one of them sees the review for the
third time. If two of three replicas have old views and the attempts reach them at random, an old one answers before the
fresh one in 48 of 243 cases; if one of three does, in 1 of 27. This holds until Kubernetes stops sending reviews to the
replicas that are not ready.

Source: client-go rest/request.go (the body is kept and sent again) and rest/with_retry.go (ten times at most).
"""

from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b
from typing import Final, Protocol

from webhook.admission import AdmissionRequest, AdmissionResponse
from webhook.admission.response import with_age
from webhook.guard.outcomes import Judge, Stale

ENOUGH_SIGHTINGS: Final = 3
"""The attempt at which a replica with an old view gives the verdict."""

MOST_REVIEWS: Final = 4096
"""Reviews whose attempts are counted: more than an API server has in progress, with repetitions, within ten seconds."""


DIGEST_BYTES: Final = 16


class Staleness(Protocol):
    """How long the API server has sent nothing about a kind."""

    @property
    def resource(self) -> str:
        """Return the plural of the kind."""

    @property
    def seconds(self) -> float:
        """Return the length of the silence."""


class Sightings:
    """The attempts of the latest reviews; the review that was seen longest ago is forgotten first."""

    def __init__(self, most: int = MOST_REVIEWS) -> None:
        self._most = most
        self.seen: OrderedDict[bytes, int] = OrderedDict()  # by a digest of the uid, which may be of any length

    def count(self, uid: str) -> int:
        """Count one more attempt and return its number; the first is 1."""
        digest = blake2b(uid.encode(errors="surrogatepass"), digest_size=DIGEST_BYTES).digest()
        count = self.seen[digest] = self.seen.pop(digest, 0) + 1
        if len(self.seen) > self._most:
            self.seen.popitem(last=False)
        return count


class LastResort:
    """
    A judge that gives its verdict on an old view only if no replica with a newer one answers.

    Args:
        judge: gives the verdict; it raises NotReady if there never was a view.
        staleness: returns the longest silence if the view is too old, None otherwise.
    """

    def __init__(self, judge: Judge, staleness: Callable[[], Staleness | None]) -> None:
        self._judge = judge
        self._staleness = staleness
        self._sightings = Sightings()

    async def __call__(self, request: AdmissionRequest) -> AdmissionResponse:
        """
        Judge one review, or leave it to another replica.

        Raises:
            Stale: the view is old, and another replica may have a newer one.
        """
        found = self._staleness()
        if found is None:
            return await self._judge(request)
        if self._sightings.count(request.uid) < ENOUGH_SIGHTINGS:
            raise Stale(f"the API server has sent nothing about {found.resource} for {found.seconds:.0f} s")
        return with_age(await self._judge(request), found.resource, found.seconds)
