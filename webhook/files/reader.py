"""
Read API objects from files, and say of every one where it stands.

Nothing is skipped in silence: a file that cannot be read, a document that is no object, an object that cannot be
understood are faults with file, document, line and field, and all of them are told at once. Only whole objects of
kinds that no decision rests on are left out, and counted.
"""

import gc
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

from webhook.eem import WATCHED, read
from webhook.eem.instances import Instance
from webhook.files.document import Document
from webhook.files.documents import read_documents
from webhook.netpol.parse_objects import Parsed

STDIN: Final = "-"
SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})
# `kubectl get -A -o yaml` of 20,000 pods has about 200 MB.
MAX_FILE_BYTES: Final = 512 * 1024 * 1024

_API_VERSIONS: Final = {(resource.group, resource.kind): resource.api_version for resource in WATCHED}
# Kinds that were served in this group until Kubernetes 1.22, and are still found in old files.
_OLD_GROUP: Final = "extensions"
_OLD_KINDS: Final = {
    "NetworkPolicy": "networking.k8s.io",
    "Deployment": "apps",
    "ReplicaSet": "apps",
    "DaemonSet": "apps",
}
_LIST: Final = "List"


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Source:
    """
    Where something stands.

    Args:
        file: as it was named, or found below the folder that was; `-` is standard input.
        document: from 1; 0 means the file as a whole.
        line: from 1; where the document, or the item of a list, begins, or where the fault is.
        item: the place in the document's `items`, `items[3]`; empty for the document itself.
    """

    file: str
    document: int = 0
    line: int = 0
    item: str = ""

    def __str__(self) -> str:
        """Give the place as one reads it out."""
        place = "standard input" if self.file == STDIN else self.file
        if self.document:
            place += f", document {self.document}"
        if self.item:
            place += f", {self.item}"
        return f"{place} (line {self.line})" if self.line else place


@dataclass(frozen=True, kw_only=True, slots=True)
class SourcedObject:
    """
    An API object and where it stands.

    Args:
        parsed: what was read of it; None for a kind of which nothing is read.
    """

    source: Source
    mapping: Mapping[str, Any]
    parsed: Parsed | Instance | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class FileFault:
    """One thing that is wrong in a file; *field* is empty where no field of an object is to blame."""

    source: Source
    message: str
    field: str = ""

    def __str__(self) -> str:
        """Give the fault as one line."""
        return f"{self.source}: {self.field}: {self.message}" if self.field else f"{self.source}: {self.message}"


