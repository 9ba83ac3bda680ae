"""
Read API objects from files, with the place of each object and of each fault.

Nothing is skipped silently: a file that cannot be read, a document that is not an object, and an object that cannot be
understood are faults with file, document, line and field, and all of them are reported at once. Only objects of kinds
that no verdict depends on are skipped, and they are counted. In a folder, files without API objects are skipped and
named.
"""

import codecs
import gc
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Final

from webhook.eem import ForeignPolicy, read
from webhook.eem.api_servers import endpoints_of_api_server
from webhook.eem.policy_kinds import read_foreign
from webhook.eem.resources import CALICO, CLUSTER_POLICIES, NETWORK_POLICIES, ResourceType
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
    Progress,
    ReadOptions,
    Source,
    find_files,
    no_progress,
)
from webhook.files.json_stream import read_pieces
from webhook.files.object_checks import faults_of_names, is_stored, mistyped, notes_of, resource_of, type_in_words
from webhook.files.slimming import slim
from webhook.netpol.cluster_policies import CALICO_KINDS
from webhook.netpol.intervals import IPAddress

# `kubectl get -A -o yaml` of 20,000 pods has about 200 MB.
MAX_FILE_BYTES: Final = 512 * 1024 * 1024

# A longer JSON text is read item by item: so large a state has thousands of objects.
_CHUNK_BYTES: Final = 4 * 1024 * 1024
_BEFORE_JSON: Final = codecs.BOM_UTF8 + b" \t\r\n"
_LIST: Final = "List"
_OF_OPENSHIFT: Final = "template.openshift.io/"
_POLICIES: Final = (NETWORK_POLICIES, *CLUSTER_POLICIES)
_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class _TooLargeError(Exception):
    """Raised when a text has more than MAX_FILE_BYTES."""


def _chunks(first: bytes, stream: BinaryIO, progress: Progress) -> Iterator[bytes]:
    """Yield a text whose beginning was read."""
    size, chunk = 0, first
    while chunk:
        size += len(chunk)
        if size > MAX_FILE_BYTES:
            raise _TooLargeError
        progress(len(chunk))
        yield chunk
        chunk = stream.read(_CHUNK_BYTES)


