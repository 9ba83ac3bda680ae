"""Write the results of a command to standard output, and report an output device that does not accept them."""

import argparse
import contextlib
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TextIO

ALLOWED, DENIED, BAD_USAGE, INTERRUPTED = 0, 1, 2, 130
"""The exit statuses of all commands."""

NARROWEST = 60
"""Columns below which lines are not wrapped any more: names would not fit."""

WIDEST_HELP = 100
"""Columns of `--help` on a wider terminal: longer lines are hard to read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Style:
    """
    How text is shown.

    Args:
        width: columns of the terminal; None where lines are not wrapped, as for a file.
        coloured: whether words are coloured.
    """

    width: int | None = None
    coloured: bool = False

    def good(self, text: str) -> str:
        """Return what is allowed."""
        return self._in("32", text)

    def doubtful(self, text: str) -> str:
        """Return what is a warning."""
        return self._in("33", text)

    def bad(self, text: str) -> str:
        """Return what is refused."""
        return self._in("1;31", text)

    def _in(self, colour: str, text: str) -> str:
        """Return *text* in a colour of ECMA-48 (SGR)."""
        return f"\x1b[{colour}m{text}\x1b[0m" if self.coloured else text


def style_of(stream: TextIO) -> Style:
    """
    Return how text is shown on *stream*: wrapped and coloured on a terminal, plain elsewhere.

    Source: https://no-color.org: NO_COLOR with any value but the empty one turns colours off.
    """
    if not stream.isatty():
        return Style()
    is_coloured = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return Style(width=max(shutil.get_terminal_size().columns, NARROWEST), coloured=is_coloured)


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Wraps `--help` at the width of the terminal; the lines of examples stay as they are."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=min(shutil.get_terminal_size().columns, WIDEST_HELP))


def add_output_arguments(parser: argparse.ArgumentParser, formats: Iterable[str]) -> argparse._ArgumentGroup:
    """Add the format of the output, and return its group, to which a command may add more."""
    names = tuple(formats)
    group = parser.add_argument_group("output")
    group.add_argument(
        "-o",
        "--output",
        choices=names,
        default="text",
        metavar="FORMAT",
        help=f"{', '.join(names[:-1])} or {names[-1]} (default: text)",
    )
    return group


class OutputError(Exception):
    """
    Raised when results cannot be written.

    Args:
        error: the error of the system.
    """

    def __init__(self, error: OSError) -> None:
        super().__init__(f"cannot write to standard output: {error.strerror or error}")


def json_text(value: Any) -> str:
    """Return JSON values as text with indents."""
    import msgspec  # noqa: PLC0415  other formats need none

    return msgspec.json.format(msgspec.json.encode(value)).decode()


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
