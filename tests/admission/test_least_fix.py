"""The least that makes refused changes acceptable, and that mends a broken state."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from builders import (
    ApiObject,
    admin_policy,
    baseline_policy,
    block,
    container,
    container_port,
    eem_labels,
    expression,
    from_,
    namespace,
    namespaces,
    owned_by,
    peer,
    pod,
    policy,
    port,
    rule,
    selector,
    to,
)
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from admission.egress_scene import (
    CLUSTER,
    ENFORCED,
    OF_GATEWAY,
    OF_MANAGER,
    TO_API,
    TO_DNS,
    TO_KAFKA,
    TO_MANAGER,
    TO_READINESS,
    TO_ROUTER,
    dns,
    in_namespace,
    limits,
)
from admission.reviews import allow, default_deny, gateway, gateway_pod, manager, manager_pod, world
from webhook.admission.audit import audit
from webhook.admission.fix_goals import TRANSLATIONS
from webhook.admission.fix_policies import pods_in
from webhook.admission.least_fix import Fix, fix_of_changes, fix_of_state, less_of
from webhook.admission.options import Options, universe_of
from webhook.admission.trial import ObjectChange, verdict_on
from webhook.eem import EemSnapshot
from webhook.eem.paths import ServiceTranslation
from webhook.netpol.sources.budget import Answers
from webhook.netpol.sources.opening import Opening

DENY = default_deny()
SHOP = peer(namespaces=selector(team="shop"))
BANK = peer(namespaces=selector(team="bank"))
QUIET = Options(egress="off")
TO_ROUTER_POD = to(in_namespace("openshift-ingress", router="default"), ports=[port(443, "TCP")])
TO_DNS_POD = dns(in_namespace("openshift-dns", dns="default"))
TO_DNS_ADDRESS = dns(block("172.30.0.10/32"), number=53)
OF_DNS = (TO_DNS, TO_DNS_ADDRESS)
TRANSLATED = [replace(ENFORCED, service_translation=one) for one in TRANSLATIONS]


def over_udp(dns_rule: Any) -> Any:
    """Return a rule for DNS over UDP alone: that is the need for which a change is refused."""
    return {**dns_rule, "ports": dns_rule["ports"][:1]}


def changed(new: ApiObject | None, old: ApiObject | None = None) -> ObjectChange:
    return ObjectChange(old=old, new=new)


def specs(fix: Fix) -> list[Any]:
    """Return what the policies of a fix select and admit."""
    return [one.policy["spec"] for one in fix.policies]


def fixed(snapshot: EemSnapshot, new: ApiObject | None, old: ApiObject | None = None, options: Options = QUIET) -> Fix:
    return fix_of_changes([changed(new, old)], snapshot, options)


def opened(labels: dict[str, str], *numbers: int, peers: Sequence[Any] = ()) -> Any:
    """Return the spec of a policy that admits peers at ports."""
    ports = [{"protocol": "TCP", "port": number} for number in numbers]
    admits = {"from": list(peers), "ports": ports} if peers else {"ports": ports}
    return {"podSelector": {"matchLabels": labels}, "policyTypes": ["Ingress"], "ingress": [admits]}


def test_a_default_deny_needs_one_policy_for_each_component() -> None:
    """Each opens the ports that its pods need."""
    fix = fixed(world(gateway(), gateway_pod(), manager(), manager_pod()), DENY)

    assert specs(fix) == [opened(eem_labels("mgr"), 3000, 8081), opened(eem_labels("gw"), 8092)]
    assert [one.policy["metadata"] for one in fix.policies] == [
        {"name": "allow-mgr-manager", "namespace": "eem"},
        {"name": "allow-gw-gateway", "namespace": "eem"},
    ]


def test_the_reason_of_a_policy_is_what_is_refused_without_it() -> None:
    """Of two components, each policy names what it is for."""
    fix = fixed(world(gateway(), manager()), DENY)

    assert [[lost.port for refusal in one.without for lost in refusal.lost] for one in fix.policies] == [
        [3000, 8081],
        [8092],
    ]


def test_a_change_that_is_accepted_needs_nothing() -> None:
    """Neither policies nor edits."""
    assert fixed(world(gateway()), allow()) == Fix()


def test_what_was_open_to_some_is_opened_to_them_alone() -> None:
    """The peers of the deleted policy that nothing else admits, and the lost port."""
    both = allow("both", SHOP, BANK, ports=(8092, 9999))
    bank = allow("bank", BANK)

    assert specs(fixed(world(gateway(), DENY, both, bank), None, both)) == [
        opened(eem_labels("gw"), 8092, peers=[SHOP])
    ]


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        pytest.param([port(8000, "TCP", 8100)], [port(8092, "TCP")], id="a range is narrowed"),
        pytest.param([port(None, "TCP")], [port(8092, "TCP")], id="a protocol is narrowed"),
        pytest.param(None, [port(8092, "TCP")], id="every port is narrowed"),
        pytest.param([port("kafka", "TCP")], [port("kafka", "TCP")], id="a name stays"),
        pytest.param([port(8092), port(8092, "UDP")], [port(8092, "TCP")], id="no other protocol"),
    ],
)
def test_the_ports_of_the_old_policy_are_narrowed_to_what_is_lost(ports: Any, expected: Any) -> None:
    """A rule that has none of them is left out."""
    old = policy(
        "old",
        pod_selector=selector(**eem_labels("gw")),
        policy_types=["Ingress"],
        ingress=[from_(SHOP, ports=ports), from_(BANK, ports=[port(1)])],
    )
    named = gateway_pod(containers=[container(container_port(8092, "kafka"))])

    (spec,) = specs(fixed(world(gateway(), named, DENY, old), None, old))
    assert spec["ingress"] == [{"from": [SHOP], "ports": expected}]


def test_pods_of_others_are_not_opened() -> None:
    """The labels of the instance select a pod that was closed to some: the fix selects as the old policy did."""
    old = policy(
        "old",
        pod_selector=selector(tier="edge"),
        policy_types=["Ingress"],
        ingress=[from_(ports=[port(8092, "TCP")])],
    )
    edge = gateway_pod(labels=eem_labels("gw", tier="edge"))
    other = pod("batch", labels=eem_labels("gw"))
    mine = gateway_pod("gw-ibm-egw-gateway-2", labels=eem_labels("gw", tier="edge"))
    snapshot = world(gateway(), edge, mine, other, DENY, old)

    (spec,) = specs(fixed(snapshot, None, old))
    assert spec["podSelector"] == {"matchLabels": eem_labels("gw", tier="edge")}


def test_no_other_pod_is_isolated() -> None:
    """A policy for the labels of the instance alone would isolate the pods that the change leaves open."""
    pods = [gateway_pod(f"gw-ibm-egw-gateway-{tier}", labels=eem_labels("gw", tier=tier)) for tier in ("a", "b")]
    snapshot = world(gateway(), *pods)
    new = default_deny(pod_selector=selector(tier="a"))

    (spec,) = specs(fixed(snapshot, new))
    assert spec["podSelector"]["matchLabels"]["tier"] == "a"


def test_where_labels_do_not_tell_the_pods_apart_the_selector_of_the_change_does() -> None:
    """Only the pods that the change isolates are selected."""
    pods = [
        gateway_pod("gw-ibm-egw-gateway-a", labels=eem_labels("gw")),
        pod("batch", labels=eem_labels("gw", batch="1")),
    ]
    new = default_deny(pod_selector=selector(expression("batch", "DoesNotExist")))

    (spec,) = specs(fixed(world(gateway(), *pods), new))
    assert spec["podSelector"] == {
        "matchLabels": eem_labels("gw"),
        "matchExpressions": [expression("batch", "DoesNotExist")],
    }


def test_pods_without_a_common_label_get_a_policy_each() -> None:
    """Neither opens the ports of the other."""
    pods = [pod(name, labels={name: "1"}, owners=[owned_by(gateway())]) for name in "ab"]
    fix = fixed(world(gateway(), *pods), DENY)

    assert specs(fix) == [opened({"a": "1"}, 8092), opened({"b": "1"}, 8092)]
    assert [one.policy["metadata"]["name"] for one in fix.policies] == ["allow-gw-gateway", "allow-gw-gateway-2"]


def test_pods_without_labels_are_selected_as_the_change_selects_them() -> None:
    """No label tells them from the others, which are open before the change as well."""
    pods = [pod("bare", owners=[owned_by(gateway())]), pod("other", labels={"app": "web"})]

    assert specs(fixed(world(gateway(), *pods), DENY)) == [opened({}, 8092)]


def test_pods_without_labels_are_selected_as_the_deleted_policy_selected_them() -> None:
    """A policy for all pods would open the others, which are closed."""
    pods = [pod("bare", owners=[owned_by(gateway())]), pod("other", labels={"app": "web"})]
    without_app = selector(expression("app", "DoesNotExist"))
    old = policy("old", pod_selector=without_app, policy_types=["Ingress"], ingress=[from_()])

    (spec,) = specs(fixed(world(gateway(), *pods, DENY, old), None, old))
    assert spec["podSelector"] == without_app


def test_pods_that_nothing_tells_from_closed_ones_have_no_fix() -> None:
    """Each policy for the pod without labels would open the other one, which is closed."""
    pods = [pod("bare", owners=[owned_by(gateway())]), pod("other", labels={"app": "web"})]
    closed = default_deny("closed", pod_selector=selector(app="web"))
    fix = fixed(world(gateway(), *pods, closed), DENY)

    assert (fix.policies, len(fix.hopeless)) == ((), 1)


def test_a_missing_port_is_added_to_the_change() -> None:
    """That is smaller than a policy."""
    new = allow("clients", to="mgr", ports=(3000,))
    fix = fixed(world(manager()), new)

    assert (fix.policies, [edit.clause for edit in fix.edits]) == (
        (),
        ["add port TCP/8081 to spec.ingress[0].ports"],
    )
    assert fix.edits[0].edited["spec"]["ingress"] == [from_(ports=[port(3000, "TCP"), port(8081, "TCP")])]


def test_an_edit_that_opens_what_was_closed_is_no_fix() -> None:
    """The rule now admits everyone, and the missing port was open to one namespace only."""
    old = allow("clients", SHOP, to="mgr", ports=(3000, 8081))
    new = allow("clients", to="mgr", ports=(3000,))
    fix = fixed(world(manager(), old), new, old)

    assert fix.edits == ()
    assert specs(fix) == [opened(eem_labels("mgr"), 8081, peers=[SHOP])]


def test_an_edit_that_leaves_egress_lost_is_no_fix() -> None:
    """Port 8092 alone does not make the change acceptable: the policies are found for both directions."""
    new = policy(
        "limits",
        pod_selector=selector(**eem_labels("gw")),
        policy_types=["Ingress", "Egress"],
        ingress=[from_(ports=[port(1)])],
    )
    fix = fixed(world(*CLUSTER), new, options=ENFORCED)

    assert fix.edits == ()
    assert [spec["policyTypes"] for spec in specs(fix)] == [["Ingress", "Egress"]]
    assert not verdict_on(changed(new), _after(world(*CLUSTER), fix), ENFORCED).advice


def test_an_edit_of_one_change_and_policies_for_another() -> None:
    """Each change is made on what those before it leave."""
    new = allow("clients", to="mgr", ports=(3000,))
    fix = fix_of_changes([changed(new), changed(DENY)], world(manager(), gateway()), QUIET)

    assert [edit.clause for edit in fix.edits] == ["add port TCP/8081 to spec.ingress[0].ports"]
    assert specs(fix) == [opened(eem_labels("gw"), 8092)]


def test_a_later_change_of_the_same_object_sees_the_earlier_one() -> None:
    """The deletion of what was created with the fix is a deletion."""
    other = default_deny("other")
    fix = fix_of_changes([changed(DENY), changed(other), changed(None, DENY)], world(gateway()), QUIET)

    assert specs(fix) == [opened(eem_labels("gw"), 8092)]
    assert len(fix.policies[0].without) == 2


def test_names_of_policies_and_changes_are_not_taken() -> None:
    """A policy of the same name would be replaced."""
    there = allow("allow-gw-gateway-2", to="nobody")
    fix = fixed(world(gateway(), there), default_deny("allow-gw-gateway"))

    assert [one.policy["metadata"]["name"] for one in fix.policies] == ["allow-gw-gateway-3"]


def test_what_a_rule_of_the_admin_tier_denies_has_no_fix() -> None:
    """No NetworkPolicy opens it."""
    deny = admin_policy(subject={"namespaces": {}}, ingress=[rule("Deny", namespaces())])
    fix = fixed(world(gateway(), gateway_pod()), deny)

    assert (fix.policies, [refusal.lost[0].port for refusal in fix.hopeless]) == ((), [8092])


def test_what_a_rule_of_the_baseline_denies_is_opened_by_a_policy() -> None:
    """The baseline counts only for pods that no NetworkPolicy selects."""
    deny = baseline_policy(subject={"namespaces": {}}, ingress=[rule("Deny", namespaces())])

    assert specs(fixed(world(gateway(), gateway_pod()), deny)) == [opened(eem_labels("gw"), 8092)]


def test_a_policy_with_faults_is_not_mended() -> None:
    """It is refused for its faults, and no policy helps."""
    wrong = policy("wrong", policy_types=["Ingress"], ingress=[from_(ports=[port(70_000)])])

    assert fixed(world(gateway()), wrong) == Fix()


def test_changes_of_other_kinds_and_namespaces_are_passed() -> None:
    """They are made, not judged."""
    changes = [changed(namespace("shop")), changed(policy("deny", "shop")), changed(DENY)]

    assert specs(fix_of_changes(changes, world(gateway()), QUIET)) == [opened(eem_labels("gw"), 8092)]


def test_under_strict_what_is_perhaps_lost_is_kept() -> None:
    """The old policy admitted pods by their addresses, perhaps."""
    old = allow("old", block("0.0.0.0/0"), peer(namespaces={}))
    new = allow("old", peer(namespaces={}), block("0.0.0.0/0", "10.0.0.0/8"))
    strict = Options(strict=True, egress="off")
    snapshot = world(gateway(), old)
    fix = fixed(snapshot, new, old, strict)

    assert len(fix.policies) == 1
    assert not verdict_on(changed(new, old), _after(snapshot, fix), strict).advice


def test_lost_egress_is_opened_to_what_eem_needs() -> None:
    """The paths of the needs, not every destination."""
    fix = fixed(world(*CLUSTER), limits(), options=ENFORCED)

    (spec,) = specs(fix)
    assert spec["podSelector"] == {"matchLabels": eem_labels("gw")}
    assert spec["policyTypes"] == ["Egress"]
    assert not verdict_on(changed(limits()), _after(world(*CLUSTER), fix), ENFORCED).advice


def test_egress_that_was_open_to_some_is_opened_to_them_alone() -> None:
    """Kafka was open at the addresses of the deleted policy: nothing tells them but this policy."""
    old = limits(TO_MANAGER, TO_DNS, TO_KAFKA, name="old")
    snapshot = world(*CLUSTER, limits(), old)

    (spec,) = specs(fixed(snapshot, None, old, ENFORCED))
    assert spec["egress"] == [TO_MANAGER, {**TO_DNS, "ports": [port(5353, "UDP")]}, TO_KAFKA]


def test_egress_that_is_only_warned_of_is_not_opened() -> None:
    """It is no reason to refuse."""
    assert fixed(world(*CLUSTER), limits(), options=Options(egress="warn")) == Fix()


@pytest.mark.parametrize(
    ("translation", "expected"),
    [
        ("unknown", [over_udp(TO_DNS_POD), over_udp(TO_DNS_ADDRESS)]),
        ("before-policy", [over_udp(TO_DNS_POD)]),
        ("after-policy", [over_udp(TO_DNS_ADDRESS)]),
    ],
)
def test_lost_egress_to_a_service_is_opened_as_the_plugin_may_see_it(
    translation: ServiceTranslation, expected: list[Any]
) -> None:
    """Where that is not known, the change alone is accepted with either: both, or EEM may be cut off all the same."""
    kept = (TO_MANAGER, TO_KAFKA, TO_ROUTER)
    old, options = limits(*kept, *OF_DNS), replace(ENFORCED, service_translation=translation)
    fix = fixed(world(*CLUSTER, old), limits(*kept), old, options)

    assert [spec["egress"] for spec in specs(fix)] == [expected]


def test_a_policy_of_a_fix_cuts_off_nothing_however_the_plugin_sees_it() -> None:
    """The pods were free, and until the change is made, the policy alone limits them."""
    fix = fixed(world(*CLUSTER), limits(*OF_DNS), options=ENFORCED)
    (applied,) = fix.policies

    assert [verdict_on(changed(applied.policy), world(*CLUSTER), one).advice for one in TRANSLATED] == [(), ()]


def test_a_change_that_is_only_perhaps_refused_needs_no_fix() -> None:
    """One of two paths is left, so the change is accepted with a warning."""
    old = limits(TO_MANAGER, TO_KAFKA, TO_ROUTER, *OF_DNS)
    new = limits(TO_MANAGER, TO_KAFKA, TO_ROUTER, TO_DNS)

    assert fixed(world(*CLUSTER, old), new, old, ENFORCED) == Fix()


def test_a_fix_of_several_changes_holds_after_each_however_the_plugin_sees_it() -> None:
    """The second change takes away what the first one had left of the fix's work."""
    kept = (TO_MANAGER, TO_KAFKA, TO_ROUTER)
    one, two = limits(*kept, *OF_DNS, name="one"), limits(*kept, *OF_DNS, name="two")
    closing = [changed(limits(*kept, name=name), old) for name, old in (("one", one), ("two", two))]
    fix = fix_of_changes(closing, world(*CLUSTER, one, two), ENFORCED)

    assert [spec["egress"] for spec in specs(fix)] == [[over_udp(TO_DNS_POD), over_udp(TO_DNS_ADDRESS)]]


