"""Every field of the three kinds of cluster-wide policies: what it means, and every fault with its path."""

from typing import Any

import builders as b
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from netpol.asking import selector_of
from webhook.netpol.cluster_policies import (
    ClusterPeer,
    ClusterPolicy,
    ClusterRule,
    DomainPeer,
    NodePeer,
    RuleAction,
    Tier,
)
from webhook.netpol.intervals import network
from webhook.netpol.model import (
    IPBlock,
    NamedPort,
    NetworkPolicyPort,
    PodPeer,
    PolicyType,
    PortRange,
    Protocol,
    Unreadable,
)
from webhook.netpol.parse_cluster_policies import (
    PRIORITY_CLAUSE,
    TERMINATING_CLAUSE,
    UNREADABLE_POLICY_CLAUSE,
    read_cluster_policy,
)
from webhook.netpol.selectors import EVERYTHING

WEB = selector_of(b.selector(app="web"))
SHOP = selector_of(b.selector(team="shop"))
MAKERS = [b.admin_policy, b.baseline_policy, b.cluster_policy]


def read(api_object: b.ApiObject) -> ClusterPolicy:
    """Return a policy that has no faults."""
    policy, faults = read_cluster_policy(api_object)
    assert faults == ()
    assert not policy.faulty
    return policy


def faults_of(api_object: b.ApiObject) -> list[tuple[str, str]]:
    policy, faults = read_cluster_policy(api_object)
    assert policy.faulty is bool(faults)
    return [(fault.field, fault.reason) for fault in faults]


def rules_of(api_object: b.ApiObject) -> tuple[ClusterRule, ...]:
    policy, _ = read_cluster_policy(api_object)
    return policy.ingress + policy.egress


def ingress(*peers: Any, **fields: Any) -> b.ApiObject:
    return b.cluster_policy(ingress=[b.rule("Accept", *peers, **fields)])


def egress(*peers: Any, action: str = "Accept", **fields: Any) -> b.ApiObject:
    return b.cluster_policy(egress=[b.rule(action, *peers, field="to", **fields)])


def admin_egress(*peers: Any, action: str = "Allow", **fields: Any) -> b.ApiObject:
    return b.admin_policy(egress=[b.rule(action, *peers, field="to", **fields)])


def unreadable(path: str, index: int = 0, name: str = "") -> tuple[ClusterRule, ...]:
    """Return the rules that stand for one that may do anything."""
    peers = (Unreadable(field=path),)
    return tuple(ClusterRule(index=index, name=name, action=action, peers=peers) for action in RuleAction)


# The policy: tier, priority, subject


@pytest.mark.parametrize(
    ("api_object", "tier", "priority"),
    [
        pytest.param(b.admin_policy(priority=0), Tier.ADMIN, 0, id="ANP: Admin, the lowest priority is 0"),
        pytest.param(b.admin_policy(priority=99), Tier.ADMIN, 99, id="ANP: the last that OVN-Kubernetes applies"),
        pytest.param(b.baseline_policy(), Tier.BASELINE, 0, id="BANP: Baseline, without a priority"),
        pytest.param(b.cluster_policy(priority=1000), Tier.ADMIN, 1000, id="CNP: Admin, the highest is 1000"),
        pytest.param(b.cluster_policy(tier="Baseline", priority=7), Tier.BASELINE, 7, id="CNP: Baseline, priority"),
        pytest.param(b.cluster_policy(version="v1alpha2"), Tier.ADMIN, 10, id="CNP v1alpha2 is read like v1beta1"),
    ],
)
def test_the_place_of_a_policy(api_object: b.ApiObject, tier: Tier, priority: int) -> None:
    """The kind or the policy names the tier; within it the lowest number is asked first."""
    policy = read(api_object)

    assert (policy.tier, policy.priority, policy.why_perhaps) == (tier, priority, "")


