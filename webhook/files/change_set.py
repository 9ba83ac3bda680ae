"""
The difference of two states of a repository, as changes: two folders, two files, or two Git revisions.

`REV:PATH` is the path in a revision of the repository around the working directory, as `git show` spells it. A path
that exists is never read as a revision.
"""

import subprocess
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from webhook.eem.eem_snapshot import name_of
from webhook.files.file_objects import FileFault, FileObjects, FilesError, Place, PlacedObject, ReadOptions
from webhook.files.object_reader import read_files

Identity = tuple[str, str, str]
"""Kind, namespace and name of an object."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlacedChange:
    """An object before and after; None where it does not exist. Its place is in the later state, if it is there."""

    old: Mapping[str, Any] | None
    new: Mapping[str, Any] | None
    place: Place

    @property
    def changed(self) -> str:
        """Return the path of the first field that differs, of the spec if it does; empty for a whole object."""
        if self.old is None or self.new is None:
            return ""
        spec = _first_difference(self.old.get("spec"), self.new.get("spec"), "spec")
        return spec or _first_difference(self.old, self.new, "")


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangeSet:
    """
    Two states of a repository.

    Args:
        before: the objects of the earlier state.
        after: the objects of the later state.
    """

    before: FileObjects
    after: FileObjects

    @property
    def changes(self) -> tuple[PlacedChange, ...]:
        """
        Return what differs: created and changed objects in the order of the later state, then the deletions.

        Deletions are in the order of the earlier state. Two equal objects are no change, wherever their files are.
        """
        old = {identity_of(placed.mapping): placed for placed in self.before.objects}
        new = {identity_of(placed.mapping): placed for placed in self.after.objects}
        applied = [
            PlacedChange(old=None if known is None else known.mapping, new=placed.mapping, place=placed.place)
            for identity, placed in new.items()
            if (known := old.get(identity)) is None or known.mapping != placed.mapping
        ]
        deleted = [
            PlacedChange(old=placed.mapping, new=None, place=placed.place)
            for identity, placed in old.items()
            if identity not in new
        ]
        return (*applied, *deleted)


def identity_of(mapping: Mapping[str, Any]) -> Identity:
    """Return the kind, the namespace and the name of an object."""
    return (str(mapping.get("kind", "")), *name_of(mapping))


def _first_difference(old: Any, new: Any, path: str) -> str:
    """Return the path of the first part of *new* that *old* does not have; of a part that is gone, where it was."""
    if isinstance(new, list) and isinstance(old, list):
        for index, item in enumerate(new):
            if item not in old:
                return _first_difference(old[index] if index < len(old) else None, item, f"{path}[{index}]")
    if isinstance(new, Mapping) and isinstance(old, Mapping):
        for key, value in new.items():
            if key not in old or old[key] != value:
                step = f"[{key}]" if "." in key else f".{key}"
                return _first_difference(old.get(key), value, f"{path}{step}".removeprefix("."))
    return "" if old == new else path


def read_change_set(before: str, after: str, stdin: BinaryIO, options: ReadOptions) -> ChangeSet:
    """
    Read two states.

    Raises:
        FilesError: with every fault of the first state that cannot be read.
    """
    return ChangeSet(before=_read(before, stdin, options), after=_read(after, stdin, options))


def _read(path: str, stdin: BinaryIO, options: ReadOptions) -> FileObjects:
    revision, separator, inner = path.partition(":")
    if not separator or Path(path).exists():
        return read_files([path], stdin, options)
    with _checked_out(path, revision, inner or ".") as folder:
        try:
            return _renamed(read_files([str(folder / (inner or "."))], stdin, options), f"{folder}/", f"{revision}:")
        except FilesError as error:
            faults = [replace(fault, place=_moved(fault.place, f"{folder}/", f"{revision}:")) for fault in error.faults]
            raise FilesError(faults) from error


@contextmanager
def _checked_out(path: str, revision: str, inner: str) -> Iterator[Path]:
    """
    Write a path of a revision to a temporary folder.

    Raises:
        FilesError: git is missing, or does not know the revision or the path.
    """
    try:
        top = _git("rev-parse", "--show-toplevel").decode().rstrip("\n")
        archive = _git("-C", top, "archive", "--format=tar", revision, "--", inner)
    except OSError as error:
        raise FilesError([FileFault(place=Place(file=path), message=f"git cannot be run: {error.strerror}")]) from error
    except subprocess.CalledProcessError as error:
        problem = " ".join(error.stderr.decode(errors="replace").split()).removeprefix("fatal: ")
        raise FilesError([FileFault(place=Place(file=path), message=f"git: {problem}")]) from error
    with tempfile.TemporaryDirectory(prefix="eem-guardrail-") as folder:
        with tarfile.open(fileobj=BytesIO(archive)) as members:
            members.extractall(folder, filter="data")
        yield Path(folder)


def _git(*words: str) -> bytes:
    return subprocess.run(["git", *words], capture_output=True, check=True).stdout  # noqa: S603, S607  a list, no shell


def _renamed(found: FileObjects, prefix: str, shown: str) -> FileObjects:
    """Return the objects with the places that the user knows instead of the temporary files."""
    return replace(
        found,
        objects=tuple(
            PlacedObject(place=_moved(one.place, prefix, shown), mapping=one.mapping, parsed=one.parsed)
            for one in found.objects
        ),
        notes=tuple(replace(note, place=_moved(note.place, prefix, shown)) for note in found.notes),
        passed_over=tuple(file.replace(prefix, shown, 1) for file in found.passed_over),
    )


def _moved(place: Place, prefix: str, shown: str) -> Place:
    return replace(place, file=place.file.replace(prefix, shown, 1))
