"""Verdicts in the formats of pipelines, with the line and the column of the field that they are about."""

import io
import json
import re
import sys
from pathlib import Path
from typing import get_args
from xml.etree import ElementTree as ET

import pytest
from builders import GATEWAY_KIND, eem_labels, from_, instance, namespace, pod, policy, port, selector
from json_outputs import closed, compare
from jsonschema import Draft202012Validator
from junitparser import Failure, JUnitXml

from webhook.cli import main
from webhook.cli.results import DESCRIPTIONS
from webhook.netpol.faults import FaultReason

ROOT = Path(__file__).resolve().parents[2]
DENIED = 1
ALLOW = policy("allow-clients", pod_selector=selector(**eem_labels("gw")), ingress=[from_(ports=[port(8092, "TCP")])])
STATE = [
    namespace("eem"),
    instance("gw", kind=GATEWAY_KIND),
    pod("gw-ibm-egw-gateway-7f9c-x2x", labels=eem_labels("gw")),
    ALLOW,
]
CHANGES = """\
# A deny that cuts clients off, a faulty policy, and a change that is only doubtful.
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny, namespace: eem}
spec:
  podSelector: {}
  policyTypes: [Ingress]
---
apiVersion: events.ibm.com/v1beta1
kind: EventGateway
metadata: {name: other, namespace: eem}
spec:
  license: {accept: true, license: L-CYBH-K48BZQ, metric: VIRTUAL_PROCESSOR_CORE, use: EventAutomationProduction}
  gatewayGroupName: group
  gatewayID: other
  manager: {endpoint: 'https://manager.example.com'}
  listeners:
    - name: clients
      port: 99999
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: allow-clients, namespace: eem}
spec:
  podSelector: {matchLabels: {app.kubernetes.io/instance: gw, app.kubernetes.io/name: ibm-event-endpoint-management}}
  ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: 8092, protocol: TCP}]}]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder with a state and a file of changes, and work in it."""
    deny = policy("isolating", pod_selector=selector(**eem_labels("gw")), policy_types=["Ingress"])
    (tmp_path / "state.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [*STATE, deny]}))
    (tmp_path / "changes.yaml").write_text(CHANGES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def output(form: str, capsys: pytest.CaptureFixture[str], *more: str) -> str:
    """Return what `check` prints in a format about the changes, one of them on the command line."""
    words = ["check", "--state", "state.json", "--apply", "./changes.yaml", *more, "-o", form]

    assert main(words) == DENIED
    return capsys.readouterr().out


def test_the_changes_have_one_result_of_each_sort(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The cases below rest on it: a loss, a fault, a warning, and a refused deletion that is in no file."""
    del folder
    verdicts = json.loads(output("json", capsys, "--delete", "netpol/eem/allow-clients"))

    assert [(one["allowed"], len(one["lost"]), len(one["faults"]), bool(one["warnings"])) for one in verdicts] == [
        (True, 0, 0, False),
        (False, 0, 1, False),
        (True, 1, 0, True),
        (False, 1, 0, False),
    ]


def test_github_annotations_have_the_position_and_escapes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Errors come first; a colon ends a property, and a line end the annotation, unless they are escaped."""
    del folder
    lines = output("github", capsys, "--delete", "netpol/eem/allow-clients").splitlines()

    assert [line.partition("::")[2].partition("::")[0] for line in lines] == [
        "error file=changes.yaml,line=19,col=7,title=eem-guardrail%3A EventGateway eem/other",
        "error title=eem-guardrail%3A NetworkPolicy eem/allow-clients",
        "warning file=changes.yaml,line=21,col=1,title=eem-guardrail%3A NetworkPolicy eem/allow-clients",
    ]
    assert lines[0].endswith(
        "::create EventGateway eem/other: spec.listeners[0].port: must be from 1 to 65535, not the number 99999"
    )
    assert "would cut off required ingress: EventGateway eem/gw: gateway TCP/8092" in lines[1]


def test_sarif_names_rules_and_places(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each result has a rule that the tool describes, and a relative place with line and column."""
    del folder
    found = json.loads(output("sarif", capsys, "--delete", "netpol/eem/allow-clients"))

    assert found["version"] == "2.1.0"
    run = found["runs"][0]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == [
        "range.listeners.port",
        "required-ingress-lost",
        "verdict-warning",
    ]
    places = [result["locations"][0]["physicalLocation"] for result in run["results"]]
    assert [(one["ruleId"], one["level"]) for one in run["results"]] == [
        ("range.listeners.port", "error"),
        ("required-ingress-lost", "error"),
        ("verdict-warning", "warning"),
    ]
    assert [(place["artifactLocation"]["uri"], *place["region"].values()) for place in places] == [
        ("changes.yaml", 19, 7, 19, 11),
        ("command-line", 1, 1, 1, 2),
        ("changes.yaml", 21, 1, 21, 2),
    ]


def test_gitlab_has_a_fingerprint_for_each_result(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The fingerprint is the same in the next run, and different for another result."""
    del folder
    reports = [json.loads(output("gitlab", capsys, "--delete", "netpol/eem/allow-clients")) for _ in range(2)]

    assert reports[0] == reports[1]
    assert len({one["fingerprint"] for one in reports[0]}) == 3
    assert [(one["severity"], one["check_name"], one["location"]) for one in reports[0]] == [
        ("critical", "range.listeners.port", {"path": "changes.yaml", "lines": {"begin": 19}}),
        ("critical", "required-ingress-lost", {"path": "command-line", "lines": {"begin": 1}}),
        ("minor", "verdict-warning", {"path": "changes.yaml", "lines": {"begin": 21}}),
    ]


def test_junit_has_a_case_for_each_change(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A refusal is a failure with its rule as the type; a warning is output of the case."""
    del folder
    suites = ET.fromstring(output("junit", capsys))  # noqa: S314  written by the command itself

    assert (suites.attrib["tests"], suites.attrib["failures"]) == ("3", "1")
    cases = list(suites.iter("testcase"))
    assert [(case.attrib["name"], case.attrib["file"], [part.tag for part in case]) for case in cases] == [
        ("CREATE NetworkPolicy eem/deny", "changes.yaml", []),
        ("CREATE EventGateway eem/other", "changes.yaml", ["failure"]),
        ("UPDATE NetworkPolicy eem/allow-clients", "changes.yaml", ["system-out"]),
    ]
    assert cases[1][0].attrib["type"] == "range.listeners.port"


def test_mode_warn_makes_a_refusal_a_warning(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The annotation of a change that is admitted is no error."""
    del folder
    words = ["check", "--state", "state.json", "--delete", "netpol/eem/allow-clients", "--mode", "warn", "-o", "github"]

    assert main(words) == 0
    assert all(line.startswith("::warning ") for line in capsys.readouterr().out.splitlines())


def test_standard_input_has_a_name(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its text cannot be read again for the position of a field, so the line of the document is reported."""
    stream = io.TextIOWrapper(io.BytesIO((folder / "changes.yaml").read_bytes()))
    monkeypatch.setattr(sys, "stdin", stream)

    main(["check", "--state", "state.json", "--apply", "-", "-o", "github"])

    assert capsys.readouterr().out.startswith("::error file=standard-input,line=9,col=1,")


CODE_QUALITY = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["description", "check_name", "fingerprint", "severity", "location"],
        "additionalProperties": False,
        "properties": {
            "description": {"type": "string", "minLength": 1},
            "check_name": {"type": "string", "minLength": 1},
            "fingerprint": {"type": "string", "minLength": 1},
            "severity": {"enum": ["info", "minor", "major", "critical", "blocker"]},
            "location": {
                "type": "object",
                "required": ["path", "lines"],
                "properties": {
                    "path": {"type": "string", "pattern": r"^(?!\./|/)."},
                    "lines": {"required": ["begin"], "properties": {"begin": {"type": "integer", "minimum": 1}}},
                },
            },
        },
    },
}
"""Source: GitLab, "Code Quality report format": the fields that it requires, and paths without `./`."""


def printed(form: str, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Return what a command prints in a format where something is refused or broken."""
    capsys.readouterr()
    assert main([*words, "-o", form]) == DENIED
    return capsys.readouterr().out


CHECK = ("check", "--state", "state.json", "--apply", "changes.yaml", "--delete", "netpol/eem/allow-clients")
PLAN = ("plan", "--state", "cluster.json", "--before", "before.yaml", "--after", "after.yaml")
AUDIT = ("audit", "--state", "broken.json")
each_command = pytest.mark.parametrize("words", [CHECK, PLAN, AUDIT], ids=["check", "plan", "audit"])

BEFORE = """\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: allow-clients, namespace: eem}
spec:
  podSelector: {matchLabels: {app.kubernetes.io/instance: gw}}
  ingress:
    - ports:
        - port: 8092
"""


@pytest.fixture
def exchange(folder: Path) -> Path:
    """Add a change set without a safe order, and a state with a closed port."""
    (folder / "before.yaml").write_text(BEFORE)
    (folder / "after.yaml").write_text(BEFORE.replace("8092", "8443"))
    (folder / "cluster.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": STATE[:-1]}))
    deny = policy("isolating", policy_types=["Ingress"])
    stray = pod("stray", labels={"gatewayGroup": "a", "gatewayId": "1"})
    listed = [STATE[0], STATE[1], STATE[2], stray, deny]
    (folder / "broken.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": listed}, indent=1))
    return folder


@each_command
def test_gitlab_reports_have_the_fields_that_gitlab_requires(
    exchange: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """Also without a file, a result has a path and a line."""
    del exchange
    found = json.loads(printed("gitlab", capsys, *words))

    assert found
    assert list(Draft202012Validator(CODE_QUALITY).iter_errors(found)) == []


@each_command
def test_junit_is_read_by_another_program(
    exchange: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """The reader finds the counts that the report has, and the message of each failure."""
    del exchange
    report = JUnitXml.fromstring(printed("junit", capsys, *words).encode())
    cases = [case for suite in report for case in suite]
    failed = [case for case in cases if any(isinstance(result, Failure) for result in case.result)]

    assert (report.tests, report.failures) == (len(cases), len(failed))
    assert failed
    assert all(case.result[0].message for case in failed)


@each_command
def test_each_result_in_sarif_has_a_rule_with_help(
    exchange: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """The help names a page and a heading or an anchor on it, and both are there."""
    del exchange
    (run,) = json.loads(printed("sarif", capsys, *words))["runs"]
    rules = run["tool"]["driver"]["rules"]

    assert {rules[result["ruleIndex"]]["id"] for result in run["results"]} == {rule["id"] for rule in rules}
    for rule in rules:
        (page, anchor) = re.findall(r"(docs/\w+\.md)#(\S+) explains the rule", rule["help"]["text"])[0]
        text = (ROOT / page).read_text()
        assert f'<a id="{anchor}"></a>' in text or f"\n## {rule['id']}\n" in text


def test_every_rule_has_a_help_page() -> None:
    """docs/requirements.md has a heading for each rule that is not in the table, and no other."""
    headings = re.findall(r"^## (\S+)$", (ROOT / "docs/requirements.md").read_text(), re.MULTILINE)

    assert headings == list(DESCRIPTIONS)
    assert {f"field-{reason}" for reason in get_args(FaultReason)} <= {*DESCRIPTIONS}


def test_a_plan_without_an_order_points_at_the_changed_line(exchange: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The one change that closes the port is an error at the line that the change set changes."""
    del exchange
    (line,) = printed("github", capsys, *PLAN, "--order", "given").splitlines()

    assert line.startswith(
        "::error file=after.yaml,line=8,col=11,title=eem-guardrail%3A NetworkPolicy eem/allow-clients::"
    )
    assert "No order of these changes keeps all required ingress open" in line
    assert "With the temporary policies" not in line


def test_a_change_set_points_at_the_changed_line(exchange: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """GitHub shows a result on a pull request only if the change set has its line."""
    del exchange
    words = ("check", *PLAN[1:])
    (run,) = json.loads(printed("sarif", capsys, *words))["runs"]
    (place,) = [location["physicalLocation"] for result in run["results"] for location in result["locations"]]

    assert place["artifactLocation"]["uri"] == "after.yaml"
    assert place["region"] == {"startLine": 8, "startColumn": 11, "endLine": 8, "endColumn": 15}


def test_a_plan_with_an_order_has_one_case_for_each_step(exchange: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing fails, and the cases are in the order of the steps."""
    (exchange / "after.yaml").write_text(BEFORE.replace("allow-clients", "renamed"))

    assert main([*PLAN, "-o", "junit"]) == 0
    report = JUnitXml.fromstring(capsys.readouterr().out.encode())
    names = [case.name for suite in report for case in suite]
    assert names == ["CREATE NetworkPolicy eem/renamed", "DELETE NetworkPolicy eem/allow-clients"]


def test_an_audit_points_at_the_policy_that_closes_the_port(exchange: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A warning about a pod is at the pod."""
    text = (exchange / "broken.json").read_text().splitlines()
    found = [line.partition("::")[2].partition("::")[0] for line in printed("github", capsys, *AUDIT).splitlines()]
    specs = [number for number, line in enumerate(text, start=1) if line.startswith('   "spec"')]
    pods = [number for number, line in enumerate(text, start=1) if '"name": "stray"' in line]

    assert found == [
        f"error file=broken.json,line={specs[-1]},col=4,title=eem-guardrail%3A EventGateway eem/gw",
        f"warning file=broken.json,line={pods[0] - 1},col=4,title=eem-guardrail%3A Pod eem/stray",
    ]


def test_text_and_json_have_the_position_of_a_fault(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is the one of the formats for pipelines."""
    del folder
    text = printed("text", capsys, *CHECK)
    verdicts = json.loads(printed("json", capsys, *CHECK))

    assert "changes.yaml:19:7: spec.listeners[0].port: must be from 1 to 65535" in text
    assert verdicts[1]["faults"][0]["position"] == {"file": "changes.yaml", "line": 19, "column": 7}


def test_a_file_that_cannot_be_understood_is_an_error_with_line_and_column(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are those of the field."""
    (folder / "bad.yaml").write_text(BEFORE.replace("8092", "'8092'"))

    assert main(["check", "--state", "state.json", "--apply", "bad.yaml"]) == 2
    assert "bad.yaml, document 1 (line 8, column 11): spec.ingress[0].ports[0].port: " in capsys.readouterr().err


def test_the_comparison_with_the_schemas_finds_a_field_that_is_missing_and_one_that_is_new() -> None:
    """Otherwise no output would be compared."""
    for value in ({}, [{"id": "x"}]):
        with pytest.raises(AssertionError, match="is not what its schema says"):
            compare("rules", value)
    assert closed({"type": "object", "properties": {"a": {}}})["additionalProperties"] is False
