"""
Keep what is the service's own in one webhook configuration, by server-side apply.

It writes only what is not there, never makes a configuration, and touches nothing that is another's.

Source: Kubernetes documentation, "Server-Side Apply": fieldManager, force, resourceVersion and uid as preconditions.
"""

import json
import logging
import random
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from webhook.cluster.client import ApiClient
from webhook.cluster.errors import ApiError, ClusterError
from webhook.cluster.observed import Observed
from webhook.cluster.timing import Backoff, Clock, Delays
from webhook.controllers.contention import Pace
from webhook.controllers.entries import NAME, apply_body, is_written, strays

_log: Final = logging.getLogger(__name__)

APPLY_PATCH: Final = "application/apply-patch+yaml"  # JSON is YAML
JSON_PATCH: Final = "application/json-patch+json"
_APPLY_QUERY: Final = {"fieldManager": NAME, "force": "true"}
# Who writes must have stopped before another may lead: see the election.
_REQUEST_SECONDS: Final = 4.0
# All that the API server says where the test of a JSON patch fails; of an object that is invalid it says what is.
OUTRUN: Final = "rejected our request due to an error in our request"
_RETRY: Final = Delays(first_seconds=0.5, longest_seconds=30.0)
# After a conflict the news comes through the watch; where it does not, it is tried again after this.
_CONFLICT_SECONDS: Final = 1.0
# Whatever failed, news says that the API server writes again; but news may come many times a second.
_NEWS_SECONDS: Final = 1.0


class Upkeep:
    """
    Writes to one configuration.

    Args:
        observed: the configuration as it is seen; the answer to a write is put into it.
    """

    def __init__(self, client: ApiClient, observed: Observed, *, clock: Clock, rng: random.Random) -> None:
        self.observed = observed
        self.problem: str | None = None
        self.writes = 0
        self._client = client
        self._clock = clock
        self._backoff = Backoff(_RETRY, clock, rng)
        self._pace = Pace()
        # Of the last write, where it failed: when it is tried again, and when where there is news of the configuration.
        self._retry_at = self._news_at = float("-inf")
        self._failed_version: str | None = None

    @property
    def fighting(self) -> bool:
        """Say whether somebody undoes what is written again and again."""
        return self._pace.fighting

    async def keep(self, entries: Sequence[Mapping[str, Any]], leads: Callable[[], bool]) -> None:
        """
        Write *entries*, which are all that is the service's own, where they are not there and it is time to.

        Args:
            leads: asked again between two writes, which may take longer than the Lease lasts.
        """
        configuration = self.observed.current
        if configuration is None or not entries:
            self.problem = None
            return
        now = self._clock.monotonic()
        if is_written(configuration, entries):
            self._pace.kept(now)
            self.problem = None
            return
        content = json.dumps(entries, sort_keys=True)
        waits = self._pace.due_seconds(content, now)
        if waits > 0:
            self.problem = f"somebody undoes what is written, again and again; written again in {waits:.0f} s"
            return
        version = configuration["metadata"]["resourceVersion"]
        if now < (self._retry_at if version == self._failed_version else self._news_at):
            return
        try:
            others = strays(configuration, entries)
            if others:
                configuration = await self._patch(others, JSON_PATCH, {"fieldManager": NAME})
            if not is_written(configuration, entries) and leads():
                await self._patch(apply_body(configuration, entries), APPLY_PATCH, _APPLY_QUERY)
        except ClusterError as error:
            self._failed(error, version)
            return
        self._pace.wrote(content, self._clock.monotonic())
        self._retry_at = self._news_at = float("-inf")
        self._failed_version = self.problem = None

    async def _patch(self, body: object, content_type: str, query: Mapping[str, str]) -> Mapping[str, Any]:
        answer: dict[str, Any] = await self._client.request(
            "PATCH",
            self.observed.path,
            query=query,
            body=body,
            content_type=content_type,
            timeout_seconds=_REQUEST_SECONDS,
        )
        self.writes += 1
        resource = self.observed.resource
        _log.info("%s written", resource.plural)
        self.observed.apply(resource.kind, "MODIFIED", answer)
        return answer

    def _failed(self, error: ClusterError, version: str) -> None:
        now = self._clock.monotonic()
        if _is_outrun(error):
            # Somebody was quicker, or deleted it: what came of that is about to be seen.
            if self._failed_version == version:  # but it was not, in all that time
                self.problem = str(error)
            self._failed_version, self._news_at, self._retry_at = version, now, now + _CONFLICT_SECONDS
            _log.debug("%s: %s", self.observed.resource.plural, error)
            return
        self._failed_version = version
        self._news_at, self._retry_at = now + _NEWS_SECONDS, now + self._backoff.next_seconds()
        level = logging.DEBUG if self.problem == str(error) else logging.WARNING
        self.problem = str(error)
        _log.log(level, "%s cannot be written: %s", self.observed.resource.plural, error)


def _is_outrun(error: ClusterError) -> bool:
    """Say whether somebody was quicker, or deleted it: then the precondition of the write did not hold."""
    if not isinstance(error, ApiError):
        return False
    is_test = error.status == HTTPStatus.UNPROCESSABLE_ENTITY and OUTRUN in error.message
    return is_test or error.status in {HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND}
