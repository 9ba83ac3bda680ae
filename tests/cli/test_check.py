"""`eem-guardrail check`: verdicts for files, in text and JSON, and its exit status."""

import json
from pathlib import Path
from typing import Any

import pytest
from builders import GATEWAY_KIND, ApiObject, eem_labels, from_, instance, namespace, pod, policy, port, selector

from webhook.cli import main

ALLOWED, DENIED, UNUSABLE = 0, 1, 2
DENY = policy("default-deny", policy_types=["Ingress"])
ALLOW = policy("allow-clients", pod_selector=selector(**eem_labels("gw")), ingress=[from_(ports=[port(8092, "TCP")])])
GATEWAY = instance("gw", kind=GATEWAY_KIND)
STATE = [namespace("eem"), GATEWAY, pod("gw-ibm-egw-gateway-7f9c-x2x", labels=eem_labels("gw"))]


def write(path: Path, *objects: ApiObject) -> str:
    """Write objects as a file of JSON, which is YAML too."""
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    return str(path)


def check(*words: str) -> int:
    return main(["check", *words])


@pytest.fixture
def state(tmp_path: Path) -> str:
    return write(tmp_path / "state.yaml", *STATE)


def test_a_lock_down_without_allows_is_denied(tmp_path: Path, state: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The verdict of the webhook comes out on standard output, and the exit status is 1."""
    status = check("--state", state, "--apply", write(tmp_path / "deny.yaml", DENY))

    assert status == DENIED
    out = capsys.readouterr().out
    assert out.startswith("DENIED  CREATE NetworkPolicy eem/default-deny\n")
    assert "gateway TCP/8092 of pod gw-ibm-egw-gateway-7f9c-x2x" in out


def test_changes_are_judged_in_the_order_given(tmp_path: Path, state: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each change meets the state that those before it left: the allow first, then the lock-down, then its removal."""
    allow, deny = write(tmp_path / "allow.yaml", ALLOW), write(tmp_path / "deny.yaml", DENY)

    status = check(
        "--state", state, "--apply", allow, deny, "--delete", "NetworkPolicy/eem/allow-clients", "-o", "json"
    )

    assert status == DENIED
    verdicts = json.loads(capsys.readouterr().out)
    assert [("CREATE", True), ("CREATE", True), ("DELETE", False)] == [
        (verdict["operation"], verdict["allowed"]) for verdict in verdicts
    ]


def test_a_denied_change_is_not_made(tmp_path: Path, state: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What was denied is not in the state of the changes after it."""
    deny = write(tmp_path / "deny.yaml", DENY)

    check("--state", state, "--apply", deny, deny, "-o", "json")

    verdicts = json.loads(capsys.readouterr().out)
    assert ["CREATE", "CREATE"] == [verdict["operation"] for verdict in verdicts]


def test_other_kinds_change_the_state_and_are_allowed(
    tmp_path: Path, state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """An instance that gives its network away makes room for the lock-down after it."""
    exempt = write(tmp_path / "gw.yaml", instance("gw", kind=GATEWAY_KIND, deploy_network_policies=False))
    deny = write(tmp_path / "deny.yaml", DENY)

    status = check("--state", state, "--apply", exempt, deny)

    assert status == ALLOWED
    assert [
        "allowed UPDATE EventGateway eem/gw",
        "allowed CREATE NetworkPolicy eem/default-deny (not judged: deployNetworkPolicies)",
    ] == [line for line in capsys.readouterr().out.splitlines() if not line.startswith(" ")]


def test_warnings_are_told(tmp_path: Path, state: str, capsys: pytest.CaptureFixture[str]) -> None:
    """In warn mode nothing is denied, and what would have been is a warning."""
    status = check("--state", state, "--mode", "warn", "--apply", write(tmp_path / "deny.yaml", DENY))

    assert status == ALLOWED
    assert "        Warning: would be refused: EventGateway eem/gw" in capsys.readouterr().out


def test_the_remedy_is_an_object_to_apply(tmp_path: Path, state: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What the verdict names as its remedy, applied first, makes the same change pass."""
    deny = write(tmp_path / "deny.yaml", DENY)
    check("--state", state, "--apply", deny, "-o", "json")
    remedy = json.loads(capsys.readouterr().out)[0]["lost"][0]["remedy"]

    status = check("--state", state, "--apply", write(tmp_path / "remedy.yaml", remedy), deny)

    assert status == ALLOWED


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        pytest.param([], "nothing to check", id="no change"),
        pytest.param(["--apply", "no-such-file.yaml"], "no-such-file.yaml", id="a file that is not there"),
        pytest.param(["--delete", "NetworkPolicy/eem"], "is not KIND/NAMESPACE/NAME", id="no name"),
        pytest.param(
            ["--delete", "Secret/eem/x"],
            "there is no Secret/eem/x in the state: Secret is not a kind that verdicts",
            id="an unknown kind",
        ),
        pytest.param(["--delete", "netpol/eem/x"], "there is no netpol/eem/x", id="an unknown name"),
        pytest.param(["--delete", "egw/eem/gw", "--mode", "maybe"], "--mode: must be one of", id="no mode"),
        pytest.param(["--delete", "egw/eem/gw", "--pod-cidr", "10.0.0.0/99"], "--pod-cidr", id="no CIDR"),
        pytest.param(["--delete", "egw/eem/gw", "--ip-families", "IPv5"], "--ip-families", id="no family"),
        pytest.param(["--delete", "egw/eem/gw", "--operator-service-account", "x"], "NAMESPACE/NAME", id="no account"),
    ],
)
def test_what_cannot_be_used_is_told_with_status_2(
    words: list[str], complaint: str, state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Usage that is none and input that cannot be read are told on standard error, and nothing on standard output."""
    status = check("--state", state, *words)

    captured = capsys.readouterr()
    assert (UNUSABLE, "") == (status, captured.out)
    assert complaint in captured.err


def test_every_fault_of_a_file_is_told_with_its_place(
    tmp_path: Path, state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A policy that cannot be understood is never skipped: file, document and field are named."""
    bad = policy("bad", ingress=[from_({"ipBlock": {"cidr": "10.0.0.0/33"}})], policy_types=["ingress"])

    status = check("--state", state, "--apply", write(tmp_path / "bad.yaml", bad))

    assert status == UNUSABLE
    complaint = capsys.readouterr().err
    assert "bad.yaml, document 1" in complaint
    assert "spec.ingress[0].from[0].ipBlock.cidr" in complaint
    assert "spec.policyTypes[0]" in complaint


def test_verbose_tells_what_was_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Kinds that do not matter are counted, never in the way."""
    secret: dict[str, Any] = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}
    state = write(tmp_path / "state.yaml", *STATE, secret)

    check("-v", "--state", state, "--apply", write(tmp_path / "deny.yaml", DENY))

    complaint = capsys.readouterr().err
    assert "state: 3 objects; skipped: 1 Secret" in complaint


def test_settings_come_from_the_environment_too(tmp_path: Path, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flag beats the environment, which beats the default."""
    deny = write(tmp_path / "deny.yaml", DENY)
    monkeypatch.setenv("EEM_GUARDRAIL_MODE", "warn")

    by_environment = check("--state", state, "--apply", deny)
    by_flag = check("--state", state, "--mode", "enforce", "--apply", deny)

    assert (ALLOWED, DENIED) == (by_environment, by_flag)


def test_strict_counts_what_is_not_decided(tmp_path: Path, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An allow that becomes an ipBlock for everywhere is a warning, and a denial under --strict."""
    for_addresses = policy(
        "allow-clients",
        pod_selector=selector(**eem_labels("gw")),
        ingress=[from_({"ipBlock": {"cidr": "0.0.0.0/0"}}, ports=[port(8092, "TCP")])],
    )
    start = write(tmp_path / "start.yaml", ALLOW, DENY)
    words = ["--state", state, start, "--apply", write(tmp_path / "change.yaml", for_addresses)]

    relaxed = check(*words)
    strict = check(*words, "--strict")
    monkeypatch.setenv("EEM_GUARDRAIL_STRICT", "perhaps")
    neither = check(*words)

    assert (ALLOWED, DENIED, UNUSABLE) == (relaxed, strict, neither)
