"""
Decide a review of a cluster-wide policy: AdminNetworkPolicy, BaselineAdminNetworkPolicy or ClusterNetworkPolicy.

One change may touch every namespace with EEM, in both directions. Each is judged in its own mode; the refusal names the
worst one, and counts the others. Faults are no reason to refuse: the schema of the kind is checked by the API server,
and a schema may be newer than this reader.

This is pure and takes long where many namespaces are touched: the caller may give it to a thread.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from webhook.admission.cluster_change import ClusterChange, change_of, name_in
from webhook.admission.egress.need_changes import EgressFinding, judge_egress_in_tiers
from webhook.admission.egress.need_explanation import EgressRemedies, egress_warnings, explain_egress
from webhook.admission.exemptions import exemption
from webhook.admission.explanation import explain, warnings_of
from webhook.admission.judge import NO_CHANGE, Finding, in_all_readings
from webhook.admission.options import Mode, Options, demand_of, egress_of, mode_of, universe_of
from webhook.admission.refusal import advice_on, refusal, summary
from webhook.admission.response import (
    FORBIDDEN,
    LONGEST_ANNOTATION,
    AdmissionResponse,
    allowed,
    by_mode,
    exempted,
    one_line,
    warning,
    with_unread_kinds,
    with_warnings,
)
from webhook.admission.review import AdmissionRequest
from webhook.admission.verdict import Lost, ResourceName, Verdict
from webhook.admission.world import World
from webhook.eem.eem_snapshot import EemSnapshot
from webhook.eem.instances import Requirement
from webhook.eem.needs import needs_of
from webhook.eem.view import Guarded
from webhook.netpol.sources.budget import Answers
from webhook.netpol.sources.sides import NO_TIERS, Side
from webhook.netpol.sources.source_set import EVERYONE
from webhook.netpol.sources.tier_loss import is_broken, lost_in_tiers, tiers_at

STRICTEST: tuple[Mode, ...] = ("enforce", "warn", "audit")


def decide_cluster_policy(request: AdmissionRequest, snapshot: EemSnapshot, options: Options) -> AdmissionResponse:
    """
    Decide one change of a cluster-wide policy.

    Raises:
        ReviewError: the request is about something else, or does not have the object that its operation needs.
    """
    return decide_cluster_change(request, change_of(request, name_in(request), snapshot), snapshot, options)


def decide_cluster_change(
    request: AdmissionRequest, change: ClusterChange, snapshot: EemSnapshot, options: Options
) -> AdmissionResponse:
    """Decide the change that a request makes, beside the other cluster-wide policies that the change has."""
    response = _decided(request, change, snapshot, options)
    return with_unread_kinds(response) if snapshot.eem else response


def _decided(
    request: AdmissionRequest, change: ClusterChange, snapshot: EemSnapshot, options: Options
) -> AdmissionResponse:
    resource = ResourceName(kind=request.kind.kind, namespace="", name=change.key[1])
    verdict = Verdict(
        allowed=True, operation=request.operation, resource=resource, policy_kinds=snapshot.policy_kinds()
    )
    reason = exemption(request, snapshot, options)
    if reason is not None:
        return exempted(verdict, reason)
    by_mode_of: dict[Mode, list[_Touched]] = {mode: [] for mode in STRICTEST}
    for touched in _touched_by(change, snapshot, options):
        by_mode_of[mode_of(touched.namespace, snapshot, options)].append(touched)
    for mode in STRICTEST:
        response = _refused(verdict, mode, by_mode_of[mode], snapshot, options)
        if response is not None:
            return response
    return _doubtful(verdict, by_mode_of, snapshot, options)


def findings_by_namespace(
    change: ClusterChange, snapshot: EemSnapshot, options: Options
) -> Iterator[tuple[str, list[Finding]]]:
    """Yield each namespace with EEM in which the change has an effect, with its findings."""
    universe, answers = universe_of(snapshot, options), Answers()
    for namespace, view in snapshot.eem.items():
        touched = [
            known
            for known in view.guarded
            if known.needs and any(change.touches(reading.subject.pod, snapshot) for reading in known.readings)
        ]
        if not touched:
            continue
        demand = demand_of(namespace, snapshot, options)
        world = World(
            snapshot=snapshot, view=view, demand=demand, universe=universe, answers=answers, tiers=change.others
        )
        findings = [
            finding
            for guarded in touched
            for requirement in guarded.needs
            if (finding := _worst(change, world, guarded, requirement)) is not None
        ]
        if findings:
            yield namespace, findings


def _worst(change: ClusterChange, world: World, guarded: Guarded, requirement: Requirement) -> Finding | None:
    """Return what the change means for one requirement of one subject, whatever the values of its labels are."""
    return in_all_readings([_finding(change, world, reading, requirement) for reading in guarded.readings])


def _finding(change: ClusterChange, world: World, guarded: Guarded, requirement: Requirement) -> Finding | None:
    """Return what the change means for one requirement of one subject; None for nothing."""
    pod, port = guarded.subject.pod, (requirement.protocol, requirement.port)
    labels = world.snapshot.namespace(pod.namespace).labels
    tiers = [tiers_at(policies, pod, labels, *port) or NO_TIERS for policies in (change.before, change.after)]
    if tiers[0] == tiers[1]:
        return None
    standing = world.view.standings[guarded.key]
    isolated = bool(len(standing.isolating))
    sources = standing.ports[port].total if isolated else EVERYONE
    before, after = (Side(sources=sources, isolated=isolated, tiers=one) for one in tiers)
    requirement = world.demanded(requirement)
    # Many namespaces have the same policies and admit the same sources: each question is answered once.
    question = id(sources), isolated, id(tiers[0]), id(tiers[1]), requirement.sources
    if question not in world.answers.known:
        found = lost_in_tiers(before, after, requirement.sources, change.touched, world.universe, world.answers)
        is_shut = found is None and is_broken(after, requirement.sources, world.universe, world.answers)
        world.answers.known[question] = found, is_shut
    found, broken = world.answers.known[question]
    if found is None and not broken:
        return None
    loss = None if found is None or found.loss.only_ipv6 else found.loss
    return Finding(
        requirement=requirement,
        subject=guarded.subject,
        loss=loss,
        broken=broken,
        only_pods=False,
        lost_ipv6=found.loss.witness if found is not None and found.loss.only_ipv6 else None,
        change=NO_CHANGE,
        world=world,
        standing=standing,
        before=sources if found is None else found.before,
        after=sources if found is None else found.after,
        denied_by=after.denying if found is None else found.denied_by,
    )


def egress_by_namespace(
    change: ClusterChange, snapshot: EemSnapshot, options: Options
) -> Iterator[tuple[str, tuple[EgressFinding, ...]]]:
    """Yield each namespace with EEM where egress is judged and the change has an effect on it, with its findings."""
    if not any(policy.egress for policy in change.changed):
        return
    universe, answers = universe_of(snapshot, options), Answers()
    sides = [snapshot.with_cluster_policies(policies) for policies in (change.before, change.after)]
    for namespace, view in snapshot.eem.items():
        if egress_of(namespace, snapshot, options) == "off":
            continue
        demand = demand_of(namespace, snapshot, options)
        before, after = (
            World(snapshot=side, view=view, demand=demand, universe=universe, answers=answers, tiers=change.others)
            for side in sides
        )
        findings = judge_egress_in_tiers(before, after, change.changed, options.service_translation)
        if findings:
            yield namespace, findings


@dataclass(frozen=True, kw_only=True, slots=True)
class _Touched:
    """
    What the change means in one namespace.

    Args:
        losses: the findings about ingress that are a reason to refuse.
        cut: the findings about egress that are.
    """

    namespace: str
    findings: Sequence[Finding]
    egress: Sequence[EgressFinding]
    losses: Sequence[Finding]
    cut: Sequence[EgressFinding]


def _touched_by(change: ClusterChange, snapshot: EemSnapshot, options: Options) -> Iterator[_Touched]:
    """Yield what the change means in each namespace with EEM in which it has an effect."""
    ingress = dict(findings_by_namespace(change, snapshot, options))
    egress = dict(egress_by_namespace(change, snapshot, options))
    for namespace in dict.fromkeys((*ingress, *egress)):
        findings, needs = ingress.get(namespace, []), egress.get(namespace, ())
        is_refused = egress_of(namespace, snapshot, options) == "enforce"
        yield _Touched(
            namespace=namespace,
            findings=findings,
            egress=needs,
            losses=[one for one in findings if one.loss is not None and options.refuses(decided=one.loss.decided)],
            cut=[one for one in needs if is_refused and one.is_loss and options.refuses(decided=one.is_decided)],
        )


def _refused(
    verdict: Verdict, mode: Mode, found: Sequence[_Touched], snapshot: EemSnapshot, options: Options
) -> AdmissionResponse | None:
    """Return the refusal for the namespaces of one mode, which names the worst; None where nothing counts."""
    refused = [touched for touched in found if touched.losses or touched.cut]
    if not refused:
        return None
    worst = min(refused, key=lambda touched: (-len(touched.losses), -len(touched.cut), touched.namespace))
    closed = explain(worst.losses) if worst.losses else ()
    needs = _explain_egress(worst.namespace, worst.egress, snapshot, options)
    counted = [*closed, *(item for item in needs if worst.cut and options.refuses(decided=item.decided))]
    advice = advice_on(counted, "")
    message, causes = refusal(verdict.operation, verdict.resource, counted, advice, _elsewhere(refused, worst))
    warnings = egress_warnings(worst.egress, told={(item.need, item.instance) for item in counted})
    lost = (*closed, *needs)
    answered = replace(verdict, allowed=False, lost=lost, message=message, advice=advice, warnings=warnings)
    return by_mode(answered, mode, causes, FORBIDDEN)


def _elsewhere(refused: Sequence[_Touched], worst: _Touched) -> str:
    """Return what is lost in the other namespaces, as the end of a sentence."""
    others = [touched for touched in refused if touched is not worst]
    if not others:
        return ""
    directions = [("ingress", any(one.losses for one in others)), ("egress", any(one.cut for one in others))]
    what = " and ".join(direction for direction, is_lost in directions if is_lost)
    return f"; and required {what} in {len(others)} other namespace{'s' if len(others) > 1 else ''}"


def _explain_egress(
    namespace: str, findings: Sequence[EgressFinding], snapshot: EemSnapshot, options: Options
) -> tuple[Lost, ...]:
    if not any(finding.is_loss for finding in findings):
        return ()
    needs = needs_of(namespace, snapshot, options.service_translation)
    return explain_egress(findings, EgressRemedies(snapshot.eem[namespace], "", needs, findings))


def _doubtful(
    verdict: Verdict, found: dict[Mode, list[_Touched]], snapshot: EemSnapshot, options: Options
) -> AdmissionResponse:
    """Return the answer where nothing is refused: what may be lost, and what was closed before."""
    for mode in STRICTEST:
        worst = min(found[mode], key=lambda touched: touched.namespace, default=None)
        if worst is None:
            continue
        doubtful = [finding for finding in worst.findings if finding.loss is not None]
        lost = explain(doubtful) if doubtful else ()
        undecided = tuple(warning(f"not decided: {summary(item)}: {item.why_undecided}") for item in lost)
        others = len(found[mode]) - 1
        more = (warning(f"and the like in {others} other namespaces with EEM"),) if others else ()
        annotations = {"undecided": one_line("; ".join(undecided), LONGEST_ANNOTATION)} if undecided else {}
        warnings = (*undecided, *warnings_of(worst.findings), *egress_warnings(worst.egress, told=frozenset()), *more)
        lost = (*lost, *_explain_egress(worst.namespace, worst.egress, snapshot, options))
        return with_warnings(replace(verdict, lost=lost), mode, warnings, annotations)
    return allowed(verdict, "allowed", {})
