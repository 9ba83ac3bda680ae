"""
Turn a NetworkPolicy as the API writes it into the model, and settle every None-versus-empty question once.

| written | means |
|---|---|
| `podSelector` missing, null or `{}` on the policy | every pod of its namespace |
| peer with podSelector and no namespaceSelector | those pods of the policy's own namespace |
| peer with `namespaceSelector: {}` and no podSelector | every pod of every namespace |
| peer with both | pods that match, in namespaces that match |
| `from`, `to`, `ports` missing, null or empty | anyone; every port of every protocol |
| `ingress` missing, null or empty where Ingress applies | nobody |
| a rule `{}` | everyone, on every port |
| `policyTypes` missing or empty | Ingress; Egress too where there is at least one egress rule |
| a port entry without `port` | every port of that one protocol |
| `protocol` missing | TCP |
| a peer `{}`, or ipBlock together with a selector | a fault: the API server refuses it too |
| a CIDR with host bits | the network that it lies in |

Source: networking.k8s.io/v1 types.go, defaults.go and the validation of the API server.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from webhook.netpol.faults import Fault, SpecError
from webhook.netpol.intervals import Interval, network
from webhook.netpol.model import (
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
from webhook.netpol.owners import read_owners
from webhook.netpol.parse_selector import read_selector
from webhook.netpol.reading import Faults, describe, integer, items, mapping, shorten, string
from webhook.netpol.selectors import EVERYTHING

LAST_PORT = 65535
# Looked up in the API's own words: to go through an enumeration takes as long as to read the rest of a port.
_PROTOCOLS: Mapping[object, Protocol] = {member.value: member for member in Protocol}
_POLICY_TYPES = {member.value: member for member in PolicyType}
# Fields that are not written are null.
_NO_SPEC = dict.fromkeys(("podSelector", "policyTypes", "ingress", "egress"))
_NO_PEER = dict.fromkeys(("ipBlock", "podSelector", "namespaceSelector"))
_NO_BLOCK = dict.fromkeys(("cidr", "except"))
_NO_PORT = dict.fromkeys(("protocol", "port", "endPort"))
_PORT_NAME = re.compile(r"(?=.*[a-z])(?!.*--)[a-z0-9](?:[-a-z0-9]{0,13}[a-z0-9])?")  # RFC 6335 5.1


def parse_policy(api_object: Mapping[str, Any]) -> NetworkPolicy:
    """
    Read one NetworkPolicy strictly.

    Raises:
        SpecError: with every fault and its path.
    """
    policy, faults = read_policy(api_object)
    if faults:
        raise SpecError(faults)
    return policy


def read_policy(api_object: Mapping[str, Any], namespace: str | None = None) -> tuple[NetworkPolicy, tuple[Fault, ...]]:
    """
    Read one NetworkPolicy as far as it can be read, and give its faults.

    What cannot be read is `Unreadable` in the model: the API server keeps what older versions of it once accepted.

    Args:
        api_object: the policy as the API writes it.
        namespace: where it lives, if that is known from elsewhere, as it is in an AdmissionRequest.
    """
    faults = Faults()
    metadata = mapping(api_object.get("metadata"), "metadata", faults)
    namespace = namespace or string(metadata.get("namespace"), "metadata.namespace", faults) or "default"
    spec = {**_NO_SPEC, **mapping({"spec": None, **api_object}["spec"], "spec", faults)}
    selector = read_selector(spec["podSelector"], "spec.podSelector", faults)
    policy_types = _policy_types(spec, faults)
    readable = not _is_misread(faults.found)
    ingress = _rules(spec["ingress"], "spec.ingress", "from", namespace, faults)
    egress = _rules(spec["egress"], "spec.egress", "to", namespace, faults)
    if not readable:  # it may select anything, or restrict either direction; what it admits counts for nobody
        selector, policy_types = EVERYTHING, frozenset(PolicyType)
        ingress = egress = (PolicyRule(peers=(Unreadable(field="spec"),)),)
    policy = NetworkPolicy(
        namespace=namespace,
        name=string(metadata.get("name"), "metadata.name", faults),
        uid=string(metadata.get("uid"), "metadata.uid", faults),
        resource_version=string(metadata.get("resourceVersion"), "metadata.resourceVersion", faults),
        pod_selector=selector,
        policy_types=policy_types,
        ingress=ingress,
        egress=egress,
        terminating=metadata.get("deletionTimestamp") is not None,
        faulty=bool(faults.found),
        owners=read_owners(metadata, faults),
    )
    return policy, tuple(faults.found)


def _is_misread(faults: Iterable[Fault]) -> bool:
    """Say whether more is wrong than one value's form: then what was read may be wider than what is written."""
    return any(fault.reason not in {"Invalid", "TooMany"} for fault in faults)


def _policy_types(spec: Mapping[str, Any], faults: Faults) -> frozenset[PolicyType]:
    entries = items(spec["policyTypes"], "spec.policyTypes", faults)
    written: frozenset[PolicyType] = frozenset()
    for path, item in entries:
        match item:
            case str() if item in _POLICY_TYPES:
                written |= {_POLICY_TYPES[item]}
            case _:
                string(item, path, faults)
                faults.add(path, f"must be Ingress or Egress, not {describe(item)}", "NotSupported")
    if len(entries) > len(_POLICY_TYPES):
        faults.add("spec.policyTypes", f"must have at most {len(_POLICY_TYPES)} items, not {len(entries)}", "TooMany")
    if entries:
        return written
    has_egress = isinstance(spec["egress"], (list, tuple)) and len(spec["egress"]) > 0
    return frozenset(PolicyType) if has_egress else frozenset({PolicyType.INGRESS})


