"""
Write Events about requirements and needs that break and are restored, on the instance that has them.

Only the leader writes. A requirement or a need gets one Event when it turns, and then none for a minute: after that, an
Event says what it is now, if that differs from what the last one said. So one that turns a thousand times in a minute
costs two Events. Of the needs, only those count that are certain: the others are doubtful, and only shown.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from webhook.admission.audit import Audit, need_turns, turns
from webhook.admission.egress.need_standing import NeedState
from webhook.admission.namespace_audit import RequirementState
from webhook.admission.refusal import told_closed
from webhook.cluster.timing import Clock
from webhook.controllers.events import REPEAT_SECONDS, Recorder
from webhook.eem import EemSnapshot
from webhook.eem.instances import InstanceRef, Requirement
from webhook.eem.needs import NeedName

BROKEN: Final = "RequiredIngressBroken"
BYPASSED: Final = "RequiredIngressBypassed"
"""The reason if a policy with a bypass annotation may have broken it."""

RESTORED: Final = "RequiredIngressRestored"
NEED_BROKEN: Final = "RequiredEgressBroken"
NEED_RESTORED: Final = "RequiredEgressRestored"
ACTION: Final = "Audit"
LOOK_SECONDS: Final = 1.0
"""How often the leader looks whether an Event is due."""


_Key = Requirement | NeedName
_State = RequirementState | NeedState


@dataclass(frozen=True, kw_only=True, slots=True)
class _Told:
    """What the last Event about a requirement or a need said, and when."""

    met: bool
    at: float


class AuditEvents:
    """
    Writes Events about the audit.

    Args:
        audit: returns the audit as it is now.
        snapshot: returns the cluster as it is known.
        leads: whether this replica is the leader.
    """

    def __init__(
        self,
        recorder: Recorder,
        *,
        audit: Callable[[], Audit],
        snapshot: Callable[[], EemSnapshot],
        leads: Callable[[], bool],
        clock: Clock | None = None,
    ) -> None:
        self._recorder = recorder
        self._audit = audit
        self._snapshot = snapshot
        self._leads = leads
        self._clock = clock or Clock()
        self._led = False
        self._told: dict[_Key, _Told] = {}
        self._turned: dict[_Key, None] = {}  # in order

    def look(self, before: Audit, after: Audit) -> None:
        """Note what has turned between two audits, and write what is due."""
        for _, state in turns(before, after):
            self._turned[state.requirement] = None
        for _, need_state in need_turns(before, after):
            if need_state.need.level == "certain":
                self._turned[need_state.need.name] = None
        self.write_due()

    async def run(self) -> None:
        """Write what has become due, until cancelled."""
        while True:
            self.write_due()
            await self._clock.sleep(LOOK_SECONDS)

    def write_due(self) -> None:
        """Record the Events that are due; a new leader begins with everything that is broken."""
        led, self._led = self._led, self._leads()
        if not self._led:
            self._told.clear()
            self._turned.clear()
            return
        if not led:
            self._turned.update(dict.fromkeys(_broken(self._audit())))
        if self._turned:
            audit = self._audit()
            for key in tuple(self._turned):
                if self._recorder.is_full:
                    return
                self._write(key, audit)

    def _write(self, key: _Key, audit: Audit) -> None:
        state = _state_of(key, audit)
        told = self._told.get(key)
        if state is None:  # it is no longer required
            self._told.pop(key, None)
        elif state.met != (told is None or told.met):
            if told is not None and self._clock.monotonic() - told.at < REPEAT_SECONDS:
                return
            self._record(state)
            self._told[key] = _Told(met=state.met, at=self._clock.monotonic())
        del self._turned[key]

    def _record(self, state: _State) -> None:
        if isinstance(state, NeedState):
            self._record_need(state)
            return
        requirement = state.requirement
        regarding = reference(requirement.instance, self._snapshot())
        if state.met:
            port = f"{requirement.protocol.value}/{requirement.port}"
            note = f"{requirement.component.value} {port} can be reached again as required"
            self._recorder.record(regarding, RESTORED, note, level="Normal", action=ACTION)
        else:
            marks = "; ".join(f"bypass of {mark.policy}: {mark.reason}" for mark in state.bypasses)
            note = f"{marks}; {told_closed(state.evidence())}" if marks else told_closed(state.evidence())
            self._recorder.record(regarding, BYPASSED if marks else BROKEN, note, action=ACTION)

    def _record_need(self, state: NeedState) -> None:
        need = state.need
        regarding = reference(need.instance, self._snapshot())
        if state.met:
            port = f"{need.protocol.value}/{need.port or 'any'}"
            note = f"{need.component.value} can reach {need.destination} at {port} again ({need.id})"
            self._recorder.record(regarding, NEED_RESTORED, note, level="Normal", action=ACTION)
        else:
            self._recorder.record(regarding, NEED_BROKEN, told_closed(state.evidence()), action=ACTION)


def _broken(audit: Audit) -> Iterator[_Key]:
    yield from (state.requirement for state in audit.states() if not state.met)
    yield from (one.need.name for one in audit.need_states() if not one.met and one.need.level == "certain")


def _state_of(key: _Key, audit: Audit) -> _State | None:
    """Return the state of a requirement or a need; None if there is no such one any more."""
    if isinstance(key, Requirement):
        known = audit.namespaces.get(key.instance.namespace)
        return None if known is None else known.states.get(key)
    _, instance, *_ = key
    needs = audit.needs.get(instance.namespace)
    return None if needs is None else needs.states.get(key)


def reference(ref: InstanceRef, snapshot: EemSnapshot) -> Mapping[str, Any]:
    """Return as much of an instance, or of the operator's Deployment, as an Event needs to name it."""
    instance = snapshot.instance(ref.kind, ref.namespace, ref.name)
    if instance is not None:
        return instance.source
    workload = snapshot.cluster.state(ref.namespace).workloads.get((ref.kind, ref.name))
    uid = "" if workload is None else workload.uid
    metadata = {"namespace": ref.namespace, "name": ref.name, "uid": uid}
    return {"apiVersion": "apps/v1", "kind": ref.kind, "metadata": metadata}
