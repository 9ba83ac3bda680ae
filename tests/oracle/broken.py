"""
Wrong copies of the witness: each has one function replaced by a mistake that a published evaluator has made.

A generator under which a wrong copy agrees with the sound one would not test the sentence that it gets wrong.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import is_dataclass, replace
from typing import Any

from oracle.semantics import (
    NAME_LABEL,
    SOUND,
    Address,
    Object,
    Semantics,
    Source,
    expression_holds,
    may_be_subject,
    named_ports,
    peer_selects_address,
    peer_selects_pod,
    port_covers,
    selector_matches,
    types_of,
)

PROTOCOLS = ("TCP", "UDP", "SCTP")
TRUTHS = {"yes": "True", "on": "True", "true": "True", "no": "False", "off": "False", "false": "False"}


def own_node_never(*_: Any) -> bool:
    """Never allow connections of the pod's own node, as an inverted error check would."""
    return False


def named_ports_of_any_protocol(name: str, _protocol: str, containers: Iterable[Object]) -> set[int]:
    """Resolve a port name without its protocol."""
    known = list(containers)
    return {number for protocol in PROTOCOLS for number in named_ports(name, protocol, known)}


def resolves(entry: Object, containers: Sequence[Object]) -> bool:
    """Whether an entry is a number, or a name that the pod has."""
    port = entry.get("port")
    return not isinstance(port, str) or bool(named_ports(port, entry.get("protocol") or "TCP", containers))


def unknown_names_dropped(rule: Object, containers: Sequence[Object]) -> list[Object]:
    """Drop entries whose name no container has; if none is left, every port is open."""
    return [entry for entry in rule.get("ports") or [] if resolves(entry, containers)]


def unknown_names_raise(rule: Object, containers: Sequence[Object]) -> Sequence[Object]:
    """Refuse to answer where a port name is not known."""
    entries = rule.get("ports") or []
    if not all(resolves(entry, containers) for entry in entries):
        raise LookupError("a named port has no match")
    return entries


def one_pod_per_owner(pods: Sequence[Object]) -> list[Object]:
    """Look at one pod of each owner, whatever the others' labels are."""
    kept: dict[object, Object] = {}
    for pod in pods:
        owners = pod["metadata"].get("ownerReferences")
        kept.setdefault(owners[0]["uid"] if owners else pod["metadata"]["name"], pod)
    return list(kept.values())


def one_address_per_block(first: int, _last: int) -> tuple[int, ...]:
    """Treat each mentioned range as indivisible, as if no two overlapped."""
    return (first,)


def two_ports_at_most(rule: Object, _containers: Sequence[Object]) -> Sequence[Object]:
    """Ignore entries of a port list after the first two."""
    return (rule.get("ports") or [])[:2]


def types_must_be_written(policy: Object) -> Iterable[str]:
    """Fail where the policyTypes were not defaulted."""
    types = policy["spec"].get("policyTypes")
    if not types:
        raise LookupError("no policy types")
    return types


def not_in_as_any_negation(expression: Object, labels: dict[str, str]) -> bool:
    """Expand NotIn [a, b] to "not a, or not b"."""
    if expression["operator"] != "NotIn":
        return expression_holds(expression, labels)
    return any(labels.get(expression["key"]) != value for value in expression["values"])


def not_in_selects_addresses(peer: Object, address: Address) -> bool:
    """Let a namespace selector with NotIn match what is in no namespace."""
    entries = (peer.get("namespaceSelector") or {}).get("matchExpressions") or []
    return peer_selects_address(peer, address) or any(entry["operator"] == "NotIn" for entry in entries)


def not_in_as_in(expression: Object, labels: dict[str, str]) -> bool:
    """Read NotIn as In."""
    swapped = {**expression, "operator": "In"} if expression["operator"] == "NotIn" else expression
    return expression_holds(swapped, labels)


def not_in_needs_the_key(expression: Object, labels: dict[str, str]) -> bool:
    """Let NotIn fail where the key is missing."""
    return expression_holds(expression, labels) and (expression["operator"] != "NotIn" or expression["key"] in labels)


def in_takes_one_value(expression: Object, labels: dict[str, str]) -> bool:
    """Look at the first value of In alone."""
    if expression["operator"] != "In":
        return expression_holds(expression, labels)
    return expression_holds({**expression, "values": expression["values"][:1]}, labels)


