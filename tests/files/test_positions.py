"""The line and the column of a field in a file."""

from pathlib import Path

import pytest

from webhook.files.file_objects import STDIN, Place
from webhook.files.positions import position_of

TEXT = """\
kind: List
items:
  - metadata: {name: one, labels: {app.kubernetes.io/name: x}}
    spec:
      ingress:
        - ports: [{port: 1}, {port: 2}]
---
spec: 1
spec: {port: 2}
"""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "a.yaml").write_text(TEXT)
    return Place(file=str(tmp_path / "a.yaml"), document=1, line=3, item="items[0]")


@pytest.mark.parametrize(
    ("field", "position"),
    [
        ("", (3, 5)),
        ("spec", (4, 5)),
        ("spec.ingress[0]", (6, 11)),
        ("spec.ingress[0].ports[1].port", (6, 31)),
        ("metadata.labels[app.kubernetes.io/name]", (3, 36)),
        ("spec.egress[0].to", (4, 5)),
        ("spec.ingress[7].ports", (5, 7)),
        ("spec.ingress.ports", (5, 7)),
        ("metadata.name.first", (3, 16)),
    ],
)
def test_a_field_has_the_position_of_its_key(place: Place, field: str, position: tuple[int, int]) -> None:
    """A missing field has the position of the deepest part that is there."""
    found = position_of(place, field)

    assert (found.line, found.column) == position


def test_of_equal_keys_the_last_one_counts(place: Place) -> None:
    """It is the one that kubectl reads."""
    second = Place(file=place.file, document=2, line=8)

    assert position_of(second, "spec.port").line == 9


@pytest.mark.parametrize("document", [0, 3])
def test_a_document_that_is_not_there_has_the_line_that_is_known(place: Place, document: int) -> None:
    """The file has changed since it was read, or the place is the whole file."""
    found = position_of(Place(file=place.file, document=document, line=5), "spec")

    assert (found.line, found.column) == (5, 1)


@pytest.mark.parametrize("file", [STDIN, "main:policies/a.yaml"])
def test_what_cannot_be_read_again_has_the_line_that_is_known(file: str) -> None:
    """Standard input is gone, and a revision is no file."""
    assert position_of(Place(file=file, document=1, line=0), "spec").line == 1


def test_a_file_that_is_no_yaml_any_more_has_the_line_that_is_known(place: Place) -> None:
    """It was edited while the command ran."""
    Path(place.file).write_text("{")

    assert position_of(place, "spec").line == 3