@pytest.mark.parametrize(
    ("api_object", "why"),
    [
        pytest.param(b.admin_policy(priority=100), PRIORITY_CLAUSE, id="ANP with a priority above 99"),
        pytest.param(b.admin_policy(priority=1000), PRIORITY_CLAUSE, id="ANP with the highest priority"),
        pytest.param(b.cluster_policy(terminating=True), TERMINATING_CLAUSE, id="a policy that is being deleted"),
    ],
)
def test_policies_that_may_have_no_effect(api_object: b.ApiObject, why: str) -> None:
    """What a plugin does not apply, or what ends soon, may have no effect; it is no fault."""
    assert why == read(api_object).why_perhaps


@pytest.mark.parametrize(
    ("subject", "pods"),
    [
        pytest.param(b.namespaces(), PodPeer(), id="namespaces {}: every pod"),
        pytest.param(b.namespaces(team="shop"), PodPeer(namespace_selector=SHOP), id="namespaces with a label"),
        pytest.param(b.pods(), PodPeer(), id="pods with two empty selectors: every pod"),
        pytest.param(
            b.pods(b.selector(app="web"), b.selector(team="shop")),
            PodPeer(namespace_selector=SHOP, pod_selector=WEB),
            id="pods: both selectors match",
        ),
        pytest.param({"namespaces": {}, "pods": None}, PodPeer(), id="a null field is a missing one"),
    ],
)
@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_subjects(make: Any, subject: b.Node, pods: PodPeer) -> None:
    """A subject is all pods of some namespaces, or some pods of them."""
    assert pods == read(make(subject=subject)).subject


def test_cluster_policies_may_leave_the_namespace_selector_out() -> None:
    """In a ClusterNetworkPolicy a missing namespaceSelector is an empty one; in the others it is a fault."""
    subject = {"pods": {"podSelector": b.selector(app="web")}}

    assert PodPeer(pod_selector=WEB) == read(b.cluster_policy(subject=subject)).subject
    assert faults_of(b.admin_policy(subject=subject)) == [("spec.subject.pods.namespaceSelector", "Required")]


@pytest.mark.parametrize(
    ("api_object", "faults"),
    [
        pytest.param(b.cluster_policy(tier=None), [("spec.tier", "Required")], id="CNP without a tier"),
        pytest.param(b.cluster_policy(tier="Top"), [("spec.tier", "NotSupported")], id="a tier that there is not"),
        pytest.param(b.cluster_policy(tier=["Admin"]), [("spec.tier", "NotSupported")], id="a tier that is a list"),
        pytest.param(b.cluster_policy(priority=None), [("spec.priority", "Required")], id="CNP without a priority"),
        pytest.param(b.admin_policy(priority=None), [("spec.priority", "Required")], id="ANP without a priority"),
        pytest.param(b.admin_policy(priority=-1), [("spec.priority", "Invalid")], id="a negative priority"),
        pytest.param(b.admin_policy(priority=1001), [("spec.priority", "Invalid")], id="a priority above 1000"),
        pytest.param(b.admin_policy(priority="1"), [("spec.priority", "TypeInvalid")], id="a priority in quotes"),
        pytest.param(b.admin_policy(subject={}), [("spec.subject", "Required")], id="no field in the subject"),
        pytest.param(b.admin_policy(subject=3), [("spec.subject", "TypeInvalid")], id="a subject that is a number"),
        pytest.param(
            b.admin_policy(subject={**b.namespaces(), **b.pods()}), [("spec.subject", "Invalid")], id="two fields"
        ),
        pytest.param(b.admin_policy(subject={"hosts": {}}), [("spec.subject", "Invalid")], id="an unknown subject"),
        pytest.param(
            b.admin_policy(subject={"pods": {}}),
            [("spec.subject.pods.namespaceSelector", "Required"), ("spec.subject.pods.podSelector", "Required")],
            id="pods without selectors",
        ),
        pytest.param(
            b.cluster_policy(subject={"pods": 1}), [("spec.subject.pods", "TypeInvalid")], id="pods that are a number"
        ),
        pytest.param(
            b.admin_policy(subject=b.namespaces(b.expression("a", "Is"))),
            [("spec.subject.namespaces.matchExpressions[0].operator", "TypeInvalid")],
            id="an operator that there is not",
        ),
        pytest.param(
            {**b.admin_policy(), "spec": []},
            [("spec", "TypeInvalid"), ("spec.priority", "Required"), ("spec.subject", "Required")],
            id="a spec that is a list",
        ),
    ],
)
def test_a_policy_whose_place_cannot_be_read(api_object: b.ApiObject, faults: list[tuple[str, str]]) -> None:
    """A policy without a readable tier, priority or subject may stand anywhere, speak of any pod, and do anything."""
    policy, _ = read_cluster_policy(api_object)

    assert faults == faults_of(api_object)
    assert policy.subject == PodPeer()
    assert (policy.tier, policy.priority, policy.why_perhaps) == (Tier.ADMIN, 0, UNREADABLE_POLICY_CLAUSE)
    assert policy.ingress == policy.egress == unreadable("spec")


