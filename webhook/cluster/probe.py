"""
Find out, for all reflectors together, when an API server that was gone is back.

Left alone, each reflector would knock in its own growing intervals: eleven of them make many requests that nobody
answers, and the unluckiest one learns half a minute late that somebody is there again. So one asks a cheap question
every two seconds, and all the others wait for what it hears.
"""

import asyncio
import logging
import random
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from webhook.cluster.client import ApiClient
from webhook.cluster.errors import ApiError, ClusterError, UnreachableError, one_line
from webhook.cluster.timing import Clock

_log: Final = logging.getLogger(__name__)

# Every authenticated account may ask this, by the ClusterRole system:public-info-viewer.
PROBE_PATH: Final = "/readyz"
# An API server that starts answers so before it has read roles and resources. So does one whose administrator took
# the right to ask away, for ever: therefore it is believed for so long only.
_NOT_YET: Final = frozenset({HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS})
# Lines in the log for one outage: refused, then no trust, then no answer in time.
_MOST_REASONS: Final = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Probing:
    """
    How an API server that is gone is looked for; all in seconds.

    Args:
        interval_seconds: between two questions, a quarter more or less.
        timeout_seconds: for one answer.
        starting_seconds: how long an API server that answers, but is not ready, is waited for.
        spread_seconds: within which those who waited begin again: not all at the same moment.
    """

    interval_seconds: float = 2.0
    timeout_seconds: float = 3.0
    starting_seconds: float = 10.0
    spread_seconds: float = 1.0


class Reachability:
    """
    Whether the API server answers; one for all who use the same client.

    Args:
        client: asks.
        clock: what time it is and how one waits.
        rng: spreads the questions of many replicas.
    """

    def __init__(
        self,
        client: ApiClient,
        *,
        clock: Clock | None = None,
        rng: random.Random | None = None,
        probing: Probing | None = None,
    ) -> None:
        self._client = client
        self._clock = clock or Clock()
        self._rng = rng or random.Random()  # noqa: S311 - spreads load, keeps no secret
        self._probing = probing or Probing()
        self._asking = asyncio.Lock()
        self._answered_at = float("-inf")
        self._returned_at = float("-inf")
        self._gone_at: float | None = None
        self._reason = ""
        self._told: set[str] = set()
        self._never_ready = False

    @property
    def problem(self) -> str:
        """Say since when the API server does not answer, and how that shows; empty while it does."""
        if self._gone_at is None:
            return ""
        return f"no answer for {self._clock.monotonic() - self._gone_at:.0f} s: {self._reason}"

    async def until_answered(self) -> bool:
        """
        Wait, after a request that met nobody, until the API server answers; say whether that took a while.

        Whoever is told that it did should begin again at once, for things have changed; whoever is told that it did
        not must keep to a pace of its own, for the next request may fail like the last.
        """
        failed_at = self._clock.monotonic()
        async with self._asking:
            if self._answered_at < failed_at:
                await self._ask_until_answered()
        returned = self._returned_at >= failed_at
        if returned:
            await self._clock.sleep(self._rng.uniform(0.0, self._probing.spread_seconds))
        return returned

    async def _ask_until_answered(self) -> None:
        starting_at: float | None = None
        while True:
            try:
                is_ready = await self._ask()
            except UnreachableError as error:
                starting_at = None
                self._gone(str(error))
            else:
                now = self._clock.monotonic()
                starting_at = now if starting_at is None else starting_at
                if is_ready or self._never_ready or now - starting_at >= self._probing.starting_seconds:
                    self._never_ready = not is_ready
                    self._back(now)
                    return
            await self._clock.sleep(self._probing.interval_seconds * self._rng.uniform(0.75, 1.25))

    async def _ask(self) -> bool:
        """Ask once; say whether the API server is ready, as far as it tells."""
        try:
            await self._client.get_bytes(PROBE_PATH, timeout_seconds=self._probing.timeout_seconds)
        except ApiError as error:
            return error.status < HTTPStatus.INTERNAL_SERVER_ERROR and error.status not in _NOT_YET
        except UnreachableError:
            raise
        except ClusterError:
            return True
        return True

    def _gone(self, reason: str) -> None:
        self._reason = one_line(reason)
        if self._gone_at is None:
            self._gone_at = self._clock.monotonic()
            self._told.clear()
        if self._reason not in self._told and len(self._told) < _MOST_REASONS:
            self._told.add(self._reason)
            _log.warning("the API server does not answer: %s", self._reason)

    def _back(self, now: float) -> None:
        self._answered_at = now
        if self._gone_at is not None:
            _log.info("the API server answers again, after %.0f s", now - self._gone_at)
            self._gone_at, self._returned_at = None, now
