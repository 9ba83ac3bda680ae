"""Every None-versus-empty question of a NetworkPolicy, every fault with its path, and nothing unreadable as a yes."""

import copy
from collections.abc import Iterator
from typing import Any

import builders as b
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from netpol.asking import faults_of, parse_policy, peer_of, policy_of, port_of, rule_of, selector_of, tolerated
from webhook.netpol import SpecError
from webhook.netpol.intervals import network
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
from webhook.netpol.parse import read_policy
from webhook.netpol.selectors import EVERYTHING

INGRESS = frozenset({PolicyType.INGRESS})
EGRESS = frozenset({PolicyType.EGRESS})
BOTH = frozenset(PolicyType)
ANYONE = PolicyRule(peers=None, ports=None)
WEB = selector_of(b.selector(app="web"))
ALL_PORTS = (1, 65535)


def rule_with(peer: NetworkPolicyPeer) -> PolicyRule:
    """Return a rule with one peer, for every port."""
    return PolicyRule(peers=(peer,), ports=None)


def spec(**fields: Any) -> dict[str, Any]:
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "p"}, "spec": fields}


def interval(cidr: str) -> tuple[int, int]:
    return network(cidr)[1]


# Section 1.1, field by field


@pytest.mark.parametrize(
    ("fields", "selector"),
    [
        pytest.param({}, EVERYTHING, id="missing: every pod of the namespace"),
        pytest.param({"podSelector": None}, EVERYTHING, id="null: every pod of the namespace"),
        pytest.param({"podSelector": {}}, EVERYTHING, id="empty: every pod of the namespace"),
        pytest.param({"podSelector": b.selector(app="web")}, WEB, id="a selector: the pods that it matches"),
    ],
)
def test_pod_selector(fields: b.Node, selector: object) -> None:
    """`podSelector` may be missing, null or empty, and then it selects every pod."""
    assert selector == parse_policy(spec(**fields)).pod_selector


@pytest.mark.parametrize(
    ("fields", "policy_types"),
    [
        pytest.param({}, INGRESS, id="missing: Ingress"),
        pytest.param({"policyTypes": None}, INGRESS, id="null: Ingress"),
        pytest.param({"policyTypes": []}, INGRESS, id="empty: as if missing"),
        pytest.param({"egress": [{}]}, BOTH, id="missing, with an egress rule: both"),
        pytest.param({"policyTypes": [], "egress": [{}]}, BOTH, id="empty, with an egress rule: both"),
        pytest.param({"egress": []}, INGRESS, id="missing, with an empty egress list: Ingress"),
        pytest.param({"egress": None}, INGRESS, id="missing, with null for egress: Ingress"),
        pytest.param({"policyTypes": ["Ingress"], "egress": [{}]}, INGRESS, id="Ingress alone, with an egress rule"),
        pytest.param({"policyTypes": ["Egress"], "ingress": [{}]}, EGRESS, id="Egress alone, with an ingress rule"),
        pytest.param({"policyTypes": ["Egress", "Ingress"]}, BOTH, id="both, in any order"),
    ],
)
def test_policy_types(fields: b.Node, policy_types: frozenset[PolicyType]) -> None:
    """`policyTypes` that are written are the only ones; else Ingress, and Egress where there is an egress rule."""
    assert policy_types == parse_policy(spec(**fields)).policy_types


@pytest.mark.parametrize(
    ("fields", "rules"),
    [
        pytest.param({}, (), id="missing: nobody"),
        pytest.param({"ingress": None}, (), id="null: nobody"),
        pytest.param({"ingress": []}, (), id="empty: nobody"),
        pytest.param({"ingress": [{}]}, (ANYONE,), id="one empty rule: everyone"),
        pytest.param({"ingress": [None]}, (ANYONE,), id="one null rule is an empty rule"),
        pytest.param({"ingress": [{"from": None, "ports": None}]}, (ANYONE,), id="null parts: everyone"),
        pytest.param({"ingress": [{"from": [], "ports": []}]}, (ANYONE,), id="empty parts: everyone"),
        pytest.param({"ingress": [{"to": [{"podSelector": {}}]}]}, (ANYONE,), id="`to` is no part of an ingress rule"),
        pytest.param({"policyTypes": ["Egress"], "ingress": [{}]}, (), id="inert where Ingress does not apply"),
    ],
)
def test_ingress_rules(fields: b.Node, rules: tuple[PolicyRule, ...]) -> None:
    """Without a rule no source is admitted; a rule without peers admits every source."""
    assert rules == parse_policy(spec(**fields)).rules(PolicyType.INGRESS)


