"""Write the results of a command to standard output, and report an output device that does not accept them."""

import contextlib
import os
import sys
from collections.abc import Iterator

ALLOWED, DENIED, BAD_USAGE, INTERRUPTED = 0, 1, 2, 130
"""The exit statuses of all commands."""


class OutputError(Exception):
    """
    Raised when results cannot be written.

    Args:
        error: the error of the system.
    """

    def __init__(self, error: OSError) -> None:
        super().__init__(f"cannot write to standard output: {error.strerror or error}")


def show(text: str, *, now: bool = False) -> None:
    """
    Write *text* and a line end to standard output.

    Args:
        now: write through buffers, for a command that goes on running.

    Raises:
        OutputError: the text cannot be written.
        BrokenPipeError: the reader of the output has closed it.
    """
    with _reported():
        print(text, flush=now)


def flush_output() -> None:
    """
    Write what the buffers of standard output hold.

    Raises:
        OutputError, BrokenPipeError: as `show`.
    """
    with _reported():
        print(end="", flush=True)


def discard_output() -> None:
    """Discard what standard output still holds, so that Python does not report it again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def _reported() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(error) from error
