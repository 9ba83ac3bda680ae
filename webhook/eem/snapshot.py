"""
A cluster as the guard sees it: namespaces, pods, policies, and which of them are EEM's.

Like the ClusterSnapshot it is a persistent value. A namespace with EEM in it has an EemNamespace besides, which knows
the subjects; it is made anew only when an instance, an operator, or a pod or workload that is EEM's changes there, so
that neither a policy nor a foreign pod costs anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from rpds import HashTrieMap

from webhook.eem.instances import (
    OPERATOR_NAME,
    Component,
    EemOperator,
    Instance,
    Requirement,
    SourcesDemand,
    read_instance,
    read_operator,
)
from webhook.eem.resources import EEM_GROUP, INSTANCE_KINDS
from webhook.eem.standing import Port, Standing, standing_of
from webhook.eem.subjects import Claims, Subject, assumed_pod, claims_of, group
from webhook.netpol.faults import Fault, SpecError
from webhook.netpol.model import NO_LABELS, ContainerPort, Namespace, NetworkPolicy, Pod, Workload
from webhook.netpol.reading import Faults
from webhook.netpol.snapshot import ApiObject, ClusterSnapshot, NamespaceState, Parsed, read_object

StandingKey = tuple[frozenset[tuple[str, str]], frozenset[ContainerPort], tuple[Port, ...]]
"""What a standing depends on besides the policies: labels, named ports, and the ports needed."""


@dataclass(frozen=True, kw_only=True)
class EemNamespace:
    """
    What EEM has in one namespace.

    Args:
        instances: by (kind, name).
        operators: the operator's Deployments by name.
        claims: what the pods here can belong to.
        pods: the pods that are EEM's, by name.
        workloads: the workloads that are EEM's, by (kind, name).
        policies: every NetworkPolicy of the namespace, by name.
        carried: how subjects stood before the last change, as far as that still holds.
    """

    name: str
    instances: HashTrieMap[tuple[str, str], Instance]
    operators: Mapping[str, EemOperator]
    claims: Claims
    pods: HashTrieMap[str, Pod]
    workloads: Mapping[tuple[str, str], Workload]
    policies: HashTrieMap[str, NetworkPolicy] = HashTrieMap()
    carried: Mapping[StandingKey, Standing] = field(default_factory=dict)

    @cached_property
    def guarded(self) -> tuple[Guarded, ...]:
        """Give every subject with what it needs, and how it stands."""
        return tuple(Guarded(subject=subject, needs=self._needs(subject)) for subject in self.subjects)

    @cached_property
    def standings(self) -> dict[StandingKey, Standing]:
        """Give how each subject stands that needs something: looked up where it is known, else found out."""
        found: dict[StandingKey, Standing] = {}
        for guarded in self.guarded:
            key = guarded.key
            if guarded.needs and key not in found:
                found[key] = self.carried.get(key) or standing_of(
                    guarded.subject.pod, guarded.ports, self.policies.values()
                )
        return found

    def with_policy(self, name: str, policy: NetworkPolicy | None) -> EemNamespace:
        """Put a policy in the place of the one of that name; None takes it away."""
        policies = self.policies.discard(name) if policy is None else self.policies.insert(name, policy)
        known = {key: standing.with_policy(name, policy) for key, standing in self.known_standings().items()}
        changed = replace(self, policies=policies, carried=known)
        # What the subjects are does not depend on policies.
        changed.__dict__.update({key: self.__dict__[key] for key in ("subjects", "guarded") if key in self.__dict__})
        return changed

    def changed(self, **parts: Any) -> EemNamespace:
        """Replace some parts, and keep how subjects stand."""
        return replace(self, carried=self.known_standings(), **parts)

    def known_standings(self) -> Mapping[StandingKey, Standing]:
        """Give how subjects stand if anybody has asked for them yet: before, there is nothing to keep."""
        return self.standings if "standings" in self.__dict__ else self.carried

    def _needs(self, subject: Subject) -> tuple[Requirement, ...]:
        return tuple(
            requirement
            for requirement in self.requirements("anywhere")
            if (requirement.component, requirement.instance) == (subject.component, subject.instance)
        )

    @cached_property
    def subjects(self) -> tuple[Subject, ...]:
        """Give the subjects of every component, assumed ones where nothing was seen."""
        claimed = [(claim, pod) for pod in self.pods.values() for claim in self.claims.of_pod(pod)]
        for workload in self.workloads.values():
            if self._is_rendered(workload):
                continue
            claimed.extend((claim, workload.template) for claim in self.claims.of_pod(_as_pod(workload)))
        seen = {claim for claim, pod in claimed if not pod.finished}
        return (*group(claimed), *self._assumed(seen))

    def _is_rendered(self, workload: Workload) -> bool:
        """Say whether another workload here made this one: a ReplicaSet's template may be an old one."""
        return any((owner.kind, owner.name) in self.workloads for owner in workload.owners)

    def requirements(self, sources: SourcesDemand) -> tuple[Requirement, ...]:
        """Give what the instances and operators here need that are not exempt."""
        found = [
            requirement
            for instance in sorted(self.instances.values(), key=lambda instance: instance.ref)
            if not instance.is_exempt
            for requirement in instance.requirements(sources)
        ]
        for operator in sorted(self.operators.values(), key=lambda operator: operator.ref):
            found.extend(operator.requirements() if operator.has_policy else ())
        return tuple(found)

    def subjects_of(self, requirement: Requirement) -> tuple[Subject, ...]:
        """Give the subjects that a requirement speaks of."""
        return tuple(
            subject
            for subject in self.subjects
            if subject.component is requirement.component and subject.instance == requirement.instance
        )

    def exempt(self) -> tuple[Instance, ...]:
        """Give the instances that carry no requirement."""
        return tuple(instance for instance in self.instances.values() if instance.is_exempt)

    def _assumed(self, seen: set[tuple[Component, Any]]) -> Iterator[Subject]:
        for instance in sorted(self.instances.values(), key=lambda instance: instance.ref):
            if (instance.component, instance.ref) not in seen:
                pod = assumed_pod(self.name, instance.name, instance.template_labels, instance.name)
                yield Subject(component=instance.component, instance=instance.ref, pod=pod, assumed=True)
        for operator in sorted(self.operators.values(), key=lambda operator: operator.ref):
            if (Component.OPERATOR, operator.ref) not in seen:
                pod = assumed_pod(self.name, OPERATOR_NAME, NO_LABELS, operator.name)
                yield Subject(component=Component.OPERATOR, instance=operator.ref, pod=pod, assumed=True)


