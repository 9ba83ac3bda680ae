"""
Labels that no manifest has: what controllers add to pods, and what the documentation promises of pods to come.

The numbers are the rows of the inputs from the field that once failed.
"""

import json
from pathlib import Path

import pytest
from builders import (
    GATEWAY_KIND,
    ApiObject,
    eem_labels,
    expression,
    from_,
    instance,
    namespace,
    owned_by,
    pod,
    policy,
    port,
    selector,
    workload,
)

from webhook.cli import main

ALLOWED, DENIED = 0, 1
POD_NAME, POD_INDEX = "statefulset.kubernetes.io/pod-name", "apps.kubernetes.io/pod-index"
REVISION, TEMPLATE_HASH = "controller-revision-hash", "pod-template-hash"
COMPONENT = "eem.ei.ibm.com/component"
MANAGER = instance("mgr")
BARE = [namespace("eem"), namespace("shop"), MANAGER, instance("gw", kind=GATEWAY_KIND)]
STATEFUL_SET = workload("mgr-ibm-eem-manager", kind="StatefulSet", owners=[owned_by(MANAGER)], labels=eem_labels("mgr"))
LIVE_POD = pod(
    "mgr-ibm-eem-manager-0",
    owners=[owned_by(STATEFUL_SET)],
    labels=eem_labels("mgr", **{POD_NAME: "mgr-ibm-eem-manager-0", POD_INDEX: "0", REVISION: "mgr-77f8"}),
)
STATES = [
    pytest.param(BARE, id="assumed"),
    pytest.param([*BARE, STATEFUL_SET], id="template"),
    pytest.param([*BARE, STATEFUL_SET, LIVE_POD], id="pod"),
]
DENY_MANAGER = policy("deny", pod_selector=selector(**eem_labels("mgr")), policy_types=["Ingress"])


def write(path: Path, *objects: ApiObject) -> str:
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    return str(path)


def check(folder: Path, state: list[ApiObject], *changes: ApiObject) -> list[str]:
    words = ["--state", write(folder / "state.json", *state), "--apply", write(folder / "changes.json", *changes)]
    return ["check", *words, "-o", "json"]


def allow(**labels: str) -> ApiObject:
    return policy("allow", pod_selector=selector(**labels), ingress=[from_(ports=[port(3000), port(8081)])])


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("label", [(POD_INDEX, "0"), (POD_NAME, "mgr-ibm-eem-manager-0")], ids=["index", "name"])
def test_isolating_by_a_label_of_the_stateful_set_is_refused(
    label: tuple[str, str], state: list[ApiObject], tmp_path: Path
) -> None:
    """Row 1: the controller puts both labels on every pod, whether or not one was seen."""
    by_label = policy("deny", pod_selector=selector(**dict([label])), policy_types=["Ingress"])

    assert main(check(tmp_path, state, by_label)) == DENIED


@pytest.mark.parametrize("value", ["1", "00"])
def test_isolating_a_pod_that_the_stateful_set_does_not_have_is_allowed(value: str, tmp_path: Path) -> None:
    """Row 1, the other way round: the manager has one pod, with the number 0."""
    other = policy("deny", pod_selector=selector(**{POD_INDEX: value}), policy_types=["Ingress"])

    assert main(check(tmp_path, [*BARE, STATEFUL_SET], other)) == ALLOWED


@pytest.mark.parametrize("state", STATES)
def test_an_allow_by_the_name_of_the_pod_counts(state: list[ApiObject], tmp_path: Path) -> None:
    """Row 2: the template stands for the pods 0 to replicas - 1, and the allow selects each of them."""
    by_name = allow(**{POD_NAME: "mgr-ibm-eem-manager-0"})

    assert main(check(tmp_path, state, by_name, DENY_MANAGER)) == ALLOWED


def test_an_allow_for_one_of_two_pods_does_not_count_for_the_other(tmp_path: Path) -> None:
    """Row 2, with a second replica that no policy opens."""
    two = {**STATEFUL_SET, "spec": {**STATEFUL_SET["spec"], "replicas": 2}}

    assert main(check(tmp_path, [*BARE, two], allow(**{POD_NAME: "mgr-ibm-eem-manager-0"}), DENY_MANAGER)) == DENIED


