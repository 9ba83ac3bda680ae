"""The table of rules is complete, in a fixed order, and docs/rules.md is its Markdown form."""

import json
import subprocess
import sys
from pathlib import Path

from rules_strategies import VERSIONS

from webhook.eem.rules import NEWEST, ProductVersion, all_rules, render, rule_table
from webhook.eem.rules.licence_catalogue import LICENCES, METRICS, USES
from webhook.eem.rules.product_fields import FIELDS
from webhook.eem.rules.rule import collected

ROOT = Path(__file__).parents[3]
DOCUMENT = ROOT / "docs" / "rules.md"


def test_the_document_is_current() -> None:
    """docs/rules.md is the output of `eem-guardrail rules -o markdown`."""
    assert DOCUMENT.read_text() == render("markdown")


def test_every_module_of_rules_is_in_the_table() -> None:
    """The table has the rules of each module `*_rules.py`, and every rule that the decorator collected."""
    modules = {path.stem for path in Path(rule_table.__file__).parent.glob("*_rules.py")}

    assert modules == {module.__name__.rpartition(".")[2] for module in rule_table.MODULES}
    assert set(map(id, collected())) <= set(map(id, all_rules()))


def test_the_order_of_the_table_does_not_depend_on_the_order_of_imports() -> None:
    """A process that imports the last module first lists the same rules in the same order."""
    program = (
        f"import webhook.eem.rules.{rule_table.MODULES[-1].__name__.rpartition('.')[2]}\n"
        "from webhook.eem.rules import all_rules\n"
        "print(*(rule.id for rule in all_rules()))"
    )
    listed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)

    assert listed.stdout.split() == [rule.id for rule in all_rules()]


def test_every_rule_is_complete_and_has_a_unique_id() -> None:
    """Ids are unique, messages are sentences, and every rule holds in at least one version."""
    rules = all_rules()

    assert len({rule.id for rule in rules}) == len(rules)
    assert [rule.id for rule in rules if not rule.message.endswith(".") or not rule.source or not rule.kinds] == []
    assert [rule.id for rule in rules if rule.until is not None and rule.until < rule.since] == []


def test_the_text_has_a_line_for_each_rule() -> None:
    """A line begins with the id and the severity."""
    lines = render("text").splitlines()

    assert [rule.id for rule in all_rules()] == [line.split()[0] for line in lines]
    assert {"deny", "warn"} == {line.split()[1] for line in lines}


def test_the_json_is_a_list_of_rules() -> None:
    """Each entry has all columns, with versions as strings."""
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


def test_a_field_is_not_older_than_its_parent() -> None:
    """A field came with or after the object that holds it, and every such object is in the table."""
    wrong = []
    for rows in FIELDS.values():
        since = {row.path: row.since for row in rows}
        for path, came in since.items():
            parent = path.removesuffix("[]") if path.endswith("[]") else path.rpartition(".")[0]
            if parent and since.get(parent, ProductVersion.parse("99.0.0")) > came:
                wrong.append(path)

    assert wrong == []


def test_the_licence_catalogue_is_consistent() -> None:
    """Every licence has known uses, a known metric, and at least one version."""
    for licence in LICENCES.values():
        assert {f"{licence.programme}{purpose}" for purpose in licence.purposes} <= set(USES)
        assert licence.metric in METRICS
        assert licence.until is None or licence.since <= licence.until


def test_every_version_has_a_licence_of_each_programme() -> None:
    """For each release the catalogue has a licence of both programmes."""
    without = [
        str(version)
        for version in (*VERSIONS, NEWEST)
        for programme in ("EventAutomation", "CloudPakForIntegration")
        if not any(entry.programme == programme and entry.is_offered_by(version) for entry in LICENCES.values())
    ]

    assert without == []
