"""Requests that are allowed without evaluation, and requests that only look like them."""

from collections.abc import Iterable
from typing import Any

import pytest
from builders import (
    GATEWAY_KIND,
    ApiObject,
    Node,
    eem_labels,
    namespace,
    operator_deployment,
    owned_by,
    owner,
    policy,
)

from admission.reviews import (
    allow,
    answer,
    asked,
    default_deny,
    gateway,
    installed_for,
    judged,
    lost_ports,
    manager,
    verdict_of,
    world,
)
from webhook.admission import AdmissionResponse, Options, decide
from webhook.admission.exemptions import CANARY_NAMESPACE, HEARTBEAT_NAME, HEARTBEAT_REFUSAL
from webhook.admission.options import Mode

GARBAGE_COLLECTOR = "system:serviceaccount:kube-system:generic-garbage-collector"
NAMESPACE_CONTROLLER = "system:serviceaccount:kube-system:namespace-controller"
OPERATOR = "system:serviceaccount:operators:ibm-eem-operator"
ELSEWHERE = operator_deployment(namespace="operators")
WORLD = (gateway(), ELSEWHERE)


def exempt_of(response: AdmissionResponse) -> str | None:
    return verdict_of(response).exempt


@pytest.mark.parametrize(
    ("extra", "fields", "why"),
    [
        pytest.param([namespace(terminating=True)], {}, "namespace-terminating", id="a namespace being deleted"),
        pytest.param([namespace(phase="Terminating")], {}, "namespace-terminating", id="a namespace in that phase"),
        pytest.param([], {"username": GARBAGE_COLLECTOR}, "garbage-collector", id="the garbage collector"),
        pytest.param([], {"username": NAMESPACE_CONTROLLER}, "namespace-controller", id="the namespace controller"),
        pytest.param([], {"username": OPERATOR}, "operator", id="the operator's service account, from its namespace"),
        pytest.param([], {"sub_resource": "status"}, "status", id="a status update"),
    ],
)
def test_an_exempt_request_is_allowed_and_names_the_reason(extra: list[ApiObject], fields: Node, why: str) -> None:
    """The reason is in the verdict and in an audit annotation, and the metrics count the request as exempt."""
    response = judged(installed_for(world(*WORLD, *extra), "operators"), default_deny(), **fields)

    assert (response.allowed, response.result, exempt_of(response), dict(response.audit_annotations)) == (
        True,
        "exempt",
        why,
        {"exempt": why},
    )


@pytest.mark.parametrize(
    "username",
    [
        pytest.param("alice", id="a person"),
        pytest.param("", id="no name"),
        pytest.param("system:admin", id="the administrator"),
        pytest.param("system:serviceaccount:eem:generic-garbage-collector", id="a collector elsewhere"),
        pytest.param("generic-garbage-collector", id="a user called as the collector"),
        pytest.param(GARBAGE_COLLECTOR.upper(), id="the collector in capitals"),
        pytest.param(GARBAGE_COLLECTOR + " ", id="the collector and a space"),
        pytest.param("system:serviceaccount:eem:namespace-controller", id="a namespace controller elsewhere"),
        pytest.param("system:serviceaccount:kube-system:replicaset-controller", id="another controller"),
        pytest.param("system:serviceaccount:eem:ibm-eem-operator", id="the operator's account in another namespace"),
        pytest.param("system:serviceaccount:operators:default", id="another account of the operator's namespace"),
        pytest.param("system:serviceaccount:operators:ibm-eem-operator:x", id="a name that begins alike"),
        pytest.param("ibm-eem-operator", id="a user called as the operator"),
    ],
)
def test_a_similar_user_name_is_not_exempt(username: str) -> None:
    """The request is evaluated and refused."""
    response = judged(world(*WORLD), default_deny(), username=username)

    assert (response.allowed, response.code) == (False, 403)


@pytest.mark.parametrize("groups", [["system:masters"], ["system:serviceaccounts:operators"], None, []], ids=str)
def test_no_group_is_exempt(groups: list[str] | None) -> None:
    """Only the user name counts."""
    assert not judged(world(*WORLD), default_deny(), userInfo={"username": "alice", "groups": groups}).allowed


@pytest.mark.parametrize("missing", [None, {}])
def test_a_request_without_a_user_is_evaluated(missing: Any) -> None:
    """It is not exempt."""
    assert not judged(world(*WORLD), default_deny(), userInfo=missing).allowed


# The operator


FORGED = operator_deployment(namespace="shop", service_account="shopkeeper")


