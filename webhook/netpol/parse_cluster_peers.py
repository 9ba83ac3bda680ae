"""
Parse the peers and ports of a rule of a cluster-wide policy.

| written | means |
|---|---|
| subject or peer with `namespaces` | every pod of the namespaces that match; `{}` every pod |
| subject or peer with `pods` | pods that match, in namespaces that match; an empty selector matches all |
| peer without a known field, or with two | a fault; it may match everything or nothing |
| `networks` | the addresses of all of them, also those of pods |
| `nodes`, `domainNames` | addresses that only the plugin knows |
| `ports`, `protocols` missing | every port of every protocol |
| a port name | that name with any protocol |
| `protocol` missing | TCP |
| `tcp` without `destinationPort` | every TCP port; a fault, since the schema wants a port |

Source: the schemas of network-policy-api v0.1.7 (v1alpha1) and v0.3.0 (v1alpha2, v1beta1).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from webhook.netpol.cluster_policies import ClusterPeer, DomainPeer, NodePeer, RuleAction, Tier
from webhook.netpol.intervals import LAST, network
from webhook.netpol.model import (
    FIRST_PORT,
    LAST_PORT,
    PROTOCOLS,
    IPBlock,
    NamedPort,
    NetworkPolicyPort,
    PodPeer,
    PortRange,
    Protocol,
    Unreadable,
)
from webhook.netpol.parse_meta import read_selector
from webhook.netpol.reading import Faults, describe, integer, is_object, items, mapping, shorten, string

LONGEST_CIDR: Final = 43
MOST_TEXTS: Final = 25
"""Items of `networks` and of `domainNames`."""

_DOMAIN: Final = re.compile(
    r"(?:\*\.)?(?:[a-zA-Z0-9](?:[-a-zA-Z0-9_]*[a-zA-Z0-9])?\.)+[a-zA-Z0-9](?:[-a-zA-Z0-9_]*[a-zA-Z0-9])?\.?"
)
_PROTOCOL_FIELDS: Final = {"tcp": Protocol.TCP, "udp": Protocol.UDP, "sctp": Protocol.SCTP}


@dataclass(frozen=True, kw_only=True, slots=True)
class Schema:
    """
    What differs between the three kinds.

    Args:
        tier: the tier of the kind; None where the policy names it.
        has_priority: whether a policy has a priority.
        actions: by the words of the API.
        ports_field: the field of a rule that restricts it to ports.
        most: rules of a direction, peers of a rule, and ports of a rule.
        destinations: the fields that a peer of an egress rule may have beside `namespaces` and `pods`.
    """

    tier: Tier | None
    has_priority: bool = True
    actions: Mapping[object, RuleAction]
    ports_field: str
    most: int
    destinations: tuple[str, ...] = ("networks", "nodes", "domainNames")


def alternatives(words: Iterable[object]) -> str:
    """Return `one, two or three`."""
    listed = [str(word) for word in words]
    return f"{', '.join(listed[:-1])} or {listed[-1]}"


def only_field(value: Mapping[str, Any], path: str, known: tuple[str, ...], faults: Faults) -> str | None:
    """Return the one field that is set; None where it is not exactly one, or one that is not known."""
    written = [str(name) for name, content in value.items() if content is not None]
    if len(written) == 1 and written[0] in known:
        return written[0]
    problem = f"must have exactly one of {alternatives(known)}"
    if written:
        faults.add(path, f"{problem}, not {shorten(', '.join(sorted(written)))}")
    else:
        faults.add(path, problem, "Required")
    return None


def number_between(value: object, path: str, first: int, last: int, faults: Faults) -> int | None:
    """Return an integer within bounds; None where it is missing or another value."""
    number = integer(value, path, faults)
    if value is None:
        faults.add(path, f"must be a number between {first} and {last}", "Required")
    if number is None or first <= number <= last:
        return number
    faults.add(path, f"must be between {first} and {last}, not {describe(number)}")
    return None


def list_of(value: object, path: str, most: int, faults: Faults) -> list[tuple[str, Any]]:
    """Return a list that has at least one item, and at most so many."""
    found = items(value, path, faults)
    if len(found) > most:
        faults.add(path, f"must have at most {most} items, not {len(found)}", "TooMany")
    if value is None or value in ([], ()):
        faults.add(path, "must have at least one item", "Required")
    return found


def pods_of(name: str, value: object, path: str, schema: Schema, faults: Faults) -> PodPeer | None:
    """Return the pods that a field `namespaces` or `pods` selects; None where it cannot be read."""
    before = len(faults.found)
    if name == "namespaces":
        pods = PodPeer(namespace_selector=read_selector(value, path, faults))
    else:
        selectors = mapping(value, path, faults)
        needed = ("podSelector",) if schema.tier is None else ("namespaceSelector", "podSelector")
        for required in needed:
            if is_object(value) and selectors.get(required) is None:
                faults.add(f"{path}.{required}", "must be set; {} matches all", "Required")
        namespaces = read_selector(selectors.get("namespaceSelector"), f"{path}.namespaceSelector", faults)
        selected = read_selector(selectors.get("podSelector"), f"{path}.podSelector", faults)
        pods = PodPeer(namespace_selector=namespaces, pod_selector=selected)
    return pods if len(faults.found) == before else None


def peer_of(
    value: object, path: str, known: tuple[str, ...], schema: Schema, faults: Faults
) -> tuple[ClusterPeer, ...]:
    """
    Return one item of a list of peers; several networks are several peers.

    Args:
        known: the fields that a peer of this direction may have.
    """
    if not is_object(value):
        faults.mistyped(path, value, "an object")
        return (Unreadable(field=path),)
    name = only_field(value, path, known, faults)
    if name is None:
        return (Unreadable(field=path),)
    path, value = f"{path}.{name}", value[name]
    if name == "networks":
        return tuple(_network(item, item_path, schema, faults) for item_path, item in _texts(value, path, faults)) or (
            Unreadable(field=path),
        )
    before = len(faults.found)
    if name == "nodes":
        peer: ClusterPeer | None = NodePeer(field=path, selector=read_selector(value, path, faults))
    elif name == "domainNames":
        peer = DomainPeer(field=path, names=_domains(value, path, faults))
    else:
        peer = pods_of(name, value, path, schema, faults)
    return (Unreadable(field=path) if peer is None or len(faults.found) > before else peer,)


def _texts(value: object, path: str, faults: Faults) -> list[tuple[str, str]]:
    """Return a list of distinct texts."""
    found = [(at, string(item, at, faults)) for at, item in list_of(value, path, MOST_TEXTS, faults)]
    seen: set[str] = set()
    for item_path, text in found:
        if text in seen:
            faults.add(item_path, f"{describe(text)} is already in the list", "Duplicate")
        seen.add(text)
    return found


def _network(text: str, path: str, schema: Schema, faults: Faults) -> IPBlock | Unreadable:
    """Return one network; ClusterNetworkPolicy wants it without host bits. Source: the type CIDR, in CEL."""
    if len(text) > LONGEST_CIDR:
        faults.add(path, f"must have at most {LONGEST_CIDR} characters, not {len(text)}", "TooLong")
    try:
        family, (first, last) = network(text)
    except ValueError:
        faults.add(path, f"{shorten(repr(text))} is not a CIDR such as 192.0.2.0/24 or 2001:db8::/64")
        return Unreadable(field=path)
    whole, _ = text.split("/")
    if schema.tier is None and network(f"{whole}/{LAST[family].bit_length()}")[1][0] != first:
        faults.add(path, f"{describe(text)} must not have host bits")
    return IPBlock(family=family, cidr=(first, last))


def _domains(value: object, path: str, faults: Faults) -> tuple[str, ...]:
    names = _texts(value, path, faults)
    for item_path, text in names:
        if not _DOMAIN.fullmatch(text):
            faults.add(item_path, f"{describe(text)} is not a domain name such as *.example.com")
    return tuple(text for _, text in names)


def ports_of(value: object, path: str, schema: Schema, faults: Faults) -> tuple[NetworkPolicyPort, ...] | None:
    """Return the ports of a rule; None stands for every port of every protocol."""
    if value is None:
        return None
    read = _protocol if schema.tier is None else _port
    found = list_of(value, path, schema.most, faults)
    return tuple(port for item_path, item in found for port in read(item, item_path, faults)) or (
        Unreadable(field=path),
    )


def _port(value: object, path: str, faults: Faults) -> Iterable[NetworkPolicyPort]:
    """Return one item of `ports`. Source: AdminNetworkPolicyPort."""
    entry = mapping(value, path, faults)
    name = only_field(entry, path, ("portNumber", "portRange", "namedPort"), faults)
    if name is None:
        return (Unreadable(field=path),)
    path = f"{path}.{name}"
    if name == "namedPort":
        return _named(entry[name], path, faults)
    port = mapping(entry[name], path, faults)
    word = port.get("protocol")
    protocol = PROTOCOLS.get(word) if isinstance(word, str) else (Protocol.TCP if word is None else None)
    if protocol is None:
        faults.add(f"{path}.protocol", f"must be TCP, UDP or SCTP, not {describe(word)}", "NotSupported")
    if name == "portNumber":
        numbers = _number(port, "port", path, faults)
        return _range(protocol, numbers, numbers, path)
    return _range(protocol, _number(port, "start", path, faults), _number(port, "end", path, faults), path)


def _number(port: Mapping[str, Any], field: str, path: str, faults: Faults) -> int | None:
    return number_between(port.get(field), f"{path}.{field}", FIRST_PORT, LAST_PORT, faults)


def _range(
    protocol: Protocol | None, first: int | None, last: int | None, path: str
) -> tuple[PortRange | Unreadable, ...]:
    if protocol is None or first is None or last is None:
        return (Unreadable(field=path),)
    return (PortRange(protocol=protocol, first=first, last=last),)


def _named(value: object, path: str, faults: Faults) -> Iterator[NetworkPolicyPort]:
    """Yield a port name, with each protocol. Source: AdminNetworkPolicyPort.namedPort, which names none."""
    name = string(value, path, faults)
    if not name:
        yield Unreadable(field=path)
        return
    for protocol in Protocol:
        yield NamedPort(protocol=protocol, name=name)


def _protocol(value: object, path: str, faults: Faults) -> Iterable[NetworkPolicyPort]:
    """Return one item of `protocols`. Source: ClusterNetworkPolicyProtocol."""
    entry = mapping(value, path, faults)
    name = only_field(entry, path, (*_PROTOCOL_FIELDS, "destinationNamedPort"), faults)
    if name is None:
        return (Unreadable(field=path),)
    if name == "destinationNamedPort":
        return _named(entry[name], f"{path}.{name}", faults)
    protocol, path = _PROTOCOL_FIELDS[name], f"{path}.{name}"
    before = len(faults.found)
    field = only_field(mapping(entry[name], path, faults), path, ("destinationPort",), faults)
    if field is None:
        whole = len(faults.found) == before + 1 and faults.found[-1].reason == "Required"
        return _range(protocol, FIRST_PORT, LAST_PORT, path) if whole else (Unreadable(field=path),)
    path = f"{path}.{field}"
    port = mapping(entry[name][field], path, faults)
    field = only_field(port, path, ("number", "range"), faults)
    if field is None:
        return (Unreadable(field=path),)
    if field == "number":
        number = _number(port, field, path, faults)
        return _range(protocol, number, number, path)
    path = f"{path}.{field}"
    ends = mapping(port[field], path, faults)
    first, last = _number(ends, "start", path, faults), _number(ends, "end", path, faults)
    if first is not None and last is not None and first >= last:
        faults.add(f"{path}.end", f"must be greater than start, not {describe(last)}")
    return _range(protocol, first, last, path)
