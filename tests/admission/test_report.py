"""The report: who can reach each port, by which policies, and what would be lost without each policy."""

import json
from typing import Any

import builders as b
import pytest
from json_outputs import compare

from admission.egress_scene import CLUSTER, OF_GATEWAY, OPERATOR_POD, TO_DNS, TO_MANAGER, limits
from admission.reviews import GATEWAY_POD, allow, default_deny, gateway, gateway_pod, manager, manager_pod, world
from webhook.admission import Options
from webhook.admission.audit import audit
from webhook.admission.report import MOST_LISTED, TOO_MANY, report

Entry = dict[str, Any]
EVERYONE = "everyone: every pod, every node, every address"
EEM = (b.namespace(), gateway(), gateway_pod())
DENY = default_deny()
DENY_SHOP = b.rule("Deny", b.namespaces(team="shop"), name="no shop")
ALLOW_ALL = b.rule("Allow", b.namespaces())


def reported(*objects: b.ApiObject, options: Options | None = None) -> Entry:
    snapshot, known = world(*objects), options or Options()
    found = report(audit(snapshot, known), snapshot, known)
    printed = json.loads(json.dumps(found))
    rows = (one for space in printed["namespaces"] for each in space["instances"] for one in each["requirements"])
    for one in rows:
        del one["since"]  # as the command does
    compare("report", printed)
    return found


def only_namespace(found: Entry) -> Entry:
    (namespace,) = found["namespaces"]
    known: Entry = namespace
    return known


def requirement(found: Entry, index: int = 0) -> Entry:
    known: Entry = only_namespace(found)["instances"][0]["requirements"][index]
    return known


def policies(found: Entry) -> dict[str, Entry]:
    return {policy["name"]: policy for policy in only_namespace(found)["policies"]}


def lost_without(found: Entry) -> dict[str, list[tuple[Any, ...]]]:
    """Return (need or port, whether it is decided) of each loss, by the policy without which it would occur."""
    return {
        name: [(one["need"] or one["port"], one["decided"]) for one in policy["without"]]
        for name, policy in policies(found).items()
    }


def needs(found: Entry, instance: str) -> dict[str, str]:
    for one in only_namespace(found)["instances"]:
        if one["name"] == instance:
            return {f"{need['need']} {need['protocol']}": need["state"] for need in one["needs"]}
    raise AssertionError(instance)


def test_a_port_that_holds_names_its_sources_policies_and_rules() -> None:
    """The rule that admits everyone is named, and so is every policy that isolates the pods."""
    found = reported(*EEM, DENY, allow())
    known = requirement(found)
    (reach,) = known["reach"]

    assert (known["state"], known["demand"], known["message"], known["remedy"]) == ("holds", "anywhere", "", None)
    assert reach["pods"]["names"] == [GATEWAY_POD]
    assert (reach["sources"], reach["isolatedBy"]) == ([EVERYONE], ["eem/allow-clients", "eem/default-deny"])
    assert reach["ways"] == [
        {
            "kind": "NetworkPolicy",
            "name": "eem/allow-clients",
            "rules": [{"rule": 0, "sources": [EVERYONE]}],
        }
    ]
    assert found["summary"] == {"requirements": 1, "broken": 0, "notDecided": 0, "needs": 1, "needsBroken": 0}


def test_a_port_of_pods_that_no_policy_isolates_is_open_to_everyone_without_a_way() -> None:
    """No policy opens it, and no policy closes it."""
    (reach,) = requirement(reported(*EEM))["reach"]

    assert (reach["isolated"], reach["sources"], reach["ways"]) == (False, [EVERYONE], [])


def test_a_broken_port_has_the_message_of_a_refusal_and_the_remedy() -> None:
    """The remedy is a policy to apply."""
    found = reported(*EEM, DENY)
    known = requirement(found)

    assert (known["state"], found["summary"]["broken"]) == ("broken", 1)
    assert "cannot be reached from any pod" in known["message"]
    assert known["remedy"]["kind"] == "NetworkPolicy"
    assert known["reach"][0]["sources"] == ["no source"]


