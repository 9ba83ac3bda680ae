"""No input passes without a word. The numbers are the rows of the inputs from the field that once failed."""

import io
import json
import sys
from pathlib import Path

import pytest
from builders import (
    GATEWAY_KIND,
    ApiObject,
    block,
    container_port,
    eem_labels,
    from_,
    instance,
    namespace,
    pod,
    policy,
    port,
)

from webhook.cli import main

ALLOWED, DENIED, UNUSABLE = 0, 1, 2
GATEWAY_POD = pod("gw-0", labels=eem_labels("gw"), ports=[container_port(8092, "kafka")], ips=["10.9.0.1"])
STATE = [namespace("eem"), namespace("shop"), instance("gw", kind=GATEWAY_KIND), GATEWAY_POD]
DENY = policy("deny", policy_types=["Ingress"])
OPEN = policy("allow", pod_selector={"matchLabels": eem_labels("gw")}, ingress=[from_(ports=[port(8092, "TCP")])])


def write(path: Path, *objects: ApiObject) -> str:
    path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    return str(path)


@pytest.fixture
def state(tmp_path: Path) -> str:
    return write(tmp_path / "state.json", *STATE)


def without_namespace(api_object: ApiObject) -> ApiObject:
    return {**api_object, "metadata": {"name": api_object["metadata"]["name"]}}


