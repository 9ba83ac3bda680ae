"""The audit from change to change: what is evaluated again, what is kept, and what has turned."""

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from builders import (
    ApiObject,
    admin_policy,
    block,
    eem_labels,
    from_,
    namespace,
    namespaces,
    operator_deployment,
    peer,
    pod,
    policy,
    rule,
    selector,
    to,
)

from admission.reviews import allow, default_deny, gateway, gateway_pod, judged, manager, manager_pod, verdict_of, world
from webhook.admission import Options
from webhook.admission.audit import (
    NOTHING_AUDITED,
    Audit,
    audit,
    audit_steps,
    gateways_without_instance,
    row,
    turns,
)
from webhook.admission.egress.need_standing import need_row
from webhook.admission.namespace_audit import RequirementState
from webhook.eem import EemSnapshot

DENY, ALLOW = default_deny(), allow()
HERE = (namespace(), gateway(), gateway_pod(), manager(), manager_pod(), DENY, ALLOW)
OPTIONS = Options()


def again(known: Audit, snapshot: EemSnapshot, *, at: float = 2.0, options: Options = OPTIONS) -> Audit:
    return audit(snapshot, options, at=at, known=known)


def of_gateway(found: Audit) -> RequirementState:
    (state,) = [state for state in found.states() if state.requirement.instance.name == "gw"]
    return state


def told(before: Audit, after: Audit) -> list[tuple[str, str, int]]:
    """Return what has turned: how, the instance and the port."""
    return [(turn, state.requirement.instance.name, state.requirement.port) for turn, state in turns(before, after)]


def test_the_evidence_is_that_of_the_refusal() -> None:
    """What is broken is told as in the verdict on the change that would have broken it."""
    objects = [namespace("shop"), gateway(), gateway_pod(), manager(), manager_pod(), allow()]
    refused = verdict_of(judged(world(*objects), DENY)).lost
    found = [state.lost for state in audit(world(*objects, DENY), OPTIONS).states() if not state.met]

    assert len(refused) == 2
    assert found == sorted(refused, key=lambda lost: (lost.instance, lost.port))


def test_a_row_has_the_fields_of_a_loss() -> None:
    """It adds whether the requirement is met, and since when."""
    found = {state.requirement.instance.name: row(state) for state in audit(world(*HERE), OPTIONS, at=1.5).states()}

    assert found["gw"] == {
        "direction": "ingress",
        "instance": {"kind": "EventGateway", "namespace": "eem", "name": "gw"},
        "component": "gateway",
        "protocol": "TCP",
        "port": 8092,
        "pods": {"labels": eem_labels("gw"), "names": ["gw-ibm-egw-gateway-7f9c-x2x"], "assumed": False},
        "counterexample": None,
        "policies": ["eem/allow-clients", "eem/default-deny"],
        "decided": True,
        "remedy": None,
        "met": True,
        "since": "1970-01-01T00:00:01.500Z",
        "bypasses": [],
    }
    assert (found["mgr"]["met"], found["mgr"]["policies"]) == (False, ["eem/default-deny"])
    assert found["mgr"]["remedy"]["metadata"]["name"] == "allow-mgr-manager"


def test_since_is_the_time_of_the_last_turn() -> None:
    """It stays while the requirement stays met or broken, whatever else changes."""
    snapshot = world(*HERE)
    first = again(NOTHING_AUDITED, snapshot, at=1.0)
    second = again(first, snapshot.with_object(policy("other", pod_selector=selector(app="web"))), at=2.0)
    third = again(second, snapshot.without_object("NetworkPolicy", "eem", "allow-clients"), at=3.0)
    fourth = again(third, snapshot.without_object("NetworkPolicy", "eem", "allow-clients"), at=4.0)

    assert [of_gateway(found).since for found in (first, second, third, fourth)] == [1.0, 1.0, 3.0, 3.0]


SAME_POD = pod("web-0", "shop", labels={"app": "web"}, ips=["10.0.0.9"])
BY_LABEL = allow("by-label", peer(namespaces=selector(team="a")))
BY_SMALL = allow("by-block", block("0.0.0.0/0", "10.9.0.0/16"))
BY_BLOCK = allow("by-block", block("0.0.0.0/0", "10.0.0.0/8"))


