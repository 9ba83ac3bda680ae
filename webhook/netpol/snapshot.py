"""
What a cluster holds at one moment, as far as NetworkPolicies are concerned: a persistent value.

A change gives a new snapshot that shares everything it does not touch with the old one, so it costs what it touches
and not a copy of the cluster, and a decision that runs on the old one is not disturbed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rpds import HashTrieMap

from webhook.netpol.faults import Fault, SpecError
from webhook.netpol.model import NAMESPACE_NAME_LABEL, Namespace, NetworkPolicy, Pod, Workload
from webhook.netpol.parse import read_policy
from webhook.netpol.parse_objects import TEMPLATE_PATHS, read_namespace, read_pod, read_workload
from webhook.netpol.pod_addresses import NO_ADDRESSES, PodAddresses
from webhook.netpol.reading import Faults, mapping, string
from webhook.netpol.sorted_set import SortedSet

ApiObject = Mapping[str, Any]
Parsed = Namespace | Pod | Workload | NetworkPolicy

KIND_GROUPS: Mapping[str, str] = {
    "Namespace": "",
    "Pod": "",
    "NetworkPolicy": "networking.k8s.io",
    "Deployment": "apps",
    "StatefulSet": "apps",
    "DaemonSet": "apps",
    "ReplicaSet": "apps",
    "Job": "batch",
    "CronJob": "batch",
}
"""The kinds that matter here, with their API group: a kind of the same name in another group is another kind."""


@dataclass(frozen=True, kw_only=True, slots=True)
class NamespaceState:
    """
    One namespace with what is in it.

    Args:
        namespace: the object, or one with just the name label where no Namespace object was seen.
        seen: a Namespace object was seen.
    """

    namespace: Namespace
    seen: bool = False
    pods: HashTrieMap[str, Pod] = HashTrieMap()
    workloads: HashTrieMap[tuple[str, str], Workload] = HashTrieMap()
    policies: HashTrieMap[str, NetworkPolicy] = HashTrieMap()

    def is_empty(self) -> bool:
        """Say whether nothing keeps this namespace in the snapshot."""
        return not (self.seen or len(self.pods) or len(self.workloads) or len(self.policies))

    def sorted_policies(self) -> tuple[NetworkPolicy, ...]:
        """Give the policies by name: the order never matters to a verdict, only to who is named first."""
        return tuple(sorted(self.policies.values(), key=lambda policy: policy.name))


def implied(name: str) -> Namespace:
    """
    Give the namespace that is only known by its name.

    Source: the API server sets the label kubernetes.io/metadata.name on every namespace.
    """
    return Namespace(name=name, labels={NAMESPACE_NAME_LABEL: name})


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterSnapshot:
    """
    A cluster's namespaces, pods, workloads and NetworkPolicies.

    Args:
        states: by namespace name.
        names_in_order: the names of these namespaces.
        pod_addresses: of every pod that runs on the pod network.
    """

    states: HashTrieMap[str, NamespaceState] = HashTrieMap()
    names_in_order: SortedSet[str] = field(default_factory=SortedSet, compare=False)
    pod_addresses: PodAddresses = NO_ADDRESSES

    @classmethod
    def from_objects(cls, objects: Iterable[ApiObject]) -> ClusterSnapshot:
        """
        Build a snapshot from API objects; kinds that do not matter are ignored.

        Raises:
            SpecError: with every fault of every object.
        """
        known = [read_object(api_object) for api_object in objects]
        faults = [fault for _, found in known for fault in found]
        if faults:
            raise SpecError(faults)
        return cls.from_parsed(parsed for parsed, _ in known if parsed is not None)

    @classmethod
    def from_parsed(cls, objects: Iterable[Parsed]) -> ClusterSnapshot:
        """Build a snapshot from objects that were read already: of several of one name the last counts."""
        namespaces: dict[str, Namespace] = {}
        pods: dict[str, dict[str, Pod]] = {}
        workloads: dict[str, dict[tuple[str, str], Workload]] = {}
        policies: dict[str, dict[str, NetworkPolicy]] = {}
        for parsed in objects:
            if isinstance(parsed, Pod):
                pods.setdefault(parsed.namespace, {})[parsed.name] = parsed
            elif isinstance(parsed, NetworkPolicy):
                policies.setdefault(parsed.namespace, {})[parsed.name] = parsed
            elif isinstance(parsed, Workload):
                workloads.setdefault(parsed.namespace, {})[parsed.kind, parsed.name] = parsed
            else:
                namespaces[parsed.name] = _named(parsed)
        states = {
            name: NamespaceState(
                namespace=namespaces.get(name) or implied(name),
                seen=name in namespaces,
                pods=HashTrieMap(pods.get(name, {})),
                workloads=HashTrieMap(workloads.get(name, {})),
                policies=HashTrieMap(policies.get(name, {})),
            )
            for name in (namespaces | pods | workloads | policies)
        }
        addresses = (address for known in pods.values() for pod in known.values() for address in _counted(pod))
        return cls(
            states=HashTrieMap(states),
            names_in_order=SortedSet.of(states),
            pod_addresses=PodAddresses.of(addresses),
        )

    def state(self, namespace: str) -> NamespaceState:
        """Give one namespace's state; an unknown namespace is an empty one."""
        return self.states.get(namespace) or NamespaceState(namespace=implied(namespace))

    def namespaces(self) -> Iterator[NamespaceState]:
        """Give every namespace's state, in no order."""
        return iter(self.states.values())

    def with_parsed(self, parsed: Parsed) -> ClusterSnapshot:
        """Add or replace one object."""
        if isinstance(parsed, Namespace):
            return self._with_state(replace(self.state(parsed.name), namespace=_named(parsed), seen=True))
        state = self.state(parsed.namespace)
        if isinstance(parsed, NetworkPolicy):
            return self._with_state(replace(state, policies=state.policies.insert(parsed.name, parsed)))
        if isinstance(parsed, Workload):
            workloads = state.workloads.insert((parsed.kind, parsed.name), parsed)
            return self._with_state(replace(state, workloads=workloads))
        pod_addresses = self._addresses_after(state.pods.get(parsed.name), parsed)
        return self._with_state(replace(state, pods=state.pods.insert(parsed.name, parsed)), pod_addresses)

    def without(self, kind: str, namespace: str, name: str) -> ClusterSnapshot:
        """Remove one object; one that is not there is no error."""
        state = self.state(name if kind == "Namespace" else namespace)
        if kind == "Namespace":
            return self._with_state(replace(state, namespace=implied(name), seen=False))
        if kind == "Pod" and name in state.pods:
            pod_addresses = self._addresses_after(state.pods[name], None)
            return self._with_state(replace(state, pods=state.pods.remove(name)), pod_addresses)
        if kind == "NetworkPolicy" and name in state.policies:
            return self._with_state(replace(state, policies=state.policies.remove(name)))
        if (kind, name) in state.workloads:
            return self._with_state(replace(state, workloads=state.workloads.remove((kind, name))))
        return self

    def names(self, kind: str) -> tuple[tuple[str, str], ...]:
        """Give (namespace, name) of every object of one kind; a Namespace has no namespace."""
        found: list[tuple[str, str]] = []
        for name, state in self.states.items():
            if kind == "Namespace":
                found.extend([("", name)] if state.seen else [])
            elif kind == "Pod":
                found.extend((name, pod) for pod in state.pods)
            elif kind == "NetworkPolicy":
                found.extend((name, policy) for policy in state.policies)
            else:
                found.extend((name, workload) for known, workload in state.workloads if known == kind)
        return tuple(found)

    def find(self, kind: str, namespace: str, name: str) -> Parsed | None:
        """Give one object; None where there is none, or where its kind does not matter."""
        state = self.state(name if kind == "Namespace" else namespace)
        if kind == "Namespace":
            return state.namespace if state.seen else None
        if kind == "Pod":
            return state.pods.get(name)
        if kind == "NetworkPolicy":
            return state.policies.get(name)
        return state.workloads.get((kind, name))

    def count(self, kind: str) -> int:
        """Count the objects of one kind."""
        return len(self.names(kind))

    def parts(self) -> Iterator[object]:
        """Give what a snapshot is made of, in pieces: whoever lets go of a large one can do so bit by bit."""
        yield self.pod_addresses
        for state in self.states.values():
            yield from (state.pods, state.workloads, state.policies)

    def _with_state(self, state: NamespaceState, pod_addresses: PodAddresses | None = None) -> ClusterSnapshot:
        name, names = state.namespace.name, self.names_in_order
        if state.is_empty():
            states, names = self.states.discard(name), names.remove(name)
        else:
            names = names if name in self.states else names.insert(name)
            states = self.states.insert(name, state)
        return ClusterSnapshot(
            states=states,
            names_in_order=names,
            pod_addresses=self.pod_addresses if pod_addresses is None else pod_addresses,
        )

    def _addresses_after(self, old: Pod | None, new: Pod | None) -> PodAddresses:
        """Return the index of addresses after *new* has taken the place of *old*."""
        before, after = _counted(old), _counted(new)
        if before == after:
            return self.pod_addresses
        return self.pod_addresses.changed(before - after, after - before)


