"""
The decision on a NetworkPolicy change, by brute force, from the specification alone.

A requirement and a label set of its pods are "lost", "undecided" or "fine" after the change.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

from oracle.semantics import (
    SOUND,
    Labels,
    Object,
    Semantics,
    is_terminating,
    read_address,
    read_cidr,
    rule_covers_port,
    selects,
)
from oracle.sources import EVERYBODY, Comparison, Ranges, Rules, by_reading, worst
from oracle.world import MANAGER_KIND, OPERATOR, RELEASE_NAMESPACE, Holder, Subject, holders_of, of_kind, subjects_of

GARBAGE_COLLECTOR = "system:serviceaccount:kube-system:generic-garbage-collector"
NAMESPACE_CONTROLLER = "system:serviceaccount:kube-system:namespace-controller"
SOURCES_ANNOTATION = "eem-guardrail.io/sources"

LabelSet = frozenset[tuple[str, str]]
NamedPorts = frozenset[tuple[str, str, int]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """What the operator of the guard has told it."""

    sources: str = "anywhere"
    ipblock_matches_pods: str = "unknown"
    pod_cidrs: tuple[str, ...] = ()
    ip_families: tuple[str, ...] | None = None
    strict: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One CREATE, UPDATE or DELETE of a NetworkPolicy, as the API server asks about it."""

    operation: str
    namespace: str
    name: str
    object: Any
    old_object: Any
    username: str = "kubernetes-admin"


@dataclass(frozen=True, kw_only=True, slots=True)
class Requirement:
    """A port of a component that sources must be able to reach."""

    kind: str
    name: str
    component: str
    protocol: str
    port: int


@dataclass(kw_only=True, slots=True)
class Judgement:
    """
    What the change does to each requirement, for each label set (None: assumed) with its named ports, and the kinds of
    loss met.
    """

    exempt: str | None = None
    outcomes: dict[tuple[Requirement, LabelSet | None, NamedPorts], str] = field(default_factory=dict)
    pods: dict[tuple[Requirement, str], set[str]] = field(default_factory=dict)
    kinds: set[str] = field(default_factory=set)

    def record(self, requirement: Requirement, subject: Subject, outcome: str) -> None:
        """Keep the worst outcome of pods that are alike, and the names of the live pods that have this one."""
        ports = (
            entry for container in subject.containers for entry in container.get("ports") or [] if entry.get("name")
        )
        named = frozenset((entry["name"], entry.get("protocol") or "TCP", entry["containerPort"]) for entry in ports)
        labels = frozenset({**subject.labels, **dict.fromkeys(subject.unknown, "")}.items())
        key = requirement, None if subject.assumed else labels, named
        self.outcomes[key] = worst(iter((self.outcomes.get(key, "fine"), outcome)))
        self.pods.setdefault((requirement, outcome), set()).update(subject.pod_names)

    def denied(self, settings: Settings) -> bool:
        """Whether something is lost, or undecided under --strict."""
        found = set(self.outcomes.values())
        return "lost" in found or (settings.strict and "undecided" in found)


def ranges_of(objects: Sequence[Object], settings: Settings) -> Ranges:
    """Collect what is known of addresses; host-network pods have their node's and do not count."""
    texts = [
        entry["ip"]
        for pod in of_kind(objects, "Pod")
        if not pod["spec"].get("hostNetwork")
        for entry in (pod.get("status") or {}).get("podIPs") or []
    ]
    seen = tuple(read_address(text) for text in texts)
    if settings.ip_families is not None:
        families = tuple(4 if name == "IPv4" else 6 for name in settings.ip_families)
    else:
        families = (4, 6) if any(address.family == 6 for address in seen) else (4,)
    cidrs = {f: tuple(c for c in settings.pod_cidrs if read_cidr(c)[0] == f) for f in families}
    return Ranges(families=families, pod_cidrs=cidrs, seen=seen)


def rules_for(
    policies: Sequence[Object], subject: Subject, requirement: Requirement, semantics: Semantics
) -> Rules | None:
    """Return the peers that count for a subject and a port; None if no policy isolates the subject."""
    isolating = [p for p in policies if selects(p, "Ingress", subject.labels, semantics)]
    if not isolating:
        return None
    rules: Rules = []
    for policy in isolating:
        if not semantics.admits_still(policy):
            continue
        for rule in policy["spec"].get("ingress") or []:
            if rule_covers_port(rule, requirement.protocol, requirement.port, subject.containers, semantics):
                peers = semantics.peers_of(rule, "from")
                entries = [EVERYBODY] if peers is None else peers
                rules += [(policy["metadata"]["namespace"], peer) for peer in entries]
    return rules