@pytest.mark.parametrize(
    ("objects", "change", "evaluated"),
    [
        pytest.param([], gateway_pod("gw-ibm-egw-gateway-7f9c-y3y"), 0, id="one more pod like the others"),
        pytest.param([], gateway_pod(labels=eem_labels("gw", role="x")), 0, id="a label by which no policy selects"),
        pytest.param(
            [policy("by-role", pod_selector=selector(role="x"), ingress=[from_()])],
            gateway_pod(labels=eem_labels("gw", role="x")),
            1,
            id="a label by which a policy selects",
        ),
        pytest.param([], pod("web-0", "shop", ips=["10.0.0.9"]), 0, id="a pod elsewhere, where no block is"),
        pytest.param([BY_BLOCK], pod("web-0", "shop", ips=["10.0.0.9"]), 0, id="a block beside an allow from anywhere"),
        pytest.param([], policy("other", pod_selector=selector(app="web")), 0, id="a policy for other pods"),
        pytest.param([], policy("closed", policy_types=["Ingress"]), 0, id="a policy that admits nothing more"),
        pytest.param([], allow("more", to="mgr", ports=(3000,)), 1, id="an allow for one port"),
        pytest.param([], namespace("shop", labels={"team": "a"}), 0, id="labels that no policy asks for"),
        pytest.param(
            [], gateway("new", namespace="other"), 2, id="a new instance elsewhere, in both readings of its labels"
        ),
    ],
)
def test_only_what_a_change_touches_is_evaluated(objects: list[ApiObject], change: ApiObject, evaluated: int) -> None:
    """Three requirements hold or not as before, without a new look at them."""
    snapshot = world(*HERE, *objects)
    first = again(NOTHING_AUDITED, snapshot)
    second = again(first, snapshot.with_object(change))

    assert (first.evaluated, second.evaluated) == (3, evaluated)


@pytest.mark.parametrize(
    ("allowed", "change", "evaluated"),
    [
        pytest.param(BY_LABEL, namespace("shop", labels={"team": "a"}), 1, id="labels of a namespace"),
        pytest.param(BY_LABEL, SAME_POD, 0, id="a pod, where labels decide"),
        pytest.param(BY_BLOCK, SAME_POD, 0, id="one more address like others, where blocks decide"),
        pytest.param(BY_BLOCK, pod("web-0", "shop", ips=["11.0.0.1"]), 0, id="an address in the block"),
        pytest.param(BY_SMALL, pod("web-0", "shop", ips=["10.0.0.9"]), 0, id="the first address in no exception"),
        pytest.param(BY_SMALL, pod("web-0", "shop", ips=["10.9.0.9"]), 1, id="the first address in an exception"),
        pytest.param(BY_BLOCK, namespace("shop", labels={"team": "a"}), 0, id="labels, where blocks decide"),
    ],
)
def test_an_answer_rests_on_the_rest_of_the_cluster_only_by_labels_or_addresses(
    allowed: ApiObject, change: ApiObject, evaluated: int
) -> None:
    """The closed ports of the manager admit no source, so they rest on neither."""
    snapshot = world(*(one for one in HERE if one is not ALLOW), allowed, pod("web-1", "shop", ips=["10.0.0.8"]))
    first = again(NOTHING_AUDITED, snapshot)

    assert again(first, snapshot.with_object(change)).evaluated == evaluated


def test_nothing_changes_where_nothing_changed() -> None:
    """The audit of a namespace is the same object: so that there is nothing to compare."""
    snapshot = world(*HERE)
    first = again(NOTHING_AUDITED, snapshot)
    second = again(first, snapshot.with_object(pod("web-0", ips=["10.0.0.1"])))

    assert second.namespaces["eem"] is first.namespaces["eem"]


def test_what_has_turned_is_told_once() -> None:
    """Broken at first sight, restored, and ended with the last need."""
    snapshot = world(*HERE)
    first = again(NOTHING_AUDITED, snapshot)
    mended = snapshot.with_object(allow("mend", to="mgr", ports=(3000,)))
    second = again(first, mended)
    ended = mended.without_object("EventEndpointManagement", "eem", "mgr")
    third = again(second, ended)
    gone = ended.without_object("EventGateway", "eem", "gw")

    assert told(NOTHING_AUDITED, first) == [("broken", "mgr", 3000), ("broken", "mgr", 8081)]
    assert told(first, second) == [("restored", "mgr", 3000)]
    assert told(second, third) == [("ended", "mgr", 8081)]
    assert told(third, again(third, gone)) == []
    assert told(first, again(first, EemSnapshot.empty())) == [("ended", "mgr", 3000), ("ended", "mgr", 8081)]


def test_what_is_not_decided_is_shown_and_counts_under_strict() -> None:
    """It is met, with the evidence of what may be closed."""
    snapshot = world(gateway(), allow("a", block("0.0.0.0/0")))
    known = again(NOTHING_AUDITED, snapshot)
    strict = again(known, snapshot, options=replace(OPTIONS, strict=True))
    (state,), (stricter,) = known.states(), strict.states()

    assert state.lost is not None
    assert (state.met, state.lost.decided, stricter.met) == (True, False, False)


