"""
Build the NetworkPolicies that may make up for what a change takes away.

They select the pods that lose something, by the labels that identify their instance where that is possible. They admit
no more than was open before the change; where nothing has changed, no more than EEM requires. And they isolate no other
pods than those.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from webhook.admission.options import Options, universe_of
from webhook.admission.remedy import common_labels, names_from, selectors_of
from webhook.admission.trial import ObjectChange
from webhook.admission.verdict import Lost
from webhook.eem.eem_snapshot import EemSnapshot
from webhook.eem.instances import Component
from webhook.eem.view import Guarded
from webhook.netpol.controller_labels import pods_of
from webhook.netpol.matching import selecting, selects
from webhook.netpol.model import NetworkPolicy, Pod, PolicyType
from webhook.netpol.parse import read_policy
from webhook.netpol.reading import integer_at, list_at, object_at, objects_at, text_at, value_at
from webhook.netpol.sources.budget import Answers
from webhook.netpol.sources.opening import Opening

ApiObject = Mapping[str, Any]
Node = dict[str, Any]
Port = tuple[str, int]


def name_of_policy(policy: ApiObject) -> str:
    """Return the name of a policy of a fix."""
    return str(policy["metadata"]["name"])


def policies_for(
    lost: Sequence[Lost], change: ObjectChange | None, before: EemSnapshot, options: Options, taken: Iterable[str]
) -> list[ApiObject]:
    """
    Return policies that may make a refused change acceptable; none if that is not possible.

    Args:
        lost: what the change takes away, or what is broken.
        change: None for what is broken.
        before: the cluster before the change.
        taken: names that no policy may have, apart from those of the cluster.
    """
    after = before if change is None else change.applied_to(before)
    groups: dict[tuple[object, ...], list[Lost]] = {}
    for one in lost:
        groups.setdefault((one.instance, one.component, one.direction), []).append(one)
    used, found = set(taken), list[ApiObject]()
    for losses in groups.values():
        group = _Group(lost=tuple(losses), change=change, before=before, after=after, options=options)
        specs = group.specs()
        if not specs:
            return []
        for spec in specs:
            same = next((known for known in found if _is_mergeable(known, spec, group.namespace)), None)
            if same is not None:
                found[found.index(same)] = {**same, "spec": _merged(same["spec"], spec)}
                continue
            names = (name for name in names_from(group.stem) if name not in used)
            name = next(name for name in names if name not in before.cluster.state(group.namespace).policies)
            used.add(name)
            found.append(_policy(group.namespace, name, spec))
    return found


def pods_in(namespace: str, snapshot: EemSnapshot) -> tuple[Pod, ...]:
    """Return the pods of a namespace that policies can select, and those that workloads make, each sort once."""
    state, view = snapshot.cluster.state(namespace), snapshot.eem.get(namespace)
    made = (pod for workload in state.workloads.values() for pod in pods_of(workload))
    assumed = () if view is None else (guarded.subject.pod for guarded in view.guarded)
    found = (pod for pod in (*state.pods.values(), *made, *assumed) if not pod.host_network and not pod.finished)
    return tuple({(frozenset(pod.labels.items()), frozenset(pod.ports)): pod for pod in found}.values())


def _policy(namespace: str, name: str, spec: Node) -> ApiObject:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def _is_mergeable(known: ApiObject, spec: Node, namespace: str) -> bool:
    """Whether a policy selects the same pods, for the other direction."""
    other: Node = known["spec"]
    is_same = (known["metadata"]["namespace"], other["podSelector"]) == (namespace, spec["podSelector"])
    return is_same and other["policyTypes"] != spec["policyTypes"]


def _merged(one: Node, other: Node) -> Node:
    return {**one, **other, "policyTypes": [*one["policyTypes"], *other["policyTypes"]]}


@dataclass(frozen=True, kw_only=True)
class _Group:
    """What one component of one instance loses in one direction."""

    lost: tuple[Lost, ...]
    change: ObjectChange | None
    before: EemSnapshot
    after: EemSnapshot
    options: Options

    @property
    def namespace(self) -> str:
        """Return the namespace of the instance."""
        return self.lost[0].instance.namespace

    @property
    def direction(self) -> PolicyType:
        """Return the direction in which something is lost."""
        return PolicyType(self.lost[0].direction.title())

    @property
    def stem(self) -> str:
        """Return what the names of its policies begin with."""
        first = self.lost[0]
        part = "" if first.component is Component.OPERATOR else f"-{first.component.value}"
        what = "allow" if self.direction is PolicyType.INGRESS else "allow-egress"
        return f"{what}-{first.instance.name}{part}"

    @cached_property
    def guarded(self) -> tuple[Guarded, ...]:
        """Return the subjects that lose something."""
        names = {name for lost in self.lost for name in lost.pods.names}
        first = self.lost[0]
        return tuple(
            known
            for known in self.before.eem[self.namespace].guarded
            if (known.subject.instance, known.subject.component) == (first.instance, first.component)
            and (names.intersection(known.subject.names) if known.subject.names else self._is_like(known))
        )

    def _is_like(self, known: Guarded) -> bool:
        """Whether a template has the labels that pods which lose something have in common."""
        labels = known.subject.pod.labels.items()
        return any(lost.pods.labels.items() <= labels for lost in self.lost)

    def specs(self) -> list[Node]:
        """Return the specs of policies: of one for all subjects, of one for each, or of one as the change selects."""
        together = self._spec(self.guarded, self._by_labels(self.guarded))
        if together is not None:
            return [together]
        each = [self._spec([known], self._by_labels([known])) for known in self.guarded]
        found = [spec for spec in each if spec is not None]
        if found and len(found) == len(each):
            return found
        changed = (
            dict(object_at(self._spec_of(side), "podSelector")) for side in ("old", "new") if self._spec_of(side)
        )
        last = self._spec(self.guarded, changed)
        return [] if last is None else [last]

    def _spec(self, guarded: Sequence[Guarded], selectors: Iterable[Node]) -> Node | None:
        """Return the spec of one policy for these subjects, with one of the selectors; None if there is none."""
        candidates = (
            {"podSelector": selector, "policyTypes": [self.direction.value], self.direction.value.lower(): rules}
            for selector in selectors
            for rules in self._rules(guarded)
            if rules
        )
        return next((spec for spec in candidates if self._is_fine(spec, guarded)), None)

    def _by_labels(self, guarded: Sequence[Guarded]) -> Iterator[Node]:
        """Yield selectors of these subjects by their labels; the last ones select only pods that the change selects."""
        subjects = [known.subject for known in guarded]
        labels = list(selectors_of(subjects, common_labels(subjects)) if subjects else ())
        yield from ({"matchLabels": dict(one)} for one in labels)
        new = self._spec_of("new")
        for one in labels if new else ():
            selector = object_at(new, "podSelector")
            yield {**selector, "matchLabels": {**object_at(selector, "matchLabels"), **one}}

    def _spec_of(self, side: str) -> Mapping[str, Any]:
        """Return the spec of the changed NetworkPolicy before or after the change; empty if there is none."""
        changed = None if self.change is None else getattr(self.change, side)
        return object_at(changed, "spec") if value_at(changed, "kind") == "NetworkPolicy" else {}

    def _rules(self, guarded: Sequence[Guarded]) -> Iterator[list[Node]]:
        """Return rules that admit what is lost, those of the old policy last."""
        return self._egress_rules() if self.direction is PolicyType.EGRESS else self._ingress_rules(guarded)

    def _egress_rules(self) -> Iterator[list[Node]]:
        """Yield rules for the destinations that EEM needs, then the rules of the old policy."""
        remedies = (lost.remedy for lost in self.lost if lost.remedy is not None)
        yield from ([dict(rule) for rule in remedy["spec"]["egress"]] for remedy in remedies)
        old = objects_at(self._spec_of("old"), "egress")
        yield [{key: value for key, value in rule.items() if value} for _, rule in old]

    def _ingress_rules(self, guarded: Sequence[Guarded]) -> Iterator[list[Node]]:
        """Yield rules that admit everyone at the ports, then the peers of the old policy."""
        ports = self._ports(guarded)
        yield [{"ports": [{"protocol": protocol, "port": port} for protocol, port in ports]}]
        narrowed = (_narrowed(rule, ports) for _, rule in objects_at(self._spec_of("old"), "ingress"))
        yield [rule for rule in narrowed if rule["ports"]]

    def _ports(self, guarded: Iterable[Guarded]) -> list[Port]:
        """Return the lost ports; of a subject that no policy isolates, every port that it needs."""
        found = {(lost.protocol.value, lost.port) for lost in self.lost if lost.port is not None}
        for known in guarded:
            if not selecting(self._policies_before, known.subject.pod, PolicyType.INGRESS):
                found |= {(protocol.value, port) for protocol, port in known.ports}
        return sorted(found)

    @cached_property
    def _policies_before(self) -> tuple[NetworkPolicy, ...]:
        return self.before.cluster.state(self.namespace).sorted_policies()

    @cached_property
    def _policies_after(self) -> tuple[NetworkPolicy, ...]:
        return self.after.cluster.state(self.namespace).sorted_policies()

    @cached_property
    def _opening(self) -> Opening:
        return Opening(
            after=(),
            before=[self._policies_before],
            universe=universe_of(self.before, self.options),
            answers=Answers(),
        )

    def _is_fine(self, spec: Node, guarded: Sequence[Guarded]) -> bool:
        """Whether a policy opens nothing that was closed, and isolates no other pods than the change does."""
        policy, _ = read_policy(_policy(self.namespace, self.stem, spec), self.namespace)
        own = {known.subject.identity for known in guarded}
        # Of a broken state, the rules for egress are the paths of the subjects' needs, which are to be opened.
        is_need = self.change is None and self.direction is PolicyType.EGRESS
        selected = (pod for pod in pods_in(self.namespace, self.before) if selects(policy, pod, self.direction))
        return not any(
            self._opens(policy, pod) or (_identity(pod) not in own and self._cuts_off(pod))
            for pod in selected
            if not (is_need and _identity(pod) in own)
        )

    def _opens(self, policy: NetworkPolicy, pod: Pod) -> bool:
        needed = self._needed.get(_identity(pod), ()) if self.change is None else ()
        opening = replace(self._opening, after=(*self._policies_before, policy), free=needed)
        return opening.opens(pod)

    def _cuts_off(self, pod: Pod) -> bool:
        """Whether a policy would isolate a pod that is isolated neither before nor after the change."""
        sides = (self._policies_before, self._policies_after)
        return not any(selecting(policies, pod, self.direction) for policies in sides)

    @cached_property
    def _needed(self) -> Mapping[object, tuple[Any, ...]]:
        """Return the ports that EEM's pods need, by what tells the pods apart."""
        needed: dict[object, tuple[Any, ...]] = {}
        for known in self.before.eem[self.namespace].guarded:
            needed[known.subject.identity] = (*needed.get(known.subject.identity, ()), *known.ports)
        return needed