@pytest.mark.parametrize(
    ("api_object", "faults"),
    [
        pytest.param(b.baseline_policy("other"), [("metadata.name", "Invalid")], id="a BANP with another name"),
        pytest.param(b.admin_policy("other"), [], id="an ANP with any name"),
        pytest.param(
            b.cluster_policy(peers=[]), [("spec.peers", "NotSupported")], id="a field of the spec that is not known"
        ),
    ],
)
def test_other_faults_of_a_policy(api_object: b.ApiObject, faults: list[tuple[str, str]]) -> None:
    """A fault that leaves the place of the policy alone."""
    assert faults == faults_of(api_object)


def test_an_unknown_field_of_the_spec_may_change_everything() -> None:
    """A schema that is newer than this reader may say that the policy has no effect."""
    policy, _ = read_cluster_policy(b.cluster_policy(peers=[], ingress=[b.rule("Deny", b.namespaces())]))

    assert policy.why_perhaps == UNREADABLE_POLICY_CLAUSE
    assert [rule.action for rule in policy.ingress] == [RuleAction.DENY]


def test_metadata() -> None:
    """What identifies a policy is kept; its full name says its kind, since three kinds may have one name."""
    api_object = b.cluster_policy("guard")
    api_object["metadata"] |= {"uid": "u", "resourceVersion": "7"}
    policy = read(api_object)

    assert (policy.full_name, policy.uid, policy.resource_version) == ("ClusterNetworkPolicy/guard", "u", "7")


# Rules


@pytest.mark.parametrize(
    ("make", "word", "action"),
    [
        (b.admin_policy, "Allow", RuleAction.ACCEPT),
        (b.admin_policy, "Deny", RuleAction.DENY),
        (b.admin_policy, "Pass", RuleAction.PASS),
        (b.baseline_policy, "Allow", RuleAction.ACCEPT),
        (b.baseline_policy, "Deny", RuleAction.DENY),
        (b.cluster_policy, "Accept", RuleAction.ACCEPT),
        (b.cluster_policy, "Deny", RuleAction.DENY),
        (b.cluster_policy, "Pass", RuleAction.PASS),
    ],
)
def test_actions(make: Any, word: str, action: RuleAction) -> None:
    """Each kind has its own words for what a rule does."""
    policy = read(make(ingress=[b.rule(word, b.namespaces(), name="first")]))

    assert policy.ingress == (ClusterRule(index=0, name="first", action=action, peers=(PodPeer(),)),)


@pytest.mark.parametrize(
    ("make", "word"), [(b.admin_policy, "Accept"), (b.baseline_policy, "Pass"), (b.cluster_policy, "Allow")]
)
def test_actions_of_other_kinds(make: Any, word: str) -> None:
    """A rule with a word that its kind does not have may do anything."""
    api_object = make(ingress=[b.rule(word, b.namespaces(), name="first")])

    assert rules_of(api_object) == unreadable("spec.ingress[0]", name="first")
    assert faults_of(api_object) == [("spec.ingress[0].action", "NotSupported")]


@pytest.mark.parametrize("missing", [None, []], ids=["null or missing", "empty"])
@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_no_rules(make: Any, missing: object) -> None:
    """A policy without rules for a direction has no effect there: nothing isolates by itself."""
    policy = read(make(ingress=missing, egress=missing))

    assert policy.rules(PolicyType.INGRESS) == policy.rules(PolicyType.EGRESS) == ()


