"""
Evaluate the egress that EEM needs as the policies are, without a change of them.

The audit keeps the state of every need. The creation of an instance is answered with the needs that it will not have:
the operator makes no egress policies, so the user of the instance has to open what other policies cut.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from webhook.admission.egress.allowance import Allowance, PathReach
from webhook.admission.egress.need_changes import BY_BLOCK, BY_CLUSTER_POLICIES, EgressFinding, isolating_egress
from webhook.admission.egress.need_explanation import EgressRemedies, lost_egress
from webhook.admission.explanation import pods_seen
from webhook.admission.options import Options, demand_of, egress_of, universe_of
from webhook.admission.refusal import short_name
from webhook.admission.review import AdmissionRequest
from webhook.admission.surroundings import Surroundings
from webhook.admission.verdict import Lost, lost_json, time_text
from webhook.admission.world import World
from webhook.eem.eem_snapshot import EemSnapshot
from webhook.eem.instances import InstanceRef, read_instance
from webhook.eem.needs import Need, NeedName, needs_of
from webhook.eem.subjects import Subject
from webhook.netpol.intervals import IPAddress
from webhook.netpol.matching import Address, PodEndpoint, peer_matches
from webhook.netpol.model import Pod, PodPeer
from webhook.netpol.reading import Faults
from webhook.netpol.sources.budget import Answers
from webhook.netpol.sources.source_set import Sources, union_of

PodName = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NeedState:
    """
    Whether one need holds for every subject.

    Args:
        lost: what is or may be cut off, with the evidence of a refusal; None if the need surely holds.
        met: whether it holds; one that is not decided counts as met, except under --strict.
        since: the time since when it is known to be so, in seconds since 1970.
        subjects: its pods.
    """

    need: Need
    lost: Lost | None
    met: bool
    since: float
    subjects: tuple[Subject, ...] = field(default=(), compare=False, repr=False)

    def evidence(self) -> Lost:
        """Return what is or may be cut off; of a need that surely holds, its pods."""
        if self.lost is not None:
            return self.lost
        need = self.need
        return Lost(
            instance=need.instance,
            component=need.component,
            protocol=need.protocol,
            port=need.port,
            pods=pods_seen(self.subjects),
            counterexample=None,
            policies=(),
            decided=True,
            why_undecided="",
            remedy=None,
            direction="egress",
            need=need.id,
            destination=need.destination,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class NamespaceNeeds:
    """
    The state of every need of one namespace, with what it rests on.

    Args:
        facts: values that are replaced when they change, so that it is enough to compare which ones they are.
        pods: the pods at the ends of paths, by namespace and name; None for one that does not exist.
        places: what else counts of their namespaces.
        others_count: whether every pod of these namespaces counts, since a rule that lets out to an end may let out to
            another pod.
        addresses: the ends of paths that are addresses, each with whether a pod had it.
        sources: what the egress rules of the namespace allow.
    """

    surroundings: Surroundings
    states: Mapping[NeedName, NeedState] = field(default_factory=dict)
    facts: tuple[object, ...] = ()
    pods: Mapping[PodName, Pod | None] = field(default_factory=dict)
    places: Mapping[str, tuple[object, ...]] = field(default_factory=dict)
    others_count: bool = False
    addresses: Mapping[IPAddress, bool] = field(default_factory=dict)
    sources: Sources = field(default_factory=lambda: union_of(()))

    def still_holds(self, namespace: str, snapshot: EemSnapshot, now: Surroundings) -> bool:
        """Whether nothing has changed that a state rests on."""
        cluster = snapshot.cluster
        return (
            _are_same(self.facts, _facts(namespace, snapshot))
            and self.surroundings.strict == now.strict
            and not self.surroundings.differs_for(self.sources, now)
            and all(cluster.state(space).pods.get(name) is pod for (space, name), pod in self.pods.items())
            and all(
                _are_same(known, _place(name, snapshot, all_pods=self.others_count))
                for name, known in self.places.items()
            )
            and all((key in cluster.pod_addresses.bearers) is found for key, found in self.addresses.items())
        )


def _are_same(some: tuple[object, ...], others: tuple[object, ...]) -> bool:
    return all(one is other for one, other in zip(some, others, strict=True))


def _place(name: str, snapshot: EemSnapshot, *, all_pods: bool) -> tuple[object, ...]:
    """Return what counts of a namespace with ends: its labels, what EEM has there, and perhaps all pods."""
    cluster = snapshot.cluster
    return cluster.namespace_objects.get(name), snapshot.eem.get(name), cluster.state(name).pods if all_pods else None


def _facts(namespace: str, snapshot: EemSnapshot) -> tuple[object, ...]:
    cluster = snapshot.cluster
    return (
        snapshot.eem[namespace],
        snapshot.destinations,
        snapshot.neighbours,
        snapshot.operators,
        cluster.cluster_policies,
        cluster.state(namespace).namespace,
    )


def need_row(state: NeedState) -> dict[str, Any]:
    """Return the state of one need as JSON values, like that of a requirement, with the level of the need."""
    return {**lost_json(state.evidence()), "level": state.need.level, "met": state.met, "since": time_text(state.since)}


def need_steps(
    world: World, options: Options, surroundings: Surroundings, at: float, earlier: Mapping[NeedName, NeedState]
) -> Generator[None, None, NamespaceNeeds]:
    """
    Evaluate the needs of one namespace, one need at a time.

    Args:
        at: the time, in seconds since 1970.
        earlier: the last states: the time of one that has not turned since remains.
    """
    namespace, snapshot = world.view.inventory.namespace, world.snapshot
    needs = needs_of(namespace, snapshot, options.service_translation)
    yield
    groups: dict[NeedName, list[Need]] = {}
    for need in needs:
        if need.level != "note":
            groups.setdefault(need.name, []).append(need)
    allowances = _allowances(world)
    found: dict[NeedName, list[EgressFinding]] = {}
    for name, group in groups.items():
        concerned = allowances.get((group[0].component, group[0].instance), ())
        found[name] = [one for need in group for known in concerned if (one := _cut_off(need, known)) is not None]
        yield
    remedies = EgressRemedies(world.view, "", needs, (one for findings in found.values() for one in findings))
    states: dict[NeedName, NeedState] = {}
    for name, group in groups.items():
        concerned = allowances.get((group[0].component, group[0].instance), ())
        states[name] = _state(group[0], found[name], remedies, [known.subject for known in concerned], options)
        before = earlier.get(name)
        is_old = before is not None and before.met == states[name].met
        states[name] = replace(states[name], since=before.since if before is not None and is_old else at)
    ends = [end.endpoint for need in needs for path in need.paths for end in path.ends]
    pods = [end for end in ends if isinstance(end, PodEndpoint)]
    names = {(end.pod.namespace, end.pod.name) for end in pods} | snapshot.destinations.pods
    addresses = [(end.family, end.number) for end in ends if isinstance(end, Address)]
    bearers = snapshot.cluster.pod_addresses.bearers
    policies = (policy for found in allowances.values() for known in found for policy in known.isolating)
    rules = [rule for policy in policies for rule in policy.egress]
    peers = [peer for rule in rules for peer in rule.peers or () if isinstance(peer, PodPeer)]
    others_count = any(peer_matches(peer, end, "no") for peer in peers for end in pods)
    return NamespaceNeeds(
        surroundings=surroundings,
        states=states,
        facts=_facts(namespace, snapshot),
        pods={(space, name): snapshot.cluster.state(space).pods.get(name) for space, name in names},
        places={space: _place(space, snapshot, all_pods=others_count) for space, _ in names},
        others_count=others_count,
        addresses={address: address in bearers for address in addresses},
        sources=union_of(rule.admits for rule in rules),
    )


def _allowances(world: World) -> dict[tuple[object, object], list[Allowance]]:
    """Return what the policies let out of each subject, by component and instance."""
    found: dict[tuple[object, object], list[Allowance]] = {}
    for guarded in world.view.guarded:
        subject = guarded.subject
        policies = isolating_egress(world.view.index.egress.values(), subject.pod)
        lasting = [replace(policy, egress=()) if policy.terminating else policy for policy in policies]
        allowance = Allowance.of(None, lasting, subject, world)
        found.setdefault((subject.component, subject.instance), []).append(allowance)
    return found


def _cut_off(need: Need, allowance: Allowance) -> EgressFinding | None:
    """Return what is or may be cut off of a need; None if it surely holds."""
    if not allowance.is_limited:
        return None
    best = max(allowance.state(path, need).reach for path in need.paths)
    if best >= PathReach.SOME:
        return None
    doubt = BY_CLUSTER_POLICIES if allowance.overriding else BY_BLOCK
    return EgressFinding(
        need=need,
        subject=allowance.subject,
        is_lost=best is PathReach.NO,
        why_undecided="" if best is PathReach.NO else doubt,
        isolating=allowance.isolating,
        denied_by=() if allowance.isolating else allowance.overriding,
    )


def _state(
    need: Need, found: Sequence[EgressFinding], remedies: EgressRemedies, subjects: Sequence[Subject], options: Options
) -> NeedState:
    sure = [finding for finding in found if finding.is_lost]
    worst = sure or list(found)
    lost = replace(lost_egress(worst, remedies), decided=bool(sure)) if worst else None
    met = lost is None or not options.refuses(decided=lost.decided)
    return NeedState(need=need, lost=lost, met=met, since=0.0, subjects=tuple(subjects))


def egress_impact(request: AdmissionRequest, snapshot: EemSnapshot, options: Options) -> tuple[str, ...]:
    """Return one sentence for each need of a created instance that no policy lets out."""
    is_off = egress_of(request.namespace, snapshot, options) == "off"
    instance = None if is_off or request.operation != "CREATE" else read_instance(request.object or {}, Faults())
    if instance is None or instance.exemption:
        return ()
    instance = replace(instance, namespace=request.namespace)
    grown = snapshot.with_instance(instance)
    world = World(
        snapshot=grown,
        view=grown.eem[instance.namespace],
        demand=demand_of(instance.namespace, grown, options),
        universe=universe_of(grown, options),
        answers=Answers(),
    )
    return tuple(dict.fromkeys(_sentences(world, instance.ref, options)))


def _sentences(world: World, ref: InstanceRef, options: Options) -> Iterator[str]:
    allowances = [one for (_, known), found in _allowances(world).items() if known == ref for one in found]
    limited = [allowance for allowance in allowances if allowance.isolating]
    needs = needs_of(ref.namespace, world.snapshot, options.service_translation) if limited else ()
    own = [need for need in needs if need.instance == ref and need.level != "note"]
    for allowance in limited:
        for need in own:
            finding = _cut_off(need, allowance)
            if finding is not None and finding.is_lost:
                port = f"{need.protocol.value}/{need.port}" if need.port else f"any {need.protocol.value} port"
                by = short_name(allowance.isolating[0].name)
                yield f"egress {need.id} to {need.destination} {port} is cut off: isolated by {by}"