def _identity(pod: Pod) -> tuple[frozenset[tuple[str, str]], frozenset[object]]:
    return frozenset(pod.labels.items()), frozenset(pod.ports)


def _narrowed(rule: Mapping[str, Any], ports: Sequence[Port]) -> Node:
    """Return a rule for those of the ports that it covers; an entry with the name of a port stays as it is."""
    written = list_at(rule, "ports")
    kept = [port for entry in written for port in _covered(entry, ports)] if written else _entries(ports)
    peers = {"from": list(list_at(rule, "from"))} if list_at(rule, "from") else {}
    return {**peers, "ports": [entry for index, entry in enumerate(kept) if entry not in kept[:index]]}


def _covered(entry: object, ports: Sequence[Port]) -> list[Node]:
    if text_at(entry, "port"):
        return [dict(object_at(entry))]
    protocol = text_at(entry, "protocol") or "TCP"
    first = integer_at(entry, "port")
    last = integer_at(entry, "endPort") or first
    same = [(known, port) for known, port in ports if known == protocol]
    if first is None or last is None:
        return _entries(same)
    return _entries([(known, port) for known, port in same if first <= port <= last])


def _entries(ports: Sequence[Port]) -> list[Node]:
    return [{"protocol": protocol, "port": port} for protocol, port in ports]
