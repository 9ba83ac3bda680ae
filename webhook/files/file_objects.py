"""The files that a path stands for, the objects that files contain, and the place of each object and fault."""

import fnmatch
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, Final

from webhook.eem.instances import Instance
from webhook.eem.policy_kinds import ForeignPolicy
from webhook.netpol.intervals import IPAddress
from webhook.netpol.parse_objects import Parsed

STDIN: Final = "-"
DEFAULT_NAMESPACE: Final = "default"
SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})


Progress = Callable[[int], object]


def no_progress(_size: int) -> None:
    """Do nothing: no terminal shows the progress."""


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Place:
    """
    The place of an object or of a fault.

    Args:
        file: as it was named, or found below a folder; `-` is standard input.
        document: from 1; 0 means the file as a whole.
        line: from 1; of the fault, or where the document or list item begins. 0 if it is not known.
        item: the path of a list item in the document, `items[3]`; empty for the document itself.
        column: from 1, of the fault; 0 if it is not known.
    """

    file: str
    document: int = 0
    line: int = 0
    item: str = ""
    column: int = 0

    def __str__(self) -> str:
        """Return the place for people."""
        place = "standard input" if self.file == STDIN else self.file
        if self.document:
            place += f", document {self.document}"
        if self.item:
            place += f", {self.item}"
        column = f", column {self.column}" if self.column else ""
        return f"{place} (line {self.line}{column})" if self.line else place


@dataclass(frozen=True, kw_only=True, slots=True)
class PlacedObject:
    """
    An API object and its place.

    Args:
        parsed: what was read of it; None for a kind of which nothing is read.
    """

    place: Place
    mapping: Mapping[str, Any]
    parsed: Parsed | Instance | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """
    A text that was read.

    Args:
        line: where it begins in its file, from 1; so is the column.
        is_object: whether it is the text of one object, not of a file.
    """

    text: str
    line: int = 1
    column: int = 1
    is_object: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class FileFault:
    """
    A fault or note in a file.

    Args:
        field: empty if it does not concern a field of an object.
        source: the text in which the fault is; None if that was not kept.
    """

    place: Place
    message: str
    source: Source | None = field(default=None, compare=False, repr=False)
    field: str = ""

    def __str__(self) -> str:
        """Return the fault as one line."""
        return f"{self.place}: {self.field}: {self.message}" if self.field else f"{self.place}: {self.message}"


class FilesError(ValueError):
    """Raised when files cannot be understood; `faults` has every fault of every file."""

    def __init__(self, faults: Iterable[FileFault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadOptions:
    """
    How objects are read.

    Args:
        namespace: the namespace of objects that name none; empty for `default`, with a note.
        exclude: patterns of files that are left out of folders.
        is_state: whether the objects stand for a cluster: there, no object is twice, and a policy that the API server
            once stored may be unreadable.
        progress: called with the size of what was read since the last call, for large files.
    """

    namespace: str = ""
    exclude: tuple[str, ...] = ()
    is_state: bool = False
    progress: Progress = field(default=no_progress, compare=False)


READ_CHANGES: Final = ReadOptions()
READ_STATE: Final = ReadOptions(is_state=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class FileObjects:
    """
    The content of files.

    Args:
        objects: in the order of the paths, of the files of a folder by path, of the documents, of the items.
        skipped: the number of objects of each kind that no verdict depends on.
        foreign: those of them that are policies which may override a verdict.
        api_servers: the addresses in the EndpointSlices of the API server's Service.
        notes: readings that may not be what the writer meant.
        passed_over: the files in folders that contain no API objects.
    """

    objects: tuple[PlacedObject, ...] = ()
    skipped: Mapping[str, int] = field(default_factory=dict)
    foreign: tuple[ForeignPolicy, ...] = ()
    api_servers: tuple[IPAddress, ...] = ()
    notes: tuple[FileFault, ...] = ()
    passed_over: tuple[str, ...] = ()

    @property
    def mappings(self) -> tuple[Mapping[str, Any], ...]:
        """Return the objects alone."""
        return tuple(placed.mapping for placed in self.objects)

    @property
    def read(self) -> tuple[tuple[Mapping[str, Any], Parsed | Instance | None], ...]:
        """Return the objects, each with what was read of it."""
        return tuple((placed.mapping, placed.parsed) for placed in self.objects)


def find_files(path: str, exclude: tuple[str, ...] = ()) -> list[str]:
    """
    Return the file itself, or the files below a folder, sorted by path.

    Hidden files and folders are left out: a mounted ConfigMap keeps its older states in some, git its own in others.

    Args:
        exclude: patterns; in a folder, a file is left out whose name, or whose path below the folder, matches one.

    Raises:
        OSError: the path does not exist, or a folder cannot be read.
    """
    folder = Path(path)
    if not folder.is_dir():
        os.stat(path)  # noqa: PTH116 - for its error alone
        return [path]
    found = sorted(_walk(folder, frozenset()))
    return [str(file) for file in found if not _is_excluded(file.relative_to(folder), exclude)]


def _is_excluded(file: PurePath, exclude: tuple[str, ...]) -> bool:
    names = (file.name, file.as_posix(), *(parent.as_posix() for parent in file.parents))
    return any(fnmatch.fnmatchcase(name, pattern.rstrip("/")) for pattern in exclude for name in names)


def _walk(folder: Path, above: frozenset[tuple[int, int]]) -> Iterator[Path]:
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in above:
        # A link to a folder that contains it.
        return
    for entry in folder.iterdir():
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _walk(entry, above | {here})
        elif entry.suffix.lower() in SUFFIXES:
            yield entry
