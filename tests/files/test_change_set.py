"""The difference of two folders, files or Git revisions, as changes."""

import io
import json
import subprocess
from pathlib import Path

import pytest
from builders import ApiObject, policy

from webhook.files.change_set import ChangeSet, PlacedChange, read_change_set
from webhook.files.file_objects import READ_STATE, FilesError, Place
from webhook.files.positions import position_of

ONE, TWO, THREE = policy("one"), policy("two"), policy("three")


def write(folder: Path, **files: ApiObject) -> Path:
    """Write one object to each file, and remove all other files."""
    folder.mkdir(exist_ok=True)
    for known in folder.iterdir():
        known.unlink()
    for name, api_object in files.items():
        (folder / f"{name}.json").write_text(json.dumps(api_object))
    return folder


def read(before: str | Path, after: str | Path) -> ChangeSet:
    return read_change_set(str(before), str(after), io.BytesIO(), READ_STATE)


def shown(found: ChangeSet) -> list[tuple[str | None, str | None]]:
    """Return the names before and after."""
    return [
        (
            None if change.old is None else change.old["metadata"]["name"],
            None if change.new is None else change.new["metadata"]["name"],
        )
        for change in found.changes
    ]


def test_created_changed_and_deleted_objects_are_found(tmp_path: Path) -> None:
    """Deletions come last; an object that is equal in another file is no change."""
    changed = policy("two", policy_types=["Ingress"])
    before = write(tmp_path / "before", a=ONE, b=TWO, c=THREE)
    after = write(tmp_path / "after", moved=THREE, b=changed, d=policy("four"))

    found = read(before, after)

    assert shown(found) == [("two", "two"), (None, "four"), ("one", None)]
    assert found.changes[0].place.file == str(after / "b.json")
    assert found.changes[2].place.file == str(before / "a.json")


def git(folder: Path, *words: str) -> None:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.com")
    subprocess.run(["git", "-C", str(folder), *identity, *words], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a repository with one policy in its first revision, and a folder in it as the working directory."""
    git(tmp_path, "init", "-b", "main")
    write(tmp_path / "policies", a=ONE)
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    monkeypatch.chdir(tmp_path / "policies")
    return tmp_path


def test_a_revision_is_compared_with_the_working_tree(repository: Path) -> None:
    """The place of an object of a revision is shown as git spells it."""
    write(repository / "policies", b=TWO)

    found = read("main:policies", repository / "policies")

    assert shown(found) == [(None, "two"), ("one", None)]
    assert found.changes[1].place.file == "main:policies/a.json"


def test_a_field_of_a_file_in_a_revision_has_a_position(repository: Path) -> None:
    """The file is the one in the repository, as pipelines name it."""
    (repository / "policies/a.json").write_text('{\n"spec":\n  {"podSelector": {}}\n}')
    git(repository, "commit", "-am", "lines")
    found = position_of(Place(file="main:policies/a.json", document=1), "spec.podSelector")

    assert str(found) == "policies/a.json:3:4"
    assert found.end_column == 17


def test_a_whole_revision_can_be_read(repository: Path) -> None:
    """The path may be empty."""
    assert shown(read("main:", write(repository / "empty", b=TWO))) == [(None, "two"), ("one", None)]


@pytest.mark.parametrize("path", ["nowhere:policies", "main:nothing"])
def test_what_git_does_not_know_is_a_fault(repository: Path, path: str) -> None:
    """The fault names the path and what git answers."""
    del repository
    with pytest.raises(FilesError, match=rf"{path}: git: ") as caught:
        read(path, path)

    assert "\n" not in str(caught.value)


def test_a_missing_git_is_a_fault(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Revisions cannot be read without it."""
    monkeypatch.setenv("PATH", str(repository))

    with pytest.raises(FilesError, match="git cannot be run: No such file or directory"):
        read("main:policies", "main:policies")


def test_a_fault_in_a_revision_names_the_file_of_the_revision(repository: Path) -> None:
    """The temporary copy is not shown."""
    (repository / "policies/a.json").write_text("{")
    git(repository, "commit", "-am", "broken")

    with pytest.raises(FilesError, match=r"^main:policies/a\.json"):
        read("main:policies", "main:policies")


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ({"a": [1, 2]}, {"a": [1, 3]}, "spec.a[1]"),
        ({"a": [1]}, {"a": [1, {"b": 2}]}, "spec.a[1]"),
        ({"a": [1, 2]}, {"a": [2]}, "spec.a"),
        ({"a": {"b.io/c": 1}}, {"a": {"b.io/c": 2}}, "spec.a[b.io/c]"),
        ({"a": 1, "b": 2}, {"a": 1}, "spec"),
        ({"a": 1}, {"a": {"b": 1}}, "spec.a"),
    ],
    ids=["item", "new item", "removed item", "label", "removed field", "another type"],
)
def test_the_first_changed_field_is_known(old: ApiObject, new: ApiObject, changed: str) -> None:
    """Of a part that is gone, it is the field that had it."""
    change = PlacedChange(old={**ONE, "spec": old}, new={**ONE, "spec": new}, place=Place(file="a.json"))

    assert change.changed == changed


def test_without_a_change_of_the_spec_the_changed_field_is_elsewhere() -> None:
    """A label of the object counts only then; a whole object has none."""
    labelled = policy("one", labels={"a": "b"})
    place = Place(file="a.json")

    assert PlacedChange(old=ONE, new=labelled, place=place).changed.startswith("metadata.labels")
    assert PlacedChange(old=None, new=ONE, place=place).changed == ""
