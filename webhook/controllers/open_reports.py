"""
Write the audit as OpenReports: one Report in each namespace with EEM, for programs that collect such reports.

Only the leader writes, by server-side apply, so no Report is read or watched. A Report is written when its content has
changed, and at most once a minute. The instances own it, so Kubernetes deletes it after the last of them.

Source: openreports.io/v1alpha1 Report; Kubernetes documentation, "Owners and Dependents": an object with several owners
is deleted when none is left.
"""

import hashlib
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec

from webhook.admission import Options
from webhook.admission.audit import Audit
from webhook.admission.egress.need_standing import NeedState
from webhook.admission.namespace_audit import NamespaceAudit, RequirementState
from webhook.admission.options import egress_of
from webhook.admission.refusal import told_closed
from webhook.cluster.client import ApiClient
from webhook.cluster.errors import ApiError, ClusterError
from webhook.cluster.timing import Clock, TimeSlice
from webhook.controllers.audit_events import LOOK_SECONDS, reference
from webhook.controllers.configuration_writer import APPLY_PATCH, APPLY_QUERY, REQUEST_SECONDS
from webhook.controllers.entries import NAME
from webhook.controllers.events import REPEAT_SECONDS
from webhook.eem import EemSnapshot
from webhook.eem.instances import EemOperator, Instance, Requirement
from webhook.eem.needs import Need
from webhook.eem.resources import ResourceType

_log: Final = logging.getLogger(__name__)

REPORTS: Final = ResourceType(group="openreports.io", version="v1alpha1", plural="reports", kind="Report")
INGRESS: Final = "required-ingress"
EGRESS: Final = "needed-egress"
MOST_RESULTS: Final = 500
"""Results of one Report, the worst first: each has at most 2 KiB, and etcd takes objects of 1.5 MiB."""

MOST_NAMES: Final = 5
_WORST_FIRST: Final = ("fail", "warn", "skip", "pass")
_HINTS: Final[Mapping[int, str]] = {
    HTTPStatus.NOT_FOUND: " (is OpenReports installed?)",
    HTTPStatus.FORBIDDEN: " (is the component `reports` applied?)",
}
Node = dict[str, Any]


