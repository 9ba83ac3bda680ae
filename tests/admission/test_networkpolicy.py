"""The decision: a change is refused if and only if it cuts off required ingress."""

from typing import Any

import pytest
from builders import (
    ANOTHER_TIME,
    NAME_LABEL,
    ApiObject,
    Node,
    block,
    container_port,
    eem_labels,
    expression,
    from_,
    instance,
    namespace,
    operator_deployment,
    owned_by,
    peer,
    pod,
    policy,
    port,
    selector,
    to,
    workload,
)

from admission.reviews import (
    GATEWAY_POD,
    allow,
    asked,
    default_deny,
    gateway,
    gateway_pod,
    judged,
    lost_ports,
    manager,
    manager_pod,
    verdict_of,
    world,
)
from webhook.admission import AdmissionRequest, GroupVersionKind, GroupVersionResource, Options, ReviewError, decide
from webhook.admission import judge as judge_module
from webhook.eem import EemSnapshot
from webhook.netpol.sources.loss import lost_from_anywhere

EEM = (namespace(), gateway(), manager(), gateway_pod(), manager_pod())
DENY = default_deny()
ALLOW = allow()
ALLOW_MANAGER = allow("allow-ui", to="mgr", ports=(3000, 8081))
GUARDED = (*EEM, DENY, ALLOW, ALLOW_MANAGER)
GATEWAY = [("gw", 8092)]
MANAGER = [("mgr", 3000), ("mgr", 8081)]


def narrowed(*peers: Node, **fields: Any) -> ApiObject:
    return allow("allow-clients", *peers, **fields)


# CREATE, UPDATE, DELETE of whatever kind: what is lost


@pytest.mark.parametrize(
    ("before", "new", "old", "lost"),
    [
        pytest.param(EEM, DENY, None, GATEWAY + MANAGER, id="a default deny before the allows"),
        pytest.param((*EEM, ALLOW, ALLOW_MANAGER), DENY, None, [], id="a default deny after the allows"),
        pytest.param(EEM, ALLOW, None, [], id="an allow isolates and admits everyone"),
        pytest.param(EEM, allow(ports=(9999,)), None, GATEWAY, id="an allow for another port isolates"),
        pytest.param(EEM, allow("ui", to="mgr", ports=(3000,)), None, [("mgr", 8081)], id="one of two ports"),
        pytest.param(EEM, allow("a", to=None), None, MANAGER, id="an allow for the gateway that selects all pods"),
        pytest.param(EEM, default_deny(namespace="shop"), None, [], id="a namespace without EEM"),
        pytest.param(EEM, policy(policy_types=["Egress"], egress=[]), None, [], id="an egress policy"),
        pytest.param(EEM, policy(policy_types=["Ingress", "Egress"]), None, GATEWAY + MANAGER, id="both directions"),
        pytest.param(EEM, policy(egress=[to()]), None, GATEWAY + MANAGER, id="types that are not written"),
        pytest.param(EEM, policy(pod_selector=selector(a="b")), None, [], id="pods of another application"),
        pytest.param(EEM, policy(ingress=[from_()]), None, [], id="a rule for everyone on every port"),
        pytest.param(GUARDED, None, ALLOW, GATEWAY, id="an allow deleted under the default deny"),
        pytest.param(GUARDED, None, ALLOW_MANAGER, MANAGER, id="the manager's allow deleted"),
        pytest.param(GUARDED, None, DENY, [], id="the default deny deleted"),
        pytest.param((*GUARDED, allow("twin")), None, ALLOW, [], id="an allow deleted that another one doubles"),
        pytest.param((*EEM, ALLOW), None, ALLOW, [], id="the last selecting policy deleted un-isolates"),
        pytest.param((*EEM, DENY), None, DENY, [], id="the last deny deleted un-isolates"),
        pytest.param(GUARDED, narrowed(ports=(8093,)), ALLOW, GATEWAY, id="another port"),
        pytest.param(GUARDED, narrowed(peer(pods={})), ALLOW, GATEWAY, id="only pods of the namespace of the policy"),
        pytest.param(GUARDED, narrowed(peer(namespaces={})), ALLOW, GATEWAY, id="every pod, but no address"),
        pytest.param(GUARDED, narrowed(to="other"), ALLOW, GATEWAY, id="a selector that no longer selects"),
        pytest.param(GUARDED, narrowed(to=None), ALLOW, [], id="a selector widened to all pods, which the deny has"),
        pytest.param(
            (*EEM, ALLOW, ALLOW_MANAGER),
            narrowed(to=None),
            ALLOW,
            [],
            id="a selector widened to pods that are let in by another",
        ),
        pytest.param((*EEM, ALLOW), narrowed(to=None), ALLOW, MANAGER, id="a selector widened to pods not let in"),
        pytest.param(GUARDED, narrowed(ports=(8092, 1)), ALLOW, [], id="a port more"),
        pytest.param(GUARDED, policy("default-deny", ingress=[from_()]), DENY, [], id="a deny becomes an allow"),
        pytest.param(
            (*EEM, policy("p", pod_selector=selector(a="b"))),
            policy("p"),
            policy("p", pod_selector=selector(a="b")),
            GATEWAY + MANAGER,
            id="a deny for others becomes one for all",
        ),
    ],
)
def test_a_change_is_refused_if_and_only_if_required_ingress_is_lost(
    before: tuple[ApiObject, ...], new: ApiObject | None, old: ApiObject | None, lost: list[tuple[str, int]]
) -> None:
    """The union of all policies after the change is compared with the union before it; egress has tests of its own."""
    response = judged(world(*before), new, old, options=Options(egress="off"))

    assert (lost_ports(response), response.allowed) == (lost, not lost)
    assert (response.result, response.code) == (("denied", 403) if lost else ("allowed", 200))


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_dry_run_is_answered_like_the_change_itself(dry_run: bool) -> None:  # noqa: FBT001
    """A dry run shows the verdict that the change would get."""
    response = judged(world(*EEM), DENY, dry_run=dry_run)

    assert (response.allowed, lost_ports(response)) == (False, GATEWAY + MANAGER)


