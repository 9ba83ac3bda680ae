"""`eem-guardrail check`: verdicts for files, in text and JSON, and the exit status."""

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


def test_a_default_deny_without_allows_is_refused(
    tmp_path: Path, state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The verdict is on standard output, and the exit status is 1."""
    status = check("--state", state, "--apply", write(tmp_path / "deny.yaml", DENY))

    assert status == DENIED
    out = capsys.readouterr().out
    assert out.startswith("DENIED  CREATE NetworkPolicy eem/default-deny\n")
    assert "gateway TCP/8092 of pod gw-ibm-egw-gateway-7f9c-x2x" in out


def test_changes_are_judged_in_the_order_given(tmp_path: Path, state: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each change is judged on the state that those before it leave: allow, default deny, deletion of the allow."""
    allow, deny = write(tmp_path / "allow.yaml", ALLOW), write(tmp_path / "deny.yaml", DENY)

    status = check(
        "--state", state, "--apply", allow, deny, "--delete", "NetworkPolicy/eem/allow-clients", "-o", "json"
    )

    assert status == DENIED
    verdicts = json.loads(capsys.readouterr().out)
    assert [("CREATE", True), ("CREATE", True), ("DELETE", False)] == [
        (verdict["operation"], verdict["allowed"]) for verdict in verdicts
    ]


def test_a_refused_change_is_not_applied(tmp_path: Path, state: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The changes after it do not see it."""
    deny = write(tmp_path / "deny.yaml", DENY)

    check("--state", state, "--apply", deny, deny, "-o", "json")

    verdicts = json.loads(capsys.readouterr().out)
    assert ["CREATE", "CREATE"] == [verdict["operation"] for verdict in verdicts]


def test_an_exempt_instance_allows_the_default_deny_after_it(
    tmp_path: Path, state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A change of another kind changes the state."""
    exempt = write(tmp_path / "gw.yaml", instance("gw", kind=GATEWAY_KIND, deploy_network_policies=False))
    deny = write(tmp_path / "deny.yaml", DENY)

    status = check("--state", state, "--apply", exempt, deny)

    assert status == ALLOWED
    assert [
        "allowed UPDATE EventGateway eem/gw",
        "allowed CREATE NetworkPolicy eem/default-deny (not judged: deployNetworkPolicies)",
    ] == [line for line in capsys.readouterr().out.splitlines() if not line.startswith(" ")]


def test_in_warn_mode_a_refusal_is_a_warning(tmp_path: Path, state: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The exit status is 0."""
    status = check("--state", state, "--mode", "warn", "--apply", write(tmp_path / "deny.yaml", DENY))

    assert status == ALLOWED
    assert "        Warning: would be refused: EventGateway eem/gw" in capsys.readouterr().out


def test_the_remedy_makes_the_change_acceptable(tmp_path: Path, state: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Applied first, it makes the same change pass."""
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
def test_wrong_usage_and_unreadable_input_have_status_2(
    words: list[str], complaint: str, state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The reason is on standard error, and nothing is on standard output."""
    status = check("--state", state, *words)

    captured = capsys.readouterr()
    assert (UNUSABLE, "") == (status, captured.out)
    assert complaint in captured.err


def test_every_fault_of_a_file_is_reported_with_its_place(
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


def test_verbose_shows_what_was_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Kinds that no verdict depends on are counted."""
    secret: dict[str, Any] = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}
    state = write(tmp_path / "state.yaml", *STATE, secret)

    check("-v", "--state", state, "--apply", write(tmp_path / "deny.yaml", DENY))

    complaint = capsys.readouterr().err
    assert "state: 3 objects; skipped: 1 Secret" in complaint


def test_settings_are_read_from_the_environment(tmp_path: Path, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flag wins over the environment, the environment over the default."""
    deny = write(tmp_path / "deny.yaml", DENY)
    monkeypatch.setenv("EEM_GUARDRAIL_MODE", "warn")

    by_environment = check("--state", state, "--apply", deny)
    by_flag = check("--state", state, "--mode", "enforce", "--apply", deny)

    assert (ALLOWED, DENIED) == (by_environment, by_flag)


def test_strict_refuses_what_is_not_decided(tmp_path: Path, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An allow that becomes an ipBlock for all addresses is a warning, and a refusal under --strict."""
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


CILIUM = {
    "apiVersion": "cilium.io/v2",
    "kind": "CiliumNetworkPolicy",
    "metadata": {"name": "p", "namespace": "eem"},
    "spec": {"endpointSelector": {}},
}


@pytest.mark.parametrize(("where", "unread"), [("eem", ["CiliumNetworkPolicy.cilium.io"]), ("shop", [])])
def test_policies_of_other_products_are_named_where_they_may_select_eem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], where: str, unread: list[str]
) -> None:
    """The verdict in JSON has their kinds, and a warning says that they may override it."""
    foreign = CILIUM | {"metadata": {"name": "p", "namespace": where}}
    state = write(tmp_path / "state.yaml", *STATE, foreign)

    status = check("--state", state, "--apply", write(tmp_path / "allow.yaml", ALLOW), "-o", "json")

    assert status == ALLOWED
    (verdict,) = json.loads(capsys.readouterr().out)
    assert verdict["policyKinds"] == {"read": ["NetworkPolicy.networking.k8s.io"], "unread": unread}
    assert any("may override this verdict" in text for text in verdict["warnings"]) is bool(unread)


def test_a_change_of_another_product_is_not_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file with nothing else is an error, since no verdict can be given on it."""
    state = write(tmp_path / "state.yaml", *STATE)

    assert check("--state", state, "--apply", write(tmp_path / "cilium.yaml", CILIUM)) == UNUSABLE
    assert "no object that a verdict depends on; it has 1 CiliumNetworkPolicy" in capsys.readouterr().err


class Repository:
    """Two folders whose difference is judged."""

    def __init__(self, folder: Path, before: list[ApiObject], after: list[ApiObject]) -> None:
        self.words = [word for name in ("before", "after") for word in (f"--{name}", str(folder / name))]
        for name, objects in (("before", before), ("after", after)):
            (folder / name).mkdir()
            for number, api_object in enumerate(objects):
                write(folder / name / f"{number}.json", api_object)


RENAMED = {**ALLOW, "metadata": {**ALLOW["metadata"], "name": "z-clients"}}


@pytest.mark.parametrize(
    ("order", "status"),
    [("given", ALLOWED), ("kubectl", ALLOWED), ("helm", ALLOWED), ("flux", ALLOWED), ("argocd", DENIED)],
)
def test_a_change_set_is_judged_in_the_order_of_the_tool(
    tmp_path: Path, state: str, order: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Argo CD prunes the old policy before it applies the new one; the other tools prune at the end."""
    repository = Repository(tmp_path, [DENY, ALLOW], [DENY, RENAMED])

    assert check("--state", state, *repository.words, "--order", order, "-o", "json") == status

    verdicts = json.loads(capsys.readouterr().out)
    assert {(one["operation"], one["resource"]["name"]) for one in verdicts} == {
        ("DELETE", "allow-clients"),
        ("CREATE", "z-clients"),
    }


def test_the_two_states_may_have_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without --state, the cluster is what the earlier state has."""
    repository = Repository(tmp_path, [*STATE, ALLOW], [*STATE, ALLOW, DENY])

    assert check(*repository.words) == ALLOWED
    assert capsys.readouterr().out == "allowed CREATE NetworkPolicy eem/default-deny\n"


def test_the_earlier_state_wins_over_the_rest_of_the_cluster(tmp_path: Path) -> None:
    """A policy of the repository is judged as the repository had it, not as the state has it."""
    drifted = {**ALLOW, "spec": {**ALLOW["spec"], "ingress": []}}
    repository = Repository(tmp_path, [ALLOW], [ALLOW, DENY])

    assert check("--state", write(tmp_path / "live.json", *STATE, drifted), *repository.words) == ALLOWED


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--before", "a"], "--before and --after are used together"),
        (["--after", "a"], "--before and --after are used together"),
        (
            ["--before", "a", "--after", "b", "--delete", "netpol/a/b"],
            "--before cannot be used with --apply and --delete",
        ),
        (["--delete", "netpol/a/b"], "one of --state and --live is required"),
        ([], "there is nothing to check: use --apply or --delete, or --before and --after"),
        (["--before", "none", "--after", "none"], "none: cannot be read"),
    ],
)
def test_flags_that_do_not_go_together_are_wrong_usage(
    words: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The line names the flags."""
    assert check(*words) == UNUSABLE
    assert problem in capsys.readouterr().err


def test_two_equal_states_have_nothing_to_judge(tmp_path: Path, state: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit status 0 would look like a judgement."""
    repository = Repository(tmp_path, [ALLOW], [ALLOW])

    assert check("--state", state, *repository.words) == UNUSABLE
    assert "there is no change: both states have the same objects" in capsys.readouterr().err
