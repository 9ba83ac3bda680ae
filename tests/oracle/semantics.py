"""
What one NetworkPolicy says, on plain API dictionaries, one small function for each sentence of the specification.

Every function that another evaluator is known to have got wrong is a field of :class:`Semantics`, so that a wrong
copy of the witness is the sound one with a single field replaced. Nothing here may import the product.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address, ip_network
from typing import Any

Labels = Mapping[str, str]
Object = Mapping[str, Any]

NAME_LABEL = "kubernetes.io/metadata.name"
SECTIONS = {"Ingress": ("ingress", "from"), "Egress": ("egress", "to")}


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One pod that might connect: the namespace it lives in, that namespace's labels, and its own."""

    namespace: str
    namespace_labels: Labels
    labels: Labels


@dataclass(frozen=True, slots=True)
class Address:
    """An address as its family (4 or 6) and its number."""

    family: int
    number: int


def read_address(text: str) -> Address:
    """Read an address as text."""
    parsed = ip_address(text)
    return Address(parsed.version, int(parsed))


@cache
def read_cidr(text: str) -> tuple[int, int, int]:
    """
    Read a CIDR as family, first number and last number; host bits are masked.

    Source: IPBlock.cidr (networking.k8s.io/v1), which accepts 10.1.2.3/8.
    """
    parsed = ip_network(text, strict=False)
    return parsed.version, int(parsed.network_address), int(parsed.broadcast_address)


def within(text: str, address: Address) -> bool:
    """Say whether the address lies in the CIDR."""
    family, first, last = read_cidr(text)
    return family == address.family and first <= address.number <= last


def expression_holds(expression: Object, labels: Labels) -> bool:
    """
    Say whether one matchExpressions entry holds; NotIn holds where the key is missing.

    Source: LabelSelectorRequirement (meta/v1).
    """
    key, operator = expression["key"], expression["operator"]
    values = expression.get("values") or []
    if operator == "Exists":
        return key in labels
    if operator == "DoesNotExist":
        return key not in labels
    if operator == "In":
        return key in labels and labels[key] in values
    return key not in labels or labels[key] not in values


def expressions_of(selector: Object, _place: str) -> Sequence[Object]:
    """Give the matchExpressions; the place is "policy", "pod" or "namespace", and makes no difference."""
    return selector.get("matchExpressions") or []


def selector_matches(selector: Object, labels: Labels, place: str, semantics: "Semantics") -> bool:
    """
    Say whether a selector that is present matches: all of matchLabels and all of matchExpressions.

    Source: LabelSelector (meta/v1); an empty one matches everything.
    """
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    return all(semantics.expression_holds(entry, labels) for entry in semantics.expressions_of(selector, place))


def policy_selector(policy: Object) -> Object:
    """Give the pods' selector; missing and null select every pod of the namespace."""
    return policy["spec"].get("podSelector") or {}


def types_of(policy: Object) -> Iterable[str]:
    """
    Give the directions a policy counts for.

    Source: NetworkPolicySpec.policyTypes and its defaulting: Ingress always, Egress where there is an egress rule.
    """
    spec = policy["spec"]
    return spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])


def selects(policy: Object, direction: str, labels: Labels, semantics: "Semantics") -> bool:
    """Say whether a policy isolates pods with these labels, in its own namespace, for this direction."""
    if direction not in semantics.types_of(policy):
        return False
    return semantics.selector_matches(semantics.policy_selector(policy), labels, "policy", semantics)


def peers_of(rule: Object, key: str) -> Sequence[Object] | None:
    """Give the peers of a rule, or None for everybody: missing, null and empty all mean that."""
    return rule.get(key) or None


def peer_selects_pod(peer: Object, policy_namespace: str, source: Source, semantics: "Semantics") -> bool:
    """
    Say whether a peer's selectors match a pod.

    Source: NetworkPolicyPeer: without namespaceSelector the policy's own namespace, both selectors are an AND.
    """
    if peer.get("ipBlock") is not None:
        return False
    of_namespace, of_pod = peer.get("namespaceSelector"), peer.get("podSelector")
    if of_namespace is None:
        if source.namespace != policy_namespace:
            return False
    elif not semantics.selector_matches(of_namespace, source.namespace_labels, "namespace", semantics):
        return False
    return of_pod is None or semantics.selector_matches(of_pod, source.labels, "pod", semantics)