def test_a_policy_with_a_generated_name_is_judged() -> None:
    """It has no name yet, and replaces no policy."""
    new = default_deny(None)
    new["metadata"]["generateName"] = "deny-"
    response = judged(world(*EEM, ALLOW, DENY), new)
    refused = judged(world(*EEM), new)

    assert lost_ports(response) == []
    assert "eem/(generated name)" in refused.message
    assert verdict_of(refused).lost[0].policies == ("eem/(generated name)",)


def test_each_item_of_a_deletecollection_is_named_by_its_old_object() -> None:
    """The request of a deletecollection has no name."""
    snapshot = world(*GUARDED)
    responses = {
        old["metadata"]["name"]: judged(snapshot, None, old, name=missing).allowed
        for old in (ALLOW, ALLOW_MANAGER, DENY)
        for missing in (None, "")
    }

    assert responses == {"allow-clients": False, "allow-ui": False, "default-deny": True}


def test_a_delete_without_an_old_object_is_judged_by_the_cached_policy() -> None:
    """API servers before 1.15 send no old object."""
    snapshot = world(*GUARDED)

    assert lost_ports(judged(snapshot, None, ALLOW, oldObject=None)) == GATEWAY
    assert judged(snapshot, None, allow("never-seen"), oldObject=None).allowed


def test_the_old_object_takes_precedence_over_the_cached_policy() -> None:
    """The cache may lag; the request has what is stored."""
    stale = allow(ports=(9999,))
    snapshot = world(*EEM, DENY, ALLOW_MANAGER, stale)

    assert lost_ports(judged(snapshot, None, stale)) == []
    assert lost_ports(judged(snapshot, None, ALLOW)) == GATEWAY
    assert lost_ports(judged(snapshot, narrowed(peer(pods={})), ALLOW)) == GATEWAY


def test_an_old_object_that_is_not_cached_counts() -> None:
    """A policy may be deleted before the watch brings its creation."""
    assert lost_ports(judged(world(*EEM, DENY, ALLOW_MANAGER), None, ALLOW)) == GATEWAY


def test_a_cached_policy_of_the_same_version_replaces_the_old_object() -> None:
    """It need not be parsed again; another version must be."""
    seen = allow(ports=(9999,), resource_version="7", uid="u")
    snapshot = world(*EEM, DENY, ALLOW_MANAGER, seen)
    versions = [("7", "u"), ("8", "u"), ("7", "v"), (None, "u")]
    lost = [lost_ports(judged(snapshot, None, allow(resource_version=version, uid=uid))) for version, uid in versions]

    assert lost == [[], GATEWAY, GATEWAY, GATEWAY]


def test_a_created_policy_replaces_the_cached_policy_of_its_name() -> None:
    """The watch has not brought the deletion yet."""
    assert lost_ports(judged(world(*EEM, DENY, ALLOW_MANAGER, ALLOW), narrowed(ports=(1,)))) == []
    assert lost_ports(judged(world(*EEM, ALLOW_MANAGER, ALLOW), narrowed(ports=(1,)))) == GATEWAY


# Repairs, unrelated changes, what is broken already


@pytest.mark.parametrize(
    ("before", "new", "old", "warned"),
    [
        pytest.param((*EEM, DENY), allow("a", to=None, ports=(8092, 3000, 8081)), None, 0, id="a whole repair"),
        pytest.param((*EEM, DENY), ALLOW, None, 0, id="a repair of one of two instances"),
        pytest.param((*EEM, DENY), narrowed(peer(pods={})), None, 1, id="a repair for some"),
        pytest.param((*EEM, DENY), default_deny("second"), None, 3, id="a second deny beside the first"),
        pytest.param((*EEM, DENY, default_deny("second")), None, DENY, 3, id="one of two denies deleted"),
        pytest.param((*EEM, DENY), policy("x", pod_selector=selector(a="b")), None, 0, id="a policy for other pods"),
    ],
)
def test_ingress_that_is_already_broken_is_no_reason_to_refuse(
    before: tuple[ApiObject, ...], new: ApiObject | None, old: ApiObject | None, warned: int
) -> None:
    """A change that restores ingress is allowed; one that leaves it broken is allowed with a warning."""
    response = judged(world(*before), new, old)

    assert (response.allowed, lost_ports(response), len(response.warnings)) == (True, [], warned)
    assert response.result == ("warned" if warned else "allowed")


