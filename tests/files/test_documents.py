"""Texts become the values that kubectl sees, or faults with their lines."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from webhook.files.documents import MAX_DEPTH, Document
from webhook.files.object_reader import read_documents
from webhook.files.yaml_reader import MAX_ALIASED_NODES
from webhook.files.yaml_scalars import as_key, resolve


def read(text: str, *, json_only: bool = False) -> list[Document]:
    return list(read_documents(text, json_only=json_only))


def faults(text: str, *, json_only: bool = False) -> list[tuple[int, int, str]]:
    """Return document, line and message of every fault."""
    found = read(text, json_only=json_only)
    return [(document.number, fault.line, fault.message) for document in found for fault in document.faults]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((text, True) for text in ("y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON")),
        *((text, False) for text in ("n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF")),
        *((text, None) for text in ("", "~", "null", "Null", "NULL")),
        ("0", 0),
        ("-12", -12),
        ("+3", 3),
        ("010", 8),
        ("0o17", 15),
        ("0x1F", 31),
        ("0b101", 5),
        ("1_000", 1000),
        ("08", 8),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1.", 1),
        ("1e3", 1000),
        ("-2E-1", -0.2),
        ("9223372036854775807", 2**63 - 1),
        ("18446744073709551615", float(2**64)),
        ("18446744073709551616", float(2**64)),
        ("9" * 100, 1e100),
    ],
)
def test_plain_scalars_mean_what_they_mean_to_kubectl(text: str, value: object) -> None:
    """Words, numbers of every base, and numbers of more than 64 bits."""
    found = resolve(text)

    assert (type(found), found) == (type(value), value)


STRINGS = (
    *("yES", "nULL", "2026-11-23", "12:30:45", "1.2.3", "0x", "0b2", "1e", "-", "+", ".", "..", "10.0.0.0/8"),
    *("9" * 5000, "\u0661\u0662", "1\u0661", "0o8", "v1", "<<", "=", "1k", "_1"),
)


@pytest.mark.parametrize("text", STRINGS, ids=lambda text: text[:10])
def test_everything_else_is_a_string(text: str) -> None:
    """Dates, times, versions, addresses and texts that resemble numbers."""
    assert resolve(text) == text


@pytest.mark.parametrize("text", [".inf", "-.Inf", "+.INF", ".nan", ".NaN"])
def test_infinities_and_nan_are_faults(text: str) -> None:
    """No Kubernetes object can hold them."""
    assert faults(f"a: 1\nb: {text}\n") == [(1, 2, f"{text} is not a value that a Kubernetes object can hold")]


@pytest.mark.parametrize(
    ("key", "text"), [("a", "a"), (True, "true"), (False, "false"), (8, "8"), (1.5, "1.5")], ids=repr
)
def test_keys_are_strings(key: object, text: str) -> None:
    """A key that YAML reads as a number or a boolean becomes the text that kubectl sends."""
    assert as_key(key) == text


def is_text(text: str) -> bool:
    """Whether a string stays one without quotes, which PyYAML does not always know."""
    try:
        return resolve(text) == text
    except ValueError:
        return False


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**62), 2**62)
    | st.floats(allow_nan=False, allow_infinity=False)
    # libyaml takes no control characters, and NEL and the separators are line ends to it.
    | st.text(
        st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="\x85\u2028\u2029\ufeff\uffff\ufffe")
    ).filter(is_text),
    lambda children: (
        st.lists(children, max_size=4)
        | st.dictionaries(st.text("abcdef yes0123", min_size=1).filter(is_text), children)
    ),
    max_leaves=12,
)


@given(json_values)
def test_what_pyyaml_writes_is_read_back(value: Any) -> None:
    """In block and in flow style."""
    for flow in (True, False):
        text = yaml.safe_dump(value, default_flow_style=flow, allow_unicode=True)

        assert [document.value for document in read(text)] == [value]


def test_documents_have_their_number_and_line() -> None:
    """Empty documents count, comments do not."""
    found = read("# comment\n---\n---\na: 1\n---\n\n# more\nitems:\n- a: 1\n\n- b: 2\n- *\n".replace("- *\n", ""))

    assert [(document.number, document.line, document.value) for document in found] == [
        (1, 2, None),
        (2, 4, {"a": 1}),
        (3, 8, {"items": [{"a": 1}, {"b": 2}]}),
    ]
    assert found[2].item_lines == (9, 11)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("'1': a\n1: b\n", [(1, 2, 'the key "1" occurs twice')]),
        ("? [1]\n: 2\n", [(1, 1, "a key must be a string, not null, a list or a mapping")]),
        ("~: 2\n", [(1, 1, "a key must be a string, not null, a list or a mapping")]),
        ("a: *b\n", [(1, 1, "*b names nothing that is complete before it")]),
        ("a: &b [*b]\n", [(1, 1, "*b names nothing that is complete before it")]),
        ("a: !ruby 1\n", [(1, 1, "the tag !ruby does not fit '1'")]),
        ("a: !!int x\n", [(1, 1, "the tag tag:yaml.org,2002:int does not fit 'x'")]),
        ("a: !!set {x}\n", [(1, 1, "a mapping with the tag tag:yaml.org,2002:set is not understood")]),
        ("a: !!omap [x]\n", [(1, 1, "a list with the tag tag:yaml.org,2002:omap is not understood")]),
        ("a: {<<: 1}\n", [(1, 1, "<< takes a mapping or a list of mappings")]),
        ("a: 1\n b: 2\n", [(1, 2, "not YAML: mapping values are not allowed in this context")]),
        ("a: 1\n---\nb: [\n", [(2, 4, "not YAML: did not find expected node content")]),
        ("a: 1\n...\n%\n", [(2, 3, "not YAML: could not find expected directive name")]),
        ("a: 1\nb: \x01\n", [(1, 2, "not YAML: control characters are not allowed")]),
        ("\tb: 1\n", [(1, 1, "not YAML: a tab in column 1: indent with spaces")]),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_faults_have_their_line(text: str, expected: list[tuple[int, int, str]]) -> None:
    """A fault in a value does not hide the documents after it."""
    assert faults(text) == expected


def test_a_faulty_document_has_no_value() -> None:
    """The other documents have theirs."""
    assert [document.value for document in read("a: .inf\n---\nb: 1\n")] == [None, {"b": 1}]


def test_each_value_that_cannot_be_held_is_a_fault() -> None:
    """Also the second time, in the same document and in the next one."""
    found = read("a: .inf\nb: .inf\n---\nc: .inf\n")

    assert [[fault.line for fault in document.faults] for document in found] == [[1, 2], [4]]


def test_tags_that_fit_are_applied() -> None:
    """`!!str` makes a string; the other core types work as well."""
    (document,) = read(
        "a: !!str 1\nb: !!float 2\nc: !!int 3\nd: !!bool yes\ne: !!null ~\nf: ! 5\ng: !!map {}\nh: !!seq []\n"
    )

    assert document.value == {"a": "1", "b": 2.0, "c": 3, "d": True, "e": None, "f": "5", "g": {}, "h": []}


def test_merge_keys_add_the_keys_of_mappings() -> None:
    """A key that is written later wins; of a list of mappings the first one wins."""
    (document,) = read(
        "a: &a {x: 1, w: 1}\nb: &b {w: 2, z: 2}\nc: {<<: [*a, *b], z: 3}\nd: {<<: *a}\n'<<': &s text\ne: *s\n"
    )

    assert document.value["c"] == {"x": 1, "w": 1, "z": 3}
    assert document.value["d"] == {"x": 1, "w": 1}
    assert document.value["<<"] == document.value["e"] == "text"


def test_alias_bombs_are_refused() -> None:
    """A kilobyte that stands for a billion values is a fault, and found at once."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, 9)]

    assert faults("\n".join(lines)) == [(1, 5, f"aliases add more than {MAX_ALIASED_NODES} values")]