@pytest.mark.parametrize(
    ("fields", "rules"),
    [
        pytest.param({"egress": [{}]}, (ANYONE,), id="an empty rule: everyone"),
        pytest.param({"policyTypes": ["Egress"]}, (), id="missing, where Egress applies: nobody"),
        pytest.param({"policyTypes": ["Ingress"], "egress": [{}]}, (), id="inert where Egress does not apply"),
        pytest.param(
            {"egress": [{"to": [{"podSelector": {}}]}]},
            (rule_with(PodPeer(namespace="default")),),
            id="peers stand in `to`",
        ),
        pytest.param(
            {"egress": [{"from": [{"podSelector": {}}]}]}, (ANYONE,), id="`from` is no part of an egress rule"
        ),
    ],
)
def test_egress_rules(fields: b.Node, rules: tuple[PolicyRule, ...]) -> None:
    """Egress rules are read like ingress rules, with `to` for `from`."""
    assert rules == parse_policy(spec(**fields)).rules(PolicyType.EGRESS)


@pytest.mark.parametrize(
    ("peer", "means"),
    [
        pytest.param({"podSelector": {}}, PodPeer(namespace="eem"), id="podSelector {}: all pods of the own namespace"),
        pytest.param(
            {"podSelector": {}, "namespaceSelector": None},
            PodPeer(namespace="eem"),
            id="a null namespaceSelector is a missing one",
        ),
        pytest.param(
            b.peer(pods=b.selector(app="web")),
            PodPeer(namespace="eem", pod_selector=WEB),
            id="podSelector alone: those pods of the own namespace",
        ),
        pytest.param({"namespaceSelector": {}}, PodPeer(), id="namespaceSelector {}: all pods of all namespaces"),
        pytest.param(
            {"namespaceSelector": {}, "podSelector": None}, PodPeer(), id="a null podSelector is a missing one"
        ),
        pytest.param(
            b.peer(namespaces=b.selector(app="web")),
            PodPeer(namespace_selector=WEB),
            id="namespaceSelector alone: all pods of those namespaces",
        ),
        pytest.param(
            b.peer(pods=b.selector(app="web"), namespaces=b.selector(app="web")),
            PodPeer(namespace_selector=WEB, pod_selector=WEB),
            id="both: those pods in those namespaces",
        ),
        pytest.param(b.block("10.0.0.0/8"), IPBlock(family=4, cidr=interval("10.0.0.0/8")), id="an ipBlock"),
        pytest.param(
            {"ipBlock": {"cidr": "10.0.0.0/8", "except": None}},
            IPBlock(family=4, cidr=interval("10.0.0.0/8")),
            id="an ipBlock with null for except",
        ),
        pytest.param(
            b.block("10.1.2.3/8"), IPBlock(family=4, cidr=interval("10.0.0.0/8")), id="host bits of a CIDR are masked"
        ),
        pytest.param(
            b.block("010.000.00.0/08"), IPBlock(family=4, cidr=interval("10.0.0.0/8")), id="leading zeros are decimal"
        ),
        pytest.param(b.block("::/0"), IPBlock(family=6, cidr=interval("::/0")), id="IPv6"),
        pytest.param(
            b.block("10.0.0.0/8", "10.0.0.0/9", "10.9.9.9/16"),
            IPBlock(family=4, cidr=interval("10.0.0.0/8"), except_=(interval("10.0.0.0/9"), interval("10.9.0.0/16"))),
            id="exceptions, masked too",
        ),
    ],
)
def test_peers(peer: b.Node, means: NetworkPolicyPeer) -> None:
    """A peer is an ipBlock alone, or selectors; without namespaceSelector it speaks of the policy's own namespace."""
    policy = policy_of(ingress=[b.from_(peer)])

    assert (rule_with(means),) == policy.ingress


def test_two_peers_are_two_peers() -> None:
    """Two list items are ORed, where one item with both selectors would be ANDed."""
    rule = rule_of(b.from_(b.peer(pods=b.selector(app="web")), b.peer(namespaces=b.selector(app="web"))))

    assert rule.peers == (PodPeer(namespace="eem", pod_selector=WEB), PodPeer(namespace_selector=WEB))