def test_the_warning_names_the_broken_requirement_and_the_policy() -> None:
    """There is one line for each requirement."""
    response = judged(world(*EEM, DENY), default_deny("second", pod_selector=selector(**eem_labels("gw"))))

    assert response.warnings == (
        "eem/gw gateway TCP/8092 was not open as required and still is not (isolated by eem/default-deny)",
    )


def test_a_refusal_warns_about_other_broken_requirements() -> None:
    """The manager was cut off before, and the change would cut off the gateway."""
    manager_deny = default_deny("ui", pod_selector=selector(**eem_labels("mgr")))
    response = judged(world(*EEM, manager_deny), DENY)

    assert (response.allowed, lost_ports(response), len(response.warnings)) == (False, GATEWAY, 2)


def test_narrowing_a_partly_broken_requirement_is_refused() -> None:
    """The sources that can still connect count."""
    pods = narrowed(peer(namespaces={}))
    fewer = narrowed(peer(namespaces=selector(team="a")))
    snapshot = world(*EEM, DENY, ALLOW_MANAGER, pods)

    assert lost_ports(judged(snapshot, fewer, pods)) == GATEWAY
    assert judged(snapshot, pods | {"metadata": pods["metadata"] | {"name": "twin"}}).allowed


# Whose pods


@pytest.mark.parametrize(
    ("objects", "lost"),
    [
        pytest.param([gateway()], GATEWAY, id="assumed labels, where nothing is seen"),
        pytest.param([gateway(), gateway_pod(phase="Failed")], GATEWAY, id="assumed labels behind a finished pod"),
        pytest.param([gateway(), gateway_pod(host_network=True)], [], id="a pod on the host's network"),
        pytest.param([gateway(deploy_network_policies=False), gateway_pod()], [], id="an exempt instance"),
        pytest.param([gateway(terminating=True), gateway_pod()], [], id="a terminating instance"),
        pytest.param([gateway_pod()], [], id="pods whose instance is gone"),
        pytest.param([gateway(listeners=[{"name": "a", "port": 9443}])], [("gw", 9443)], id="the listener's port"),
        pytest.param([operator_deployment()], [("ibm-eem-operator", 8443)], id="the operator"),
        pytest.param(
            [operator_deployment(env={"DEPLOY_OPERATOR_NETWORK_POLICY": "false"})], [], id="an exempt operator"
        ),
        pytest.param(
            [operator_deployment(env={"QUARKUS_PROFILE": "nowebhook"})], [], id="an operator without a webhook"
        ),
        pytest.param(
            [gateway("x"), manager("x")], [("x", 3000), ("x", 8081), ("x", 8092)], id="two instances of one name"
        ),
    ],
)
def test_a_default_deny_is_refused_for_each_component_that_needs_ingress(
    objects: list[ApiObject], lost: list[tuple[str, int]]
) -> None:
    """Exempt instances and pods on the host network have nothing to lose; assumed pods do."""
    assert lost_ports(judged(world(*objects), DENY)) == lost


def test_an_operator_without_a_webhook_is_not_called_exempt() -> None:
    """Row 12: it needs nothing, whatever its switch says; the verdict names no exemption."""
    response = judged(world(operator_deployment(env={"QUARKUS_PROFILE": "nowebhook"})), DENY)

    assert (response.result, verdict_of(response).exempt) == ("allowed", None)


def test_each_label_set_of_a_component_is_judged_separately() -> None:
    """A policy may isolate only the pods of the next rollout."""
    rollout = workload("d", owners=[owned_by(gateway())], labels=eem_labels("gw", rollout="2"))
    only_next = policy(pod_selector=selector(rollout="2"))
    (lost,) = verdict_of(judged(world(gateway(), gateway_pod(), rollout), only_next)).lost

    assert (lost.pods.names, lost.pods.assumed, lost.pods.labels["rollout"]) == ((), False, "2")


def test_live_pods_of_one_requirement_are_reported_together() -> None:
    """One loss lists all its pods and the labels that they have in common."""
    objects = [gateway(), gateway_pod("b", labels=eem_labels("gw", n="1")), gateway_pod("a")]
    (lost,) = verdict_of(judged(world(*objects), DENY)).lost

    assert (lost.pods.names, dict(lost.pods.labels)) == (("a", "b"), eem_labels("gw"))


def test_a_named_port_is_resolved_by_the_ports_of_the_pod() -> None:
    """The name is resolved over the pod's containers."""
    named = gateway_pod(ports=[container_port(8092, "kafka")])
    other = gateway_pod(ports=[container_port(8092, "data")])

    assert lost_ports(judged(world(gateway(), named), allow(ports=("kafka",)))) == []
    assert lost_ports(judged(world(gateway(), other), allow(ports=("kafka",)))) == GATEWAY


def test_template_labels_of_an_instance_count_for_its_assumed_pods() -> None:
    """A policy may select by them before the first pod exists."""
    labelled = gateway(template={"labels": {"team": "a"}})
    snapshot = world(labelled)

    assert lost_ports(judged(snapshot, policy(pod_selector=selector(team="a")))) == GATEWAY
    assert lost_ports(judged(snapshot, policy(pod_selector=selector(team="b")))) == []


