"""Policies of Calico in a state of files: they change verdicts and answers, as far as the plugin enforces them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from builders import GATEWAY_KIND, ApiObject, eem_labels, instance, namespace, pod, policy

from webhook.cli import main

ALLOWED, DENIED = 0, 1
DENY_SHOP = {
    "apiVersion": "projectcalico.org/v3",
    "kind": "GlobalNetworkPolicy",
    "metadata": {"name": "no-shop"},
    "spec": {
        "order": 10,
        "selector": "all()",
        "types": ["Ingress"],
        "ingress": [
            {"action": "Deny", "source": {"namespaceSelector": "projectcalico.org/name == 'shop'"}},
            {"action": "Allow"},
        ],
    },
}
AGENT = {
    "apiVersion": "apps/v1",
    "kind": "DaemonSet",
    "metadata": {"name": "calico-node", "namespace": "calico-system"},
    "spec": {"selector": {}, "template": {"metadata": {}, "spec": {"containers": []}}},
}
OVN = AGENT | {"metadata": {"name": "ovnkube-node", "namespace": "openshift-ovn-kubernetes"}}
GATEWAY = pod("gw-0", "eem", labels=eem_labels("gw"))


def write(path: Path, *objects: ApiObject) -> str:
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    return str(path)


def explained(tmp_path: Path, capsys: pytest.CaptureFixture[str], *words: str, more: Any = ()) -> tuple[int, str]:
    """Return the status and the output of a question about the gateway."""
    known = write(tmp_path / "state.json", GATEWAY, pod("web-0", "shop"), DENY_SHOP, *more)
    status = main(["explain", "--state", known, "--to", "eem/gw-0", "--port", "8092", *words])
    return status, capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "more"),
    [
        pytest.param(["--plugin", "calico"], [], id="told"),
        pytest.param([], [AGENT], id="found out by a DaemonSet"),
    ],
)
def test_explain_names_the_policy_and_the_rule(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], more: list[Any]
) -> None:
    """On Calico, its rule decides, and no kind of its counts as unread."""
    status, text = explained(tmp_path, capsys, "--from", "shop/web-0", *words, more=more)

    assert status == DENIED
    assert "a rule of a Calico policy denies it\n  Calico GlobalNetworkPolicy/no-shop rule #0 denies it" in text
    assert "not read" not in text


@pytest.mark.parametrize(
    ("words", "more"),
    [
        pytest.param(["--plugin", "ovn-kubernetes"], [], id="told"),
        pytest.param([], [OVN], id="found out by a DaemonSet"),
    ],
)
def test_on_another_plugin_policies_of_calico_have_no_effect(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], more: list[Any]
) -> None:
    """Their definitions may be left over."""
    status, text = explained(tmp_path, capsys, "--from", "shop/web-0", *words, more=more)

    assert status == ALLOWED
    assert "Calico" not in text


def test_where_the_plugin_is_not_known_both_are_possible(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The answer is not decided, and names the setting."""
    status, text = explained(tmp_path, capsys, "--from", "shop/web-0")

    assert status == DENIED
    assert "NOT DECIDED" in text
    assert "--plugin" in text


def test_everyone_who_may_connect_leaves_out_what_calico_denies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The set of sources is that of Calico's tiers."""
    _, text = explained(tmp_path, capsys, "--plugin", "calico")

    assert "every pod in every namespace but shop" in text
    assert "Calico GlobalNetworkPolicy/no-shop" in text


ALLOW = policy("allow", "eem", ingress=[{}])


def checked(tmp_path: Path, capsys: pytest.CaptureFixture[str], plugin: str, *objects: Any) -> tuple[int, Any]:
    """Return the status and the verdict on a default deny in the namespace of a gateway."""
    known = write(tmp_path / "state.json", namespace("eem"), instance("gw", kind=GATEWAY_KIND), GATEWAY, *objects)
    change = write(tmp_path / "deny.json", policy("default-deny", "eem", ingress=[]))
    status = main(["check", "--state", known, "--apply", change, "--plugin", plugin, "-o", "json"])
    return status, json.loads(capsys.readouterr().out)[0]


def test_an_allow_of_calico_keeps_a_port_open(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A default deny of NetworkPolicies takes nothing away where Calico allows everything before it."""
    open_all = DENY_SHOP | {"spec": {**DENY_SHOP["spec"], "ingress": [{"action": "Allow"}]}}  # type: ignore[dict-item]

    assert checked(tmp_path, capsys, "calico", open_all)[0] == ALLOWED
    assert checked(tmp_path, capsys, "cilium", open_all)[0] == DENIED
    status, verdict = checked(tmp_path, capsys, "auto", open_all)
    assert status == ALLOWED
    assert any("whether Calico enforces its policies is not known (--plugin)" in text for text in verdict["warnings"])
    assert "GlobalNetworkPolicy.projectcalico.org" in verdict["policyKinds"]["read"]
    assert verdict["policyKinds"]["unread"] == []


def test_a_deny_of_calico_leaves_nothing_to_lose(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A port that Calico closed was not open before."""
    closed = DENY_SHOP | {"spec": {**DENY_SHOP["spec"], "ingress": [{"action": "Deny"}]}}  # type: ignore[dict-item]

    status, verdict = checked(tmp_path, capsys, "calico", closed)

    assert status == ALLOWED
    assert verdict["lost"] == []


def test_the_audit_names_what_calico_closes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is broken by a policy of Calico, whatever NetworkPolicies say."""
    known = write(
        tmp_path / "state.json", namespace("eem"), instance("gw", kind=GATEWAY_KIND), GATEWAY, ALLOW, DENY_SHOP
    )

    assert main(["audit", "--state", known, "--plugin", "calico"]) == DENIED
    assert "Calico GlobalNetworkPolicy/no-shop" in capsys.readouterr().out


def test_without_policies_of_calico_nothing_of_it_is_loaded() -> None:
    """A cluster without them does not pay for them."""
    code = (
        "import sys\n"
        "from webhook.admission import Options, decide\n"
        "from webhook.cli import main\n"
        "import webhook.main\n"
        "print([name for name in sys.modules if 'netpol.calico' in name])"
    )
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert found.stdout == "[]\n"
