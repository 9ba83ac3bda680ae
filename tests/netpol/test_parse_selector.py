"""Selectors as the API writes them: what they become, and what the API server refuses."""

from typing import Any

import builders as b
import pytest

from webhook.netpol.parse_selector import is_label_key, is_label_value, read_selector
from webhook.netpol.reading import Faults
from webhook.netpol.selectors import EVERYTHING, LabelSelector, LabelSelectorRequirement, Operator

LONGEST_NAME = "n" * 63
LONGEST_PREFIX = ".".join(["p" * 62] * 4) + "x"


def read(node: object) -> tuple[LabelSelector, list[tuple[str, str]]]:
    faults = Faults()
    selector = read_selector(node, "s", faults)
    return selector, [(fault.field, fault.reason) for fault in faults.found]


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("a", id="one letter"),
        pytest.param("A.b_c-9", id="dots, dashes and underscores inside"),
        pytest.param(LONGEST_NAME, id="63 characters"),
        pytest.param("kubernetes.io/metadata.name", id="a prefix"),
        pytest.param(f"{LONGEST_PREFIX}/{LONGEST_NAME}", id="a prefix of 252 characters"),
    ],
)
def test_label_keys(key: str) -> None:
    """This can be a label's key."""
    assert is_label_key(key)


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("", id="empty"),
        pytest.param("/name", id="an empty prefix"),
        pytest.param("prefix/", id="an empty name"),
        pytest.param("a/b/c", id="two slashes"),
        pytest.param("Prefix/name", id="capitals in the prefix"),
        pytest.param(f"{LONGEST_NAME}x", id="64 characters"),
        pytest.param(f"{'p' * 254}/name", id="a prefix of 254 characters"),
        pytest.param("-a", id="a dash first"),
        pytest.param("a_", id="an underscore last"),
        pytest.param("a b", id="a space"),
        pytest.param("a\n", id="a line break at the end"),
        pytest.param("ä", id="not ASCII"),
    ],
)
def test_what_is_no_label_key(key: str) -> None:
    """This cannot be a label's key."""
    assert not is_label_key(key)


@pytest.mark.parametrize(
    ("value", "is_legal"),
    [
        pytest.param("", True, id="empty"),
        pytest.param("Web-1.0_x", True, id="letters, digits and marks"),
        pytest.param("v" * 63, True, id="63 characters"),
        pytest.param("v" * 64, False, id="64 characters"),
        pytest.param("-v", False, id="a dash first"),
        pytest.param("v.", False, id="a dot last"),
        pytest.param("a/b", False, id="a slash"),
        pytest.param("v\n", False, id="a line break at the end"),
        pytest.param("\N{ARABIC-INDIC DIGIT THREE}", False, id="a digit that is not ASCII"),
    ],
)
def test_label_values(value: str, is_legal: bool) -> None:  # noqa: FBT001  a column of the table
    """A label's value is empty or at most 63 characters of a limited alphabet."""
    assert is_legal is is_label_value(value)


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