def test_an_instance_in_another_namespace_is_not_affected() -> None:
    """A policy affects its own namespace only."""
    snapshot = world(gateway(namespace="other"), manager())

    assert lost_ports(judged(snapshot, DENY)) == MANAGER


# The operator: some source


OPERATED = (namespace(), operator_deployment(), pod("o", labels=eem_labels("ibm-eem-operator")))
OPERATOR_SELECTOR = selector(**eem_labels("ibm-eem-operator"))


def operator_policy(*peers: Node, ports: tuple[int, ...] = (8443,)) -> ApiObject:
    rule = from_(*peers, ports=[port(number) for number in ports])
    return policy("operator", pod_selector=OPERATOR_SELECTOR, ingress=[rule])


@pytest.mark.parametrize(
    ("before", "new", "allowed", "warnings"),
    [
        pytest.param([], operator_policy(), True, 0, id="from anywhere"),
        pytest.param([], operator_policy(block("10.0.0.0/8")), True, 0, id="from some addresses, as IBM advises"),
        pytest.param([], operator_policy(peer(pods={})), True, 1, id="from pods alone: a warning"),
        pytest.param([], operator_policy(peer(pods={}), block("192.0.2.1/32")), True, 0, id="from pods and a node"),
        pytest.param([], operator_policy(ports=(9999,)), False, 0, id="from no source"),
        pytest.param([], operator_policy(block("127.0.0.0/8")), False, 0, id="from no unicast address"),
        pytest.param(
            [operator_policy(peer(pods={}))], operator_policy(peer(pods=selector(a="b"))), True, 0, id="fewer"
        ),
        pytest.param(
            [operator_policy(block("10.0.0.0/8"))], operator_policy(peer(pods={})), True, 1, id="pods instead"
        ),
        pytest.param(
            [operator_policy(peer(pods={}))], operator_policy(ports=(1,)), False, 0, id="the last source gone"
        ),
    ],
)
def test_the_operator_needs_some_source_and_a_warning_follows_if_only_pods_are_left(
    before: list[ApiObject],
    new: ApiObject,
    allowed: bool,  # noqa: FBT001
    warnings: int,
) -> None:
    """The API server calls it, and is usually not a pod."""
    snapshot = world(*OPERATED, *before, pod(labels={"a": "b"}))
    response = judged(snapshot, new, before[0] if before else None)

    assert (response.allowed, len(response.warnings)) == (allowed, warnings)


def test_the_operators_warning_gives_the_reason() -> None:
    """It is one line."""
    response = judged(world(*OPERATED), operator_policy(peer(pods={})))

    assert response.warnings == (
        "eem/ibm-eem-operator operator TCP/8443: only selected pods may connect now; the API server is rarely a pod",
    )


# From anywhere, from some


@pytest.mark.parametrize(
    ("options", "annotation", "allowed"),
    [
        pytest.param(Options(), None, False, id="anywhere by default"),
        pytest.param(Options(sources="some"), None, True, id="some by option"),
        pytest.param(Options(), "some", True, id="some by the namespace's annotation"),
        pytest.param(Options(sources="some"), "anywhere", False, id="the annotation beats the option"),
        pytest.param(Options(sources="some"), "Anywhere", True, id="an annotation with an unknown value"),
        pytest.param(Options(), "", False, id="an empty annotation"),
    ],
)
def test_the_namespace_can_set_which_sources_requirements_demand(
    options: Options,
    annotation: str | None,
    allowed: bool,  # noqa: FBT001
) -> None:
    """Under "some" a change may narrow who may connect."""
    annotations = None if annotation is None else {"eem-guardrail.io/sources": annotation}
    client = pod(labels={"app": "client"})
    snapshot = world(namespace(annotations=annotations), gateway(), client, DENY, ALLOW)
    response = judged(snapshot, narrowed(peer(pods=selector(app="client"))), ALLOW, options=options)

    assert response.allowed is allowed


@pytest.mark.parametrize(
    ("new", "old", "result"),
    [
        pytest.param(narrowed(peer(namespaces={}), block("0.0.0.0/0")), None, "allowed", id="allowed"),
        pytest.param(None, ALLOW, "denied", id="refused"),
    ],
)
def test_an_unknown_value_of_an_annotation_is_reported(
    new: ApiObject | None, old: ApiObject | None, result: str
) -> None:
    """Row 24: the namespace is not in the mode that its owner wanted."""
    annotations = {"eem-guardrail.io/mode": "wrn", "eem-guardrail.io/sources": "anywhere"}
    response = judged(world(namespace(annotations=annotations), gateway(), DENY, ALLOW), new, old)
    text = (
        'annotation eem-guardrail.io/mode of namespace eem: "wrn" is unknown and has no effect: use enforce, warn or '
        "audit"
    )

    assert (response.result, response.warnings) == (result, (text,))
    assert response.audit_annotations["unknown-settings"] == text


def test_in_audit_mode_an_unknown_value_is_an_annotation() -> None:
    """The user gets no warning."""
    annotations = {"eem-guardrail.io/sources": "all"}
    snapshot = world(namespace(annotations=annotations), gateway())
    response = judged(snapshot, DENY, options=Options(mode="audit"))

    assert (response.warnings, "unknown-settings" in response.audit_annotations) == ((), True)


