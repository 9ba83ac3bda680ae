"""
Build values from YAML, with the line and everything that is wrong.

Values are built straight from libyaml's events: two thirds of the time of PyYAML's CSafeLoader (2,500 objects, 1.2
MB: 0.28 s against 0.43 s), and the place where duplicate keys, alias bombs and depth can be seen at all. Nothing here
knows Kubernetes.
"""

from collections.abc import Callable, Iterator
from typing import Any, Final

import yaml

from webhook.files.document import MAX_DEPTH, Document, TextFault
from webhook.files.yaml_scalars import as_key, resolve, trap

# Nodes that aliases may add to one document: the largest object that etcd takes (1.5 MiB) has fewer values than this.
MAX_ALIASED_NODES: Final = 100_000

_TAG: Final = "tag:yaml.org,2002:"
_TYPE_OF_TAG: Final[dict[str, tuple[type, ...]]] = {
    f"{_TAG}bool": (bool,),
    f"{_TAG}int": (int,),
    f"{_TAG}float": (float, int),
    f"{_TAG}null": (type(None),),
}
_TEXT_TAGS: Final = frozenset({"!", f"{_TAG}str", f"{_TAG}timestamp"})
_MAPPING_TAGS: Final = frozenset({None, "!", f"{_TAG}map"})
_SEQUENCE_TAGS: Final = frozenset({None, "!", f"{_TAG}seq"})
_NO_KEY: Final = object()
_MERGE: Final = object()


def read_yaml(text: str) -> Iterator[Document]:
    """Give every document of a YAML text; a syntax error is a fault of the last one, and ends the text."""
    loader = yaml.CSafeLoader(text)
    builder = _Builder()
    handlers = builder.handlers
    try:
        while not isinstance(event := loader.get_event(), yaml.StreamEndEvent):
            handlers[event.__class__](event)
            if event.__class__ is yaml.DocumentEndEvent:
                yield builder.document()
    except yaml.YAMLError as error:
        yield builder.broken(error, text)
    except _TooDeepError:
        yield builder.document()
    finally:
        loader.dispose()


class _TooDeepError(Exception):
    """Tell that the rest of the text is not worth reading: libyaml's time grows with the square of the depth."""


class _Frame:
    """A mapping or a list that is being filled."""

    __slots__ = ("anchor", "container", "key", "line", "lines", "merged", "nodes_before")

    def __init__(self, container: Any, event: Any, nodes_before: int) -> None:
        self.container = container
        self.anchor: str | None = event.anchor
        self.line: int = event.start_mark.line + 1
        self.nodes_before = nodes_before
        self.key: Any = _NO_KEY
        self.lines: list[int] = []
        self.merged: list[dict[str, Any]] = []