# A state


def test_a_state_in_which_everything_holds_needs_nothing() -> None:
    """The fix is empty."""
    assert fix_of_state(world(gateway(), gateway_pod()), QUIET) == Fix()


def test_what_is_broken_is_opened_and_nothing_else() -> None:
    """One policy for each component, with the ports that are closed."""
    snapshot = world(gateway(), manager(), DENY, allow(to="mgr", ports=(3000,)))

    fix = fix_of_state(snapshot, QUIET)
    assert specs(fix) == [opened(eem_labels("mgr"), 8081), opened(eem_labels("gw"), 8092)]
    assert all(one.met for one in audit(_after(snapshot, fix), QUIET).states())


def test_a_policy_for_a_broken_requirement_opens_no_pod_of_others() -> None:
    """The labels of the instance select another pod as well."""
    pods = [gateway_pod(labels=eem_labels("gw", tier="edge")), pod("batch", labels=eem_labels("gw", batch="1"))]
    owned = pod("own", labels={"own": "1"}, owners=[owned_by(gateway())])

    found = specs(fix_of_state(world(gateway(), owned, *pods, DENY), QUIET))
    assert opened({"own": "1"}, 8092) in found


def test_a_broken_requirement_that_no_policy_mends_is_named() -> None:
    """A rule of the Admin tier denies the clients."""
    deny = admin_policy(subject={"namespaces": {}}, ingress=[rule("Deny", namespaces())])
    fix = fix_of_state(world(gateway(), gateway_pod(), deny), QUIET)

    assert (fix.policies, len(fix.hopeless)) == ((), 1)
    assert fix.hopeless[0].after is fix.hopeless[0].before


