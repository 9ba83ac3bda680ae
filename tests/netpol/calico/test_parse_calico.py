"""Calico's objects as the API writes them."""

import math
from typing import Any

import pytest

from webhook.netpol.calico.calico_model import CalicoPolicy, CalicoTier, NetworkSet
from webhook.netpol.calico.calico_selectors import holds
from webhook.netpol.cluster_policies import CalicoObject, RuleAction
from webhook.netpol.intervals import IPV4, network
from webhook.netpol.matching import rule_covers
from webhook.netpol.model import ContainerPort, PolicyType, Protocol
from webhook.netpol.parse_objects import read_object

PORTS = (ContainerPort(name="kafka", protocol=Protocol.TCP, number=8092),)


def calico(kind: str, spec: Any, version: str = "projectcalico.org/v3", **metadata: Any) -> dict[str, Any]:
    """Return an object of Calico's."""
    return {"apiVersion": version, "kind": kind, "metadata": {"name": "p", **metadata}, "spec": spec}


def read_policy(spec: Any, kind: str = "GlobalNetworkPolicy", **metadata: Any) -> tuple[CalicoPolicy, list[str]]:
    """Return a policy as it was read, and the paths of its faults."""
    found, faults = read_object(calico(kind, spec, **metadata))
    assert isinstance(found, CalicoPolicy)
    return found, [fault.field for fault in faults]


def test_what_is_missing_has_its_default() -> None:
    """Tier, order, types and selector."""
    found, faults = read_policy({})

    assert not faults
    assert (found.tier, found.order, found.policy_types) == ("default", math.inf, {PolicyType.INGRESS})
    assert (found.full_name, found.why_perhaps, found.faulty) == ("Calico GlobalNetworkPolicy/p", "", False)
    assert holds(found.selector, {}.get)


@pytest.mark.parametrize(
    ("spec", "types"),
    [
        ({"egress": [{"action": "Allow"}]}, {"Egress"}),
        ({"egress": [{"action": "Allow"}], "ingress": [{"action": "Deny"}]}, {"Ingress", "Egress"}),
        ({"ingress": [{"action": "Deny"}]}, {"Ingress"}),
        ({"types": ["Egress"], "ingress": [{"action": "Deny"}]}, {"Egress"}),
        ({"types": ["Ingress", "Egress"]}, {"Ingress", "Egress"}),
        ({"types": []}, {"Ingress"}),
    ],
)
def test_the_directions_of_a_policy(spec: Any, types: set[str]) -> None:
    """`types`, or what the rules tell."""
    assert types == set(read_policy(spec)[0].policy_types)


@pytest.mark.parametrize(
    ("version", "name"),
    [("projectcalico.org/v3", "default.p"), ("crd.projectcalico.org/v1", "default.p"), ("projectcalico.org/v3", "p")],
)
def test_both_groups_and_both_spellings_of_a_name_are_read(version: str, name: str) -> None:
    """Some releases write the tier before the name."""
    found, _ = read_object(calico("NetworkPolicy", {}, version, name=name, namespace="shop"))

    assert isinstance(found, CalicoPolicy)
    assert (found.kind, found.full_name) == ("CalicoNetworkPolicy", "Calico NetworkPolicy/shop/p")


def test_the_copy_of_a_network_policy_is_left_out() -> None:
    """Calico's API server shows NetworkPolicies of Kubernetes among its own."""
    assert (None, ()) == read_object(calico("NetworkPolicy", {}, name="knp.default.deny", namespace="shop"))