def test_losing_the_last_source_is_refused_under_sources_some() -> None:
    """No source is less than some."""
    snapshot = world(gateway(), DENY, ALLOW)
    response = judged(snapshot, None, ALLOW, options=Options(sources="some"))

    assert (response.allowed, lost_ports(response)) == (False, GATEWAY)


def test_a_gateway_that_only_pods_can_reach_is_no_reason_to_warn() -> None:
    """Only the operator is called by the API server."""
    response = judged(world(gateway()), narrowed(peer(namespaces={})), options=Options(sources="some"))

    assert (response.result, response.warnings) == ("allowed", ())


# What cannot be decided


EVERYWHERE = (block("0.0.0.0/0"),)
MOST = (block("0.0.0.0/0", "10.0.0.0/8"),)


@pytest.mark.parametrize(
    ("matches", "strict", "allowed", "decided"),
    [
        pytest.param("yes", False, True, None, id="an ipBlock admits pods: nothing is lost"),
        pytest.param("no", False, False, True, id="it does not: every pod is lost"),
        pytest.param("unknown", False, True, False, id="not known: a warning"),
        pytest.param("unknown", True, False, False, id="not known, under strict: a refusal"),
        pytest.param("yes", True, True, None, id="strict changes nothing where it is known: yes"),
        pytest.param("no", True, False, True, id="strict changes nothing where it is known: no"),
    ],
)
def test_whether_an_ip_block_admits_pods_depends_on_the_plugin(
    matches: Any,
    strict: bool,  # noqa: FBT001
    allowed: bool,  # noqa: FBT001
    decided: bool | None,  # noqa: FBT001
) -> None:
    """An undecided loss is a warning, and a refusal under --strict."""
    options = Options(ipblock_matches_pods=matches, strict=strict)
    response = judged(world(*GUARDED), narrowed(*EVERYWHERE), ALLOW, options=options)
    lost = verdict_of(response).lost

    assert response.allowed is allowed
    assert [item.decided for item in lost] == ([] if decided is None else [decided])


def test_an_undecided_loss_is_a_warning_and_an_audit_annotation() -> None:
    """Both say what is not known."""
    response = judged(world(*GUARDED), narrowed(*EVERYWHERE), ALLOW)

    start = "not decided: EventGateway gw gateway TCP/8092: whether an ipBlock admits pods depends on"
    assert response.result == "warned"
    assert [text.startswith(start) for text in response.warnings] == [True]
    assert dict(response.audit_annotations) == {"undecided": response.warnings[0]}


@pytest.mark.parametrize(
    ("options", "pods", "decided"),
    [
        pytest.param(Options(pod_cidrs=("10.0.0.0/8",)), [], None, id="the exception is the pods' range"),
        pytest.param(Options(pod_cidrs=("10.0.0.0/16",)), [], True, id="the exception is more than their range"),
        pytest.param(Options(), ["10.1.2.3"], False, id="pod addresses were seen in the exception"),
        pytest.param(Options(), ["172.16.0.1"], True, id="pod addresses were seen, but not there"),
        pytest.param(Options(), [], True, id="nothing is known of pods"),
    ],
)
def test_an_exception_that_contains_only_pods_cuts_off_no_other_address(
    options: Options,
    pods: list[str],
    decided: bool | None,  # noqa: FBT001
) -> None:
    """A selector admits the pods here."""
    seen = [pod("seen", "shop", ips=pods)] if pods else []
    new = narrowed(*MOST, peer(namespaces={}))
    lost = verdict_of(judged(world(*GUARDED, *seen), new, ALLOW, options=options)).lost

    assert [item.decided for item in lost] == ([] if decided is None else [decided])


@pytest.mark.parametrize(
    ("options", "ips", "warned"),
    [
        pytest.param(Options(), ["10.0.0.1"], False, id="IPv4 alone was seen"),
        pytest.param(Options(), ["10.0.0.1", "fd00::1"], True, id="IPv6 was seen"),
        pytest.param(Options(ip_families=(4,)), ["10.0.0.1", "fd00::1"], False, id="IPv4 alone by option"),
        pytest.param(Options(ip_families=(4, 6)), ["10.0.0.1"], True, id="both by option"),
        pytest.param(Options(ip_families=(6,)), ["10.0.0.1"], True, id="IPv6 alone by option"),
        pytest.param(Options(ip_families=(4, 6), strict=True), ["10.0.0.1"], True, id="both, under --strict"),
    ],
)
def test_a_loss_of_ipv6_addresses_alone_is_a_warning(
    options: Options,
    ips: list[str],
    warned: bool,  # noqa: FBT001
) -> None:
    """EEM supports IPv4 only: a policy without IPv6 addresses is never refused, under --strict neither."""
    new = narrowed(*EVERYWHERE, peer(namespaces={}))
    response = judged(world(*GUARDED, pod("seen", "shop", ips=ips)), new, ALLOW, options=options)

    assert (response.allowed, verdict_of(response).lost) == (True, ())
    assert list(response.warnings) == (
        ["eem/gw gateway TCP/8092: IPv6 such as 2000::/3 is cut off (EEM supports IPv4 only)"] if warned else []
    )