def test_egress_that_is_cut_off_is_opened_with_the_ingress_of_the_same_pods() -> None:
    """One policy for both; it opens the paths of the gateway's needs, and Kafka stays as it is."""
    closed = policy("closed", policy_types=["Ingress", "Egress"], pod_selector=OF_GATEWAY)
    fix = fix_of_state(world(*CLUSTER, closed, limits(TO_KAFKA, TO_DNS, name="kafka")), ENFORCED)

    (spec,) = specs(fix)
    assert spec == opened(eem_labels("gw"), 8092) | {"policyTypes": ["Ingress", "Egress"], "egress": [TO_ROUTER_POD]}


def test_cut_off_egress_without_a_known_address_is_opened_to_any_address() -> None:
    """Kafka may be everywhere."""
    fix = fix_of_state(world(*CLUSTER, limits(TO_MANAGER, TO_DNS)), ENFORCED)

    assert [spec["egress"] for spec in specs(fix)] == [[{"ports": [{"protocol": "TCP"}]}]]


@pytest.mark.parametrize(
    ("translation", "expected"),
    [
        ("unknown", [TO_DNS_POD, TO_DNS_ADDRESS]),
        ("before-policy", [TO_DNS_POD]),
        ("after-policy", [TO_DNS_ADDRESS]),
    ],
)
def test_cut_off_egress_to_a_service_is_opened_as_the_plugin_may_see_it(
    translation: ServiceTranslation, expected: list[Any]
) -> None:
    """Where that is not known, the pods behind the Service and its address: the audit alone is content with either."""
    options = replace(ENFORCED, service_translation=translation)
    fix = fix_of_state(world(*CLUSTER, limits(TO_MANAGER, TO_KAFKA, TO_ROUTER)), options)

    assert [spec["egress"] for spec in specs(fix)] == [expected]