def peer_selects_address(peer: Object, address: Address) -> bool:
    """
    Say whether a peer matches an address: only an ipBlock can, outside its exceptions.

    Source: IPBlock (networking.k8s.io/v1).
    """
    block = peer.get("ipBlock")
    if block is None or not within(block["cidr"], address):
        return False
    return not any(within(entry, address) for entry in block.get("except") or [])


def containers_of(pod_spec: Object) -> list[Object]:
    """Give the containers whose ports count: the ordinary ones and the sidecars among the init containers."""
    sidecars = [c for c in pod_spec.get("initContainers") or [] if c.get("restartPolicy") == "Always"]
    return [*(pod_spec.get("containers") or []), *sidecars]


def named_ports(name: str, protocol: str, containers: Iterable[Object]) -> set[int]:
    """Give the numbers a port name stands for on a pod: by name and protocol, over all containers."""
    return {
        entry["containerPort"]
        for container in containers
        for entry in container.get("ports") or []
        if entry.get("name") == name and (entry.get("protocol") or "TCP") == protocol
    }


def port_entries(rule: Object, _containers: Sequence[Object]) -> Sequence[Object]:
    """Give the entries of a rule's ports; none of them means every port of every protocol."""
    return rule.get("ports") or []


def port_covers(entry: Object, protocol: str, port: int, containers: Sequence[Object], semantics: "Semantics") -> bool:
    """
    Say whether one ports entry covers the port.

    Source: NetworkPolicyPort: TCP by default, no port means all of that protocol, endPort is inclusive.
    """
    if (entry.get("protocol") or "TCP") != protocol:
        return False
    first = entry.get("port")
    if first is None:
        return True
    if isinstance(first, str):
        return port in semantics.named_ports(first, protocol, containers)
    last = entry.get("endPort")
    return first <= port <= (first if last is None else last)


def rule_covers_port(
    rule: Object, protocol: str, port: int, containers: Sequence[Object], semantics: "Semantics"
) -> bool:
    """Say whether a rule speaks about the port at all."""
    entries = semantics.port_entries(rule, containers)
    return not entries or any(semantics.port_covers(e, protocol, port, containers, semantics) for e in entries)


def is_terminating(item: Object) -> bool:
    """Say whether an object is being deleted."""
    return item["metadata"].get("deletionTimestamp") is not None


def may_be_subject(pod: Object) -> bool:
    """Say whether policies apply to a pod: it runs, and on the pod network."""
    finished = (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}
    return not finished and not pod["spec"].get("hostNetwork")


def is_own_node(other_pod: Object | None, other_addresses: Sequence[str], pod: Object) -> bool:
    """Say whether the other end is the node that the pod runs on, which is always allowed, both ways."""
    if other_pod is None:
        return (pod.get("status") or {}).get("hostIP") in other_addresses
    node = pod["spec"].get("nodeName")
    return bool(other_pod["spec"].get("hostNetwork")) and node is not None and node == other_pod["spec"].get("nodeName")


def corners(first: int, last: int) -> tuple[int, ...]:
    """Give the numbers where crossing a range's edge can change an answer."""
    return first - 1, first, last, last + 1


def unchanged(value: Any) -> Any:
    """Give the value as it is."""
    return value


@dataclass(frozen=True, kw_only=True, slots=True)
class Semantics:
    """The meaning in use: the sound one by default, one field replaced in each wrong copy."""

    load: Callable[[Any], Any] = unchanged
    expression_holds: Callable[..., bool] = expression_holds
    expressions_of: Callable[..., Sequence[Object]] = expressions_of
    selector_matches: Callable[..., bool] = selector_matches
    policy_selector: Callable[[Object], Object] = policy_selector
    types_of: Callable[[Object], Iterable[str]] = types_of
    peers_of: Callable[[Object, str], Sequence[Object] | None] = peers_of
    peer_selects_pod: Callable[..., bool] = peer_selects_pod
    peer_selects_address: Callable[[Object, Address], bool] = peer_selects_address
    named_ports: Callable[..., set[int]] = named_ports
    port_entries: Callable[..., Sequence[Object]] = port_entries
    port_covers: Callable[..., bool] = port_covers
    may_be_subject: Callable[[Object], bool] = may_be_subject
    distinct_pods: Callable[[Sequence[Object]], Sequence[Object]] = unchanged
    admits_still: Callable[[Object], bool] = lambda policy: not is_terminating(policy)
    is_own_node: Callable[..., bool] = is_own_node
    corners: Callable[[int, int], tuple[int, ...]] = corners
    block_reading: Callable[[str], str] = unchanged


SOUND = Semantics()