def test_rules_keep_their_order() -> None:
    """The index of a rule is its position in its own direction."""
    policy = read(
        b.cluster_policy(
            ingress=[b.rule("Deny", b.namespaces()), b.rule("Pass", b.namespaces())],
            egress=[b.rule("Accept", b.namespaces(), field="to")],
        )
    )

    assert [(rule.index, rule.action) for rule in policy.rules(PolicyType.INGRESS)] == [
        (0, RuleAction.DENY),
        (1, RuleAction.PASS),
    ]
    assert [(rule.index, rule.action) for rule in policy.rules(PolicyType.EGRESS)] == [(0, RuleAction.ACCEPT)]


def many(count: int) -> list[b.Node]:
    return [b.namespaces(team=f"t{number}") for number in range(count)]


@pytest.mark.parametrize(
    ("api_object", "faults"),
    [
        pytest.param(ingress(), [("spec.ingress[0].from", "Required")], id="from is empty"),
        pytest.param(
            b.cluster_policy(ingress=[{"action": "Deny"}]), [("spec.ingress[0].from", "Required")], id="from is missing"
        ),
        pytest.param(
            b.cluster_policy(egress=[{"action": "Deny"}]), [("spec.egress[0].to", "Required")], id="to is missing"
        ),
        pytest.param(
            ingress(b.namespaces(), name="n" * 101),
            [("spec.ingress[0].name", "TooLong")],
            id="a name of 101 characters",
        ),
        pytest.param(ingress(b.namespaces(), name="n" * 100), [], id="a name of 100 characters"),
        pytest.param(ingress(*many(25)), [], id="CNP: 25 peers"),
        pytest.param(ingress(*many(26)), [("spec.ingress[0].from", "TooMany")], id="CNP: 26 peers"),
        pytest.param(b.admin_policy(ingress=[b.rule("Deny", *many(100))]), [], id="ANP: 100 peers"),
        pytest.param(
            b.admin_policy(ingress=[b.rule("Deny", *many(101))]),
            [("spec.ingress[0].from", "TooMany")],
            id="ANP: 101 peers",
        ),
        pytest.param(
            b.cluster_policy(egress=[b.rule("Deny", b.namespaces(), field="to")] * 26),
            [("spec.egress", "TooMany")],
            id="CNP: 26 rules",
        ),
        pytest.param(
            b.admin_policy(egress=[b.rule("Deny", b.namespaces(), field="to")] * 100), [], id="ANP: 100 rules"
        ),
        pytest.param(
            ingress(b.namespaces(), protocols=[{"tcp": {"destinationPort": {"number": n}}} for n in range(1, 27)]),
            [("spec.ingress[0].protocols", "TooMany")],
            id="CNP: 26 protocols",
        ),
    ],
)
def test_faults_of_rules(api_object: b.ApiObject, faults: list[tuple[str, str]]) -> None:
    """Each list has its bounds; the rules are read all the same."""
    assert faults == faults_of(api_object)
    assert all(not isinstance(peer, Unreadable) for rule in rules_of(api_object) for peer in rule.peers)


@pytest.mark.parametrize(
    ("rules", "read_as", "fault"),
    [
        pytest.param({}, unreadable("spec.ingress"), ("spec.ingress", "TypeInvalid"), id="rules that are no list"),
        pytest.param(
            ["x"], unreadable("spec.ingress[0]"), ("spec.ingress[0]", "TypeInvalid"), id="a rule that is a text"
        ),
        pytest.param(
            [b.rule("Deny", b.namespaces()) | {"action": None}],
            unreadable("spec.ingress[0]"),
            ("spec.ingress[0].action", "Required"),
            id="a rule without an action",
        ),
        pytest.param(
            [b.rule("Deny", b.namespaces(), name="n", schedule={})],
            unreadable("spec.ingress[0]", name="n"),
            ("spec.ingress[0].schedule", "NotSupported"),
            id="a rule with a field that is not known",
        ),
        pytest.param(
            [b.rule("Deny", b.namespaces()), None],
            (ClusterRule(index=0, action=RuleAction.DENY, peers=(PodPeer(),)), *unreadable("spec.ingress[1]", index=1)),
            ("spec.ingress[1]", "TypeInvalid"),
            id="a null rule",
        ),
    ],
)
def test_rules_that_cannot_be_read(rules: Any, read_as: tuple[ClusterRule, ...], fault: tuple[str, str]) -> None:
    """A rule that cannot be read may accept, deny or pass."""
    api_object = b.cluster_policy(ingress=rules)

    assert read_as == rules_of(api_object)
    assert [fault] == faults_of(api_object)


