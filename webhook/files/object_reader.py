"""
Read API objects from files, with the place of each object and of each fault.

Nothing is skipped silently: a file that cannot be read, a document that is not an object, and an object that cannot be
understood are faults with file, document, line and field, and all of them are reported at once. Only objects of kinds
that no verdict depends on are skipped, and they are counted. In a folder, files without API objects are passed over and
named.
"""

import codecs
import gc
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

from webhook.eem import read
from webhook.eem.resources import NETWORK_POLICIES, ResourceType
from webhook.files.documents import Document, NotJsonError, TextFault, read_json
from webhook.files.file_objects import (
    DEFAULT_NAMESPACE,
    READ_CHANGES,
    STDIN,
    FileFault,
    FileObjects,
    FilesError,
    Place,
    PlacedObject,
    ReadOptions,
    find_files,
)
from webhook.files.object_checks import faults_of_names, mistyped, notes_of, resource_of

# `kubectl get -A -o yaml` of 20,000 pods has about 200 MB.
MAX_FILE_BYTES: Final = 512 * 1024 * 1024

_LIST: Final = "List"
_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_documents(text: str, *, json_only: bool) -> Iterator[Document]:
    """
    Return every document of a text.

    A text that begins like JSON and is not JSON is read as YAML, unless *json_only*.
    """
    if json_only or text.lstrip().startswith("{"):
        try:
            return iter(read_json(text))
        except NotJsonError as error:
            if json_only and not error.is_json:
                fault = TextFault(line=error.line, message=f"not JSON: {error}")
                return iter((Document(number=1, line=fault.line, value=None, faults=(fault,)),))
    from webhook.files.yaml_reader import read_yaml  # noqa: PLC0415  slow, and JSON needs none

    return read_yaml(text)


