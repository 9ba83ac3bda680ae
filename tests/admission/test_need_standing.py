"""Egress as the policies are: the needs in the audit, and the warning about a new instance whose egress is cut."""

from dataclasses import replace
from typing import Any

import pytest
from builders import (
    ApiObject,
    admin_policy,
    block,
    eem_labels,
    namespace,
    namespaces,
    operator_deployment,
    peer,
    pod,
    policy,
    port,
    rule,
    selector,
    service,
    to,
)

from admission.egress_scene import EEM, HOST, NETWORK, TO_DNS, TO_MANAGER, limits
from admission.reviews import asked, gateway, judged, manager, manager_pod, verdict_of, world
from webhook.admission import Options
from webhook.admission.audit import Audit, audit, need_turns
from webhook.admission.egress.need_standing import NeedState, egress_impact, need_row

NEW = gateway(spec={"manager": {"endpoint": f"https://{HOST}"}})
DENY = limits(pods={}, name="deny-all-egress")
CUT = ["E3", "E4", "E5", "E9"]


def warned(new: ApiObject, *objects: ApiObject, old: ApiObject | None = None, egress: str = "warn") -> list[str]:
    """Return the needs of the warnings about a change of an instance."""
    options = replace(Options(), egress=egress)  # type: ignore[arg-type]
    texts = egress_impact(asked(new, old), world(namespace(), *NETWORK, *objects), options)
    assert all(text.endswith(f"isolated by {objects[0]['metadata']['name']}") for text in texts)
    return sorted(text.split()[1] for text in texts)


@pytest.mark.parametrize(
    ("new", "before", "expected"),
    [
        pytest.param(NEW, (DENY,), CUT, id="a gateway under a deny"),
        pytest.param(NEW, (limits(TO_DNS, pods={}),), ["E3", "E4"], id="a gateway that reaches DNS only"),
        pytest.param(NEW, (limits(to(), pods={}),), [], id="a gateway under a policy that allows everything"),
        pytest.param(NEW, (), [], id="no policy"),
        pytest.param(NEW, (policy("ingress-only"),), [], id="a policy for ingress only"),
        pytest.param(manager(), (DENY,), ["E12"], id="a manager under a deny"),
        pytest.param(manager(), (limits(to(ports=[port(9093, "TCP")]), pods={}),), [], id="a manager with Kafka"),
        pytest.param(gateway(deploy_network_policies=False), (DENY,), [], id="an exempt instance"),
    ],
)
def test_a_new_instance_hears_what_it_cannot_reach(
    new: ApiObject, before: tuple[ApiObject, ...], expected: list[str]
) -> None:
    """One sentence for each need of which no path is reachable."""
    assert warned(new, *before) == expected


def test_only_a_creation_is_looked_at_and_only_where_egress_is_judged() -> None:
    """An instance that exists was under these policies before."""
    assert warned(NEW, DENY, NEW, old=gateway()) == []
    assert warned(NEW, DENY, egress="off") == []


GATEWAY_AND_REST = (*EEM, *NETWORK)
OPTIONS = Options()
DNS_ONLY = limits(TO_DNS)


def needs(found: Audit) -> dict[str, NeedState]:
    """Return the states by row and component."""
    return {
        f"{state.need.component.value} {state.need.id} {state.need.protocol}": state for state in found.need_states()
    }


def cut_off(found: Audit) -> list[str]:
    return sorted(name for name, state in needs(found).items() if not state.met)


def test_the_evidence_of_a_need_is_that_of_the_refusal() -> None:
    """What is cut off is told as in the verdict on the change that would have cut it, with a remedy."""
    refused = judged(world(*GATEWAY_AND_REST), DNS_ONLY, options=replace(OPTIONS, egress="enforce"))
    expected = {lost.need: lost for lost in verdict_of(refused).lost}
    found = [state.lost for state in audit(world(*GATEWAY_AND_REST, DNS_ONLY), OPTIONS).need_states() if not state.met]

    assert {lost.need for lost in found if lost is not None} == {"E3", "E4"}
    for lost in found:
        assert lost is not None
        assert lost.remedy is not None
        assert replace(lost, remedy=None) == replace(expected[lost.need], remedy=None)


