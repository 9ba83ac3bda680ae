"""
Parse the rules of Calico's policies: their selectors, their ends and their ports.

The table of what is written and what it means is in parse_calico.py.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from webhook.netpol.calico.calico_model import (
    ANY_ENTITY,
    NAMESPACE_LABEL,
    NAMESPACE_PREFIX,
    CalicoRule,
    Entity,
    Networks,
    networks_of,
)
from webhook.netpol.calico.calico_selectors import (
    EVERYTHING,
    GLOBAL_KEY,
    LONGEST_SELECTOR,
    Constant,
    Every,
    Expression,
    Has,
    Not,
    OneOf,
    SelectorError,
    Some,
    parse_selector,
    with_keys,
)
from webhook.netpol.cluster_policies import RuleAction
from webhook.netpol.intervals import network, subtract, union
from webhook.netpol.model import (
    FIRST_PORT,
    LAST_PORT,
    NamedPort,
    NetworkPolicyPort,
    PolicyType,
    PortRange,
    Protocol,
    Unreadable,
)
from webhook.netpol.names import is_dns_label
from webhook.netpol.reading import Faults, describe, items, mapping, shorten, string

_ACTIONS: Final[Mapping[object, RuleAction | None]] = {
    "Allow": RuleAction.ACCEPT,
    "Deny": RuleAction.DENY,
    "Pass": RuleAction.PASS,
    "Log": None,
}
_PROTOCOLS: Final = {"tcp": Protocol.TCP, "udp": Protocol.UDP, "sctp": Protocol.SCTP}
_NUMBERS: Final = {6: Protocol.TCP, 17: Protocol.UDP, 132: Protocol.SCTP}
_OTHER_PROTOCOLS: Final = frozenset({"icmp", "icmpv6", "udplite"})
_LAST_PROTOCOL: Final = 255
_RULE_FIELDS: Final = frozenset(
    {
        "action", "metadata", "ipVersion", "protocol", "notProtocol", "icmp", "notICMP", "http", "source",
        "destination",
    }
)  # fmt: skip
_ENTITY_FIELDS: Final = frozenset(
    {"nets", "notNets", "selector", "notSelector", "namespaceSelector", "ports", "notPorts"}
)
IN_A_NAMESPACE: Final = Has(NAMESPACE_LABEL)
SelectorReader = Callable[[object, str, Faults], Expression | None]
_DIGITS: Final = len(str(LAST_PORT))


def nets_of(value: object, path: str, faults: Faults) -> tuple[Networks, bool]:
    """Return addresses, and whether all of them could be read; an address stands for a network of one."""
    found, is_readable = [], not (value is not None and not isinstance(value, (list, tuple)))
    for item_path, item in items(value, path, faults):
        try:
            text = item if isinstance(item, str) and "/" in item else f"{item}/{128 if ':' in str(item) else 32}"
            found.append(network(text))
        except ValueError:
            faults.add(item_path, f"{describe(item)} is not a CIDR")
            is_readable = False
    return networks_of(found), is_readable


def selector_of(value: object, path: str, faults: Faults) -> Expression | None:
    """Return the expression of a selector; None where it cannot be read."""
    before = len(faults.found)
    text = string(value, path, faults)
    if len(faults.found) > before:
        return None
    if len(text) > LONGEST_SELECTOR:
        faults.add(path, f"must have at most {LONGEST_SELECTOR} characters, not {len(text)}", "TooLong")
    try:
        return with_keys(parse_selector(text[: 8 * LONGEST_SELECTOR]), _plain_key)
    except SelectorError as error:
        faults.add(path, f"is not a selector: {shorten(str(error))}")
        return None


def _plain_key(key: str) -> Expression | str:
    return Not(IN_A_NAMESPACE) if key == GLOBAL_KEY else key


def namespace_selector_of(value: object, path: str, faults: Faults) -> Expression | None:
    """Return a selector of namespaces, over the labels that endpoints have of them."""
    before = len(faults.found)
    text = string(value, path, faults)
    if len(faults.found) > before:
        return None
    try:
        return _of_namespaces(parse_selector(text))
    except SelectorError as error:
        faults.add(path, f"is not a selector: {shorten(str(error))}")
        return None


def _of_namespaces(expression: Expression) -> Expression:
    """Return an expression over labels of namespaces: `all()` is whatever is in one."""
    match expression:
        case Constant():
            return IN_A_NAMESPACE
        case Not(part):
            return Not(_of_namespaces(part))
        case Every(parts):
            return Every(tuple(map(_of_namespaces, parts)))
        case Some(parts):
            return Some(tuple(map(_of_namespaces, parts)))
        case _:
            return with_keys(expression, _namespace_key)


def _namespace_key(key: str) -> Expression | str:
    return Not(IN_A_NAMESPACE) if key == GLOBAL_KEY else f"{NAMESPACE_PREFIX}{key}"


def unknown_fields(value: Mapping[str, Any], known: Iterable[str], path: str) -> tuple[str, ...]:
    """Return a clause for each field that is set and not known."""
    return tuple(
        f"the field {shorten(str(name))} is not evaluated ({path})"
        for name in sorted(map(str, value.keys() - set(known)))
        if value[name] not in (None, "", [], {})
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class CalicoRules:
    """The reader of the rules of one policy."""

    namespace: str
    faults: Faults

    def read(self, value: object, path: str, policy_type: PolicyType) -> tuple[CalicoRule, ...]:
        """Return the rules of one direction that decide something."""
        if value is not None and not isinstance(value, (list, tuple)):
            self.faults.mistyped(path, value, "a list")
            return self._any_action(0, path)
        return tuple(
            rule
            for index, (rule_path, item) in enumerate(items(value, path, self.faults))
            for rule in self._rule(item, index, rule_path, policy_type)
        )

    def _any_action(self, index: int, path: str) -> tuple[CalicoRule, ...]:
        """Return rules that may do anything."""
        doubts = (f"it cannot be read ({path})",)
        return tuple(CalicoRule(index=index, action=action, doubts=doubts) for action in RuleAction)

    def _rule(self, value: object, index: int, path: str, policy_type: PolicyType) -> tuple[CalicoRule, ...]:
        before = len(self.faults.found)
        rule = mapping(value, path, self.faults)
        action = rule.get("action")
        if len(self.faults.found) > before or not isinstance(action, str) or action not in _ACTIONS:
            if len(self.faults.found) == before:
                problem = f"must be {', '.join(map(str, _ACTIONS))}, not {describe(action)}"
                self.faults.add(f"{path}.action", problem, "Required" if action is None else "NotSupported")
            return self._any_action(index, path)
        does = _ACTIONS[action]
        if does is None:
            return ()
        source = mapping(rule.get("source"), f"{path}.source", self.faults)
        destination = mapping(rule.get("destination"), f"{path}.destination", self.faults)
        doubts = [*unknown_fields(rule, _RULE_FIELDS, path)]
        doubts += [
            f"{field} is not evaluated ({path})" for field in ("http", "icmp", "notICMP") if rule.get(field) is not None
        ]
        if source.get("ports") or source.get("notPorts"):
            doubts.append(f"the ports of the client are not known ({path}.source)")
        ends = self._entity(source, f"{path}.source"), self._entity(destination, f"{path}.destination")
        own, other = ends if policy_type is PolicyType.EGRESS else reversed(ends)
        family = rule.get("ipVersion")
        if family not in {None, 4, 6}:
            self.faults.add(f"{path}.ipVersion", f"must be 4 or 6, not {describe(family)}", "NotSupported")
            doubts.append(f"its ipVersion cannot be read ({path})")
            family = None
        ports = self._ports(rule, destination, path)
        if len(self.faults.found) > before and not any(isinstance(port, Unreadable) for port in ports or ()):
            doubts.append(f"it has parts that cannot be read ({path})")
        return (
            CalicoRule(
                index=index, action=does, own=own, other=other, ports=ports, family=family, doubts=tuple(doubts)
            ),
        )

    def _entity(self, value: Mapping[str, Any], path: str) -> Entity:
        """Return one end; the ports are read elsewhere."""
        doubts = list(unknown_fields(value, _ENTITY_FIELDS, path))
        parts: list[Expression] = []
        is_selecting = any(value.get(field) for field in ("selector", "notSelector", "namespaceSelector"))
        if value.get("namespaceSelector"):
            parts.append(self._or_doubt(namespace_selector_of, value, path, "namespaceSelector", doubts))
        elif self.namespace and is_selecting:
            parts.append(OneOf(NAMESPACE_LABEL, frozenset({self.namespace})))
        if value.get("selector"):
            parts.append(self._or_doubt(selector_of, value, path, "selector", doubts))
        negative = None
        if value.get("notSelector"):
            negative = self._or_doubt(selector_of, value, path, "notSelector", doubts)
        nets = self._nets(value, path, "nets", doubts)
        not_nets = self._nets(value, path, "notNets", doubts)
        if not parts and negative is None and nets is None and not_nets is None and not doubts:
            return ANY_ENTITY
        return Entity(
            selector=Every(tuple(parts)) if parts else None,
            not_selector=negative,
            nets=nets,
            not_nets=not_nets,
            doubts=tuple(doubts),
        )

    def _or_doubt(
        self, read: SelectorReader, value: Mapping[str, Any], path: str, field: str, doubts: list[str]
    ) -> Expression:
        found: Expression | None = read(value[field], f"{path}.{field}", self.faults)
        if found is None:
            doubts.append(f"its selector cannot be read ({path}.{field})")
            return EVERYTHING
        return found

    def _nets(self, value: Mapping[str, Any], path: str, field: str, doubts: list[str]) -> Networks | None:
        if value.get(field) in (None, []):
            return None
        nets, is_readable = nets_of(value[field], f"{path}.{field}", self.faults)
        if not is_readable:
            doubts.append(f"its addresses cannot be read ({path}.{field})")
            return None
        return nets

    def _ports(
        self, rule: Mapping[str, Any], destination: Mapping[str, Any], path: str
    ) -> tuple[NetworkPolicyPort, ...] | None:
        """Return the ports that a rule covers; None for every port of every protocol."""
        protocols = self._protocols(rule, path)
        listed = self._numbers(destination.get("ports"), f"{path}.destination.ports")
        barred = self._numbers(destination.get("notPorts"), f"{path}.destination.notPorts")
        if listed is None and barred is None and protocols == tuple(Protocol):
            return None
        is_listed = listed is not None
        numbers, names, unreadable = listed or ([(FIRST_PORT, LAST_PORT)], [], [])
        not_numbers, not_names, also_unreadable = barred or ([], [], [])
        left = subtract(union(numbers), union(not_numbers))
        found: list[NetworkPolicyPort] = []
        for protocol in protocols:
            if not_names or also_unreadable:
                if left or names:
                    found.append(Unreadable(field=f"{path}.destination.notPorts"))
                continue
            found += [PortRange(protocol=protocol, first=first, last=last) for first, last in left]
            if names and not_numbers:
                found.append(Unreadable(field=f"{path}.destination.notPorts"))
            elif is_listed:
                found += [NamedPort(protocol=protocol, name=name) for name in names]
        return (*found, *(unreadable if protocols else ()))

    def _protocols(self, rule: Mapping[str, Any], path: str) -> tuple[Protocol, ...]:
        """Return the protocols that a rule covers, of those that are asked about."""
        wanted = self._protocol(rule.get("protocol"), f"{path}.protocol", tuple(Protocol))
        barred = self._protocol(rule.get("notProtocol"), f"{path}.notProtocol", ())
        return tuple(protocol for protocol in wanted if protocol not in barred)

    def _protocol(self, value: object, path: str, missing: tuple[Protocol, ...]) -> tuple[Protocol, ...]:
        if value is None:
            return missing
        text = str(value).lower()
        if text in _PROTOCOLS:
            return (_PROTOCOLS[text],)
        if text in _OTHER_PROTOCOLS:
            return ()
        if text.isascii() and text.isdigit() and 0 < int(text[:4]) <= _LAST_PROTOCOL:
            known = _NUMBERS.get(int(text))
            return () if known is None else (known,)
        self.faults.add(path, f"{describe(value)} is not a protocol", "NotSupported")
        return missing

    def _numbers(
        self, value: object, path: str
    ) -> tuple[list[tuple[int, int]], list[str], list[NetworkPolicyPort]] | None:
        """Return ranges of ports, port names, and what cannot be read; None where no list is written."""
        if value is None or value in ([], ()):
            return None
        ranges: list[tuple[int, int]] = []
        names: list[str] = []
        unreadable: list[NetworkPolicyPort] = []
        if not isinstance(value, (list, tuple)):
            self.faults.mistyped(path, value, "a list")
            unreadable.append(Unreadable(field=path))
            return ranges, names, unreadable
        for item_path, item in items(value, path, self.faults):
            text = str(item) if isinstance(item, (int, str)) and not isinstance(item, bool) else ""
            first, _, last = text.partition(":")
            ends = [
                int(end) for end in (first, last or first) if end.isascii() and end.isdigit() and len(end) <= _DIGITS
            ]
            if len(ends) == 2 and ends[0] <= ends[1] <= LAST_PORT and ends[1] >= FIRST_PORT:  # noqa: PLR2004  both ends
                ranges.append((max(ends[0], FIRST_PORT), ends[1]))
            elif isinstance(item, str) and is_dns_label(item.lower()) and not item.isdigit():
                names.append(item)
            else:
                self.faults.add(item_path, f"{describe(item)} is not a port, a range first:last or a port name")
                unreadable.append(Unreadable(field=item_path))
        return ranges, names, unreadable