def test_lost_ipv6_is_no_break() -> None:
    """EEM supports IPv4 only."""
    options = Options(
        ip_families=(4, 6), pod_cidrs=("10.0.0.0/8", "fd00::/64"), strict=True, ipblock_matches_pods="yes"
    )
    found = audit(world(gateway(), allow("a", peer(namespaces={}), block("0.0.0.0/0"))), options)

    assert [(state.met, state.lost) for state in found.states()] == [(True, None)]


def test_unknown_values_of_annotations_are_reported() -> None:
    """The audit of the namespace names each with its value; the service's settings count."""
    annotations = {"eem-guardrail.io/mode": "enforced", "eem-guardrail.io/sources": "some", "other": "x"}
    snapshot = world(namespace(annotations=annotations), gateway())
    first = again(NOTHING_AUDITED, snapshot)
    second = again(first, snapshot.with_object(namespace(annotations={})))

    assert [found.namespaces["eem"].unknown for found in (first, second)] == [("eem-guardrail.io/mode=enforced",), ()]


def test_a_new_demand_is_evaluated() -> None:
    """The annotation of the namespace says from where requirements must hold."""
    snapshot = world(namespace(), gateway(), allow("a", peer(pods={})))
    first = again(NOTHING_AUDITED, snapshot)
    second = again(first, snapshot.with_object(namespace(annotations={"eem-guardrail.io/sources": "some"})))

    assert told(first, second) == [("restored", "gw", 8092)]


def test_a_remedy_never_has_a_taken_name() -> None:
    """A policy of the remedy's name that does not help came after the explanation."""
    snapshot = world(gateway(), gateway_pod(), DENY)
    first = again(NOTHING_AUDITED, snapshot)
    second = again(first, snapshot.with_object(policy("allow-gw-gateway", pod_selector=selector(app="web"))))
    names = [row(of_gateway(found))["remedy"]["metadata"]["name"] for found in (first, second)]

    assert names == ["allow-gw-gateway", "allow-gw-gateway-2"]


def test_remedies_of_several_audits_have_different_names() -> None:
    """Names that are cut are alike; the one that was kept is not given again."""
    long = [f"{'x' * 70}{letter}" for letter in "ab"]
    snapshot = world(gateway(long[0], deploy_network_policies=True), DENY)
    first = again(NOTHING_AUDITED, snapshot)
    second = again(first, snapshot.with_object(gateway(long[1])))
    names = [row(state)["remedy"]["metadata"]["name"] for state in second.states() if row(state)["remedy"]]

    assert len(names) == len(set(names))


def test_the_work_comes_in_pieces() -> None:
    """One for each answer and each explanation, so that a large namespace holds nothing up."""
    objects = [gateway(f"gw-{number}") for number in range(50)]
    steps = audit_steps(world(*objects, DENY), OPTIONS, at=0.0, known=NOTHING_AUDITED)

    assert sum(1 for _ in steps) > 100


def everything(found: Audit) -> list[dict[str, Any]]:
    """Return every row without its time, and without examples and remedies, of which an earlier one is kept."""
    rows = [*map(row, found.states()), *map(need_row, found.need_states())]
    return [{**one, "since": None, "counterexample": None, "remedy": None} for one in rows]


def named_pods(found: Audit) -> list[tuple[str, str]]:
    """Return the existing pods that are shown as cut off."""
    examples = [row(state)["counterexample"] or {} for state in found.states()]
    return [(example["namespace"], example["pod"]) for example in examples if "pod" in example]


def denied_from(**labels: str) -> ApiObject:
    """Return a cluster-wide policy that denies every pod the namespaces with these labels."""
    return admin_policy(subject=namespaces(), ingress=[rule("Deny", namespaces(**labels))])


def test_labels_of_namespaces_count_under_a_cluster_wide_policy() -> None:
    """Also where the NetworkPolicies admit everyone: it denies first."""
    snapshot = world(namespace(), namespace("shop"), gateway(), gateway_pod(), denied_from(team="a"))
    first = again(NOTHING_AUDITED, snapshot)
    relabelled = snapshot.with_object(namespace("shop", labels={"team": "a"}))

    assert everything(again(first, relabelled)) == everything(audit(relabelled, OPTIONS))
    assert again(first, relabelled).evaluated == 1