# Peers


@pytest.mark.parametrize(
    ("api_object", "peers"),
    [
        pytest.param(ingress(b.namespaces()), [PodPeer()], id="namespaces {}: every pod"),
        pytest.param(
            ingress(b.namespaces(team="shop"), b.pods(b.selector(app="web"))),
            [PodPeer(namespace_selector=SHOP), PodPeer(pod_selector=WEB)],
            id="peers are ORed",
        ),
        pytest.param(
            egress({"networks": ["10.0.0.0/8", "2001:db8::/32"]}),
            [IPBlock(family=4, cidr=network("10.0.0.0/8")[1]), IPBlock(family=6, cidr=network("2001:db8::/32")[1])],
            id="networks are peers of their own",
        ),
        pytest.param(
            admin_egress({"networks": ["10.1.2.3/8"]}),
            [IPBlock(family=4, cidr=network("10.0.0.0/8")[1])],
            id="ANP: host bits are masked",
        ),
        pytest.param(
            egress({"nodes": b.selector(team="shop")}),
            [NodePeer(field="spec.egress[0].to[0].nodes", selector=SHOP)],
            id="nodes with a label",
        ),
        pytest.param(
            egress({"nodes": {}}),
            [NodePeer(field="spec.egress[0].to[0].nodes", selector=EVERYTHING)],
            id="nodes {}: every node",
        ),
        pytest.param(
            egress({"domainNames": ["*.example.com", "example.org."]}),
            [DomainPeer(field="spec.egress[0].to[0].domainNames", names=("*.example.com", "example.org."))],
            id="names of domains",
        ),
    ],
)
def test_peers(api_object: b.ApiObject, peers: list[ClusterPeer]) -> None:
    """A peer is pods by labels, networks, nodes or names."""
    (rule,) = rules_of(api_object)

    assert faults_of(api_object) == []
    assert tuple(peers) == rule.peers


TO = "spec.egress[0].to[0]"


@pytest.mark.parametrize(
    ("api_object", "path", "faults"),
    [
        pytest.param(ingress({}), "spec.ingress[0].from[0]", [("", "Required")], id="a peer without a field"),
        pytest.param(ingress({"services": {}}), "spec.ingress[0].from[0]", [("", "Invalid")], id="an unknown field"),
        pytest.param(ingress(None), "spec.ingress[0].from[0]", [("", "TypeInvalid")], id="a null peer"),
        pytest.param(
            ingress({**b.namespaces(), "services": {}}),
            "spec.ingress[0].from[0]",
            [("", "Invalid")],
            id="an unknown field beside a known one",
        ),
        pytest.param(
            ingress({"networks": ["10.0.0.0/8"]}),
            "spec.ingress[0].from[0]",
            [("", "Invalid")],
            id="networks in an ingress rule",
        ),
        pytest.param(
            b.baseline_policy(egress=[b.rule("Allow", {"domainNames": ["a.b"]}, field="to")]),
            TO,
            [("", "Invalid")],
            id="BANP: no domainNames",
        ),
        pytest.param(egress({"networks": []}), f"{TO}.networks", [("", "Required")], id="no network"),
        pytest.param(
            egress({"networks": "10.0.0.0/8"}), f"{TO}.networks", [("", "TypeInvalid")], id="a network as text"
        ),
        pytest.param(egress({"networks": ["10.0.0.0"]}), f"{TO}.networks[0]", [("", "Invalid")], id="no CIDR"),
        pytest.param(
            egress({"networks": [5]}), f"{TO}.networks[0]", [("", "TypeInvalid"), ("", "Invalid")], id="a number"
        ),
        pytest.param(egress({"domainNames": []}), f"{TO}.domainNames", [("", "Required")], id="no domain"),
        pytest.param(
            egress({"domainNames": ["com", "*"]}),
            f"{TO}.domainNames",
            [("[0]", "Invalid"), ("[1]", "Invalid")],
            id="no names of domains",
        ),
        pytest.param(
            egress({"nodes": {"matchLabels": 1}}), f"{TO}.nodes", [(".matchLabels", "TypeInvalid")], id="nodes"
        ),
        pytest.param(
            egress({"pods": {"podSelector": {}, "namespaceSelector": 1}}),
            f"{TO}.pods",
            [(".namespaceSelector", "TypeInvalid")],
            id="a namespaceSelector that is a number",
        ),
        pytest.param(
            b.cluster_policy(egress=[{"action": "Deny", "to": {}}]),
            "spec.egress[0].to",
            [("", "TypeInvalid")],
            id="peers that are no list",
        ),
    ],
)
def test_peers_that_cannot_be_read(api_object: b.ApiObject, path: str, faults: list[tuple[str, str]]) -> None:
    """A peer that cannot be read may match everything or nothing."""
    (rule,) = rules_of(api_object)

    assert rule.peers == (Unreadable(field=path),)
    assert [(path + rest, reason) for rest, reason in faults] == faults_of(api_object)


