"""Every fault of a file that ends a command with status 2 has its file, line and column."""

import io
import json
import re
import sys
from pathlib import Path

import pytest
from builders import GATEWAY_KIND, instance, namespace

from webhook.cli import main

UNUSABLE = 2
MIB = 1024 * 1024
HEAD = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a, namespace: eem}\n"
BAD_PORT = f"{HEAD}spec:\n  podSelector: {{}}\n  ingress:\n  - ports:\n    - port: '8092'\n"
BAD_ITEM = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "a", "namespace": "eem"},
    "spec": {"podSelector": {"matchLabels": {"enabled": True}}},
}
SECRETS = "".join(f"- apiVersion: v1\n  kind: Secret\n  metadata: {{name: s{n}}}\n" for n in range(20_000))
"""More than a MiB."""

LONG = [{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x" * 5 * MIB}}, BAD_ITEM]


def as_list(indent: int | None) -> str:
    return json.dumps({"apiVersion": "v1", "items": LONG, "kind": "List"}, indent=indent)


def at(text: str, part: str) -> str:
    """Return where a part of a text is."""
    before = text[: text.index(part)]
    return f"(line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))})"


DEEP = "[" * 201 + "]" * 201
ENABLED = '"enabled"'
TWO = json.dumps({"apiVersion": "v1", "kind": "Secret"}) + json.dumps(BAD_ITEM)


@pytest.fixture
def state(tmp_path: Path) -> str:
    file = tmp_path / "state.json"
    objects = [namespace("eem"), instance("gw", kind=GATEWAY_KIND)]
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
    return str(file)


@pytest.mark.parametrize(
    ("name", "text", "place", "message"),
    [
        pytest.param("a.yaml", BAD_PORT, "document 1 (line 8, column 7)", "spec.ingress[0].ports[0].port:", id="value"),
        pytest.param(
            "a.yaml", f"--- {{}}\n---\n{HEAD}spec: 1", "document 2 (line 6, column 1)", "spec:", id="document"
        ),
        pytest.param("a.yaml", HEAD.replace("a,", "A_,"), "(line 3, column 12)", "metadata.name:", id="name"),
        pytest.param("a.yaml", HEAD.replace("name: a, ", ""), "(line 3, column 1)", "metadata.name:", id="no name"),
        pytest.param(
            "a.yaml", HEAD.replace("NetworkPolicy", "NetworkPolicie"), "(line 2, column 1)", "kind:", id="kind"
        ),
        pytest.param("a.yaml", HEAD.replace(".k8s.io", ""), "(line 1, column 1)", "apiVersion:", id="version"),
        pytest.param(
            "a.yaml", "  - a\n", "document 1 (line 1, column 3)", "is a list, not an API object", id="no object"
        ),
        pytest.param("a.yaml", "a: 1\nb: [", "(line 3, column 1)", "not YAML:", id="not YAML"),
        pytest.param("a.yaml", "a:\n\t- b", "(line 2, column 1)", "a tab in column 1", id="a tab"),
        pytest.param("a.yaml", 'a: 1\nb: {1: c, "1": d}', "(line 2, column 11)", "occurs twice", id="two keys"),
        pytest.param("a.yaml", "a: 1\nb: [c, *d]", "(line 2, column 8)", "*d names nothing", id="an alias"),
        pytest.param("a.yaml", "a: 1\n<<: 2", "(line 2, column 5)", "<< takes a mapping", id="a merge"),
        pytest.param("a.yaml", "a: " + "[" * 201, "(line 1, column 203)", "nested more than", id="too deep"),
        pytest.param("a.json", f' {{"a": {DEEP}}}', "(line 1, column 2)", "nested more than", id="JSON too deep"),
        pytest.param(
            "a.json", "[" * 100_000, "(line 1, column 1)", "not JSON: maximum recursion depth", id="JSON much too deep"
        ),
        pytest.param("a.yaml", "a: !!binary '?'", "(line 1, column 4)", "is not base64", id="a tag"),
        pytest.param("a.yaml", "a: 1\nb: {{ .Values.c }}", "(line 2, column 4)", "Helm template", id="a template"),
        pytest.param("a.json", '{"a": 1,\n "b" 2}', "(line 2, column 6)", "not JSON: Expecting ':'", id="not JSON"),
        pytest.param(
            "a.json",
            TWO,
            f"document 2 {at(TWO, ENABLED)}",
            "spec.podSelector.matchLabels[enabled]:",
            id="JSON behind JSON",
        ),
        pytest.param(
            "a.yaml",
            BAD_PORT.replace("a,", "\u00e4\u00f6\u00fc,"),
            "(line 3, column 12)",
            "metadata.name",
            id="letters",
        ),
        pytest.param(
            "a.yaml",
            f"apiVersion: v1\nkind: List\nitems:\n{SECRETS}- apiVersion: v1\n  kind: Pods\n- kind: 1\n",
            "document 1, items[20000] (line 60005, column 3)",
            "kind: there is no kind Pods",
            id="a long list in YAML",
        ),
        pytest.param(
            "a.yaml",
            f"apiVersion: v1\nkind: List\nitems:\n{SECRETS}---\n{HEAD}spec: 1\n---\na: 1\n",
            "document 2 (line 60008, column 1)",
            "spec: ",
            id="a document behind a long list",
        ),
        pytest.param(
            "a.json", as_list(4), f"items[1] {at(as_list(4), ENABLED)}", "matchLabels[enabled]:", id="long JSON"
        ),
        pytest.param(
            "a.json",
            as_list(None),
            f"items[1] {at(as_list(None), ENABLED)}",
            "matchLabels[enabled]:",
            id="long line of JSON",
        ),
        pytest.param(
            "a.json", as_list(4)[:-1], "(line 28, column 1)", "not JSON: Expecting", id="long JSON with no end"
        ),
    ],
)
@pytest.mark.parametrize("is_piped", [False, True], ids=["file", "standard input"])
def test_a_fault_has_line_and_column(  # noqa: PLR0913, PLR0917  a row of a table
    name: str,
    text: str,
    place: str,
    message: str,
    is_piped: bool,  # noqa: FBT001
    state: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Section 3 of the issue: of the key of a field, or else of the object."""
    file = tmp_path / name
    file.write_text(text)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))

    assert main(["check", "--state", state, "--apply", "-" if is_piped else str(file)]) == UNUSABLE
    err = capsys.readouterr().err
    assert ("standard input" if is_piped else str(file)) in err
    if not (is_piped and "not JSON" in message):  # without a name, JSON that is none is YAML
        assert place in err
        assert message in err
    assert re.search(r"line \d+, column \d+\)", err)


def test_an_object_that_is_there_twice_has_line_and_column(
    state: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Row 20: those of the second one."""
    twice = tmp_path / "twice.yaml"
    twice.write_text(f"apiVersion: v1\nkind: List\nitems:\n- {json.dumps(namespace('eem'))}\n")

    assert main(["audit", "--state", state, str(twice)]) == UNUSABLE
    assert f"{twice}, document 1, items[0] (line 4, column 3): Namespace eem occurs twice" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["check", "--state", "BAD", "--delete", "ns//a"], id="check"),
        pytest.param(["check", "--before", "GOOD", "--after", "BAD"], id="check of a difference"),
        pytest.param(["explain", "--state", "BAD", "--to", "eem/a", "--port", "1"], id="explain"),
        pytest.param(["plan", "--before", "BAD", "--after", "GOOD"], id="plan"),
        pytest.param(["audit", "--state", "BAD"], id="audit"),
        pytest.param(["report", "--state", "BAD"], id="report"),
        pytest.param(["serve", "--state", "BAD", "--https-port", "0", "--http-port", "0"], id="serve"),
    ],
)
def test_every_command_names_line_and_column(
    words: list[str], state: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A pod whose label is no text."""
    bad = tmp_path / "bad.yaml"
    bad.write_bytes("apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n  labels: {b: 1}\n".encode("utf-16"))
    written = [{"BAD": str(bad), "GOOD": state}.get(word, word) for word in words]

    assert main(written) == UNUSABLE
    assert f"{bad}, document 1 (line 5, column 12): metadata.labels[b]:" in capsys.readouterr().err


def test_what_kubectl_refuses_has_line_and_column(
    state: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the name of the object that exists."""
    file = tmp_path / "a.yaml"
    file.write_text("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: eem\n")

    assert main(["check", "--state", state, "--apply", str(file), "--apply-mode", "create"]) == UNUSABLE
    assert f"{file}:4:3: --apply-mode create: Namespace eem exists already" in capsys.readouterr().err