@pytest.mark.parametrize(
    ("spec", "labels", "answer"),
    [
        ({"selector": "app == 'a'"}, {"app": "a"}, True),
        ({"selector": "app == 'a'"}, {}, False),
        ({"namespaceSelector": "team == 'x'"}, {"pcns.team": "x", "projectcalico.org/namespace": "s"}, True),
        ({"namespaceSelector": "team == 'x'"}, {"team": "x", "projectcalico.org/namespace": "s"}, False),
        ({"namespaceSelector": "all()"}, {"projectcalico.org/namespace": "s"}, True),
        ({"namespaceSelector": "global()"}, {"projectcalico.org/namespace": "s"}, False),
        ({"namespaceSelector": "global()"}, {}, True),
        ({"namespaceSelector": "!(has(a) || b == 'x') && all()"}, {"projectcalico.org/namespace": "s"}, True),
        ({"selector": "global()"}, {}, True),
    ],
)
def test_the_pods_that_a_global_policy_selects(spec: Any, labels: dict[str, str], answer: bool) -> None:  # noqa: FBT001
    """By their labels, and by those of their namespaces."""
    assert answer is holds(read_policy(spec)[0].selector, labels.get)


def test_a_policy_of_a_namespace_selects_pods_of_that_namespace() -> None:
    """Its selector says which of them."""
    found, _ = read_policy({"selector": "all()"}, "NetworkPolicy", namespace="shop")

    assert holds(found.selector, {"projectcalico.org/namespace": "shop"}.get)
    assert not holds(found.selector, {"projectcalico.org/namespace": "bank"}.get)


@pytest.mark.parametrize(
    ("spec", "clause"),
    [
        ({"doNotTrack": True}, "a policy with doNotTrack is for host endpoints"),
        ({"preDNAT": True}, "a policy with preDNAT is for host endpoints"),
        ({"serviceAccountSelector": "all()"}, "service accounts are not read (spec.serviceAccountSelector)"),
        ({"sharedFate": 1}, "the field sharedFate is not evaluated (spec)"),
        ({"selector": "app ="}, "its selector cannot be read (spec.selector)"),
        ({"namespaceSelector": "app ="}, "its selector cannot be read (spec.namespaceSelector)"),
        ({"types": ["Both"]}, "its direction cannot be read (spec.types[0])"),
    ],
)
def test_what_may_keep_a_policy_from_having_an_effect(spec: Any, clause: str) -> None:
    """It is named with its field."""
    assert clause == read_policy(spec)[0].why_perhaps


def test_a_policy_that_is_being_deleted_may_have_no_effect() -> None:
    """Its deletion is not reviewed."""
    assert read_policy({}, deletionTimestamp="2026-01-01T00:00:00Z")[0].why_perhaps == "it is being deleted"


@pytest.mark.parametrize(
    ("rule", "protocol", "port", "covered"),
    [
        ({}, "TCP", 8092, True),
        ({"protocol": "TCP"}, "TCP", 8092, True),
        ({"protocol": "tcp"}, "TCP", 8092, True),
        ({"protocol": 6}, "TCP", 8092, True),
        ({"protocol": "17"}, "TCP", 8092, False),
        ({"protocol": "UDP"}, "TCP", 8092, False),
        ({"protocol": "ICMP"}, "TCP", 8092, False),
        ({"protocol": 47}, "TCP", 8092, False),
        ({"notProtocol": "UDP"}, "TCP", 8092, True),
        ({"notProtocol": "TCP"}, "TCP", 8092, False),
        ({"protocol": "TCP", "destination": {"ports": [8092]}}, "TCP", 8092, True),
        ({"protocol": "TCP", "destination": {"ports": ["8092"]}}, "TCP", 8092, True),
        ({"protocol": "TCP", "destination": {"ports": ["8000:8100"]}}, "TCP", 8092, True),
        ({"protocol": "TCP", "destination": {"ports": ["0:8000"]}}, "TCP", 8092, False),
        ({"protocol": "TCP", "destination": {"ports": ["kafka"]}}, "TCP", 8092, True),
        ({"protocol": "TCP", "destination": {"ports": ["http"]}}, "TCP", 8092, False),
        ({"protocol": "TCP", "destination": {"notPorts": [8092]}}, "TCP", 8092, False),
        ({"protocol": "TCP", "destination": {"notPorts": [443]}}, "TCP", 8092, True),
        ({"protocol": "TCP", "destination": {"notPorts": ["kafka"]}}, "TCP", 8092, None),
        ({"protocol": "TCP", "destination": {"ports": [443], "notPorts": ["kafka"]}}, "TCP", 8092, None),
        ({"protocol": "TCP", "destination": {"ports": ["kafka"], "notPorts": [443]}}, "TCP", 8092, None),
        ({"protocol": "TCP", "destination": {"ports": [443], "notPorts": [443, "kafka"]}}, "TCP", 8092, False),
        ({"protocol": "UDP", "destination": {"ports": ["kafka", 1.5]}}, "TCP", 8092, None),
    ],
)
def test_the_ports_of_a_rule(rule: Any, protocol: str, port: int, covered: bool | None) -> None:  # noqa: FBT001
    """Protocols by name and number, ranges, names, and what is excluded."""
    (found,) = read_policy({"ingress": [{"action": "Allow", **rule}]})[0].ingress

    assert covered is rule_covers(found, PORTS, Protocol(protocol), port)