@pytest.mark.parametrize(
    ("api_object", "faults"),
    [
        pytest.param(
            egress({"networks": ["10.0.0.1/8"]}), [(f"{TO}.networks[0]", "Invalid")], id="CNP: a CIDR with host bits"
        ),
        pytest.param(
            egress({"networks": ["10.0.0.0/8", "10.0.0.0/8"]}),
            [(f"{TO}.networks[1]", "Duplicate")],
            id="twice the same",
        ),
        pytest.param(
            egress({"networks": ["2001:0db8:0000:0000:0000:0000:0000:0000/0000032"]}),
            [(f"{TO}.networks[0]", "TooLong")],
            id="a CIDR of more than 43 characters",
        ),
        pytest.param(
            egress({"networks": [f"10.{n}.0.0/16" for n in range(26)]}),
            [(f"{TO}.networks", "TooMany")],
            id="26 networks",
        ),
        pytest.param(
            egress({"domainNames": ["a.b"]}, action="Deny"),
            [(f"{TO}.domainNames", "Forbidden")],
            id="domainNames in a rule that denies",
        ),
        pytest.param(
            egress({"domainNames": ["a.b"]}, action="Pass"),
            [(f"{TO}.domainNames", "Forbidden")],
            id="domainNames in a rule that passes",
        ),
        pytest.param(
            egress({"nodes": {}}, protocols=[{"destinationNamedPort": "http"}]),
            [("spec.egress[0].protocols", "Forbidden")],
            id="CNP: a port name beside nodes",
        ),
        pytest.param(
            admin_egress({"networks": ["10.0.0.0/8"]}, ports=[{"namedPort": "http"}]),
            [("spec.egress[0].ports", "Forbidden")],
            id="ANP: a port name beside networks",
        ),
        pytest.param(egress(b.namespaces(), protocols=[{"destinationNamedPort": "http"}]), [], id="beside pods: fine"),
    ],
)
def test_faults_of_peers_that_can_be_read(api_object: b.ApiObject, faults: list[tuple[str, str]]) -> None:
    """What the schema forbids and what is still clear is a fault, and is read as it stands."""
    assert faults == faults_of(api_object)
    assert all(not isinstance(peer, Unreadable) for rule in rules_of(api_object) for peer in rule.peers)


# Ports


def tcp(first: int, last: int | None = None, protocol: Protocol = Protocol.TCP) -> PortRange:
    return PortRange(protocol=protocol, first=first, last=first if last is None else last)


NAMED = [NamedPort(protocol=protocol, name="http") for protocol in Protocol]


def admin_port(port: Any) -> b.ApiObject:
    return b.admin_policy(ingress=[b.rule("Allow", b.namespaces(), ports=[port])])


def protocol(entry: Any) -> b.ApiObject:
    return ingress(b.namespaces(), protocols=[entry])


