"""
List the policies of a namespace live: a few times a second at most, for all reviews that wait.

A client that reaches the webhook's port can invent reviews that would be refused. Without a limit each of them would
cost the API server a list.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from webhook.admission.review import Policies, is_version_of, metadata_text, policy_named
from webhook.netpol.model import NetworkPolicy
from webhook.netpol.parse import read_policy
from webhook.netpol.parse_objects import is_large

SPACING_SECONDS: Final = 0.25
"""
Time between lists of one namespace, except that two may begin at once: so at most five begin within a second, and a
review waits at most this long for its turn.
"""

ListPolicies = Callable[[str], Awaitable[Iterable[Mapping[str, Any]]]]
"""Return every NetworkPolicy of one namespace as the API server has it now; raises ListError."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """
    The policies of one namespace as the API server lists them.

    Args:
        policies: by name.
        began: the time of the request, in seconds of the judge's clock: the policies are as they were then, or later.
        cached: the policies in the cache at that time.
    """

    policies: Policies
    began: float
    cached: Policies


class LiveLists:
    """
    The live lists of all namespaces.

    Args:
        read: lists the policies of a namespace.
        cached: returns the policies of a namespace in the cache: the same object until the watch brings a change.
        monotonic: the judge's clock.
        most_seconds: how long a list may take.
        spacing_seconds: the time between lists of one namespace.
    """

    def __init__(
        self,
        read: ListPolicies,
        cached: Callable[[str], Policies],
        monotonic: Callable[[], float],
        *,
        most_seconds: float,
        spacing_seconds: float = SPACING_SECONDS,
    ) -> None:
        self._read = read
        self._cached = cached
        self._monotonic = monotonic
        self._most_seconds = most_seconds
        self._spacing_seconds = spacing_seconds
        self._free_at: dict[str, float] = {}  # by namespace: when the spacing is kept without a burst, in loop time
        self._turns: dict[str, asyncio.Task[asyncio.Task[Listed]]] = {}  # by namespace: the turn that reviews wait for

    async def begin(self, namespace: str) -> "asyncio.Task[Listed]":
        """Wait until a list of the namespace may begin, and return it; reviews that wait for one turn share it."""
        turn = self._turns.get(namespace)
        if turn is None:
            turn = self._turns[namespace] = asyncio.create_task(self._turn(namespace))
        return await asyncio.shield(turn)

    async def _turn(self, namespace: str) -> "asyncio.Task[Listed]":
        try:
            await self._wait(namespace)
        finally:
            del self._turns[namespace]
        listed = asyncio.create_task(self._list(namespace))
        listed.add_done_callback(_retrieve)
        return listed

    async def _wait(self, namespace: str) -> None:
        """Wait until the spacing of lists allows one more; two may begin at once."""
        now = asyncio.get_running_loop().time()
        free_at = max(self._free_at.get(namespace, now), now)
        self._free_at[namespace] = free_at + self._spacing_seconds
        delay = free_at - self._spacing_seconds - now
        if delay > 0:
            await asyncio.sleep(delay)

    async def _list(self, namespace: str) -> Listed:
        """
        List the policies.

        Raises:
            ListError: the API server refuses, or cannot be reached.
            TimeoutError: it did not answer in time.
        """
        began, cached = self._monotonic(), self._cached(namespace)
        async with asyncio.timeout(self._most_seconds):
            policies = await _parsed(namespace, await self._read(namespace), cached)
        return Listed(policies=policies, began=began, cached=cached)


def _retrieve(listed: "asyncio.Task[Listed]") -> None:
    """Retrieve the error of a list whose reviews have all left, so that it is not logged as lost."""
    if not listed.cancelled():
        listed.exception()


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
