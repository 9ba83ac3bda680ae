"""
The Namespaces, pods, workloads and policies of a cluster at one moment: a persistent value.

A change gives a new snapshot that shares everything it does not touch with the old one. So a change costs what it
touches and not a copy of the cluster, and a decision that uses the old snapshot is not disturbed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Final, Literal

from rpds import HashTrieMap

from webhook.netpol.cluster_policies import (
    NO_CLUSTER_POLICIES,
    TIERED_KINDS,
    CalicoObject,
    ClusterPolicies,
    ClusterPolicy,
)
from webhook.netpol.faults import SpecError
from webhook.netpol.indexes import NO_ADDRESSES, PodAddresses, SortedSet
from webhook.netpol.intervals import IPAddress
from webhook.netpol.model import Labels, Namespace, NetworkPolicy, Pod, Workload
from webhook.netpol.parse_objects import ApiObject, Parsed, read_object
from webhook.netpol.selectors import NAMESPACE_NAME_LABEL
from webhook.netpol.sources.universe import Enforced


@dataclass(frozen=True, kw_only=True, slots=True)
class NamespaceState:
    """
    One namespace with the objects in it.

    Args:
        namespace: the Namespace object, or one with just the name label where none was seen.
        seen: whether a Namespace object was seen.
    """

    namespace: Namespace
    seen: bool = False
    pods: HashTrieMap[str, Pod] = HashTrieMap()
    workloads: HashTrieMap[tuple[str, str], Workload] = HashTrieMap()
    policies: HashTrieMap[str, NetworkPolicy] = HashTrieMap()

    def is_empty(self) -> bool:
        """Whether the namespace holds nothing and no Namespace object was seen."""
        return not (self.seen or len(self.pods) or len(self.workloads) or len(self.policies))

    def sorted_policies(self) -> tuple[NetworkPolicy, ...]:
        """Return the policies by name: the order matters only for the policy that a message names first."""
        return tuple(sorted(self.policies.values(), key=lambda policy: policy.name))


def implied(name: str) -> Namespace:
    """
    Return the namespace of which only the name is known.

    Source: the API server sets the label kubernetes.io/metadata.name on every namespace.
    """
    return Namespace(name=name, labels={NAMESPACE_NAME_LABEL: name})


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterSnapshot:
    """
    A cluster's namespaces, pods, workloads and policies.

    Args:
        states: by namespace name.
        names_in_order: the names of these namespaces.
        pod_addresses: of every pod that runs on the pod network.
        cluster_policies: the cluster-wide policies, in their order.
        namespace_objects: the Namespace objects that were seen, by name; the same map until one of them changes.
    """

    states: HashTrieMap[str, NamespaceState] = HashTrieMap()
    names_in_order: SortedSet[str] = field(default_factory=SortedSet, compare=False)
    pod_addresses: PodAddresses = NO_ADDRESSES
    cluster_policies: ClusterPolicies = NO_CLUSTER_POLICIES
    namespace_objects: HashTrieMap[str, Namespace] = HashTrieMap()

    @classmethod
    def from_objects(cls, objects: Iterable[ApiObject]) -> ClusterSnapshot:
        """
        Return the snapshot of API objects; kinds that are not read are ignored.

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
        """Return the snapshot of objects that were parsed already; of several with one name, the last one counts."""
        namespaces: dict[str, Namespace] = {}
        pods: dict[str, dict[str, Pod]] = {}
        workloads: dict[str, dict[tuple[str, str], Workload]] = {}
        policies: dict[str, dict[str, NetworkPolicy]] = {}
        cluster_policies: list[ClusterPolicy] = []
        calico: list[CalicoObject] = []
        for parsed in objects:
            if isinstance(parsed, Pod):
                pods.setdefault(parsed.namespace, {})[parsed.name] = parsed
            elif isinstance(parsed, NetworkPolicy):
                policies.setdefault(parsed.namespace, {})[parsed.name] = parsed
            elif isinstance(parsed, Workload):
                workloads.setdefault(parsed.namespace, {})[parsed.kind, parsed.name] = parsed
            elif isinstance(parsed, ClusterPolicy):
                cluster_policies.append(parsed)
            elif isinstance(parsed, CalicoObject):
                calico.append(parsed)
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
            cluster_policies=reduce(_with_calico, calico, ClusterPolicies.of(cluster_policies)),
            namespace_objects=HashTrieMap(namespaces),
        )

    def state(self, namespace: str) -> NamespaceState:
        """Return the state of one namespace; an unknown namespace is an empty one."""
        return self.states.get(namespace) or NamespaceState(namespace=implied(namespace))

    def labels_of(self, namespace: str) -> Labels | None:
        """Return the labels of a namespace whose object was seen; None where there is none."""
        seen = self.namespace_objects.get(namespace)
        return None if seen is None else seen.labels

    def namespaces(self) -> Iterator[NamespaceState]:
        """Return the state of every namespace, in no order."""
        return iter(self.states.values())

    def with_parsed(self, parsed: Parsed) -> ClusterSnapshot:
        """Add or replace one object."""
        if isinstance(parsed, ClusterPolicy):
            return replace(self, cluster_policies=self.cluster_policies.with_policy(parsed))
        if isinstance(parsed, CalicoObject):
            return replace(self, cluster_policies=_with_calico(self.cluster_policies, parsed))
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

    def with_policies(self, namespace: str, policies: HashTrieMap[str, NetworkPolicy]) -> ClusterSnapshot:
        """Return the snapshot with other policies in one namespace."""
        return self._with_state(replace(self.state(namespace), policies=policies))

    def without(self, kind: str, namespace: str, name: str) -> ClusterSnapshot:
        """Remove one object; one that is not there is no error."""
        if kind in TIERED_KINDS:
            return replace(self, cluster_policies=self.cluster_policies.without_object(kind, namespace, name))
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
        """Return (namespace, name) of every object of one kind; the namespace is empty for kinds that have none."""
        if kind in TIERED_KINDS:
            return self.cluster_policies.names(kind)
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
        """Return one object; None where there is none, or where its kind is not read."""
        if kind in TIERED_KINDS:
            return self.cluster_policies.find(kind, namespace, name)
        state = self.state(name if kind == "Namespace" else namespace)
        if kind == "Namespace":
            return state.namespace if state.seen else None
        if kind == "Pod":
            return state.pods.get(name)
        if kind == "NetworkPolicy":
            return state.policies.get(name)
        return state.workloads.get((kind, name))

    def count(self, kind: str) -> int:
        """Return the number of objects of one kind."""
        return len(self.names(kind))

    def parts(self) -> Iterator[object]:
        """Yield the parts of a snapshot: to free a large one at once would hold the event loop."""
        yield self.pod_addresses
        yield self.cluster_policies.known
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
            cluster_policies=self.cluster_policies,
            namespace_objects=self._objects_after(state),
        )

    def _objects_after(self, state: NamespaceState) -> HashTrieMap[str, Namespace]:
        """Return the Namespace objects that were seen after one state has changed."""
        known, name = self.namespace_objects, state.namespace.name
        if not state.seen:
            return known.remove(name) if name in known else known
        is_same = name in known and (known[name] is state.namespace or known[name] == state.namespace)
        return known if is_same else known.insert(name, state.namespace)

    def _addresses_after(self, old: Pod | None, new: Pod | None) -> PodAddresses:
        """Return the index of addresses after *new* has taken the place of *old*."""
        before, after = _counted(old), _counted(new)
        if before == after:
            return self.pod_addresses
        return self.pod_addresses.changed(before - after, after - before)