@pytest.mark.parametrize(
    ("rule", "clause"),
    [
        ({"http": {"methods": ["GET"]}}, "http is not evaluated (spec.ingress[0])"),
        ({"icmp": {"type": 8}}, "icmp is not evaluated (spec.ingress[0])"),
        ({"notICMP": {"type": 8}}, "notICMP is not evaluated (spec.ingress[0])"),
        ({"source": {"ports": [1024]}}, "the ports of the client are not known (spec.ingress[0].source)"),
        ({"domains": ["a"]}, "the field domains is not evaluated (spec.ingress[0])"),
        ({"ipVersion": 5}, "its ipVersion cannot be read (spec.ingress[0])"),
        ({"protocol": "FOO"}, "it has parts that cannot be read (spec.ingress[0])"),
    ],
)
def test_what_is_not_evaluated_of_a_rule(rule: Any, clause: str) -> None:
    """The rule may match or not, and the clause names the field."""
    (found,) = read_policy({"ingress": [{"action": "Allow", **rule}]})[0].ingress

    assert clause == found.doubts[0]


@pytest.mark.parametrize(
    ("source", "clause"),
    [
        ({"serviceAccounts": {"names": ["a"]}}, "the field serviceAccounts is not evaluated (spec.ingress[0].source)"),
        ({"services": {"name": "a"}}, "the field services is not evaluated (spec.ingress[0].source)"),
        ({"selector": "app ="}, "its selector cannot be read (spec.ingress[0].source.selector)"),
        ({"notSelector": "app ="}, "its selector cannot be read (spec.ingress[0].source.notSelector)"),
        ({"namespaceSelector": "("}, "its selector cannot be read (spec.ingress[0].source.namespaceSelector)"),
        ({"nets": ["10.0.0.0/99"]}, "its addresses cannot be read (spec.ingress[0].source.nets)"),
        ({"notNets": "10.0.0.0/8"}, "its addresses cannot be read (spec.ingress[0].source.notNets)"),
    ],
)
def test_what_is_not_evaluated_of_an_end(source: Any, clause: str) -> None:
    """The rule may match or not, and the clause names the field."""
    (found,) = read_policy({"ingress": [{"action": "Allow", "source": source}]})[0].ingress

    assert (clause,) == found.other.doubts


def test_the_ends_of_a_rule_by_direction() -> None:
    """The policy's own end is the destination of ingress, and the source of egress."""
    rule = {"action": "Pass", "source": {"nets": ["10.0.0.1"]}}
    found, _ = read_policy({"types": ["Ingress", "Egress"], "ingress": [rule], "egress": [rule]})

    (ingress,), (egress,) = found.rules(PolicyType.INGRESS), found.rules(PolicyType.EGRESS)
    assert ingress.other.nets is not None
    assert ingress.other.nets[IPV4] == (network("10.0.0.1/32")[1],)
    assert ingress.other == egress.own
    assert ingress.action is egress.action is RuleAction.PASS


