"""
Decide a review of a NetworkPolicy.

0. The heartbeat is refused.
1. What passes unjudged, passes; the audit annotation says why.
2. A new object that cannot be understood is refused with every fault and its path; faults that the old one had stay.
3. The change is judged. Refused if and only if something is lost (under --strict also what becomes undecided).
4. The mode says what a refusal becomes: enforce refuses, warn warns, audit notes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import chain, islice, takewhile
from typing import Any

from webhook.admission.evidence import Judging, losses_of, warnings_of
from webhook.admission.heartbeat import answer_heartbeat, is_heartbeat
from webhook.admission.inflight import InFlight, Pending
from webhook.admission.judge import Change, Finding, as_live
from webhook.admission.options import Options
from webhook.admission.passes import spec_is_unchanged, strange_owners, unjudged
from webhook.admission.refusal import causes_of, invalid, refusal, summary
from webhook.admission.response import FORBIDDEN, INVALID, AdmissionResponse, Cause, allowed, by_mode
from webhook.admission.review import AdmissionRequest, ReviewError, metadata_text
from webhook.admission.scope import demand_of, mode_of, universe_of
from webhook.admission.text import LONGEST_ANNOTATION, LONGEST_MESSAGE, one_line, warning
from webhook.admission.verdict import Lost, ResourceName, Verdict
from webhook.eem.eem_snapshot import EemSnapshot
from webhook.eem.resources import NETWORK_POLICIES
from webhook.eem.view import EemNamespace
from webhook.netpol.faults import Fault
from webhook.netpol.model import Namespace, NetworkPolicy
from webhook.netpol.parse import read_policy
from webhook.netpol.sources.budget import StepBudget
from webhook.netpol.sources.counterexample import MOST_NAMESPACES

NOTHING_IN_FLIGHT = InFlight()

SYSTEM = "kube-"
"""How the names of the cluster's own namespaces begin: an example from there would not help the user."""


def decide(
    request: AdmissionRequest, snapshot: EemSnapshot, options: Options, in_flight: InFlight = NOTHING_IN_FLIGHT
) -> AdmissionResponse:
    """
    Decide one change of a NetworkPolicy.

    Args:
        request: what is asked.
        snapshot: the cluster as it is known.
        options: how decisions are made.
        in_flight: changes of the namespace that were admitted and not seen yet: the verdict holds whatever becomes of
            them.

    Raises:
        ReviewError: the request is about something else, or lacks the object that its operation has.
    """
    _check(request)
    if not request.name:
        request = replace(request, name=metadata_text(request.object or request.old_object, "name"))
    resource = ResourceName(kind="NetworkPolicy", namespace=request.namespace, name=request.name)
    verdict = Verdict(allowed=True, operation=request.operation, resource=resource)
    if is_heartbeat(request):
        return answer_heartbeat(verdict)
    passed = unjudged(request, snapshot, options)
    if passed is not None:
        return allowed(replace(verdict, exempt=passed), "exempt", {"exempt": passed})
    new, faults = _new(request)
    old, known = _old(request, snapshot)
    if (new is None) is not (request.operation == "DELETE") or (old is None and _has_old(request)):
        raise TypeError("an object that there is was read as none")
    had = frozenset(known)
    faults = tuple(fault for fault in faults if fault not in had)
    if faults != ():
        verdict = replace(verdict, allowed=False, faults=faults, message=invalid(resource, faults))
        return by_mode(verdict, mode_of(request.namespace, snapshot, options), _causes_of_faults(faults), INVALID)
    if request.namespace not in snapshot.eem:
        return allowed(verdict, "allowed", {})
    view = snapshot.eem[request.namespace]
    return _judged(request, verdict, _changes(request, snapshot, view, old, new), in_flight, snapshot, options)


def _check(request: AdmissionRequest) -> None:
    asked = (request.resource.group, request.resource.resource)
    if asked != (NETWORK_POLICIES.group, NETWORK_POLICIES.plural):
        raise ReviewError("request.resource", "must be networkpolicies of networking.k8s.io")
    if request.operation == "CONNECT":
        raise ReviewError("request.operation", "must be CREATE, UPDATE or DELETE")
    if not request.namespace:
        raise ReviewError("request.namespace", "must be set")
    if request.operation != "CREATE" and not (request.name or metadata_text(request.old_object, "name")):
        raise ReviewError("request.name", f"must be set for {request.operation}, or else the old object's")
    if request.operation in {"CREATE", "UPDATE"} and request.object is None:
        raise ReviewError("request.object", f"must be set for {request.operation}")
    if request.operation == "UPDATE" and request.old_object is None:
        raise ReviewError("request.oldObject", "must be set for UPDATE")


def _new(request: AdmissionRequest) -> tuple[NetworkPolicy | None, tuple[Fault, ...]]:
    """Give the policy as it will be."""
    if request.operation == "DELETE" or request.object is None:
        return None, ()
    if request.readings is not None and request.readings.new is not None:
        return request.readings.new
    return read_policy(request.object, request.namespace)


def _has_old(request: AdmissionRequest) -> bool:
    return request.operation != "CREATE" and request.old_object is not None


def _old(request: AdmissionRequest, snapshot: EemSnapshot) -> tuple[NetworkPolicy | None, tuple[Fault, ...]]:
    """Give the policy as it is: as the request has it, else as it was last seen."""
    if request.operation == "CREATE":
        return None, ()
    cached = snapshot.cluster.state(request.namespace).policies.get(request.name)
    if request.old_object is None or (cached is not None and is_version_of(cached, request.old_object)):
        return cached, ()
    if request.readings is not None and request.readings.old is not None:
        return request.readings.old
    return read_policy(request.old_object, request.namespace)