@pytest.mark.parametrize(
    ("api_object", "ports"),
    [
        pytest.param(admin_port({"portNumber": {"port": 80}}), [tcp(80)], id="ANP: TCP where no protocol is named"),
        pytest.param(
            admin_port({"portNumber": {"protocol": "UDP", "port": 53}}), [tcp(53, protocol=Protocol.UDP)], id="ANP: UDP"
        ),
        pytest.param(
            admin_port({"portRange": {"protocol": "SCTP", "start": 1, "end": 65535}}),
            [tcp(1, 65535, Protocol.SCTP)],
            id="ANP: a range",
        ),
        pytest.param(admin_port({"portRange": {"start": 8, "end": 8}}), [tcp(8)], id="ANP: a range of one port"),
        pytest.param(admin_port({"namedPort": "http"}), NAMED, id="ANP: a name, with any protocol"),
        pytest.param(protocol({"tcp": {"destinationPort": {"number": 80}}}), [tcp(80)], id="CNP: TCP"),
        pytest.param(
            protocol({"udp": {"destinationPort": {"number": 53}}}), [tcp(53, protocol=Protocol.UDP)], id="CNP: UDP"
        ),
        pytest.param(
            protocol({"sctp": {"destinationPort": {"range": {"start": 1, "end": 9}}}}),
            [tcp(1, 9, Protocol.SCTP)],
            id="CNP: a range",
        ),
        pytest.param(protocol({"destinationNamedPort": "http"}), NAMED, id="CNP: a name, with any protocol"),
    ],
)
def test_ports(api_object: b.ApiObject, ports: list[NetworkPolicyPort]) -> None:
    """A port is a number, a range or a name."""
    (rule,) = rules_of(api_object)

    assert faults_of(api_object) == []
    assert tuple(ports) == rule.ports


AT = "spec.ingress[0].ports[0]"
FROM = "spec.ingress[0].protocols[0]"


@pytest.mark.parametrize(
    ("api_object", "path", "faults"),
    [
        pytest.param(admin_port({}), AT, [(AT, "Required")], id="ANP: no field"),
        pytest.param(admin_port({"icmp": {}}), AT, [(AT, "Invalid")], id="ANP: an unknown field"),
        pytest.param(admin_port(80), AT, [(AT, "TypeInvalid"), (AT, "Required")], id="ANP: a number"),
        pytest.param(
            admin_port({"portNumber": {}}),
            f"{AT}.portNumber",
            [(f"{AT}.portNumber.port", "Required")],
            id="ANP: no port",
        ),
        pytest.param(
            admin_port({"portNumber": {"port": 0, "protocol": "ICMP"}}),
            f"{AT}.portNumber",
            [(f"{AT}.portNumber.protocol", "NotSupported"), (f"{AT}.portNumber.port", "Invalid")],
            id="ANP: an unknown protocol and port 0",
        ),
        pytest.param(
            admin_port({"portRange": {"start": 1, "protocol": 6}}),
            f"{AT}.portRange",
            [(f"{AT}.portRange.protocol", "NotSupported"), (f"{AT}.portRange.end", "Required")],
            id="ANP: half a range",
        ),
        pytest.param(
            admin_port({"namedPort": 80}), f"{AT}.namedPort", [(f"{AT}.namedPort", "TypeInvalid")], id="ANP: no name"
        ),
        pytest.param(protocol({}), FROM, [(FROM, "Required")], id="CNP: no field"),
        pytest.param(protocol({"icmp": {}}), FROM, [(FROM, "Invalid")], id="CNP: an unknown protocol"),
        pytest.param(
            protocol({"tcp": {"sourcePort": {}}}), f"{FROM}.tcp", [(f"{FROM}.tcp", "Invalid")], id="CNP: unknown field"
        ),
        pytest.param(
            protocol({"tcp": 5}),
            f"{FROM}.tcp",
            [(f"{FROM}.tcp", "TypeInvalid"), (f"{FROM}.tcp", "Required")],
            id="CNP: tcp is a number",
        ),
        pytest.param(
            protocol({"tcp": {"destinationPort": {}}}),
            f"{FROM}.tcp.destinationPort",
            [(f"{FROM}.tcp.destinationPort", "Required")],
            id="CNP: no number",
        ),
        pytest.param(
            protocol({"tcp": {"destinationPort": {"number": 65536}}}),
            f"{FROM}.tcp.destinationPort",
            [(f"{FROM}.tcp.destinationPort.number", "Invalid")],
            id="CNP: port 65536",
        ),
        pytest.param(
            protocol({"tcp": {"destinationPort": {"range": {"end": 9}}}}),
            f"{FROM}.tcp.destinationPort.range",
            [(f"{FROM}.tcp.destinationPort.range.start", "Required")],
            id="CNP: half a range",
        ),
        pytest.param(
            b.admin_policy(ingress=[b.rule("Allow", b.namespaces(), ports=[])]),
            "spec.ingress[0].ports",
            [("spec.ingress[0].ports", "Required")],
            id="an empty list",
        ),
        pytest.param(
            b.admin_policy(ingress=[b.rule("Allow", b.namespaces(), ports={})]),
            "spec.ingress[0].ports",
            [("spec.ingress[0].ports", "TypeInvalid")],
            id="ports that are no list",
        ),
    ],
)
def test_ports_that_cannot_be_read(api_object: b.ApiObject, path: str, faults: list[tuple[str, str]]) -> None:
    """A port that cannot be read may be any port or none."""
    (rule,) = rules_of(api_object)

    assert faults == faults_of(api_object)
    assert rule.ports == (Unreadable(field=path),)


