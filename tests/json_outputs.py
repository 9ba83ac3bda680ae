"""
Every JSON that a command prints in a test is compared with the schema that the package ships.

`tests/conftest.py` puts `compared` around `webhook.cli.main`, through which tests run commands.
"""

import contextlib
import io
import json
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

SCHEMAS = Path(__file__).resolve().parent.parent / "webhook/cli/schemas"
BAD_USAGE = 2

Main = Callable[[Sequence[str] | None], int]


@cache
def validator(name: str) -> Draft202012Validator:
    """Return the validator of an output: its schema, and no field besides those that the schema has."""
    schema = json.loads((SCHEMAS / f"{name}.schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(closed(schema))


def closed(schema: Any) -> Any:
    """Return a schema that allows no field which it does not name: users may see new ones, a test must not."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    if "properties" in found and found.get("type") == "object":
        found.setdefault("additionalProperties", False)
    return found


def compare(name: str, value: Any) -> None:
    """Fail with the first places where a value is not what its schema says."""
    problems = [f"{error.json_path}: {error.message}" for error in validator(name).iter_errors(value)]

    assert not problems, f"the output of {name} is not what its schema says:\n" + "\n".join(problems[:5])


def compared(main: Main) -> Main:
    """Return *main* with a comparison of the JSON that it prints."""

    def run(arguments: Sequence[str] | None = None) -> int:
        words = list(sys.argv[1:] if arguments is None else arguments)
        if "json" not in words or "-o" not in words:
            return main(words)
        copy = io.StringIO()
        with contextlib.redirect_stdout(Tee(copy)):
            status = main(words)
        if status != BAD_USAGE:
            compare(words[0], json.loads(copy.getvalue()))
        return status

    return run


class Tee(io.TextIOBase):
    """Standard output, with a copy of what is written to it."""

    def __init__(self, copy: io.StringIO) -> None:
        self._stdout = sys.stdout
        self._copy = copy

    def write(self, text: str) -> int:
        """Write to both."""
        self._copy.write(text)
        return self._stdout.write(text)

    def flush(self) -> None:
        """Flush standard output."""
        self._stdout.flush()

    def isatty(self) -> bool:
        """Whether standard output is a terminal."""
        return self._stdout.isatty()
