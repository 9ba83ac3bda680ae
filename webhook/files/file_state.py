"""Keep a store as a set of files is, reading them again when they change."""

import asyncio
import logging
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

from webhook.cluster.store import Store
from webhook.cluster.timing import Clock
from webhook.eem import EemSnapshot
from webhook.files.reader import STDIN, FileObjects, FilesError, find_files, read_files

_log: Final = logging.getLogger(__name__)

# Seconds between two looks: soon enough for who edits by hand, and some hundred stat calls cost nothing.
POLL_INTERVAL_SECONDS: Final = 1.0

_Fingerprint = tuple[tuple[str, int, int, int], ...]


class FileState:
    """
    Files as the state of a cluster.

    Files that cannot be understood leave the last good state in force, which is then not fresh.

    Args:
        stdin: what `-` means; it is read once.
    """

    def __init__(
        self,
        paths: Sequence[str],
        store: Store,
        stdin: BinaryIO,
        *,
        interval_seconds: float = POLL_INTERVAL_SECONDS,
        clock: Clock | None = None,
    ) -> None:
        self._paths = tuple(paths)
        self._store = store
        self._stdin = stdin
        self._piped: bytes | None = None
        self._interval_seconds = interval_seconds
        self._clock = clock or Clock()
        self._fingerprint: _Fingerprint | None = None
        self.is_fresh = False
        self.problem = ""

    async def load(self) -> FileObjects:
        """
        Read the files into the store.

        Raises:
            FilesError: with every fault; the store stays as it was.
        """
        # Before reading: an edit that comes in the middle is then seen at the next look.
        fingerprint = await asyncio.to_thread(self._look)
        try:
            found, snapshot = await asyncio.to_thread(self._read)
        except FilesError as error:
            self.is_fresh = False
            self.problem = str(error)
            self._store.announce()
            raise
        finally:
            self._fingerprint = fingerprint
        self.is_fresh = True
        self.problem = ""
        self._store.reset(snapshot)
        return found

    async def run(self) -> None:
        """Load again whenever the files change, until cancelled."""
        while True:
            await self._clock.sleep(self._interval_seconds)
            if await asyncio.to_thread(self._look) == self._fingerprint:
                continue
            try:
                found = await self.load()
            except FilesError as error:
                _log.error("the last good state stays in force: %s", error)
            else:
                _log.info("read again: %d objects", len(found.objects))

    def _look(self) -> _Fingerprint:
        """Give what changes when a file does: names, modification times, sizes, inodes."""
        found: list[tuple[str, int, int, int]] = []
        for path in self._paths:
            if path == STDIN:
                continue
            try:
                for file in find_files(path):
                    status = Path(file).stat()
                    found.append((file, status.st_mtime_ns, status.st_size, status.st_ino))
            except OSError:
                # Whoever reads it says what is wrong; here it is one more state that files can be in.
                found.append((path, 0, 0, 0))
        return tuple(found)

    def _read(self) -> tuple[FileObjects, EemSnapshot]:
        if self._piped is None and STDIN in self._paths:
            self._piped = self._stdin.read()
        found = read_files(self._paths, BytesIO(self._piped or b""))
        return found, EemSnapshot.from_read(found.read)
