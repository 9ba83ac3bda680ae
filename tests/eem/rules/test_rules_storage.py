"""What about storage needs more than one case."""

from typing import Any

import pytest
from rules_builders import Instance, denials, manager, warnings, with_value

from webhook.eem.rules import RuleContext, judge


def _claim(**fields: Any) -> Instance:
    return manager(storage={"type": "persistent-claim", **fields})


def _class(name: str, **annotations: str) -> Instance:
    return {"kind": "StorageClass", "metadata": {"name": name, "annotations": annotations}}


@pytest.mark.parametrize("group", ["storageclass.kubernetes.io", "storageclass.beta.kubernetes.io"])
def test_a_default_class_gives_a_claim_its_volume(group: str) -> None:
    """A claim without a source is fine where one class is the default."""
    classes = [_class("slow"), _class("fast", **{f"{group}/is-default-class": "true"})]

    assert judge(_claim(), None, RuleContext.from_objects(classes)) == ()


def test_a_default_class_must_say_true() -> None:
    """A class that says it is not the default is none."""
    classes = [_class("fast", **{"storageclass.kubernetes.io/is-default-class": "false"})]
    found = denials(judge(_claim(), None, RuleContext.from_objects(classes)))

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
def test_what_a_claim_was_made_with_stays(before: Instance, after: Instance, denied: list[str]) -> None:
    """Class, claim, selectors and a smaller size cannot come with an UPDATE; what does not count, does not matter."""
    found = denials(judge(_claim(**after), _claim(**before), RuleContext()))

    assert [rule for rule, _ in found] == denied


def test_another_type_is_another_storage() -> None:
    """From one type to the other nothing is kept, so only the loss is named, and class and size may change."""
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
def test_only_production_is_told_of_ephemeral_storage(use: str, *, is_told: bool) -> None:
    """NonProduction ends like Production and is not."""
    findings = judge(with_value(manager(), "spec.license.use", use), None, RuleContext())

    assert is_told == (("storage.ephemeral-in-production", "spec.manager.storage.type") in warnings(findings))