def read_documents(text: str, *, json_only: bool, progress: Progress = no_progress) -> Iterator[Document]:
    """
    Return every document of a text.

    A text that begins like JSON and is not JSON is read as YAML, unless *json_only*.
    """
    if json_only or text.lstrip().startswith("{"):
        try:
            return iter(read_json(text))
        except NotJsonError as error:
            if json_only and not error.is_json:
                fault = TextFault(line=error.line, column=error.column, message=f"not JSON: {error}")
                return iter((Document(number=1, line=fault.line, value=None, faults=(fault,)),))
    from webhook.files.yaml_reader import read_yaml  # noqa: PLC0415  slow, and JSON needs none

    return read_yaml(text, None if progress is no_progress else progress)


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
        foreign=tuple(collected.foreign),
        api_servers=tuple(collected.api_servers),
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
        self._source: Source | None = None
        self.objects: list[PlacedObject] = []
        self.foreign: list[ForeignPolicy] = []
        self.api_servers: list[IPAddress] = []
        self.skipped: Counter[str] = Counter()
        self.faults: list[FileFault] = []
        self.notes: list[FileFault] = []
        self.passed_over: list[str] = []

    def fault(self, place: Place, message: str, at: str = "") -> None:
        self.faults.append(FileFault(place=place, field=at, message=message, source=self._source))

    def note(self, place: Place, message: str, at: str = "") -> None:
        self.notes.append(FileFault(place=place, field=at, message=message))

    def open(self, file: str, *, in_folder: bool) -> None:
        try:
            with Path(file).open("rb") as stream:
                self.read(file, stream, in_folder=in_folder)
        except OSError as error:
            self.fault(Place(file=file), f"cannot be read: {error.strerror}")

    def read(self, file: str, stream: BinaryIO, *, in_folder: bool) -> None:
        content = stream.read(_CHUNK_BYTES)
        if len(content) == _CHUNK_BYTES and content.lstrip(_BEFORE_JSON).startswith(b"{"):
            self._read_pieces(file, content, stream)
            return
        content += stream.read(MAX_FILE_BYTES + 1 - len(content))
        if len(content) > MAX_FILE_BYTES:
            self._too_large(file)
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
        self._source = Source(text=text)
        documents = read_documents(text, json_only=file.lower().endswith(".json"), progress=self._options.progress)
        if in_folder:
            documents = iter(found := list(documents))
            if found and not any(document.faults or _names_a_kind(document.value) for document in found):
                self.passed_over.append(file)
                return
        for document in documents:
            self._take_document(file, document)

    def _too_large(self, file: str) -> None:
        self.fault(Place(file=file), f"is larger than {MAX_FILE_BYTES} bytes")

    def _read_pieces(self, file: str, content: bytes, stream: BinaryIO) -> None:
        """Read a long JSON text, one item of a list after the other."""
        bare: list[tuple[Place, Document]] = []  # items without a kind: that of the list is known at its end
        try:
            for index, document in read_pieces(_chunks(content, stream, self._options.progress)):
                is_bare = document.value.__class__ is dict and "kind" not in document.value
                text = "" if is_bare or index is None else document.text
                self._source = Source(text=text, line=document.line, column=document.column, is_object=True)
                if index is None:
                    self._take_rest(file, document, bare)
                    continue
                place = Place(file=file, document=document.number, line=document.line, item=f"items[{index}]")
                if is_bare:
                    bare.append((place, replace(document, text="")))
                else:
                    self._take_piece(place, document, document.value)
        except NotJsonError as error:
            self.fault(Place(file=file, line=error.line, column=error.column), f"not JSON: {error}")
        except UnicodeDecodeError:
            self.fault(Place(file=file), "is not UTF-8 text")
        except _TooLargeError:
            self._too_large(file)

    def _take_rest(self, file: str, document: Document, bare: list[tuple[Place, Document]]) -> None:
        """Read a document whose items were read, and the items that have no kind of their own."""
        known = len(self.objects)
        self._take_document(file, document)
        head = document.value if isinstance(document.value, dict) else {}
        kind = head.get("kind")
        if len(self.objects) > known and "items" in head:
            self.fault(Place(file=file, document=document.number), f"{kind} is not a list", "items")
        named = {"apiVersion": head.get("apiVersion"), "kind": str(kind).removesuffix(_LIST)} if kind != _LIST else {}
        for place, item in bare:
            self._source = Source(text="", line=item.line, column=item.column, is_object=True)
            self._take_piece(place, item, {**named, **item.value})
        bare.clear()

    def _take_piece(self, place: Place, document: Document, value: Any) -> None:
        for fault in document.faults:
            self.fault(replace(place, line=fault.line, column=fault.column), fault.message)
        known = len(self.objects)
        if value is not None:
            self._take(place, value, document.item_lines)
        if len(self.objects) > known:
            for note in document.notes:
                self.note(replace(place, line=note.line), note.message)

    def _take_document(self, file: str, document: Document) -> None:
        place = Place(file=file, document=document.number, line=document.line)
        self._take_piece(place, document, document.value)

    def _take(self, place: Place, value: Any, item_lines: tuple[int, ...] = ()) -> None:
        if not isinstance(value, dict):
            self.fault(place, f"is {type_in_words(value)}, not an API object")
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
        self.api_servers.extend(endpoints_of_api_server(value))
        resource = resource_of(kind, api_version)
        if resource is not None and (resource not in CALICO or self._options.is_state):  # its changes are not judged
            self._take_object(place, value, resource)
        elif kind == "Template" and api_version.startswith(_OF_OPENSHIFT) and not self._options.is_state:
            self.fault(place, "this is a template: render it first, with `oc process`", "kind")
        elif (fault := mistyped(kind, api_version)) is not None:
            self.fault(place, fault[1], fault[0])
        else:
            self.skipped[kind] += 1
            foreign = read_foreign(value)
            self.foreign.extend([] if foreign is None else [foreign])

    def _take_items(self, place: Place, value: Mapping[str, Any], item_lines: tuple[int, ...]) -> None:
        items = value.get("items")
        if not isinstance(items, list | None):
            self.fault(place, f"must be a list, not {type_in_words(items)}", "items")
            return
        kind = value["kind"].removesuffix(_LIST)
        for index, item in enumerate(items or ()):
            line = item_lines[index] if index < len(item_lines) else place.line
            where = f"{place.item}.items[{index}]" if place.item else f"items[{index}]"
            inner = Place(file=place.file, document=place.document, line=line, item=where)
            is_bare = bool(kind) and isinstance(item, dict) and "kind" not in item  # typed lists need not repeat it
            self._take(inner, {"apiVersion": value["apiVersion"], "kind": kind, **item} if is_bare else item)

    def _take_object(self, place: Place, written: Mapping[str, Any], resource: ResourceType) -> None:
        value = self._named(place, {**written, "kind": resource.kind}, resource)
        parsed, faults = read(value)
        for at, message in faults_of_names(value, resource):
            self.fault(place, message, at)
        may_be_odd = resource in CALICO or (self._options.is_state and resource in _POLICIES and is_stored(value))
        for fault in faults:
            if may_be_odd and fault.field.startswith("spec"):
                self.note(place, f"{fault.message}: the policy counts as unknown there", fault.field)
            else:
                self.fault(place, fault.message, fault.field)
        for at, message in notes_of(value, resource):
            self.note(place, message, at)
        if self._options.is_state:
            self._require_once(place, value)
            value = slim(value)
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
        group = value["apiVersion"] if value["kind"] in CALICO_KINDS else ""  # a dump may hold both of Calico's
        first = self._places.setdefault((group + value["kind"], namespace, metadata["name"]), place)
        if first is not place:
            name = f"{namespace}/{metadata['name']}" if namespace else metadata["name"]
            self.fault(place, f"{value['kind']} {name} occurs twice: also in {first}")


def _names_a_kind(value: Any) -> bool:
    return isinstance(value, dict) and not {"apiVersion", "kind"}.isdisjoint(value)