def test_a_port_that_is_not_decided_says_what_is_not_known() -> None:
    """It counts as held, and the setting that would tell is named."""
    found = reported(*EEM, allow("by-block", b.block("0.0.0.0/0")))
    known = requirement(found)

    assert (known["state"], found["summary"]["notDecided"]) == ("not decided", 1)
    assert known["message"].startswith("not decided: ")
    assert "--ipblock-matches-pods" in known["message"]


@pytest.mark.parametrize(
    ("objects", "lost"),
    [
        pytest.param([DENY, allow()], {"eem/allow-clients": [(8092, True)], "eem/default-deny": []}, id="one allow"),
        pytest.param([allow()], {"eem/allow-clients": []}, id="the last policy that isolates"),
        pytest.param(
            [DENY, allow("a"), allow("b")], {"eem/a": [], "eem/b": [], "eem/default-deny": []}, id="two allows"
        ),
        pytest.param(
            [DENY, allow("a", b.block("0.0.0.0/0"))],
            {"eem/a": [(8092, True)], "eem/default-deny": []},
            id="an allow of which not all is decided",
        ),
    ],
)
def test_what_would_be_lost_without_each_policy(
    objects: list[b.ApiObject], lost: dict[str, list[tuple[Any, ...]]]
) -> None:
    """It is what a review of its deletion says."""
    assert lost_without(reported(*EEM, *objects)) == lost


def test_policies_that_restrict_no_pod_of_eem_are_only_named() -> None:
    """They are part of the namespace, and of nothing in the report."""
    other = b.policy("other", pod_selector=b.selector(app="cache"))
    found = reported(*EEM, DENY, other)

    assert list(policies(found)) == ["eem/default-deny"]
    assert only_namespace(found)["otherPolicies"] == ["other"]


def test_a_policy_names_its_owner_and_the_instances_that_it_restricts() -> None:
    """The operator's policies have an owner."""
    owned = allow(owners=[b.owned_by(gateway())])
    known = policies(reported(*EEM, owned))["eem/allow-clients"]

    assert (known["owners"], known["restricts"]) == (["EventGateway gw"], ["EventGateway gw"])
    assert (known["directions"], known["terminating"]) == (["Ingress"], False)


def test_an_exempt_instance_has_its_reason_and_no_requirements() -> None:
    """Its policies are its owner's."""
    (known,) = only_namespace(reported(b.namespace(), gateway(deploy_network_policies=False), DENY, limits(TO_DNS)))[
        "instances"
    ]

    assert (known["exempt"], known["requirements"], known["needs"]) == ("deployNetworkPolicies", [], [])


def test_the_operator_requires_some_source() -> None:
    """One source is enough for its webhook."""
    found = reported(b.namespace(), b.operator_deployment(), OPERATOR_POD)
    (known,) = only_namespace(found)["instances"]

    assert (known["kind"], known["component"], known["requirements"][0]["demand"]) == ("Deployment", "operator", "some")


def test_the_annotation_of_the_namespace_sets_the_demand() -> None:
    """It is the demand with which the audit judged."""
    found = reported(b.namespace(annotations={"eem-guardrail.io/sources": "some"}), gateway(), gateway_pod())

    assert requirement(found)["demand"] == "some"


def test_cluster_wide_policies_are_ways_with_actions_and_are_judged_without() -> None:
    """A rule that accepts keeps open what NetworkPolicies close; a rule that denies closes it."""
    wide = b.admin_policy("guard", ingress=[DENY_SHOP, ALLOW_ALL], egress=[b.rule("Allow", b.namespaces(), field="to")])
    udp = b.admin_policy(
        "udp", priority=11, ingress=[b.rule("Deny", b.namespaces(), ports=[{"portNumber": {"port": 1}}])]
    )
    found = reported(*EEM, b.namespace("shop", labels={"team": "shop"}), DENY, wide, udp)
    (reach,) = requirement(found)["reach"]
    (way,) = reach["ways"]

    assert (way["kind"], way["name"]) == ("AdminNetworkPolicy", "guard")
    assert [(rule["rule"], rule["name"], rule["action"]) for rule in way["rules"]] == [
        (0, "no shop", "Deny"),
        (1, "", "Accept"),
    ]
    assert way["rules"][0]["sources"] == ["every pod in namespaces with team=shop"]
    assert reach["sources"] != [EVERYONE]
    assert lost_without(found)["guard"] == [(8092, True)]
    assert lost_without(found)["udp"] == []