def no_expressions(_selector: Object, _place: str) -> Sequence[Object]:
    """Ignore matchExpressions."""
    return ()


def no_expressions_for(ignored: str) -> Callable[[Object, str], Sequence[Object]]:
    """Ignore matchExpressions in one place."""
    return lambda selector, place: () if place == ignored else selector.get("matchExpressions") or ()


def and_in_own_namespace(peer: Object, namespace: str, source: Source, semantics: Semantics) -> bool:
    """Look for the pods of a peer with both selectors in the policy's own namespace."""
    both = peer.get("podSelector") is not None and peer.get("namespaceSelector") is not None
    return peer_selects_pod(peer, namespace, source, semantics) and not (both and source.namespace != namespace)


def and_as_or(peer: Object, namespace: str, source: Source, semantics: Semantics) -> bool:
    """Treat the two selectors of one peer as two peers."""
    halves = [{key: peer[key]} for key in ("podSelector", "namespaceSelector") if peer.get(key) is not None]
    return any(peer_selects_pod(half, namespace, source, semantics) for half in halves)


def no_name_label(peer: Object, namespace: str, source: Source, semantics: Semantics) -> bool:
    """Overlook the label that every namespace has."""
    others = {key: value for key, value in source.namespace_labels.items() if key != NAME_LABEL}
    return peer_selects_pod(peer, namespace, replace(source, namespace_labels=others), semantics)


def empty_selects_nothing(selector: Object, labels: dict[str, str], place: str, semantics: Semantics) -> bool:
    """Let an empty selector match nothing."""
    filled = selector.get("matchLabels") or selector.get("matchExpressions")
    return bool(filled) and selector_matches(selector, labels, place, semantics)


def first_container_with_the_name(name: str, protocol: str, containers: Iterable[Object]) -> set[int]:
    """Stop at the first container that has the port name."""
    return next((found for c in containers if (found := named_ports(name, protocol, [c]))), set())


def host_pods_are_subjects(pod: Object) -> bool:
    """Treat host-network pods as subjects."""
    return may_be_subject({**pod, "spec": {**pod["spec"], "hostNetwork": False}})


def finished_pods_are_subjects(pod: Object) -> bool:
    """Treat finished pods as subjects."""
    return not pod["spec"].get("hostNetwork")


def selector_must_be_written(policy: Object) -> Object:
    """Fail where the podSelector is missing or null."""
    if policy["spec"].get("podSelector") is None:
        raise LookupError("no pod selector")
    selector: Object = policy["spec"]["podSelector"]
    return selector


def types_must_name_sections(policy: Object) -> Iterable[str]:
    """Fail where a section is present that the policyTypes leave out."""
    types = types_of(policy)
    if policy["spec"].get("ingress") and "Ingress" not in types:
        raise LookupError("an ingress section without its type")
    return types


def sections_are_types(policy: Object) -> list[str]:
    """Let an ingress section count though the policyTypes leave it out."""
    return [*types_of(policy), *(["Ingress"] if policy["spec"].get("ingress") else [])]


def egress_key_is_a_type(policy: Object) -> Iterable[str]:
    """Treat a present and empty egress section as a policy type."""
    spec = policy["spec"]
    return spec.get("policyTypes") or ["Ingress", *(["Egress"] if "egress" in spec else [])]


def empty_from_denies(rule: Object, key: str) -> Sequence[Object] | None:
    """Treat an empty list of peers as no peer."""
    peers: Sequence[Object] | None = rule.get(key)
    return peers


def end_port_ignored(*arguments: Any) -> bool:
    """Look at the first port of a range alone."""
    entry, *rest = arguments
    return port_covers({**entry, "endPort": None}, *rest)


def any_protocol(*arguments: Any) -> bool:
    """Treat a missing protocol as every protocol."""
    entry, protocol, *rest = arguments
    return port_covers({**entry, "protocol": entry.get("protocol") or protocol}, protocol, *rest)


def exceptions_ignored(peer: Object, address: Address) -> bool:
    """Forget the exceptions of an ipBlock."""
    block = peer.get("ipBlock")
    return block is not None and peer_selects_address({"ipBlock": {"cidr": block["cidr"]}}, address)


