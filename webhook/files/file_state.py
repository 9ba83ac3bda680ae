"""Keep a store equal to a set of files, which are read again when they change."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

from webhook.cluster.store import Store
from webhook.cluster.timing import Clock
from webhook.eem import EemSnapshot
from webhook.files.file_objects import READ_STATE, STDIN, FileObjects, FilesError, find_files
from webhook.files.object_reader import read_files

_log: Final = logging.getLogger(__name__)

# Seconds between two checks: soon enough for edits by hand, and some hundred stat calls cost little.
POLL_INTERVAL_SECONDS: Final = 1.0

_Fingerprint = tuple[tuple[str, int, int, int], ...]


class FileState:
    """
    Files that stand for the state of a cluster.

    If the files cannot be understood, the last good state stays in force and is not fresh.

    Args:
        stdin: the content of `-`; it is read once.
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
            FilesError: with every fault; the store is not changed.
        """
        # Taken before reading, so that the next check finds an edit that comes in the middle.
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
        for note in found.notes:
            _log.warning("%s", note)
        if found.passed_over:
            _log.info("no API object in %s: skipped", ", ".join(found.passed_over))
        return found

    async def run(self) -> None:
        """Load the files again when they change, until cancelled."""
        while True:
            await self._clock.sleep(self._interval_seconds)
            if await asyncio.to_thread(self._look) == self._fingerprint:
                continue
            try:
                found = await self.load()
            except FilesError as error:
                _log.error("the files cannot be read; the last good state stays in force: %s", error)
            else:
                _log.info("read again: %d objects", len(found.objects))

    def _look(self) -> _Fingerprint:
        """Return what changes with a file: names, modification times, sizes, inodes."""
        found: list[tuple[str, int, int, int]] = []
        for path in self._paths:
            if path == STDIN:
                continue
            try:
                for file in find_files(path):
                    status = Path(file).stat()
                    found.append((file, status.st_mtime_ns, status.st_size, status.st_ino))
            except OSError:
                # Reading reports the error; here it is one more state of the files.
                found.append((path, 0, 0, 0))
        return tuple(found)

    def _read(self) -> tuple[FileObjects, EemSnapshot]:
        if self._piped is None and STDIN in self._paths:
            self._piped = self._stdin.read()
        found = read_files(self._paths, BytesIO(self._piped or b""), READ_STATE)
        return found, replace(EemSnapshot.from_read(found.read), foreign=found.foreign)
