"""Show the progress of reading large files, on a terminal."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from webhook.files.file_objects import STDIN, ReadOptions, find_files

DELAY_SECONDS: Final = 2
"""Time after which the progress is shown: most runs end sooner."""

_SHORTEST_BYTES: Final = 4 * 1024 * 1024
"""Files with fewer bytes in all are read within two seconds."""


@contextmanager
def watched_progress(paths: Sequence[str], options: ReadOptions) -> Iterator[ReadOptions]:
    """Yield options that show the progress on standard error, if that is a terminal and the files are large."""
    size = None if STDIN in paths else sum(map(_size, paths))
    if not sys.stderr.isatty() or (size is not None and size < _SHORTEST_BYTES):
        yield options
        return
    from tqdm import tqdm  # type: ignore[import-untyped]  # noqa: PLC0415  slow, and only a terminal needs it

    with tqdm(desc="reading", total=size, unit="B", unit_scale=True, delay=DELAY_SECONDS, leave=False) as bar:
        yield replace(options, progress=bar.update)


def _size(path: str) -> int:
    """Return the bytes of a file, or of the files of a folder; 0 where they cannot be read, which reading reports."""
    try:
        return sum(os.stat(file).st_size for file in find_files(path))  # noqa: PTH116  a path of text
    except OSError:
        return 0