@pytest.mark.parametrize(
    ("objects", "noted", "user", "result"),
    [
        pytest.param(WORLD, {"operators"}, "operators:ibm-eem-operator", "exempt", id="where EEM was installed from"),
        pytest.param([gateway()], {"operators"}, "operators:ibm-eem-operator", "exempt", id="without a Deployment"),
        pytest.param(WORLD, {"operators"}, "operators:default", "denied", id="another account there"),
        pytest.param(WORLD, set(), "operators:ibm-eem-operator", "denied", id="EEM does not tell by whom"),
        pytest.param(WORLD, {"a", "operators"}, "a:ibm-eem-operator", "exempt", id="several operators"),
        pytest.param([*WORLD, FORGED], {"operators"}, "shop:shopkeeper", "denied", id="only labels"),
        pytest.param([*WORLD, operator_deployment()], {"operators"}, "operators:ibm-eem-operator", "denied",
                     id="a namespace with another operator"),
        pytest.param([*WORLD, operator_deployment()], {"eem"}, "eem:ibm-eem-operator", "exempt",
                     id="a namespace with its own operator"),
    ],
)  # fmt: skip
def test_the_operator_is_told_by_what_administrators_write(
    objects: Iterable[ApiObject], noted: set[str], user: str, result: str
) -> None:
    """Labels never let an account pass: it must be where EEM's kinds were installed from."""
    snapshot = installed_for(world(*objects), *noted)

    assert judged(snapshot, default_deny(), username=f"system:serviceaccount:{user}").result == result


def test_the_setting_replaces_the_account_that_was_found() -> None:
    """No other account is exempt any more."""
    options = Options(operator_service_account="own/account")
    snapshot = installed_for(world(*WORLD), "operators")
    responses = {
        user: judged(snapshot, default_deny(), options=options, username=user)
        for user in ("system:serviceaccount:own:account", OPERATOR, "system:serviceaccount:own:other")
    }

    assert [response.result for response in responses.values()] == ["exempt", "denied", "denied"]
    assert "--operator-service-account" not in responses[OPERATOR].message


@pytest.mark.parametrize("broken", [default_deny(), policy("p", ingress=[{"from": 1}])], ids=["a loss", "a fault"])
def test_the_refusal_of_an_operator_that_is_not_identified_names_the_setting(broken: ApiObject) -> None:
    """It names the account of the operator's Deployment; other users are not told."""
    told = judged(world(*WORLD), broken, username=OPERATOR).message
    other = judged(world(*WORLD), broken, username="alice").message

    assert told.endswith("(If this is the EEM operator: --operator-service-account operators/ibm-eem-operator.)")
    assert "--operator-service-account" not in other


# An UPDATE that leaves the spec alone


OLD = allow()
DENY = default_deny()


def changed(**meta: Any) -> ApiObject:
    """Return the policy OLD with other metadata."""
    return OLD | {"metadata": OLD["metadata"] | meta}


@pytest.mark.parametrize(
    "new",
    [
        pytest.param(OLD, id="nothing at all"),
        pytest.param(changed(labels={"a": "b"}), id="labels"),
        pytest.param(changed(annotations={"a": "b"}), id="annotations"),
        pytest.param(changed(finalizers=[]), id="finalizers"),
        pytest.param(changed(ownerReferences=[]), id="an empty list of owners"),
        pytest.param(changed(ownerReferences=None), id="no owners"),
        pytest.param(changed(annotations={"eem-guardrail.io/bypass": "because"}), id="a bypass, which counts nothing"),
    ],
)
def test_an_update_that_leaves_the_spec_unchanged_is_exempt(new: ApiObject) -> None:
    """It does not change who may connect."""
    response = judged(world(*WORLD, DENY, OLD), new, OLD)

    assert (response.allowed, exempt_of(response)) == (True, "spec-unchanged")


@pytest.mark.parametrize(("old_spec", "new_spec"), [({}, None), (None, {}), (None, None), ({}, {})])
def test_null_and_missing_specs_are_the_same(old_spec: Any, new_spec: Any) -> None:
    """The API server reads both as an empty spec."""
    old, new = DENY | {"spec": old_spec}, DENY | {"spec": new_spec}

    assert exempt_of(judged(world(*WORLD, DENY), new, old)) == "spec-unchanged"


def test_a_bypass_annotation_on_a_new_policy_is_ignored() -> None:
    """Break-glass is not implemented."""
    new = default_deny(annotations={"eem-guardrail.io/bypass": "because"})

    assert not judged(world(*WORLD), new).allowed


# ... but adds an owner


