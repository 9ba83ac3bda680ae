"""The names that Kubernetes gives a form: label keys and values, annotation keys, DNS names."""

import pytest

from webhook.netpol.names import is_annotation_key, is_dns_label, is_dns_subdomain, is_label_key, is_label_value

LONGEST_NAME = "n" * 63
LONGEST_PREFIX = ".".join(["p" * 62] * 4) + "x"


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
def test_is_a_label_key_and_an_annotation_key(key: str) -> None:
    """A label key is also an annotation key."""
    assert is_label_key(key)
    assert is_annotation_key(key)


@pytest.mark.parametrize(
    "key",
    [
        pytest.param("", id="empty"),
        pytest.param("/name", id="an empty prefix"),
        pytest.param("prefix/", id="an empty name"),
        pytest.param("a/b/c", id="two slashes"),
        pytest.param(f"{LONGEST_NAME}x", id="64 characters"),
        pytest.param(f"{'p' * 254}/name", id="a prefix of 254 characters"),
        pytest.param("-a", id="a dash first"),
        pytest.param("a_", id="an underscore last"),
        pytest.param("a b", id="a space"),
        pytest.param("a\n", id="a line break at the end"),
        pytest.param("ä", id="not ASCII"),
    ],
)
def test_is_neither_a_label_key_nor_an_annotation_key(key: str) -> None:
    """The API server refuses the key for labels and for annotations."""
    assert not is_label_key(key)
    assert not is_annotation_key(key)


@pytest.mark.parametrize("key", ["Prefix/name", "HAProxy.org/ssl-passthrough"])
def test_only_an_annotation_key_may_have_capitals_in_its_prefix(key: str) -> None:
    """The API server checks annotation keys in lower case."""
    assert not is_label_key(key)
    assert is_annotation_key(key)


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
def test_a_label_value_is_empty_or_at_most_63_characters(value: str, is_legal: bool) -> None:  # noqa: FBT001  a column
    """A label value is empty or at most 63 characters of a limited alphabet."""
    assert is_legal is is_label_value(value)


@pytest.mark.parametrize(
    ("text", "is_subdomain", "is_label"),
    [
        pytest.param("a", True, True, id="one letter"),
        pytest.param("a-1", True, True, id="a dash inside"),
        pytest.param("my.secret.1", True, False, id="dots"),
        pytest.param("l" * 63, True, True, id="63 characters"),
        pytest.param("l" * 64, True, False, id="64 characters"),
        pytest.param(LONGEST_PREFIX, True, False, id="252 characters"),
        pytest.param("l" * 254, False, False, id="254 characters"),
        pytest.param("", False, False, id="empty"),
        pytest.param("A", False, False, id="a capital"),
        pytest.param("a_b", False, False, id="an underscore"),
        pytest.param("-a", False, False, id="a dash first"),
        pytest.param("a-", False, False, id="a dash last"),
        pytest.param("a..b", False, False, id="an empty label"),
        pytest.param("a.b\n", False, False, id="a line break at the end"),
        pytest.param("ä", False, False, id="not ASCII"),
    ],
)
def test_a_dns_name_has_labels_of_lower_case_letters_digits_and_dashes(
    text: str,
    is_subdomain: bool,  # noqa: FBT001  a column
    is_label: bool,  # noqa: FBT001  a column
) -> None:
    """A subdomain has one or more labels and at most 253 characters; a label has at most 63."""
    assert (is_subdomain, is_label) == (is_dns_subdomain(text), is_dns_label(text))
