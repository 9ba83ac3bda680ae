"""
A cluster as the guard sees it: namespaces, pods, policies, and which of them are EEM's.

Like the ClusterSnapshot, it is a persistent value. A namespace with EEM in it has an EemNamespace in addition, which
knows the subjects. Which they are is found out anew only when an instance, an operator, or a pod or workload of EEM has
changed there, so that neither a policy nor another pod costs anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rpds import HashTrieMap

from webhook.eem.claims import NOTHING_CLAIMED, ClaimIndex, operators_in
from webhook.eem.destinations import NO_DESTINATIONS, Destinations, is_destination, read_destination
from webhook.eem.instances import EemOperator, Instance, read_instance, read_operator
from webhook.eem.policy_kinds import NAME_OF, READ_KIND_OF, ForeignPolicy, PolicyKind, PolicyKinds, policy_kinds
from webhook.eem.resources import DESTINATIONS, INSTANCE_KINDS, STORAGE_CLASSES, TIERED, WATCHED
from webhook.eem.rules import Neighbourhood
from webhook.eem.rules.neighbours import Owner
from webhook.eem.view import EemNamespace, Guarded, Objects, namespace_of
from webhook.netpol.cluster_policies import CalicoObject, ClusterPolicies, ClusterPolicy
from webhook.netpol.faults import Fault, SpecError
from webhook.netpol.intervals import IPAddress
from webhook.netpol.model import Namespace, NetworkPolicy, Pod, Workload
from webhook.netpol.parse_objects import WORKLOAD_KINDS, ApiObject, Parsed, read_object
from webhook.netpol.reading import Faults, mapping, strings, text_at
from webhook.netpol.snapshot import ClusterSnapshot

DESTINATION_KINDS = frozenset(resource.kind for resource in DESTINATIONS)
CLUSTER_SCOPED = frozenset(resource.kind for resource in (*WATCHED, *TIERED) if not resource.namespaced)


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
        operator_namespaces: the namespaces of the operators for which EEM's kinds were installed, by kind.
        storage_classes: by name.
        claim_index: every pod and workload by what may make it EEM's.
        destinations: the Services, EndpointSlices, Routes and Ingresses that were read.
        read_kinds: the policy kinds beside NetworkPolicy that the cluster has and that are read.
        unread_kinds: the others that it has.
        foreign: objects of such kinds, if the objects are known.
        api_servers: the addresses of the API server, if its endpoints are known.
    """

    cluster: ClusterSnapshot = field(default_factory=ClusterSnapshot)
    eem: HashTrieMap[str, EemNamespace] = HashTrieMap()
    neighbours: Neighbourhood = field(default_factory=Neighbourhood)
    operators: HashTrieMap[tuple[str, str], EemOperator] = HashTrieMap()
    operator_namespaces: HashTrieMap[str, frozenset[str]] = HashTrieMap()
    storage_classes: HashTrieMap[str, ApiObject] = HashTrieMap()
    claim_index: ClaimIndex = NOTHING_CLAIMED
    destinations: Destinations = NO_DESTINATIONS
    read_kinds: tuple[PolicyKind, ...] = ()
    unread_kinds: tuple[PolicyKind, ...] = ()
    foreign: tuple[ForeignPolicy, ...] = ()
    api_servers: tuple[IPAddress, ...] = ()

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
        # Beside an instance or an operator, each pod that is added begins the question anew which pods are EEM's.
        for api_object, found in sorted(objects, key=lambda known: not isinstance(known[1], Pod)):
            if isinstance(found, Instance):
                snapshot = snapshot.with_instance(found)
            elif found is not None:
                snapshot = snapshot.with_parsed(found)
            else:
                snapshot = snapshot.with_object(api_object)
        return snapshot

    def with_cluster_policies(self, policies: ClusterPolicies) -> EemSnapshot:
        """Return the snapshot with all cluster-wide policies replaced."""
        return replace(self, cluster=replace(self.cluster, cluster_policies=policies))

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
        if is_destination(api_object):
            key = text_at(api_object, "kind"), *name_of(api_object)
            if not key[2]:
                return self
            return replace(self, destinations=self.destinations.with_object(key, read_destination(api_object)))
        parsed, _ = read_object(api_object)
        return self if parsed is None else self.with_parsed(parsed)

    def with_parsed(self, parsed: Parsed) -> EemSnapshot:
        """Return the snapshot with one object that was parsed already."""
        cluster = self.cluster.with_parsed(parsed)
        if isinstance(parsed, Pod):
            return self._after_pod(cluster, parsed.namespace, parsed.name)
        if isinstance(parsed, Workload):
            return self._after_workload(cluster, parsed.namespace, (parsed.kind, parsed.name))
        if isinstance(parsed, (ClusterPolicy, CalicoObject)):
            known_kinds = {NAME_OF[known] for known in self.read_kinds}
            if parsed.kind in known_kinds:
                return replace(self, cluster=cluster)
            kinds = (*self.read_kinds, READ_KIND_OF[parsed.kind])
            return replace(self, cluster=cluster, read_kinds=kinds)
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
            if known is None or (kind, name) not in known.instances:
                return self
            neighbours = self.neighbours.without(Owner(kind=kind, namespace=namespace, name=name))
            return self._with_instances(namespace, known.instances.remove((kind, name)), neighbours)
        if kind == STORAGE_CLASSES.kind:
            return replace(self, storage_classes=self.storage_classes.discard(name))
        return self._without_cluster_object(kind, namespace, name, known)

    def _without_cluster_object(self, kind: str, namespace: str, name: str, known: EemNamespace | None) -> EemSnapshot:
        if kind in DESTINATION_KINDS:
            return replace(self, destinations=self.destinations.without((kind, namespace, name)))
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
        if kind in DESTINATION_KINDS:
            return tuple((namespace, name) for known, namespace, name in self.destinations.objects if known == kind)
        if kind not in INSTANCE_KINDS:
            return self.cluster.names(kind)
        return tuple(
            (namespace, name)
            for namespace, known in self.eem.items()
            for known_kind, name in known.instances
            if known_kind == kind
        )

    def count(self, kind: str) -> int:
        """Return the number of objects of one kind."""
        return len(self.names(kind))

    def namespace(self, name: str) -> Namespace:
        """Return a namespace, or what its name alone implies."""
        return self.cluster.state(name).namespace

    def policy_kinds(self, *namespaces: str) -> PolicyKinds:
        """Return the policy kinds that exist and can matter in *namespaces*; without an argument, in all of EEM's."""
        known = (self.eem[name] for name in namespaces or self.eem if name in self.eem) if self.foreign else ()
        where = [
            (
                view.inventory.namespace,
                self.namespace(view.inventory.namespace).labels,
                [subject.pod.labels for subject in view.inventory.subjects],
            )
            for view in known
        ]
        return policy_kinds(self.read_kinds, self.unread_kinds, self.foreign, where)

    def instance(self, kind: str, namespace: str, name: str) -> Instance | None:
        """Return one instance; None where there is none."""
        known = self.eem.get(namespace)
        return None if known is None else known.instances.get((kind, name))

    def guarded_beside(self, instance: Instance) -> tuple[Guarded, ...]:
        """Return the subjects of an instance, and of others of its name: a look at their pods, and at no others."""
        others = [self.instance(kind, instance.namespace, instance.name) for kind in INSTANCE_KINDS]
        named = {(known.kind, known.name): known for known in (*filter(None, others), instance)}
        return _objects(self, instance.namespace, HashTrieMap(named)).inventory().guarded

    def with_instance(self, instance: Instance) -> EemSnapshot:
        """Return the snapshot with one instance that was parsed already."""
        known = self.eem.get(instance.namespace)
        instances = known.instances if known is not None else HashTrieMap()
        grown = instances.insert((instance.kind, instance.name), instance)
        return self._with_instances(instance.namespace, grown, self.neighbours.with_instance(instance.source))

    def _with_instances(
        self, namespace: str, instances: HashTrieMap[tuple[str, str], Instance], neighbours: Neighbourhood
    ) -> EemSnapshot:
        return _with_view(replace(self, neighbours=neighbours), namespace, instances)

    def _after_pod(self, cluster: ClusterSnapshot, namespace: str, name: str) -> EemSnapshot:
        before = self.cluster.state(namespace).pods.get(name)
        pod = cluster.state(namespace).pods.get(name)
        changed = replace(self, cluster=cluster, claim_index=self.claim_index.changed(before, pod))
        known = self.eem.get(namespace)
        if known is None:
            return changed
        inventory = known.known_inventory()
        if inventory is None:
            return _with_view(changed, namespace, known.instances)
        if pod is not None and inventory.claims.of_pod(pod):
            pods = inventory.pods.insert(name, pod)
        elif name in inventory.pods:
            pods = inventory.pods.remove(name)
        else:
            return changed
        view = known.with_objects(known.objects, replace(inventory, pods=pods))
        return replace(changed, eem=self.eem.insert(namespace, view))

    def _after_workload(self, cluster: ClusterSnapshot, namespace: str, key: tuple[str, str]) -> EemSnapshot:
        before = self.cluster.state(namespace).workloads.get(key)
        workload = cluster.state(namespace).workloads.get(key)
        changed = replace(self, cluster=cluster, claim_index=self.claim_index.changed(before, workload))
        known = self.eem.get(namespace)
        is_operator = workload is not None and read_operator(workload) is not None
        if is_operator or (namespace, key[1]) in self.operators:
            changed = replace(changed, operators=_operators_after(changed, namespace))
        if known is None:
            return _with_view(changed, namespace, HashTrieMap()) if is_operator else changed
        inventory = known.known_inventory()
        if inventory is not None:
            mattered = key in inventory.workloads or key in inventory.claims.owned
            if not mattered and (workload is None or not (is_operator or inventory.claims.of_workload(workload))):
                return changed
        return _with_view(changed, namespace, known.instances)