LIVE = gateway("live", uid="uid-of-live")


@pytest.mark.parametrize(
    ("instances", "reference", "is_judged"),
    [
        pytest.param([LIVE], owned_by(LIVE), False, id="a live instance"),
        pytest.param([LIVE], owned_by(LIVE) | {"uid": "old"}, True, id="the uid of an instance that was"),
        pytest.param([LIVE], owned_by(LIVE) | {"uid": ""}, True, id="no uid"),
        pytest.param([LIVE], owned_by(LIVE) | {"name": "nobody"}, True, id="an instance that does not exist"),
        pytest.param([LIVE], owned_by(LIVE) | {"kind": "EventEndpointManagement"}, True, id="the wrong kind"),
        pytest.param([LIVE], owned_by(LIVE) | {"apiVersion": "example.com/v1"}, True, id="the wrong group"),
        pytest.param(
            [gateway("live", uid="uid-of-live", terminating=True)], owned_by(LIVE), True, id="a terminating instance"
        ),
        pytest.param(
            [gateway("live", namespace="other", uid="uid-of-live")], owned_by(LIVE), True, id="one of another namespace"
        ),
        pytest.param(
            [gateway("live", uid="uid-of-live", deploy_network_policies=False)],
            owned_by(LIVE),
            False,
            id="a live instance that is exempt is live",
        ),
        pytest.param([LIVE], owner("ConfigMap", "c", "v1"), True, id="something else, live or not"),
        pytest.param([LIVE], {}, True, id="an empty reference"),
        pytest.param([LIVE], "x", True, id="a reference that is no object"),
    ],
)
def test_an_update_that_adds_an_owner_is_judged_as_a_deletion_unless_the_owner_is_a_live_instance(
    instances: list[ApiObject],
    reference: Any,
    is_judged: bool,  # noqa: FBT001
) -> None:
    """The garbage collector may delete the policy, and that deletion is exempt."""
    response = judged(world(*WORLD, *instances, DENY, OLD), changed(ownerReferences=[reference]), OLD)

    assert (response.allowed, exempt_of(response)) == ((False, None) if is_judged else (True, "spec-unchanged"))


def test_an_update_that_adds_an_owner_loses_what_the_deletion_loses() -> None:
    """The losses are the same."""
    snapshot = world(*WORLD, DENY, OLD)
    owned = judged(snapshot, changed(ownerReferences=[owner("ConfigMap", "gone", "v1")]), OLD)

    assert lost_ports(owned) == lost_ports(judged(snapshot, None, OLD)) == [("gw", 8092)]


def test_an_owner_of_a_policy_that_no_requirement_needs_is_allowed() -> None:
    """The update is judged, and nothing is lost."""
    spare = allow("spare")
    new = spare | {"metadata": spare["metadata"] | {"ownerReferences": [owner("ConfigMap", "gone", "v1")]}}
    response = judged(world(*WORLD, DENY, OLD, spare), new, spare)

    assert (response.allowed, exempt_of(response)) == (True, None)


def test_an_owner_that_only_becomes_the_controller_is_no_new_owner() -> None:
    """The policy has the same owners as before."""
    reference = owner("ConfigMap", "c", "v1")
    old = changed(ownerReferences=[reference | {"controller": False}])
    new = changed(ownerReferences=[reference | {"controller": True}])

    assert exempt_of(judged(world(*WORLD, DENY, old), new, old)) == "spec-unchanged"


def test_an_owner_that_the_policy_already_has_is_not_added() -> None:
    """Only owners that the UPDATE adds count."""
    old = changed(ownerReferences=[owner("ConfigMap", "c", "v1")])
    new = old | {"metadata": old["metadata"] | {"labels": {"a": "b"}}}

    assert exempt_of(judged(world(*WORLD, DENY, old), new, old)) == "spec-unchanged"


def test_removing_owners_is_exempt() -> None:
    """The garbage collector has fewer reasons to delete the policy."""
    old = changed(ownerReferences=[owner("ConfigMap", "c", "v1")])

    assert exempt_of(judged(world(*WORLD, DENY, old), OLD, old)) == "spec-unchanged"


def test_an_owner_from_a_file_is_compared_by_name() -> None:
    """Objects in files have no uid."""
    live = gateway("live")
    del live["metadata"]["uid"]
    new = changed(ownerReferences=[owner(GATEWAY_KIND, "live", "events.ibm.com/v1beta1", uid="any")])

    assert exempt_of(judged(world(*WORLD, live, DENY, OLD), new, OLD)) == "spec-unchanged"


