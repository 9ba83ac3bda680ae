"""`eem-guardrail audit`: the requirements of a state, for people and for pipelines."""

import json
from pathlib import Path
from typing import Any

import pytest
from admission.reviews import allow, default_deny, gateway, gateway_pod, manager
from builders import ApiObject, block, eem_labels, namespace, operator_deployment, pod, policy

from webhook.cli import main

ALLOWED, DENIED, UNUSABLE = 0, 1, 2
HELD = (namespace(), gateway(), gateway_pod(), default_deny(), allow())
BROKEN = (*HELD, manager())
DEPLOYED = {"gatewayGroup": "a", "gatewayId": "1"}
LABELS = {"app.kubernetes.io/name": "ibm-event-endpoint-management", "app.kubernetes.io/component": "ibm-egw"}


def write(path: Path, *objects: ApiObject) -> str:
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    return str(path)


def audited(folder: Path, *objects: ApiObject, words: tuple[str, ...] = ()) -> int:
    return main(["audit", "--state", write(folder / "state.json", *objects), *words])


def as_json(folder: Path, *objects: ApiObject, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    audited(folder, *objects, words=("-o", "json"))
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_state_in_which_everything_holds_has_status_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each requirement is a line, and the summary is on standard error."""
    status = audited(tmp_path, *HELD)
    shown = capsys.readouterr()

    assert (status, shown.out) == (ALLOWED, "met     EventGateway eem/gw gateway TCP/8092\n")
    assert shown.err == (
        "summary: 1 requirement: 0 broken, 1 met; state: 5 objects\nsummary: 1 need of egress: 0 cut off, 1 met\n"
    )


def test_a_broken_requirement_has_status_1_and_the_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The line says who cannot connect and by which policies, and the next one what to add."""
    status = audited(tmp_path, *BROKEN)
    shown = capsys.readouterr()

    assert status == DENIED
    assert "BROKEN  EventEndpointManagement eem/mgr manager TCP/3000\n" in shown.out
    assert "cannot be reached from" in shown.out
    assert "isolated by eem/default-deny" in shown.out
    assert "a NetworkPolicy that allows ingress on TCP/3000, TCP/8081" in shown.out
    assert "3 requirements: 2 broken, 1 met" in shown.err


NO_EGRESS = policy("no-egress", policy_types=["Egress"], egress=[])


@pytest.mark.parametrize(
    ("words", "status"),
    [
        pytest.param((), ALLOWED, id="warn"),
        pytest.param(("--egress", "enforce"), DENIED, id="enforce"),
        pytest.param(("--egress", "off"), ALLOWED, id="off"),
    ],
)
def test_a_need_that_is_cut_off_counts_where_egress_is_enforced(
    words: tuple[str, ...], status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is shown with its remedy unless egress is not judged."""
    found = audited(tmp_path, *HELD, NO_EGRESS, words=words)
    shown = capsys.readouterr()
    told = "CUT OFF EventGateway eem/gw gateway egress E4 TCP/any" in shown.out

    assert (found, told) == (status, "off" not in words)
    assert ("cannot reach Kafka" in shown.out, "or `audit --fix` prints one" in shown.out) == (told, told)


def test_a_need_of_level_warning_never_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """That a manager reaches nothing is told, and no reason for status 1."""
    status = audited(tmp_path, namespace(), manager(), NO_EGRESS, words=("--egress", "enforce"))

    assert status == ALLOWED
    assert "CUT OFF EventEndpointManagement eem/mgr manager egress E12 TCP/any" in capsys.readouterr().out


def test_a_need_that_is_not_decided_is_met(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The line says what is not known; in the JSON each need has its level."""
    endpoint = {"manager": {"endpoint": "https://10.128.0.9"}}
    objects = (
        namespace(),
        gateway(spec=endpoint),
        pod("target", ips=["10.128.0.9"]),
        policy("by-block", policy_types=["Egress"], egress=[{"to": [block("10.128.0.0/14")]}]),
    )
    audited(tmp_path, *objects)
    text = capsys.readouterr().out
    needs = as_json(tmp_path, *objects, capsys=capsys)["needs"]

    assert "met     EventGateway eem/gw gateway egress E3 TCP/443" in text
    assert "not decided: whether an ipBlock matches pods depends on the network plugin" in text
    assert [(row["need"], row["level"], row["met"], row["decided"]) for row in needs] == [
        ("E3", "certain", True, False),
        ("E4", "certain", True, True),
    ]
    assert all("since" not in row for row in needs)


def test_the_json_has_every_row_and_no_times(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A state in files has no history."""
    found = as_json(tmp_path, *BROKEN, capsys=capsys)

    assert found["schemaVersion"] == "1"
    assert [(row["instance"]["name"], row["port"], row["met"]) for row in found["requirements"]] == [
        ("mgr", 3000, False),
        ("mgr", 8081, False),
        ("gw", 8092, True),
    ]
    assert all("since" not in row for row in found["requirements"])
    assert found["policyKinds"]["unread"] == []


def test_an_undecided_requirement_is_met_except_under_strict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line says what is not known."""
    objects = (namespace(), gateway(), allow("by-block", block("0.0.0.0/0")))
    status = audited(tmp_path, *objects)
    shown = capsys.readouterr()
    strict = audited(tmp_path, *objects, words=("--strict",))

    assert (status, strict) == (ALLOWED, DENIED)
    assert "not decided: whether an ipBlock admits pods depends on the network plugin" in shown.out
    assert "0 met, 1 not decided" in shown.err


@pytest.mark.parametrize(
    ("stray", "names"),
    [
        pytest.param(
            pod("edge-0", "edge", labels={"gatewayGroup": "a", "gatewayId": "1"}), ["edge/edge-0"], id="deployed"
        ),
        pytest.param(pod("old-0", labels=LABELS), ["eem/old-0"], id="of an operator, whose instance is gone"),
        pytest.param(pod("old-0", labels=LABELS, phase="Succeeded"), [], id="finished"),
        pytest.param(pod("web-0", labels=eem_labels("web")), [], id="another component"),
        pytest.param(pod("half-0", labels={"gatewayGroup": "a"}), [], id="one label of two"),
    ],
)
def test_gateways_without_an_instance_are_named(
    stray: ApiObject, names: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is required for them, so a policy may cut them off without a word."""
    found = as_json(tmp_path, *HELD, stray, capsys=capsys)
    audited(tmp_path, *HELD, stray)
    text = capsys.readouterr().out

    assert found["gatewaysWithoutInstance"] == names
    assert all(f"Warning: pod {name} has the labels of a gateway" in text for name in names)


def test_unknown_annotations_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A mistyped mode guards in the mode of the service."""
    objects = (namespace(annotations={"eem-guardrail.io/mode": "enforced"}), *HELD[1:])
    found = as_json(tmp_path, *objects, capsys=capsys)
    audited(tmp_path, *objects)

    assert found["unknownAnnotations"] == [{"namespace": "eem", "annotation": "eem-guardrail.io/mode=enforced"}]
    assert "Warning: namespace eem: eem-guardrail.io/mode=enforced is not a known value" in capsys.readouterr().out


def test_unread_policy_kinds_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They may open or close what the audit says."""
    foreign = {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumNetworkPolicy",
        "metadata": {"name": "a", "namespace": "eem"},
        "spec": {"endpointSelector": {}},
    }
    audited(tmp_path, *HELD, foreign)

    assert "Warning: not read, and may override this: CiliumNetworkPolicy" in capsys.readouterr().out


def test_a_state_without_eem_is_no_success(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is if the user says that it is meant."""
    status = audited(tmp_path, namespace())
    told = capsys.readouterr().err
    meant = audited(tmp_path, namespace(), words=("--allow-empty",))

    assert (status, meant) == (UNUSABLE, ALLOWED)
    assert "so nothing is required; if this is intended, use --allow-empty" in told


def test_an_exempt_operator_needs_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The state has EEM, and no requirement."""
    status = audited(tmp_path, operator_deployment(env={"DEPLOY_OPERATOR_NETWORK_POLICY": "false"}), default_deny())

    assert status == ALLOWED
    assert "0 requirements" in capsys.readouterr().err
