"""Values out of JSON trees: by a path that never fails, or with a type, where another type is a fault."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.netpol.reading import (
    Faults,
    boolean,
    describe,
    field_text,
    integer,
    integer_at,
    is_object,
    items,
    list_at,
    mapping,
    object_at,
    objects_at,
    shorten,
    shown,
    string,
    strings,
    text_at,
    value_at,
)


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
def test_a_value_of_the_right_type_is_read(reader: Callable[..., Any], value: object, read: object) -> None:
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
def test_a_value_of_another_type_is_a_fault_and_reads_as_missing(
    reader: Callable[..., Any], value: object, read: object, message: str
) -> None:
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
        pytest.param(float("nan"), "the number nan", id="not a number"),
        pytest.param(10**5000, "the number of more than 4,300 digits", id="more digits than Python prints"),
        pytest.param("a" * 99, f"the string '{'a' * 28}…{'a' * 29}'", id="a long string, cut in the middle"),
        pytest.param({}, "an object", id="an object"),
        pytest.param([], "a list", id="a list"),
    ],
)
def test_a_value_is_described_by_its_json_type(value: object, words: str) -> None:
    """Messages name the JSON type and show a little of the value."""
    assert words == describe(value)


@given(st.text(st.characters(exclude_characters="…")), st.integers(1, 80))
def test_shortening_keeps_the_limit_and_both_ends(text: str, limit: int) -> None:
    """A text that fits is kept; a longer one is cut to exactly the limit, and both ends stay."""
    short = shorten(text, limit)
    head, _, tail = short.partition("…")

    assert short == text if len(text) <= limit else len(short) == limit
    assert text.startswith(head)
    assert len(text) <= limit or text.endswith(tail)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=4))
def test_no_reader_ever_raises(value: object) -> None:
    """Each reader returns for any value: it reads the value or notes a fault."""
    for reader in READERS:
        faults = Faults()
        reader(value, "x", faults)

        assert all(fault.field.startswith("x") for fault in faults.found)


def test_a_text_that_just_fits_is_not_cut() -> None:
    """A text of exactly the limit stays whole; a text of one character more is cut to the limit."""
    assert shorten("x" * 60) == "x" * 60
    assert shorten("a" * 30 + "b" * 31) == "a" * 29 + "…" + "b" * 30


TREE: Mapping[str, Any] = {
    "spec": {"name": "a", "port": 8092, "on": True, "list": [{"name": "x"}, 7, None, {"name": "y"}], "none": None}
}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param(value_at(TREE), TREE, id="no path"),
        pytest.param(value_at(TREE, "spec", "port"), 8092, id="a value"),
        pytest.param(value_at(TREE, "spec", "none"), None, id="null"),
        pytest.param(value_at(TREE, "spec", "name", "below"), None, id="below a string"),
        pytest.param(value_at(TREE, "missing", "below"), None, id="below a missing field"),
        pytest.param(value_at(MappingProxyType(TREE), "spec", "port"), 8092, id="in a mapping that is no dict"),
        pytest.param(text_at(TREE, "spec", "name"), "a", id="a string"),
        pytest.param(text_at(TREE, "spec", "port"), "", id="a number for a string"),
        pytest.param(object_at(TREE, "spec", "list"), {}, id="a list for an object"),
        pytest.param(object_at(TREE, "spec"), TREE["spec"], id="an object"),
        pytest.param(integer_at(TREE, "spec", "port"), 8092, id="an integer"),
        pytest.param(integer_at(TREE, "spec", "on"), None, id="a boolean for an integer"),
        pytest.param(integer_at(TREE, "spec", "name"), None, id="a string for an integer"),
        pytest.param(list_at(TREE, "spec", "list"), TREE["spec"]["list"], id="a list"),
        pytest.param(list_at(TREE, "spec"), (), id="an object for a list"),
        pytest.param(objects_at(TREE, "spec", "list"), [(0, {"name": "x"}), (3, {"name": "y"})], id="objects"),
    ],
)
def test_a_value_at_a_path_is_read_and_anything_else_reads_as_empty(found: object, expected: object) -> None:
    """A value that is missing or has another type reads as the empty value of the type that was asked for."""
    assert expected == found


@pytest.mark.parametrize("node", [None, "a", 1, 1.5, True, [], (), {1}], ids=repr)
def test_only_a_mapping_is_an_object(node: object) -> None:
    """Other types of JSON, and sets, are no objects."""
    assert not is_object(node)
    assert value_at(node, "name") is None


@pytest.mark.parametrize(
    ("path", "text"),
    [
        pytest.param(("spec", "listeners", 0, "port"), "spec.listeners[0].port", id="names and positions"),
        pytest.param(
            ("metadata", "labels", "events.ibm.com/manager"), "metadata.labels[events.ibm.com/manager]", id="a map key"
        ),
        pytest.param(("spec", "a\nb"), "spec[a\\u000ab]", id="a line break"),
        pytest.param(("spec", ""), "spec[]", id="an empty key"),
        pytest.param(("spec", "x" * 100), f"spec[{'x' * 39}…{'x' * 40}]", id="a long name"),
        pytest.param((), "", id="the object itself"),
    ],
)
def test_a_path_is_written_as_the_api_server_writes_it(path: tuple[str | int, ...], text: str) -> None:
    """Field names follow dots; positions and other keys stand in brackets."""
    assert text == field_text(path)


@given(text=st.text())
def test_any_text_is_shown_in_one_line(text: str) -> None:
    """A text in a message has no control characters and a limited length."""
    assert shown(text).isprintable()
    assert len(shown(text)) <= 10 * 80