def test_egress_that_a_rule_of_the_admin_tier_denies_is_not_mended() -> None:
    """No NetworkPolicy opens it."""
    deny = admin_policy(subject={"namespaces": {}}, egress=[{"action": "Deny", "to": [{"networks": ["0.0.0.0/0"]}]}])
    fix = fix_of_state(world(*CLUSTER, deny), ENFORCED)

    assert fix.policies == ()
    assert {lost.need for target in fix.hopeless for lost in target.lost} >= {"E2"}


def test_egress_of_no_other_pod_is_opened() -> None:
    """The labels of a pod of the gateway select another pod as well: no policy is for the one alone."""
    own = pod("own", labels={"own": "1"}, owners=[owned_by(gateway())])
    other = pod("batch", labels={"own": "1", "batch": "1"})
    fix = fix_of_state(world(*CLUSTER, own, other, limits(pods=selector(own="1"))), ENFORCED)

    assert fix.policies == ()
    assert [lost.need for target in fix.hopeless for lost in target.lost] == ["E3", "E4", "E5", "E9"]


# In general


def _after(snapshot: EemSnapshot, fix: Fix) -> EemSnapshot:
    """Return the cluster after the policies of a fix, each of which is accepted."""
    for one in fix.policies:
        assert not verdict_on(changed(one.policy), snapshot, ENFORCED).advice
        snapshot = snapshot.with_object(one.policy)
    return snapshot