def _operators_after(snapshot: EemSnapshot, namespace: str) -> HashTrieMap[tuple[str, str], EemOperator]:
    """Return the operators of the cluster after those of one namespace have changed."""
    operators = snapshot.operators
    for key in [key for key in operators if key[0] == namespace]:
        operators = operators.remove(key)
    workloads = snapshot.cluster.state(namespace).workloads
    for name, operator in operators_in(namespace, workloads, snapshot.claim_index).items():
        operators = operators.insert((namespace, name), operator)
    return operators


def _with_view(snapshot: EemSnapshot, namespace: str, instances: HashTrieMap[tuple[str, str], Instance]) -> EemSnapshot:
    """Return *snapshot* with another view of one namespace, in which it is to be found out which objects are EEM's."""
    state = snapshot.cluster.state(namespace)
    objects = _objects(snapshot, namespace, instances)
    if not len(instances) and not objects.operators:
        return replace(snapshot, eem=snapshot.eem.discard(namespace))
    known = snapshot.eem.get(namespace)
    view = namespace_of(objects, state.policies) if known is None else known.with_objects(objects, None)
    return replace(snapshot, eem=snapshot.eem.insert(namespace, view))


def _objects(snapshot: EemSnapshot, namespace: str, instances: HashTrieMap[tuple[str, str], Instance]) -> Objects:
    state = snapshot.cluster.state(namespace)
    return Objects(
        namespace=namespace,
        instances=instances,
        operators=operators_in(namespace, state.workloads, snapshot.claim_index),
        pods=state.pods,
        workloads=state.workloads,
        index=snapshot.claim_index,
    )


def name_of(api_object: ApiObject) -> tuple[str, str]:
    """Return (namespace, name) of an API object; the namespace of a cluster-scoped one is empty."""
    metadata = api_object.get("metadata")
    fields: Mapping[str, Any] = metadata if isinstance(metadata, Mapping) else {}
    kind = api_object.get("kind")
    is_in_none = isinstance(kind, str) and kind in CLUSTER_SCOPED
    return "" if is_in_none else str(fields.get("namespace") or "default"), str(fields.get("name") or "")
