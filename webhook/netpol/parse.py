"""
Parse a NetworkPolicy as the API writes it, and settle every None-versus-empty question once.

| written | means |
|---|---|
| `podSelector` missing, null or `{}` on the policy | every pod of its namespace |
| peer with podSelector and no namespaceSelector | those pods of the policy's own namespace |
| peer with `namespaceSelector: {}` and no podSelector | every pod of every namespace |
| peer with both | pods that match, in namespaces that match |
| `from`, `to`, `ports` missing, null or empty | every peer; every port of every protocol |
| `ingress` missing, null or empty where Ingress applies | no source |
| a rule `{}` | every source, on every port |
| `policyTypes` missing or empty | Ingress; Egress too where there is at least one egress rule |
| a port entry without `port` | every port of that one protocol |
| `protocol` missing | TCP |
| a peer `{}`, or ipBlock together with a selector | a fault: the API server refuses it too |
| a CIDR with host bits | the network that it lies in |

Source: networking.k8s.io/v1 types.go, defaults.go and the validation of the API server.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from webhook.netpol.faults import Fault
from webhook.netpol.intervals import Interval, network
from webhook.netpol.model import (
    FIRST_PORT,
    LAST_PORT,
    PROTOCOLS,
    IPBlock,
    NamedPort,
    NetworkPolicy,
    NetworkPolicyPeer,
    NetworkPolicyPort,
    PodPeer,
    PolicyRule,
    PolicyType,
    PortRange,
    Protocol,
    Unreadable,
)
from webhook.netpol.parse_meta import read_annotation, read_owners, read_selector
from webhook.netpol.reading import Faults, describe, integer, is_object, items, mapping, shorten, string
from webhook.netpol.selectors import EVERYTHING, LabelSelector

_BOTH, _INGRESS = frozenset(PolicyType), frozenset({PolicyType.INGRESS})
BYPASS_ANNOTATION = "eem-guardrail.io/bypass"
"""The reason for which a user asks that a change of a policy is let through although it cuts off required ingress."""

LONGEST_REASON = 200
"""Characters of that reason that are kept: an annotation may have 256 KiB."""

_POLICY_TYPES: Mapping[object, PolicyType] = {member.value: member for member in PolicyType}
PORT_NAME = re.compile(r"(?=.*[a-z])(?!.*--)[a-z0-9](?:[-a-z0-9]{0,13}[a-z0-9])?")  # RFC 6335 5.1


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicySpec:
    """What the spec of a policy means."""

    pod_selector: LabelSelector
    policy_types: frozenset[PolicyType]
    ingress: tuple[PolicyRule, ...]
    egress: tuple[PolicyRule, ...]


def read_policy(
    api_object: Mapping[str, Any], namespace: str | None = None, spec: PolicySpec | None = None
) -> tuple[NetworkPolicy, tuple[Fault, ...]]:
    """
    Return one NetworkPolicy as far as it can be read, and its faults.

    What cannot be read is `Unreadable` in the model: the API server keeps what older versions of it once accepted.

    Args:
        api_object: the policy as the API writes it.
        namespace: its namespace, where that is known from elsewhere, as in an AdmissionRequest.
        spec: what its spec means, if that is known already; only a spec without faults may be.
    """
    faults = Faults()
    metadata = mapping(api_object.get("metadata"), "metadata", faults)
    namespace = namespace or string(metadata.get("namespace"), "metadata.namespace", faults) or "default"
    spec = spec or _read_spec(api_object.get("spec"), namespace, faults)
    policy = NetworkPolicy(
        namespace=namespace,
        name=string(metadata.get("name"), "metadata.name", faults),
        uid=string(metadata.get("uid"), "metadata.uid", faults),
        resource_version=string(metadata.get("resourceVersion"), "metadata.resourceVersion", faults),
        pod_selector=spec.pod_selector,
        policy_types=spec.policy_types,
        ingress=spec.ingress,
        egress=spec.egress,
        terminating=metadata.get("deletionTimestamp") is not None,
        owners=read_owners(metadata, faults),
        faulty=bool(faults.found),
        bypass=shorten(read_annotation(api_object, BYPASS_ANNOTATION), LONGEST_REASON),
    )
    return policy, tuple(faults.found)


def _read_spec(value: object, namespace: str, faults: Faults) -> PolicySpec:
    """Return what a spec means as far as it can be read: if it is misread, it may select and admit anything."""
    spec = mapping(value, "spec", faults)
    selector = read_selector(spec.get("podSelector"), "spec.podSelector", faults)
    policy_types = _policy_types(spec, faults)
    readable = not _is_misread(faults.found)
    ingress = _rules(spec.get("ingress"), "spec.ingress", "from", namespace, faults)
    egress = _rules(spec.get("egress"), "spec.egress", "to", namespace, faults)
    if not readable:
        selector, policy_types = EVERYTHING, frozenset(PolicyType)
        ingress = egress = (_unreadable_rule("spec"),)
    return PolicySpec(pod_selector=selector, policy_types=policy_types, ingress=ingress, egress=egress)


def _is_misread(faults: Iterable[Fault]) -> bool:
    """Whether more is wrong than the form of a value: then what was read may be wider than what is written."""
    return any(fault.reason not in {"Invalid", "TooMany"} for fault in faults)


def _policy_types(spec: Mapping[str, Any], faults: Faults) -> frozenset[PolicyType]:
    entries = items(spec.get("policyTypes"), "spec.policyTypes", faults)
    written: set[PolicyType] = set()
    for path, item in entries:
        if isinstance(item, str) and item in _POLICY_TYPES:
            written.add(_POLICY_TYPES[item])
        else:
            string(item, path, faults)
            faults.add(path, f"must be Ingress or Egress, not {describe(item)}", "NotSupported")
    if len(entries) > len(_POLICY_TYPES):
        faults.add("spec.policyTypes", f"must have at most {len(_POLICY_TYPES)} items, not {len(entries)}", "TooMany")
    if entries:
        return frozenset(written)
    egress = spec.get("egress")
    return default_types(has_egress=isinstance(egress, (list, tuple)) and len(egress) > 0)


def default_types(*, has_egress: bool) -> frozenset[PolicyType]:
    """Return what a policy without `policyTypes` restricts."""
    return _BOTH if has_egress else _INGRESS


def _rules(value: object, path: str, peers_field: str, namespace: str, faults: Faults) -> tuple[PolicyRule, ...]:
    if value is not None and not isinstance(value, (list, tuple)):
        faults.mistyped(path, value, "a list")
        return (_unreadable_rule(path),)
    found = items(value, path, faults)
    return tuple(_rule(item, rule_path, peers_field, namespace, faults) for rule_path, item in found)


def _rule(value: object, path: str, peers_field: str, namespace: str, faults: Faults) -> PolicyRule:
    if value is not None and not is_object(value):
        faults.mistyped(path, value, "an object")
        return _unreadable_rule(path)
    rule = mapping(value, path, faults)
    # An empty list of peers stands for every peer, and one of ports for every port.
    peers = _peers(rule.get(peers_field), f"{path}.{peers_field}", namespace, faults) or None
    ports = _ports(rule.get("ports"), f"{path}.ports", faults) or None
    return PolicyRule(peers=peers, ports=ports)


def _unreadable_rule(path: str) -> PolicyRule:
    return PolicyRule(peers=(Unreadable(field=path),), ports=None)


def _peers(value: object, path: str, namespace: str, faults: Faults) -> tuple[NetworkPolicyPeer, ...]:
    if value is not None and not isinstance(value, (list, tuple)):
        faults.mistyped(path, value, "a list")
        return (Unreadable(field=path),)
    return tuple(_peer(item, item_path, namespace, faults) for item_path, item in items(value, path, faults))


def _peer(value: object, path: str, namespace: str, faults: Faults) -> NetworkPolicyPeer:
    if value is not None and not is_object(value):
        faults.mistyped(path, value, "an object")
        return Unreadable(field=path)
    peer = mapping(value, path, faults)
    block, pods, namespaces = peer.get("ipBlock"), peer.get("podSelector"), peer.get("namespaceSelector")
    if pods is None and namespaces is None:
        if block is not None:
            return _ip_block(block, f"{path}.ipBlock", faults)
        faults.add(path, "must name a peer: ipBlock, podSelector or namespaceSelector", "Required")
        return Unreadable(field=path)
    if block is not None:
        faults.add(path, "may not have a selector beside ipBlock", "Forbidden")
        return Unreadable(field=path)
    return _pod_peer(pods, namespaces, path, namespace, faults)


def _pod_peer(pods: object, namespaces: object, path: str, namespace: str, faults: Faults) -> PodPeer | Unreadable:
    before = len(faults.found)
    pod_selector = read_selector(pods, f"{path}.podSelector", faults)
    namespace_selector = read_selector(namespaces, f"{path}.namespaceSelector", faults)
    if _is_misread(faults.found[before:]):
        return Unreadable(field=path)
    if namespaces is None:
        return PodPeer(namespace=namespace, pod_selector=pod_selector)
    return PodPeer(namespace_selector=namespace_selector, pod_selector=pod_selector)


def _ip_block(value: object, path: str, faults: Faults) -> IPBlock | Unreadable:
    if not is_object(value):
        faults.mistyped(path, value, "an object")
        return Unreadable(field=path)
    outer = _cidr(value.get("cidr"), f"{path}.cidr", faults)
    before = len(faults.found)
    inner = [
        _except(item, item_path, path, outer, faults)
        for item_path, item in items(value.get("except"), f"{path}.except", faults)
    ]
    if outer is None or None in inner or _is_misread(faults.found[before:]):
        return Unreadable(field=path)
    family, (first, last) = outer
    excluded = tuple(
        (max(first, lowest), min(last, highest))
        for known, (lowest, highest) in filter(None, inner)
        if known == family and lowest <= last and first <= highest
    )
    return IPBlock(family=family, cidr=(first, last), except_=excluded)


def _except(
    value: object, path: str, block_path: str, outer: tuple[int, Interval] | None, faults: Faults
) -> tuple[int, Interval] | None:
    """Return one exception; older API servers stored exceptions that reach beyond their block."""
    inner = _cidr(value, path, faults)
    if inner is not None and outer is not None:
        (family, (first, last)), (outer_family, (outer_first, outer_last)) = inner, outer
        inside = family == outer_family and outer_first <= first and last <= outer_last
        if not inside or (first, last) == (outer_first, outer_last):
            faults.add(path, f"{describe(value)} must lie within, and be smaller than, {block_path}.cidr")
    return inner


def _cidr(value: object, path: str, faults: Faults) -> tuple[int, Interval] | None:
    if value is None or value == "":
        faults.add(path, "must be a CIDR such as 192.0.2.0/24", "Required")
        return None
    text = string(value, path, faults)
    if not text:
        return None
    try:
        return network(text)
    except ValueError:
        faults.add(path, f"{shorten(repr(text))} is not a CIDR such as 192.0.2.0/24 or 2001:db8::/64")
        return None


def _ports(value: object, path: str, faults: Faults) -> tuple[NetworkPolicyPort, ...]:
    if value is not None and not isinstance(value, (list, tuple)):
        faults.mistyped(path, value, "a list")
        return (Unreadable(field=path),)
    return tuple(_port(item, item_path, faults) for item_path, item in items(value, path, faults))


def _port(value: object, path: str, faults: Faults) -> NetworkPolicyPort:
    before = len(faults.found)
    entry = mapping(value, path, faults)
    protocol = _protocol(entry.get("protocol"), f"{path}.protocol", faults)
    port, end = entry.get("port"), integer(entry.get("endPort"), f"{path}.endPort", faults)
    if isinstance(port, str):
        if port.isdigit():
            faults.add(f"{path}.port", f"{describe(port)} is a text, not a number: remove the quotes")
        elif not PORT_NAME.fullmatch(port):
            faults.add(f"{path}.port", f"{describe(port)} is not a port name (RFC 6335: 1-15 of a-z, 0-9, -)")
        if end is not None:
            faults.add(f"{path}.endPort", "may not be set where port is a name", "Forbidden")
        return NamedPort(protocol=protocol, name=port) if len(faults.found) == before else Unreadable(field=path)
    number = integer(port, f"{path}.port", faults)
    _check_range(number, end, path, faults)
    if len(faults.found) > before:
        return Unreadable(field=path)
    if number is None:
        return PortRange(protocol=protocol, first=FIRST_PORT, last=LAST_PORT)
    return PortRange(protocol=protocol, first=number, last=number if end is None else end)


def _check_range(number: int | None, end: int | None, path: str, faults: Faults) -> None:
    if number is None:
        if end is not None:
            faults.add(f"{path}.endPort", "may not be set where port is not", "Forbidden")
        return
    if not FIRST_PORT <= number <= LAST_PORT:
        faults.add(f"{path}.port", f"must be between {FIRST_PORT} and {LAST_PORT}, not {describe(number)}")
    if end is not None and not number <= end <= LAST_PORT:
        faults.add(f"{path}.endPort", f"must be between port and {LAST_PORT}, not {describe(end)}")


def _protocol(value: object, path: str, faults: Faults) -> Protocol:
    if value is None:
        return Protocol.TCP
    if isinstance(value, str) and value in PROTOCOLS:
        return PROTOCOLS[value]
    faults.add(path, f"must be TCP, UDP or SCTP, not {describe(value)}", "NotSupported")
    return Protocol.TCP
