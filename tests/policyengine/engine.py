"""Build the command around the engine, and ask it."""

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controlplane.build import Module, cache_root, ensure_built, print_progress

FOLDER = Path(__file__).resolve().parent
NAME = "policyengine"
PACKAGE = "eem-guardrail/policyengine"


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineConnection:
    """A connection between two addresses."""

    source: str
    destination: str
    protocol: str
    port: int


@dataclass(frozen=True, slots=True)
class Engine:
    """The running command: one line in, one line out."""

    process: subprocess.Popen[str]

    def allowed(self, objects: list[Any], connections: list[EngineConnection]) -> list[bool]:
        """Return whether the engine allows each connection between these objects."""
        asked = [
            {"Source": one.source, "Destination": one.destination, "Protocol": one.protocol, "Port": one.port}
            for one in connections
        ]
        line = json.dumps({"Objects": objects, "Connections": asked})
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        found: list[bool] = json.loads(self.process.stdout.readline())
        assert len(found) == len(connections)
        return found


def built_command() -> str:
    """Return the path of the command; it is built if it is not there, or if its source has changed."""
    sources = b"".join((FOLDER / name).read_bytes() for name in ("go.mod", "go.sum", "main.go"))
    folder = cache_root(os.environ) / "policyengine" / hashlib.sha256(sources).hexdigest()[:12]
    module = Module(folder=FOLDER, packages={NAME: PACKAGE})
    return ensure_built(module, [NAME], folder, print_progress)[NAME]


@contextmanager
def running() -> Iterator[Engine]:
    """Run the command while the caller asks it."""
    with subprocess.Popen(
        [built_command()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        try:
            yield Engine(process)
        finally:
            if process.stdin is not None:
                process.stdin.close()
            process.wait(timeout=10)