def test_a_loss_of_ipv6_addresses_is_not_told_beside_a_refusal() -> None:
    """Where IPv4 addresses or pods are lost, the refusal names those."""
    response = judged(world(*GUARDED), narrowed(peer(namespaces={})), ALLOW, options=Options(ip_families=(4, 6)))

    assert (response.allowed, response.warnings) == (False, ())
    assert "addresses outside the cluster such as 32.0.0.0/3" in verdict_of(response).message


def test_both_families_and_all_pods_are_everyone_in_a_dual_stack_cluster() -> None:
    """Nothing is lost if every pod is admitted by a selector."""
    new = narrowed(*EVERYWHERE, block("::/0"), peer(namespaces={}))

    assert judged(world(*GUARDED, pod("seen", "shop", ips=["10.0.0.1", "fd00::1"])), new, ALLOW).result == "allowed"


@pytest.mark.parametrize(
    ("labels", "lost"),
    [
        pytest.param({"team": "shop"}, [], id="the namespace has the label"),
        pytest.param({"team": "bank"}, GATEWAY, id="the namespace has another one"),
        pytest.param({}, GATEWAY, id="the namespace has none"),
        pytest.param(None, GATEWAY, id="the namespace is not there yet"),
    ],
)
def test_the_labels_of_an_existing_namespace_are_known(labels: Node | None, lost: list[tuple[str, int]]) -> None:
    """An allow for a namespace by its name is turned into one for its team."""
    by_name = allow("allow-shop", peer(namespaces=selector(**{NAME_LABEL: "shop"})))
    by_team = allow("allow-shop", peer(namespaces=selector(team="shop")))
    there = [] if labels is None else [namespace("shop", labels=labels)]

    assert lost_ports(judged(world(*EEM, DENY, ALLOW_MANAGER, by_name, *there), by_team, by_name)) == lost


def test_a_stored_policy_that_cannot_be_read_makes_a_loss_undecided() -> None:
    """It may admit everyone or no one."""
    unreadable = policy("odd", pod_selector=selector(**eem_labels("gw")), ingress=[{"from": [{}]}])
    snapshot = world(*GUARDED).with_object(unreadable)
    response = judged(snapshot, None, ALLOW)

    assert (response.allowed, [item.decided for item in verdict_of(response).lost]) == (True, [False])
    assert not judged(snapshot, None, ALLOW, options=Options(strict=True)).allowed


def test_a_sure_loss_is_refused_beside_an_undecided_one() -> None:
    """The message has the sure losses, and the verdict has both."""
    snapshot = world(*EEM, policy("open", ingress=[from_()]))
    new = policy("open", ingress=[from_(*EVERYWHERE, ports=[port(8092)])])
    response = judged(snapshot, new, policy("open", ingress=[from_()]))

    assert [(item.port, item.decided) for item in verdict_of(response).lost] == [
        (3000, True),
        (8081, True),
        (8092, False),
    ]
    assert "8092" not in response.message
    assert [cause.field for cause in response.causes] == ["manager:TCP/3000", "manager:TCP/8081"]


# Terminating policies


GOING = {"terminating": True}


@pytest.mark.parametrize(
    ("before", "new", "old", "lost"),
    [
        pytest.param([default_deny(**GOING)], ALLOW, None, [], id="an allow beside a terminating deny"),
        pytest.param(
            [default_deny(**GOING)],
            narrowed(peer(pods={})),
            None,
            GATEWAY,
            id="in the world where the deny is gone, a narrow allow is what isolates",
        ),
        pytest.param(
            [DENY, allow(**GOING), allow("twin")], None, allow("twin"), GATEWAY, id="a terminating allow admits nothing"
        ),
        pytest.param([allow(**GOING)], DENY, None, GATEWAY, id="a deny beside a terminating allow"),
        pytest.param([DENY, allow(**GOING)], None, DENY, [], id="the deny deleted beside a terminating allow"),
        pytest.param([DENY, allow(**GOING)], None, allow(**GOING), [], id="a terminating policy is deleted again"),
        pytest.param(
            [DENY, allow(**GOING)],
            allow(ports=(1,), **GOING),
            allow(**GOING),
            GATEWAY,
            id="its spec is judged like any: narrowed",
        ),
        pytest.param(
            [DENY, allow(ports=(1,), **GOING)],
            allow(**GOING),
            allow(ports=(1,), **GOING),
            [],
            id="its spec is judged like any: widened",
        ),
        pytest.param(
            [default_deny(**GOING)],
            allow("new", ports=(1,)),
            None,
            GATEWAY,
            id="in the world where the deny is gone, the port is lost",
        ),
        pytest.param([DENY, default_deny("b", **GOING)], allow("new", ports=(1,)), None, [], id="another deny stays"),
    ],
)
def test_a_change_is_judged_with_and_without_terminating_policies(
    before: list[ApiObject], new: ApiObject | None, old: ApiObject | None, lost: list[tuple[str, int]]
) -> None:
    """A terminating policy isolates and admits nothing, and may soon be gone. Edits of its spec are judged."""
    response = judged(world(gateway(), gateway_pod(), *before), new, old)

    assert lost_ports(response) == lost


