"""Rules for storage that need more than one case."""

from typing import Any

import pytest
from rules_builders import Instance, context_of, denials, manager, warnings, with_value

from webhook.eem.rules import RuleContext, judge


def _claim(**fields: Any) -> Instance:
    return manager(storage={"type": "persistent-claim", **fields})


def _class(name: str, **annotations: str) -> Instance:
    return {"kind": "StorageClass", "metadata": {"name": name, "annotations": annotations}}


@pytest.mark.parametrize("group", ["storageclass.kubernetes.io", "storageclass.beta.kubernetes.io"])
def test_a_claim_without_a_source_gets_the_default_class(group: str) -> None:
    """A claim without a source violates nothing where one class is the default."""
    classes = [_class("slow"), _class("fast", **{f"{group}/is-default-class": "true"})]

    assert judge(_claim(), None, context_of(classes)) == ()


def test_a_class_with_the_annotation_false_is_not_the_default() -> None:
    """Only the value true makes a class the default."""
    classes = [_class("fast", **{"storageclass.kubernetes.io/is-default-class": "false"})]
    found = denials(judge(_claim(), None, context_of(classes)))

    assert found == [("storage.no-default-class", "spec.manager.storage.storageClassName")]


@pytest.mark.parametrize(
    ("before", "after", "denied"),
    [
        pytest.param({"storageClassName": "a"}, {"storageClassName": "a", "root": "/data"}, [], id="something else"),
        pytest.param({"storageClassName": ""}, {"selectors": {}}, [], id="empty is not set"),
        pytest.param({"storageClassName": "a"}, {}, ["storage.class-changed"], id="the class is taken away"),
        pytest.param({"size": "1Gi"}, {"size": "1024Mi"}, [], id="the same size in other words"),
        pytest.param({"size": "1Gi"}, {}, ["storage.shrunk"], id="the default is less"),
        pytest.param({"size": "500M"}, {}, [], id="the default is more"),
        pytest.param({}, {"size": "50Mi"}, ["storage.shrunk"], id="less than any default"),
        pytest.param({}, {"size": "200Mi"}, [], id="less than one documented default only"),
        pytest.param({"size": "all"}, {"size": "1Gi"}, [], id="the old size was none"),
        pytest.param(
            {"existingClaimName": "a", "storageClassName": "b", "size": "2Gi"},
            {"existingClaimName": "a", "storageClassName": "c", "selectors": {"d": "e"}, "size": "1Gi"},
            [],
            id="the claim is the user's own",
        ),
        pytest.param(
            {"existingClaimName": "a"},
            {"existingClaimName": "b", "storageClassName": "c"},
            ["storage.claim-changed"],
            id="another claim",
        ),
    ],
)
def test_the_settings_of_a_claim_cannot_change(before: Instance, after: Instance, denied: list[str]) -> None:
    """Class, claim and selectors cannot change, and the size cannot shrink; settings without an effect may change."""
    found = denials(judge(_claim(**after), _claim(**before), RuleContext()))

    assert [rule for rule, _ in found] == denied


def test_another_type_of_storage_may_have_another_class_and_size() -> None:
    """A change of the type keeps nothing, so only the loss is a warning."""
    ephemeral = manager(storage={"type": "ephemeral", "size": "2Gi"})
    findings = judge(_claim(storageClassName="a", size="1Gi"), ephemeral, RuleContext())

    assert (denials(findings), warnings(findings)) == ([], [("storage.type-changed", "spec.manager.storage.type")])


@pytest.mark.parametrize(
    ("use", "is_told"),
    [
        ("EventAutomationProduction", True),
        ("EventAutomationNonProduction", False),
        ("EventAutomationDevelopment", False),
    ],
)
def test_ephemeral_storage_is_a_warning_for_production_only(use: str, *, is_told: bool) -> None:
    """NonProduction ends with the same word and is no production."""
    findings = judge(with_value(manager(), "spec.license.use", use), None, RuleContext())

    assert is_told == (("storage.ephemeral-in-production", "spec.manager.storage.type") in warnings(findings))


CLASSES = [_class("slow"), _class("fast", **{"storageclass.kubernetes.io/is-default-class": "true"})]


@pytest.mark.parametrize(
    ("before", "after", "classes", "expected"),
    [
        pytest.param({}, {"storageClassName": "fast"}, CLASSES, [], id="the default class is written down"),
        pytest.param({"storageClassName": "fast"}, {}, CLASSES, [], id="the default class is left out"),
        pytest.param({}, {"storageClassName": "slow"}, CLASSES, ["storage.class-named"], id="another class is named"),
        pytest.param({}, {"storageClassName": "fast"}, [], ["storage.class-named"], id="the classes are not known"),
        pytest.param(
            {"storageClassName": "slow"}, {}, CLASSES, ["storage.class-changed"], id="another class is left out"
        ),
        pytest.param(
            {"storageClassName": "fast"},
            {"storageClassName": "slow"},
            CLASSES,
            ["storage.class-changed"],
            id="the default class is changed",
        ),
    ],
)
def test_the_class_that_a_claim_got_by_default_may_be_written_down(
    before: Instance, after: Instance, classes: list[Instance], expected: list[str]
) -> None:
    """To name a class later changes nothing if it is the class of the claim, so it is at most a warning."""
    found = judge(_claim(**after), _claim(**before), context_of(classes))
    rules = [violation.rule.id for violation in found if violation.rule.id.startswith("storage.class-")]

    assert expected == rules
    assert [rule for rule, _ in denials(found)] == [rule for rule in expected if rule == "storage.class-changed"]
