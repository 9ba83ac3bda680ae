"""Changes of cluster-wide policies that cut egress that EEM needs: judged as for a NetworkPolicy, in one message."""

from dataclasses import replace
from typing import Any

import pytest
from builders import (
    ApiObject,
    admin_policy,
    baseline_policy,
    cluster_policy,
    namespace,
    namespaces,
    operator_deployment,
    pods,
    rule,
    selector,
    to,
)

from admission.egress_scene import (
    CLUSTER,
    EEM,
    ENFORCED,
    NETWORK,
    TO_DNS,
    dns,
    doubtful_needs,
    in_namespace,
    limits,
    refused_needs,
)
from admission.reviews import asked, gateway, gateway_pod, verdict_of, world
from webhook.admission import AdmissionResponse, Options
from webhook.admission.clusterpolicy import decide_cluster_policy

SEEN = replace(ENFORCED, service_translation="before-policy")
API = {"networks": ["10.0.0.0/30"]}


def out(action: str, *peers: Any, **fields: Any) -> Any:
    return rule(action, *(peers or (namespaces(),)), field="to", **fields)


def guard(*egress: Any, **fields: Any) -> ApiObject:
    return admin_policy("guard", egress=list(egress), **fields)


def judged_wide(
    objects: tuple[ApiObject, ...], new: ApiObject | None, old: ApiObject | None = None, options: Options = SEEN
) -> AdmissionResponse:
    return decide_cluster_policy(asked(new, old), world(*objects), options)


DENY, ALLOW = out("Deny"), out("Allow")
SHOP = pods(selector(app="web"))


@pytest.mark.parametrize(
    ("objects", "new", "old", "refused", "doubtful"),
    [
        pytest.param(CLUSTER, guard(DENY), None, ["E1", "E3", "E5"], ["E4"], id="a Deny of all pods"),
        pytest.param(
            CLUSTER, cluster_policy("c", egress=[out("Deny", API)]), None, ["E2"], ["E4"], id="a Deny of a network"
        ),
        pytest.param(
            CLUSTER, baseline_policy(egress=[DENY]), None, ["E1", "E3", "E5"], ["E4"], id="Baseline, nothing isolates"
        ),
        pytest.param(
            (*CLUSTER, limits(to(), pods={})),
            baseline_policy(egress=[DENY]),
            None,
            [],
            [],
            id="Baseline, a policy isolates",
        ),
        pytest.param(
            (*CLUSTER, limits(TO_DNS), guard(ALLOW)), None, guard(ALLOW), ["E3"], ["E4"], id="an Allow is deleted"
        ),
        pytest.param((*CLUSTER, guard(DENY)), None, guard(DENY), [], [], id="a Deny is deleted"),
        pytest.param(CLUSTER, guard(ALLOW), None, [], [], id="an Allow takes nothing away"),
        pytest.param((*CLUSTER, limits(to())), guard(ALLOW), None, [], [], id="an Allow beside a policy"),
        pytest.param(
            (*CLUSTER, guard(out("Pass"), DENY)),
            guard(DENY),
            guard(out("Pass"), DENY),
            ["E1", "E3", "E5"],
            ["E4"],
            id="a Pass before a Deny goes",
        ),
        pytest.param(
            (*CLUSTER, guard(out("Deny", SHOP))),
            guard(out("Deny", SHOP), out("Deny", API)),
            guard(out("Deny", SHOP)),
            ["E2"],
            ["E4"],
            id="a second Deny",
        ),
        pytest.param(
            CLUSTER, guard(out("Deny", ports=[{"portNumber": {"port": 8081}}])), None, ["E1"], ["E4"], id="a port"
        ),
        pytest.param(CLUSTER, guard(out("Deny", SHOP)), None, [], ["E4"], id="some pods, of which one may be Kafka"),
        pytest.param(CLUSTER, guard(DENY, subject=namespaces(team="shop")), None, [], [], id="other subjects"),
        pytest.param(CLUSTER, guard(), None, [], [], id="no rule"),
        pytest.param(
            (*NETWORK, namespace(annotations={"eem-guardrail.io/egress": "off"}), *EEM[1:]),
            guard(DENY),
            None,
            [],
            [],
            id="egress is not judged",
        ),
    ],
)
def test_a_change_of_a_cluster_wide_policy(
    objects: tuple[ApiObject, ...],
    new: ApiObject | None,
    old: ApiObject | None,
    refused: list[str],
    doubtful: list[str],
) -> None:
    """A need is lost if some path was reachable and none is."""
    response = judged_wide(objects, new, old)

    assert (refused_needs(response), doubtful_needs(response)) == (refused, doubtful)
    assert response.allowed is not bool(refused)


def test_where_egress_is_not_enforced_the_loss_is_a_warning() -> None:
    """As for a NetworkPolicy, by default; the warning names the policy."""
    response = judged_wide(CLUSTER, guard(DENY), options=replace(SEEN, egress="warn"))

    assert response.allowed
    assert any("egress E1" in text and "(denied by AdminNetworkPolicy/guard)" in text for text in response.warnings)


def test_strict_refuses_what_is_perhaps_lost() -> None:
    """Whether Kafka is among these pods is not known."""
    assert judged_wide(CLUSTER, guard(out("Deny", SHOP))).allowed
    assert not judged_wide(CLUSTER, guard(out("Deny", SHOP)), options=replace(SEEN, strict=True)).allowed


def test_one_message_tells_both_directions_ingress_first() -> None:
    """It counts the other namespaces, and says what helps."""
    objects = (*CLUSTER, namespace("z"), gateway(namespace="z"), gateway_pod(namespace="z"))
    both = guard(DENY, ingress=[rule("Deny", namespaces())])
    response = judged_wide(objects, both)
    directions = [item.direction for item in verdict_of(response).lost]

    assert directions == sorted(directions, reverse=True)
    assert "would cut off required ingress and egress: " in response.message
    assert "; and required ingress in 1 other namespace." in response.message
    egress_alone = judged_wide(CLUSTER, guard(DENY))
    assert "would cut off required egress: " in egress_alone.message
    assert "denied by AdminNetworkPolicy/guard. First add an earlier rule that accepts " in egress_alone.message
    assert " from these pods, or exclude these pods from its subject." in egress_alone.message


def test_egress_in_other_namespaces_is_counted() -> None:
    """An operator of another namespace cannot reach its API server, too."""
    objects = (*CLUSTER, namespace("other"), operator_deployment(namespace="other"))
    response = judged_wide(objects, guard(out("Deny", API)))

    assert "; and required egress in 1 other namespace." in response.message


def test_what_a_deleted_allow_held_open_has_a_remedy() -> None:
    """The NetworkPolicies shut it then, so that a NetworkPolicy opens it."""
    objects = (*CLUSTER, limits(dns(in_namespace("openshift-dns"))), guard(ALLOW))
    lost = [item for item in verdict_of(judged_wide(objects, None, guard(ALLOW))).lost if item.decided]

    assert [(item.denied, item.policies, item.remedy is not None) for item in lost] == [(False, ("eem/limits",), True)]