def test_an_update_that_adds_an_owner_reports_each_loss_once() -> None:
    """A requirement that both the update and the deletion take away is lost once."""
    new = allow(ports=(9999,), owners=[owner("ConfigMap", "gone", "v1")])
    response = judged(world(*WORLD, DENY, OLD), new, OLD)

    assert lost_ports(response) == [("gw", 8092)]
    assert len(response.causes) == 1


def test_an_update_that_adds_an_owner_is_judged_as_the_update_too() -> None:
    """The deletion alone would be allowed here, but not the update."""
    old = policy("other", pod_selector={"matchLabels": {"nobody": "here"}}, ingress=[])
    new = default_deny("other", owners=[owner("ConfigMap", "gone", "v1")])
    response = judged(world(gateway(), old), new, old)

    assert lost_ports(response) == [("gw", 8092)]


def test_a_new_policy_may_have_any_owner() -> None:
    """Its deletion restores the state before its creation."""
    assert judged(world(*WORLD), allow(owners=[owner("ConfigMap", "gone", "v1")])).allowed


# Where the instances concerned are exempt


def test_a_change_that_touches_only_exempt_instances_is_exempt() -> None:
    """Their owner has turned deployNetworkPolicies off."""
    response = judged(world(gateway(deploy_network_policies=False)), default_deny())

    assert (response.allowed, exempt_of(response), dict(response.audit_annotations)) == (
        True,
        "deployNetworkPolicies",
        {"exempt": "deployNetworkPolicies"},
    )


@pytest.mark.parametrize(
    ("objects", "change", "expected"),
    [
        pytest.param(
            [gateway(deploy_network_policies=False), manager()],
            allow("a", to="gw"),
            "deployNetworkPolicies",
            id="the instance that is not exempt is not touched",
        ),
        pytest.param(
            [gateway(deploy_network_policies=False), manager()],
            allow("a", to="mgr", ports=(3000, 8081)),
            None,
            id="only the instance that is not exempt is touched",
        ),
        pytest.param(
            [gateway(deploy_network_policies=False), manager()],
            allow("a", to=None, ports=(3000, 8081)),
            None,
            id="both are touched",
        ),
        pytest.param(
            [gateway(deploy_network_policies=False)],
            policy("a", pod_selector={"matchLabels": {"a": "b"}}),
            None,
            id="nothing of EEM's is touched",
        ),
    ],
)
def test_a_change_is_exempt_only_if_every_instance_that_it_touches_is(
    objects: list[ApiObject], change: ApiObject, expected: str | None
) -> None:
    """Instances that the change does not touch do not matter."""
    response = judged(world(*objects), change)

    assert (response.allowed, exempt_of(response)) == (True, expected)


def test_a_namespace_without_eem_needs_no_exemption() -> None:
    """A change there is allowed, and is not counted as exempt."""
    response = judged(world(namespace("shop")), default_deny(namespace="shop", labels=eem_labels("gw")))

    assert (response.result, exempt_of(response)) == ("allowed", None)


# The heartbeat


HEARTBEAT = policy(HEARTBEAT_NAME, namespace=CANARY_NAMESPACE)


@pytest.mark.parametrize("dry_run", [True, False], ids=["dry run", "for real"])
@pytest.mark.parametrize("mode", ["enforce", "warn", "audit"])
def test_the_heartbeat_is_refused_in_every_mode(mode: Mode, *, dry_run: bool) -> None:
    """The mode does not apply to it; it has its own message and is counted separately."""
    request = asked(HEARTBEAT, dry_run=dry_run)
    response = decide(request, world(), Options(mode=mode))
    sent = answer(request, response)["response"]

    assert (response.result, sent["allowed"], sent["status"]["code"]) == ("heartbeat", False, 403)
    assert sent["status"]["message"] == HEARTBEAT_REFUSAL


@pytest.mark.parametrize(
    ("new", "old"),
    [
        pytest.param(policy(HEARTBEAT_NAME, namespace="shop"), None, id="in another namespace"),
        pytest.param(default_deny(namespace=CANARY_NAMESPACE), None, id="of another name"),
        pytest.param(HEARTBEAT, policy(HEARTBEAT_NAME, namespace=CANARY_NAMESPACE, ingress=[{}]), id="an update"),
        pytest.param(None, HEARTBEAT, id="the deletion of one that exists"),
    ],
)
def test_a_similar_request_is_not_the_heartbeat(new: dict[str, object] | None, old: dict[str, object] | None) -> None:
    """A request with another namespace, name or operation is evaluated."""
    assert judged(world(), new, old).allowed