def _counted(pod: Pod | None) -> frozenset[tuple[int, int]]:
    if pod is None or pod.host_network or pod.finished:
        return frozenset()
    return frozenset(pod.addresses)


def _named(namespace: Namespace) -> Namespace:
    labels = {**namespace.labels, NAMESPACE_NAME_LABEL: namespace.name}
    return replace(namespace, labels=labels)


def kind_of(api_object: ApiObject) -> str | None:
    """Give the kind of an object that matters here, or None."""
    kind, version = api_object.get("kind"), api_object.get("apiVersion")
    if not isinstance(kind, str) or kind not in KIND_GROUPS or not isinstance(version, str):
        return None
    return kind if version.rpartition("/")[0] == KIND_GROUPS[kind] else None


def read_object(api_object: ApiObject) -> tuple[Parsed | None, tuple[Fault, ...]]:
    """Read one API object as far as it can be read, with its faults; None for a kind that does not matter."""
    kind = kind_of(api_object)
    if kind is None:
        return None, ()
    faults = Faults()
    metadata = mapping(api_object.get("metadata"), "metadata", faults)
    name = string(metadata.get("name"), "metadata.name", faults)
    if not name:
        faults.add("metadata.name", "must be set", "Required")
    parsed: Parsed
    if kind == "NetworkPolicy":
        parsed, found = read_policy(api_object)
        faults = Faults(found=[fault for fault in faults.found if fault.reason == "Required"] + list(found))
    elif kind == "Namespace":
        parsed = read_namespace(api_object, faults)
    elif kind == "Pod":
        parsed = read_pod(api_object, faults)
    else:
        parsed = read_workload(api_object, kind, faults)
    namespace = "" if isinstance(parsed, Namespace) else f"{parsed.namespace}/"
    owner = f"{namespace}{name or '(no name)'}"
    distinct = dict.fromkeys(faults.found)
    return parsed if name else None, tuple(replace(fault, kind=kind, name=owner) for fault in distinct)


WORKLOAD_KINDS = frozenset(TEMPLATE_PATHS)
