"""What holds for every instance: a valid one is not denied, one fault is one denial, and nothing raises."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rules_builders import REMOVED, Instance, Steps, context_of, denials, warnings, with_value
from rules_strategies import BAD, VERSIONS, WRONG_TYPE, fullest, instances, places

from webhook.eem.rules import NEWEST, ProductVersion, Rule, RuleContext, all_rules, defaults, judge
from webhook.eem.rules.conformance import FIELD_RULES
from webhook.eem.rules.field_types import Field
from webhook.eem.rules.product_fields import FIELDS
from webhook.eem.rules.rule import KINDS
from webhook.netpol.reading import field_text

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.sampled_from(["OIDC", "<a>"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
CONTEXTS = [
    RuleContext(),
    RuleContext(offline=True, platform="kubernetes", storage_classes=()),
    context_of([fullest(kind) for kind in KINDS], platform="openshift", version=ProductVersion.parse("11.4.0")),
]
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@quick
@given(data=st.data(), version=st.sampled_from(VERSIONS))
def test_a_valid_instance_is_not_denied(data: st.DataObject, version: ProductVersion) -> None:
    """An instance that is made from the tables of a version, and is consistent, is accepted in it."""
    instance = data.draw(instances(version))

    assert denials(judge(instance, None, RuleContext(version=version, offline=True))) == []


@pytest.mark.parametrize("version", VERSIONS, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_the_fullest_instance_is_not_denied(kind: str, version: ProductVersion) -> None:
    """An instance with every field of a version is accepted, and has no unknown field."""
    violations = judge(fullest(kind, version), None, RuleContext(version=version, offline=True))

    assert (denials(violations), [f for f in violations if f.rule.id == "structure.unknown-field"]) == ([], [])


def _faulty(rule: Rule, row: Field) -> list[Any]:
    """Return values that break one constraint of a field."""
    if rule.area == "type":
        return list(WRONG_TYPE[row.type])
    if rule.area == "format":
        assert row.format is not None
        return list(BAD[row.format]) if row.never_empty else [bad for bad in BAD[row.format] if bad != ""]
    if rule.area == "range":
        assert row.minimum is not None
        return [row.minimum - 1] + ([] if row.maximum is None else [row.maximum + 1, 2**70])
    if rule.area == "value":
        return ["nonsense"] if row.may_be_empty else ["nonsense", ""]
    return {"required": [REMOVED, None], "count": [[]]}[rule.area]


def _steps(row: Field) -> Steps:
    steps: list[str | int] = []
    for name in row.path.split("."):
        steps.append(name.removesuffix("[]"))
        if name.endswith("[]"):
            steps.append(0)
    return tuple(steps)


def _injections() -> list[Any]:
    constraints = {rule.id: rule for rule in FIELD_RULES if rule.area != "deprecated"}
    return [
        pytest.param(kind, row, rule, id=f"{kind} {rule.id}")
        for kind, rows in FIELDS.items()
        for row in rows
        for area in ("type", "required", "value", "range", "count", "format")
        if (rule := constraints.get(f"{area}.{row.name}")) and rule.field == row.path and kind in rule.kinds
    ]


@pytest.mark.parametrize(("kind", "row", "rule"), _injections())
def test_a_single_fault_is_one_denial_at_its_field(kind: str, row: Field, rule: Rule) -> None:
    """A value that breaks one constraint is denied by that rule, at that field, and by no other rule."""
    version = rule.until or NEWEST
    instance = fullest(kind, version)
    found = [
        denials(judge(with_value(instance, _steps(row), value), None, RuleContext(version=version)))
        for value in _faulty(rule, row)
    ]

    assert [[(rule.id, field_text(_steps(row)))]] * len(found) == found


@quick
@given(data=st.data(), version=st.sampled_from(VERSIONS), kind=st.sampled_from(KINDS))
def test_a_wrong_type_in_any_instance_is_one_denial_at_its_field(
    data: st.DataObject, version: ProductVersion, kind: str
) -> None:
    """A wrong type at any place of a valid instance is denied at that field."""
    instance = data.draw(instances(version, kind))
    known = {
        path: row
        for row in FIELDS[kind]
        for path in places({"spec": instance["spec"]})
        if row.path == field_text(path).replace("[0]", "[]").replace("[1]", "[]")
    }
    path = data.draw(st.sampled_from(sorted(known, key=str)))
    value = data.draw(st.sampled_from(WRONG_TYPE[known[path].type]))

    found = denials(judge(with_value(instance, path, value), None, RuleContext(version=version)))

    assert [(f"type.{known[path].name}", field_text(path))] == found


@pytest.mark.parametrize("row", [row for row in FIELDS["EventGateway"] if row.deprecated], ids=lambda row: row.path)
def test_a_deprecated_field_is_a_warning_since_its_deprecation(row: Field) -> None:
    """A deprecated field is a warning since the release that deprecated it, and not before."""
    expected = (f"deprecated.{row.name}", row.path)
    before, after = ProductVersion.parse("11.7.4"), NEWEST
    found = [
        expected in warnings(judge(fullest("EventGateway", version), None, RuleContext(version=version)))
        for version in (before, after)
    ]

    assert found == [False, True]


@quick
@given(data=st.data(), context=st.sampled_from(CONTEXTS), kind=st.sampled_from(KINDS))
def test_any_json_in_place_of_any_field_is_judged(data: st.DataObject, context: RuleContext, kind: str) -> None:
    """The judgement never raises, and every violation has a rule of the table, a field and a message."""
    instance = fullest(kind)
    path = data.draw(st.sampled_from([("spec",), ("metadata",), *places(instance)]))
    changed = with_value(instance, path, data.draw(JSON))
    violations = (
        *judge(changed, None, context),
        *judge(changed, instance, context),
        *judge(instance, changed, context),
    )
    context_of([changed])
    defaults(changed, context)

    assert all(found.rule in all_rules() and found.message and found.fault.field for found in violations)


@quick
@given(document=st.dictionaries(st.sampled_from(["kind", "apiVersion", "metadata", "spec", "status"]), JSON))
def test_any_document_is_judged(document: Instance) -> None:
    """The judgement of a document that is no instance does not raise."""
    named = {**document, "kind": "EventGateway"}

    found = [judge(one, two, RuleContext()) for one in (document, named) for two in (None, document)]

    assert len(found) == 4


@quick
@given(data=st.data(), version=st.sampled_from(VERSIONS))
def test_an_update_is_not_denied_for_the_faults_of_the_old_object(data: st.DataObject, version: ProductVersion) -> None:
    """Faults that the old object had are warnings when another field changes."""
    instance = data.draw(instances(version))
    path = data.draw(st.sampled_from(places({"spec": instance["spec"]})))
    old = with_value(instance, path, data.draw(JSON))
    spec = old["spec"]
    new = {**old, "spec": {**spec, "touched": "yes"}} if isinstance(spec, dict) else old

    assert denials(judge(new, old, RuleContext(version=version))) == []
