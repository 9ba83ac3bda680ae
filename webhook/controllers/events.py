"""
Write Events, at a limited rate.

A repeated message about the same object is one Event with a count: its name is a digest of both. `record` never waits
and never fails; an Event that cannot be written is logged.

Source: events.k8s.io/v1 Event. Only its series may change after its creation. The API server requires that the Event
of a cluster-scoped object is in `default`, and that a note has at most 1,024 bytes.
"""

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final, Literal

from webhook.cluster.client import ApiClient
from webhook.cluster.errors import ApiError, ClusterError
from webhook.cluster.timing import Clock
from webhook.eem.resources import ResourceType

_log: Final = logging.getLogger(__name__)

EVENTS: Final = ResourceType(group="events.k8s.io", version="v1", plural="events", kind="Event")
COMPONENT: Final = "eem-guardrail"
NAMESPACE_OF_NONE: Final = "default"
MERGE_PATCH: Final = "application/merge-patch+json"
LONGEST_NOTE: Final = 1024  # bytes
EventLevel = Literal["Normal", "Warning"]

# The same Event within a minute is counted and not written.
REPEAT_SECONDS: Final = 60.0
# client-go allows 25 for each source and object; here this is the limit for all Events that wait to be written.
_MOST_WAITING: Final = 25
# Distinct Events that are remembered; the count of the oldest begins anew.
_MOST_KNOWN: Final = 256
_REQUEST_SECONDS: Final = 10.0


@dataclass(kw_only=True, slots=True)
class _Known:
    """One Event, its count, and when it was last written."""

    body: Mapping[str, Any]
    count: int = 0
    written_at: float = float("-inf")
    waiting: bool = False


class Recorder:
    """
    Writes Events.

    Args:
        instance: the name of this replica.
    """

    def __init__(self, client: ApiClient, *, instance: str, clock: Clock | None = None) -> None:
        self._client = client
        self._instance = instance
        self._clock = clock or Clock()
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._waiting: asyncio.Queue[_Known] = asyncio.Queue(_MOST_WAITING)

    @property
    def is_full(self) -> bool:
        """Whether so many Events wait to be written that another one would be lost."""
        return self._waiting.full()

    def record(
        self,
        regarding: Mapping[str, Any],
        reason: str,
        message: str,
        *,
        level: EventLevel = "Warning",
        action: str = "Register",
    ) -> None:
        """
        Record that something happened to *regarding*, an API object or at least its kind, name and uid.

        Args:
            reason: one word in UpperCamelCase, always the same for the same case.
            message: the text for the reader; a repeated text is the same Event.
            action: what the service was doing, in UpperCamelCase.
        """
        body = self._body(regarding, reason, _note(message), level, action)
        name = body["metadata"]["name"]
        known = self._known.setdefault(name, _Known(body=body))
        self._known.move_to_end(name)
        while len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)
        known.count += 1
        if known.waiting or self._clock.monotonic() - known.written_at < REPEAT_SECONDS:
            return
        try:
            self._waiting.put_nowait(known)
            known.waiting = True
        except asyncio.QueueFull:
            _log.warning("too many Events at once; not written: %s %s", reason, body["note"])

    async def run(self) -> None:
        """Write the recorded Events, until cancelled."""
        while True:
            known = await self._waiting.get()
            known.waiting = False
            known.written_at = self._clock.monotonic()
            try:
                await self._write(known)
            except ClusterError as error:
                _log.warning("an Event was not written: %s", error)
            except Exception:  # noqa: BLE001 - a bug must not end the service, whose verdicts need no Events
                _log.exception("an Event was not written")

    async def _write(self, known: _Known) -> None:
        collection = EVENTS.path(known.body["metadata"]["namespace"])
        name = known.body["metadata"]["name"]
        now = datetime.fromtimestamp(self._clock.wall(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        # The API server accepts no series of fewer than two.
        series = {"series": {"count": max(known.count, 2), "lastObservedTime": now}}
        try:
            if known.count > 1:
                await self._patch(f"{collection}/{name}", series)
                return
        except ApiError as error:
            if error.status != HTTPStatus.NOT_FOUND:  # an Event lives for an hour
                raise
        try:
            await self._client.request(
                "POST",
                collection,
                body={**known.body, "eventTime": now, **(series if known.count > 1 else {})},
                timeout_seconds=_REQUEST_SECONDS,
            )
        except ApiError as error:
            if error.status != HTTPStatus.CONFLICT:
                raise
            # Another replica, or this one before a restart, has created the Event: count it up.
            await self._patch(f"{collection}/{name}", series)

    async def _patch(self, path: str, series: Mapping[str, Any]) -> None:
        await self._client.request(
            "PATCH", path, body=series, content_type=MERGE_PATCH, timeout_seconds=_REQUEST_SECONDS
        )

    def _body(
        self, regarding: Mapping[str, Any], reason: str, message: str, level: EventLevel, action: str
    ) -> dict[str, Any]:
        metadata = regarding.get("metadata") or {}
        reference = {
            "apiVersion": regarding.get("apiVersion", ""),
            "kind": regarding.get("kind", ""),
            "name": metadata.get("name", ""),
            **{key: metadata[key] for key in ("namespace", "uid") if metadata.get(key)},
        }
        identity = "\0".join([*map(str, reference.values()), reason, message])
        digest = hashlib.sha256(identity.encode()).hexdigest()[:16]
        namespace = metadata.get("namespace") or NAMESPACE_OF_NONE
        return {
            "apiVersion": EVENTS.api_version,
            "kind": EVENTS.kind,
            "metadata": {"name": f"{reference['name']}.{digest}", "namespace": namespace},
            "regarding": reference,
            "reason": reason,
            "action": action,
            "note": message,
            "type": level,
            "reportingController": COMPONENT,
            "reportingInstance": self._instance,
        }


def _note(message: str) -> str:
    """Return *message* on one line, cut to what the API server accepts."""
    line = "".join(character if character.isprintable() else " " for character in message).strip()
    return line.encode()[:LONGEST_NOTE].decode(errors="ignore")