def _with_calico(policies: ClusterPolicies, found: CalicoObject) -> ClusterPolicies:
    """Add or replace one object of Calico's; the first one loads what keeps them."""
    calico = policies.calico
    if calico is None:
        from webhook.netpol.calico.calico_tiers import CalicoPolicies  # noqa: PLC0415  only where there are such objects

        calico = CalicoPolicies()
    return replace(policies, calico=calico.with_object(found), answers={})


def _counted(pod: Pod | None) -> frozenset[IPAddress]:
    if pod is None or pod.host_network or pod.finished:
        return frozenset()
    return frozenset(pod.addresses)


def _named(namespace: Namespace) -> Namespace:
    labels = {**namespace.labels, NAMESPACE_NAME_LABEL: namespace.name}
    return replace(namespace, labels=labels)


Plugin = Literal["auto", "ovn-kubernetes", "calico", "cilium", "other"]
"""The network plugin as the user names it; `auto`: as the DaemonSets of the cluster show it."""

CALICO_AGENTS: Final = (("calico-system", "calico-node"), ("kube-system", "calico-node"), ("kube-system", "canal"))
"""The DaemonSets, namespace and name, that enforce Calico's policies: of its operator, its manifests, and Canal."""

OTHER_AGENTS: Final = (
    ("openshift-ovn-kubernetes", "ovnkube-node"),
    ("ovn-kubernetes", "ovnkube-node"),
    ("openshift-sdn", "sdn"),
    ("kube-system", "cilium"),
    ("cilium", "cilium"),
    ("kube-system", "antrea-agent"),
)
"""The DaemonSets of plugins that do not enforce them."""


def enforces_calico(snapshot: ClusterSnapshot, plugin: Plugin) -> Enforced:
    """Return whether the network plugin enforces Calico's policies, as it is told or as DaemonSets show it."""
    if plugin != "auto":
        return "yes" if plugin == "calico" else "no"
    if any(_has_agent(snapshot, *agent) for agent in CALICO_AGENTS):
        return "yes"
    return "no" if any(_has_agent(snapshot, *agent) for agent in OTHER_AGENTS) else "unknown"


def _has_agent(snapshot: ClusterSnapshot, namespace: str, name: str) -> bool:
    state = snapshot.states.get(namespace)
    return state is not None and ("DaemonSet", name) in state.workloads