def test_a_log_rule_is_left_out_and_counted() -> None:
    """The index of the next rule is its position in the list."""
    (found,) = read_policy({"ingress": [{"action": "Log"}, {"action": "Deny"}]})[0].ingress

    assert (found.index, found.action) == (1, RuleAction.DENY)


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"order": "first"}, "spec.order"),
        ({"order": True}, "spec.order"),
        ({"order": math.inf}, "spec.order"),
        ({"tier": 3}, "spec.tier"),
        ({"selector": 3}, "spec.selector"),
        ({"selector": "app = 1"}, "spec.selector"),
        ({"selector": "has(a) || " * 200 + "has(a)"}, "spec.selector"),
        ({"namespaceSelector": 3}, "spec.namespaceSelector"),
        ({"types": ["Both"]}, "spec.types[0]"),
        ({"types": "Ingress"}, "spec.types"),
        ({"doNotTrack": "yes"}, "spec.doNotTrack"),
        ({"ingress": {}}, "spec.ingress"),
        ({"ingress": ["allow"]}, "spec.ingress[0]"),
        ({"ingress": [{}]}, "spec.ingress[0].action"),
        ({"ingress": [{"action": "Reject"}]}, "spec.ingress[0].action"),
        ({"ingress": [{"action": "Allow", "source": 1}]}, "spec.ingress[0].source"),
        ({"ingress": [{"action": "Allow", "ipVersion": 5}]}, "spec.ingress[0].ipVersion"),
        ({"ingress": [{"action": "Allow", "protocol": 300}]}, "spec.ingress[0].protocol"),
        ({"ingress": [{"action": "Allow", "destination": {"ports": 80}}]}, "spec.ingress[0].destination.ports"),
        ({"ingress": [{"action": "Allow", "destination": {"ports": ["9:1"]}}]}, "spec.ingress[0].destination.ports[0]"),
        ({"ingress": [{"action": "Allow", "source": {"nets": [3]}}]}, "spec.ingress[0].source.nets[0]"),
        ({"egress": [{"action": "Allow", "destination": {"selector": "("}}]}, "spec.egress[0].destination.selector"),
    ],
)
def test_a_fault_has_its_path(spec: Any, path: str) -> None:
    """Nothing that cannot be read is dropped in silence."""
    found, faults = read_policy(spec)

    assert [path] == faults
    assert found.faulty


@pytest.mark.parametrize("ingress", [{}, [3], [{"action": "Reject"}]])
def test_a_rule_that_cannot_be_read_may_do_anything(ingress: Any) -> None:
    """It may allow, deny and pass."""
    found, _ = read_policy({"ingress": ingress})

    assert {rule.action for rule in found.ingress} == set(RuleAction)
    assert all(rule.doubts for rule in found.ingress)


def read_calico(kind: str, spec: Any, **metadata: Any) -> tuple[CalicoObject, list[str]]:
    found, faults = read_object(calico(kind, spec, **metadata))
    assert isinstance(found, CalicoObject)
    return found, [fault.field for fault in faults]


def test_tiers_are_read() -> None:
    """Order and default action; both may be missing."""
    assert read_calico("Tier", {"order": 5, "defaultAction": "Pass"})[0] == CalicoTier(
        name="p", order=5.0, default_action="Pass"
    )
    assert read_calico("Tier", {})[0] == CalicoTier(name="p", order=math.inf)
    assert read_calico("Tier", {"defaultAction": "Allow"})[1] == ["spec.defaultAction"]


def test_network_sets_are_read() -> None:
    """Their labels and addresses; a NetworkSet has a namespace."""
    found, faults = read_calico("NetworkSet", {"nets": ["10.0.0.0/8", "10.0.0.0/99"]}, namespace="s", labels={"a": "b"})

    assert isinstance(found, NetworkSet)
    assert (found.kind, found.namespace, found.labels, faults) == ("NetworkSet", "s", {"a": "b"}, ["spec.nets[1]"])
    assert found.nets[IPV4] == (network("10.0.0.0/8")[1],)
    assert read_calico("GlobalNetworkSet", {"nets": ["2001:db8::1"]}, namespace="s")[0].namespace == ""
