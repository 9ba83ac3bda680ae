"""The alerts of the component `monitoring` fire when they should, and lead to a section of the manual."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_pages import anchors

ROOT = Path(__file__).resolve().parent.parent
COMPONENT = ROOT / "manifests" / "components" / "monitoring"
CASES = ROOT / "tests" / "cases" / "monitoring" / "alerts.yaml"
MANUAL = ROOT / "docs" / "operate.md"
RULES: dict[str, Any] = yaml.safe_load((COMPONENT / "prometheusrule.yaml").read_text())["spec"]
ALERTS = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"] if "alert" in rule}
PLACEHOLDER = re.compile(r"\{\{.*?\}\}")

with_promtool = pytest.mark.commands("promtool")


def promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run promtool, and return what it prints."""
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)


def cases(rules: Path) -> dict[str, Any]:
    """Return the cases, with the file of the rules, and for each alert that is expected the annotations of its rule."""
    found: dict[str, Any] = yaml.safe_load(CASES.read_text())
    for expected in (one for test in found["tests"] for one in test["alert_rule_test"]):
        for fired in expected["exp_alerts"]:
            fired["exp_annotations"] = annotations(expected["alertname"], fired["exp_labels"])
    order = [group["name"] for group in RULES["groups"]]  # else by chance, and an alert may be a minute behind a record
    return {"rule_files": [str(rules)], "group_eval_order": order, **found}


def annotations(alert: str, labels: dict[str, str]) -> dict[str, str]:
    """Return the annotations of an alert as Prometheus writes them for some labels."""

    def written(placeholder: re.Match[str]) -> str:
        words = placeholder.group().strip("{} ")
        return labels[words.removeprefix("$labels.")] if words.startswith("$labels.") else VALUES[alert]

    return {name: PLACEHOLDER.sub(written, text) for name, text in ALERTS[alert]["annotations"].items()}


VALUES = {
    "EemGuardrailCertificateNotRenewed": "22.22%",
    "EemGuardrailReviewsSlow": "1.75s",
    "EemGuardrailPolicyKindsUnread": "2",
}
"""The value of the expression in the cases, in the form of the annotation."""


@with_promtool
def test_every_alert_fires_when_it_should_and_only_then(tmp_path: Path) -> None:
    """Prometheus' own test of rules accepts the cases: labels, texts, and the times at which no alert fires."""
    rules, tests = tmp_path / "rules.yaml", tmp_path / "tests.yaml"
    rules.write_text(yaml.safe_dump(RULES))
    tests.write_text(yaml.safe_dump(cases(rules)))

    checked = promtool("check", "rules", "--lint=all", "--lint-fatal", str(rules))
    tested = promtool("test", "rules", str(tests))

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert tested.returncode == 0, tested.stdout + tested.stderr


@with_promtool
def test_an_alert_that_does_not_fire_is_noticed(tmp_path: Path) -> None:
    """With a higher threshold, the cases fail."""
    rules, tests = tmp_path / "rules.yaml", tmp_path / "tests.yaml"
    rules.write_text(yaml.safe_dump(RULES).replace("staleness_seconds:max > 180", "staleness_seconds:max > 18000"))
    tests.write_text(yaml.safe_dump(cases(rules)))

    tested = promtool("test", "rules", str(tests))

    assert tested.returncode != 0
    assert "EemGuardrailCacheStale" in tested.stdout + tested.stderr


def test_every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    """The file of the cases leaves out no alert."""
    expected = [one for test in yaml.safe_load(CASES.read_text())["tests"] for one in test["alert_rule_test"]]

    assert {one["alertname"] for one in expected if one["exp_alerts"]} == ALERTS.keys()
    assert {one["alertname"] for one in expected if not one["exp_alerts"]} == ALERTS.keys()


def test_every_alert_leads_to_its_section_of_the_manual() -> None:
    """The link is a heading of the page, and the section begins with the name of the alert."""
    text, known = MANUAL.read_text(), anchors(MANUAL)
    for name, rule in ALERTS.items():
        page, _, anchor = rule["annotations"]["runbook_url"].partition("#")
        assert (ROOT / page, anchor in known) == (MANUAL, True)
        heading = anchor.replace("-", " ").capitalize()
        assert f"### {heading}\n\n`{name}`: " in text


def test_every_alert_has_a_severity_and_its_texts() -> None:
    """Alertmanager routes by the severity, and shows the summary."""
    for rule in ALERTS.values():
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
