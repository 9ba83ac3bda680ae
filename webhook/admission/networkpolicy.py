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

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from webhook.admission.egress.need_changes import EgressFinding, judge_egress
from webhook.admission.egress.need_explanation import EgressRemedies, egress_warnings, explain_egress
from webhook.admission.exemptions import exemption, is_heartbeat, refuse_heartbeat, with_operator_note
from webhook.admission.explanation import explain, orphan_warning, orphans_of, warnings_of
from webhook.admission.inflight import NOTHING_IN_FLIGHT, InFlight
from webhook.admission.judge import Change, Finding, changes_of, judge
from webhook.admission.notes import notes_of
from webhook.admission.options import Options, demand_of, egress_of, mode_of, universe_of, unknown_values
from webhook.admission.refusal import advice_on, invalid, refusal, summary
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
    with_unknown_settings,
    with_unread_kinds,
    with_warnings,
)
from webhook.admission.review import AdmissionRequest, PolicyReview
from webhook.admission.small_edit import small_edit
from webhook.admission.verdict import Lost, ResourceName, Verdict
from webhook.admission.world import World
from webhook.eem.eem_snapshot import EemSnapshot
from webhook.eem.needs import needs_of
from webhook.netpol.sources.budget import Answers


@dataclass(frozen=True, kw_only=True, slots=True)
class Assessment:
    """
    What a change takes away, whatever the outcome of the changes in flight.

    Args:
        findings: in the namespace as it is known.
        losses: the losses in the worst state of the namespace: the first state in which something is surely lost, or
            else the first in which something may be lost.
        egress: what becomes of the egress in the namespace as it is known.
        egress_losses: the findings about egress in the worst state of the namespace.
        refuses_egress: whether a loss of egress is a reason to refuse.
        exemption: the word for why the instances of all subjects that the change touches are exempt; else empty.
        is_orphaned: the change creates a policy that the garbage collector deletes, because its owners do not exist.
        changes: what the request may lead to; empty in a namespace without EEM.
        world: the namespace as it is known; None for one without EEM.
    """

    findings: tuple[Finding, ...] = ()
    losses: tuple[Finding, ...] = ()
    egress: tuple[EgressFinding, ...] = ()
    egress_losses: tuple[EgressFinding, ...] = ()
    refuses_egress: bool = False
    exemption: str = ""
    is_orphaned: bool = False
    changes: tuple[Change, ...] = field(default=(), compare=False)
    world: World | None = field(default=None, compare=False)

    def is_refusal(self, options: Options) -> bool:
        """Whether the change is refused in mode enforce."""
        return any(_counts(finding, options) for finding in self.losses) or self._refuses(self.egress_losses, options)

    def _refuses(self, egress: Iterable[EgressFinding], options: Options) -> bool:
        return self.refuses_egress and any(
            finding.is_loss and options.refuses(decided=finding.is_decided) for finding in egress
        )

    @property
    def needs_confirmation(self) -> bool:
        """Whether it has a loss that may be a reason to refuse."""
        return bool(self.losses) or (self.refuses_egress and any(finding.is_loss for finding in self.egress_losses))

    def is_in_doubt(self, options: Options) -> bool:
        """Whether the change is refused only because of an outcome that changes in flight may have."""
        is_known = any(_counts(finding, options) for finding in self.findings) or self._refuses(self.egress, options)
        return self.is_refusal(options) and not is_known


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
        return refuse_heartbeat(_verdict(review, snapshot))
    reason = exemption(request, snapshot, options)
    if reason is not None:
        return exempted(_verdict(review, snapshot), reason)
    faults = review.faults
    if faults:
        message, causes = invalid(_name(review), faults)
        verdict = _verdict(review, snapshot, allowed=False, faults=faults, message=message)
        refused = by_mode(verdict, mode_of(request.namespace, snapshot, options), causes, INVALID)
        return with_operator_note(refused, request, snapshot, options)
    return None