class FilesError(ValueError):
    """Tell that files cannot be understood; `faults` holds every fault of every file."""

    def __init__(self, faults: Iterable[FileFault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


@dataclass(frozen=True, kw_only=True, slots=True)
class FileObjects:
    """
    What files hold.

    Args:
        objects: in the order of the paths, of the files below a folder by path, of the documents, of the items.
        skipped: how many objects of which kind no decision rests on.
        notes: what is read, but perhaps not as it was meant, in the documents that these objects stand in.
    """

    objects: tuple[SourcedObject, ...] = ()
    skipped: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[FileFault, ...] = ()

    @property
    def mappings(self) -> tuple[Mapping[str, Any], ...]:
        """Give the objects alone."""
        return tuple(sourced.mapping for sourced in self.objects)

    @property
    def read(self) -> tuple[tuple[Mapping[str, Any], Parsed | Instance | None], ...]:
        """Give the objects, each with what was read of it."""
        return tuple((sourced.mapping, sourced.parsed) for sourced in self.objects)


def read_files(paths: Iterable[str], stdin: BinaryIO) -> FileObjects:
    """
    Read every object that *paths* hold.

    Args:
        paths: files, folders (recursive: .yaml .yml .json, nothing hidden), or `-`.
        stdin: what `-` means.

    Raises:
        FilesError: with every fault.
    """
    reader = _Reader()
    with _uncollected():
        _read_all(reader, paths, stdin)
    if reader.faults:
        raise FilesError(reader.faults)
    return FileObjects(objects=tuple(reader.objects), skipped=dict(reader.skipped), notes=tuple(reader.notes))


@contextmanager
def _uncollected() -> Iterator[None]:
    """
    Keep Python's garbage collector from what is read.

    All of it lives on and none of it is a cycle; to look through it again and again takes an eighth of the time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


def _read_all(reader: "_Reader", paths: Iterable[str], stdin: BinaryIO) -> None:
    for path in paths:
        if path == STDIN:
            reader.read(path, stdin)
            continue
        try:
            files = find_files(path)
            if not files:
                reader.fault(Source(file=path), "holds no .yaml, .yml or .json file")
        except OSError as error:
            reader.fault(Source(file=path), f"cannot be read: {error.strerror}")
            continue
        for file in files:
            reader.open(file)


def find_files(path: str) -> list[str]:
    """
    Give the file itself, or the files below a folder, sorted by path.

    Hidden files and folders are left out: a mounted ConfigMap keeps its older states in some, git its own in others.

    Raises:
        OSError: the path is not there, or a folder cannot be read.
    """
    if not Path(path).is_dir():
        os.stat(path)  # noqa: PTH116 - for its error alone
        return [path]
    return [str(found) for found in sorted(_walk(Path(path), frozenset()))]


def _walk(folder: Path, above: frozenset[tuple[int, int]]) -> Iterator[Path]:
    status = folder.stat()
    here = (status.st_dev, status.st_ino)
    if here in above:
        # A link to a folder that it is in.
        return
    for entry in folder.iterdir():
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _walk(entry, above | {here})
        elif entry.suffix.lower() in SUFFIXES:
            yield entry


class _Reader:
    """Collects objects and faults."""

    def __init__(self) -> None:
        self.objects: list[SourcedObject] = []
        self.skipped: Counter[str] = Counter()
        self.faults: list[FileFault] = []
        self.notes: list[FileFault] = []

    def fault(self, source: Source, message: str, at: str = "") -> None:
        self.faults.append(FileFault(source=source, field=at, message=message))

    def open(self, file: str) -> None:
        try:
            with Path(file).open("rb") as stream:
                self.read(file, stream)
        except OSError as error:
            self.fault(Source(file=file), f"cannot be read: {error.strerror}")

    def read(self, file: str, stream: BinaryIO) -> None:
        content = stream.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            self.fault(Source(file=file), f"is larger than {MAX_FILE_BYTES} bytes")
            return
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            self.fault(Source(file=file, line=line), "is not UTF-8 text")
            return
        for document in read_documents(text, json_only=file.lower().endswith(".json")):
            self._take_document(file, document)

    def _take_document(self, file: str, document: Document) -> None:
        source = Source(file=file, document=document.number, line=document.line)
        for fault in document.faults:
            self.fault(Source(file=file, document=document.number, line=fault.line), fault.message)
        known = len(self.objects)
        if document.value is not None:
            self._take(source, document.value, document.item_lines)
        if len(self.objects) > known:
            for note in document.notes:
                place = Source(file=file, document=document.number, line=note.line)
                self.notes.append(FileFault(source=place, message=note.message))

    def _take(self, source: Source, value: Any, item_lines: tuple[int, ...] = ()) -> None:
        if not isinstance(value, dict):
            self.fault(source, f"is {_name(value)}, not an API object")
            return
        kind, api_version = value.get("kind"), value.get("apiVersion")
        for key in ("apiVersion", "kind"):
            if not isinstance(value.get(key), str) or not value[key]:
                self.fault(source, "must be set to a string", key)
        if not isinstance(kind, str) or not isinstance(api_version, str) or not kind or not api_version:
            return
        if kind == _LIST or (kind.endswith(_LIST) and "items" in value):
            self._take_items(source, value, item_lines)
        else:
            self._take_object(source, value, kind, api_version)

    def _take_items(self, source: Source, value: Mapping[str, Any], item_lines: tuple[int, ...]) -> None:
        items = value.get("items")
        if not isinstance(items, list | None):
            self.fault(source, f"must be a list, not {_name(items)}", "items")
            return
        kind = value["kind"].removesuffix(_LIST)
        for index, item in enumerate(items or ()):
            line = item_lines[index] if index < len(item_lines) else source.line
            where = f"{source.item}.items[{index}]" if source.item else f"items[{index}]"
            place = Source(file=source.file, document=source.document, line=line, item=where)
            # The items of a typed list need not repeat what the list's own kind says.
            is_bare = bool(kind) and isinstance(item, dict) and "kind" not in item
            self._take(place, {"apiVersion": value["apiVersion"], "kind": kind, **item} if is_bare else item)

    def _take_object(self, source: Source, value: Mapping[str, Any], kind: str, api_version: str) -> None:
        group = api_version.rpartition("/")[0]
        if group == _OLD_GROUP:
            group = _OLD_KINDS.get(kind, group)
        expected = _API_VERSIONS.get((group, kind))
        if expected is None:
            self.skipped[kind] += 1
            return
        if expected != api_version:
            self.fault(source, f"{api_version} is not served for {kind} any more: expected {expected}", "apiVersion")
            return
        parsed, faults = read(value)
        for fault in faults:
            self.fault(source, fault.message, fault.field)
        if not faults:
            self.objects.append(SourcedObject(source=source, mapping=value, parsed=parsed))


def _name(value: object) -> str:
    names = {str: "a string", bool: "a boolean", int: "a number", float: "a number", list: "a list", dict: "a mapping"}
    return names.get(type(value), "null")
