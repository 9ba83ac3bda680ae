"""
Write what the commands print about the cluster and the changes in `files`, in every format.

    PYTHONPATH=.:tests python -m golden.outputs

A test compares. The changes have a refusal, a fault, a warning, an order and a change without one; the cluster has a
port and egress that are closed.
"""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path

from webhook.cli import main, parser_with

FOLDER = Path(__file__).resolve().parent
FILES, OUTPUTS = FOLDER / "files", FOLDER / "outputs"

STATE = "--state cluster.yaml before.yaml"
CHECK = f"check {STATE} --apply changes.yaml --delete netpol/eem/two"
AUDIT = f"audit {STATE} --egress enforce"
COMMANDS = (
    CHECK,
    "plan --state cluster.yaml --before before.yaml --after after.yaml",
    AUDIT,
    f"explain {STATE} --to eem/mgr-ibm-eem-manager-0 --port 8081 --from 10.0.0.0/8",
)
EXAMPLES = "../../../docs/examples"
REPORTED = {
    "healthy": f"{EXAMPLES}/cluster.yaml",
    "broken": f"{EXAMPLES}/broken.yaml",
    "tight": f"{EXAMPLES}/cluster.yaml {EXAMPLES}/dns-only.yaml {EXAMPLES}/own-allow.yaml",
}
"""States for `report`."""
OF_A_BROWSER = "html"
"""The format that has tests of its own."""


def cases() -> Iterator[tuple[str, list[str]]]:
    """Yield the name of each file and the words of the command that prints it."""
    named = [(command.partition(" ")[0], command) for command in COMMANDS]
    named += [(f"report-{name}", f"report --state {state}") for name, state in REPORTED.items()]
    for name, command in named:
        words = command.split()
        yield from ((f"{name}.{form}", [*words, "-o", form]) for form in formats(words[0]))
    yield from ((f"{words.split()[0]}.fix", [*words.split(), "--fix"]) for words in (CHECK, AUDIT))


def formats(command: str) -> list[str]:
    """Return the formats that a command offers with -o."""
    commands = next(action for action in parser_with([command])._actions if action.dest == "command")  # noqa: SLF001
    parser = dict(commands.choices or {})[command]
    (output,) = [action for action in parser._actions if action.dest == "output"]  # noqa: SLF001
    return [form for form in output.choices or () if form != OF_A_BROWSER]


def printed(words: list[str]) -> str:
    """Return what a command prints."""
    out = io.StringIO()
    with contextlib.chdir(FILES), contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        main(words)
    return out.getvalue()


if __name__ == "__main__":
    OUTPUTS.mkdir(exist_ok=True)
    for name, command in cases():
        (OUTPUTS / name).write_text(printed(command))