def assess(review: PolicyReview, snapshot: EemSnapshot, in_flight: InFlight, options: Options) -> Assessment:
    """
    Judge a change in the namespace as it is known, and in each other state that changes in flight may lead to.

    One state in which something is surely lost is enough for a refusal, so the search ends there.
    """
    namespace = review.request.namespace
    if namespace not in snapshot.eem:
        return NOTHING_FOUND
    known = _world_of(namespace, snapshot, options)
    changes = changes_of(review, known)  # the same in each world: no change in flight is one of this policy
    findings = judge(changes, known)
    losses = _losses_in_worst(changes, known, _losses(findings), in_flight)
    mode = egress_of(namespace, snapshot, options)
    egress = () if mode == "off" else judge_egress(changes, known, options.service_translation)
    worst = egress
    if mode == "enforce" and not in_flight.is_empty and not any(finding.is_decided for finding in egress):
        others = (
            judge_egress(changes, world, options.service_translation)
            for world in _other_worlds(known, in_flight, changes)
        )
        worst = next((found for found in others if any(finding.is_decided for finding in found)), egress)
    new = review.new if review.request.operation == "CREATE" else None
    return Assessment(
        findings=findings,
        losses=losses,
        egress=egress,
        egress_losses=worst,
        refuses_egress=mode == "enforce",
        exemption="" if findings or losses else _exemption_of_all(changes, known),
        is_orphaned=new is not None and known.view.is_orphaned(new),
        changes=changes,
        world=known,
    )


def _losses_in_worst(
    changes: tuple[Change, ...], known: World, losses: tuple[Finding, ...], in_flight: InFlight
) -> tuple[Finding, ...]:
    """Return the losses in the worst state of the namespace; *losses* are those in the known one."""
    if in_flight.is_empty or _is_surely_lost(losses):
        return losses
    for world in _other_worlds(known, in_flight, changes):
        found = _losses(judge(changes, world))
        if _is_surely_lost(found):
            return found
        losses = losses or found
    return losses


def _world_of(namespace: str, snapshot: EemSnapshot, options: Options) -> World:
    """Return the state in which a change is judged, of a namespace where EEM is."""
    return World(
        snapshot=snapshot,
        view=snapshot.eem[namespace],
        demand=demand_of(namespace, snapshot, options),
        universe=universe_of(snapshot, options),
        answers=Answers(),
    )


def _exemption_of_all(changes: tuple[Change, ...], world: World) -> str:
    """
    Return the word for why the instances of all subjects that the change touches are exempt; empty if one is not.

    Where they are exempt for several reasons, the word is the first one by the alphabet.
    """
    guarded = world.view.guarded
    if not any(known.exempt for known in guarded):
        return ""
    words = {
        known.exempt
        for known in guarded
        if any(change.touches(reading.subject.pod) for change in changes for reading in known.readings)
    }
    return min(words, default="")


def _other_worlds(known: World, in_flight: InFlight, changes: tuple[Change, ...]) -> Iterator[World]:
    """Yield the states of the namespace that the changes in flight may lead to, apart from the known one."""
    others = [
        replace(
            known,
            snapshot=known.snapshot.with_cluster_policies(one),
            tiers="any" if in_flight.any_tiers else "known",
        )
        for one in in_flight.tiers
    ]
    yield from others
    for world in (known, *others):
        if in_flight.overfull_at is not None:
            yield replace(world, others="isolating")
            yield replace(world, others="absent")
        else:
            for view in in_flight.other_views(world.view, changes[0].name):
                yield replace(world, view=view)


