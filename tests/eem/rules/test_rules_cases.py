"""Every rule finds what it is for, and nothing in the repaired twin: the folders of tests/cases/eem."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from rules_builders import denials

from webhook.eem.rules import Finding, RuleContext, Version, all_rules, judge

CASES = Path(__file__).parents[2] / "cases" / "eem"
EXPECTED: list[dict[str, Any]] = yaml.safe_load((CASES / "expected.yaml").read_text())


def _judged(case: dict[str, Any], name: str) -> tuple[Finding, ...]:
    folder = CASES / case["rule"]
    document = yaml.safe_load((folder / name).read_text())
    state_file = folder / "state.yaml"
    state = list(yaml.safe_load_all(state_file.read_text())) if state_file.exists() else []
    context = RuleContext.from_objects(
        state,
        version=Version.parse(case.get("version", "11.8.1")),
        platform=case.get("platform"),
        offline=case.get("offline", False),
    )
    old = [entry for entry in state if _key(entry) == _key(document)]
    return judge(document, old[0] if old else None, context)


def _key(document: dict[str, Any]) -> tuple[str, str, str]:
    return document["kind"], document["metadata"].get("namespace", ""), document["metadata"]["name"]


@pytest.mark.parametrize("case", EXPECTED, ids=lambda case: case["rule"])
def test_the_bad_one_is_found_by_its_rule_alone(case: dict[str, Any]) -> None:
    """What the bad file has beyond its repaired twin is one finding, of this rule, at this field."""
    usual = {(finding.rule, finding.field) for finding in _judged(case, "good.yaml")}
    found = [
        (finding.rule, finding.severity, finding.field)
        for finding in _judged(case, "bad.yaml")
        if (finding.rule, finding.field) not in usual and finding.rule != case.get("beside")
    ]

    assert [(case["rule"], case["severity"], case["field"])] == found


@pytest.mark.parametrize("case", EXPECTED, ids=lambda case: case["rule"])
def test_the_repaired_one_is_accepted(case: dict[str, Any]) -> None:
    """The good file is not denied, and its rule is silent."""
    findings = _judged(case, "good.yaml")

    assert (denials(findings), [f for f in findings if f.rule == case["rule"]]) == ([], [])


def test_every_rule_has_a_case() -> None:
    """Each rule of an area has its folder, and each kind of constraint of a field has one."""
    have = {case["rule"] for case in EXPECTED}
    areas = {rule.id for rule in all_rules() if rule.check is not None}
    constraints = {rule.area for rule in all_rules() if rule.check is None}

    assert (set(), set()) == (areas - have, constraints - {rule.partition(".")[0] for rule in have})


def test_every_case_stands_in_the_list() -> None:
    """No folder is forgotten."""
    folders = {folder.name for folder in CASES.iterdir() if folder.is_dir()}

    assert folders == {case["rule"] for case in EXPECTED}
