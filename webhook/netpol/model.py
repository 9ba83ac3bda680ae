"""
The values that NetworkPolicies and their surroundings are made of, after every None-versus-empty question is settled.

`parse.py` makes them; whoever holds one may trust it. A value that the API server once stored and that cannot be
read stays visible as `Unreadable`: nothing is lost, and nothing unreadable counts as a yes.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from webhook.netpol.intervals import Interval
from webhook.netpol.selectors import EVERYTHING, LabelSelector

if TYPE_CHECKING:
    from webhook.netpol.sources import Sources

Labels = Mapping[str, str]
NO_LABELS: Labels = MappingProxyType({})


def no_labels() -> Labels:
    """Give the one empty set of labels."""
    return NO_LABELS


NAMESPACE_NAME_LABEL = "kubernetes.io/metadata.name"
"""The label that the API server sets on every namespace, and that nobody can forge."""


class PolicyType(enum.StrEnum):
    """The direction that a policy restricts."""

    INGRESS = "Ingress"
    EGRESS = "Egress"


class Protocol(enum.StrEnum):
    """The transport protocols that a policy can name."""

    TCP = "TCP"
    UDP = "UDP"
    SCTP = "SCTP"


@dataclass(frozen=True, kw_only=True, slots=True)
class PodPeer:
    """
    Pods by their labels, in namespaces by theirs.

    Args:
        namespace: where set, only this one: without `namespaceSelector` a peer speaks of the policy's own.
        namespace_selector: which namespaces otherwise.
        pod_selector: which pods there.

    Source: NetworkPolicyPeer.podSelector and .namespaceSelector.
    """

    namespace: str | None = None
    namespace_selector: LabelSelector = EVERYTHING
    pod_selector: LabelSelector = EVERYTHING


@dataclass(frozen=True, kw_only=True, slots=True)
class IPBlock:
    """
    A range of addresses without its exceptions.

    Args:
        family: 4 or 6.
        cidr: first and last address, host bits masked.
        except_: ranges that this block, and only this block, does not admit.

    Source: NetworkPolicyPeer.ipBlock.
    """

    family: int
    cidr: Interval
    except_: tuple[Interval, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Unreadable:
    """
    A part of a stored policy that cannot be interpreted: it may match anything or nothing.

    Args:
        field: where it stands in the policy.
    """

    field: str


NetworkPolicyPeer = PodPeer | IPBlock | Unreadable


@dataclass(frozen=True, kw_only=True, slots=True)
class PortRange:
    """Numbered ports of one protocol, both ends included. Source: NetworkPolicyPort with no or a numeric port."""

    protocol: Protocol
    first: int
    last: int


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedPort:
    """A port by the name it has in the destination pod. Source: NetworkPolicyPort with a textual port."""

    protocol: Protocol
    name: str


NetworkPolicyPort = PortRange | NamedPort | Unreadable


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyRule:
    """
    One rule of a policy: these peers on these ports.

    Args:
        peers: None stands for anyone; the written list is ORed.
        ports: None stands for every port of every protocol; the written list is ORed.
        sources: whom the peers admit, once somebody has asked (`sources.py`); the same for every pod and port.
    """

    peers: tuple[NetworkPolicyPeer, ...] | None = None
    ports: tuple[NetworkPolicyPort, ...] | None = None
    sources: "Sources | None" = field(default=None, init=False, compare=False, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnerReference:
    """Who an object belongs to. Source: metav1.OwnerReference."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool = False

    @property
    def group(self) -> str:
        """Give the API group of the owner; empty for the core group."""
        return self.api_version.rpartition("/")[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkPolicy:
    """
    One networking.k8s.io/v1 NetworkPolicy.

    Args:
        policy_types: the directions that it restricts; never empty.
        terminating: it has a deletionTimestamp: it still isolates, but nothing that it admits will last.
        resource_version: as the API server gave it; empty for objects from files.
        faulty: it was stored with faults.
        owners: whose deletion the garbage collector lets it follow.
    """

    namespace: str
    name: str
    uid: str = ""
    resource_version: str = ""
    pod_selector: LabelSelector = EVERYTHING
    policy_types: frozenset[PolicyType] = frozenset({PolicyType.INGRESS})
    ingress: tuple[PolicyRule, ...] = ()
    egress: tuple[PolicyRule, ...] = ()
    terminating: bool = False
    faulty: bool = False
    owners: tuple[OwnerReference, ...] = ()

    def rules(self, policy_type: PolicyType) -> tuple[PolicyRule, ...]:
        """Give the rules for one direction; empty where the policy does not restrict it."""
        if policy_type not in self.policy_types:
            return ()
        return self.ingress if policy_type is PolicyType.INGRESS else self.egress


@dataclass(frozen=True, kw_only=True, slots=True)
class Namespace:
    """A namespace, seen or only implied by the objects in it."""

    name: str
    labels: Labels = field(default_factory=no_labels)
    annotations: Labels = field(default_factory=no_labels)
    terminating: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ContainerPort:
    """A port that a container names. Source: ContainerPort.name, .containerPort, .protocol."""

    name: str
    protocol: Protocol
    number: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Pod:
    """
    A pod, or the one that a workload's template stands for.

    Args:
        addresses: (family, number) of each address seen in its status.
        host_addresses: the same for the node it runs on.
        ports: only named ports of containers and native sidecars: nothing else about them matters here.
        finished: its phase is Succeeded or Failed.
        template_of: the kind of the workload whose template this is, or empty for a real pod.
    """

    namespace: str
    name: str
    labels: Labels = field(default_factory=no_labels)
    ports: tuple[ContainerPort, ...] = ()
    addresses: tuple[tuple[int, int], ...] = ()
    host_addresses: tuple[tuple[int, int], ...] = ()
    node: str = ""
    host_network: bool = False
    finished: bool = False
    owners: tuple[OwnerReference, ...] = ()
    template_of: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Workload:
    """
    A Deployment, StatefulSet, DaemonSet, ReplicaSet, Job or CronJob, with the pod that its template makes.

    Args:
        environment: literal values of a few variables in the containers' `env`, by name (see parse_objects); the last
            container that sets a name wins.
    """

    kind: str
    namespace: str
    name: str
    uid: str = ""
    labels: Labels = field(default_factory=no_labels)
    owners: tuple[OwnerReference, ...] = ()
    template: Pod
    service_account: str = ""
    environment: Mapping[str, str] = field(default_factory=no_labels)
    terminating: bool = False