RULES = (
    *(TO_MANAGER, TO_ROUTER, *OF_DNS, TO_KAFKA, to(peer(OF_MANAGER)), to(block("10.0.0.0/8"))),
    *(to(ports=[port(443)]), to()),
)


def _limits(name: str, rules: Iterable[Any]) -> ApiObject:
    return limits(*rules, name=name)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(
    before=st.sets(st.sampled_from(range(len(RULES)))),
    after=st.sets(st.sampled_from(range(len(RULES)))),
    shape=st.sampled_from(["create", "update", "delete"]),
)
def test_the_fix_of_lost_egress_is_enough_least_and_opens_nothing(
    before: set[int], after: set[int], shape: str
) -> None:
    """With each single thing left out, the change or the fix is refused, or one plugin cuts off what the change did."""
    old = None if shape == "create" else _limits("limits", [RULES[one] for one in before])
    new = None if shape == "delete" else _limits("limits", [RULES[one] for one in after])
    others = [limits(name="other")] if shape == "delete" else []
    snapshot = world(*CLUSTER, *others, *([] if old is None else [old]))
    assume(verdict_on(changed(new, old), snapshot, ENFORCED).advice)
    fix = fixed(snapshot, new, old, ENFORCED)
    assume(not fix.hopeless)
    policies = [one.policy for one in fix.policies]

    assert _is_enough(policies, snapshot, changed(new, old))
    for index, whole in enumerate(policies):
        for less in ([], *([one] for one in less_of(whole))):
            assert not _is_enough([*policies[:index], *less, *policies[index + 1 :]], snapshot, changed(new, old))
    known = snapshot.cluster.state("eem").sorted_policies()
    opening = Opening(
        after=_after(snapshot, fix).cluster.state("eem").sorted_policies(),
        before=[known],
        universe=universe_of(snapshot, ENFORCED),
        answers=Answers(),
    )
    assert not any(opening.opens(one) for one in pods_in("eem", snapshot))


