"""A long JSON text is read item by item, with the same result as a short one."""

import json
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from builders import ApiObject, namespace, pod, policy
from hypothesis import given
from hypothesis import strategies as st

from webhook.files.documents import NotJsonError, read_json
from webhook.files.file_objects import READ_STATE, FileObjects, FilesError
from webhook.files.json_stream import Piece, read_pieces
from webhook.files.object_reader import _CHUNK_BYTES, read_files

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["items", "a", "b\u00e4"]) | st.text(), inner, max_size=4)
    ),
    max_leaves=12,
)


def chunks(text: str, size: int) -> Iterator[bytes]:
    data = text.encode()
    return (data[start : start + size] for start in range(0, len(data), size))


def whole(pieces: Iterator[Piece]) -> list[Any]:
    """Return the documents, with the items in their place."""
    documents, items = [], []
    for piece in pieces:
        if piece.item is not None:
            assert piece.item == len(items)
            items.append(piece.document.value)
            continue
        value = piece.document.value
        if isinstance(value, dict) and value.get("items") == []:
            value = {**value, "items": items}
        documents.append(value)
        items = []
    return documents


@given(
    values=st.lists(VALUES, min_size=1, max_size=3),
    size=st.integers(1, 40) | st.just(4096),
    indent=st.sampled_from([None, 2]),
)
def test_the_pieces_are_the_documents(values: list[Any], size: int, indent: int | None) -> None:
    """Wherever the text is cut into chunks, within a number, a text or a character."""
    text = "\n".join(json.dumps(value, indent=indent, ensure_ascii=False) for value in values)

    assert whole(read_pieces(chunks(text, size))) == [document.value for document in read_json(text)]


@pytest.mark.parametrize(
    ("text", "line", "problem"),
    [
        pytest.param('{"a": 1\n"b": 2}', 2, "Expecting ','", id="no comma"),
        pytest.param('{\n"a" 1}', 2, "Expecting ':'", id="no colon"),
        pytest.param("{\n1: 2}", 2, "Expecting property name enclosed in double quotes", id="no key"),
        pytest.param('{"items": [{}\n,\n{"a": }]}', 3, "Expecting value", id="no value in an item"),
        pytest.param('{"items": [1 2]}', 1, "Expecting ','", id="no comma between items"),
        pytest.param('{"items": [{}', 1, "Expecting ','", id="the list does not end"),
        pytest.param('{"a": "b', 1, "Unterminated string starting at", id="the text does not end"),
        pytest.param('{"a": NaN}', 1, "NaN is not a value that a Kubernetes object can hold", id="no number"),
        pytest.param("[" * 100_000, 1, "maximum recursion depth exceeded", id="much too deep"),
    ],
)
def test_a_text_that_is_not_json_is_reported_with_its_line(text: str, line: int, problem: str) -> None:
    """The line is that of the whole text."""
    with pytest.raises(NotJsonError, match=problem) as found:
        list(read_pieces(chunks(text, 7)))

    assert found.value.line == line


def test_notes_and_faults_have_the_line_of_their_item() -> None:
    """Keys that are there twice are read as kubectl does, with a note on the line; so are whole floats."""
    deep = "[" * 201 + "]" * 201
    text = '{"kind": "x",\n"items": [\n{"a": 1,\n"a": 2},\n{"b": 3.0},\n{"c": ' + deep + '},\n"\\ud800"],\n"kind": "y"}'
    *items, document = (piece.document for piece in read_pieces(chunks(text, 11)))

    assert [item.value for item in items] == [{"a": 2}, {"b": 3}, None, None]
    assert [[(note.line, note.message) for note in item.notes] for item in items] == [
        [(4, 'the key "a" occurs twice: the last value counts')],
        [(5, "3.0 is read as the integer 3")],
        [],
        [],
    ]
    assert [(fault.line, fault.message) for item in items for fault in item.faults] == [
        (6, "nested more than 200 deep"),
        (7, "contains half of a surrogate pair, which is not a character"),
    ]
    assert [(note.line, note.message) for note in document.notes] == [
        (8, 'the key "kind" occurs twice: the last value counts')
    ]
    assert document.value == {"kind": "y", "items": []}


@pytest.mark.parametrize(
    ("fields", "value", "notes"),
    [
        pytest.param(
            '"a": "\u00e4 {\\" \\n", "b": [-1, true, null, {}]',
            {"a": '\u00e4 {" \n', "b": [-1, True, None, {}]},
            [],
            id="plain",
        ),
        pytest.param('"a": "\\u003c"', {"a": "<"}, [], id="an escape"),
        pytest.param('"a": 1, "a": 2', {"a": 2}, ['the key "a" occurs twice: the last value counts'], id="a key twice"),
        pytest.param(
            '"a": 1, "a": 1', {"a": 1}, ['the key "a" occurs twice: the last value counts'], id="an entry twice"
        ),
        pytest.param('"a": 3.0', {"a": 3}, ["3.0 is read as the integer 3"], id="a whole float"),
        pytest.param('"a": 1.50, "b": -0', {"a": 1.5, "b": 0}, [], id="a number with a zero"),
        pytest.param('"a": 100000000000000000000', {"a": 10**20}, [], id="a long number"),
        pytest.param('"a": {\n        }', {"a": {}}, [], id="a brace below the first one"),
        pytest.param('"a": ' + "[" * 201 + "]" * 201, None, [], id="too deep"),
        pytest.param('"a": [' + "{}," * 300 + "1]", {"a": [{}] * 300 + [1]}, [], id="many braces"),
        pytest.param('"a": "\\ud800"', None, [], id="half a character"),
    ],
)
def test_an_item_on_lines_of_its_own_is_read_as_any_other(fields: str, value: Any, notes: list[str]) -> None:
    """`kubectl get -o json` prints each so; most of them need no second look."""
    text = f'{{\n    "items": [\n        {{\n            {fields}\n        }},\n        {{\n        }}\n    ]\n}}\n'
    first, second, _ = (piece.document for piece in read_pieces(chunks(text, 10_000)))

    assert (first.value, first.line, [note.message for note in first.notes]) == (value, 3, notes)
    assert bool(first.faults) is (value is None)
    assert (second.value, second.line) == ({}, text.count("\n") - 3)