def test_a_cluster_wide_policy_that_only_denies_keeps_nothing_open() -> None:
    """Without it more is open, and nothing is lost."""
    found = reported(*EEM, b.namespace("shop", labels={"team": "shop"}), b.admin_policy("guard", ingress=[DENY_SHOP]))

    assert lost_without(found) == {"guard": []}


def test_a_cluster_wide_policy_for_egress_is_named_and_judged_without() -> None:
    """It lets out what a NetworkPolicy cuts off; a rule of it that denies lets nothing out."""
    to_dns = b.rule("Allow", b.namespaces(**{"kubernetes.io/metadata.name": "openshift-dns"}), field="to")
    wide = b.admin_policy("guard", egress=[to_dns])
    deny = b.admin_policy("deny", priority=11, egress=[b.rule("Deny", b.namespaces(), field="to")])
    found = reported(*CLUSTER, limits(), wide, deny)
    (known,) = [one for one in only_namespace(found)["instances"] if one["name"] == "gw"]
    (dns,) = [one for one in known["needs"] if one["need"] == "E5"]

    assert dns["state"] == "holds"
    assert dns["isolatedBy"] == ["eem/limits", "AdminNetworkPolicy/guard", "AdminNetworkPolicy/deny"]
    assert dns["ways"] == [{"policy": "AdminNetworkPolicy/guard", "rules": [0]}]
    assert ("E5", True) in lost_without(found)["guard"]
    assert lost_without(found)["deny"] == []


def of_calico(name: str = "open", **spec: Any) -> b.ApiObject:
    """Return a policy of Calico for every pod."""
    return {
        "apiVersion": "projectcalico.org/v3",
        "kind": "GlobalNetworkPolicy",
        "metadata": {"name": name},
        "spec": {"order": 1, "selector": "all()", **spec},
    }


IN, OUT = {"types": ["Ingress"]}, {"types": ["Egress"]}


@pytest.mark.parametrize(
    ("policy", "sources", "lost"),
    [
        pytest.param(of_calico(ingress=[{"action": "Allow"}], **IN), [EVERYONE], [(8092, True)], id="from everywhere"),
        pytest.param(
            of_calico(ingress=[{"action": "Allow", "source": {"selector": "app == 'a'"}}], **IN),
            ["what its selectors and networks match"],
            [],
            id="from some: the port is closed for the others with it, too",
        ),
        pytest.param(of_calico(ingress=[{"action": "Deny"}], **IN), [EVERYONE], [], id="from nowhere"),
    ],
)
def test_policies_of_calico_are_ways_with_their_kind(policy: b.ApiObject, sources: list[str], lost: list[Any]) -> None:
    """With what would be lost without them."""
    found = reported(*EEM, DENY, policy, options=Options(plugin="calico"))
    (reach,) = requirement(found)["reach"]
    (way,) = reach["ways"]

    assert (way["kind"], way["name"]) == ("Calico GlobalNetworkPolicy", "open")
    assert way["rules"] == [
        {
            "rule": 0,
            "name": "",
            "action": policy["spec"]["ingress"][0]["action"].replace("Allow", "Accept"),
            "sources": sources,
        }
    ]
    assert lost_without(found)["open"] == lost


def test_policies_of_calico_are_left_out_where_the_plugin_does_not_enforce_them() -> None:
    """They have no effect."""
    found = reported(
        *EEM, DENY, of_calico(ingress=[{"action": "Allow"}], **IN), options=Options(plugin="ovn-kubernetes")
    )

    assert requirement(found)["reach"][0]["ways"] == []
    assert "open" not in lost_without(found)


@pytest.mark.parametrize(("egress", "lost"), [("warn", ["E5"]), ("off", [])])
def test_what_egress_would_be_lost_without_a_policy_of_calico(egress: Any, lost: list[str]) -> None:
    """Where egress is judged."""
    policy = of_calico(egress=[{"action": "Allow"}], **OUT)
    found = reported(*CLUSTER, limits(), policy, options=Options(plugin="calico", egress=egress))

    assert [need for need, _ in lost_without(found)["open"] if need == "E5"] == lost