def _is_enough(policies: Sequence[ApiObject], snapshot: EemSnapshot, change: ObjectChange) -> bool:
    """Whether nothing is refused, and what is lost without the fix is kept with either sort of plugin."""
    lost, fixed_state = _lost(change, snapshot, ENFORCED), snapshot
    for one in policies:
        if any(verdict_on(changed(one), fixed_state, options).advice for options in (ENFORCED, *TRANSLATED)):
            return False
        fixed_state = fixed_state.with_object(one)
    is_refused = verdict_on(change, fixed_state, ENFORCED).advice
    return not is_refused and not any(lost & _lost(change, fixed_state, options) for options in TRANSLATED)


def _lost(change: ObjectChange, snapshot: EemSnapshot, options: Options) -> set[object]:
    return {(one.instance, one.need, one.protocol) for one in verdict_on(change, snapshot, options).lost if one.decided}


ANYWHERE = to(ports=[{"protocol": "TCP"}])
TO_API_ADDRESS = to(block("172.30.0.1/32"), ports=[port(443, "TCP")])
NEEDED = [
    policy(
        f"needed-by-{name}",
        pod_selector=selector(**eem_labels(name)),
        ingress=[from_(ports=[port(number, "TCP") for number in ports])],
        egress=egress,
    )
    for name, ports, egress in (
        ("gw", [8092], [ANYWHERE, *OF_DNS]),
        ("mgr", [3000, 8081], [ANYWHERE, *OF_DNS]),
        ("ibm-eem-operator", [8443], [TO_READINESS, TO_API, TO_API_ADDRESS, *OF_DNS]),
    )
]
"""What each component needs at most: Kafka may be everywhere."""


