"""
Decide a review of a NetworkPolicy.

0. The heartbeat is refused.
1. A request that is exempt is allowed without evaluation; the audit annotation names the reason.
2. A new object that cannot be understood is refused with every fault and its field, except faults of the old object.
3. The change is judged. It is refused if and only if something is surely lost; under --strict also if something may be.
4. The mode turns a refusal into its result: enforce refuses, warn warns, audit annotates.

The policies are parsed once, the change is judged as often as the live list and the changes in flight need it, and only
the verdict that is sent is explained. `decide` does all of it for a cluster that does not change; the guard, for one
that does, calls `settle`, `assess` and `answer`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from webhook.admission.exemptions import exemption, is_heartbeat, refuse_heartbeat
from webhook.admission.explanation import explain, orphan_warning, orphans_of, warnings_of
from webhook.admission.inflight import NOTHING_IN_FLIGHT, InFlight
from webhook.admission.judge import Finding, World, judge, touches_only_exempt
from webhook.admission.options import Options, demand_of, mode_of, universe_of
from webhook.admission.refusal import invalid, refusal, summary
from webhook.admission.response import (
    FORBIDDEN,
    INVALID,
    LONGEST_ANNOTATION,
    AdmissionResponse,
    allowed,
    by_mode,
    exempted,
    one_line,
    warning,
    with_warnings,
)
from webhook.admission.review import AdmissionRequest, PolicyReview
from webhook.admission.verdict import ResourceName, Verdict
from webhook.eem.eem_snapshot import EemSnapshot
from webhook.netpol.sources.budget import Answers


@dataclass(frozen=True, kw_only=True, slots=True)
class Assessment:
    """
    What a change takes away, whatever the outcome of the changes in flight.

    Args:
        findings: in the namespace as it is known.
        losses: the losses in the worst state of the namespace: the first state in which something is surely lost, or
            else the first in which something may be lost.
        only_exempt: the change touches subjects of EEM, and the instances of all of them are exempt.
        is_orphaned: the change creates a policy that the garbage collector deletes, because its owners do not exist.
    """

    findings: tuple[Finding, ...] = ()
    losses: tuple[Finding, ...] = ()
    only_exempt: bool = False
    is_orphaned: bool = False

    def is_refusal(self, options: Options) -> bool:
        """Whether the change is refused in mode enforce."""
        return any(_counts(finding, options) for finding in self.losses)

    def is_in_doubt(self, options: Options) -> bool:
        """Whether the change is refused only because of an outcome that changes in flight may have."""
        return self.is_refusal(options) and not any(_counts(finding, options) for finding in self.findings)


NOTHING_FOUND = Assessment()


def decide(
    request: AdmissionRequest, snapshot: EemSnapshot, options: Options, in_flight: InFlight = NOTHING_IN_FLIGHT
) -> AdmissionResponse:
    """
    Decide one change of a NetworkPolicy.

    Args:
        request: the change.
        snapshot: the cluster as it is known.
        options: the settings of decisions.
        in_flight: the changes in flight of the namespace: the verdict holds for each of their outcomes.

    Raises:
        ReviewError: the request is about something else, or does not have the object that its operation needs.
    """
    review = review_of(request, snapshot)
    response = settle(review, snapshot, options)
    if response is not None:
        return response
    return answer(review, assess(review, snapshot, in_flight, options), snapshot, options)


def review_of(request: AdmissionRequest, snapshot: EemSnapshot) -> PolicyReview:
    """
    Return the review of a request about a NetworkPolicy.

    Raises:
        ReviewError: the request is about something else, or does not have the object that its operation needs.
    """
    return PolicyReview.of(request, snapshot.cluster.state(request.namespace).policies)


def settle(review: PolicyReview, snapshot: EemSnapshot, options: Options) -> AdmissionResponse | None:
    """Return the answer where the policies of the namespace do not matter; None where the change has to be judged."""
    request = review.request
    if is_heartbeat(request):
        return refuse_heartbeat(_verdict(review))
    reason = exemption(request, snapshot, options)
    if reason is not None:
        return exempted(_verdict(review), reason)
    faults = review.faults
    if faults:
        message, causes = invalid(_name(review), faults)
        verdict = _verdict(review, allowed=False, faults=faults, message=message)
        return by_mode(verdict, mode_of(request.namespace, snapshot, options), causes, INVALID)
    return None


def assess(review: PolicyReview, snapshot: EemSnapshot, in_flight: InFlight, options: Options) -> Assessment:
    """
    Judge a change in the namespace as it is known, and in each other state that changes in flight may lead to.

    One state in which something is surely lost is enough for a refusal, so the search ends there.
    """
    namespace = review.request.namespace
    if namespace not in snapshot.eem:
        return NOTHING_FOUND
    known = World(
        snapshot=snapshot,
        view=snapshot.eem[namespace],
        demand=demand_of(namespace, snapshot, options),
        universe=universe_of(snapshot, options),
        answers=Answers(),
    )
    new, creates = review.new, review.request.operation == "CREATE"
    is_orphaned = creates and new is not None and known.view.inventory.is_orphaned(new)
    findings = judge(review, known)
    losses = _losses(findings)
    if not in_flight.is_empty and not _is_surely_lost(losses):
        for world in _other_worlds(known, in_flight, review.name):
            found = _losses(judge(review, world))
            if _is_surely_lost(found):
                return Assessment(findings=findings, losses=found, is_orphaned=is_orphaned)
            losses = losses or found
    only_exempt = not findings and not losses and touches_only_exempt(review, known)
    return Assessment(findings=findings, losses=losses, only_exempt=only_exempt, is_orphaned=is_orphaned)


def _other_worlds(known: World, in_flight: InFlight, name: str) -> Iterator[World]:
    """Yield the states of the namespace that the changes in flight may lead to, apart from the known one."""
    if in_flight.overfull_at is not None:
        yield replace(known, others="isolating")
        yield replace(known, others="absent")
    else:
        for view in in_flight.other_views(known.view, name):
            yield replace(known, view=view)


def _losses(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    return tuple(finding for finding in findings if finding.loss is not None)


def _is_surely_lost(losses: tuple[Finding, ...]) -> bool:
    return any(finding.loss is not None and finding.loss.decided for finding in losses)


def _counts(finding: Finding, options: Options) -> bool:
    """Whether a finding is a reason to refuse."""
    return finding.loss is not None and (finding.loss.decided or options.strict)


def answer(review: PolicyReview, assessment: Assessment, snapshot: EemSnapshot, options: Options) -> AdmissionResponse:
    """Explain an assessment: return the answer with its texts, examples and remedies."""
    if assessment.only_exempt:
        return exempted(_verdict(review), "deployNetworkPolicies")
    if not assessment.findings and not assessment.losses and not assessment.is_orphaned:
        return allowed(_verdict(review), "allowed", {})
    mode = mode_of(review.request.namespace, snapshot, options)
    lost = explain(assessment.losses)
    warnings = (*warnings_of(assessment.findings), *orphans_of(assessment.losses))
    if assessment.is_orphaned and review.new is not None:
        warnings = (orphan_warning(review.new), *warnings)
    counted = [item for item in lost if item.decided or options.strict]
    if counted:
        message, causes = refusal(review.request.operation, _name(review), counted)
        verdict = _verdict(review, allowed=False, lost=lost, warnings=warnings, message=message)
        return by_mode(verdict, mode, causes, FORBIDDEN)
    undecided = tuple(warning(f"not decided: {summary(item)}: {item.why_undecided}") for item in lost)
    annotations = {"undecided": one_line("; ".join(undecided), LONGEST_ANNOTATION)} if undecided else {}
    return with_warnings(_verdict(review, lost=lost), mode, (*undecided, *warnings), annotations)


def _verdict(review: PolicyReview, *, allowed: bool = True, **parts: Any) -> Verdict:
    return Verdict(allowed=allowed, operation=review.request.operation, resource=_name(review), **parts)


def _name(review: PolicyReview) -> ResourceName:
    return ResourceName(kind="NetworkPolicy", namespace=review.request.namespace, name=review.name)
