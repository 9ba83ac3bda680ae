"""Every rule finds the violation that it is for, and none in the corrected object: the folders of tests/cases/eem."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from rules_builders import context_of, denials

from webhook.eem.rules import ProductVersion, Violation, all_rules, judge
from webhook.netpol.reading import field_text

CASES = Path(__file__).parents[2] / "cases" / "eem"
EXPECTED: list[dict[str, Any]] = yaml.safe_load((CASES / "expected.yaml").read_text())


def _judged(case: dict[str, Any], name: str) -> tuple[Violation, ...]:
    folder = CASES / case["rule"]
    document = yaml.safe_load((folder / name).read_text())
    state_file = folder / "state.yaml"
    state = list(yaml.safe_load_all(state_file.read_text())) if state_file.exists() else []
    context = context_of(
        state,
        version=ProductVersion.parse(case.get("version", "11.8.1")),
        platform=case.get("platform"),
        offline=case.get("offline", False),
    )
    old = [entry for entry in state if _key(entry) == _key(document)]
    return judge(document, old[0] if old else None, context)


def _key(document: dict[str, Any]) -> tuple[str, str, str]:
    return document["kind"], document["metadata"].get("namespace", ""), document["metadata"]["name"]


@pytest.mark.parametrize("case", EXPECTED, ids=lambda case: case["rule"])
def test_the_faulty_object_violates_its_rule_and_no_other(case: dict[str, Any]) -> None:
    """Compared with the corrected file, the faulty file has one more violation: of this rule, at this field."""
    usual = {(found.rule.id, found.path) for found in _judged(case, "good.yaml")}
    found = [
        (found.rule.id, found.severity, field_text(found.path))
        for found in _judged(case, "bad.yaml")
        if (found.rule.id, found.path) not in usual and found.rule.id != case.get("beside")
    ]

    assert [(case["rule"], case["severity"], case["field"])] == found


@pytest.mark.parametrize("case", EXPECTED, ids=lambda case: case["rule"])
def test_the_corrected_object_is_accepted(case: dict[str, Any]) -> None:
    """The corrected file is not denied, and does not violate its rule."""
    found = _judged(case, "good.yaml")

    assert (denials(found), [entry for entry in found if entry.rule.id == case["rule"]]) == ([], [])


def test_every_rule_has_a_case() -> None:
    """Each rule with a check has a folder, and each kind of constraint of a field has one."""
    have = {case["rule"] for case in EXPECTED}
    areas = {rule.id for rule in all_rules() if rule.check is not None}
    constraints = {rule.area for rule in all_rules() if rule.check is None}

    assert (set(), set()) == (areas - have, constraints - {rule.partition(".")[0] for rule in have})


def test_every_case_is_listed() -> None:
    """Every folder is in expected.yaml, and every entry has a folder."""
    folders = {folder.name for folder in CASES.iterdir() if folder.is_dir()}

    assert folders == {case["rule"] for case in EXPECTED}


@pytest.mark.parametrize("case", EXPECTED, ids=lambda case: case["rule"])
def test_the_faulty_file_begins_with_the_sentence_of_its_rule(case: dict[str, Any]) -> None:
    """The first line of bad.yaml is what the table of rules says."""
    (sentence,) = (rule.message for rule in all_rules() if rule.id == case["rule"])

    assert f"# {sentence}" == (CASES / case["rule"] / "bad.yaml").read_text().splitlines()[0]
