"""
The values that NetworkPolicies and their surroundings are made of, after every None-versus-empty question is settled.

The parsers make them, and everything else may trust them. A value that the API server once stored and that cannot be
read stays visible as `Unreadable`: nothing is dropped, and nothing unreadable counts as an allow.
"""

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Final

from webhook.netpol.intervals import IPV4, IPV6, Interval, IPAddress, subtract, union
from webhook.netpol.selectors import EVERYTHING, LabelSelector
from webhook.netpol.sources.source_set import EVERYONE, Sources
from webhook.netpol.sources.terms import Term, term_of

Labels = Mapping[str, str]
NO_LABELS: Labels = MappingProxyType({})

FIRST_PORT: Final = 1
LAST_PORT: Final = 65535
"""The range of port numbers. Source: IsValidPortNum of k8s.io/apimachinery, pkg/util/validation."""


def no_labels() -> Labels:
    """Return the empty set of labels, which all objects without labels share."""
    return NO_LABELS


class PolicyType(enum.StrEnum):
    """The direction that a policy restricts."""

    INGRESS = "Ingress"
    EGRESS = "Egress"


class Protocol(enum.StrEnum):
    """The transport protocols that a policy can name."""

    TCP = "TCP"
    UDP = "UDP"
    SCTP = "SCTP"


PROTOCOLS: Mapping[object, Protocol] = {member.value: member for member in Protocol}
"""By the API's word: a look-up in an enumeration takes half of the time of reading a port."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PodPeer:
    """
    Pods by their labels, in namespaces by theirs.

    Args:
        namespace: the only namespace; set where the peer has no `namespaceSelector`, to the policy's own.
        namespace_selector: the namespaces otherwise.
        pod_selector: the pods in these namespaces.

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
        field: its path in the policy.
    """

    field: str


NetworkPolicyPeer = PodPeer | IPBlock | Unreadable


def sources_of(peers: Iterable[NetworkPolicyPeer] | None) -> Sources:
    """Return what the peers of one rule admit, its ports aside; None stands for no list of peers, which is everyone."""
    if peers is None:
        return EVERYONE
    terms: set[Term] = set()
    blocks: dict[int, list[Interval]] = {IPV4: [], IPV6: []}
    exceptions: list[tuple[int, Interval]] = []
    unreadable = False
    for peer in peers:
        if isinstance(peer, PodPeer):
            term = term_of(peer.namespace, peer.namespace_selector, peer.pod_selector)
            if term is not None:
                terms.add(term)
        elif isinstance(peer, IPBlock):
            blocks[peer.family].extend(subtract((peer.cidr,), union(peer.except_)))
            exceptions.extend((peer.family, interval) for interval in peer.except_)
        else:
            unreadable = True
    return Sources(
        terms=frozenset(terms),
        blocks=tuple((family, union(pieces)) for family, pieces in blocks.items() if pieces),
        exceptions=tuple(exceptions),
        unreadable=unreadable,
    )


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


@dataclass(frozen=True, kw_only=True)
class PolicyRule:
    """
    One rule of a policy: these peers on these ports.

    Args:
        peers: None stands for every peer; the listed ones are ORed.
        ports: None stands for every port of every protocol; the listed ones are ORed.
    """

    peers: tuple[NetworkPolicyPeer, ...] | None
    ports: tuple[NetworkPolicyPort, ...] | None

    @cached_property
    def admits(self) -> Sources:
        """Return the peers as a set: the sources of an ingress rule, the destinations of an egress rule."""
        return sources_of(self.peers)


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnerReference:
    """The owner of an object, whose deletion the garbage collector lets it follow. Source: metav1.OwnerReference."""

    api_version: str
    kind: str
    name: str
    uid: str

    @property
    def group(self) -> str:
        """Return the API group of the owner; empty for the core group."""
        return self.api_version.rpartition("/")[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkPolicy:
    """
    One networking.k8s.io/v1 NetworkPolicy.

    Args:
        policy_types: the directions that it restricts; never empty.
        terminating: whether it has a deletionTimestamp: it still isolates, but nothing that it admits will last.
        resource_version: as the API server set it; empty for objects from files.
        faulty: whether it was stored with faults.
        bypass: the reason in its bypass annotation; empty where there is none.
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
    bypass: str = ""

    @property
    def full_name(self) -> str:
        """Return `namespace/name`."""
        return f"{self.namespace}/{self.name}"

    def rules(self, policy_type: PolicyType) -> tuple[PolicyRule, ...]:
        """Return the rules for one direction; empty where the policy does not restrict it."""
        if policy_type not in self.policy_types:
            return ()
        return self.ingress if policy_type is PolicyType.INGRESS else self.egress


@dataclass(frozen=True, kw_only=True, slots=True)
class Namespace:
    """A namespace: its object, or what the objects in it imply."""

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
    A pod, or the pod that a workload's template makes.

    Args:
        addresses: the addresses in its status.
        host_addresses: the addresses of the node it runs on.
        ports: the named ports of containers and native sidecars; other ports do not matter here.
        finished: whether its phase is Succeeded or Failed.
        template_of: the kind of the workload whose template this is; empty for a real pod.
    """

    namespace: str
    name: str
    labels: Labels = field(default_factory=no_labels)
    ports: tuple[ContainerPort, ...] = ()
    addresses: tuple[IPAddress, ...] = ()
    host_addresses: tuple[IPAddress, ...] = ()
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
        template: the pod, with the labels that the controller adds.
        ordinals: the numbers of the pods of a StatefulSet, at least one; empty for every other kind.
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
    ordinals: range = range(0)
    service_account: str = ""
    environment: Mapping[str, str] = field(default_factory=no_labels)
    terminating: bool = False