@settings(max_examples=10, deadline=None)
@given(
    rules=st.sets(st.sampled_from(range(len(RULES)))),
    pods=st.sampled_from([OF_GATEWAY, {}]),
    ingress=st.sampled_from([(), (DENY,), (DENY, allow()), (DENY, allow(to="mgr", ports=(3000,)))]),
)
def test_the_fix_of_a_state_is_enough_least_and_opens_what_eem_needs(
    rules: set[int], pods: Any, ingress: tuple[ApiObject, ...]
) -> None:
    """With each single thing left out, something is still broken with a plugin that translates first, or last."""
    limited = limits(*(RULES[one] for one in rules), name="limits", pods=pods)
    snapshot = world(*CLUSTER, pod("batch", labels={"batch": "1"}), limited, *ingress)
    was, fix = _broken(snapshot, ENFORCED), fix_of_state(snapshot, ENFORCED)
    policies = [one.policy for one in fix.policies]

    assert fix.hopeless == ()
    assert not _still_broken(was, _after(snapshot, fix))
    for index, whole in enumerate(policies):
        for less in ([], *([one] for one in less_of(whole))):
            assert _still_broken(was, _with([*policies[:index], *less, *policies[index + 1 :]], snapshot))
    known, allowed = (one.cluster.state("eem").sorted_policies() for one in (snapshot, _with(NEEDED, snapshot)))
    opening = Opening(
        after=_after(snapshot, fix).cluster.state("eem").sorted_policies(),
        before=[known, allowed],
        universe=universe_of(snapshot, ENFORCED),
        answers=Answers(),
    )
    assert not any(opening.opens(one) for one in pods_in("eem", snapshot))


def _with(policies: Iterable[ApiObject], snapshot: EemSnapshot) -> EemSnapshot:
    for one in policies:
        snapshot = snapshot.with_object(one)
    return snapshot


def _broken(snapshot: EemSnapshot, options: Options) -> set[object]:
    found = audit(snapshot, options)
    needs = {one.need.name for one in found.need_states() if not one.met}
    return {one.requirement for one in found.states() if not one.met} | needs


def _still_broken(was: set[object], snapshot: EemSnapshot) -> bool:
    return any(was & _broken(snapshot, options) for options in TRANSLATED)
