"""Selectors and owner references as the API writes them: what they become, and what the API server refuses."""

from typing import Any

import builders as b
import pytest

from webhook.netpol.model import OwnerReference
from webhook.netpol.parse_meta import read_owners, read_selector
from webhook.netpol.reading import Faults
from webhook.netpol.selectors import EVERYTHING, LabelSelector, LabelSelectorRequirement, Operator


def read(node: object) -> tuple[LabelSelector, list[tuple[str, str]]]:
    faults = Faults()
    selector = read_selector(node, "s", faults)
    return selector, [(fault.field, fault.reason) for fault in faults.found]


@pytest.mark.parametrize(
    ("node", "requirements"),
    [
        pytest.param(None, [], id="null"),
        pytest.param({}, [], id="empty"),
        pytest.param({"matchLabels": None, "matchExpressions": None}, [], id="null parts"),
        pytest.param(b.selector(app="web"), [("app", "In", {"web"})], id="a label is In with one value"),
        pytest.param({"matchLabels": {"app": None}}, [("app", "In", {""})], id="a null value is the empty one"),
        pytest.param(
            b.selector(b.expression("app", "NotIn", "a", "b", "a")),
            [("app", "NotIn", {"a", "b"})],
            id="values are a set",
        ),
        pytest.param(
            {"matchExpressions": [{"key": "app", "operator": "Exists", "values": []}]},
            [("app", "Exists", set())],
            id="Exists with an empty list",
        ),
        pytest.param(
            {"matchExpressions": [{"key": "app", "operator": "DoesNotExist", "values": None}]},
            [("app", "DoesNotExist", set())],
            id="DoesNotExist with null",
        ),
        pytest.param(
            b.selector(b.expression("app", "Exists"), app="web"),
            [("app", "In", {"web"}), ("app", "Exists", set())],
            id="labels, then expressions",
        ),
    ],
)
def test_selectors_without_faults(node: object, requirements: list[tuple[str, str, set[str]]]) -> None:
    """The selector is read as these requirements."""
    expected = LabelSelector(
        requirements=tuple(
            LabelSelectorRequirement(key=key, operator=Operator(operator), values=frozenset(values))
            for key, operator, values in requirements
        )
    )

    assert (expected, []) == read(node)


@pytest.mark.parametrize(
    ("node", "faults"),
    [
        pytest.param("app=web", [("s", "TypeInvalid")], id="a string"),
        pytest.param({"matchLabels": ["app"]}, [("s.matchLabels", "TypeInvalid")], id="matchLabels is a list"),
        pytest.param({"matchLabels": {"on": True}}, [("s.matchLabels[on]", "TypeInvalid")], id="a value that is true"),
        pytest.param({"matchLabels": {"-": "x"}}, [("s.matchLabels", "Invalid")], id="no label key"),
        pytest.param(b.selector(app="a b"), [("s.matchLabels[app]", "Invalid")], id="no label value"),
        pytest.param({"matchExpressions": {}}, [("s.matchExpressions", "TypeInvalid")], id="expressions are an object"),
        pytest.param(
            {"matchExpressions": ["app"]},
            [("s.matchExpressions[0]", "TypeInvalid")],
            id="an expression that is a string",
        ),
        pytest.param(
            {"matchExpressions": [None]},
            [("s.matchExpressions[0].key", "Invalid"), ("s.matchExpressions[0].operator", "TypeInvalid")],
            id="a null expression has neither key nor operator",
        ),
        pytest.param(
            b.selector(b.expression("app", "in", "web")),
            [("s.matchExpressions[0].operator", "TypeInvalid")],
            id="an operator in lower case",
        ),
        pytest.param(
            b.selector(b.expression("app", "In")),
            [("s.matchExpressions[0].values", "Required")],
            id="In without values",
        ),
        pytest.param(
            b.selector(b.expression("app", "NotIn")),
            [("s.matchExpressions[0].values", "Required")],
            id="NotIn without values",
        ),
        pytest.param(
            b.selector(b.expression("app", "Exists", "web")),
            [("s.matchExpressions[0].values", "Forbidden")],
            id="Exists with a value",
        ),
        pytest.param(
            b.selector(b.expression("app", "DoesNotExist", "web")),
            [("s.matchExpressions[0].values", "Forbidden")],
            id="DoesNotExist with a value",
        ),
        pytest.param(
            {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", 3, "a b"]}]},
            [("s.matchExpressions[0].values[1]", "TypeInvalid"), ("s.matchExpressions[0].values[2]", "Invalid")],
            id="values that are no strings or no label values, each with its index",
        ),
        pytest.param(
            {"matchLabels": {"a b": "c d"}, "matchExpressions": [{"key": "", "operator": "Exists"}]},
            [("s.matchLabels", "Invalid"), ("s.matchLabels[a b]", "Invalid"), ("s.matchExpressions[0].key", "Invalid")],
            id="all faults at once",
        ),
    ],
)
def test_faulty_selectors(node: Any, faults: list[tuple[str, str]]) -> None:
    """Each fault is told with its path."""
    assert faults == read(node)[1]


def test_a_selector_that_is_none_matches_everything() -> None:
    """Null matches everything: whether that is meant, the field's reader knows."""
    assert read(None)[0] is EVERYTHING


# Owner references

SET = b.owner("StatefulSet", "quick")
EMPTY = OwnerReference(api_version="", kind="", name="", uid="")


@pytest.mark.parametrize(
    ("written", "owners"),
    [
        pytest.param(None, (), id="none"),
        pytest.param([], (), id="an empty list"),
        pytest.param(
            [SET, {**SET, "name": "slow", "uid": None, "controller": None}],
            (
                OwnerReference(api_version="apps/v1", kind="StatefulSet", name="quick", uid="uid-of-quick"),
                OwnerReference(api_version="apps/v1", kind="StatefulSet", name="slow", uid=""),
            ),
            id="two references",
        ),
        pytest.param([None, {}], (EMPTY, EMPTY), id="references that say nothing"),
    ],
)
def test_owners(written: object, owners: tuple[OwnerReference, ...]) -> None:
    """References are read in order."""
    faults = Faults()

    assert owners == read_owners({"ownerReferences": written}, faults)
    assert faults.found == []


def test_faulty_owners() -> None:
    """Each fault is told with its path, and what cannot be read is empty."""
    faults = Faults()
    owners = read_owners({"ownerReferences": ["web", {"uid": 7, "controller": "yes"}]}, faults)

    assert owners == (EMPTY, EMPTY)
    assert [fault.field for fault in faults.found] == [
        "metadata.ownerReferences[0]",
        "metadata.ownerReferences[1].uid",
        "metadata.ownerReferences[1].controller",
    ]
    assert read_owners({"ownerReferences": {}}, faults) == ()
