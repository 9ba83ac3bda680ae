"""
Read the events in the byte stream of a watch.

Source: Kubernetes API concepts, "Efficient detection of changes".
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import msgspec

from webhook.cluster.lists import complete
from webhook.eem import ResourceType
from webhook.netpol.parse_objects import Parsed, read_object

# etcd takes objects of 1.5 MiB; as JSON (escapes, managedFields) such an object can have several. A longer line is not
# an event.
MAX_LINE_BYTES: Final = 32 * 1024 * 1024
# An event with more bytes is read in a thread: the costliest event of this size, a list of empty entries, holds the
# event loop for 40 ms. Few are as large; a pod with its managedFields has 5 to 10 KiB.
_LARGE_LINE_BYTES: Final = 32 * 1024

CHANGES: Final = frozenset({"ADDED", "MODIFIED", "DELETED"})
"""The types of the watch events that carry an object."""


class WatchEvent(msgspec.Struct):
    """One line of a watch."""

    type: str
    object: dict[str, Any]


def decode_event(resource: ResourceType, line: bytes) -> WatchEvent:
    """
    Decode one line of a watch.

    Raises:
        msgspec.MsgspecError: the line is not an event.
    """
    event = msgspec.json.decode(line, type=WatchEvent)
    if event.type in CHANGES:
        complete(resource, event.object)
    return event


async def read_events(
    resource: ResourceType, chunks: AsyncIterator[bytes]
) -> AsyncIterator[tuple[WatchEvent, Parsed | None]]:
    """
    Read the events of a watch, each with what a snapshot reads of its object if that was read beforehand.

    A large event is read in a thread, and the next one waits, so the events keep their order.

    Raises:
        LineTooLongError, msgspec.MsgspecError: a line is not an event.
    """
    splitter = LineSplitter()
    async for chunk in chunks:
        for line in splitter.feed(chunk):
            if len(line) > _LARGE_LINE_BYTES:
                yield await asyncio.to_thread(_read, resource, line)
            else:
                yield decode_event(resource, line), None


def _read(resource: ResourceType, line: bytes) -> tuple[WatchEvent, Parsed | None]:
    event = decode_event(resource, line)
    is_read = event.type in CHANGES and event.type != "DELETED"
    return event, read_ahead(event.object) if is_read else None


class LineTooLongError(ValueError):
    """Raised when a line is longer than any event can be."""


class LineSplitter:
    """
    Splits a byte stream into lines, wherever the network has cut it.

    It works on bytes, since a chunk may end inside a character, and looks at each byte once, however many chunks a
    line has.
    """

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._max_line_bytes = max_line_bytes
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """
        Return the lines that *chunk* completes, without line ends and without empty lines.

        Raises:
            LineTooLongError: a line is longer than the limit.
        """
        *ended, rest = chunk.split(b"\n")
        if ended:
            ended[0] = b"".join((*self._parts, ended[0]))
            self._parts, self._size = [], 0
        self._parts.append(rest)
        self._size += len(rest)
        longest = max(self._size, *map(len, ended)) if ended else self._size
        if longest > self._max_line_bytes:
            raise LineTooLongError(f"a line has more than {self._max_line_bytes} bytes")
        return [line for line in ended if line.strip()]


def read_ahead(mapping: Mapping[str, Any]) -> Parsed | None:
    """Return what a snapshot would read of an object, with all that takes long; None if it reads nothing of it."""
    return read_object(mapping)[0]
