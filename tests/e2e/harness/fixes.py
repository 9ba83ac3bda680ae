"""A fix through one replica, and at once the edit that needs it through the other."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from harness.api import ApiClient
from harness.edits import DENY, A, B, OddAnswerError, Policies, Step, is_open, is_unsure
from harness.pairs import MOST_TOLD

Repair = tuple[Step, Step]
"""An edit, and another one that would be refused without it."""


class Fixes:
    """Repairs in several namespaces at once; the replica that judges an edit has not judged the repair before it."""

    def __init__(
        self, users: Mapping[str, ApiClient], admin: ApiClient, namespaces: Sequence[str], *, seed: int
    ) -> None:
        self._users = users
        self._admin = admin
        self._places = [Policies(name) for name in namespaces]
        self._rng = random.Random(seed)
        self._left = self._unsure = 0
        self._fixed_by: Counter[str] = Counter()
        self._wrong: dict[str, list[str]] = {kind: [] for kind in ("refused", "broken", "odd")}

    async def run(self, count: int) -> dict[str, Any]:
        """Make *count* repairs with their edits, and tell each that went wrong."""
        began = time.monotonic()
        self._left = count
        await asyncio.gather(*(self._work_in(place) for place in self._places))
        return {
            "unsure": self._unsure,
            "fixed_by": dict(self._fixed_by),
            "wrong": {kind: len(found) for kind, found in self._wrong.items() if found},
            "told": {kind: found[:MOST_TOLD] for kind, found in self._wrong.items() if found},
            "seconds": round(time.monotonic() - began, 1),
        }

    async def _work_in(self, place: Policies) -> None:
        await self._reset(place)
        while self._left > 0:
            for repair in self._rng.choice(chains(place)):
                self._left -= 1
                if not await self._are_admitted(place, repair):
                    await self._reset(place)
                    break
            if not is_open(await place.listed(self._admin)):
                self._wrong["broken"].append(place.namespace)

    async def _are_admitted(self, place: Policies, repair: Repair) -> bool:
        """Have the fix judged by one replica, and the edit by the other as soon as the fix is answered."""
        order = self._rng.sample(list(self._users), len(repair))
        unsure = 0
        for user, step in zip(order, repair, strict=True):
            what = f"{step.method} {place.namespace}/{step.name} by {user}"
            try:
                while refusal := await place.refusal(self._users[user], step):
                    if not is_unsure(refusal):
                        self._wrong["refused"].append(f"{what}: {refusal}")
                        return False
                    unsure += 1
            except OddAnswerError as error:
                self._wrong["odd"].append(f"{what}: {error}")
                return False
        self._unsure += unsure
        self._left += unsure > 0  # what had to be tried again does not count
        self._fixed_by[order[0]] += not unsure
        return True

    async def _reset(self, place: Policies) -> None:
        """Begin with a default deny and one policy that admits every source; no webhook is asked about this."""
        wanted = {A: place.wide(A), DENY: place.deny()}
        await place.refusal(self._admin, *place.steps_to(wanted, await place.listed(self._admin)))


def chains(place: Policies) -> tuple[tuple[Repair, ...], ...]:
    """Return the ways from that state back to it."""
    wide, narrow, deny = place.wide, place.narrow, place.deny()
    return (
        (
            (place.create(wide(B)), place.delete(A)),
            (place.create(wide(A)), place.delete(B)),
        ),
        (
            (place.create(wide(B)), place.put(narrow(A))),
            (place.put(wide(A)), place.put(narrow(B))),
            (place.put(wide(B)), place.put(narrow(A))),
            (place.put(wide(A)), place.delete(B)),
        ),
        (
            (place.delete(DENY), place.delete(A)),
            (place.create(wide(A)), place.create(deny)),
        ),
    )