def read_files(paths: Iterable[str], stdin: BinaryIO, options: ReadOptions = READ_CHANGES) -> FileObjects:
    """
    Read every object of *paths*.

    Args:
        paths: files, folders (recursive: .yaml .yml .json, nothing hidden), or `-`.
        stdin: the content of `-`.

    Raises:
        FilesError: with every fault.
    """
    collected = _Collected(options)
    with _without_garbage_collection():
        _read_all(collected, paths, stdin, options.exclude)
    if collected.faults:
        raise FilesError(collected.faults)
    return FileObjects(
        objects=tuple(collected.objects),
        skipped=dict(collected.skipped),
        notes=tuple(collected.notes),
        passed_over=tuple(collected.passed_over),
    )


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """
    Keep Python's garbage collector from the objects that are read.

    All of them stay in use and none is a cycle; looking through them again and again takes an eighth of the time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


def _read_all(collected: "_Collected", paths: Iterable[str], stdin: BinaryIO, exclude: tuple[str, ...]) -> None:
    for path in paths:
        if path == STDIN:
            collected.read(path, stdin, in_folder=False)
            continue
        try:
            files = find_files(path, exclude)
            if not files:
                collected.fault(Place(file=path), "contains no .yaml, .yml or .json file")
        except OSError as error:
            collected.fault(Place(file=path), f"cannot be read: {error.strerror}")
            continue
        for file in files:
            collected.open(file, in_folder=file != path)


class _Collected:
    """Collects objects, faults and notes."""

    def __init__(self, options: ReadOptions) -> None:
        self._options = options
        self._places: dict[tuple[str, str, str], Place] = {}
        self._generated = 0
        self.objects: list[PlacedObject] = []
        self.skipped: Counter[str] = Counter()
        self.faults: list[FileFault] = []
        self.notes: list[FileFault] = []
        self.passed_over: list[str] = []

    def fault(self, place: Place, message: str, at: str = "") -> None:
        self.faults.append(FileFault(place=place, field=at, message=message))

    def note(self, place: Place, message: str, at: str = "") -> None:
        self.notes.append(FileFault(place=place, field=at, message=message))

    def open(self, file: str, *, in_folder: bool) -> None:
        try:
            with Path(file).open("rb") as stream:
                self.read(file, stream, in_folder=in_folder)
        except OSError as error:
            self.fault(Place(file=file), f"cannot be read: {error.strerror}")

    def read(self, file: str, stream: BinaryIO, *, in_folder: bool) -> None:
        content = stream.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            self.fault(Place(file=file), f"is larger than {MAX_FILE_BYTES} bytes")
            return
        is_utf_16 = content.startswith(_UTF_16)
        try:
            text = content.decode("utf-16" if is_utf_16 else "utf-8-sig")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            self.fault(Place(file=file, line=line), f"is not UTF-{'16' if is_utf_16 else '8'} text")
            return
        if is_utf_16:
            self.note(Place(file=file), "is UTF-16 text: other tools may not read it")
        documents = read_documents(text, json_only=file.lower().endswith(".json"))
        if in_folder:
            documents = iter(found := list(documents))
            if found and not any(document.faults or _names_a_kind(document.value) for document in found):
                self.passed_over.append(file)
                return
        for document in documents:
            self._take_document(file, document)

    def _take_document(self, file: str, document: Document) -> None:
        place = Place(file=file, document=document.number, line=document.line)
        for fault in document.faults:
            self.fault(Place(file=file, document=document.number, line=fault.line), fault.message)
        known = len(self.objects)
        if document.value is not None:
            self._take(place, document.value, document.item_lines)
        if len(self.objects) > known:
            for note in document.notes:
                self.note(Place(file=file, document=document.number, line=note.line), note.message)

    def _take(self, place: Place, value: Any, item_lines: tuple[int, ...] = ()) -> None:
        if not isinstance(value, dict):
            self.fault(place, f"is {_name(value)}, not an API object")
            return
        kind, api_version = value.get("kind"), value.get("apiVersion")
        for key in ("apiVersion", "kind"):
            if not isinstance(value.get(key), str) or not value[key]:
                self.fault(place, "must be set to a string", key)
        if not isinstance(kind, str) or not isinstance(api_version, str) or not kind or not api_version:
            return
        if kind == _LIST or (kind.endswith(_LIST) and "items" in value):
            self._take_items(place, value, item_lines)
            return
        resource = resource_of(kind, api_version)
        if resource is not None:
            self._take_object(place, value, resource)
        elif (fault := mistyped(kind, api_version)) is not None:
            self.fault(place, fault[1], fault[0])
        else:
            self.skipped[kind] += 1

    def _take_items(self, place: Place, value: Mapping[str, Any], item_lines: tuple[int, ...]) -> None:
        items = value.get("items")
        if not isinstance(items, list | None):
            self.fault(place, f"must be a list, not {_name(items)}", "items")
            return
        kind = value["kind"].removesuffix(_LIST)
        for index, item in enumerate(items or ()):
            line = item_lines[index] if index < len(item_lines) else place.line
            where = f"{place.item}.items[{index}]" if place.item else f"items[{index}]"
            inner = Place(file=place.file, document=place.document, line=line, item=where)
            # The items of a typed list need not repeat the kind of the list.
            is_bare = bool(kind) and isinstance(item, dict) and "kind" not in item
            self._take(inner, {"apiVersion": value["apiVersion"], "kind": kind, **item} if is_bare else item)

    def _take_object(self, place: Place, written: Mapping[str, Any], resource: ResourceType) -> None:
        value = self._named(place, written, resource)
        parsed, faults = read(value)
        for at, message in faults_of_names(value, resource):
            self.fault(place, message, at)
        is_stored = self._options.is_state and resource == NETWORK_POLICIES and _is_stored(value)
        for fault in faults:
            if is_stored and fault.field.startswith("spec"):
                self.note(place, f"{fault.message}: the policy counts as unknown there", fault.field)
            else:
                self.fault(place, fault.message, fault.field)
        for at, message in notes_of(value, resource):
            self.note(place, message, at)
        if self._options.is_state:
            self._require_once(place, value)
        self.objects.append(PlacedObject(place=place, mapping=value, parsed=parsed))

    def _named(self, place: Place, value: Mapping[str, Any], resource: ResourceType) -> Mapping[str, Any]:
        """Return the object with the namespace, and the generated name, that `kubectl create` would give it."""
        metadata = value.get("metadata")
        if not isinstance(metadata, dict):
            return value
        added = {}
        if resource.namespaced and metadata.get("namespace") in {None, ""}:
            added["namespace"] = self._options.namespace or DEFAULT_NAMESPACE
            if not self._options.namespace:
                message = f"is not set: the object is read in the namespace {DEFAULT_NAMESPACE}; set it, or use -n"
                self.note(place, message, "metadata.namespace")
        prefix = metadata.get("generateName")
        if isinstance(prefix, str) and prefix and metadata.get("name") in {None, ""}:
            self._generated += 1
            added["name"] = f"{prefix}{self._generated:05}"
            message = f"`kubectl create` accepts it, `kubectl apply` does not; the name is {added['name']} here"
            self.note(place, message, "metadata.generateName")
        return {**value, "metadata": {**metadata, **added}} if added else value

    def _require_once(self, place: Place, value: Mapping[str, Any]) -> None:
        metadata = value.get("metadata")
        if not isinstance(metadata, dict) or not isinstance(metadata.get("name"), str):
            return
        namespace = str(metadata.get("namespace") or "")
        first = self._places.setdefault((value["kind"], namespace, metadata["name"]), place)
        if first is not place:
            name = f"{namespace}/{metadata['name']}" if namespace else metadata["name"]
            self.fault(place, f"{value['kind']} {name} is there twice: also in {first}")


def _names_a_kind(value: Any) -> bool:
    return isinstance(value, dict) and ("apiVersion" in value or "kind" in value)


def _is_stored(value: Mapping[str, Any]) -> bool:
    """Whether an API server once stored the object: only an API server sets a uid."""
    return bool(value["metadata"].get("uid"))


def _name(value: object) -> str:
    names = {str: "a string", bool: "a boolean", int: "a number", float: "a number", list: "a list", dict: "a mapping"}
    return names.get(type(value), "null")
