"""
Read YAML as kubectl reads it, with the line of every fault and of every reading that may surprise.

Values are built from libyaml's events. That takes two thirds of the time of PyYAML's CSafeLoader, and duplicate keys,
alias bombs and depth can only be seen there. Nothing here knows Kubernetes.

If a key occurs twice, the last value counts. Keys and merge keys (`<<`) apply in the order in which they are
written, so a later one replaces an earlier one; in a list of merged mappings, the first one wins.

Source: sigs.k8s.io/yaml goyaml.v2/decode.go (mapping, merge).
"""

import base64
import re
from collections.abc import Callable, Iterator
from typing import Any, Final, cast

import yaml

from webhook.files.documents import MAX_DEPTH, Document, TextFault
from webhook.files.yaml_scalars import as_key, number_of, resolve, trap

# Values that aliases may add to one document: the largest object that etcd accepts (1.5 MiB) has fewer values.
MAX_ALIASED_NODES: Final = 100_000

_TAG: Final = "tag:yaml.org,2002:"
_TYPE_OF_TAG: Final[dict[str, tuple[type, ...]]] = {
    f"{_TAG}bool": (bool,),
    f"{_TAG}int": (int,),
    f"{_TAG}float": (float, int),
    f"{_TAG}null": (type(None),),
}
_MERGE_TAG: Final = f"{_TAG}merge"
_BINARY_TAG: Final = f"{_TAG}binary"
_TEXT_TAGS: Final = frozenset({"!", f"{_TAG}str", f"{_TAG}timestamp"})
_MAPPING_TAGS: Final = frozenset({None, "!", f"{_TAG}map"})
_SEQUENCE_TAGS: Final = frozenset({None, "!", f"{_TAG}seq"})
# An even number of backslashes is that many halves of them.
_ESCAPED_SLASH: Final = re.compile(r"(?<!\\)(?:\\\\)*\\/")
_TEMPLATE: Final = re.compile(r"\{\{.*\}\}")
_REPORTED_CHARACTERS: Final = 262_144
_NO_KEY: Final = object()
_MERGE: Final = object()
_UNREAD: Final = object()


def read_yaml(text: str, progress: Callable[[int], object] | None = None) -> Iterator[Document]:
    """
    Return the documents of a YAML text; a syntax error is a fault of the last one, and ends the text.

    Args:
        text: the text.
        progress: called with the number of characters since the last call, now and then.
    """
    reported = 0
    loader = yaml.CSafeLoader(text)
    builder = _Builder(text)
    handlers, next_event = builder.handlers, cast("Callable[[], Any]", loader.get_event)
    end_of_document, end_of_text = yaml.DocumentEndEvent, yaml.StreamEndEvent
    try:
        while (kind := (event := next_event()).__class__) is not end_of_text:
            handlers[kind](event)
            if progress is not None and event.end_mark.index > reported + _REPORTED_CHARACTERS:
                progress(event.end_mark.index - reported)
                reported = event.end_mark.index
            if kind is end_of_document:
                yield builder.document()
    except yaml.YAMLError as error:
        yield builder.broken(error)
    except _TooDeepError:
        yield builder.document()
    finally:
        loader.dispose()


class _TooDeepError(Exception):
    """Raised when the text is nested too deeply to read on: libyaml's time grows with the square of the depth."""


class _Frame:
    """
    A mapping or a list that is being filled.

    Attributes:
        kinds: the types of keys that were not strings in the text, by key.
        merged: the keys whose value comes from a merge key.
    """

    __slots__ = ("anchor", "container", "key", "kinds", "lines", "mark", "merged", "nodes_before")

    def __init__(self, container: Any, event: Any, nodes_before: int) -> None:
        self.container = container
        self.anchor: str | None = event.anchor
        self.mark: Any = event.start_mark
        self.nodes_before = nodes_before
        self.key: Any = _NO_KEY
        self.lines: list[int] = []
        self.kinds: dict[str, type] = {}
        self.merged: set[str] = set()


