"""
What the parts of a policy match: the pods that it selects, the ports of a rule, and one end of a connection.

A port is always the destination pod's. A port name is looked up among that pod's containers, by name *and* protocol; a
name that no container has covers nothing, and is no error.

Whether an ipBlock matches a *pod* by its address differs between network plugins (Calico: yes; Cilium: no), and the
API leaves it open. A pod on its node's network is an address like any other: selectors never match it, ipBlocks do.
Questions that have no certain answer are answered with None.

Source: NetworkPolicySpec, NetworkPolicyPeer, IPBlock and NetworkPolicyPort (networking.k8s.io/v1).
"""

import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from webhook.netpol.cluster_policies import ClusterPeer, NodePeer
from webhook.netpol.intervals import WHOLE
from webhook.netpol.model import (
    ContainerPort,
    IPBlock,
    NamedPort,
    NetworkPolicy,
    NetworkPolicyPeer,
    NetworkPolicyPort,
    Pod,
    PodPeer,
    PolicyType,
    PortRange,
    Protocol,
    Unreadable,
)
from webhook.netpol.selectors import EVERYTHING, matches
from webhook.netpol.sources.universe import IPBlockMatchesPods


def selects(policy: NetworkPolicy, pod: Pod, policy_type: PolicyType) -> bool:
    """
    Whether *policy* restricts *pod* in this direction; no plugin selects a pod on its node's network.

    Source: NetworkPolicySpec.podSelector and .policyTypes.
    """
    return (
        policy_type in policy.policy_types
        and policy.namespace == pod.namespace
        and not pod.host_network
        and matches(policy.pod_selector, pod.labels)
    )


def selecting(policies: Iterable[NetworkPolicy], pod: Pod, policy_type: PolicyType) -> tuple[NetworkPolicy, ...]:
    """
    Return the policies that restrict *pod* in this direction, in the order given.

    A pod that no policy selects is not isolated: it accepts, or sends, everything.
    """
    return tuple(policy for policy in policies if selects(policy, pod, policy_type))


class WithPorts(typing.Protocol):
    """A rule of any kind of policy."""

    @property
    def ports(self) -> tuple[NetworkPolicyPort, ...] | None:
        """Return the ports that it names; None for every port."""


def rule_covers(
    rule: WithPorts, container_ports: Iterable[ContainerPort], protocol: Protocol, port: int
) -> bool | None:
    """
    Whether *rule* applies to *port* of a pod with these named ports; None where a port that cannot be read decides.

    Source: NetworkPolicyPort.
    """
    if rule.ports is None:
        return True
    is_readable = True
    for entry in rule.ports:
        if isinstance(entry, PortRange):  # the most frequent one first: a rule may list thousands
            if entry.first <= port <= entry.last and entry.protocol is protocol:
                return True
        elif isinstance(entry, Unreadable):
            is_readable = False
        elif _names(entry, container_ports, protocol, port):
            return True
    return False if is_readable else None


def _names(entry: NamedPort, container_ports: Iterable[ContainerPort], protocol: Protocol, port: int) -> bool:
    return entry.protocol is protocol and any(
        named.name == entry.name and named.protocol is protocol and named.number == port for named in container_ports
    )


def unresolved_names(
    ports: Iterable[NetworkPolicyPort] | None, container_ports: Iterable[ContainerPort]
) -> tuple[str, ...]:
    """Return the port names of a rule that no container of the pod has, for explanations."""
    known = {(named.name, named.protocol) for named in container_ports}
    return tuple(
        entry.name
        for entry in ports or ()
        if isinstance(entry, NamedPort) and (entry.name, entry.protocol) not in known
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """An IP address that belongs to no pod on the pod network."""

    family: int
    number: int


@dataclass(frozen=True, kw_only=True, slots=True)
class PodEndpoint:
    """A pod with the labels of its namespace."""

    pod: Pod
    namespace_labels: Mapping[str, str]


Endpoint = Address | PodEndpoint


def peer_matches(peer: NetworkPolicyPeer, endpoint: Endpoint, ipblock_matches_pods: IPBlockMatchesPods) -> bool | None:
    """Whether *peer* matches *endpoint*; None where that is not decided."""
    if isinstance(peer, PodPeer):
        return isinstance(endpoint, PodEndpoint) and _pod_peer_matches(peer, endpoint)
    if isinstance(peer, IPBlock):
        return _block_matches(peer, endpoint, ipblock_matches_pods)
    return None


def cluster_peer_matches(peer: ClusterPeer, endpoint: Endpoint) -> bool | None:
    """
    Whether a peer of a cluster-wide policy matches *endpoint*; None where that is not decided.

    Networks match the addresses of pods, too. Nodes match nothing on the pod network.

    Source: ClusterNetworkPolicyIngressPeer, ClusterNetworkPolicyEgressPeer.
    """
    if isinstance(peer, PodPeer):
        return isinstance(endpoint, PodEndpoint) and _pod_peer_matches(peer, endpoint)
    if isinstance(peer, IPBlock):
        return _block_matches(peer, endpoint, "yes")
    if isinstance(peer, NodePeer) and isinstance(endpoint, PodEndpoint):
        if not endpoint.pod.host_network:
            return False
        return True if peer.selector == EVERYTHING else None
    return None


def _pod_peer_matches(peer: PodPeer, endpoint: PodEndpoint) -> bool:
    if endpoint.pod.host_network or not matches(peer.pod_selector, endpoint.pod.labels):
        return False
    if peer.namespace is not None:
        return peer.namespace == endpoint.pod.namespace
    return matches(peer.namespace_selector, endpoint.namespace_labels)


def _block_matches(block: IPBlock, endpoint: Endpoint, ipblock_matches_pods: IPBlockMatchesPods) -> bool | None:
    if isinstance(endpoint, Address):
        return _contains(block, endpoint.family, endpoint.number)
    on_pod_network = not endpoint.pod.host_network
    if on_pod_network and ipblock_matches_pods == "no":
        return False
    inside = _contains_pod(block, endpoint.pod)
    if on_pod_network and ipblock_matches_pods == "unknown" and inside is True:
        return None
    return inside


def _contains_pod(block: IPBlock, pod: Pod) -> bool | None:
    if any(_contains(block, family, number) for family, number in pod.addresses):
        return True
    if not pod.addresses:
        return True if (block.cidr,) == WHOLE[block.family] and not block.except_ else None
    return False


def _contains(block: IPBlock, family: int, number: int) -> bool:
    if family != block.family or not block.cidr[0] <= number <= block.cidr[1]:
        return False
    return not any(first <= number <= last for first, last in block.except_)