@pytest.mark.parametrize(
    ("api_object", "ports", "fault"),
    [
        pytest.param(protocol({"tcp": {}}), tcp(1, 65535), (f"{FROM}.tcp", "Required"), id="tcp {}: every TCP port"),
        pytest.param(
            protocol({"tcp": {"destinationPort": {"range": {"start": 9, "end": 9}}}}),
            tcp(9),
            (f"{FROM}.tcp.destinationPort.range.end", "Invalid"),
            id="CNP: a range of one port",
        ),
    ],
)
def test_faults_of_ports_that_can_be_read(api_object: b.ApiObject, ports: PortRange, fault: tuple[str, str]) -> None:
    """What the schema forbids and what is still clear is a fault, and is read as it stands."""
    (rule,) = rules_of(api_object)

    assert [fault] == faults_of(api_object)
    assert rule.ports == (ports,)


# Laws

WHOLE = [
    b.admin_policy(
        ingress=[
            b.rule("Pass", b.namespaces(team="a"), b.pods(b.selector(app="web")), ports=[{"portNumber": {"port": 80}}])
        ],
        egress=[b.rule("Deny", {"networks": ["10.0.0.0/8"]}, {"nodes": {}}, field="to", name="n")],
    ),
    b.cluster_policy(
        subject=b.pods(b.selector(b.expression("a", "In", "b"))),
        egress=[
            b.rule("Accept", {"domainNames": ["a.b"]}, field="to"),
            b.rule("Deny", b.namespaces(), field="to", protocols=[{"tcp": {"destinationPort": {"number": 1}}}]),
        ],
    ),
    b.baseline_policy(ingress=[b.rule("Deny", b.namespaces(), ports=[{"namedPort": "http"}])]),
]
STRANGE = st.sampled_from([None, 0, -1, True, "", "x", [], {}, [None], [{}], {"x": 1}, 2.5])


@given(
    st.sampled_from(WHOLE).flatmap(lambda one: st.tuples(st.just(one), st.sampled_from(list(b.places(one["spec"]))))),
    STRANGE,
)
@example((WHOLE[0], ("ingress", 0, "from", 1)), {})
def test_any_value_anywhere_is_read(where: tuple[b.ApiObject, tuple[Any, ...]], value: object) -> None:
    """Whatever stands in a field, the policy is read, and each fault names a path below `spec`."""
    whole, path = where
    policy, faults = read_cluster_policy({**whole, "spec": b.replaced(whole["spec"], path, value)})

    assert isinstance(policy, ClusterPolicy)
    assert all(fault.field.startswith("spec") for fault in faults)
