"""
The report: for each port and need of EEM who can reach it, by which policies, and what each policy keeps open.

It is made from an audit, and is JSON values: the command, the page and other programs read the same fields. What would
be lost without a policy is judged as the deletion of that policy is.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from webhook.admission.audit import Audit, gateways_without_instance, row, unknown_annotations_of
from webhook.admission.cluster_change import deletion_of
from webhook.admission.clusterpolicy import findings_by_namespace
from webhook.admission.egress.allowance import Allowance, PathReach
from webhook.admission.egress.need_changes import EgressFinding, egress_findings_of, isolating_egress
from webhook.admission.egress.need_explanation import EgressRemedies, explain_egress
from webhook.admission.egress.need_standing import NamespaceNeeds
from webhook.admission.explanation import explain, pods_seen
from webhook.admission.judge import Change, Finding, findings_of
from webhook.admission.namespace_audit import NamespaceAudit, RequirementState
from webhook.admission.options import Options, mode_of, universe_of
from webhook.admission.refusal import losses_in_words, told_closed
from webhook.admission.verdict import SCHEMA_VERSION, Lost, pods_json, policy_kinds_json
from webhook.admission.wide_policies import WidePolicies, WidePolicy, kind_and_name, rules_at
from webhook.admission.world import World
from webhook.eem.eem_snapshot import EemSnapshot
from webhook.eem.instances import EemOperator, Instance, InstanceRef
from webhook.eem.needs import Need, needs_of
from webhook.eem.standing import Port, Standing
from webhook.eem.subjects import Subject
from webhook.netpol.explain import describe_sources
from webhook.netpol.matching import rule_covers, selects
from webhook.netpol.model import NetworkPolicy, Pod, PolicyType
from webhook.netpol.sources.budget import Answers, StepBudget, StepsExhaustedError
from webhook.netpol.sources.sides import Side
from webhook.netpol.sources.source_set import EVERYONE, Sources
from webhook.netpol.sources.tier_loss import surely_admitted, tiers_in

MOST_LISTED: Final = 100
"""Entries of one list; a field beside it counts the others, so that long lists do not make the report unusable."""

NETWORK_POLICY: Final = "NetworkPolicy"
TOO_MANY: Final = "not known: the selectors are too many to decide in time"
_STATE_OF: Final = {
    PathReach.YES: "holds",
    PathReach.SOME: "partly",
    PathReach.PERHAPS: "not decided",
    PathReach.NO: "broken",
}

Entry = dict[str, Any]


def report(found: Audit, snapshot: EemSnapshot, options: Options) -> Entry:
    """
    Return the report on every namespace with EEM.

    This takes some seconds in a cluster of thousands of policies: a service gives it to a thread.

    Args:
        found: the audit of this snapshot.
    """
    without: dict[str, dict[str, list[Finding]]] = {}
    for policy in snapshot.cluster.cluster_policies.known.values():
        for namespace, findings in findings_by_namespace(deletion_of(policy, snapshot), snapshot, options):
            lost = [finding for finding in findings if finding.loss is not None]
            without.setdefault(namespace, {})[policy.full_name] = lost
    namespaces = [
        _NamespaceReport(known, found.needs.get(name), snapshot, options).entry(without.get(name, {}))
        for name, known in found.namespaces.items()
    ]
    instances = [instance for namespace in namespaces for instance in namespace["instances"]]
    states = [one["state"] for instance in instances for one in instance["requirements"]]
    needs = [one["state"] for instance in instances for one in instance["needs"] if one["level"] != "note"]
    return {
        "schemaVersion": SCHEMA_VERSION,
        "summary": {
            "requirements": len(states),
            "broken": states.count("broken"),
            "notDecided": states.count("not decided"),
            "needs": len(needs),
            "needsBroken": needs.count("broken"),
        },
        "namespaces": namespaces,
        "gatewaysWithoutInstance": list(gateways_without_instance(snapshot)),
        "unknownAnnotations": unknown_annotations_of(found),
        "policyKinds": policy_kinds_json(snapshot.policy_kinds()),
    }


class _NamespaceReport:
    """The report of one namespace."""

    def __init__(
        self, known: NamespaceAudit, needs: NamespaceNeeds | None, snapshot: EemSnapshot, options: Options
    ) -> None:
        self._known = known
        self._wide = WidePolicies(audited=known, needs=needs, snapshot=snapshot, options=options)
        self._view = known.view
        self._name = known.view.inventory.namespace
        self._snapshot = snapshot
        self._options = options
        self._world = World(
            snapshot=snapshot,
            view=known.view,
            demand=known.demand,
            universe=known.surroundings.universe,
            answers=Answers(),
        )
        self._restricting = list(known.view.index.egress.values())
        self._needs: dict[InstanceRef, list[Need]] = {}
        for need in needs_of(self._name, snapshot, options.service_translation):
            self._needs.setdefault(need.instance, []).append(need)
        every = [need for needs in self._needs.values() for need in needs]
        self._remedies = EgressRemedies(self._view, "", every)
        self._subjects: dict[InstanceRef, list[Subject]] = {}
        for guarded in self._view.guarded:
            self._subjects.setdefault(guarded.subject.instance, []).append(guarded.subject)
        self._states: dict[InstanceRef, list[RequirementState]] = {}
        for state in known.states.values():
            self._states.setdefault(state.requirement.instance, []).append(state)

    def entry(self, without: Mapping[str, list[Finding]]) -> Entry:
        """
        Return the report of the namespace.

        Args:
            without: what is lost without each cluster-wide policy, by its full name.
        """
        inventory = self._view.inventory
        everything: list[EemOperator | Instance] = [*inventory.operators.values(), *inventory.instances.values()]
        own = list(self._policies())
        wide = [
            {
                **_named(*kind_and_name(policy)),
                "without": _without(
                    (*_explained(without.get(policy.full_name)), *self._wide.lost_without(policy)),
                ),
            }
            for policy in self._wide.of_namespace()
        ]
        shown = {policy["name"] for policy in own}
        others = sorted(name for name in self._view.policies if f"{self._name}/{name}" not in shown)
        return {
            "namespace": self._name,
            "mode": mode_of(self._name, self._snapshot, self._options),
            "instances": [self._instance(one) for one in sorted(everything, key=lambda one: one.ref)],
            "policies": [*wide, *own],
            **_listed("otherPolicies", others),
        }

    def _instance(self, instance: EemOperator | Instance) -> Entry:
        """Return an instance or operator with its pods, what it requires and what it needs."""
        ref = instance.ref
        component = "operator" if isinstance(instance, EemOperator) else instance.component.value
        return {
            "kind": ref.kind,
            "namespace": ref.namespace,
            "name": ref.name,
            "component": component,
            "exempt": instance.exemption or None,
            "pods": pods_json(pods_seen(self._subjects.get(ref, []))),
            "requirements": [self._requirement(state) for state in self._states.get(ref, [])],
            "needs": [self._need(need) for need in self._needs.get(ref, [])],
        }

    def _requirement(self, state: RequirementState) -> Entry:
        """Return the row of the audit, who can connect to each set of pods, and by which policies."""
        lost, requirement = state.lost, state.requirement
        port = requirement.protocol, requirement.port
        undecided = f"not decided: {lost.why_undecided}" if lost is not None else ""
        is_some = "some" in {requirement.sources, self._known.demand}
        known = row(state)
        return {
            **known,
            **_listed("policies", known["policies"]),
            "state": "broken" if not state.met else "holds" if lost is None else "not decided",
            "demand": "some" if is_some else "anywhere",
            "why": requirement.why,
            "message": told_closed(lost) if lost is not None and not state.met else undecided,
            "reach": [self._reach(guarded.subject, standing, port) for guarded, standing in state.subjects],
        }

    def _reach(self, subject: Subject, standing: Standing, port: Port) -> Entry:
        isolated = bool(len(standing.isolating))
        sources = standing.ports[port].total if isolated else EVERYONE
        tiers = tiers_in(self._snapshot.cluster, standing.pod, *port)
        words = self._words(sources)
        if tiers is not None:
            side = Side(sources=sources, isolated=isolated, tiers=tiers)
            words = self._words_in_tiers(side, StepBudget())
        decided = [
            {**_named(*kind_and_name(policy)), **_listed("rules", _rules(policy, standing.pod, port))}
            for policy in self._wide.of_pod(standing.pod, PolicyType.INGRESS)
        ]
        names = sorted(standing.ports[port].admitting)
        ways = [self._way(standing.isolating[name], standing.pod, port) for name in names[:MOST_LISTED]]
        return {
            "pods": pods_json(pods_seen([subject])),
            "isolated": isolated,
            **_listed("isolatedBy", [f"{self._name}/{name}" for name in standing.names_in_order]),
            **_listed("sources", words),
            "ways": [*(way for way in decided if way["rules"]), *ways],
            **_rest("ways", names),
        }

    def _words(self, sources: Sources) -> Sequence[str]:
        return describe_sources(sources, self._options.ipblock_matches_pods)

    def _words_in_tiers(self, side: Side, budget: StepBudget) -> Sequence[str]:
        try:
            surely, _ = surely_admitted(side, universe_of(self._snapshot, self._options), budget)
        except StepsExhaustedError:
            return (TOO_MANY,)
        by_address = not side.sources.everyone
        return describe_sources(surely, self._options.ipblock_matches_pods, pods_by_address=by_address)

    def _way(self, policy: NetworkPolicy, pod: Pod, port: Port) -> Entry:
        """Return the rules of a policy that admit a source to a port, or may."""
        rules = [
            {"rule": index, **_listed("sources", self._words(rule.admits))}
            for index, rule in enumerate(policy.ingress)
            if rule_covers(rule, pod.ports, *port) is not False and not rule.admits.is_empty()
        ]
        return {**_named(NETWORK_POLICY, policy.full_name), **_listed("rules", rules)}

    def _need(self, need: Need) -> Entry:
        """Return how far a need is reachable from every set of pods, and by which policies."""
        found = [(subject, self._allowance(subject)) for subject in self._subjects.get(need.instance, [])]
        reached = [max(allowance.state(path, need).reach for path in need.paths) for _, allowance in found]
        reach = min(reached, default=PathReach.YES)
        cut = [
            EgressFinding(need=replace(need, level="certain"), subject=subject, is_lost=True, isolating=known.isolating)
            for (subject, known), one in zip(found, reached, strict=True)
            if one is PathReach.NO
        ]
        lost = explain_egress(cut, self._remedies)
        ways: dict[str, set[int]] = {}
        for (_, allowance), one in zip(found, reached, strict=True):
            for path in need.paths if one is not PathReach.NO else ():
                for policy, index in allowance.ways(path, need):
                    ways.setdefault(policy, set()).add(index)
        isolating = dict.fromkeys(policy.full_name for _, known in found for policy in known.isolating)
        isolating |= dict.fromkeys(name for _, known in found for name in known.overriding)
        return {
            "need": need.id,
            "level": need.level,
            "destination": need.destination,
            "protocol": need.protocol.value,
            "port": need.port,
            "state": _STATE_OF[reach],
            **_listed("isolatedBy", list(isolating)),
            "ways": [{"policy": policy, "rules": sorted(rules)} for policy, rules in sorted(ways.items())],
            "message": told_closed(lost[0]) if lost else "",
            "remedy": lost[0].remedy if lost else None,
        }

    def _allowance(self, subject: Subject) -> Allowance:
        isolating = isolating_egress(self._restricting, subject.pod)
        lasting = tuple(replace(policy, egress=()) if policy.terminating else policy for policy in isolating)
        return Allowance.of(None, lasting, subject, self._world)

    def _policies(self) -> Iterator[Entry]:
        """Yield each NetworkPolicy that restricts pods of EEM, by name, with what would be lost without it."""
        losses: dict[str, list[Finding]] = {}
        restricted: dict[str, dict[InstanceRef, None]] = {}
        for guarded in self._view.guarded:
            if not guarded.needs:
                continue
            standings = [self._view.standings[reading.key] for reading in guarded.readings]
            for name in standings[0].names_in_order:
                restricted.setdefault(name, {})[guarded.subject.instance] = None
            admitting = {name for one in standings for port in one.ports.values() for name in port.admitting}
            for name in sorted(admitting):  # one that admits nothing keeps nothing open
                change = Change(name=name, old=self._view.policies[name], new=None)
                found = findings_of(change, self._world, guarded)
                losses.setdefault(name, []).extend(finding for finding in found if finding.loss is not None)
        cut: dict[str, list[EgressFinding]] = {}
        for policy in self._restricting:
            for subject, needs in self._needy(policy):
                change = Change(name=policy.name, old=policy, new=None)
                found_egress = egress_findings_of(change, self._world, subject, needs)
                restricted.setdefault(policy.name, {})[subject.instance] = None
                cut.setdefault(policy.name, []).extend(finding for finding in found_egress if finding.is_loss)
        for name in sorted(restricted):
            policy, explained = self._view.policies[name], _explained(losses.get(name))
            yield {
                **_named(NETWORK_POLICY, policy.full_name),
                "directions": sorted(policy.policy_types),
                "terminating": policy.terminating,
                "owners": [f"{owner.kind} {owner.name}" for owner in policy.owners],
                **_listed("restricts", [f"{ref.kind} {ref.name}" for ref in restricted[name]]),
                "without": _without((*explained, *explain_egress(cut.get(name, []), self._remedies))),
            }

    def _needy(self, policy: NetworkPolicy) -> Iterator[tuple[Subject, list[Need]]]:
        """Yield each subject whose egress a policy restricts, with what it needs."""
        for ref, subjects in self._subjects.items():
            needs = [need for need in self._needs.get(ref, []) if need.level != "note"]
            if needs:
                yield from ((one, needs) for one in subjects if selects(policy, one.pod, PolicyType.EGRESS))


def _explained(lost: list[Finding] | None) -> tuple[Lost, ...]:
    return explain(lost) if lost else ()


def _named(kind: str, name: str) -> Entry:
    return {"kind": kind, "name": name}


def _listed(field: str, entries: Sequence[Any]) -> Entry:
    """Return the first entries of a list; a second field counts the others if there are any."""
    return {field: list(entries[:MOST_LISTED]), **_rest(field, entries)}


def _rest(field: str, entries: Sequence[Any]) -> Entry:
    more = len(entries) - MOST_LISTED
    return {f"{field}More": more} if more > 0 else {}


def _rules(policy: WidePolicy, pod: Pod, port: Port) -> list[Entry]:
    return [{**rule, **_listed("sources", rule["sources"])} for rule in rules_at(policy, pod, port)]


def _without(lost: Iterable[Lost]) -> list[Mapping[str, Any]]:
    return [
        {
            "direction": one.direction,
            "instance": {"kind": one.instance.kind, "name": one.instance.name},
            "component": one.component.value,
            "protocol": one.protocol.value,
            "port": one.port,
            "need": one.need or None,
            "decided": one.decided,
            "message": losses_in_words((one,))[0],
        }
        for one in lost
    ]
