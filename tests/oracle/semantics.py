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
    """Whether the address is in the CIDR."""
    family, first, last = read_cidr(text)
    return family == address.family and first <= address.number <= last


def expression_holds(expression: Object, labels: Labels) -> bool:
    """
    Whether one matchExpressions entry matches; NotIn matches if the key is missing.

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
    """Return the matchExpressions; the place is "policy", "pod" or "namespace", and makes no difference."""
    return selector.get("matchExpressions") or []


def selector_matches(selector: Object, labels: Labels, place: str, semantics: "Semantics") -> bool:
    """
    Whether a present selector matches: all of matchLabels and all of matchExpressions.

    Source: LabelSelector (meta/v1); an empty one matches everything.
    """
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    return all(semantics.expression_holds(entry, labels) for entry in semantics.expressions_of(selector, place))


def policy_selector(policy: Object) -> Object:
    """Return the selector of the pods; a missing or null one selects every pod of the namespace."""
    return policy["spec"].get("podSelector") or {}


def types_of(policy: Object) -> Iterable[str]:
    """
    Return the directions in which a policy isolates.

    Source: NetworkPolicySpec.policyTypes and its defaulting: Ingress always, Egress if there is an egress rule.
    """
    spec = policy["spec"]
    return spec.get("policyTypes") or (["Ingress", "Egress"] if spec.get("egress") else ["Ingress"])


def selects(policy: Object, direction: str, labels: Labels, semantics: "Semantics") -> bool:
    """Whether a policy isolates pods with these labels, in its own namespace, in this direction."""
    if direction not in semantics.types_of(policy):
        return False
    return semantics.selector_matches(semantics.policy_selector(policy), labels, "policy", semantics)


def peers_of(rule: Object, key: str) -> Sequence[Object] | None:
    """Return the peers of a rule; None for every source, which a missing, null or empty list means."""
    return rule.get(key) or None


def peer_selects_pod(peer: Object, policy_namespace: str, source: Source, semantics: "Semantics") -> bool:
    """
    Whether the selectors of a peer match a pod.

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
    Whether a peer matches an address: only an ipBlock can, outside its exceptions.

    Source: IPBlock (networking.k8s.io/v1).
    """
    block = peer.get("ipBlock")
    if block is None or not within(block["cidr"], address):
        return False
    return not any(within(entry, address) for entry in block.get("except") or [])


def containers_of(pod_spec: Object) -> list[Object]:
    """Return the containers whose ports count: the containers, and the init containers that are sidecars."""
    sidecars = [c for c in pod_spec.get("initContainers") or [] if c.get("restartPolicy") == "Always"]
    return [*(pod_spec.get("containers") or []), *sidecars]


def named_ports(name: str, protocol: str, containers: Iterable[Object]) -> set[int]:
    """Return the numbers of a port name on a pod: by name and protocol, over all containers."""
    return {
        entry["containerPort"]
        for container in containers
        for entry in container.get("ports") or []
        if entry.get("name") == name and (entry.get("protocol") or "TCP") == protocol
    }


def port_entries(rule: Object, _containers: Sequence[Object]) -> Sequence[Object]:
    """Return the entries of a rule's ports; no entry means every port of every protocol."""
    return rule.get("ports") or []


def port_covers(entry: Object, protocol: str, port: int, containers: Sequence[Object], semantics: "Semantics") -> bool:
    """
    Whether one ports entry covers the port.

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
    """Whether a rule covers the port."""
    entries = semantics.port_entries(rule, containers)
    return not entries or any(semantics.port_covers(e, protocol, port, containers, semantics) for e in entries)


def is_terminating(item: Object) -> bool:
    """Whether an object is being deleted."""
    return item["metadata"].get("deletionTimestamp") is not None


def may_be_subject(pod: Object) -> bool:
    """Whether policies apply to a pod: it runs, and it is on the pod network."""
    finished = (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}
    return not finished and not pod["spec"].get("hostNetwork")


def is_own_node(other_pod: Object | None, other_addresses: Sequence[str], pod: Object) -> bool:
    """Whether the other end is the node of the pod, with which connections are always allowed in both directions."""
    if other_pod is None:
        return (pod.get("status") or {}).get("hostIP") in other_addresses
    node = pod["spec"].get("nodeName")
    return bool(other_pod["spec"].get("hostNetwork")) and node is not None and node == other_pod["spec"].get("nodeName")


def corners(first: int, last: int) -> tuple[int, ...]:
    """Return the numbers at the edges of a range, where an answer can change."""
    return first - 1, first, last, last + 1


def unchanged(value: Any) -> Any:
    """Return the value unchanged."""
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