@pytest.mark.parametrize(
    "text", ["{a: " * 201 + "1" + "}" * 201, '{"a":' * 201 + "1" + "}" * 201], ids=["YAML", "JSON"]
)
def test_depth_has_a_limit(text: str) -> None:
    """One level more than the limit is a fault."""
    assert faults(text) == [(1, 1, f"nested more than {MAX_DEPTH} deep")]
    assert faults(text.removeprefix(text[: text.index("{", 1)])[:-1]) == []


@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_absurd_depth_is_a_fault(suffix: str) -> None:
    """A hundred thousand brackets do not overflow the stack."""
    (first, *_) = faults("[" * 100_000 if suffix == "yaml" else '{"a":' * 100_000, json_only=suffix == "json")

    assert first[:2] == (1, 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": 1,}', [(1, 1, "not JSON: Expecting property name enclosed in double quotes")]),
        ('{"a":\n NaN}', [(1, 1, "not JSON: NaN is not a value that a Kubernetes object can hold")]),
        ('{"a": "\\ud800"}', [(1, 1, "contains half of a surrogate pair, which is not a character")]),
        ("a: 1", [(1, 1, "not JSON: Expecting value")]),
        ('{"a": ' + "9" * 5000 + "}", None),
    ],
    ids=["comma", "NaN", "surrogate", "YAML", "huge integer"],
)
def test_a_json_file_must_be_json(text: str, expected: list[tuple[int, int, str]] | None) -> None:
    """Python's extensions of JSON are faults."""
    found = faults(text, json_only=True)

    assert found == expected if expected else found[0][2].startswith("not JSON")


def test_json_documents_may_follow_one_another() -> None:
    """As kubectl allows; each has its line, and escaped characters are read."""
    found = read('\n{"a": "\\ud83d\\udc08"}\n\n{"b": 2}\n', json_only=True)

    assert [(document.number, document.line, document.value) for document in found] == [
        (1, 2, {"a": "🐈"}),
        (2, 4, {"b": 2}),
    ]
    assert read("", json_only=True) == []


def test_a_text_that_begins_like_json_may_be_yaml() -> None:
    """A flow mapping without quotes is read as YAML, unless the file's name ends in .json."""
    assert [document.value for document in read("{a: b}")] == [{"a": "b"}]


def test_pyyaml_agrees_on_a_manifest() -> None:
    """On plain manifests the values are those of PyYAML's loader."""
    text = (
        "apiVersion: v1\nkind: Pod\nspec:\n  text: |\n    two\n    lines\n"
        "  folded: >-\n    one\n    line\n  port: 8092\n  quoted: 'yes'\n"
    )

    assert [document.value for document in read(text)] == list(yaml.safe_load_all(text))
