"""
Say whether a peer matches one endpoint: a pod, or an address that is no pod's.

Whether an ipBlock matches a *pod* by its address differs between network plugins (Calico: yes; Cilium: no), and the
API leaves it open. So the answer has a third value, None: not decided, unless the caller knows its plugin.
A pod on its node's network is an address like any other: selectors never match it, ipBlocks do.

Source: NetworkPolicyPeer and IPBlock (networking.k8s.io/v1).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from webhook.netpol.intervals import WHOLE, Interval
from webhook.netpol.model import IPBlock, NetworkPolicyPeer, Pod, PodPeer
from webhook.netpol.selectors import matches
from webhook.netpol.universe import IPBlockMatchesPods


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
    """Say whether *peer* matches *endpoint*; None where that is not decided."""
    if isinstance(peer, PodPeer):
        return isinstance(endpoint, PodEndpoint) and pod_peer_matches(peer, endpoint)
    if isinstance(peer, IPBlock):
        return _block_matches(peer, endpoint, ipblock_matches_pods)
    return None


def pod_peer_matches(peer: PodPeer, endpoint: PodEndpoint) -> bool:
    """Say whether a peer of selectors matches a pod."""
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
    whole: Interval = WHOLE[block.family][0]
    if not pod.addresses:
        return True if block.cidr == whole and not block.except_ else None
    return False


def _contains(block: IPBlock, family: int, number: int) -> bool:
    if family != block.family or not block.cidr[0] <= number <= block.cidr[1]:
        return False
    return not any(first <= number <= last for first, last in block.except_)