def as_yaml_reads(value: Any) -> Any:
    """Read label values as YAML 1.1 does, where unquoted "on" and "yes" are one and the same."""
    if isinstance(value, str):
        return TRUTHS.get(value, value)
    if isinstance(value, dict):
        return {key: as_yaml_reads(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_yaml_reads(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, object=as_yaml_reads(value.object), old_object=as_yaml_reads(value.old_object))  # type: ignore[call-arg]
    return value


def wrong(**field: Any) -> Semantics:
    """Replace one field of the sound meaning."""
    return replace(SOUND, **field)


# What published evaluators got wrong, one entry or more for each row of the regression list.
PUBLISHED = {
    "own node is not let in (netpol-analyzer isPeerNodeIP)": wrong(is_own_node=own_node_never),
    "named port without protocol (netpol-analyzer 405)": wrong(named_ports=named_ports_of_any_protocol),
    "unmatched named entry dropped (netpol-analyzer 412)": wrong(port_entries=unknown_names_dropped),
    "unmatched named port raises (netpol-analyzer 199)": wrong(port_entries=unknown_names_raise),
    "one pod stands for its owner (netpol-analyzer)": wrong(distinct_pods=one_pod_per_owner),
    "ranges taken for disjoint (network-config-analyzer 205)": wrong(corners=one_address_per_block),
    "long port lists cut (cyclonus 132)": wrong(port_entries=two_ports_at_most),
    "undefaulted policyTypes panic (cyclonus BuildTarget)": wrong(types_of=types_must_be_written),
    "NotIn of two values as OR (Azure NPM 4866)": wrong(expression_holds=not_in_as_any_negation),
    "NotIn selects the world (cilium 46996)": wrong(peer_selects_address=not_in_selects_addresses),
    "NotIn as In (linkerd2 9433)": wrong(expression_holds=not_in_as_in),
    "matchExpressions ignored (kube-router 614)": wrong(expressions_of=no_expressions),
    "In takes one value (kubectl-np-viewer 9)": wrong(expression_holds=in_takes_one_value),
    "both selectors in own namespace (popeye 116)": wrong(peer_selects_pod=and_in_own_namespace),
    "empty selector is nothing (popeye 259)": wrong(selector_matches=empty_selects_nothing),
    "podSelector without expressions (checkov 7668)": wrong(expressions_of=no_expressions_for("policy")),
    "port name on one container only (cilium 30003)": wrong(named_ports=first_container_with_the_name),
    "ipBlock always matches pods (calico 6634)": wrong(block_reading=lambda _: "yes"),
    "ipBlock never matches pods (cilium 9209)": wrong(block_reading=lambda _: "no"),
    "host-network pods are subjects (kube-network-policies 389)": wrong(may_be_subject=host_pods_are_subjects),
    "missing podSelector refused (network-config-analyzer)": wrong(policy_selector=selector_must_be_written),
    "policyTypes must name sections (network-config-analyzer)": wrong(types_of=types_must_name_sections),
    "labels read as YAML 1.1 booleans": wrong(load=as_yaml_reads),
}

# Other traps of the specification that the generator has to meet as well.
TRAPS = {
    "NotIn needs the key": wrong(expression_holds=not_in_needs_the_key),
    "pod peer without expressions": wrong(expressions_of=no_expressions_for("pod")),
    "namespace peer without expressions": wrong(expressions_of=no_expressions_for("namespace")),
    "both selectors as two peers": wrong(peer_selects_pod=and_as_or),
    "namespaces without their name label": wrong(peer_selects_pod=no_name_label),
    "finished pods are subjects": wrong(may_be_subject=finished_pods_are_subjects),
    "a section is a type": wrong(types_of=sections_are_types),
    "an empty from denies": wrong(peers_of=empty_from_denies),
    "endPort ignored": wrong(port_covers=end_port_ignored),
    "no protocol is every protocol": wrong(port_covers=any_protocol),
    "exceptions ignored": wrong(peer_selects_address=exceptions_ignored),
    "terminating policies still admit": wrong(admits_still=lambda _: True),
}

# What only a connection can show: it has a source's node, egress, and protocols other than TCP.
ONLY_IN_CONNECTIONS = {
    "own node is not let in (netpol-analyzer isPeerNodeIP)",
    "no protocol is every protocol",
}