class _Builder:
    """Turns events into values, one document after another."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.handlers: dict[type, Callable[[Any], None]] = {
            yaml.StreamStartEvent: self._ignore,
            yaml.DocumentStartEvent: self._start_document,
            yaml.DocumentEndEvent: self._ignore,
            yaml.ScalarEvent: self._checked_scalar if "\\/" in text else self._scalar,
            yaml.AliasEvent: self._alias,
            yaml.MappingStartEvent: self._start_mapping,
            yaml.MappingEndEvent: self._end,
            yaml.SequenceStartEvent: self._start_sequence,
            yaml.SequenceEndEvent: self._end,
        }
        self._plain: dict[str, Any] = {}
        self._number = 0
        self._open = False
        self._clear(line=1)

    def _clear(self, *, line: int) -> None:
        self._line = line
        self._value: Any = None
        self._stack: list[_Frame] = []
        self._frame: _Frame | None = None
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._nodes = 0
        self._aliased_nodes = 0
        self._item_lines: tuple[int, ...] = ()
        self._faults: list[TextFault] = []
        self._notes: list[TextFault] = []

    def document(self) -> Document:
        """Return the document that has just ended."""
        self._open = False
        self._recognise_template()
        return Document(
            number=self._number,
            line=self._line,
            value=None if self._faults else self._value,
            item_lines=self._item_lines,
            faults=tuple(self._faults),
            notes=tuple(self._notes),
        )

    def broken(self, error: yaml.YAMLError) -> Document:
        """Return the document in which the text stops being YAML."""
        mark = getattr(error, "problem_mark", None)
        position = getattr(error, "position", 0)
        line = mark.line + 1 if mark else self._text.count("\n", 0, position) + 1
        column = mark.column + 1 if mark else position - self._text.rfind("\n", 0, position)
        if not self._open:
            self._number += 1
            self._clear(line=line)
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "unreadable"
        if mark and self._line_of_text(line)[mark.column : mark.column + 1] == "\t":
            problem = f"a tab in column {mark.column + 1}: indent with spaces"
        self._fault(line, f"not YAML: {problem}", column)
        return self.document()

    def _recognise_template(self) -> None:
        """Replace the faults by one, if there is a Helm template in the line of a fault, or in the line before it."""
        for line in [fault.line - before for fault in self._faults for before in (0, 1)]:
            if found := _TEMPLATE.search(self._line_of_text(line)):
                message = "looks like a Helm template: render it first, with `helm template`"
                self._faults = [TextFault(line=line, column=found.start() + 1, message=message)]
                return

    def _line_of_text(self, line: int) -> str:
        lines = self._text.split("\n", line)
        return lines[line - 1] if 1 <= line <= len(lines) else ""

    def _fault(self, line: int, message: str, column: int) -> None:
        self._faults.append(TextFault(line=line, column=column, message=message))

    def _fault_at(self, mark: Any, message: str) -> None:
        self._fault(mark.line + 1, message, mark.column + 1)

    def _note(self, line: int, message: str) -> None:
        self._notes.append(TextFault(line=line, message=message))

    def _ignore(self, event: Any) -> None:
        """Do nothing: the event carries no value."""

    def _start_document(self, event: Any) -> None:
        self._number += 1
        self._open = True
        self._clear(line=event.start_mark.line + 1)

    def _scalar(self, event: Any) -> None:
        text = event.value
        value: Any = text
        if event.implicit[0] and event.tag is None:
            value = self._plain.get(text, _UNREAD)
            if value is _UNREAD:
                value = self._read_plain(event, text)
        elif event.tag == _MERGE_TAG and text == "<<" and self._awaits_key():
            value = _MERGE
        elif event.tag is not None and event.tag not in _TEXT_TAGS:
            value = self._tagged(event)
        self._nodes += 1
        if self._frame is None and text:
            self._line = event.start_mark.line + 1
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, 1)
        self._put(value, event.start_mark)

    def _read_plain(self, event: Any, text: str) -> Any:
        """Return what a scalar without quotes stands for, and keep it unless there is something to say about it."""
        if text == "<<":
            return _MERGE if self._awaits_key() else text
        value = self._resolve(event)
        if told := trap(text):
            self._note(event.start_mark.line + 1, told)
        elif value is not None:
            self._plain[text] = value
        return value

    def _checked_scalar(self, event: Any) -> None:
        """Read a scalar; it must not have an escape that libyaml accepts and kubectl does not."""
        written = self._text[event.start_mark.index : event.end_mark.index]
        if event.style == '"' and _ESCAPED_SLASH.search(written):
            self._fault_at(event.start_mark, 'not YAML: "\\/" is an escape of JSON alone: write "/"')
        self._scalar(event)

    def _awaits_key(self) -> bool:
        frame = self._frame
        return frame is not None and frame.key is _NO_KEY and frame.container.__class__ is dict

    def _resolve(self, event: Any) -> Any:
        try:
            return resolve(event.value)
        except ValueError as error:
            self._fault_at(event.start_mark, str(error))
            return None

    def _tagged(self, event: Any) -> Any:
        if event.tag == _BINARY_TAG:
            return self._binary(event)
        expected = _TYPE_OF_TAG.get(event.tag)
        value: Any = self._resolve(event) if expected else None
        if expected is None or type(value) not in expected:
            self._fault_at(event.start_mark, f"the tag {event.tag} does not fit {event.value[:40]!r}")
            return None
        return number_of(float(value)) if float in expected else value

    def _binary(self, event: Any) -> str | None:
        try:
            return base64.b64decode("".join(event.value.split()), validate=True).decode(errors="replace")
        except ValueError:
            self._fault_at(event.start_mark, "a !!binary value is not base64")
            return None

    def _start_mapping(self, event: Any) -> None:
        if event.tag not in _MAPPING_TAGS:
            self._fault_at(event.start_mark, f"a mapping with the tag {event.tag} is not understood")
        self._start({}, event)

    def _start_sequence(self, event: Any) -> None:
        if event.tag not in _SEQUENCE_TAGS:
            self._fault_at(event.start_mark, f"a list with the tag {event.tag} is not understood")
        self._start([], event)

    def _start(self, container: Any, event: Any) -> None:
        frame = _Frame(container, event, self._nodes)
        self._nodes += 1
        if event.anchor is not None:
            self._anchors.pop(event.anchor, None)
        if not self._stack:
            self._line = frame.mark.line + 1
        self._stack.append(frame)
        self._frame = frame
        if len(self._stack) > MAX_DEPTH:
            self._fault_at(frame.mark, f"nested more than {MAX_DEPTH} deep")
            raise _TooDeepError

    def _end(self, _event: Any) -> None:
        frame = self._stack.pop()
        self._frame = self._stack[-1] if self._stack else None
        if frame.anchor is not None:
            self._anchors[frame.anchor] = (frame.container, self._nodes - frame.nodes_before)
        if len(self._stack) == 1 and self._stack[0].key == "items":
            self._item_lines = tuple(frame.lines)
        self._put(frame.container, frame.mark)

    def _alias(self, event: Any) -> None:
        value, nodes = self._anchors.get(event.anchor, (None, 0))
        if not nodes:
            self._fault_at(event.start_mark, f"*{event.anchor} names nothing that is complete before it")
        self._nodes += nodes
        self._aliased_nodes += nodes
        if self._aliased_nodes > MAX_ALIASED_NODES >= self._aliased_nodes - nodes:
            self._fault_at(event.start_mark, f"aliases add more than {MAX_ALIASED_NODES} values")
        self._put(value, event.start_mark)

    def _put(self, value: Any, mark: Any) -> None:
        frame = self._frame
        if frame is None:
            self._value = value
        elif frame.container.__class__ is list:
            frame.container.append(value)
            if len(self._stack) == 2:  # noqa: PLR2004 - a list in the root mapping: perhaps `items`
                frame.lines.append(mark.line + 1)
        elif frame.key is _NO_KEY:
            if value is _MERGE or (value.__class__ is str and value not in frame.container):  # nearly always
                frame.key = value
            else:
                frame.key = self._key(frame, value, mark)
        elif frame.key is _MERGE:
            self._merge(frame, value, mark)
            frame.key = _NO_KEY
        else:
            frame.container[frame.key] = value
            frame.key = _NO_KEY

    def _key(self, frame: _Frame, value: Any, mark: Any) -> str:
        try:
            key = as_key(value)
        except ValueError as error:
            self._fault_at(mark, str(error))
            return ""
        if key in frame.merged:
            frame.merged.discard(key)
        elif key in frame.container:
            if frame.kinds.get(key, str) is value.__class__:
                self._note(mark.line + 1, f'the key "{key}" occurs twice: the last value counts')
            else:  # kubectl keeps two keys, and which of them counts is left to chance
                self._fault_at(mark, f'the key "{key}" occurs twice')
        if value.__class__ is not str:
            frame.kinds[key] = value.__class__
        return key

    def _merge(self, frame: _Frame, value: Any, mark: Any) -> None:
        mappings = value if isinstance(value, list) else [value]
        if not all(isinstance(mapping, dict) for mapping in mappings):
            self._fault_at(mark, "<< takes a mapping or a list of mappings")
            return
        merged: dict[str, Any] = {}
        for mapping in reversed(mappings):
            merged.update(mapping)
        for key, found in merged.items():
            if key not in frame.container:
                frame.merged.add(key)
            elif frame.container[key] != found:
                self._note(
                    mark.line + 1, f'<< replaces the key "{key}" above it, as kubectl reads it; other readers keep it'
                )
            frame.container[key] = found
