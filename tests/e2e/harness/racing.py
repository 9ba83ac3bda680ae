"""The arena as a test holds it: begun, ordered about, ended."""

import json
import subprocess
from typing import Any, Self

from harness.arena import names
from harness.machine import MODULES, Machine
from harness.waiting import wait_until

ENDED_SECONDS = 60


class Racing:
    """The arena, until the `with` block ends."""

    def __init__(self, machine: Machine) -> None:
        self._folder = machine.folder / "arena"
        self._machine = machine
        self._settings = {
            "folder": str(self._folder),
            "ca": str(machine.folder / "pki" / "ca.crt"),
            "environment": {"PYTHONPATH": MODULES},
        }
        self._odd = iter(names("odd"))
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        """Begin, and wait until everything is registered and known."""
        self._folder.mkdir()
        log = self._folder / "arena.log"
        self._process = self._machine.start_program("harness.arena", self._settings, log)
        if self._read() != "ready":
            self.__exit__()
            raise AssertionError(log.read_text())
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        if self._process is not None:
            self._process.communicate(timeout=ENDED_SECONDS)

    def _read(self) -> str:
        if self._process is None or self._process.stdout is None:
            raise RuntimeError("the arena is not there")
        return self._process.stdout.readline().strip()

    def order(self, what: str, **details: object) -> Any:
        """Have something done there (`arena.obey` has what), and return what is told about it."""
        if self._process is None or self._process.stdin is None:
            raise RuntimeError("the arena is not there")
        self._process.stdin.write(json.dumps({"what": what, **details}) + "\n")
        self._process.stdin.flush()
        answer = self._read()
        if not answer:
            raise AssertionError((self._folder / "arena.log").read_text())
        return json.loads(answer)

    def next_namespace(self) -> str:
        """Return the name of an unused namespace where another webhook is asked beside the service."""
        return next(self._odd)

    def results(self, namespace: str) -> list[tuple[str, str, str]]:
        """Return (operation, name, result) of the service's decisions in a namespace, the oldest first."""
        decided = self.order("decisions", namespace=namespace)
        return [(one["operation"], one["name"], one["result"]) for one in decided]

    def until_decided(self, namespace: str, operation: str, name: str, result: str) -> None:
        """Wait until the service has said that it decided so."""
        wanted = (operation, name, result)
        wait_until(lambda: wanted in self.results(namespace), f"{wanted} in {namespace}", seconds=ENDED_SECONDS)
