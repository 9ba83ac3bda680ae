"""Typed values out of JSON: null is missing, a wrong type is a fault with its path and the field's empty value."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.netpol.reading import Faults, boolean, describe, integer, items, mapping, shorten, string, strings


def listed(value: object, path: str, faults: Faults) -> list[tuple[str, Any]]:
    return list(items(value, path, faults))


READERS = [mapping, listed, string, boolean, integer, strings]


@pytest.mark.parametrize(
    ("reader", "value", "read"),
    [
        pytest.param(mapping, {"a": 1}, {"a": 1}, id="an object is itself"),
        pytest.param(mapping, None, {}, id="no object is the empty object"),
        pytest.param(listed, ["a", None], [("x[0]", "a"), ("x[1]", None)], id="items know their paths"),
        pytest.param(listed, ("a",), [("x[0]", "a")], id="a tuple is a list"),
        pytest.param(listed, None, [], id="no list is the empty list"),
        pytest.param(string, "a", "a", id="a string is itself"),
        pytest.param(string, None, "", id="no string is the empty string"),
        pytest.param(boolean, False, False, id="false is itself"),
        pytest.param(boolean, None, None, id="no boolean stays none"),
        pytest.param(integer, 0, 0, id="zero is itself"),
        pytest.param(integer, None, None, id="no integer stays none"),
        pytest.param(strings, {"a": "b", "c": None}, {"a": "b", "c": ""}, id="a null value of a map is empty"),
        pytest.param(strings, None, {}, id="no map is the empty map"),
    ],
)
def test_what_is_well_typed(reader: Callable[..., Any], value: object, read: object) -> None:
    """A value of the field's type is read without a fault."""
    faults = Faults()

    assert read == reader(value, "x", faults)
    assert faults.found == []


@pytest.mark.parametrize(
    ("reader", "value", "read", "message"),
    [
        pytest.param(mapping, [], {}, "x: must be an object, not a list", id="a list for an object"),
        pytest.param(mapping, "a", {}, "x: must be an object, not the string 'a'", id="a string for an object"),
        pytest.param(listed, {}, [], "x: must be a list, not an object", id="an object for a list"),
        pytest.param(listed, "ab", [], "x: must be a list, not the string 'ab'", id="a string for a list"),
        pytest.param(string, 1.5, "", "x: must be a string, not the number 1.5", id="a number for a string"),
        pytest.param(string, True, "", "x: must be a string, not the boolean true", id="a boolean for a string"),
        pytest.param(boolean, 0, None, "x: must be true or false, not the number 0", id="zero for a boolean"),
        pytest.param(boolean, "no", None, "x: must be true or false, not the string 'no'", id="a word for a boolean"),
        pytest.param(integer, True, None, "x: must be an integer, not the boolean true", id="true for an integer"),
        pytest.param(integer, 80.0, None, "x: must be an integer, not the number 80.0", id="a float for an integer"),
        pytest.param(integer, "80", None, "x: must be an integer, not the string '80'", id="digits for an integer"),
        pytest.param(
            strings, {"a": True}, {"a": ""}, "x[a]: must be a string, not the boolean true", id="a boolean in a map"
        ),
        pytest.param(
            strings, {1: "a"}, {}, "x: must be an object whose keys are strings, not the number 1", id="a number as key"
        ),
    ],
)
def test_what_is_not(reader: Callable[..., Any], value: object, read: object, message: str) -> None:
    """A value of another type is a fault at its path, and reads as missing."""
    faults = Faults()

    assert read == reader(value, "x", faults)
    assert [message] == [str(fault) for fault in faults.found]
    assert [fault.reason for fault in faults.found] == ["TypeInvalid"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        pytest.param(None, "null", id="null"),
        pytest.param(False, "the boolean false", id="a boolean, not a number"),
        pytest.param(float("nan"), "the number nan", id="no number at all"),
        pytest.param(10**5000, "the number of more than 4,300 digits", id="more digits than Python prints"),
        pytest.param("a" * 99, f"the string '{'a' * 28}…{'a' * 29}'", id="a long string, cut in the middle"),
        pytest.param({}, "an object", id="an object"),
        pytest.param([], "a list", id="a list"),
    ],
)
def test_values_in_words(value: object, words: str) -> None:
    """Messages name the JSON type and show a little of the value."""
    assert words == describe(value)


@given(st.text(st.characters(exclude_characters="…")), st.integers(1, 80))
def test_shortening_keeps_the_limit_and_both_ends(text: str, limit: int) -> None:
    """A text that fits is kept; another is cut to exactly the limit, both ends standing."""
    short = shorten(text, limit)
    head, _, tail = short.partition("…")

    assert short == text if len(text) <= limit else len(short) == limit
    assert text.startswith(head)
    assert len(text) <= limit or text.endswith(tail)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=4))
def test_no_reader_ever_raises(value: object) -> None:
    """Whatever a field holds, each reader answers, and finds a fault or reads it."""
    for reader in READERS:
        faults = Faults()
        reader(value, "x", faults)

        assert all(fault.field.startswith("x") for fault in faults.found)


def test_a_text_that_just_fits_is_not_cut() -> None:
    """A text of as many characters as there is room for stays whole; one more, and it is cut to that many."""
    assert shorten("x" * 60) == "x" * 60
    assert shorten("a" * 30 + "b" * 31) == "a" * 29 + "…" + "b" * 30
