"""
Keep the audit up to date while the cluster changes.

Changes come one at a time or by the thousand, so an audit begins at once and the next one waits a little: it sees all
changes of that time together. The work is done in pieces of a millisecond, between which reviews are answered.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from webhook.admission import Options
from webhook.admission.audit import (
    NOTHING_AUDITED,
    Audit,
    Turn,
    audit_steps,
    need_turns,
    row,
    turns,
    unknown_annotations_of,
)
from webhook.admission.egress.need_standing import NeedState, need_row
from webhook.admission.namespace_audit import RequirementState
from webhook.admission.refusal import told_closed
from webhook.admission.verdict import SCHEMA_VERSION, Lost, time_text
from webhook.eem.eem_snapshot import EemSnapshot
from webhook.eem.instances import Requirement
from webhook.eem.needs import Need
from webhook.guard.judging import ClusterCache

SPACING_SECONDS: Final = 0.5
"""The time between the end of an audit and the beginning of the next one."""


MOST_NAMES: Final = 5
"""Pods and policies that a log line names."""

log = logging.getLogger(__name__)

Listener = Callable[[Audit, Audit], None]
"""Is called with the audits before and after each pass."""


class ListedCache(ClusterCache, Protocol):
    """The cache of the cluster, as the audit needs it."""

    @property
    def lists(self) -> int:
        """Return the number of lists that were taken in."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AuditTiming:
    """
    What an auditor takes its time from, so that tests need not wait.

    Args:
        breathe: lets other tasks run, if this one has held the event loop for long enough.
    """

    breathe: Callable[[], Awaitable[None]]
    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    spacing_seconds: float = SPACING_SECONDS


class Auditor:
    """
    Keeps the audit of a cluster.

    Args:
        cache: the cluster as it is known; nothing is audited before every kind is known.
        options: the settings of decisions.
        observe: is called with the seconds that each pass took.

    `audited` is the last audit with the snapshot that it is about and its time; None before the first one.
    """

    def __init__(
        self, cache: ListedCache, options: Options, timing: AuditTiming, *, observe: Callable[[float], object]
    ) -> None:
        self._cache = cache
        self._options = options
        self._timing = timing
        self._observe = observe
        self._listeners: list[Listener] = [_log]
        self._changed = asyncio.Event()
        self._lists = 0
        self.audited_at: float | None = None
        self.audit = NOTHING_AUDITED
        self.audited: tuple[Audit, EemSnapshot, float] | None = None
        cache.subscribe(self._changed.set)

    def subscribe(self, listener: Listener) -> None:
        """Call *listener* after each pass."""
        self._listeners.append(listener)

    async def run(self) -> None:
        """Audit after each change, until cancelled."""
        self._changed.set()
        while True:
            await self._changed.wait()
            self._changed.clear()
            if self._cache.has_synced:
                await self.audit_once()
                await asyncio.sleep(self._timing.spacing_seconds)

    async def audit_once(self) -> None:
        """
        Audit the cluster as it is known now.

        After a list nothing is taken from earlier audits: should a watch ever have missed something, that ends here.
        """
        began, at = self._timing.monotonic(), self._timing.wall()
        fresh, self._lists = self._lists != self._cache.lists, self._cache.lists
        found, snapshot = self.audit, self._cache.snapshot
        for step in audit_steps(snapshot, self._options, at=at, known=self.audit, fresh=fresh):
            found = step or found
            await self._timing.breathe()
        before, self.audit, self.audited_at = self.audit, found, at
        self.audited = found, snapshot, at
        self._observe(self._timing.monotonic() - began)
        for listener in self._listeners:
            listener(before, found)

    def states(self) -> Iterator[RequirementState]:
        """Yield the last known state of every requirement."""
        return self.audit.states()

    def need_states(self) -> Iterator[NeedState]:
        """Yield the last known state of every need of egress."""
        return self.audit.need_states()

    async def shown(self) -> bytes:
        """Return the audit as JSON, with one row for each requirement and each need."""
        found, rows, needs = self.audit, [], []
        for state in found.states():
            rows.append(msgspec.Raw(msgspec.json.encode(row(state))))
            await self._timing.breathe()
        for need in found.need_states():
            needs.append(msgspec.Raw(msgspec.json.encode(need_row(need))))
            await self._timing.breathe()
        parts = {
            "schemaVersion": SCHEMA_VERSION,
            "auditedAt": None if self.audited_at is None else time_text(self.audited_at),
            "complete": self.audited_at is not None and self._cache.has_synced,
            "unknownAnnotations": unknown_annotations_of(found),
            "requirements": rows,
            "needs": needs,
        }
        return msgspec.json.encode(parts)


def _log(before: Audit, after: Audit) -> None:
    """Write one line for each requirement and each need that has turned."""
    for turn, state in turns(before, after):
        level = logging.WARNING if turn == "broken" else logging.INFO
        log.log(level, "requirement %s", turn, extra={"fields": _fields(turn, state)})
    for turn, need in need_turns(before, after):
        level = logging.WARNING if turn == "broken" and need.need.level == "certain" else logging.INFO
        log.log(level, "egress need %s", turn, extra={"fields": _need_fields(turn, need)})


def _fields(turn: Turn, state: RequirementState) -> dict[str, object]:
    told = _turned(turn, state.requirement, state.evidence())
    if turn != "broken" or not state.bypasses:
        return told
    return {**told, "bypasses": "; ".join(f"{mark.policy}: {mark.reason}" for mark in state.bypasses[:MOST_NAMES])}


def _need_fields(turn: Turn, state: NeedState) -> dict[str, object]:
    return {**_turned(turn, state.need, state.evidence()), "need": state.need.id}


def _turned(turn: Turn, what: Requirement | Need, evidence: Lost) -> dict[str, object]:
    """Return what the line of a requirement and that of a need both tell."""
    fields: dict[str, object] = {
        "namespace": what.instance.namespace,
        "kind": what.instance.kind,
        "instance": what.instance.name,
        "component": what.component.value,
        "port": f"{what.protocol.value}/{what.port or 'any'}",
        "pods": ",".join(evidence.pods.names[:MOST_NAMES]),
    }
    if turn == "broken":
        fields["policies"] = ",".join(evidence.policies[:MOST_NAMES])
        fields["message"] = told_closed(evidence)
    return fields