CHANGES: tuple[Callable[[EemSnapshot, random.Random], EemSnapshot], ...] = (
    lambda snapshot, dice: snapshot.with_object(gateway_pod(labels=eem_labels("gw", role=dice.choice("ab")))),
    lambda snapshot, dice: snapshot.with_object(manager_pod(labels=eem_labels("mgr", role=dice.choice("ab")))),
    lambda snapshot, dice: snapshot.with_object(pod("web", "shop", ips=[f"10.0.0.{dice.randrange(4)}"])),
    lambda snapshot, _: snapshot.without_object("Pod", "shop", "web"),
    lambda snapshot, dice: snapshot.with_object(namespace("shop", labels={"team": dice.choice("ab")})),
    lambda snapshot, _: snapshot.without_object("Namespace", "", "shop"),
    lambda snapshot, dice: snapshot.with_object(
        namespace(annotations={"eem-guardrail.io/sources": dice.choice(("some", "anywhere", "all"))})
    ),
    lambda snapshot, dice: snapshot.with_object(policy("deny", pod_selector=selector(role=dice.choice("ab")))),
    lambda snapshot, _: snapshot.without_object("NetworkPolicy", "eem", "deny"),
    lambda snapshot, dice: snapshot.with_object(allow("by-label", peer(namespaces=selector(team=dice.choice("ab"))))),
    lambda snapshot, dice: snapshot.with_object(
        allow("by-block", block("0.0.0.0/0", f"10.0.0.{dice.randrange(4)}/32"))
    ),
    lambda snapshot, _: snapshot.with_object(allow("all", to=None, ports=(8092, 3000))),
    lambda snapshot, _: snapshot.without_object("NetworkPolicy", "eem", "all"),
    lambda snapshot, dice: snapshot.with_object(manager(deploy_network_policies=dice.choice((True, False)))),
    lambda snapshot, dice: snapshot.with_object(gateway(namespace=dice.choice(("eem", "other")))),
    lambda snapshot, _: snapshot.without_object("EventGateway", "eem", "gw"),
    lambda snapshot, _: snapshot.with_object(operator_deployment()),
    lambda snapshot, _: snapshot.without_object("Deployment", "eem", "ibm-eem-operator"),
    lambda snapshot, dice: snapshot.with_object(
        policy("out", policy_types=["Egress"], egress=[to(peer(selector(role=dice.choice("ab"))))])
    ),
    lambda snapshot, _: snapshot.without_object("NetworkPolicy", "eem", "out"),
    lambda snapshot, dice: snapshot.with_object(pod("beside", labels={"role": dice.choice("ab")})),
    lambda snapshot, dice: snapshot.with_object(denied_from(team=dice.choice("abc"))),
    lambda snapshot, _: snapshot.without_object("AdminNetworkPolicy", "", "admin"),
)


@pytest.mark.parametrize("seed", range(12))
def test_a_kept_audit_is_the_audit_of_the_state(seed: int) -> None:
    """After each of two hundred random changes, it equals an audit that begins with nothing."""
    dice = random.Random(seed)
    snapshot, known = world(*HERE), NOTHING_AUDITED
    for _ in range(200):
        snapshot = dice.choice(CHANGES)(snapshot, dice)
        known = again(known, snapshot)

        assert everything(known) == everything(audit(snapshot, OPTIONS))
        assert all(name in snapshot.cluster.state(space).pods for space, name in named_pods(known))


def test_nothing_is_told_of_what_was_kept() -> None:
    """A change elsewhere leaves the audit of a namespace as it is."""
    snapshot = world(*HERE)
    first = again(NOTHING_AUDITED, snapshot)

    assert told(first, again(first, snapshot.with_object(pod("web-0")))) == []


def test_a_gateway_that_belongs_to_no_instance_is_named() -> None:
    """In namespaces with and without EEM, while it runs."""
    deployed = {"gatewayGroup": "a", "gatewayId": "1"}
    strays = [
        pod("edge-0", "shop", labels=deployed),
        pod("edge-1", "shop", labels=deployed, phase="Succeeded"),
        pod("edge-2", "shop", labels={"gatewayGroup": "a"}),
        pod("edge-3", labels=deployed),
    ]

    assert list(gateways_without_instance(world(*HERE, *strays))) == ["eem/edge-3", "shop/edge-0"]


def test_pods_with_the_same_labels_are_evaluated_once() -> None:
    """A pod that may be one of two gateways is a subject of both."""
    pods = [pod("x-0", labels=eem_labels("same")), pod("x-1", labels=eem_labels("same"))]
    found = again(NOTHING_AUDITED, world(gateway("same"), manager("same"), *pods, DENY))

    assert {state.met for state in found.states()} == {False}
