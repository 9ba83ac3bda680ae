"""Plain scalars that are read otherwise than most writers mean are noted with their line."""

from io import BytesIO
from pathlib import Path

import pytest

from webhook.files.object_reader import read_files
from webhook.files.yaml_scalars import trap


@pytest.mark.parametrize(
    ("text", "taken_for"),
    [
        ("yes", "the boolean true"),
        ("on", "the boolean true"),
        ("n", "the boolean false"),
        ("OFF", "the boolean false"),
        ("010", "the octal number 8"),
        ("12:30:00", "a base-60 number"),
        ("1_000", "the number 1000"),
    ],
)
def test_a_surprising_scalar_is_noted(text: str, taken_for: str) -> None:
    """The note has the reading, and what to write instead."""
    assert taken_for in trap(text)


@pytest.mark.parametrize("text", ["true", "False", "null", "", "8092", "0", "1e3", "a_b", "v1_2", "10.0.0.0/8", "1_x"])
def test_a_clear_scalar_is_not_noted(text: str) -> None:
    """Most scalars mean what they look like."""
    assert trap(text) == ""


def test_the_note_has_file_document_and_line(tmp_path: Path) -> None:
    """A quoted text has no note, nor has an object of another kind."""
    file = tmp_path / "state.yaml"
    file.write_text(
        "kind: ConfigMap\napiVersion: v1\nmetadata: {name: other}\ndata: {on: yes}\n---\n"
        "kind: Namespace\napiVersion: v1\nmetadata:\n  name: eem\n  annotations:\n    a: 'yes'\n    b: 12:30\n"
    )

    found = read_files([str(file)], BytesIO())

    assert [f"{file}, document 2 (line 12)"] == [str(note.place) for note in found.notes]
    assert "base-60" in found.notes[0].message