def test_tiers_with_too_many_rules_are_not_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page says so instead of failing."""
    monkeypatch.setattr("webhook.netpol.sources.budget.StepBudget.spend", _exhausted)
    found = reported(*EEM, b.admin_policy("guard", ingress=[DENY_SHOP]))

    assert requirement(found)["reach"][0]["sources"] == [TOO_MANY]


def _exhausted(*_: Any) -> None:
    from webhook.netpol.sources.budget import StepsExhaustedError  # noqa: PLC0415

    raise StepsExhaustedError


def test_needs_name_their_policies_and_rules() -> None:
    """A path with known ends is asked connection by connection, another one by the ports of the rules."""
    found = reported(*CLUSTER, limits(TO_DNS, TO_MANAGER))
    (known,) = [one for one in only_namespace(found)["instances"] if one["name"] == "gw"]
    by_id = {f"{one['need']} {one['protocol']}": one for one in known["needs"]}

    assert needs(found, "gw") == {
        "E3 TCP": "holds",
        "E4 TCP": "broken",
        "E5 UDP": "holds",
        "E9 TCP": "holds",
    }
    assert by_id["E5 UDP"]["ways"] == [{"policy": "eem/limits", "rules": [0]}]
    assert by_id["E4 TCP"]["ways"] == []
    assert "Kafka" in by_id["E4 TCP"]["message"]
    assert by_id["E4 TCP"]["remedy"]["spec"]["policyTypes"] == ["Egress"]
    assert by_id["E4 TCP"]["isolatedBy"] == ["eem/limits"]
    assert found["summary"]["needsBroken"] == 1


def test_a_need_of_which_some_destinations_are_left_holds_in_part() -> None:
    """Where Kafka is, is not known."""
    kafka = b.to(b.block("192.0.2.0/24"), ports=[b.port(9093, "TCP")])
    found = reported(*CLUSTER, limits(TO_DNS, TO_MANAGER, kafka))

    assert needs(found, "gw")["E4 TCP"] == "partly"


def test_what_egress_would_be_lost_without_a_policy() -> None:
    """A policy that opens egress beside one that restricts it."""
    deny = b.policy("deny-out", pod_selector=OF_GATEWAY, policy_types=["Egress"])
    ended = limits(TO_DNS, name="ended", terminating=True)
    everything = limits(b.to(), name="open", pods=OF_GATEWAY)
    found = reported(*CLUSTER, deny, everything, ended)

    assert lost_without(found)["eem/deny-out"] == []
    assert {need for need, _ in lost_without(found)["eem/open"]} >= {"E3", "E4"}
    assert policies(found)["eem/ended"]["terminating"]


def test_long_lists_are_cut_and_counted() -> None:
    """A report on thousands of policies can still be read."""
    many = [allow(f"a{number:03}", b.peer(pods=b.selector(app=f"a{number}"))) for number in range(MOST_LISTED + 3)]
    (reach,) = requirement(reported(*EEM, *many))["reach"]

    assert (len(reach["ways"]), reach["waysMore"]) == (MOST_LISTED, 3)
    assert (len(reach["sources"]), reach["sourcesMore"]) == (MOST_LISTED, 3)
    assert (len(reach["isolatedBy"]), reach["isolatedByMore"]) == (MOST_LISTED, 3)


def test_namespaces_and_what_is_beside_them_are_listed() -> None:
    """The report has the notes of the audit, too."""
    stray = gateway_pod(
        "stray", namespace="lab", labels=b.eem_labels("none", **{"app.kubernetes.io/component": "ibm-egw"})
    )
    marked = b.namespace("other", annotations={"eem-guardrail.io/mode": "enforced"})
    found = reported(*EEM, manager(namespace="other"), manager_pod(namespace="other"), marked, stray)

    assert [one["namespace"] for one in found["namespaces"]] == ["eem", "other"]
    assert found["gatewaysWithoutInstance"] == ["lab/stray"]
    assert found["unknownAnnotations"] == [{"namespace": "other", "annotation": "eem-guardrail.io/mode=enforced"}]
    assert found["schemaVersion"] == "1"
