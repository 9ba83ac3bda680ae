"""
Notes on a change of a NetworkPolicy: what it relies on, what it closes for exempt instances, and what does nothing.

A note is never a reason to refuse. All notes of one verdict are made once, for the verdict that is sent.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, takewhile

from webhook.admission.judge import Change, findings_of, is_isolating
from webhook.admission.refusal import GENERATED_NAME, short_name
from webhook.admission.response import warning
from webhook.admission.world import World
from webhook.eem.api_servers import pods_of_api_server
from webhook.eem.instances import OPERATOR_SWITCH, Component, InstanceRef, Requirement
from webhook.eem.subjects import COMPONENT_OF_INSTANCE
from webhook.eem.view import Guarded
from webhook.netpol.intervals import intersect
from webhook.netpol.matching import rule_covers, selects
from webhook.netpol.model import NetworkPolicy, NetworkPolicyPeer, Pod, PodPeer, PolicyRule, PolicyType
from webhook.netpol.selectors import EVERYTHING, matches
from webhook.netpol.snapshot import ClusterSnapshot, NamespaceState
from webhook.netpol.sources.admitted import admitted, admitted_by

SWITCHED_OFF = frozenset({"deployNetworkPolicies", "operator-switch"})
"""The exemptions with which a user takes over the ports; an instance that is being deleted needs none."""

MOST_LOOKS = 5_000
"""Namespaces and pods that are compared with the peers of one change: some milliseconds. Beyond it, no note is made."""

MOST_RULES = 100
"""Rules of one policy that are looked at."""


def notes_of(changes: Sequence[Change], world: World, *, offline: bool) -> tuple[str, ...]:
    """
    Return the notes on the changes of one request, as warnings.

    Args:
        offline: whether to look through the pods and namespaces of the cluster, too: a review must not wait for that.
    """
    found = [_closed_for_exempt(changes, world)]
    for change in changes:
        if change.new is not None:
            touched = [
                known for known in world.view.guarded if known.needs and is_isolating(change.new, known.subject.pod)
            ]
            kinds = (
                _assumed_labels,
                _narrowing_nothing,
                *((_matching_nothing, _without_api_server) if offline else ()),
            )
            found.extend(kind(change.new, touched, world) for kind in kinds)
    return tuple(dict.fromkeys(warning(text) for text in chain.from_iterable(found)))


def _name(policy: NetworkPolicy) -> str:
    return short_name(policy.name or GENERATED_NAME)


def _port(requirement: Requirement) -> str:
    return f"{requirement.protocol.value}/{requirement.port}"


def _closed_for_exempt(changes: Sequence[Change], world: World) -> Iterator[str]:
    """Yield a note for each instance of which the change closes ports, where its owner has taken them over."""
    closed: dict[InstanceRef, dict[str, None]] = {}
    for guarded in world.view.guarded:
        if guarded.exempt in SWITCHED_OFF:
            demanding = replace(guarded, needs=_waived(guarded, world))
            findings = chain.from_iterable(findings_of(change, world, demanding) for change in changes)
            for finding in findings:
                if finding.loss is not None and finding.loss.decided:
                    closed.setdefault(guarded.subject.instance, {})[_port(finding.requirement)] = None
    for ref, ports in closed.items():
        is_operator = ref.kind == "Deployment"
        switch = f"{OPERATOR_SWITCH}=false" if is_operator else "spec.deployNetworkPolicies: false"
        ours = "this port" if len(ports) == 1 else "these ports"
        what = f"{ref.kind} {short_name(ref.name)}"
        yield f"{', '.join(ports)} of {what} will be closed: with {switch}, you must open {ours} yourself"


def _waived(guarded: Guarded, world: World) -> tuple[Requirement, ...]:
    """Return what a subject would need if it were not exempt."""
    ref, inventory = guarded.subject.instance, world.view.inventory
    if guarded.subject.component is Component.OPERATOR:
        return inventory.operators[ref.name].requirements()
    return inventory.instances[ref.kind, ref.name].requirements(world.demand)


def _assumed_labels(new: NetworkPolicy, touched: list[Guarded], world: World) -> Iterator[str]:
    """Yield a note for each instance of which no pod was seen and that is open by a label only documented pods have."""
    for subject in [known.subject for known in touched if known.subject.assumed]:
        for policy in (new, *(policy for name, policy in world.view.policies.items() if name != new.name)):
            is_open = policy.ingress and not policy.terminating
            if is_open and _compares(policy) and selects(policy, subject.pod, PolicyType.INGRESS):
                of = short_name(subject.instance.name)
                yield f"{_name(policy)} relies on {COMPONENT_OF_INSTANCE}: no pod of {of} was seen with it yet"


def _compares(policy: NetworkPolicy) -> bool:
    return any(requirement.key == COMPONENT_OF_INSTANCE for requirement in policy.pod_selector.requirements)


def _narrowing_nothing(new: NetworkPolicy, touched: list[Guarded], world: World) -> Iterator[str]:
    """Yield a note for each required port that the policy admits some sources to, and another one everyone."""
    for guarded in touched:
        standing = world.view.standing(guarded)
        for requirement in guarded.needs:
            port = requirement.protocol, requirement.port
            if not standing.ports[port].is_open_without(new.name):
                continue
            own, admitting = admitted_by(new, guarded.subject.pod.ports, *port), standing.ports[port].admitting
            if not (own.is_empty() or own.everyone):
                names = (name for name in standing.names_in_order if name != new.name and name in admitting)
                other = next(name for name in names if admitting[name].everyone)
                yield f"{_name(new)} restricts nothing: {short_name(other)} admits every source to {_port(requirement)}"


def _without_api_server(new: NetworkPolicy, touched: list[Guarded], world: World) -> Iterator[str]:
    """Yield a note where only addresses may reach the operator's webhook, and none of them is the API server's."""
    for guarded in touched:
        if guarded.subject.component is not Component.OPERATOR:
            continue
        known = [policy for name, policy in world.view.policies.items() if name != new.name]
        for requirement in guarded.needs:
            after = admitted((new, *known), guarded.subject.pod, requirement.protocol, requirement.port)
            servers = world.snapshot.api_servers or pods_of_api_server(world.snapshot.cluster)
            inside = any(intersect(after.block(family), ((number, number),)) for family, number in servers)
            if servers and after.blocks and not (after.terms or after.everyone or after.unreadable or inside):
                operator = short_name(guarded.subject.instance.name)
                yield f"{_port(requirement)} of {operator}: no address of the API server may connect"


def _matching_nothing(new: NetworkPolicy, touched: list[Guarded], world: World) -> Iterator[str]:
    """Yield a note for each rule about a required port whose peers are selectors and match nothing that exists."""
    look = _Look(world.snapshot.cluster)
    for index, rule in enumerate(new.ingress[:MOST_RULES]):
        if rule.peers and any(_covers_a_need(rule, guarded) for guarded in touched):
            missing = [*takewhile(bool, map(look.missing, rule.peers))]
            if len(missing) == len(rule.peers):
                what = " or ".join(sorted(set(missing)))
                yield f"spec.ingress[{index}].from of {_name(new)} admits no source: no {what} matches"


def _covers_a_need(rule: PolicyRule, guarded: Guarded) -> bool:
    ports = guarded.subject.pod.ports
    return any(rule_covers(rule, ports, need.protocol, need.port) is not False for need in guarded.needs)


@dataclass(slots=True)
class _Look:
    """
    A search for what peers match, of limited length.

    Args:
        seen: whether some Namespace is known: without any, nothing is known of namespaces.
    """

    cluster: ClusterSnapshot
    left: int = MOST_LOOKS
    seen: bool = False

    def missing(self, peer: NetworkPolicyPeer) -> str:
        """Return what no object matches, `namespace` or `pod`; empty where something matches, or may."""
        if not isinstance(peer, PodPeer):
            return ""
        states = list(self._namespaces(peer))
        if self.left > 0 and not states:
            return "namespace" if self.seen else ""
        found = peer.pod_selector == EVERYTHING or any(
            self._matches(peer, pod) for one in states for pod in one.pods.values()
        )
        return "" if found or self.left <= 0 else "pod"

    def _namespaces(self, peer: PodPeer) -> Iterator[NamespaceState]:
        if peer.namespace is not None:
            yield self.cluster.state(peer.namespace)
            return
        for state in self.cluster.namespaces():
            self.left -= 1
            if self.left <= 0:
                return
            self.seen = self.seen or state.seen
            if matches(peer.namespace_selector, state.namespace.labels):
                yield state

    def _matches(self, peer: PodPeer, pod: Pod) -> bool:
        """Whether a pod matches, or there are too many to know."""
        self.left -= 1
        return self.left <= 0 or (not pod.host_network and matches(peer.pod_selector, pod.labels))
