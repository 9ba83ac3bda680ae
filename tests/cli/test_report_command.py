"""`eem-guardrail report`: the report of a state; tests/golden has outputs of it."""

import json
from pathlib import Path

import pytest

from webhook.cli import main

ROOT = Path(__file__).resolve().parents[2]
REPORTED, UNUSABLE = 0, 2


def test_json_has_a_version_and_no_times(capsys: pytest.CaptureFixture[str]) -> None:
    """Of a state in files nothing is known from before; the status is 0 whatever the report says."""
    assert main(["report", "--state", str(ROOT / "docs/examples/broken.yaml"), "-o", "json"]) == REPORTED
    found = json.loads(capsys.readouterr().out)
    (row,) = found["namespaces"][0]["instances"][0]["requirements"]

    assert (found["schemaVersion"], "since" in row, row["met"]) == ("1", False, False)


def test_a_state_without_eem_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A report on nothing would look like good news."""
    (tmp_path / "a.yaml").write_text("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n")
    status = main(["report", "--state", str(tmp_path)])

    assert (status, capsys.readouterr().err) == (
        UNUSABLE,
        "eem-guardrail report: the state has no EEM instance and no EEM operator, so nothing is required\n",
    )


def test_a_state_that_cannot_be_read_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The fault is on standard error."""
    assert main(["report", "--state", str(tmp_path / "missing")]) == UNUSABLE
    assert "missing" in capsys.readouterr().err


def test_notes_follow_the_namespaces(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Gateways of no instance, unknown annotations, kinds that are not read, exempt instances and long lists."""
    policies = "".join(
        "---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
        f"metadata: {{name: p{number}, namespace: eem}}\nspec: {{podSelector: {{matchLabels: {{a: b}}}}}}\n"
        for number in range(7)
    )
    (tmp_path / "a.yaml").write_text(
        "apiVersion: v1\nkind: Namespace\n"
        "metadata: {name: eem, annotations: {eem-guardrail.io/mode: enforced}}\n"
        "---\napiVersion: events.ibm.com/v1beta1\nkind: EventGateway\nmetadata: {name: gw, namespace: eem}\n"
        "spec: {deployNetworkPolicies: false}\n"
        "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: stray\n  namespace: lab\n  labels:\n"
        "    app.kubernetes.io/name: ibm-event-endpoint-management\n    app.kubernetes.io/component: ibm-egw\n"
        "---\napiVersion: cilium.io/v2\nkind: CiliumNetworkPolicy\nmetadata: {name: c, namespace: eem}\n"
        "spec: {endpointSelector: {}}\n"
        f"{policies}"
    )
    main(["report", "--state", str(tmp_path)])
    shown = capsys.readouterr().out

    assert "EventGateway gw (gateway): no pod seen (exempt: deployNetworkPolicies)" in shown
    assert "policies that restrict no pod of EEM: p0, p1, p2, p3, p4 and 2 more" in shown
    assert "Warning: pod lab/stray has the labels of a gateway" in shown
    assert "Warning: namespace eem: eem-guardrail.io/mode=enforced is not a known value" in shown
    assert "Warning: not read, and may override this: " in shown