def live_instance(reference: Object, objects: Sequence[Object], namespace: str) -> bool:
    """Whether an owner reference names an instance that exists and is not being deleted."""
    return any(
        resource["metadata"]["name"] == reference["name"]
        and resource["metadata"].get("uid") == reference["uid"]
        and not is_terminating(resource)
        for kind in (MANAGER_KIND, "EventGateway")
        if reference["kind"] == kind
        for resource in of_kind(objects, kind, namespace)
    )


def hands_over(change: Change, objects: Sequence[Object]) -> bool:
    """Whether an UPDATE adds an owner that is no live instance: the garbage collector may delete the policy."""
    had = change.old_object["metadata"].get("ownerReferences") or []
    added = [o for o in change.object["metadata"].get("ownerReferences") or [] if o not in had]
    return any(not live_instance(owner, objects, change.namespace) for owner in added)


def exemption(change: Change, objects: Sequence[Object]) -> str | None:
    """Return why nothing is judged; None if the change is judged."""
    space = next(n for n in of_kind(objects, "Namespace") if n["metadata"]["name"] == change.namespace)
    noted = {d["metadata"]["annotations"][RELEASE_NAMESPACE] for d in of_kind(objects, "CustomResourceDefinition")}
    has_own = any(d["metadata"]["name"] == OPERATOR for d in of_kind(objects, "Deployment", change.namespace))
    at = {name for name in noted if name == change.namespace or not has_own}
    operators = {f"system:serviceaccount:{name}:{OPERATOR}" for name in at}
    if is_terminating(space):
        return "namespace-terminating"
    if change.username == GARBAGE_COLLECTOR:
        return "garbage-collector"
    if change.username == NAMESPACE_CONTROLLER:
        return "namespace-controller"
    if change.username in operators:
        return "operator"
    unchanged = change.operation == "UPDATE" and change.object["spec"] == change.old_object["spec"]
    return "spec-unchanged" if unchanged and not hands_over(change, objects) else None


def staying(policy: Object) -> Object:
    """Return the policy as if it were not terminating."""
    metadata = {key: value for key, value in policy["metadata"].items() if key != "deletionTimestamp"}
    return {**policy, "metadata": metadata}


def policies_around(change: Change, objects: Sequence[Object]) -> tuple[list[Object], list[Object], bool]:
    """
    Return the namespace's policies before and after the change, and whether it is a deletion.

    The request wins over the cache, and an edit of the spec of a terminating policy is judged like any other edit.
    """
    old, new = change.old_object, change.object
    name = change.name or (old or new)["metadata"].get("name")
    others = [p for p in of_kind(objects, "NetworkPolicy", change.namespace) if p["metadata"].get("name") != name]
    if change.operation == "CREATE":
        return others, [*others, new], False
    if change.operation == "DELETE" or new["spec"] == old["spec"]:
        return [*others, old], others, True
    return [*others, staying(old)], [*others, staying(new)], False


def sources_setting(holder: Holder, change: Change, objects: Sequence[Object], settings: Settings) -> str:
    """Return the sources that a holder needs: the operator some; for others the namespace wins over the service."""
    if holder.component == "operator":
        return "some"
    space = next(n for n in of_kind(objects, "Namespace") if n["metadata"]["name"] == change.namespace)
    return (space["metadata"].get("annotations") or {}).get(SOURCES_ANNOTATION, settings.sources)


def worlds_of(before: list[Object], after: list[Object]) -> list[tuple[list[Object], list[Object]]]:
    """Return the states to judge: the current one, and the one without the terminating policies."""
    if not any(is_terminating(p) for p in (*before, *after)):
        return [(before, after)]
    left = [[p for p in side if not is_terminating(p)] for side in (before, after)]
    return [(before, after), (left[0], left[1])]


def kinds_of(comparison: Comparison, after_any_port: Rules | None, reading: str, want: str) -> set[str]:
    """Return the kinds of a loss without a deletion: isolation, a port, pods or addresses as sources."""
    if comparison.before is None:
        return {"isolation"}
    if replace(comparison, after=after_any_port).outcome(want, reading) == "fine":
        return {"port"}
    kinds = {"outside addresses"} if comparison.lost_outside() == "lost" else set()
    return kinds | ({"source pods"} if by_reading(comparison.lost_pods, reading) == "lost" else set())