class _Builder:
    """Turns events into values, one document after another."""

    def __init__(self) -> None:
        self.handlers: dict[type, Callable[[Any], None]] = {
            yaml.StreamStartEvent: self._ignore,
            yaml.DocumentStartEvent: self._start_document,
            yaml.DocumentEndEvent: self._ignore,
            yaml.ScalarEvent: self._scalar,
            yaml.AliasEvent: self._alias,
            yaml.MappingStartEvent: self._start_mapping,
            yaml.MappingEndEvent: self._end,
            yaml.SequenceStartEvent: self._start_sequence,
            yaml.SequenceEndEvent: self._end,
        }
        self._resolved: dict[str, Any] = {}
        self._traps: dict[str, str] = {}
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
        """Give the document that has just ended."""
        self._open = False
        return Document(
            number=self._number,
            line=self._line,
            value=None if self._faults else self._value,
            item_lines=self._item_lines,
            faults=tuple(self._faults),
            notes=tuple(self._notes),
        )

    def broken(self, error: yaml.YAMLError, text: str) -> Document:
        """Give the document in which the text stopped being YAML."""
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else text.count("\n", 0, getattr(error, "position", 0)) + 1
        if not self._open:
            self._number += 1
            self._clear(line=line)
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "unreadable"
        self._fault(line, f"not YAML: {problem}")
        return self.document()

    def _fault(self, line: int, message: str) -> None:
        self._faults.append(TextFault(line=line, message=message))

    def _ignore(self, event: Any) -> None:
        """Pass over events that carry nothing."""

    def _start_document(self, event: Any) -> None:
        self._number += 1
        self._open = True
        self._clear(line=event.start_mark.line + 1)

    def _scalar(self, event: Any) -> None:
        text = event.value
        value: Any = text
        if event.implicit[0] and event.tag is None:
            try:
                value = self._resolved[text]
            except KeyError:
                value = self._resolve(event)
                self._resolved[text] = value
                if told := trap(text):
                    self._traps[text] = told
            if text in self._traps:
                self._notes.append(TextFault(line=event.start_mark.line + 1, message=self._traps[text]))
            frame = self._frame
            if text == "<<" and frame is not None and frame.key is _NO_KEY and frame.container.__class__ is dict:
                value = _MERGE
        elif event.tag is not None and event.tag not in _TEXT_TAGS:
            value = self._tagged(event)
        self._nodes += 1
        if self._frame is None and text:
            self._line = event.start_mark.line + 1
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, 1)
        self._put(value, event)

    def _resolve(self, event: Any) -> Any:
        try:
            return resolve(event.value)
        except ValueError as error:
            self._fault(event.start_mark.line + 1, str(error))
            return None

    def _tagged(self, event: Any) -> Any:
        expected = _TYPE_OF_TAG.get(event.tag)
        value: Any = self._resolve(event) if expected else None
        if expected is None or type(value) not in expected:
            self._fault(event.start_mark.line + 1, f"the tag {event.tag} does not fit {event.value[:40]!r}")
            return None
        return float(value) if float in expected else value

    def _start_mapping(self, event: Any) -> None:
        if event.tag not in _MAPPING_TAGS:
            self._fault(event.start_mark.line + 1, f"a mapping with the tag {event.tag} is not understood")
        self._start({}, event)

    def _start_sequence(self, event: Any) -> None:
        if event.tag not in _SEQUENCE_TAGS:
            self._fault(event.start_mark.line + 1, f"a list with the tag {event.tag} is not understood")
        self._start([], event)

    def _start(self, container: Any, event: Any) -> None:
        frame = _Frame(container, event, self._nodes)
        self._nodes += 1
        if event.anchor is not None:
            self._anchors.pop(event.anchor, None)
        if not self._stack:
            self._line = frame.line
        self._stack.append(frame)
        self._frame = frame
        if len(self._stack) > MAX_DEPTH:
            self._fault(frame.line, f"nested more than {MAX_DEPTH} deep")
            raise _TooDeepError

    def _end(self, event: Any) -> None:
        frame = self._stack.pop()
        self._frame = self._stack[-1] if self._stack else None
        for mapping in frame.merged:
            for key, value in mapping.items():
                frame.container.setdefault(key, value)
        if frame.anchor is not None:
            self._anchors[frame.anchor] = (frame.container, self._nodes - frame.nodes_before)
        if len(self._stack) == 1 and self._stack[0].key == "items":
            self._item_lines = tuple(frame.lines)
        self._put(frame.container, event, line=frame.line)

    def _alias(self, event: Any) -> None:
        value, nodes = self._anchors.get(event.anchor, (None, 0))
        if not nodes:
            self._fault(event.start_mark.line + 1, f"*{event.anchor} names nothing that is complete before it")
        self._nodes += nodes
        self._aliased_nodes += nodes
        if self._aliased_nodes > MAX_ALIASED_NODES >= self._aliased_nodes - nodes:
            self._fault(event.start_mark.line + 1, f"aliases add more than {MAX_ALIASED_NODES} values")
        self._put(value, event)

    def _put(self, value: Any, event: Any, line: int = 0) -> None:
        frame = self._frame
        if frame is None:
            self._value = value
        elif frame.container.__class__ is list:
            frame.container.append(value)
            if len(self._stack) == 2:  # noqa: PLR2004 - the root's own lists, of which `items` may be one
                frame.lines.append(line or event.start_mark.line + 1)
        elif frame.key is _NO_KEY:
            frame.key = value if value is _MERGE else self._key(frame, value, line or event.start_mark.line + 1)
        elif frame.key is _MERGE:
            self._merge(frame, value, line or event.start_mark.line + 1)
            frame.key = _NO_KEY
        else:
            frame.container[frame.key] = value
            frame.key = _NO_KEY

    def _key(self, frame: _Frame, value: Any, line: int) -> str:
        try:
            key = as_key(value)
        except ValueError as error:
            self._fault(line, str(error))
            return ""
        if key in frame.container:
            self._fault(line, f'the key "{key}" is there twice')
        return key

    def _merge(self, frame: _Frame, value: Any, line: int) -> None:
        mappings = value if isinstance(value, list) else [value]
        if not all(isinstance(mapping, dict) for mapping in mappings):
            self._fault(line, "<< takes a mapping or a list of mappings")
            return
        frame.merged.extend(mappings)