@dataclass(frozen=True, kw_only=True)
class Guarded:
    """
    A subject with what it needs.

    Args:
        needs: its requirements; empty where its instance is exempt.
    """

    subject: Subject
    needs: tuple[Requirement, ...]

    @cached_property
    def ports(self) -> tuple[Port, ...]:
        """Give the ports that it needs."""
        return tuple((requirement.protocol, requirement.port) for requirement in self.needs)

    @cached_property
    def key(self) -> StandingKey:
        """Give what its standing depends on, the policies aside."""
        return (*self.subject.identity, self.ports)


def _as_pod(workload: Workload) -> Pod:
    """Give the template as a pod that the workload and the workload's own owners own, for its claims."""
    return replace(workload.template, owners=(*workload.template.owners, *workload.owners))


def _survey(
    state: NamespaceState,
    instances: HashTrieMap[tuple[str, str], Instance],
    carried: Mapping[StandingKey, Standing],
) -> EemNamespace | None:
    """Look through one namespace for what is EEM's; None where nothing makes it an EEM namespace."""
    found = (read_operator(workload) for workload in state.workloads.values())
    operators = {operator.name: operator for operator in found if operator is not None}
    if not operators and not len(instances):
        return None
    claims = claims_of(instances.values(), operators, state.workloads.values())
    return EemNamespace(
        name=state.namespace.name,
        instances=instances,
        operators=operators,
        claims=claims,
        pods=HashTrieMap((pod.name, pod) for pod in state.pods.values() if claims.of_pod(pod)),
        workloads={key: workload for key, workload in state.workloads.items() if claims.of_pod(_as_pod(workload))},
        policies=state.policies,
        carried=carried,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class EemSnapshot:
    """
    A ClusterSnapshot with EEM's instances, operators and pods in it.

    Args:
        cluster: everything that NetworkPolicies are about.
        eem: what EEM has, by namespace; only namespaces with EEM in them are there.
    """

    cluster: ClusterSnapshot = field(default_factory=ClusterSnapshot)
    eem: HashTrieMap[str, EemNamespace] = HashTrieMap()

    @classmethod
    def empty(cls) -> EemSnapshot:
        """Give the snapshot of a cluster of which nothing is known."""
        return cls()

    @classmethod
    def from_objects(cls, objects: Iterable[ApiObject]) -> EemSnapshot:
        """
        Build a snapshot from API objects; kinds that do not matter are ignored.

        Raises:
            SpecError: with every fault of every object.
        """
        known = list(objects)
        faults = [fault for api_object in known for fault in faults_of(api_object)]
        if faults:
            raise SpecError(faults)
        snapshot = cls()
        for api_object in known:
            snapshot = snapshot.with_object(api_object)
        return snapshot

    def with_object(self, api_object: ApiObject) -> EemSnapshot:
        """Add or replace one object as the API server stores it; what cannot be read of it stays undecided."""
        instance = read_instance(api_object, Faults())
        if instance is not None:
            return self._with_instance(instance) if instance.name else self
        parsed, _ = read_object(api_object)
        return self if parsed is None else self.with_parsed(parsed)

    def with_parsed(self, parsed: Parsed) -> EemSnapshot:
        """Add or replace one object that was read already."""
        cluster = self.cluster.with_parsed(parsed)
        if isinstance(parsed, Pod):
            return self._with_pod(cluster, parsed)
        if isinstance(parsed, Workload):
            return self._after_workload(cluster, parsed.namespace, (parsed.kind, parsed.name))
        if isinstance(parsed, NetworkPolicy):
            return self._after_policy(cluster, parsed.namespace, parsed.name, parsed)
        return replace(self, cluster=cluster)

    def without_object(self, kind: str, namespace: str, name: str) -> EemSnapshot:
        """Remove one object; one that is not there is no error."""
        if kind in INSTANCE_KINDS:
            known = self.eem.get(namespace)
            if known is None or (kind, name) not in known.instances:
                return self
            return self._with_instances(namespace, known.instances.remove((kind, name)))
        cluster = self.cluster.without(kind, namespace, name)
        known = self.eem.get(namespace)
        if kind == "Pod" and known is not None and name in known.pods:
            changed = known.changed(pods=known.pods.remove(name))
            return replace(self, cluster=cluster, eem=self.eem.insert(namespace, changed))
        if kind == "NetworkPolicy":
            return self._after_policy(cluster, namespace, name, None)
        if kind not in {"Pod", "Namespace"}:
            return self._after_workload(cluster, namespace, (kind, name))
        return replace(self, cluster=cluster)

    def with_kind(self, kind: str, objects: Iterable[ApiObject]) -> EemSnapshot:
        """Replace all objects of one kind at once: what is not among *objects* is gone."""
        snapshot = self
        kept: set[tuple[str, str]] = set()
        for api_object in objects:
            snapshot = snapshot.with_object(api_object)
            kept.add(name_of(api_object))
        for namespace, name in snapshot.names(kind):
            if (namespace, name) not in kept:
                snapshot = snapshot.without_object(kind, namespace, name)
        return snapshot

    def names(self, kind: str) -> tuple[tuple[str, str], ...]:
        """Give (namespace, name) of every object of one kind."""
        if kind not in INSTANCE_KINDS:
            return self.cluster.names(kind)
        return tuple(
            (namespace, name)
            for namespace, known in self.eem.items()
            for known_kind, name in known.instances
            if known_kind == kind
        )

    def count(self, kind: str) -> int:
        """Count the objects of one kind."""
        return len(self.names(kind))

    def namespace(self, name: str) -> Namespace:
        """Give a namespace's object, or what its name alone implies."""
        return self.cluster.state(name).namespace

    def instance(self, kind: str, namespace: str, name: str) -> Instance | None:
        """Give one instance, where it is there."""
        known = self.eem.get(namespace)
        return None if known is None else known.instances.get((kind, name))

    def operators(self) -> tuple[EemOperator, ...]:
        """Give every operator of the cluster."""
        return tuple(operator for known in self.eem.values() for operator in known.operators.values())

    def _with_instance(self, instance: Instance) -> EemSnapshot:
        known = self.eem.get(instance.namespace)
        instances = known.instances if known is not None else HashTrieMap()
        return self._with_instances(instance.namespace, instances.insert((instance.kind, instance.name), instance))

    def _with_instances(self, namespace: str, instances: HashTrieMap[tuple[str, str], Instance]) -> EemSnapshot:
        return replace(self, eem=self._surveyed(self.cluster, namespace, instances))

    def _surveyed(
        self, cluster: ClusterSnapshot, namespace: str, instances: HashTrieMap[tuple[str, str], Instance]
    ) -> HashTrieMap[str, EemNamespace]:
        known = self.eem.get(namespace)
        view = _survey(cluster.state(namespace), instances, {} if known is None else known.known_standings())
        return self.eem.discard(namespace) if view is None else self.eem.insert(namespace, view)

    def _with_pod(self, cluster: ClusterSnapshot, pod: Pod) -> EemSnapshot:
        known = self.eem.get(pod.namespace)
        if known is None:
            return replace(self, cluster=cluster)
        is_eem = bool(known.claims.of_pod(pod))
        if not is_eem and pod.name not in known.pods:
            return replace(self, cluster=cluster)
        pods = known.pods.insert(pod.name, pod) if is_eem else known.pods.remove(pod.name)
        return replace(self, cluster=cluster, eem=self.eem.insert(pod.namespace, known.changed(pods=pods)))

    def _after_policy(
        self, cluster: ClusterSnapshot, namespace: str, name: str, policy: NetworkPolicy | None
    ) -> EemSnapshot:
        known = self.eem.get(namespace)
        if known is None:
            return replace(self, cluster=cluster)
        return replace(self, cluster=cluster, eem=self.eem.insert(namespace, known.with_policy(name, policy)))

    def _after_workload(self, cluster: ClusterSnapshot, namespace: str, key: tuple[str, str]) -> EemSnapshot:
        known = self.eem.get(namespace)
        workload = cluster.state(namespace).workloads.get(key)
        if known is None:
            if workload is None or read_operator(workload) is None:
                return replace(self, cluster=cluster)
            return replace(self, cluster=cluster, eem=self._surveyed(cluster, namespace, HashTrieMap()))
        mattered = key in known.workloads or key in known.claims.owned
        matters = workload is not None and (
            read_operator(workload) is not None or bool(known.claims.of_pod(_as_pod(workload)))
        )
        if not mattered and not matters:
            return replace(self, cluster=cluster)
        return replace(self, cluster=cluster, eem=self._surveyed(cluster, namespace, known.instances))


def name_of(api_object: ApiObject) -> tuple[str, str]:
    """Give (namespace, name) of an API object; a Namespace has no namespace."""
    metadata = api_object.get("metadata")
    fields: Mapping[str, Any] = metadata if isinstance(metadata, Mapping) else {}
    namespace = "" if api_object.get("kind") == "Namespace" else str(fields.get("namespace") or "default")
    return namespace, str(fields.get("name") or "")


def faults_of(api_object: ApiObject) -> tuple[Fault, ...]:
    """Give every structural fault of one API object; none for a kind that does not matter."""
    faults = Faults()
    instance = read_instance(api_object, faults)
    if instance is None:
        return read_object(api_object)[1]
    if not instance.name:
        faults.add("metadata.name", "must be set", "Required")
    owner = f"{instance.namespace}/{instance.name or '(no name)'}"
    return tuple(replace(fault, kind=instance.kind, name=owner) for fault in faults.found)


__all__ = ["EEM_GROUP", "EemNamespace", "EemSnapshot", "faults_of", "name_of"]