@pytest.mark.parametrize(
    ("change", "status", "told"),
    [
        pytest.param(selector(**{REVISION: "77f8"}), ALLOWED, "whose value is not known yet", id="In"),
        pytest.param(selector(expression(REVISION, "Exists")), DENIED, "would cut off", id="Exists"),
        pytest.param(selector(expression(REVISION, "DoesNotExist")), ALLOWED, "", id="DoesNotExist"),
        pytest.param(
            selector(expression(REVISION, "NotIn", "77f8")), ALLOWED, "whose value is not known yet", id="NotIn"
        ),
        pytest.param(selector(**eem_labels("gw"), **{REVISION: "77f8"}), ALLOWED, "", id="another pod"),
    ],
)
def test_a_label_with_an_unknown_value_is_there(
    change: ApiObject, status: int, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The kind of row 1: `Exists` matches, a comparison of the value is not decided."""
    isolating = policy("deny", pod_selector=change, policy_types=["Ingress"])

    assert main(check(tmp_path, [namespace("eem"), MANAGER, STATEFUL_SET], isolating)) == status

    (verdict,) = json.loads(capsys.readouterr().out)
    texts = [verdict["message"], *verdict["warnings"]]
    assert any(told in text for text in texts) if told else texts == [""]
    assert [lost["decided"] for lost in verdict["lost"]] == [status == DENIED] * (2 if told else 0)


def test_what_is_not_decided_before_and_after_a_change_is_no_news(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The kind of row 1: whether the policy isolates the next pod was not known, and still is not."""
    by_hash = policy("deny", pod_selector=selector(**{REVISION: "77f8"}), policy_types=["Ingress"])
    narrow = policy("deny", pod_selector=selector(**{REVISION: "77f8"}), ingress=[from_(ports=[port(1)])])

    assert main(check(tmp_path, [namespace("eem"), MANAGER, STATEFUL_SET, by_hash], narrow)) == ALLOWED
    assert [(found["lost"], found["warnings"]) for found in json.loads(capsys.readouterr().out)] == [([], [])]


def test_what_a_deployment_adds_is_not_decided_before_the_rollout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The kind of row 2: the live pod stays open; whether the next one will be is not known."""
    gateway = instance("gw", kind=GATEWAY_KIND)
    made = workload("gw-ibm-egw-gateway", owners=[owned_by(gateway)], labels=eem_labels("gw"))
    live = pod("gw-ibm-egw-gateway-5d8f-x", labels=eem_labels("gw", **{TEMPLATE_HASH: "5d8f"}))
    by_hash = policy("allow", pod_selector=selector(**{TEMPLATE_HASH: "5d8f"}), ingress=[from_(ports=[port(8092)])])
    deny = policy("deny", pod_selector=selector(**eem_labels("gw")), policy_types=["Ingress"])
    words = check(tmp_path, [namespace("eem"), gateway, made, live], by_hash, deny)

    assert main(words) == ALLOWED
    assert [len(verdict["lost"]) for verdict in json.loads(capsys.readouterr().out)] == [0, 1]
    assert main([*words, "--strict"]) == DENIED


@pytest.mark.parametrize(("state", "status"), [(BARE, DENIED), ([*BARE, STATEFUL_SET], ALLOWED)])
def test_isolating_by_the_documented_component_label(state: list[ApiObject], status: int, tmp_path: Path) -> None:
    """Row 3: assumed pods have the label of the product's network policy page; a known template decides by its own."""
    by_component = policy("deny", pod_selector=selector(**{COMPONENT: "mgr"}), policy_types=["Ingress"])

    assert main(check(tmp_path, state, by_component)) == status


@pytest.mark.parametrize(("state", "status"), [(BARE, ALLOWED), ([*BARE, STATEFUL_SET], DENIED)])
def test_an_allow_by_the_documented_component_label(
    state: list[ApiObject], status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Row 3: it counts for assumed pods, with a warning."""
    assert main(check(tmp_path, state, allow(**{COMPONENT: "mgr"}), DENY_MANAGER)) == status

    warnings = [text for verdict in json.loads(capsys.readouterr().out) for text in verdict["warnings"]]
    assert any("eem.ei.ibm.com/component" in text for text in warnings) is (status == ALLOWED)