def test_the_deletion_timestamp_of_the_old_object_counts() -> None:
    """The request is newer than the cache."""
    snapshot = world(gateway(), DENY, ALLOW)
    going = allow()
    going["metadata"]["deletionTimestamp"] = ANOTHER_TIME

    assert (lost_ports(judged(snapshot, None, going)), lost_ports(judged(snapshot, None, ALLOW))) == ([], GATEWAY)


# Modes


@pytest.mark.parametrize(
    ("service", "annotation", "result"),
    [
        pytest.param("enforce", None, "denied", id="enforce"),
        pytest.param("warn", None, "warned", id="warn"),
        pytest.param("audit", None, "audited", id="audit"),
        pytest.param("enforce", "warn", "warned", id="the namespace warns"),
        pytest.param("enforce", "audit", "audited", id="the namespace audits"),
        pytest.param("audit", "enforce", "denied", id="the namespace enforces"),
        pytest.param("warn", "off", "warned", id="no mode counts as not set"),
        pytest.param("warn", "Enforce", "warned", id="a capital is no mode"),
        pytest.param("warn", "", "warned", id="empty is no mode"),
    ],
)
@pytest.mark.parametrize("change", [DENY, policy(ingress=[from_(ports=[port(0)])])], ids=["lost", "faulty"])
def test_the_mode_turns_a_refusal_into_its_result(
    service: Any, annotation: str | None, result: str, change: Node
) -> None:
    """The namespace's annotation takes precedence over the service's mode."""
    annotations = None if annotation is None else {"eem-guardrail.io/mode": annotation}
    snapshot = world(namespace(annotations=annotations), gateway())
    response = judged(snapshot, change, options=Options(mode=service))

    assert (response.result, response.allowed) == (result, result != "denied")


def test_warn_mode_warns_the_user_and_audit_mode_only_annotates() -> None:
    """Both write the refusal into the audit annotation."""
    enforced, warned, audited = (
        judged(world(gateway()), DENY, options=Options(mode=mode)) for mode in ("enforce", "warn", "audit")
    )

    assert dict(enforced.audit_annotations) == {"denied": enforced.message}
    assert dict(warned.audit_annotations) == dict(audited.audit_annotations) == {"would-deny": enforced.message}
    assert (len(warned.warnings), audited.warnings) == (1, ())
    assert warned.warnings[0].startswith("would be refused: EventGateway eem/gw: gateway TCP/8092")


def test_a_warning_about_a_fault_names_the_field() -> None:
    """The message alone does not say where the fault is."""
    faulty = policy(ingress=[from_(ports=[port(0)])])
    response = judged(world(gateway()), faulty, options=Options(mode="warn"))

    assert response.warnings == (
        "would be refused: spec.ingress[0].ports[0].port: must be between 1 and 65535, not the number 0",
    )


def test_the_mode_of_another_namespace_does_not_apply() -> None:
    """Each namespace has its own mode."""
    snapshot = world(namespace("other", annotations={"eem-guardrail.io/mode": "audit"}), gateway())

    assert judged(snapshot, DENY).result == "denied"


# Objects that cannot be understood


def test_a_new_object_that_cannot_be_understood_is_refused_with_every_fault() -> None:
    """The status is 422, and each fault has its field."""
    rules = [from_(block("10.0.0.0/99"), ports=[port(70000)])]
    response = judged(world(gateway()), policy(ingress=rules))

    assert (response.code, response.reason, response.allowed) == (422, "Invalid", False)
    assert [cause.field for cause in response.causes] == [
        "spec.ingress[0].from[0].ipBlock.cidr",
        "spec.ingress[0].ports[0].port",
    ]
    assert [fault.field for fault in verdict_of(response).faults] == [cause.field for cause in response.causes]


def test_faults_of_the_old_object_do_not_refuse_an_update() -> None:
    """Old objects stay editable; an additional fault is refused."""
    old = policy("odd", pod_selector=selector(a="b"), ingress=[from_(ports=[port(0)])])
    better = policy("odd", pod_selector=selector(a="c"), ingress=[from_(ports=[port(0)])])
    worse = policy("odd", pod_selector=selector(a="c"), ingress=[from_(ports=[port(0), port(-1)])])
    snapshot = world(gateway()).with_object(old)

    assert judged(snapshot, better, old).allowed
    assert [fault.field for fault in verdict_of(judged(snapshot, worse, old)).faults] == [
        "spec.ingress[0].ports[1].port"
    ]


# What is no request of this webhook


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        pytest.param({"operation": "CONNECT"}, "request.operation", id="a connection"),
        pytest.param({"namespace": ""}, "request.namespace", id="no namespace"),
        pytest.param({"object": None}, "request.object", id="a creation of nothing"),
        pytest.param({"operation": "UPDATE"}, "request.oldObject", id="an update of nothing"),
        pytest.param({"operation": "UPDATE", "object": None}, "request.object", id="an update to nothing"),
        pytest.param(
            {"resource": {"group": "extensions", "version": "v1beta1", "resource": "networkpolicies"}},
            "request.resource",
            id="another group",
        ),
        pytest.param(
            {"resource": {"group": "networking.k8s.io", "version": "v1", "resource": "ingresses"}},
            "request.resource",
            id="another resource",
        ),
        pytest.param({"operation": "DELETE", "name": "", "object": None}, "request.name", id="nothing is named"),
    ],
)
def test_a_request_about_something_else_raises_an_error(fields: Node, path: str) -> None:
    """The API server applies its failurePolicy."""
    with pytest.raises(ReviewError) as caught:
        judged(world(gateway()), DENY, **fields)
    assert (caught.value.path, caught.value.status) == (path, 400)