def is_version_of(policy: NetworkPolicy, api_object: Mapping[str, Any]) -> bool:
    """Say whether *policy* was read from this very version of the object: then it need not be read again."""
    version = metadata_text(api_object, "resourceVersion")
    same = version == policy.resource_version and metadata_text(api_object, "uid") == policy.uid
    return same and bool(version) and not policy.faulty


def _changes(
    request: AdmissionRequest,
    snapshot: EemSnapshot,
    view: EemNamespace,
    old: NetworkPolicy | None,
    new: NetworkPolicy | None,
) -> tuple[Change, ...]:
    """
    Give what the request may come to: one change, or two where it adds an owner that is no live instance.

    Then the garbage collector may delete the policy next, and nobody will be asked.
    """
    if new is None:
        return (Change(view=view, name=request.name, old=old, new=None),)
    was = as_live(old) if old is not None else None
    update = Change(view=view, name=request.name, old=was, new=as_live(new))
    if update.new is None or (update.old is None) is not (old is None):
        raise TypeError("a policy that is live is still a policy")
    if request.operation == "CREATE" or strange_owners(request, snapshot) == ():
        return (update,)
    deletion = replace(update, new=None)
    return (deletion,) if spec_is_unchanged(request) else (deletion, update)


def _judged(  # noqa: PLR0913, PLR0917  the parts of one decision
    request: AdmissionRequest,
    verdict: Verdict,
    changes: tuple[Change, ...],
    in_flight: InFlight,
    snapshot: EemSnapshot,
    options: Options,
) -> AdmissionResponse:
    mode = mode_of(request.namespace, snapshot, options)
    demand = demand_of(request.namespace, snapshot, options)
    universe = universe_of(snapshot, options)
    effort = StepBudget()
    findings: tuple[Finding, ...] = ()
    lost: tuple[Lost, ...] = ()
    known = changes[0].view
    for view in in_flight.worlds(known, request.name):
        judging = Judging(
            changes=changes if view is known else tuple(replace(change, view=view) for change in changes),
            demand=demand,
            universe=universe,
            effort=effort,
        )
        found = judging.findings()
        if view is known:
            findings = found
        losses = [finding.loss for finding in found if finding.loss is not None]
        surely = any(loss.decided for loss in losses)
        if surely or (losses and not lost):
            lost = losses_of(judging, found, _namespaces(request.namespace, snapshot))
        if surely:  # One state that may come about and in which something is lost is enough.
            break
    if findings or lost:
        verdict = replace(verdict, lost=lost, warnings=warnings_of(findings))
    if findings == () and lost == () and _only_exempt(changes):
        exempt = "deployNetworkPolicies"
        return allowed(replace(verdict, exempt=exempt), "exempt", {"exempt": exempt})
    counted = [item for item in lost if item.decided or options.strict]
    if not counted:
        unsure = tuple(warning(f"not decided: {summary(item)}: {item.why_undecided}") for item in lost)
        notes = (*unsure, *verdict.warnings)
        annotations = {"undecided": one_line("; ".join(unsure), LONGEST_ANNOTATION)} if unsure else {}
        if mode == "audit" and notes:
            noted = {"noted": one_line("; ".join(notes), LONGEST_ANNOTATION), **annotations}
            return allowed(replace(verdict, warnings=()), "audited", noted)
        if not notes:
            return allowed(verdict, "allowed", annotations)
        return allowed(replace(verdict, warnings=notes), "warned", annotations)
    message = refusal(request.operation, verdict.resource, counted)
    return by_mode(replace(verdict, allowed=False, message=message), mode, causes_of(counted), FORBIDDEN)


def pending_change(request: AdmissionRequest, snapshot: EemSnapshot, now: float) -> Pending | None:
    """Give what an admitted request leaves in flight; None where it is a dry run or changes nothing in EEM's way."""
    if request.dry_run or request.namespace not in snapshot.eem or request.sub_resource:
        return None
    name = request.name or metadata_text(request.object or request.old_object, "name")
    new, old = _new(request)[0], _old(request, snapshot)[0]
    if not name or (old is not None and new is not None and spec_is_unchanged(request)):
        return None
    known = snapshot.cluster.state(request.namespace).policies.get(name)
    return Pending(name=name, old=old, new=new, known=known, admitted_at=now)


def _only_exempt(changes: tuple[Change, ...]) -> bool:
    """Say whether the change touches subjects, and all of them belong to instances that are exempt."""
    touched = [guarded for change in changes for guarded in change.touched]
    return touched != [] and all(guarded.needs == () for guarded in touched)


def _namespaces(own: str, snapshot: EemSnapshot) -> list[Namespace]:
    """Return the namespaces where an example may stand: others by name, then the system's, then the judged one."""
    names = snapshot.cluster.names_in_order
    others = (name for name in names if name != own and not name.startswith(SYSTEM))
    system = takewhile(lambda name: name.startswith(SYSTEM), names.starting_at(SYSTEM))
    tried = islice(chain(others, (name for name in system if name != own), (own,)), MOST_NAMESPACES)
    return [snapshot.namespace(name) for name in tried]


def _causes_of_faults(faults: Iterable[Fault]) -> tuple[Cause, ...]:
    return tuple(
        Cause(
            reason=f"FieldValue{fault.reason}",
            message=one_line(fault.message, LONGEST_MESSAGE),
            field=one_line(fault.field, LONGEST_MESSAGE),
        )
        for fault in faults
    )