@dataclass(kw_only=True, slots=True)
class Judge:
    """One change with all that its judgement depends on; the same rules are compared once."""

    worlds: list[tuple[list[Object], list[Object]]]
    namespace: str
    existing: Mapping[str, Labels]
    ranges: Ranges
    reading: str
    semantics: Semantics
    deletes: bool
    known: dict[object, tuple[str, set[str]]] = field(default_factory=dict)

    def look(self, subject: Subject, requirement: Requirement, want: str) -> tuple[str, set[str]]:
        """
        Judge one requirement of one label set: the worst of all worlds, and the kinds of its losses.

        What is lost for every value of an unknown label is lost; what is lost for some is undecided.
        """
        answers = [self._with_labels(known, requirement, want) for known in spelled_out(subject, self.worlds[0])]
        outcomes = {outcome for outcome, _ in answers}
        outcome = outcomes.pop() if len(outcomes) == 1 else "undecided"
        return outcome, set().union(*(kinds for _, kinds in answers if outcome == "lost"))

    def _with_labels(self, subject: Subject, requirement: Requirement, want: str) -> tuple[str, set[str]]:
        answers = [self._in_world(world, subject, requirement, want) for world in self.worlds]
        return worst(outcome for outcome, _ in answers), set().union(*(kinds for _, kinds in answers))

    def _in_world(
        self, world: tuple[list[Object], list[Object]], subject: Subject, requirement: Requirement, want: str
    ) -> tuple[str, set[str]]:
        before, after = (rules_for(policies, subject, requirement, self.semantics) for policies in world)
        any_port = replace(self.semantics, port_covers=lambda *_: True)
        after_any_port = rules_for(world[1], subject, requirement, any_port)
        same = want, identity(before), identity(after), identity(after_any_port)
        if same not in self.known:
            comparison = Comparison(
                before=before,
                after=after,
                namespace=self.namespace,
                existing=self.existing,
                ranges=self.ranges,
                semantics=self.semantics,
            )
            outcome = comparison.outcome(want, self.reading)
            kinds: set[str] = set()
            if outcome == "lost":
                kinds = {"deletion"} if self.deletes else kinds_of(comparison, after_any_port, self.reading, want)
            self.known[same] = outcome, kinds
        return self.known[same]


def spelled_out(subject: Subject, policies: tuple[list[Object], list[Object]]) -> list[Subject]:
    """Return the subject with each value of its unknown labels that the policies speak of, and with another one."""
    written = json.dumps(policies)
    values = [*dict.fromkeys(re.findall(r"[a-z0-9]+", written)), "another"] if subject.unknown else []
    found = [subject]
    for key in subject.unknown:
        spoken = values if key in written else ["another"]
        found = [replace(one, labels={**one.labels, key: value}) for one in found for value in spoken]
    return found


def identity(rules: Rules | None) -> object:
    """Return a key that is equal for equal rules within one judgement."""
    return None if rules is None else tuple((namespace, id(peer)) for namespace, peer in rules)


def judge(objects: Sequence[Object], change: Change, settings: Settings, semantics: Semantics = SOUND) -> Judgement:
    """Judge a change against every requirement of its namespace."""
    objects, change = semantics.load((objects, change))
    exempt = exemption(change, objects)
    if exempt is not None:
        return Judgement(exempt=exempt)
    judgement = Judgement()
    before, after, deletes = policies_around(change, objects)
    judging = Judge(
        worlds=worlds_of(before, after),
        namespace=change.namespace,
        existing={n["metadata"]["name"]: n["metadata"].get("labels") or {} for n in of_kind(objects, "Namespace")},
        ranges=ranges_of(objects, settings),
        reading=semantics.block_reading(settings.ipblock_matches_pods),
        semantics=semantics,
        deletes=deletes,
    )
    for holder in holders_of(objects, change.namespace):
        want = sources_setting(holder, change, objects, settings)
        subjects = subjects_of(holder, change.namespace, objects, semantics)
        for port, subject in product(holder.ports, subjects):
            requirement = Requirement(
                kind=holder.kind, name=holder.name, component=holder.component, protocol="TCP", port=port
            )
            outcome, kinds = judging.look(subject, requirement, want)
            judgement.record(requirement, subject, outcome)
            judgement.kinds |= kinds
    return judgement
