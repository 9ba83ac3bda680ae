"""`check --apply` stands for a command of kubectl. The numbers are the rows of the inputs that once failed."""

import json
from pathlib import Path

import pytest
from builders import GATEWAY_KIND, ApiObject, eem_labels, from_, instance, namespace, pod, policy, port, selector

from webhook.cli import main
from webhook.files.applying import LAST_APPLIED

ALLOWED, DENIED, UNUSABLE = 0, 1, 2
GATEWAY, MANAGER = instance("gw", kind=GATEWAY_KIND), instance("mgr")
PODS = [pod("gw-0", labels=eem_labels("gw")), pod("mgr-ibm-eem-manager-0", labels=eem_labels("mgr"))]
DENY = policy("deny", policy_types=["Ingress"])
STATE = [namespace("eem"), GATEWAY, MANAGER, *PODS]
INSTANCE, NAME = "app.kubernetes.io/instance", "app.kubernetes.io/name"


def allow(name: str, *ports: int, **labels: str) -> ApiObject:
    return policy(name, pod_selector=selector(**labels), ingress=[from_(ports=[port(number) for number in ports])])


def write(path: Path, *objects: ApiObject) -> str:
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    return str(path)


def words(folder: Path, state: list[ApiObject], *changes: ApiObject) -> list[str]:
    state_file, changes_file = write(folder / "state.json", *state), write(folder / "changes.json", *changes)
    return ["check", "--state", state_file, "--apply", changes_file, "-o", "json"]


def by_file(live: ApiObject, applied: ApiObject) -> ApiObject:
    """Return a live object that `kubectl apply` made of a file."""
    return {**live, "metadata": {**live["metadata"], "annotations": {LAST_APPLIED: json.dumps(applied)}}}


def test_labels_of_a_live_selector_stay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Row 4: both labels select the gateway only, so the manager loses its own allow."""
    live = allow("shared", 8092, 3000, 8081, **{INSTANCE: "gw"})
    of_both = allow("shared", 8092, 3000, 8081, **{NAME: "ibm-event-endpoint-management"})
    state = [*STATE, DENY, live, allow("own", 3000, 8081, **eem_labels("mgr"))]
    changes = [*words(tmp_path, state, of_both), "--delete", "netpol/eem/own"]

    assert main(changes) == DENIED
    merged, _ = json.loads(capsys.readouterr().out)
    (note,) = merged["warnings"]
    assert "does not have spec.podSelector.matchLabels.app.kubernetes.io/instance, so kubectl apply keeps" in note
    assert main([*changes, "--apply-mode", "replace"]) == ALLOWED


def test_live_rules_stay_that_no_file_had(tmp_path: Path) -> None:
    """Row 5: without an annotation of an earlier apply, nothing says that the rule was the file's."""
    change = words(tmp_path, [*STATE, policy("a", ingress=[{}])], policy("a"))

    assert main(change) == ALLOWED
    assert main([*change, "--apply-mode", "replace"]) == DENIED


def test_live_rules_go_that_the_last_file_had(tmp_path: Path) -> None:
    """Row 5, the other way round: the rule was in the file that was applied before."""
    live = policy("a", ingress=[{}])

    assert main(words(tmp_path, [*STATE, by_file(live, live)], policy("a"))) == DENIED


def test_live_policy_types_stay(tmp_path: Path) -> None:
    """Row 6: the policy restricts egress, and still does."""
    change = words(tmp_path, [*STATE, policy("a", policy_types=["Egress"])], policy("a"))

    assert main(change) == ALLOWED
    assert main([*change, "--apply-mode", "replace"]) == DENIED


def test_what_one_change_applies_is_known_to_the_next(tmp_path: Path) -> None:
    """The second file takes the rule away that the first one had."""
    change = words(tmp_path, STATE, policy("a", ingress=[{}]), policy("a"))

    assert main(change) == DENIED


def test_an_instance_is_kept_as_the_api_server_stores_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The switch is in the manifest that was applied last and not in the new one: the gateway is no longer exempt."""
    exempt = instance("gw", kind=GATEWAY_KIND, deploy_network_policies=False)

    assert main(words(tmp_path, [*STATE[:1], by_file(exempt, exempt), PODS[0]], GATEWAY, DENY)) == DENIED
    assert [found["exempt"] for found in json.loads(capsys.readouterr().out)] == [None, None]


@pytest.mark.parametrize(
    ("mode", "live", "complaint"),
    [
        pytest.param("create", policy("a"), "--apply-mode create: NetworkPolicy eem/a exists already", id="create"),
        pytest.param(
            "apply",
            policy("a", annotations={LAST_APPLIED: "{"}),
            "--apply: NetworkPolicy eem/a: cannot read the annotation",
            id="apply",
        ),
        pytest.param(
            "server-side",
            policy("a", ingress=[{}])
            | {
                "metadata": {
                    "name": "a",
                    "namespace": "eem",
                    "managedFields": [
                        {"manager": "argocd", "operation": "Apply", "fieldsV1": {"f:spec": {"f:ingress": {}}}}
                    ],
                }
            },
            "NetworkPolicy eem/a: conflict: spec.ingress is owned by argocd",
            id="server-side",
        ),
    ],
)
def test_what_kubectl_refuses_has_status_2(
    mode: str, live: ApiObject, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing would change, so there is nothing to judge."""
    change = words(tmp_path, [*STATE, live], policy("a", ingress=[from_(ports=[port(1)])]))

    assert main([*change, "--apply-mode", mode]) == UNUSABLE
    assert complaint in capsys.readouterr().err
