"""
A cluster as the guard sees it: namespaces, pods, policies, and which of them are EEM's.

Like the ClusterSnapshot, it is a persistent value. A namespace with EEM in it has an EemNamespace in addition, which
knows the subjects. It is made anew only when an instance, an operator, or a pod or workload of EEM changes there, so
that neither a policy nor another pod costs anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rpds import HashTrieMap

from webhook.eem.claims import NOTHING_CLAIMED, ClaimIndex
from webhook.eem.instances import EemOperator, Instance, read_instance, read_operator
from webhook.eem.resources import INSTANCE_KINDS, STORAGE_CLASSES, WATCHED
from webhook.eem.rules import Neighbourhood
from webhook.eem.rules.neighbours import Owner
from webhook.eem.view import EemNamespace, survey
from webhook.netpol.faults import Fault, SpecError
from webhook.netpol.model import Namespace, NetworkPolicy, Pod, Workload
from webhook.netpol.parse_objects import WORKLOAD_KINDS, ApiObject, Parsed, read_object
from webhook.netpol.reading import Faults, mapping, strings
from webhook.netpol.snapshot import ClusterSnapshot

CLUSTER_SCOPED = frozenset(resource.kind for resource in WATCHED if not resource.namespaced)


def read(api_object: ApiObject) -> tuple[Parsed | Instance | None, tuple[Fault, ...]]:
    """Return one API object as it was parsed, with every structural fault; None for a kind that is not read."""
    faults = Faults()
    instance = read_instance(api_object, faults)
    if instance is None:
        return read_object(api_object)
    if not instance.name:
        faults.add("metadata.name", "must be set", "Required")
    metadata = mapping(api_object.get("metadata"), "metadata", Faults())
    for key in ("labels", "annotations"):
        strings(metadata.get(key), f"metadata.{key}", faults)
    owner = f"{instance.namespace}/{instance.name or '(no name)'}"
    return instance, tuple(replace(fault, kind=instance.kind, name=owner) for fault in faults.found)


@dataclass(frozen=True, kw_only=True, slots=True)
class EemSnapshot:
    """
    A ClusterSnapshot with EEM's instances, operators and pods.

    Args:
        cluster: everything that NetworkPolicies are about.
        eem: what EEM has, by namespace; only EEM namespaces have an entry.
        neighbours: what the instances of the cluster use, for the rules.
        operators: the operators of the cluster, by namespace and name of their Deployments.
        storage_classes: by name.
        claim_index: every pod and workload by what may make it EEM's.
    """

    cluster: ClusterSnapshot = field(default_factory=ClusterSnapshot)
    eem: HashTrieMap[str, EemNamespace] = HashTrieMap()
    neighbours: Neighbourhood = field(default_factory=Neighbourhood)
    operators: HashTrieMap[tuple[str, str], EemOperator] = HashTrieMap()
    storage_classes: HashTrieMap[str, ApiObject] = HashTrieMap()
    claim_index: ClaimIndex = NOTHING_CLAIMED

    @classmethod
    def empty(cls) -> EemSnapshot:
        """Return the snapshot of a cluster of which nothing is known."""
        return cls()

    @classmethod
    def from_objects(cls, objects: Iterable[ApiObject]) -> EemSnapshot:
        """
        Return the snapshot of API objects; kinds that are not read are ignored.

        Raises:
            SpecError: with every fault of every object.
        """
        known = [(api_object, *read(api_object)) for api_object in objects]
        faults = [fault for _, _, found in known for fault in found]
        if faults:
            raise SpecError(faults)
        return cls.from_read((api_object, found) for api_object, found, _ in known)

    @classmethod
    def from_read(cls, objects: Iterable[tuple[ApiObject, Parsed | Instance | None]]) -> EemSnapshot:
        """Return the snapshot of API objects, each with what `read` returned for it."""
        snapshot = cls()
        for api_object, found in objects:
            if isinstance(found, Instance):
                snapshot = snapshot.with_instance(found)
            elif found is not None:
                snapshot = snapshot.with_parsed(found)
            else:
                snapshot = snapshot.with_object(api_object)
        return snapshot

    def with_object(self, api_object: ApiObject) -> EemSnapshot:
        """Return the snapshot with one object, as the API server stores it; what cannot be read stays undecided."""
        instance = read_instance(api_object, Faults())
        if instance is not None:
            return self.with_instance(instance) if instance.name else self
        if (
            api_object.get("kind") == STORAGE_CLASSES.kind
            and api_object.get("apiVersion") == STORAGE_CLASSES.api_version
        ):
            name = name_of(api_object)[1]
            return replace(self, storage_classes=self.storage_classes.insert(name, api_object)) if name else self
        parsed, _ = read_object(api_object)
        return self if parsed is None else self.with_parsed(parsed)

    def with_parsed(self, parsed: Parsed) -> EemSnapshot:
        """Return the snapshot with one object that was parsed already."""
        cluster = self.cluster.with_parsed(parsed)
        if isinstance(parsed, Pod):
            return self._after_pod(cluster, parsed.namespace, parsed.name)
        if isinstance(parsed, Workload):
            return self._after_workload(cluster, parsed.namespace, (parsed.kind, parsed.name))
        if isinstance(parsed, NetworkPolicy):
            known = self.eem.get(parsed.namespace)
            if known is not None:
                changed = known.with_policy(parsed.name, parsed)
                return replace(self, cluster=cluster, eem=self.eem.insert(parsed.namespace, changed))
        return replace(self, cluster=cluster)

    def without_object(self, kind: str, namespace: str, name: str) -> EemSnapshot:
        """Return the snapshot without one object; one that is not there is no error."""
        known = self.eem.get(namespace)
        if kind in INSTANCE_KINDS:
            if known is None or (kind, name) not in known.inventory.instances:
                return self
            neighbours = self.neighbours.without(Owner(kind=kind, namespace=namespace, name=name))
            return self._with_instances(namespace, known.inventory.instances.remove((kind, name)), neighbours)
        if kind == STORAGE_CLASSES.kind:
            return replace(self, storage_classes=self.storage_classes.discard(name))
        cluster, eem = self.cluster.without(kind, namespace, name), self.eem
        if kind == "Pod":
            return self._after_pod(cluster, namespace, name)
        if kind in WORKLOAD_KINDS:
            return self._after_workload(cluster, namespace, (kind, name))
        if kind == "NetworkPolicy" and known is not None:
            eem = eem.insert(namespace, known.with_policy(name, None))
        return replace(self, cluster=cluster, eem=eem)

    def names(self, kind: str) -> tuple[tuple[str, str], ...]:
        """Return (namespace, name) of every object of one kind."""
        if kind == STORAGE_CLASSES.kind:
            return tuple(("", name) for name in self.storage_classes)
        if kind not in INSTANCE_KINDS:
            return self.cluster.names(kind)
        return tuple(
            (namespace, name)
            for namespace, known in self.eem.items()
            for known_kind, name in known.inventory.instances
            if known_kind == kind
        )

    def count(self, kind: str) -> int:
        """Return the number of objects of one kind."""
        return len(self.names(kind))

    def namespace(self, name: str) -> Namespace:
        """Return a namespace, or what its name alone implies."""
        return self.cluster.state(name).namespace

    def instance(self, kind: str, namespace: str, name: str) -> Instance | None:
        """Return one instance; None where there is none."""
        known = self.eem.get(namespace)
        return None if known is None else known.inventory.instances.get((kind, name))

    def with_instance(self, instance: Instance) -> EemSnapshot:
        """Return the snapshot with one instance that was parsed already."""
        known = self.eem.get(instance.namespace)
        instances = known.inventory.instances if known is not None else HashTrieMap()
        grown = instances.insert((instance.kind, instance.name), instance)
        return self._with_instances(instance.namespace, grown, self.neighbours.with_instance(instance.source))

    def _with_instances(
        self, namespace: str, instances: HashTrieMap[tuple[str, str], Instance], neighbours: Neighbourhood
    ) -> EemSnapshot:
        return _surveyed(replace(self, neighbours=neighbours), namespace, instances)

    def _after_pod(self, cluster: ClusterSnapshot, namespace: str, name: str) -> EemSnapshot:
        before = self.cluster.state(namespace).pods.get(name)
        pod = cluster.state(namespace).pods.get(name)
        index, eem = self.claim_index.changed(before, pod), self.eem
        known = eem.get(namespace)
        if known is not None:
            if pod is not None and known.inventory.claims.of_pod(pod):
                eem = eem.insert(namespace, known.with_pods(known.inventory.pods.insert(name, pod)))
            elif name in known.inventory.pods:
                eem = eem.insert(namespace, known.with_pods(known.inventory.pods.remove(name)))
        return replace(self, cluster=cluster, claim_index=index, eem=eem)

    def _after_workload(self, cluster: ClusterSnapshot, namespace: str, key: tuple[str, str]) -> EemSnapshot:
        before = self.cluster.state(namespace).workloads.get(key)
        workload = cluster.state(namespace).workloads.get(key)
        changed = replace(self, cluster=cluster, claim_index=self.claim_index.changed(before, workload))
        known = self.eem.get(namespace)
        is_operator = workload is not None and read_operator(workload) is not None
        if known is None:
            return _surveyed(changed, namespace, HashTrieMap()) if is_operator else changed
        mattered = key in known.inventory.workloads or key in known.inventory.claims.owned
        matters = is_operator or (workload is not None and bool(known.inventory.claims.of_workload(workload)))
        return _surveyed(changed, namespace, known.inventory.instances) if mattered or matters else changed


def _surveyed(snapshot: EemSnapshot, namespace: str, instances: HashTrieMap[tuple[str, str], Instance]) -> EemSnapshot:
    """Return *snapshot* with a new view of one namespace."""
    known, state = snapshot.eem.get(namespace), snapshot.cluster.state(namespace)
    view = survey(state, instances, snapshot.claim_index, {} if known is None else known.known_standings())
    operators = snapshot.operators
    for name in () if known is None else known.inventory.operators:
        operators = operators.remove((namespace, name))
    for name, operator in () if view is None else view.inventory.operators.items():
        operators = operators.insert((namespace, name), operator)
    eem = snapshot.eem.discard(namespace) if view is None else snapshot.eem.insert(namespace, view)
    return replace(snapshot, eem=eem, operators=operators)


def name_of(api_object: ApiObject) -> tuple[str, str]:
    """Return (namespace, name) of an API object; the namespace of a cluster-scoped one is empty."""
    metadata = api_object.get("metadata")
    fields: Mapping[str, Any] = metadata if isinstance(metadata, Mapping) else {}
    kind = api_object.get("kind")
    is_in_none = isinstance(kind, str) and kind in CLUSTER_SCOPED
    return "" if is_in_none else str(fields.get("namespace") or "default"), str(fields.get("name") or "")
