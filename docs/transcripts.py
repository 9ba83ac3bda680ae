"""
Run the commands that the pages show, and write what they print: `python -m docs.transcripts`.

A block of a page that is marked as `console` holds commands, each after `$ `, and their output. Commands that begin
with `eem-guardrail` are run in this checkout, and their output is put into the page, wrapped. Other commands need a
cluster; what stands below them is left as it is. A test compares every page with what the commands print now.
"""

import re
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COMMAND = "eem-guardrail"
WIDTH = 110  # characters of a line that a page shows without a scroll bar


def pages() -> Iterator[Path]:
    """Return the pages that may hold such blocks."""
    yield from (ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / ".github/CONTRIBUTING.md")
    yield from sorted((ROOT / "docs").rglob("*.md"))


def refreshed(page: str) -> str:
    """Return the text of a page with the output of every command as it is now."""
    return re.sub(r"(?<=^```console\n).*?(?=^```)", _block, page, flags=re.MULTILINE | re.DOTALL)


def _block(found: re.Match[str]) -> str:
    commands = re.split(r"^(?=\$ )", found.group(), flags=re.MULTILINE)
    return "".join(_with_output(one) for one in commands)


def _with_output(text: str) -> str:
    """Return one command with its output: *text* begins with the command, which may go on after a backslash."""
    found = re.match(r"\$ ((?:.*\\\n)*.*)\n", text)
    words = [] if found is None else shlex.split(found.group(1).replace("\\\n", " "))
    if found is None or words[:1] != [COMMAND]:
        return text
    return found.group() + output(words[1:])


def output(words: list[str]) -> str:
    """Return what the command prints for *words*, with long lines wrapped."""
    done = subprocess.run(
        [sys.executable, "-m", "webhook", *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return "".join(f"{wrapped(line)}\n" for line in done.stdout.splitlines())


def wrapped(line: str) -> str:
    """Return a line in pieces of at most WIDTH characters, each indented like the first."""
    indent = line[: len(line) - len(line.lstrip())]
    pieces = textwrap.wrap(line, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
    return "\n".join(pieces)


if __name__ == "__main__":
    for page in pages():
        page.write_text(refreshed(page.read_text()))
