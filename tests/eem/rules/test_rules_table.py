"""The table can be listed, and docs/rules.md is what it lists."""

import json
from pathlib import Path

from rules_strategies import VERSIONS

from webhook.eem.rules import NEWEST, ProductVersion, all_rules, render
from webhook.eem.rules.licence_catalogue import LICENCES, METRICS, USES
from webhook.eem.rules.product_fields import FIELDS

DOCUMENT = Path(__file__).parents[3] / "docs" / "rules.md"


def test_the_document_is_current() -> None:
    """docs/rules.md is what `eem-guardrail rules -o markdown` prints."""
    assert DOCUMENT.read_text() == render("markdown")


def test_every_rule_is_complete_and_has_an_id_of_its_own() -> None:
    """Ids are unique; messages are sentences; spans of versions are not empty."""
    rules = all_rules()

    assert len({rule.id for rule in rules}) == len(rules)
    assert [rule.id for rule in rules if not rule.message.endswith(".") or not rule.source or not rule.kinds] == []
    assert [rule.id for rule in rules if rule.until is not None and rule.until < rule.since] == []


def test_the_text_has_a_line_for_each_rule() -> None:
    """A line begins with the id, and says whether it denies."""
    lines = render("text").splitlines()

    assert [rule.id for rule in all_rules()] == [line.split()[0] for line in lines]
    assert {"deny", "warn"} == {line.split()[1] for line in lines}


def test_the_json_is_a_list_of_rules() -> None:
    """Each entry has all columns, versions as text."""
    by_id = {entry["id"]: entry for entry in json.loads(render("json"))}

    expected = {
        "id": "required.managerEndpoint",
        "severity": "deny",
        "kinds": ["EventGateway"],
        "since": "11.0.0",
        "until": "11.7.4",
        "operations": ["CREATE", "UPDATE"],
        "field": "spec.managerEndpoint",
        "reason": "Required",
        "message": "Must be set.",
        "source": "EEM 11.8 gateway reference, managerEndpoint",
    }
    assert expected == by_id["required.managerEndpoint"]
    assert len(by_id) == len(all_rules())


def test_a_field_comes_with_or_after_its_parent() -> None:
    """No field is older than the object that holds it, and every parent is in the table."""
    wrong = []
    for rows in FIELDS.values():
        since = {row.path: row.since for row in rows}
        for path, came in since.items():
            parent = path.removesuffix("[]") if path.endswith("[]") else path.rpartition(".")[0]
            if parent and since.get(parent, ProductVersion.parse("99.0.0")) > came:
                wrong.append(path)

    assert wrong == []


def test_the_catalogue_agrees_with_itself() -> None:
    """Every licence allows uses that exist, by a metric that exists, in at least one version."""
    for licence in LICENCES.values():
        assert {f"{licence.programme}{purpose}" for purpose in licence.purposes} <= set(USES)
        assert licence.metric in METRICS
        assert licence.until is None or licence.since <= licence.until


def test_every_version_has_a_licence_of_each_programme_it_offers() -> None:
    """No release is left without a licence in the catalogue."""
    without = [
        str(version)
        for version in (*VERSIONS, NEWEST)
        for programme in ("EventAutomation", "CloudPakForIntegration")
        if not any(entry.programme == programme and entry.is_offered_by(version) for entry in LICENCES.values())
    ]

    assert without == []
