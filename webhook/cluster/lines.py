"""Split a watch's byte stream into lines, wherever the network cut it."""

from typing import Final

# etcd takes objects of 1.5 MiB, the API server's JSON of one (escapes, managedFields) is several; a longer line is no
# event.
MAX_LINE_BYTES: Final = 32 * 1024 * 1024


class LineTooLongError(ValueError):
    """Tell that no line end came within the longest line that can be an event."""


class LineSplitter:
    """
    Collects bytes and gives back whole lines.

    Bytes, not text: a chunk may end inside a character. Every byte is looked at once, however many chunks a line
    comes in.
    """

    def __init__(self, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._max_line_bytes = max_line_bytes
        self._parts: list[bytes] = []
        self._size = 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """
        Give the lines that *chunk* completes, without line ends and without empty lines.

        Raises:
            LineTooLongError: the line is longer than can be an event.
        """
        *ended, rest = chunk.split(b"\n")
        if ended:
            ended[0] = b"".join((*self._parts, ended[0]))
            self._parts, self._size = [], 0
        self._parts.append(rest)
        self._size += len(rest)
        longest = max(self._size, *map(len, ended)) if ended else self._size
        if longest > self._max_line_bytes:
            raise LineTooLongError(f"a line of more than {self._max_line_bytes} bytes")
        return [line for line in ended if line.strip()]