@pytest.mark.parametrize(
    ("entry", "means"),
    [
        pytest.param({}, PortRange(protocol=Protocol.TCP, first=1, last=65535), id="empty: every port, but TCP only"),
        pytest.param(None, PortRange(protocol=Protocol.TCP, first=1, last=65535), id="a null entry is an empty one"),
        pytest.param(
            {"protocol": "UDP"}, PortRange(protocol=Protocol.UDP, first=1, last=65535), id="a protocol: its every port"
        ),
        pytest.param(
            {"protocol": None, "port": 80, "endPort": None},
            PortRange(protocol=Protocol.TCP, first=80, last=80),
            id="null protocol and endPort: one TCP port",
        ),
        pytest.param(b.port(1), PortRange(protocol=Protocol.TCP, first=1, last=1), id="the first port"),
        pytest.param(b.port(65535), PortRange(protocol=Protocol.TCP, first=65535, last=65535), id="the last port"),
        pytest.param(
            b.port(80, end=80), PortRange(protocol=Protocol.TCP, first=80, last=80), id="endPort may equal port"
        ),
        pytest.param(
            b.port(80, "SCTP", end=65535),
            PortRange(protocol=Protocol.SCTP, first=80, last=65535),
            id="endPort ends an inclusive range",
        ),
        pytest.param(b.port("http"), NamedPort(protocol=Protocol.TCP, name="http"), id="a name"),
        pytest.param(b.port("9p"), NamedPort(protocol=Protocol.TCP, name="9p"), id="a name needs one letter"),
        pytest.param(
            b.port("a-b-c-d-e-f-g-h", "UDP"),
            NamedPort(protocol=Protocol.UDP, name="a-b-c-d-e-f-g-h"),
            id="a name of 15 characters",
        ),
    ],
)
def test_ports(entry: object, means: NetworkPolicyPort) -> None:
    """A port entry is a number, a range, a name, or every port of one protocol."""
    assert means == port_of(entry)
    assert faults_of(b.policy(ingress=[{"ports": [entry]}])) == []


def test_metadata() -> None:
    """What names a policy is kept."""
    policy = policy_of("allow", "eem", uid="u", resource_version="7", terminating=True)

    assert (policy.namespace, policy.name, policy.uid, policy.resource_version) == ("eem", "allow", "u", "7")
    assert policy.terminating
    assert not policy.faulty


def test_the_namespace_of_the_request_counts() -> None:
    """The namespace that is known from elsewhere is used for the policy and for its peers; else `default`."""
    api_object = b.policy(namespace=None, ingress=[b.from_(b.peer(pods={}))])
    requested, _ = read_policy(api_object, "shop")

    assert (requested.namespace, requested.ingress[0].peers) == ("shop", (PodPeer(namespace="shop"),))
    assert parse_policy(api_object).namespace == "default"


# Faults

FROM = "spec.ingress[0].from[0]"
PORTS = "spec.ingress[0].ports[0]"


