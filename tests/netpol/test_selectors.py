"""Label selectors: the truth table of each operator, and the laws that follow from it."""

import builders as b
import pytest
from hypothesis import given
from hypothesis import strategies as st

from netpol.asking import selector_of
from webhook.netpol.selectors import (
    EVERYTHING,
    LabelSelector,
    LabelSelectorRequirement,
    Operator,
    matches,
    satisfies,
)

KEYS = st.sampled_from(["a", "b", "c"])
VALUES = st.sampled_from(["", "x", "y", "X"])
LABELS = st.dictionaries(KEYS, VALUES, max_size=3)
REQUIREMENTS = st.builds(
    LabelSelectorRequirement,
    key=KEYS,
    operator=st.sampled_from(Operator),
    values=st.frozensets(VALUES, min_size=1, max_size=3),
)
SELECTORS = st.builds(LabelSelector, requirements=st.lists(REQUIREMENTS, max_size=3).map(tuple))
OPPOSITES = {
    Operator.IN: Operator.NOT_IN,
    Operator.NOT_IN: Operator.IN,
    Operator.EXISTS: Operator.DOES_NOT_EXIST,
    Operator.DOES_NOT_EXIST: Operator.EXISTS,
}


@pytest.mark.parametrize(
    ("selector", "labels"),
    [
        pytest.param(b.selector(), {}, id="the empty selector matches no labels"),
        pytest.param(b.selector(), {"app": "web"}, id="the empty selector matches any labels"),
        pytest.param({"matchLabels": None, "matchExpressions": []}, {"a": "b"}, id="null and empty parts ask nothing"),
        pytest.param(b.selector(app="web"), {"app": "web", "tier": "1"}, id="matchLabels leaves other labels free"),
        pytest.param(b.selector(app=""), {"app": ""}, id="the empty value is a value"),
        pytest.param(b.selector(b.expression("app", "In", "web", "api")), {"app": "api"}, id="In takes any value"),
        pytest.param(b.selector(b.expression("app", "NotIn", "web", "api")), {"app": "db"}, id="NotIn: another value"),
        pytest.param(b.selector(b.expression("app", "NotIn", "web")), {}, id="NotIn matches where the key is missing"),
        pytest.param(b.selector(b.expression("app", "NotIn", "web")), {"app": ""}, id="NotIn matches the empty value"),
        pytest.param(b.selector(b.expression("app", "Exists")), {"app": ""}, id="Exists matches the empty value"),
        pytest.param(b.selector(b.expression("app", "DoesNotExist")), {"api": "x"}, id="DoesNotExist: another key"),
        pytest.param(
            b.selector(b.expression("app", "Exists"), b.expression("app", "NotIn", "db"), tier="1"),
            {"app": "web", "tier": "1"},
            id="matchLabels and every expression hold together",
        ),
        pytest.param(b.selector(on="yes"), {"on": "yes"}, id="words that YAML takes for booleans are strings"),
    ],
)
def test_labels_that_match(selector: b.Node, labels: dict[str, str]) -> None:
    """These labels satisfy the selector."""
    assert matches(selector_of(selector), labels)


@pytest.mark.parametrize(
    ("selector", "labels"),
    [
        pytest.param(b.selector(app="web"), {}, id="matchLabels needs the key"),
        pytest.param(b.selector(app="web"), {"app": "Web"}, id="values compare with case"),
        pytest.param(b.selector(app="web"), {"App": "web"}, id="keys compare with case"),
        pytest.param(b.selector(app=""), {}, id="the empty value is not a missing key"),
        pytest.param(b.selector(app="web", tier="1"), {"app": "web"}, id="matchLabels are ANDed"),
        pytest.param(b.selector(b.expression("app", "In", "web", "api")), {"app": "db"}, id="In: none of the values"),
        pytest.param(b.selector(b.expression("app", "In", "web")), {}, id="In needs the key"),
        pytest.param(b.selector(b.expression("app", "NotIn", "web", "api")), {"app": "web"}, id="NotIn: first value"),
        pytest.param(b.selector(b.expression("app", "NotIn", "web", "api")), {"app": "api"}, id="NotIn: last value"),
        pytest.param(b.selector(b.expression("app", "Exists")), {}, id="Exists needs the key"),
        pytest.param(b.selector(b.expression("app", "DoesNotExist")), {"app": ""}, id="an empty value exists"),
        pytest.param(
            b.selector(b.expression("app", "Exists"), app="web"), {"app": "api"}, id="expressions and labels are ANDed"
        ),
        pytest.param(
            b.selector(b.expression("app", "In", "web"), b.expression("app", "NotIn", "web")),
            {"app": "web"},
            id="expressions on one key are ANDed",
        ),
    ],
)
def test_labels_that_do_not(selector: b.Node, labels: dict[str, str]) -> None:
    """These labels do not satisfy the selector."""
    assert not matches(selector_of(selector), labels)


@given(LABELS)
def test_everything_matches_everything(labels: dict[str, str]) -> None:
    """A selector without requirements matches any labels."""
    assert matches(EVERYTHING, labels)


@given(REQUIREMENTS, LABELS)
def test_operators_come_in_opposites(requirement: LabelSelectorRequirement, labels: dict[str, str]) -> None:
    """Of In and NotIn, and of Exists and DoesNotExist, exactly one holds."""
    opposite = LabelSelectorRequirement(
        key=requirement.key, operator=OPPOSITES[requirement.operator], values=requirement.values
    )

    assert satisfies(requirement, labels) is not satisfies(opposite, labels)


@given(SELECTORS, SELECTORS, LABELS)
def test_requirements_are_a_conjunction(one: LabelSelector, two: LabelSelector, labels: dict[str, str]) -> None:
    """The requirements of two selectors together match where both do, in any order."""
    both = LabelSelector(requirements=one.requirements + two.requirements)
    turned = LabelSelector(requirements=two.requirements + one.requirements)

    assert matches(both, labels) is (matches(one, labels) and matches(two, labels))
    assert matches(turned, labels) is matches(both, labels)


@given(KEYS, st.frozensets(VALUES, min_size=1), LABELS)
def test_one_in_is_the_union_of_its_values(key: str, values: frozenset[str], labels: dict[str, str]) -> None:
    """In with several values matches where In with one of them does."""
    whole = LabelSelectorRequirement(key=key, operator=Operator.IN, values=values)
    each = [LabelSelectorRequirement(key=key, operator=Operator.IN, values=frozenset({value})) for value in values]

    assert satisfies(whole, labels) is any(satisfies(one, labels) for one in each)


@given(SELECTORS, LABELS, VALUES)
def test_labels_that_nobody_mentions_do_not_matter(selector: LabelSelector, labels: dict[str, str], value: str) -> None:
    """A label under a key that no requirement has changes nothing."""
    assert matches(selector, labels) is matches(selector, {**labels, "unmentioned": value})
