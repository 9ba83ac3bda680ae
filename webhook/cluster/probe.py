"""
Find out, for all reflectors together, when an API server that does not answer is back.

With a backoff of its own each, a dozen reflectors would send many requests that fail, and the last of them would learn
half a minute late that the API server is back. Instead one cheap request is sent every two seconds, and all reflectors
wait for its result.
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

# The ClusterRole system:public-info-viewer lets every authenticated account read it.
PROBE_PATH: Final = "/readyz"
# An API server that starts answers with these until it has read roles and resources. So does, for ever, one whose
# administrator removed the right to read the path; therefore the wait for it is limited.
_NOT_YET: Final = frozenset({HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS})
# Log lines for one outage: connection refused, then an untrusted certificate, then a timeout.
_MOST_REASONS: Final = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Probing:
    """
    How an API server that does not answer is probed; all in seconds.

    Args:
        interval_seconds: between two requests, 25 % more or less.
        timeout_seconds: for one answer.
        starting_seconds: how long to wait for an API server that answers but is not ready.
        spread_seconds: the time over which the waiting reflectors begin again.
    """

    interval_seconds: float = 2.0
    timeout_seconds: float = 3.0
    starting_seconds: float = 10.0
    spread_seconds: float = 1.0


class Reachability:
    """
    Whether the API server answers; one for all users of the same client.

    Args:
        client: sends the probes.
        clock: the current time and the way to wait.
        rng: spreads the probes of many replicas.
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
        self._logged: set[str] = set()
        self._never_ready = False

    @property
    def problem(self) -> str:
        """Return for how long the API server has not answered, and the error; empty while it answers."""
        if self._gone_at is None:
            return ""
        return f"no answer for {self._clock.monotonic() - self._gone_at:.0f} s: {self._reason}"

    async def until_answered(self) -> bool:
        """
        Wait, after a request that got no answer, until the API server answers; return whether it was gone meanwhile.

        After True the caller should begin again at once. After False the API server answers other requests, so the
        caller must keep its own backoff: its next request may fail like the last.
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
        """Send one probe; return whether the API server is ready, as far as its answer tells."""
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
            self._logged.clear()
        if self._reason not in self._logged and len(self._logged) < _MOST_REASONS:
            self._logged.add(self._reason)
            _log.warning("the API server does not answer: %s", self._reason)

    def _back(self, now: float) -> None:
        self._answered_at = now
        if self._gone_at is not None:
            _log.info("the API server answers again, after %.0f s", now - self._gone_at)
            self._gone_at, self._returned_at = None, now