def test_a_remedy_mends_what_the_audit_shows() -> None:
    """Applied as well, every certain need of these pods holds."""
    snapshot = world(*GATEWAY_AND_REST, DNS_ONLY)
    remedies = [state.evidence().remedy for state in audit(snapshot, OPTIONS).need_states() if not state.met]

    assert cut_off(audit(world(*GATEWAY_AND_REST, DNS_ONLY, *filter(None, remedies)), OPTIONS)) == []


def test_every_need_that_holds_is_a_row_too() -> None:
    """It has its pods and level; notes are no needs to audit."""
    found = needs(audit(world(*GATEWAY_AND_REST), OPTIONS, at=1.0))
    row = need_row(found["gateway E3 TCP"])

    assert sorted(found) == [
        "gateway E3 TCP",
        "gateway E4 TCP",
        "gateway E5 UDP",
        "gateway E9 TCP",
        "manager E12 TCP",
        "operator E1 TCP",
        "operator E2 TCP",
        "operator E8 UDP",
        "operator E9 TCP",
    ]
    assert (row["met"], row["level"], row["need"], row["since"]) == (True, "certain", "E3", "1970-01-01T00:00:01.000Z")
    assert row["pods"]["names"] == ["gw-ibm-egw-gateway-7f9c-x2x"]


def test_egress_that_is_not_judged_is_not_audited() -> None:
    """Neither by the setting nor by the annotation of the namespace."""
    annotated = (namespace(annotations={"eem-guardrail.io/egress": "off"}), *GATEWAY_AND_REST[1:], DENY)

    assert list(audit(world(*GATEWAY_AND_REST, DENY), replace(OPTIONS, egress="off")).need_states()) == []
    assert list(audit(world(*annotated), OPTIONS).need_states()) == []


def test_two_destinations_of_one_row_count_as_one_need() -> None:
    """It is met only if both are reachable."""
    portals = [{"endpoint": "https://203.0.113.1"}, {"endpoint": "https://203.0.113.2"}]
    objects = (namespace(), manager(spec={"manager": {"apic": {"developerPortal": portals}}}))
    first = limits(to(block("203.0.113.1/32")), pods={}, name="first-only")
    both = limits(to(block("203.0.113.0/24")), pods={}, name="both")

    assert cut_off(audit(world(*objects, first), OPTIONS)) == ["manager E10 TCP"]
    assert cut_off(audit(world(*objects, both), OPTIONS)) == []


def test_a_cluster_wide_policy_that_denies_is_named() -> None:
    """No NetworkPolicy would help, so there is no remedy."""
    deny = admin_policy("no-manager", egress=[rule("Deny", namespaces(), field="to")])
    found = needs(audit(world(*GATEWAY_AND_REST, deny), OPTIONS))
    lost = found["operator E1 TCP"].evidence()

    assert (found["operator E1 TCP"].met, lost.denied, lost.policies) == (
        False,
        True,
        ("AdminNetworkPolicy/no-manager",),
    )
    assert lost.remedy is None
    assert found["gateway E4 TCP"].met
    assert "cluster-wide policies" in found["gateway E4 TCP"].evidence().why_undecided
    assert not needs(audit(world(*GATEWAY_AND_REST, deny), replace(OPTIONS, strict=True)))["gateway E4 TCP"].met


@pytest.mark.parametrize(("plugin", "limited"), [("calico", True), ("ovn-kubernetes", False)])
def test_a_policy_of_calico_leaves_an_unknown_path_open_to_doubt(plugin: Any, limited: bool) -> None:  # noqa: FBT001
    """It may deny what no NetworkPolicy restricts, if the plugin enforces it."""
    body = {"selector": "all()", "types": ["Egress"], "egress": [{"action": "Allow"}]}
    deny = {
        "apiVersion": "projectcalico.org/v3",
        "kind": "GlobalNetworkPolicy",
        "metadata": {"name": "p"},
        "spec": body,
    }
    found = needs(audit(world(*GATEWAY_AND_REST, deny), replace(OPTIONS, plugin=plugin)))

    assert bool(found["gateway E4 TCP"].evidence().why_undecided) is limited