# Files


PADDING: ApiObject = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x" * (_CHUNK_BYTES + 1)}}


def read(text: str, suffix: str, folder: Path, *, is_state: bool = True) -> FileObjects:
    file = folder / f"long.{suffix}"
    file.write_text(text)
    return read_files([str(file)], BytesIO(), READ_STATE) if is_state else read_files([str(file)], BytesIO())


def listed(*objects: ApiObject, head: str = '"apiVersion": "v1", "kind": "List", ', tail: str = "") -> str:
    return f'{{{head}"items": [\n' + ",\n".join(map(json.dumps, objects)) + f"]{tail}}}"


@pytest.mark.parametrize("suffix", ["json", "yaml"])
def test_a_long_file_has_the_objects_of_a_short_one(suffix: str, tmp_path: Path) -> None:
    """Row 45: it is read item by item; the places have the line of the item."""
    objects = [namespace("a"), policy("p", "a"), PADDING]
    found = read(listed(*objects, head="", tail=', "kind": "List", "apiVersion": "v1"'), suffix, tmp_path)
    short = read(listed(*objects[:2]), "short.json", tmp_path)

    assert (found.mappings, found.skipped) == (short.mappings, {"Secret": 1})
    assert [str(placed.place).removeprefix(f"{tmp_path}/") for placed in found.objects] == [
        f"long.{suffix}, document 1, items[0] (line 2)",
        f"long.{suffix}, document 1, items[1] (line 3)",
    ]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(lambda *objects: listed(*objects, head='"kind": "PodList", "apiVersion": "v1", '), id="before"),
        pytest.param(
            lambda *objects: listed(*objects, head="", tail=', "kind": "PodList", "apiVersion": "v1"'), id="after"
        ),
    ],
)
def test_the_items_of_a_typed_list_need_no_kind(text: Callable[..., str], tmp_path: Path) -> None:
    """As the API server answers a LIST."""
    bare = {key: value for key, value in pod("p").items() if key not in {"kind", "apiVersion"}}
    found = read(text(bare, PADDING), "json", tmp_path).mappings

    assert [(one["kind"], one["metadata"]["name"]) for one in found] == [("Pod", "p")]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        pytest.param(listed(PADDING, {"apiVersion": "v1"}), "items[1] (line 3): kind: must be set", id="no kind"),
        pytest.param(listed(PADDING)[:-1], "(line 2, column 4194371): not JSON: Expecting ','", id="not JSON"),
        pytest.param(listed(PADDING, head=""), "document 1 (line 1): kind: must be set to a string", id="a bare list"),
        pytest.param(listed(PADDING, policy("p", "a"), policy("p", "a")), "NetworkPolicy a/p occurs twice", id="twice"),
        pytest.param(
            listed(PADDING, namespace("B B")), 'items[1] (line 3): metadata.name: "B B" is not a name', id="a fault"
        ),
        pytest.param(
            listed(PADDING, head='"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "a"}, '),
            "items: Namespace is not a list",
            id="no list",
        ),
    ],
)
def test_the_faults_of_a_long_file_are_reported_with_their_places(text: str, complaint: str, tmp_path: Path) -> None:
    """Each with file, document, item, line and field."""
    with pytest.raises(FilesError) as found:
        read(text, "json", tmp_path)

    assert complaint in str(found.value)


def test_a_long_file_that_is_not_utf_8_is_reported(tmp_path: Path) -> None:
    """The text is decoded chunk by chunk."""
    file = tmp_path / "a.json"
    file.write_bytes(listed(PADDING).encode() + b"\xff")

    with pytest.raises(FilesError, match="is not UTF-8 text"):
        read_files([str(file)], BytesIO(), READ_STATE)


def test_pods_of_a_state_are_kept_without_what_no_command_reads(tmp_path: Path) -> None:
    """Most of their bytes are managed fields, environments and conditions."""
    full = pod("p", labels={"a": "b"}, ips=["10.0.0.1"])
    full["metadata"]["managedFields"] = [{"manager": "kubelet"}]
    full["spec"]["containers"][0]["env"] = [{"name": "A", "value": "b"}]
    full["status"]["conditions"] = [{"type": "Ready"}]
    (kept,) = read(listed(full), "json", tmp_path).objects
    (whole_one,) = read(listed(full), "json", tmp_path, is_state=False).objects

    assert kept.parsed == whole_one.parsed
    assert whole_one.mapping == full
    assert "managedFields" not in kept.mapping["metadata"]
    assert kept.mapping["metadata"]["labels"] == {"a": "b"}
    assert set(kept.mapping["spec"]["containers"][0]) <= {"name", "ports", "restartPolicy"}
    assert kept.mapping["status"] == {"phase": "Running", "podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}]}
