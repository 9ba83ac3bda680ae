"""Pairs of edits that are each fine and together a break, a few milliseconds apart."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from harness.api import ApiClient
from harness.edits import DENY, A, B, OddAnswerError, Policies, Step, is_open, is_unsure
from harness.objects import Json

GAP_SECONDS = 0.05  # between the beginnings of two edits, at most
MOST_TOLD = 10  # of what went wrong, which should be nothing

Edit = tuple[Step, ...]
"""Requests that come one after the other, each as soon as the one before was answered."""


class Pairs:
    """Race pairs in several namespaces at once, one after the other in each."""

    def __init__(self, client: ApiClient, namespaces: Sequence[str], *, seed: int) -> None:
        self._client = client
        self._places = [Policies(name) for name in namespaces]
        self._rng = random.Random(seed)
        self._left = 0
        self._kinds: Counter[str] = Counter()
        self._overlapping = self._unsure = 0
        self._wrong: dict[str, list[str]] = {kind: [] for kind in ("both", "neither", "broken", "refused", "odd")}

    async def run(self, count: int) -> dict[str, Any]:
        """Race *count* pairs and tell how many were raced, and each that went wrong."""
        began = time.monotonic()
        self._left = count
        await asyncio.gather(*(self._race_in(place) for place in self._places))
        return {
            "kinds": dict(self._kinds),
            "overlapping": self._overlapping,
            "unsure": self._unsure,
            "wrong": {kind: len(found) for kind, found in self._wrong.items() if found},
            "told": {kind: found[:MOST_TOLD] for kind, found in self._wrong.items() if found},
            "seconds": round(time.monotonic() - began, 1),
        }

    async def _race_in(self, place: Policies) -> None:
        while self._left > 0:
            self._left -= 1
            kind = self._rng.choice(list(KINDS))
            try:
                await self._prepare(place, KINDS[kind].base(place))
                counts = await self._race(place, kind)
            except OddAnswerError as error:
                self._wrong["odd"].append(f"{kind}: {error}")
                continue
            self._kinds[kind] += counts
            self._left += not counts

    async def _prepare(self, place: Policies, base: dict[str, Json]) -> None:
        """Bring the namespace to where the pair begins: these are edits, too, and each is fine after those before."""
        for step in place.steps_to(base, await place.listed(self._client)):
            while refusal := await place.refusal(self._client, step):
                if not is_unsure(refusal):
                    self._wrong["refused"].append(refusal)
                    return
                self._unsure += 1

    async def _race(self, place: Policies, kind: str) -> bool:
        """Race one pair, and return whether it counts: a refusal must have the expected reason."""
        pair = list(KINDS[kind].edits(place))
        self._rng.shuffle(pair)
        first = asyncio.create_task(place.refusal(self._client, *pair[0]))
        await asyncio.sleep(self._rng.uniform(0, GAP_SECONDS))
        self._overlapping += not first.done()
        second = asyncio.create_task(place.refusal(self._client, *pair[1]))
        refusals = [await first, await second]
        where = f"{kind} in {place.namespace}"
        unsure = any(is_unsure(refusal) for refusal in refusals)
        self._unsure += unsure
        if not any(refusals):
            self._wrong["both"].append(where)
        if all(refusals) and not unsure:
            self._wrong["neither"].append(f"{where}: {refusals}")
        found = await place.listed(self._client)
        if not is_open(found):
            self._wrong["broken"].append(f"{where}: {sorted(found)}")
        return not unsure


class Kind:
    """What the namespace holds before a pair of edits, and the pair."""

    def base(self, place: Policies) -> dict[str, Json]:
        """Return the policies by name: two that admit every source, under a default deny."""
        return {A: place.wide(A), B: place.wide(B), DENY: place.deny()}

    def edits(self, place: Policies) -> tuple[Edit, Edit]:
        """Return the pair."""
        return (place.delete(A),), (place.delete(B),)


class Narrowings(Kind):
    """Both policies are narrowed."""

    def edits(self, place: Policies) -> tuple[Edit, Edit]:
        """Return the pair."""
        return (place.put(place.narrow(A)),), (place.put(place.narrow(B)),)


class DeletionAndNarrowing(Kind):
    """One policy goes, the other one is narrowed."""

    def edits(self, place: Policies) -> tuple[Edit, Edit]:
        """Return the pair."""
        return (place.delete(A),), (place.put(place.narrow(B)),)


class MadeAnew(Kind):
    """One policy is deleted and made anew, narrower; the other one goes."""

    def edits(self, place: Policies) -> tuple[Edit, Edit]:
        """Return the pair."""
        return (place.delete(A), place.create(place.narrow(A))), (place.delete(B),)


class Annotated(Kind):
    """One policy is annotated, which passes, and deleted; the other one goes."""

    def edits(self, place: Policies) -> tuple[Edit, Edit]:
        """Return the pair."""
        return (place.annotate(A, "to be deleted"), place.delete(A)), (place.delete(B),)


class Isolation(Kind):
    """A default deny comes, and the policy because of which it may come goes."""

    def base(self, place: Policies) -> dict[str, Json]:
        """Return one policy that admits every source."""
        return {A: place.wide(A)}

    def edits(self, place: Policies) -> tuple[Edit, Edit]:
        """Return the pair."""
        return (place.create(place.deny()),), (place.delete(A),)


class IsolationAndSelector(Isolation):
    """A default deny is created, and the policy that permits it is changed to select other pods."""

    def edits(self, place: Policies) -> tuple[Edit, Edit]:
        """Return the pair."""
        return (place.create(place.deny()),), (place.select_nobody(A),)


KINDS: dict[str, Kind] = {
    "two deletions": Kind(),
    "two narrowings": Narrowings(),
    "a deletion and a narrowing": DeletionAndNarrowing(),
    "a policy made anew and a deletion": MadeAnew(),
    "an annotation, and two deletions": Annotated(),
    "an isolation and a deletion": Isolation(),
    "an isolation and another selector": IsolationAndSelector(),
}