def test_a_terminating_allow_does_not_hold_a_need() -> None:
    """It may be gone the next moment."""
    going = limits(to(), name="going", terminating=True)

    assert "gateway E3 TCP" in cut_off(audit(world(*GATEWAY_AND_REST, DNS_ONLY, going), OPTIONS))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(pod("other", "shop", ips=["10.128.7.7"]), [], id="a pod elsewhere"),
        pytest.param(pod("coredns-2", "openshift-dns", labels={"other": "x"}), ["eem"], id="a pod beside DNS"),
        pytest.param(limits(TO_DNS, name="more"), ["eem"], id="a policy"),
        pytest.param(service("another", "default", cluster_ip="172.30.0.99"), ["eem"], id="a Service"),
        pytest.param(admin_policy(), ["eem"], id="a cluster-wide policy"),
        pytest.param(manager("second", namespace="eem2"), ["eem", "eem2"], id="another manager"),
        pytest.param(pod("bearer", "shop", ips=["10.0.0.1"]), ["eem"], id="a pod that has the address of an end"),
        pytest.param(namespace(annotations={"eem-guardrail.io/egress": "enforce"}), ["eem"], id="the namespace"),
        pytest.param(namespace("shop", labels={"team": "x"}), ["eem"], id="labels of a namespace that a rule selects"),
    ],
)
def test_needs_are_evaluated_again_only_where_something_changed(change: ApiObject, expected: list[str]) -> None:
    """Whatever a state rests on; and the result is that of a new audit."""
    labelled = limits(TO_DNS, to(peer(namespaces=selector(team="x"))), name="labelled")
    before = world(*GATEWAY_AND_REST, namespace("eem2"), labelled)
    known = audit(before, OPTIONS, at=1.0)
    after = before.with_object(change)
    found = audit(after, OPTIONS, at=2.0, known=known)

    assert [name for name in found.needs if found.needs[name] is not known.needs.get(name)] == expected
    fresh = audit(after, OPTIONS, at=2.0)
    assert [(s.need.name, s.met, s.lost) for s in found.need_states()] == [
        (s.need.name, s.met, s.lost) for s in fresh.need_states()
    ]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(pod("other", labels={"other": "x"}), [], id="another pod in the namespace"),
        pytest.param(pod("coredns-2", "openshift-dns", labels={"other": "x"}), [], id="a pod beside DNS"),
        pytest.param(manager_pod(labels=eem_labels("mgr", role="x")), ["eem"], id="the pod at an end"),
        pytest.param(namespace("openshift-dns", labels={"team": "x"}), ["eem"], id="the namespace of an end"),
    ],
)
def test_other_pods_do_not_count_where_no_rule_lets_out_to_an_end(change: ApiObject, expected: list[str]) -> None:
    """Pods change by the thousand, so a need of which nothing changed is kept beside them."""
    before = world(*GATEWAY_AND_REST)
    known = audit(before, OPTIONS, at=1.0)
    found = audit(before.with_object(change), OPTIONS, at=2.0, known=known)

    assert [name for name in found.needs if found.needs[name] is not known.needs.get(name)] == expected


def test_the_time_remains_until_a_need_turns() -> None:
    """Broken, restored, and ended with its instance; what was met ends without a word."""
    first = audit(world(*GATEWAY_AND_REST), OPTIONS, at=1.0)
    second = audit(world(*GATEWAY_AND_REST, DNS_ONLY), OPTIONS, at=2.0, known=first)
    third = audit(world(*GATEWAY_AND_REST, limits(TO_DNS, TO_MANAGER)), OPTIONS, at=3.0, known=second)
    fourth = audit(world(namespace(), operator_deployment()), OPTIONS, at=4.0, known=third)
    fifth = audit(world(), OPTIONS, at=5.0, known=third)

    assert told(first, second) == [("broken", "E3"), ("broken", "E4")]
    assert needs(second)["gateway E3 TCP"].since == 2.0
    assert needs(second)["gateway E5 UDP"].since == 1.0
    assert told(second, third) == [("restored", "E3")]
    assert needs(third)["gateway E4 TCP"].since == 2.0
    assert told(third, fourth) == [("ended", "E4")]
    assert told(third, fifth) == [("ended", "E4")]
    assert told(third, third) == []


def told(before: Audit, after: Audit) -> list[tuple[str, str]]:
    return [(turn, state.need.id) for turn, state in need_turns(before, after)]