def _losses(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    return tuple(finding for finding in findings if finding.loss is not None)


def _is_surely_lost(losses: tuple[Finding, ...]) -> bool:
    return any(finding.loss is not None and finding.loss.decided for finding in losses)


def _counts(finding: Finding, options: Options) -> bool:
    """Whether a finding is a reason to refuse."""
    return finding.loss is not None and options.refuses(decided=finding.loss.decided)


def answer(review: PolicyReview, assessment: Assessment, snapshot: EemSnapshot, options: Options) -> AdmissionResponse:
    """Explain an assessment: return the answer with its texts, examples and remedies."""
    response = with_operator_note(_explained(review, assessment, snapshot, options), review.request, snapshot, options)
    namespace = snapshot.namespace(review.request.namespace)
    if namespace.name not in snapshot.eem:
        return response
    unknown = [
        f"annotation {key} of namespace {namespace.name}: {text}" for key, text in unknown_values(namespace.annotations)
    ]
    return with_unread_kinds(with_unknown_settings(response, unknown) if unknown else response)


def _explained(
    review: PolicyReview, assessment: Assessment, snapshot: EemSnapshot, options: Options
) -> AdmissionResponse:
    namespace = review.request.namespace
    mode = mode_of(namespace, snapshot, options)
    notes: tuple[str, ...] = ()
    if assessment.world is not None and not assessment.is_refusal(options):
        notes = notes_of(assessment.changes, assessment.world, offline=options.offline)
    egress = assessment.egress_losses
    if assessment.exemption and not egress:
        told = () if mode == "audit" else notes
        return exempted(_verdict(review, snapshot, warnings=told), assessment.exemption)
    if not (assessment.findings or assessment.losses or egress or assessment.is_orphaned or notes):
        return allowed(_verdict(review, snapshot), "allowed", {})
    lost = explain(assessment.losses) if assessment.losses else ()
    warnings = (*warnings_of(assessment.findings), *orphans_of(assessment.losses), *notes)
    if assessment.is_orphaned and review.new is not None:
        warnings = (orphan_warning(review.new), *warnings)
    cut_off = _explain_egress(review, egress, snapshot, options)
    counted = [item for item in lost if options.refuses(decided=item.decided)]
    counted += [item for item in cut_off if assessment.refuses_egress and options.refuses(decided=item.decided)]
    warnings += egress_warnings(egress, told={(item.need, item.instance) for item in counted})
    lost = (*lost, *cut_off)
    if counted:
        is_edited = all(item.direction == "ingress" for item in counted)
        advice = advice_on(counted, small_edit(review, assessment.losses) if is_edited else "")
        message, causes = refusal(review.request.operation, _name(review), counted, advice)
        found: dict[str, Any] = {"lost": lost, "warnings": warnings, "message": message, "advice": advice}
        verdict = _verdict(review, snapshot, allowed=False, **found)
        return by_mode(verdict, mode, causes, FORBIDDEN)
    undecided = tuple(
        warning(f"not decided: {summary(item)}: {item.why_undecided}") for item in lost if item.direction == "ingress"
    )
    annotations = {"undecided": one_line("; ".join(undecided), LONGEST_ANNOTATION)} if undecided else {}
    return with_warnings(_verdict(review, snapshot, lost=lost), mode, (*undecided, *warnings), annotations)


def _explain_egress(
    review: PolicyReview, egress: tuple[EgressFinding, ...], snapshot: EemSnapshot, options: Options
) -> tuple[Lost, ...]:
    if not any(finding.is_loss for finding in egress):
        return ()
    namespace = review.request.namespace
    needs = needs_of(namespace, snapshot, options.service_translation)
    return explain_egress(egress, EgressRemedies(snapshot.eem[namespace], review.name, needs, egress))


def _verdict(review: PolicyReview, snapshot: EemSnapshot, *, allowed: bool = True, **parts: Any) -> Verdict:
    return Verdict(
        allowed=allowed,
        operation=review.request.operation,
        resource=_name(review),
        policy_kinds=snapshot.policy_kinds(review.request.namespace),
        **parts,
    )


def _name(review: PolicyReview) -> ResourceName:
    return ResourceName(kind="NetworkPolicy", namespace=review.request.namespace, name=review.name)
