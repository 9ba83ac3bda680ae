"""`check --fix` and `audit --fix`: the least that makes refused changes acceptable, or mends a state, as YAML."""

import json
from pathlib import Path

import pytest
import yaml
from builders import (
    GATEWAY_KIND,
    MANAGER_KIND,
    ApiObject,
    admin_policy,
    eem_labels,
    from_,
    instance,
    namespace,
    namespaces,
    owned_by,
    pod,
    policy,
    port,
    rule,
)

from webhook.cli import main

ALLOWED, DENIED, UNUSABLE = 0, 1, 2
DENY = policy("deny", policy_types=["Ingress"])
STATE = [namespace("eem"), instance("gw", kind=GATEWAY_KIND), instance("mgr", kind=MANAGER_KIND)]
LAST_LINE = "fix: run the command again with --fix: it prints the policies that make these changes acceptable"


def write(path: Path, *objects: ApiObject) -> str:
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    return str(path)


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    state = write(tmp_path / "state.json", *STATE)
    return ["check", "--state", state, "--apply", write(tmp_path / "deny.json", DENY)]


def test_the_last_line_of_a_refusal_says_how_to_get_the_remedy(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Row 43: not in JSON alone."""
    assert main(words) == DENIED
    assert capsys.readouterr().err.splitlines()[-1] == LAST_LINE
    assert main([*words, "--mode", "audit"]) == ALLOWED
    assert capsys.readouterr().err.splitlines()[-1] == LAST_LINE


def test_what_it_prints_makes_the_change_acceptable(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Row 43: applied first, in the form that kubectl takes; the verdicts are on standard error."""
    assert main([*words, "--fix"]) == DENIED
    captured = capsys.readouterr()
    file = tmp_path / "fix.yaml"
    file.write_text(captured.out)

    assert [one["metadata"]["name"] for one in yaml.safe_load_all(captured.out)] == [
        "allow-mgr-manager",
        "allow-gw-gateway",
    ]
    assert "# CREATE NetworkPolicy eem/deny: without this policy, EventGateway eem/gw: gateway TCP/8092" in captured.out
    assert "DENIED  CREATE NetworkPolicy eem/deny" in captured.err
    assert LAST_LINE not in captured.err
    assert max(map(len, captured.out.splitlines())) <= 120
    assert main([*words[:3], "--apply", str(file), words[-1]]) == ALLOWED


def test_a_policy_that_several_changes_need_is_printed_once(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the reason of each."""
    again = write(tmp_path / "again.json", policy("again", policy_types=["Ingress"]))

    assert main([*words, again, "--fix"]) == DENIED
    out = capsys.readouterr().out
    assert out.count("name: allow-gw-gateway") == 1
    assert "# CREATE NetworkPolicy eem/deny: " in out
    assert "# CREATE NetworkPolicy eem/again: " in out


def test_two_policies_never_have_one_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`kubectl apply` would replace the first one by the second one."""
    gateway = instance("gw", kind=GATEWAY_KIND)
    pods = [
        pod(name, labels={"zone": name, "app.kubernetes.io/instance": "gw"}, owners=[owned_by(gateway)])
        for name in "ab"
    ]
    bare = [pod(name, labels={"zone": name}, owners=[owned_by(gateway)]) for name in ("c", "d")]
    state = write(tmp_path / "state.json", namespace("eem"), gateway, *pods, *bare)
    denies = [
        write(tmp_path / f"{zone}.json", policy(f"deny-{zone}", pod_selector={"matchLabels": {"zone": zone}}))
        for zone in "cd"
    ]

    assert main(["check", "--state", state, "--apply", *denies, "--fix"]) == DENIED
    found = list(yaml.safe_load_all(capsys.readouterr().out))
    assert [one["metadata"]["name"] for one in found] == ["allow-gw-gateway", "allow-gw-gateway-2"]
    assert [one["spec"]["podSelector"]["matchLabels"]["zone"] for one in found] == ["c", "d"]


def test_where_no_policy_helps_a_comment_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A rule of the Admin tier denies what no NetworkPolicy can open."""
    state = write(tmp_path / "state.json", *STATE)
    deny = admin_policy(subject={"namespaces": {}}, ingress=[rule("Deny", namespaces())])

    assert main(["check", "--state", state, "--apply", write(tmp_path / "deny.json", deny), "--fix"]) == DENIED
    captured = capsys.readouterr()
    assert captured.out.startswith("# CREATE AdminNetworkPolicy admin: ")
    assert "# No policy was found that fixes this" in captured.out
    assert list(yaml.safe_load_all(captured.out)) == []


def test_a_small_edit_is_printed_as_the_object_to_apply(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A port is missing: with it, the same file is accepted, and nothing that kubectl added is in it."""
    state, ports = write(tmp_path / "state.json", *STATE), [port(3000, "TCP")]
    clients = policy("clients", pod_selector={"matchLabels": eem_labels("mgr")}, ingress=[from_(ports=ports)])
    clients["metadata"] |= {"annotations": {"team": "a"}, "labels": {"app": "web"}, "uid": "1", "generation": 2}

    assert main(["check", "--state", state, "--apply", write(tmp_path / "a.json", clients), "--fix"]) == DENIED
    out = capsys.readouterr().out
    file = tmp_path / "fix.yaml"
    file.write_text(out)
    (edited,) = yaml.safe_load_all(out)
    assert "Apply this instead of that change: add port TCP/8081" in " ".join(out.replace("\n# ", " ").split())
    assert edited["metadata"] == {
        "name": "clients",
        "namespace": "eem",
        "annotations": {"team": "a"},
        "labels": {"app": "web"},
    }
    assert main(["check", "--state", state, "--apply", str(file)]) == ALLOWED


def test_the_fix_of_lost_egress_is_yaml_as_well(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """With --egress enforce, one policy opens both directions."""
    Path(words[-1]).write_text(json.dumps(policy("deny", policy_types=["Ingress", "Egress"])))

    assert main([*words, "--egress", "enforce", "--fix"]) == DENIED
    types = {one["metadata"]["name"]: one["spec"]["policyTypes"] for one in yaml.safe_load_all(capsys.readouterr().out)}
    assert types == {"allow-mgr-manager": ["Ingress"], "allow-gw-gateway": ["Ingress", "Egress"]}


def test_the_difference_of_two_folders_has_a_fix(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As a change set."""
    before, after = (write(tmp_path / f"{name}.json", *STATE, *more) for name, more in (("a", []), ("b", [DENY])))

    assert main(["check", "--before", before, "--after", after, "--fix"]) == DENIED
    assert "name: allow-gw-gateway" in capsys.readouterr().out


def test_a_broken_state_is_mended_by_what_audit_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The audit is on standard error; with the policies, every requirement is met."""
    state = write(tmp_path / "state.json", *STATE, DENY)

    assert main(["audit", "--state", state, "--fix"]) == DENIED
    captured = capsys.readouterr()
    file = tmp_path / "fix.yaml"
    file.write_text(captured.out)
    assert "# Without this policy, EventGateway eem/gw: gateway TCP/8092" in captured.out
    assert "BROKEN  EventGateway eem/gw gateway TCP/8092" in captured.err
    assert main(["audit", "--state", state, str(file)]) == ALLOWED
    assert main(["audit", "--state", state, str(file), "--fix"]) == ALLOWED
    assert capsys.readouterr().out.endswith("# Nothing is broken: there is nothing to add.\n")


def test_cut_off_egress_is_mended_by_what_audit_prints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One policy opens both directions; with it nothing is cut off, also where a loss is only warned of."""
    closed = policy("closed", policy_types=["Ingress", "Egress"], pod_selector={"matchLabels": eem_labels("gw")})
    state = write(tmp_path / "state.json", *STATE, closed)

    assert main(["audit", "--state", state, "--egress", "enforce", "--fix"]) == DENIED
    captured = capsys.readouterr()
    file = tmp_path / "fix.yaml"
    file.write_text(captured.out)
    (fix,) = yaml.safe_load_all(captured.out)
    assert fix["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert "cannot reach Kafka" in " ".join(captured.out.replace("\n# ", " ").split())
    assert main(["audit", "--state", state, str(file), "--egress", "enforce"]) == ALLOWED
    assert "CUT OFF" not in capsys.readouterr().out


def test_the_fix_of_an_audit_is_no_format(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """JSON has a remedy in each row."""
    assert main(["audit", "--state", write(tmp_path / "state.json", *STATE), "--fix", "-o", "json"]) == UNUSABLE
    assert "--fix prints YAML" in capsys.readouterr().err


def test_without_a_refusal_there_is_nothing_to_add(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The output is a comment, which kubectl reads as no object."""
    state = write(tmp_path / "state.json", *STATE)
    allow = policy("allow", pod_selector={"matchLabels": eem_labels("gw")}, ingress=[from_(ports=[port(8092, "TCP")])])

    assert main(["check", "--state", state, "--apply", write(tmp_path / "a.json", allow), "--fix"]) == ALLOWED
    assert capsys.readouterr().out == "# No change is refused because a policy is missing: there is nothing to add.\n"


def test_fix_is_no_format(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """JSON has the policies already, as lost[].remedy."""
    assert main([*words, "--fix", "-o", "json"]) == UNUSABLE
    assert "--fix prints YAML" in capsys.readouterr().err
