"""Quantities, names, URLs, JSON pointers and versions, each by its own standard."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rules_strategies import BAD, GOOD

from webhook.eem.rules import ProductVersion, formats
from webhook.eem.rules.defaults import json_pointer_to
from webhook.eem.rules.formats import quantity


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("0", 0),
        ("250M", 250_000_000),
        ("1Gi", 2**30),
        ("1e3", 1000),
        ("1E3", 1000),
        ("1E", 10**18),
        ("2Ei", 2**61),
        ("0.5Ti", 2**39),
        (".5", Fraction(1, 2)),
        ("5.", 5),
        ("1500m", Fraction(3, 2)),
        ("3u", Fraction(3, 10**6)),
        ("7n", Fraction(7, 10**9)),
        ("-1k", -1000),
        ("+1Ki", 1024),
        ("1e-3", Fraction(1, 1000)),
        ("1e999999999", 10**40),
    ],
)
def test_a_quantity_is_read_exactly(text: str, amount: Fraction) -> None:
    """A quantity in any form of the grammar has its exact amount."""
    assert amount == quantity(text)


@pytest.mark.parametrize(
    "text",
    ["", ".", "Gi", "10GiB", "10 Gi", " 1Gi", "1Gi ", "1K", "1ki", "1ee3", "1e", "0x10", "\u0661", "1_000", "1" * 65],
)
def test_another_text_is_no_quantity(text: str) -> None:
    """A text that only looks like a quantity has no amount."""
    assert quantity(text) is None


@given(whole=st.integers(0, 10**9), suffix=st.sampled_from(["", "Ki", "Mi", "Gi", "Ti", "k", "M", "G", "T"]))
def test_a_quantity_grows_with_its_number(whole: int, suffix: str) -> None:
    """With the same suffix, the larger number is the larger amount."""
    less, more = quantity(f"{whole}{suffix}"), quantity(f"{whole + 1}{suffix}")

    assert less is not None
    assert more is not None
    assert less < more


@pytest.mark.parametrize("check", list(GOOD), ids=lambda check: check.__name__)
def test_a_format_accepts_valid_values_and_explains_invalid_ones(check: formats.Format) -> None:
    """A valid value has no message; an invalid one has a message of printable characters."""
    found = [check(value) for value in BAD[check]]

    assert [None] * len(GOOD[check]) == [check(value) for value in GOOD[check]]
    assert all(message is not None and message.isprintable() for message in found)


def test_the_format_of_a_map_ignores_values_of_other_types() -> None:
    """The check of the type reports them."""
    assert [formats.labels({"a": 7}), formats.annotations("text")] == [None, None]


@pytest.mark.parametrize(
    ("value", "is_url"),
    [
        ("https://example.com", True),
        ("HTTPS://example.com", True),
        ("https://example.com:99999", False),
        ("https://", False),
        ("//example.com", False),
        ("https://[::1", False),
        ("https://[::1]:3000", True),
        ("https://<manager>.example.com", False),
    ],
)
def test_a_url_has_a_scheme_and_a_host(value: str, *, is_url: bool) -> None:
    """A text without a scheme, without a host or with an invalid port is no absolute URL."""
    assert is_url == (formats.url_of(value) is not None)


@given(steps=st.lists(st.text() | st.integers(0, 99)))
def test_a_json_pointer_can_be_split_into_its_path(steps: list[str | int]) -> None:
    """Splitting and unescaping the pointer (RFC 6901 section 4) returns the steps of the path."""
    tokens = json_pointer_to(tuple(steps)).split("/")[1:]

    assert [str(step) for step in steps] == [token.replace("~1", "/").replace("~0", "~") for token in tokens]
    assert all(formats.json_pointer(json_pointer_to(tuple(steps))) is None for _ in steps)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("11.8.1", "11.8.1"), ("v11.10.0", "11.10.0"), ("11.5.0-rc.1", "11.5.0"), ("11.5.0+7", "11.5.0")],
)
def test_a_version_is_parsed(text: str, expected: str) -> None:
    """The three numbers count; a prefix and a suffix are ignored."""
    assert expected == str(ProductVersion.parse(text))


def test_the_last_version_of_a_line_is_before_the_next_line() -> None:
    """The end of 11.4 is after its last release and before 11.5."""
    end = ProductVersion.last_of("11.4")

    assert ProductVersion.parse("11.4.9") < end < ProductVersion.parse("11.5.0")
    assert str(end) == "11.4.x"


def test_versions_are_compared_as_numbers() -> None:
    """11.10 is later than 11.9."""
    texts = ["11.0.4", "11.2.3", "11.9.0", "11.10.0", "12.0.0"]

    assert texts == [str(version) for version in sorted(ProductVersion.parse(text) for text in reversed(texts))]


@pytest.mark.parametrize("text", ["", "11.8", "11.8.1.2.3 x", "latest", "11.8.x", "1" * 5 + ".0.0"])
def test_a_text_without_three_numbers_is_no_version(text: str) -> None:
    """The error has the text."""
    with pytest.raises(ValueError, match="is not a version"):
        ProductVersion.parse(text)
