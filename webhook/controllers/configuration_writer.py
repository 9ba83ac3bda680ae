"""
Keep the service's own part of one webhook configuration, by server-side apply.

It writes only what is missing, never creates a configuration, and leaves the fields of other owners alone.

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
from webhook.controllers.configurations import (
    apply_body,
    has_surplus,
    is_written,
    strays,
)
from webhook.controllers.contention import RewriteBackoff
from webhook.controllers.entries import (
    NAME,
)

_log: Final = logging.getLogger(__name__)

APPLY_PATCH: Final = "application/apply-patch+yaml"  # JSON is YAML
JSON_PATCH: Final = "application/json-patch+json"
APPLY_QUERY: Final = {"fieldManager": NAME, "force": "true"}
# A write must have ended before another replica may lead; see Election.
REQUEST_SECONDS: Final = 4.0
# The API server's message if the `test` of a JSON patch fails; for an invalid object it names the field instead.
OUTRUN: Final = "rejected our request due to an error in our request"
_RETRY: Final = Delays(first_seconds=0.5, longest_seconds=30.0)
# After a conflict the watch shows the new state. If it does not, the write is tried again after this time.
_CONFLICT_SECONDS: Final = 1.0
# After another failure, a change of the configuration shows that the API server takes writes again; such changes may
# come many times a second, so the write is tried once in this time.
_CHANGE_SECONDS: Final = 1.0


class ConfigurationWriter:
    """
    Writes to one configuration.

    Args:
        observed: the configuration as it is known; it takes in the answer to each write.
        reopen_watch: has the watch of the configuration checked, after conflicts that no event explains.
    """

    def __init__(
        self,
        client: ApiClient,
        observed: Observed,
        reopen_watch: Callable[[], None],
        *,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self.observed = observed
        self.problem: str | None = None
        self.writes = 0
        self._client = client
        self._reopen_watch = reopen_watch
        self._clock = clock
        self._backoff = Backoff(_RETRY, clock, rng)
        self._rewrites = RewriteBackoff()
        # After a failed write: when it is tried again, and when if the configuration has changed since.
        self._retry_at = self._changed_retry_at = float("-inf")
        self._failed_version: str | None = None

    @property
    def fighting(self) -> bool:
        """Whether another client undoes the writes again and again."""
        return self._rewrites.fighting

    async def keep(self, entries: Sequence[Mapping[str, Any]], leads: Callable[[], bool]) -> None:
        """
        Write *entries*, the complete set of the service's own, if they are missing and a write is due.

        Args:
            leads: checked again between two writes, which together may take longer than the Lease lasts.
        """
        configuration = self.observed.current
        if configuration is None or not entries:
            self.problem = None
            return
        now = self._clock.monotonic()
        if is_written(configuration, entries) and not has_surplus(configuration, entries):
            self._rewrites.kept(now)
            self.problem = None
            return
        content = json.dumps(entries, sort_keys=True)
        wait_seconds = self._rewrites.due_seconds(content, now)
        if wait_seconds > 0:
            self.problem = f"another client undoes each write; the next write is in {wait_seconds:.0f} s"
            return
        version = configuration["metadata"]["resourceVersion"]
        if now < (self._retry_at if version == self._failed_version else self._changed_retry_at):
            return
        try:
            others = strays(configuration, entries)
            if others:
                configuration = await self._patch(others, JSON_PATCH, {"fieldManager": NAME})
            if not is_written(configuration, entries) and leads():
                await self._patch(apply_body(configuration, entries), APPLY_PATCH, APPLY_QUERY)
        except ClusterError as error:
            self._failed(error, version)
            return
        self._rewrites.wrote(content, self._clock.monotonic())
        self._retry_at = self._changed_retry_at = float("-inf")
        self._failed_version = self.problem = None

    async def _patch(self, body: object, content_type: str, query: Mapping[str, str]) -> Mapping[str, Any]:
        answer: dict[str, Any] = await self._client.request(
            "PATCH",
            self.observed.path,
            query=query,
            body=body,
            content_type=content_type,
            timeout_seconds=REQUEST_SECONDS,
        )
        self.writes += 1
        resource = self.observed.resource
        _log.info("%s written", resource.plural)
        self.observed.apply(resource.kind, "MODIFIED", answer)
        return answer

    def _failed(self, error: ClusterError, version: str) -> None:
        now = self._clock.monotonic()
        if _is_outrun(error):
            # Another client changed or deleted it first; the watch is about to show the new state.
            if self._failed_version == version:  # but it did not, in all that time
                self.problem = str(error)
                self._reopen_watch()
            self._failed_version, self._changed_retry_at, self._retry_at = version, now, now + _CONFLICT_SECONDS
            _log.debug("%s: %s", self.observed.resource.plural, error)
            return
        self._failed_version = version
        self._changed_retry_at, self._retry_at = now + _CHANGE_SECONDS, now + self._backoff.next_seconds()
        level = logging.DEBUG if self.problem == str(error) else logging.WARNING
        self.problem = str(error)
        _log.log(level, "%s cannot be written: %s", self.observed.resource.plural, error)


def _is_outrun(error: ClusterError) -> bool:
    """Whether another client changed or deleted the object first, so that the precondition of the write failed."""
    if not isinstance(error, ApiError):
        return False
    is_test = error.status == HTTPStatus.UNPROCESSABLE_ENTITY and OUTRUN in error.message
    return is_test or error.status in {HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND}