@pytest.mark.parametrize(
    ("words", "status", "words_out", "words_err"),
    [
        pytest.param([], ALLOWED, "default/deny", "in the namespace default; set it, or use -n", id="without -n"),
        pytest.param(["-n", "eem"], DENIED, "eem/deny", "1 refused", id="with -n"),
    ],
)
def test_an_object_without_namespace_is_judged_where_n_says(  # noqa: PLR0913, PLR0917  a row of a table
    words: list[str],
    status: int,
    words_out: str,
    words_err: str,
    tmp_path: Path,
    state: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Row 17: the product's deny-all example names no namespace; `default` is judged with a warning."""
    deny = write(tmp_path / "deny.json", without_namespace(DENY))

    assert main(["check", "--state", state, "--apply", deny, *words]) == status

    captured = capsys.readouterr()
    assert words_out in captured.out
    assert words_err in captured.err


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param("", "has no object that a verdict depends on; it has no object", id="empty"),
        pytest.param("# nothing\n", "has no object that a verdict depends on; it has no object", id="comments"),
        pytest.param("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n", "it has 1 ConfigMap", id="ConfigMap"),
        pytest.param(
            "apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: a}\n",
            "it has 1 NetworkPolicy",
            id="Calico",
        ),
        pytest.param("apiVersion: networking.k8s.io/v1\nkind: networkpolicy\n", "mean NetworkPolicy?", id="kind"),
        pytest.param("apiVersion: v1\nkind: NetworkPolicy\n", "expected networking.k8s.io/v1", id="apiVersion"),
    ],
)
def test_a_file_without_an_object_to_judge_has_status_2(
    text: str, complaint: str, tmp_path: Path, state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Row 18: exit 0 would say that the change is allowed."""
    file = tmp_path / "change.yaml"
    file.write_text(text)

    assert main(["check", "--state", state, "--apply", str(file)]) == UNUSABLE

    captured = capsys.readouterr()
    assert complaint in captured.err
    assert captured.out == ""


def test_standard_input_that_is_named_twice_has_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    """Row 18: the second reader would find nothing."""
    assert main(["check", "--state", "-", "--apply", "-"]) == UNUSABLE
    assert "named twice" in capsys.readouterr().err


@pytest.mark.parametrize("objects", [[], [namespace("shop"), policy("a", "shop")]], ids=["empty", "without EEM"])
def test_a_state_without_eem_has_status_2(
    objects: list[ApiObject], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Row 19: nothing could be refused; --allow-empty says that this is meant."""
    words = ["--state", write(tmp_path / "state.json", *objects), "--apply", write(tmp_path / "deny.json", DENY)]

    assert main(["check", *words]) == UNUSABLE
    assert "the state has no EEM instance and no EEM operator" in capsys.readouterr().err
    assert main(["check", *words, "--allow-empty"]) == ALLOWED
    assert "warning: the state has no EEM instance" in capsys.readouterr().err


def test_an_object_that_is_twice_in_the_state_has_status_2(
    tmp_path: Path, state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Row 20: the order of files would decide."""
    twice = [state, write(tmp_path / "a.json", OPEN), write(tmp_path / "b.json", policy("allow"))]

    assert main(["check", "--state", *twice, "--delete", "netpol/eem/allow"]) == UNUSABLE
    assert "NetworkPolicy eem/allow occurs twice" in capsys.readouterr().err


def test_unknown_fields_are_named(tmp_path: Path, state: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Row 21: with the rule dropped, the policy is a default deny."""
    mistyped = policy("mistyped")
    mistyped["spec"]["ingres"] = [{}]

    assert main(["check", "--state", state, "--apply", write(tmp_path / "a.json", mistyped)]) == DENIED
    assert "spec.ingres: there is no such field (did you mean ingress?)" in capsys.readouterr().err


def test_an_unknown_mode_annotation_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Row 24: the namespace is not in the mode that its owner wanted."""
    annotated = namespace("eem", annotations={"eem-guardrail.io/mode": "wrn"})
    state = write(tmp_path / "state.json", annotated, *STATE[1:])

    assert main(["check", "--state", state, "--apply", write(tmp_path / "deny.json", DENY)]) == DENIED
    assert '"wrn" is unknown and has no effect' in capsys.readouterr().err


@pytest.mark.parametrize(
    "spelling",
    [
        "networkpolicies.networking.k8s.io/eem/allow",
        "networkpolicies.v1.networking.k8s.io/eem/allow",
        "networkpolicy/eem/allow",
        "NetworkPolicy/eem/allow",
        "netpol/eem/allow",
    ],
)
def test_delete_accepts_the_spellings_of_kubectl(
    spelling: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Row 32: kind, plural, short name, with version and group."""
    state = write(tmp_path / "state.json", *STATE, OPEN, DENY)

    assert main(["check", "--state", state, "--delete", spelling]) == DENIED
    assert "DENIED  DELETE NetworkPolicy eem/allow" in capsys.readouterr().out


def test_delete_takes_the_namespace_from_n_and_cluster_scoped_objects_have_none(
    state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Row 32: `egw/gw` with -n, and `ns//shop`."""
    assert main(["check", "--state", state, "-n", "eem", "--delete", "egw/gw", "ns//shop"]) == ALLOWED
    assert "DELETE EventGateway eem/gw" in (out := capsys.readouterr().out)
    assert "DELETE Namespace shop" in out


def test_a_generated_name_is_judged(tmp_path: Path, state: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Row 33: as `kubectl create` accepts it."""
    generated = {**DENY, "metadata": {"generateName": "deny-", "namespace": "eem"}}

    assert main(["check", "--state", state, "--apply", write(tmp_path / "a.json", generated)]) == DENIED
    assert "CREATE NetworkPolicy eem/deny-00001" in capsys.readouterr().out


def test_a_template_of_openshift_is_rendered_first(
    tmp_path: Path, state: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What `oc process` prints is a List; the template itself is a fault of a change, and nothing to a state."""
    template = {"apiVersion": "template.openshift.io/v1", "kind": "Template", "metadata": {"name": "t"}}
    unrendered = write(tmp_path / "template.json", {**template, "objects": [DENY]})
    rendered = write(tmp_path / "rendered.json", {"kind": "List", "apiVersion": "v1", "metadata": {}, "items": [DENY]})

    assert main(["check", "--state", state, "--apply", unrendered]) == UNUSABLE
    assert "kind: this is a template: render it first, with `oc process`" in capsys.readouterr().err
    assert main(["check", "--state", state, "--state", unrendered, "--apply", rendered]) == DENIED
    assert "1 Template" in capsys.readouterr().err


def test_a_folder_with_other_files_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Row 36: values and kustomizations are skipped and named; --exclude leaves files out."""
    folder = tmp_path / "state"
    folder.mkdir()
    write(folder / "state.json", *STATE)
    (folder / "values.yaml").write_text("a: 1\n")
    (folder / "template.yaml").write_text("name: {{ .Values.x }}\n")
    words = ["--state", str(folder), "--apply", write(tmp_path / "deny.json", DENY)]

    assert main(["check", *words]) == UNUSABLE
    assert "looks like a Helm template" in capsys.readouterr().err
    assert main(["check", *words, "--exclude", "template.yaml"]) == DENIED
    assert f"summary: skipped: {folder}/values.yaml (no API object in the file)" in capsys.readouterr().err


def test_every_run_ends_with_a_summary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Section 2 of the issue: what was judged, what was read, and what was skipped and why."""
    secret: ApiObject = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}
    state = write(tmp_path / "state.json", *STATE, secret, secret)
    changes = [write(tmp_path / "a.json", OPEN, pod("x"), secret), write(tmp_path / "b.json", DENY)]

    assert main(["check", "--state", state, "--apply", *changes, "--delete", "netpol/eem/allow"]) == DENIED
    lines = capsys.readouterr().err.splitlines()
    assert lines[-5:] == [
        "summary: 4 changes: 1 refused, 2 allowed, 0 with warnings, 1 not judged",
        "summary: not judged: 1 Pod (the webhook is not asked about this kind)",
        "summary: read: 4 objects of the state, 3 of the changes",
        "summary: skipped: 3 Secret (no verdict depends on them)",
        "fix: run the command again with --fix: it prints the policies that make these changes acceptable",
    ]


def test_a_run_without_a_verdict_says_so(state: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Section 2 of the issue: the summary of a run that fails."""
    assert main(["check", "--state", state, "--apply", "no-such-file.yaml"]) == UNUSABLE
    assert capsys.readouterr().err.splitlines()[-1] == "summary: no change was judged"


def test_what_is_exempt_is_counted_with_its_reason(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Section 2 of the issue: it was allowed without evaluation."""
    off = instance("gw", kind=GATEWAY_KIND, deploy_network_policies=False)
    state = write(tmp_path / "state.json", namespace("eem"), off)

    assert main(["check", "--state", state, "--apply", write(tmp_path / "deny.json", DENY)]) == ALLOWED
    err = capsys.readouterr().err
    assert "summary: 1 change: 0 refused, 0 allowed, 1 with warnings, 1 not judged" in err
    assert "summary: not judged: 1 deployNetworkPolicies" in err


def test_a_stored_policy_that_cannot_be_read_does_not_stop_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Row 48: an IPv4-mapped CIDR that an older API server accepted, in another namespace."""
    old = policy("old", "shop", ingress=[from_(block("::ffff:10.0.0.0/104"))])
    state = write(tmp_path / "state.json", *STATE, old)

    assert main(["check", "--state", state, "--apply", write(tmp_path / "deny.json", DENY)]) == DENIED
    assert "the policy counts as unknown" in capsys.readouterr().err


# explain


def explain(state: str, *words: str) -> int:
    return main(["explain", "--state", state, *words])


@pytest.mark.parametrize("to", ["gw-0", "/gw-0", "eem/"])
def test_a_wrong_destination_is_named_with_its_flag(to: str, state: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Row 39: the message named no flag, and had two blanks."""
    assert explain(state, "--to", to, "--port", "8092") == UNUSABLE
    assert capsys.readouterr().err == f"eem-guardrail explain: --to: {to!r} is not NAMESPACE/POD\n"


def test_serve_outside_a_cluster_names_the_flags(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Row 39: the user learns what to do."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)

    assert main(["serve"]) == UNUSABLE
    assert "outside a cluster, use --state, --kubeconfig or --context" in capsys.readouterr().err


def test_a_range_that_is_partly_allowed_shows_which_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Row 40: one address of a range of 256 may connect."""
    narrow = policy("narrow", ingress=[from_(block("192.168.78.7/32"))])
    state = write(tmp_path / "state.json", *STATE, narrow)
    words = ["--to", "eem/gw-0", "--port", "8092", "--from", "192.168.78.0/24"]

    assert explain(state, *words) == DENIED
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "192.168.78.0/24 -> eem/gw-0 TCP/8092: PARTLY ALLOWED"
    assert "  allowed: 192.168.78.7/32" in out
    assert "  not allowed: 192.168.78.128/25" in out
    assert explain(state, *words, "-o", "json") == DENIED
    assert json.loads(capsys.readouterr().out)["admitted"] == ["192.168.78.7/32"]


def test_a_port_is_found_by_its_name(state: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Row 41: as policies name it."""
    assert explain(state, "--to", "eem/gw-0", "--port", "kafka") == ALLOWED
    assert "eem/gw-0 TCP/8092 can be reached by" in capsys.readouterr().out
    assert explain(state, "--to", "eem/gw-0", "--port", "http") == UNUSABLE
    assert "--port: eem/gw-0 has no TCP port named 'http'; it names: kafka" in capsys.readouterr().err
    assert explain(state, "--to", "eem/none", "--port", "kafka") == UNUSABLE
    assert "--to: there is no pod or workload none" in capsys.readouterr().err


def test_a_state_on_standard_input_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once, for the state or for one change."""
    content = json.dumps({"apiVersion": "v1", "kind": "List", "items": STATE}).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    assert main(["check", "--state", "-", "--apply", write(tmp_path / "deny.json", DENY)]) == DENIED
    assert "1 refused" in capsys.readouterr().err
