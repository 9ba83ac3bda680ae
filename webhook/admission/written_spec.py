"""
The spec of a NetworkPolicy as a review has it: JSON text, which is decoded when it is needed.

A spec without faults is decoded into typed values in C, which takes a fifth of the time of reading it path by path
(webhook/netpol/parse.py). Whatever that reader reports, or reads in its own way, is left to it: a fault, a value of
another type, a null in a list. So a spec has one meaning, whichever way it is read, and a test compares both ways.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Generic, TypeVar

import msgspec

from webhook.netpol.intervals import network
from webhook.netpol.model import (
    FIRST_PORT,
    LAST_PORT,
    IPBlock,
    NamedPort,
    NetworkPolicyPeer,
    NetworkPolicyPort,
    PodPeer,
    PolicyRule,
    PolicyType,
    PortRange,
    Protocol,
)
from webhook.netpol.names import is_label_key, is_label_value
from webhook.netpol.parse import PORT_NAME, PolicySpec, default_types
from webhook.netpol.selectors import EVERYTHING, LabelSelector, LabelSelectorRequirement, Operator

Value = TypeVar("Value")


class worked_out_once(Generic[Value]):  # noqa: N801  used like the standard library's cached_property
    """
    A property that is worked out when it is first read, and kept in the object.

    The cached_property of Python 3.11 has one lock for all objects: while a thread reads a large policy, the event loop
    would wait to read a small one.
    """

    def __init__(self, work_out: Callable[[Any], Value]) -> None:
        self._work_out = work_out
        self.__doc__ = work_out.__doc__

    def __set_name__(self, _: type, name: str) -> None:
        """Note the name under which the value is kept, which hides this property from then on."""
        self._name = name

    def __get__(self, obj: Any, _: type | None = None) -> Value:
        """Return the value, and keep it."""
        value = obj.__dict__[self._name] = self._work_out(obj)
        return value


_WITH_VALUES: Final = frozenset({Operator.IN, Operator.NOT_IN})


class WireSelector(msgspec.Struct, rename="camel", gc=False):
    """metav1.LabelSelector; its expressions are decoded into what they become."""

    match_labels: dict[str, str] | None = None
    match_expressions: tuple[LabelSelectorRequirement, ...] | None = None


class WireIPBlock(msgspec.Struct, gc=False):
    """networking.k8s.io/v1 IPBlock."""

    cidr: str
    except_: tuple[str, ...] | None = msgspec.field(default=None, name="except")


class WirePeer(msgspec.Struct, rename="camel", gc=False):
    """networking.k8s.io/v1 NetworkPolicyPeer."""

    ip_block: WireIPBlock | None = None
    pod_selector: WireSelector | None = None
    namespace_selector: WireSelector | None = None


class WirePort(msgspec.Struct, rename="camel", gc=False):
    """networking.k8s.io/v1 NetworkPolicyPort."""

    protocol: Protocol | None = None
    port: int | str | None = None
    end_port: int | None = None


class WireIngressRule(msgspec.Struct, gc=False):
    """networking.k8s.io/v1 NetworkPolicyIngressRule."""

    peers: tuple[WirePeer, ...] | None = msgspec.field(default=None, name="from")
    ports: tuple[WirePort, ...] | None = None


class WireEgressRule(msgspec.Struct, gc=False):
    """networking.k8s.io/v1 NetworkPolicyEgressRule."""

    peers: tuple[WirePeer, ...] | None = msgspec.field(default=None, name="to")
    ports: tuple[WirePort, ...] | None = None


class WireSpec(msgspec.Struct, rename="camel", gc=False):
    """networking.k8s.io/v1 NetworkPolicySpec."""

    pod_selector: WireSelector | None = None
    policy_types: tuple[PolicyType, ...] | None = None
    ingress: tuple[WireIngressRule, ...] | None = None
    egress: tuple[WireEgressRule, ...] | None = None


_typed_decoder = msgspec.json.Decoder(WireSpec)
_tree_decoder = msgspec.json.Decoder(dict[str, Any])


NOT_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError)
"""What is raised by decoding a text that only looks like JSON."""


class _HasFaultError(Exception):
    """Raised when a spec must be read path by path."""


class WrittenSpec(Mapping[str, Any]):
    """
    The spec of one policy: the mapping that its text is decoded into when it is first needed.

    Args:
        text: a JSON object.

    Raises:
        NOT_JSON: when it is decoded, it is found not to be UTF-8, or to have a number that no float can be.
    """

    def __init__(self, text: bytes) -> None:
        self.text = text

    @worked_out_once
    def _tree(self) -> dict[str, Any]:
        return _tree_decoder.decode(self.text)

    @worked_out_once
    def _typed(self) -> WireSpec | None:
        try:
            return _typed_decoder.decode(self.text)
        except msgspec.ValidationError:
            return None

    def __getitem__(self, key: str) -> Any:
        """Return the value of one field."""
        return self._tree[key]

    def __iter__(self) -> Iterator[str]:
        """Yield the names of the fields."""
        return iter(self._tree)

    def __len__(self) -> int:
        """Return the number of fields."""
        return len(self._tree)

    def rules(self) -> int:
        """Return the number of rules of its longest list."""
        typed = self._typed
        if typed is not None:
            return max(len(typed.ingress or ()), len(typed.egress or ()))
        lists = [self.get(key) for key in ("ingress", "egress")]
        return max((len(rules) for rules in lists if isinstance(rules, list)), default=0)

    def meaning(self, namespace: str) -> PolicySpec | None:
        """
        Return what the spec means; None if it has a fault, or a value that only the reader of paths understands.

        Args:
            namespace: the namespace of the policy.
        """
        typed = self._typed
        if typed is None:
            return None
        try:
            return _meaning(typed, namespace)
        except _HasFaultError:
            return None


def _meaning(spec: WireSpec, namespace: str) -> PolicySpec:
    types = spec.policy_types
    if types is not None and len(types) > len(PolicyType):
        raise _HasFaultError
    return PolicySpec(
        pod_selector=_selector(spec.pod_selector),
        policy_types=frozenset(types) if types else default_types(has_egress=bool(spec.egress)),
        ingress=tuple([_rule(rule, namespace) for rule in spec.ingress or ()]),
        egress=tuple([_rule(rule, namespace) for rule in spec.egress or ()]),
    )


def _rule(rule: WireIngressRule | WireEgressRule, namespace: str) -> PolicyRule:
    peers = tuple([_peer(peer, namespace) for peer in rule.peers or ()])
    ports = tuple([_port(port) for port in rule.ports or ()])
    return PolicyRule(peers=peers or None, ports=ports or None)


def _peer(peer: WirePeer, namespace: str) -> NetworkPolicyPeer:
    block, pods, namespaces = peer.ip_block, peer.pod_selector, peer.namespace_selector
    if pods is None and namespaces is None:
        if block is None:
            raise _HasFaultError
        return _block(block)
    if block is not None:
        raise _HasFaultError
    if namespaces is None:
        return PodPeer(namespace=namespace, pod_selector=_selector(pods))
    return PodPeer(namespace_selector=_selector(namespaces), pod_selector=_selector(pods))


def _selector(selector: WireSelector | None) -> LabelSelector:
    if selector is None:
        return EVERYTHING
    requirements: list[LabelSelectorRequirement] = []
    for key, text in (selector.match_labels or {}).items():
        if not is_label_key(key) or not is_label_value(text):
            raise _HasFaultError
        requirements.append(LabelSelectorRequirement(key=key, operator=Operator.IN, values=frozenset((text,))))
    for requirement in selector.match_expressions or ():
        if not is_label_key(requirement.key) or bool(requirement.values) is not (requirement.operator in _WITH_VALUES):
            raise _HasFaultError
        for text in requirement.values:
            if not is_label_value(text):
                raise _HasFaultError
        requirements.append(requirement)
    return LabelSelector(requirements=tuple(requirements)) if requirements else EVERYTHING


def _block(block: WireIPBlock) -> IPBlock:
    try:
        family, (first, last) = network(block.cidr)
        inner = [network(text) for text in block.except_ or ()]
    except ValueError:
        raise _HasFaultError from None
    for inner_family, (lowest, highest) in inner:
        if inner_family != family or not (first <= lowest and highest <= last) or (lowest, highest) == (first, last):
            raise _HasFaultError
    return IPBlock(family=family, cidr=(first, last), except_=tuple([interval for _, interval in inner]))


def _port(port: WirePort) -> NetworkPolicyPort:
    protocol, number, end = port.protocol or Protocol.TCP, port.port, port.end_port
    if isinstance(number, str):
        if end is not None or number.isdigit() or not PORT_NAME.fullmatch(number):
            raise _HasFaultError
        return NamedPort(protocol=protocol, name=number)
    if number is None:
        if end is not None:
            raise _HasFaultError
        return PortRange(protocol=protocol, first=FIRST_PORT, last=LAST_PORT)
    if end is None:
        end = number
    if not FIRST_PORT <= number <= end <= LAST_PORT:
        raise _HasFaultError
    return PortRange(protocol=protocol, first=number, last=end)