class OpenReports:
    """
    Writes the Reports.

    Args:
        audited: returns the last audit with the snapshot that it is about and its time; None before the first one.
        leads: whether this replica is the leader.
    """

    def __init__(  # noqa: PLR0913  what it reads, and how it waits
        self,
        client: ApiClient,
        options: Options,
        *,
        audited: Callable[[], tuple[Audit, EemSnapshot, float] | None],
        leads: Callable[[], bool],
        clock: Clock | None = None,
        breathe: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._client = client
        self._options = options
        self._audited = audited
        self._leads = leads
        self._clock = clock or Clock()
        self._breathe = breathe or TimeSlice().check
        self._led = False
        self._changed: dict[str, None] = {}  # in order
        self._written: dict[str, str] = {}  # digests
        self._next: dict[str, float] = {}
        self._paused_until = float("-inf")
        self._problem = ""

    def problem(self) -> str | None:
        """Return why the last Report was not written; None if it was."""
        return self._problem or None

    def look(self, before: Audit, after: Audit) -> None:
        """Note the namespaces in which something has changed between two audits."""
        for name, known in after.namespaces.items():
            if before.namespaces.get(name) is not known or before.needs.get(name) is not after.needs.get(name):
                self._changed[name] = None

    async def run(self) -> None:
        """Write what is due, until cancelled."""
        while True:
            try:
                await self.write_due()
            except Exception:  # noqa: BLE001 - a bug must not end the service, whose verdicts need no Reports
                _log.exception("a Report was not written")
            await self._clock.sleep(LOOK_SECONDS)

    async def write_due(self) -> None:
        """Write the Reports that are due; a new leader begins with all of them."""
        audited = self._audited()
        if audited is None or not self._leads():
            self._led = False
            self._changed.clear()
            self._written.clear()
            return
        if not self._led:
            self._changed.update(dict.fromkeys(audited[0].namespaces))
            self._led = True
        for name in tuple(self._changed):
            now = self._clock.monotonic()
            if now < self._paused_until or not self._leads():
                return
            if now >= self._next.get(name, now):
                del self._changed[name]
                await self._look_at(name, *audited[:2])

    async def _look_at(self, name: str, audit: Audit, snapshot: EemSnapshot) -> None:
        known = audit.namespaces.get(name)
        if known is None or snapshot.namespace(name).terminating:
            self._written.pop(name, None)
            return
        report = await self._report(name, audit, known, snapshot)
        digest = hashlib.sha256(msgspec.json.encode(report)).hexdigest()
        if digest == self._written.get(name) or not report["metadata"]["ownerReferences"]:
            return
        try:
            await self._client.request(
                "PATCH",
                f"{REPORTS.path(name)}/{NAME}",
                query=APPLY_QUERY,
                body=report,
                content_type=APPLY_PATCH,
                timeout_seconds=REQUEST_SECONDS,
            )
        except ClusterError as error:
            self._changed[name] = None  # after the others
            self._paused_until = self._clock.monotonic() + REPEAT_SECONDS
            self._note(f"{error}{_HINTS.get(error.status, '') if isinstance(error, ApiError) else ''}")
            return
        self._written[name] = digest
        self._next[name] = self._clock.monotonic() + REPEAT_SECONDS
        self._note("")

    def _note(self, problem: str) -> None:
        if problem and problem != self._problem:
            _log.warning("no Report was written: %s", problem)
        self._problem = problem

    async def _report(self, name: str, audit: Audit, known: NamespaceAudit, snapshot: EemSnapshot) -> Node:
        """Return the Report of one namespace."""
        is_enforced = egress_of(name, snapshot, self._options) == "enforce"
        needs = audit.needs[name].states.values() if name in audit.needs else ()
        results: dict[str, list[Node]] = {result: [] for result in _WORST_FIRST}
        for result in _skipped(known, snapshot):
            results["skip"].append(result)
        for state in known.states.values():
            one = _result_of(state, snapshot)
            results[one["result"]].append(one)
            await self._breathe()
        for need in needs:
            one = _result_of_need(need, snapshot, is_enforced=is_enforced)
            results[one["result"]].append(one)
            await self._breathe()
        counts = {result: len(found) for result, found in results.items()}
        owners = [_owner(reference(one.ref, snapshot)) for one in _everything(known)]
        return {
            "apiVersion": REPORTS.api_version,
            "kind": REPORTS.kind,
            "metadata": {
                "name": NAME,
                "namespace": name,
                "labels": {"app.kubernetes.io/managed-by": NAME},
                "ownerReferences": [one for one in owners if one["uid"]],
            },
            "source": NAME,
            "scope": {"apiVersion": "v1", "kind": "Namespace", "name": name},
            "configuration": {"limits": {"maxResults": MOST_RESULTS}},
            "summary": {**counts, "error": 0},
            "results": [one for found in results.values() for one in found][:MOST_RESULTS],
        }


def _everything(known: NamespaceAudit) -> tuple[EemOperator | Instance, ...]:
    inventory = known.view.inventory
    return (*inventory.operators.values(), *inventory.instances.values())


def _owner(instance: Mapping[str, Any]) -> Node:
    """Return the reference to an owner, whose deletion does not wait for the Report."""
    metadata = instance["metadata"]
    return {
        "apiVersion": instance["apiVersion"],
        "kind": instance["kind"],
        "name": metadata["name"],
        "uid": metadata.get("uid", ""),
    }


def _skipped(known: NamespaceAudit, snapshot: EemSnapshot) -> Iterator[Node]:
    """Yield a result for each instance that is exempt."""
    for one in _everything(known):
        if one.exemption:
            yield {
                "policy": INGRESS,
                "result": "skip",
                "scored": False,
                "message": f"exempt: {one.exemption}",
                "resources": [_owner(reference(one.ref, snapshot)) | {"namespace": one.namespace}],
            }


def _result_of(state: RequirementState, snapshot: EemSnapshot) -> Node:
    requirement = state.requirement
    result = "fail" if not state.met else "pass" if state.lost is None else "warn"
    return {
        "policy": INGRESS,
        "rule": f"{requirement.component.value} {requirement.protocol.value}/{requirement.port}",
        "severity": "critical",
        "message": "can be reached as required" if result == "pass" else told_closed(state.evidence()),
        **_common(result, state, requirement, snapshot),
    }


def _result_of_need(state: NeedState, snapshot: EemSnapshot, *, is_enforced: bool) -> Node:
    need, is_certain = state.need, state.need.level == "certain"
    result = "pass" if state.lost is None else "fail" if is_enforced and is_certain and not state.met else "warn"
    return {
        "policy": EGRESS,
        "rule": f"{need.component.value} {need.id}",
        "severity": "high" if is_certain else "medium",
        "message": f"can reach {need.destination}" if result == "pass" else told_closed(state.evidence()),
        **_common(result, state, need, snapshot),
    }


def _common(result: str, state: RequirementState | NeedState, what: Requirement | Need, snapshot: EemSnapshot) -> Node:
    """Return what the results of requirements and of needs have in common."""
    evidence = state.evidence()
    properties = {
        "component": what.component.value,
        "pods": ", ".join(evidence.pods.names[:MOST_NAMES]),
        "policies": ", ".join(evidence.policies[:MOST_NAMES]),
    }
    return {
        "category": "Network",
        "result": result,
        "scored": result in {"pass", "fail"},
        "timestamp": {"seconds": int(state.since), "nanos": 0},
        "properties": {key: value for key, value in properties.items() if value},
        "resources": [_owner(reference(what.instance, snapshot)) | {"namespace": what.instance.namespace}],
    }