def _rules(value: object, path: str, peers_field: str, namespace: str, faults: Faults) -> tuple[PolicyRule, ...]:
    match value:
        case None | list() | tuple():
            found = items(value, path, faults)
            return tuple(_rule(item, rule_path, peers_field, namespace, faults) for rule_path, item in found)
        case _:
            faults.mistyped(path, value, "a list")
            return (PolicyRule(peers=(Unreadable(field=path),)),)


def _rule(value: object, path: str, peers_field: str, namespace: str, faults: Faults) -> PolicyRule:
    match value:
        case None | Mapping():
            rule = {peers_field: None, "ports": None, **mapping(value, path, faults)}
        case _:
            faults.mistyped(path, value, "an object")
            return PolicyRule(peers=(Unreadable(field=path),))
    peers = _peers(rule[peers_field], f"{path}.{peers_field}", namespace, faults)
    ports = _ports(rule["ports"], f"{path}.ports", faults)
    # An empty list is everyone, and every port; what is no list at all ends here with an error.
    return PolicyRule(peers=None if peers == () else (*peers,), ports=None if ports == () else (*ports,))


def _peers(value: object, path: str, namespace: str, faults: Faults) -> tuple[NetworkPolicyPeer, ...]:
    match value:
        case None | list() | tuple():
            return tuple(_peer(item, item_path, namespace, faults) for item_path, item in items(value, path, faults))
        case _:
            faults.mistyped(path, value, "a list")
            return (Unreadable(field=path),)


def _peer(  # noqa: PLR0911  one return for each form of a peer
    value: object, path: str, namespace: str, faults: Faults
) -> NetworkPolicyPeer:
    before = len(faults.found)
    peer = {**_NO_PEER, **mapping(value, path, faults)}
    block, pods, namespaces = peer["ipBlock"], peer["podSelector"], peer["namespaceSelector"]
    if len(faults.found) > before:
        return Unreadable(field=path)
    if block is not None and pods is None and namespaces is None:
        return _ip_block(block, f"{path}.ipBlock", faults)
    if block is not None:
        faults.add(path, "may not have a selector beside ipBlock", "Forbidden")
        return Unreadable(field=path)
    if pods is None and namespaces is None:
        faults.add(path, "must name a peer: ipBlock, podSelector or namespaceSelector", "Required")
        return Unreadable(field=path)
    pod_selector = read_selector(pods, f"{path}.podSelector", faults)
    namespace_selector = read_selector(namespaces, f"{path}.namespaceSelector", faults)
    if _is_misread(faults.found[before:]):
        return Unreadable(field=path)
    if namespaces is None:
        return PodPeer(namespace=namespace, pod_selector=pod_selector)
    return PodPeer(namespace_selector=namespace_selector, pod_selector=pod_selector)


def _ip_block(value: object, path: str, faults: Faults) -> IPBlock | Unreadable:
    match value:
        case Mapping():
            block = {**_NO_BLOCK, **value}
        case _:
            faults.mistyped(path, value, "an object")
            return Unreadable(field=path)
    outer = _cidr(block["cidr"], f"{path}.cidr", faults)
    before = len(faults.found)
    inner = [
        _except(item, item_path, path, outer, faults)
        for item_path, item in items(block["except"], f"{path}.except", faults)
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
    """Read one exception; what older API servers stored may reach beyond its block."""
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
    match value:
        case None | list() | tuple():
            return tuple(_port(item, item_path, faults) for item_path, item in items(value, path, faults))
        case _:
            faults.mistyped(path, value, "a list")
            return (Unreadable(field=path),)


def _port(value: object, path: str, faults: Faults) -> NetworkPolicyPort:
    before = len(faults.found)
    entry = mapping(value, path, faults)
    entry = {**_NO_PORT, **entry}
    protocol = _PROTOCOLS[_protocol(entry["protocol"], f"{path}.protocol", faults)]
    port, end = entry["port"], integer(entry["endPort"], f"{path}.endPort", faults)
    if isinstance(port, str):
        if not _PORT_NAME.fullmatch(port):
            faults.add(f"{path}.port", f"{describe(port)} is not a port name (RFC 6335: 1-15 of a-z, 0-9, -)")
        if end is not None:
            faults.add(f"{path}.endPort", "may not be set where port is a name", "Forbidden")
        return NamedPort(protocol=protocol, name=port) if len(faults.found) == before else Unreadable(field=path)
    number = port if type(port) is int else integer(port, f"{path}.port", faults)
    if number is None and end is not None:
        faults.add(f"{path}.endPort", "may not be set where port is not", "Forbidden")
    _check_range(number, end, path, faults)
    if len(faults.found) > before:
        return Unreadable(field=path)
    if port is None:
        return PortRange(protocol=protocol, first=1, last=LAST_PORT)
    return PortRange(protocol=protocol, first=port, last=port if end is None else end)


def _check_range(number: int | None, end: int | None, path: str, faults: Faults) -> None:
    if number is not None and not 1 <= number <= LAST_PORT:
        faults.add(f"{path}.port", f"must be between 1 and {LAST_PORT}, not {describe(number)}")
    if end is not None and number is not None and not number <= end <= LAST_PORT:
        faults.add(f"{path}.endPort", f"must be between port and {LAST_PORT}, not {describe(end)}")


def _protocol(value: object, path: str, faults: Faults) -> Protocol:
    match value:
        case None:
            return Protocol.TCP
        case str() if value in _PROTOCOLS:
            return _PROTOCOLS[value]
        case _:
            faults.add(path, f"must be TCP, UDP or SCTP, not {describe(value)}", "NotSupported")
            return Protocol.TCP