@pytest.mark.parametrize(
    ("peer", "faults"),
    [
        pytest.param({}, [(FROM, "Required")], id="an empty peer"),
        pytest.param(None, [(FROM, "Required")], id="a null peer"),
        pytest.param("web", [(FROM, "TypeInvalid")], id="a peer that is a string"),
        pytest.param(
            {"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}}, [(FROM, "Forbidden")], id="ipBlock and podSelector"
        ),
        pytest.param(
            {"ipBlock": {"cidr": "10.0.0.0/8"}, "namespaceSelector": {}},
            [(FROM, "Forbidden")],
            id="ipBlock and namespaceSelector",
        ),
        pytest.param({"podSelector": []}, [(f"{FROM}.podSelector", "TypeInvalid")], id="a selector that is a list"),
        pytest.param(
            {"podSelector": {"matchLabels": []}, "namespaceSelector": "x"},
            [(f"{FROM}.podSelector.matchLabels", "TypeInvalid"), (f"{FROM}.namespaceSelector", "TypeInvalid")],
            id="both selectors mistyped",
        ),
        pytest.param(
            b.peer(pods=b.selector(b.expression("app", "NotIn"))),
            [(f"{FROM}.podSelector.matchExpressions[0].values", "Required")],
            id="NotIn without values",
        ),
        pytest.param({"ipBlock": "10.0.0.0/8"}, [(f"{FROM}.ipBlock", "TypeInvalid")], id="an ipBlock that is a string"),
        pytest.param({"ipBlock": {}}, [(f"{FROM}.ipBlock.cidr", "Required")], id="an ipBlock without cidr"),
        pytest.param(b.block(""), [(f"{FROM}.ipBlock.cidr", "Required")], id="an empty cidr"),
        pytest.param(
            {"ipBlock": {"cidr": 10}}, [(f"{FROM}.ipBlock.cidr", "TypeInvalid")], id="a cidr that is a number"
        ),
        *(
            pytest.param(b.block(cidr), [(f"{FROM}.ipBlock.cidr", "Invalid")], id=f"no CIDR: {cidr}")
            for cidr in (
                "10.0.0.0",
                "10.0.0.0/",
                "10.0.0.0/33",
                "10.0.0.0/-1",
                "10.0.0.0/255.0.0.0",
                "10.0.0/8",
                "256.0.0.0/8",
                "::/129",
                "fe80::1%eth0/64",
                "::ffff:10.0.0.0/104",
                "any",
                " 10.0.0.0/8",
            )
        ),
        pytest.param(
            {"ipBlock": {"cidr": "10.0.0.0/8", "except": "10.0.0.0/9"}},
            [(f"{FROM}.ipBlock.except", "TypeInvalid")],
            id="except is a string",
        ),
        pytest.param(
            {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.0.0.0/99", None, 7]}},
            [
                (f"{FROM}.ipBlock.except[0]", "Invalid"),
                (f"{FROM}.ipBlock.except[1]", "Required"),
                (f"{FROM}.ipBlock.except[2]", "TypeInvalid"),
            ],
            id="exceptions that are no CIDR, each with its index",
        ),
        pytest.param(
            b.block("10.0.0.0/8", "10.0.0.0/8"), [(f"{FROM}.ipBlock.except[0]", "Invalid")], id="except equals cidr"
        ),
        pytest.param(
            b.block("10.0.0.0/8", "10.0.0.0/7"), [(f"{FROM}.ipBlock.except[0]", "Invalid")], id="except holds cidr"
        ),
        pytest.param(
            b.block("10.0.0.0/8", "11.0.0.0/9"), [(f"{FROM}.ipBlock.except[0]", "Invalid")], id="except lies elsewhere"
        ),
        pytest.param(
            b.block("10.0.0.0/8", "::/9"), [(f"{FROM}.ipBlock.except[0]", "Invalid")], id="except of the other family"
        ),
        pytest.param(
            b.block("any", "10.0.0.0/9"), [(f"{FROM}.ipBlock.cidr", "Invalid")], id="an exception from no CIDR"
        ),
    ],
)
def test_faulty_peers(peer: object, faults: list[tuple[str, str]]) -> None:
    """Each fault of a peer is told with its path, and the policy is known to be faulty."""
    api_object = b.policy(ingress=[{"from": [peer]}])

    assert faults == faults_of(api_object)
    assert read_policy(api_object)[0].faulty


@pytest.mark.parametrize(
    ("entry", "faults"),
    [
        pytest.param("80", [(PORTS, "TypeInvalid")], id="an entry that is a string"),
        pytest.param(b.port(0), [(f"{PORTS}.port", "Invalid")], id="port zero"),
        pytest.param(b.port(65536), [(f"{PORTS}.port", "Invalid")], id="port 65536"),
        pytest.param(b.port(-1), [(f"{PORTS}.port", "Invalid")], id="a negative port"),
        pytest.param(b.port(10**5000), [(f"{PORTS}.port", "Invalid")], id="a port of 5,000 digits"),
        pytest.param({"port": 80.0}, [(f"{PORTS}.port", "TypeInvalid")], id="a port with a point"),
        pytest.param({"port": True}, [(f"{PORTS}.port", "TypeInvalid")], id="a port that is true"),
        pytest.param({"port": [80]}, [(f"{PORTS}.port", "TypeInvalid")], id="a port that is a list"),
        *(
            pytest.param(b.port(name), [(f"{PORTS}.port", "Invalid")], id=f"no port name: {name!r}")
            for name in ("", "80", "HTTP", "a--b", "-a", "a-", "a_b", "a-b-c-d-e-f-g-hi", "http\n")
        ),
        pytest.param(b.port("http", end=81), [(f"{PORTS}.endPort", "Forbidden")], id="endPort beside a name"),
        pytest.param({"endPort": 81}, [(f"{PORTS}.endPort", "Forbidden")], id="endPort without port"),
        pytest.param(b.port(80, end=79), [(f"{PORTS}.endPort", "Invalid")], id="endPort below port"),
        pytest.param(b.port(80, end=65536), [(f"{PORTS}.endPort", "Invalid")], id="endPort 65536"),
        pytest.param({"port": 80, "endPort": "90"}, [(f"{PORTS}.endPort", "TypeInvalid")], id="endPort is a string"),
        pytest.param(
            b.port(0, end=-1), [(f"{PORTS}.port", "Invalid"), (f"{PORTS}.endPort", "Invalid")], id="both out of range"
        ),
        *(
            pytest.param({"protocol": name}, [(f"{PORTS}.protocol", "NotSupported")], id=f"no protocol: {name!r}")
            for name in ("", "tcp", "ICMP", 6, ["TCP"])
        ),
    ],
)
def test_faulty_ports(entry: object, faults: list[tuple[str, str]]) -> None:
    """Each fault of a port entry is told with its path, and the entry is not read."""
    assert faults == faults_of(b.policy(ingress=[{"ports": [entry]}]))
    assert port_of(entry) == Unreadable(field=PORTS)


@pytest.mark.parametrize(
    ("api_object", "faults"),
    [
        pytest.param({"metadata": {"name": "p"}}, [], id="no spec is an empty one"),
        pytest.param({"metadata": [], "spec": {}}, [("metadata", "TypeInvalid")], id="metadata is a list"),
        pytest.param({"metadata": {"name": 1}}, [("metadata.name", "TypeInvalid")], id="the name is a number"),
        pytest.param({"metadata": {"namespace": 1}}, [("metadata.namespace", "TypeInvalid")], id="so is the namespace"),
        pytest.param({"spec": "deny"}, [("spec", "TypeInvalid")], id="spec is a string"),
        pytest.param(spec(policyTypes="Ingress"), [("spec.policyTypes", "TypeInvalid")], id="policyTypes is a string"),
        pytest.param(
            spec(policyTypes=["ingress"]), [("spec.policyTypes[0]", "NotSupported")], id="a type in lower case"
        ),
        pytest.param(
            spec(policyTypes=[1]),
            [("spec.policyTypes[0]", "TypeInvalid"), ("spec.policyTypes[0]", "NotSupported")],
            id="a type that is a number",
        ),
        pytest.param(spec(policyTypes=["Ingress"] * 3), [("spec.policyTypes", "TooMany")], id="three types"),
        pytest.param(spec(ingress={}), [("spec.ingress", "TypeInvalid")], id="ingress is an object"),
        pytest.param(spec(ingress=["all"]), [("spec.ingress[0]", "TypeInvalid")], id="a rule that is a string"),
        pytest.param(spec(ingress=[{"from": {}}]), [("spec.ingress[0].from", "TypeInvalid")], id="from is an object"),
        pytest.param(
            spec(ingress=[{"ports": {}}]), [("spec.ingress[0].ports", "TypeInvalid")], id="ports is an object"
        ),
        pytest.param(spec(egress=[{"to": 1}]), [("spec.egress[0].to", "TypeInvalid")], id="to is a number"),
        pytest.param(spec(egress="all"), [("spec.egress", "TypeInvalid")], id="egress is a string"),
        pytest.param(
            spec(
                podSelector={"matchLabels": 1},
                ingress=[{}, {"from": [{"podSelector": {}}, {}]}],
                egress=[{"ports": [{"port": 0}]}],
            ),
            [
                ("spec.podSelector.matchLabels", "TypeInvalid"),
                ("spec.ingress[1].from[1]", "Required"),
                ("spec.egress[0].ports[0].port", "Invalid"),
            ],
            id="all faults at once",
        ),
    ],
)
def test_faulty_policies(api_object: b.ApiObject, faults: list[tuple[str, str]]) -> None:
    """Each fault is told with its path."""
    assert faults == faults_of(api_object)


def test_a_quoted_port_number_is_called_a_text() -> None:
    """Row 26 of the inputs from the field: the port "8092" fits the characters of a name, but a name needs a letter."""
    _, faults = read_policy(b.policy(ingress=[b.from_(ports=[b.port("8092")])]))

    assert [str(fault).partition("port: ")[2] for fault in faults] == [
        "the string '8092' is a text, not a number: remove the quotes"
    ]


def test_strict_reading_tells_every_fault() -> None:
    """Reading strictly raises with all faults, and says for each what is wrong, where, and what was expected."""
    rules = [b.from_(b.block("10.0.0.0/33", "x/y"), ports=[b.port(70000)])]

    with pytest.raises(SpecError) as raised:
        parse_policy(b.policy(ingress=rules))

    assert [str(fault) for fault in raised.value.faults] == [
        "spec.ingress[0].from[0].ipBlock.cidr: '10.0.0.0/33' is not a CIDR such as 192.0.2.0/24 or 2001:db8::/64",
        "spec.ingress[0].from[0].ipBlock.except[0]: 'x/y' is not a CIDR such as 192.0.2.0/24 or 2001:db8::/64",
        "spec.ingress[0].ports[0].port: must be between 1 and 65535, not the number 70000",
    ]


# What is stored is never refused, and what cannot be read is never a yes


@pytest.mark.parametrize(
    "peer",
    [
        {},
        None,
        "web",
        {"podSelector": {"matchLabels": {"a": 1}}},
        {"podSelector": "x", "namespaceSelector": {}},
        b.peer(pods=b.selector(b.expression("app", "NotIn"))),
        b.peer(pods=b.selector(b.expression("app", "notin", "x"))),
        {"ipBlock": "10.0.0.0/8"},
        {"ipBlock": {"cidr": "10.0.0.0/8"}, "podSelector": {}},
        b.block("10.0.0.0/33"),
        b.block("10.0.0.0/8", "10.0.0.0/99"),
        {"ipBlock": {"cidr": "10.0.0.0/8", "except": "10.0.0.0/9"}},
        {"ipBlock": {"cidr": "10.0.0.0/8", "except": [None]}},
    ],
    ids=str,
)
def test_a_peer_that_cannot_be_read(peer: object) -> None:
    """A peer, of which a part cannot be read, may match anything or nothing."""
    assert isinstance(peer_of(peer), Unreadable)


@pytest.mark.parametrize(
    ("except_", "excluded"),
    [
        pytest.param("10.1.0.0/16", "10.1.0.0/16", id="all of the block"),
        pytest.param("10.0.0.0/8", "10.1.0.0/16", id="more than the block"),
        pytest.param("10.2.0.0/16", None, id="another range"),
        pytest.param("::/0", None, id="another family"),
    ],
)
def test_exceptions_that_older_api_servers_accepted(except_: str, excluded: str | None) -> None:
    """An exception that reaches beyond its block takes away what lies within the block."""
    expected = () if excluded is None else (interval(excluded),)
    block = peer_of(b.block("10.1.0.0/16", except_))

    assert isinstance(block, IPBlock)
    assert expected == block.except_


def test_a_label_value_that_older_api_servers_accepted() -> None:
    """A value that no label can have is a fault, but the selector still says what it says."""
    policy, faults = read_policy(b.policy(pod_selector=b.selector(app="a b"), ingress=[{}]))

    assert [fault.reason for fault in faults] == ["Invalid"]
    assert policy.pod_selector == selector_of(b.selector(app="a b"))
    assert policy.ingress == (ANYONE,)


@pytest.mark.parametrize(
    "fields",
    [
        {"pod_selector": "web", "ingress": [{}]},
        {"pod_selector": {"matchLabels": {"app": 1}}, "ingress": [{}]},
        {"pod_selector": {"matchExpressions": ["app"]}, "ingress": [{}]},
        {"pod_selector": {"matchExpressions": [{"key": "app", "operator": "Has"}]}, "ingress": [{}]},
        {"policy_types": ["Outgress"], "ingress": [{}]},
        {"policy_types": "Egress", "ingress": [{}]},
    ],
    ids=str,
)
def test_a_policy_whose_reach_cannot_be_read(fields: dict[str, Any]) -> None:
    """Such a policy may isolate any pod in both directions, and what it admits is not known."""
    policy = tolerated(**fields)

    assert (policy.pod_selector, policy.policy_types) == (EVERYTHING, BOTH)
    for policy_type in PolicyType:
        assert policy.rules(policy_type) == (rule_with(Unreadable(field="spec")),)


def test_rules_that_cannot_be_read() -> None:
    """Rules that are no list, and a rule that is no object, admit an unreadable peer."""
    whole, one = tolerated(ingress="all"), tolerated(ingress=["all", {}])

    assert whole.ingress == (rule_with(Unreadable(field="spec.ingress")),)
    assert one.ingress == (rule_with(Unreadable(field="spec.ingress[0]")), ANYONE)


def test_peers_and_ports_that_cannot_be_read() -> None:
    """Peers that are no list are one unreadable peer, and so it is with ports."""
    rule = rule_of({"from": {}, "ports": 80})

    assert rule.peers == (Unreadable(field="spec.ingress[0].from"),)
    assert rule.ports == (Unreadable(field="spec.ingress[0].ports"),)


# Laws

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
FULL = b.policy(
    pod_selector=b.selector(b.expression("tier", "In", "a", "b"), app="web"),
    policy_types=["Ingress", "Egress"],
    ingress=[
        b.from_(
            b.peer(pods=b.selector(b.expression("a", "NotIn", "x")), namespaces=b.selector(team="x")),
            b.block("10.0.0.0/8", "10.1.0.0/16"),
            ports=[b.port(80, "TCP", end=90), b.port("http")],
        ),
        {},
    ],
    egress=[b.to(b.peer(namespaces={}), ports=[b.port(53, "UDP")])],
    labels={"a": "b"},
    resource_version="1",
)
Path = tuple[str | int, ...]


def paths(node: object, path: Path = ()) -> Iterator[Path]:
    """Yield the path of every node below the root."""
    steps: Any = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for step, child in steps:
        yield (*path, step)
        yield from paths(child, (*path, step))


def with_node(path: Path, value: object) -> b.ApiObject:
    changed = copy.deepcopy(FULL)
    parent: Any = changed
    for step in path[:-1]:
        parent = parent[step]
    parent[path[-1]] = value
    return changed


def dotted(path: Path) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path).lstrip(".")


def readable(policy: NetworkPolicy) -> bool:
    rules = (*policy.ingress, *policy.egress)
    parts = [part for rule in rules for part in (*(rule.peers or ()), *(rule.ports or ()))]
    return not any(isinstance(part, Unreadable) for part in parts)


def test_the_full_policy_has_no_fault() -> None:
    """The policy that the laws start from is sound, and has something in every field."""
    assert faults_of(FULL) == []
    assert readable(parse_policy(FULL))


@given(st.sampled_from(sorted(paths(FULL), key=str)), JSON)
@example(("spec", "ingress", 0, "ports", 0, "port"), 10**5000)
@example(("spec", "ingress", 0, "ports", 0, "endPort"), -(10**5000))
@example(("spec", "ingress", 0, "from", 1, "ipBlock", "except", 0), f"10.0.0.0/{'9' * 5000}")
@example(("spec", "podSelector", "matchLabels"), {"\ud800": "\ud800"})
@example(("spec", "policyTypes"), [[]])
def test_any_json_anywhere_is_read_or_is_a_fault_nearby(path: Path, value: object) -> None:
    """Whatever JSON stands at whatever node, reading only finds faults, in the object that holds it or around that."""
    api_object = with_node(path, value)
    _, faults = read_policy(api_object)
    holder = dotted(path[:-1])

    for fault in faults:
        assert fault.message
        assert fault.field.startswith(holder) or holder.startswith(fault.field)


@given(st.sampled_from(sorted(paths(FULL), key=str)), JSON)
def test_strict_reading_refuses_what_tolerant_reading_finds_faulty(path: Path, value: object) -> None:
    """Strict reading raises exactly where tolerant reading finds a fault, with the same faults."""
    api_object = with_node(path, value)
    policy, faults = read_policy(api_object)
    if not faults:
        assert policy == parse_policy(api_object)
        assert readable(policy)
        return
    with pytest.raises(SpecError) as raised:
        parse_policy(api_object)

    assert faults == raised.value.faults
    assert policy.faulty


@pytest.mark.parametrize(
    "path", [path for path in paths(FULL) if isinstance(path[-1], str) and path[-2:-1] != ("matchLabels",)], ids=dotted
)
def test_null_is_missing(path: Path) -> None:
    """A field that is null reads as one that is not written."""
    missing = with_node(path, None)
    parent: Any = missing
    for step in path[:-1]:
        parent = parent[step]
    del parent[path[-1]]

    assert read_policy(missing) == read_policy(with_node(path, None))