@pytest.mark.parametrize("metadata", [None, {}, {"name": None}, {"name": ""}, {"name": 5}, [], 5, "x"], ids=str)
def test_a_deletion_without_a_name_raises_an_error(metadata: Any) -> None:
    """To allow it would be to allow any deletion."""
    old = ALLOW | {"metadata": metadata}
    with pytest.raises(ReviewError):
        judged(world(*GUARDED), None, ALLOW, name=None, oldObject=old)


def test_the_resource_of_the_request_counts_and_not_its_kind() -> None:
    """The webhook is registered for the resource."""
    kind = {"group": "example.com", "version": "v9", "kind": "Unknown"}

    assert not judged(world(gateway()), DENY, kind=kind).allowed


def test_a_request_made_in_python_is_decided_like_one_from_the_wire() -> None:
    """A program that embeds the core may leave the name to the object."""
    request = AdmissionRequest(
        uid="1",
        operation="DELETE",
        kind=GroupVersionKind(group="networking.k8s.io", version="v1", kind="NetworkPolicy"),
        resource=GroupVersionResource(group="networking.k8s.io", version="v1", resource="networkpolicies"),
        namespace="eem",
        old_object=ALLOW,
    )
    response = decide(request, world(*GUARDED), Options())

    assert (response, verdict_of(response).resource.name) == (judged(world(*GUARDED), None, ALLOW), "allow-clients")


def test_an_empty_snapshot_allows_everything() -> None:
    """Without EEM there is nothing to guard; the guard checks that the cache is synced."""
    assert judged(EemSnapshot.empty(), DENY).result == "allowed"


# Hard selectors


def test_a_requirement_split_over_two_policies_holds() -> None:
    """Policies add up: pods with a label and pods without it are all pods."""
    halves = [
        allow("with", peer(pods=selector(expression("team", "Exists")), namespaces={})),
        allow("without", peer(pods=selector(expression("team", "DoesNotExist")), namespaces={}), block("0.0.0.0/0")),
    ]
    response = judged(world(*EEM, ALLOW_MANAGER, ALLOW, *halves), None, ALLOW)

    assert response.allowed
    assert lost_ports(judged(world(gateway(), ALLOW, halves[0], DENY), None, ALLOW)) == GATEWAY


def test_an_instance_with_the_operators_name_is_guarded_beside_it() -> None:
    """Both need their own ports."""
    objects = [instance("ibm-eem-operator"), operator_deployment()]

    assert lost_ports(judged(world(*objects), DENY)) == [
        ("ibm-eem-operator", 3000),
        ("ibm-eem-operator", 8081),
        ("ibm-eem-operator", 8443),
    ]


def test_a_decision_does_not_change_the_request() -> None:
    """The object of the request stays as it was on the wire."""
    request = asked(DENY)
    before = repr(request)
    decide(request, world(*EEM, gateway_pod(GATEWAY_POD)), Options())

    assert repr(request) == before


def test_audit_mode_only_annotates_an_undecided_loss() -> None:
    """The user gets no warning."""
    to_addresses = allow("allow-clients", block("0.0.0.0/0"))
    here = world(gateway(), gateway_pod(), default_deny(), allow())

    found = judged(here, to_addresses, allow(), options=Options(mode="audit"))

    assert (True, (), "audited") == (found.allowed, found.warnings, found.result)
    assert "not decided" in found.audit_annotations["noted"]


def test_pod_ranges_of_a_family_that_is_not_in_use_hide_no_loss() -> None:
    """A `--pod-cidr` of a family that is not in use is ignored: pods that lose their access are still found."""
    to_a_team = allow("allow-clients", peer(namespaces=selector(team="a")), block("0.0.0.0/0", "10.0.0.0/8"))
    here = world(gateway(), gateway_pod(ips=["10.0.0.5"]), default_deny(), allow())
    options = Options(pod_cidrs=("fd00::/8",), ip_families=(4,), ipblock_matches_pods="yes")

    assert not judged(here, to_a_team, allow(), options=options).allowed


def test_labels_with_unknown_values_cost_nothing_where_no_policy_selects_by_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each port of assumed pods is judged once, and again where a policy selects by such a label."""
    asked: list[object] = []

    def counted(*parts: Any) -> object:
        asked.append(parts)
        return lost_from_anywhere(*parts)

    monkeypatch.setattr(judge_module, "lost_from_anywhere", counted)
    by_hash = policy("by-hash", pod_selector=selector(**{"pod-template-hash": "7f9c"}), policy_types=["Ingress"])

    assert not judged(world(namespace("eem"), manager(), gateway()), default_deny()).allowed
    assert len(asked) == 3

    asked.clear()
    response = judged(world(namespace("eem"), gateway(), by_hash), default_deny())

    assert [lost.decided for lost in verdict_of(response).lost] == [False]
    assert len(asked) == 3  # in one reading the port was open; in the other it was closed, which is asked as well
