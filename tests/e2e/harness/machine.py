"""The machine that a test holds: a control plane in namespaces of its own, and kubectl beside it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from controlplane.build import BuildError, control_plane, print_progress
from controlplane.namespaces import isolation

CHECKOUT = Path(__file__).resolve().parents[3]
# What a program of the tests imports.
MODULES = os.pathsep.join(str(CHECKOUT / part) for part in (".", "tests", "tests/e2e", "tests/cluster"))
START_SECONDS = 90  # above what node.py gives the API server, so that its own words are read
STOP_SECONDS = 10
KUBECTL_SECONDS = 120  # a namespace that is deleted takes seconds on an idle machine


class NoMachineError(RuntimeError):
    """Raised when the tests cannot have their cluster; the text says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What one command said."""

    status: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """Standard output, which was asked for as JSON."""
        return json.loads(self.stdout)


def find_binaries() -> dict[str, str]:
    """
    Find or build the commands of the control plane, and return the path of each by its name.

    Raises:
        NoMachineError: there are none; the text says why.
    """
    try:
        with control_plane(print_progress) as found:
            return found
    except (BuildError, OSError) as error:
        raise NoMachineError(str(error)) from error


def isolating_flags() -> list[str]:
    """
    Return the flags of unshare(1) for namespaces of its own, as root or in a user namespace.

    Raises:
        NoMachineError: this user may not make namespaces.
    """
    found = isolation()
    if found.problem:
        raise NoMachineError(found.problem)
    return [*found.flags]


class Machine:
    """One running control plane under one folder."""

    program = "harness.node"  # process 1
    image = ""  # under what name the service's image is there; "" where the manifests' own name is right
    manifests = "base"  # what of manifests/ is installed

    def __init__(self, folder: Path, binaries: Mapping[str, str]) -> None:
        self.folder = folder
        self._binaries = dict(binaries)
        self._process: subprocess.Popen[str] | None = None
        self._flags: list[str] = []

    @property
    def kubectl_path(self) -> str:
        """Which kubectl is used, for programs that look for one themselves."""
        return self._binaries["kubectl"]

    @property
    def logs(self) -> Path:
        """Where every process writes: one file each, named after the process or the pod."""
        return self.folder / "logs"

    def start(self) -> None:
        """
        Start it, and return when its API server is ready.

        Raises:
            NoMachineError: it did not start; the text says what was last heard.
        """
        self._flags = self._isolation()
        with (self.folder / "node.log").open("w") as log:
            self._process = subprocess.Popen(
                ["unshare", *self._flags, sys.executable, "-m", self.program, json.dumps(self._settings())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=os.environ | {"PYTHONPATH": MODULES},
                start_new_session=True,  # Ctrl-C is for the tests; this ends when its input does
            )
        if self._process.stdout is None or self._process.stdout.readline() != "ready\n":
            self.stop()
            raise NoMachineError(f"the control plane did not start:\n{(self.folder / 'node.log').read_text()[-4000:]}")

    def _isolation(self) -> list[str]:
        """Return the flags of unshare(1) that make the namespaces."""
        return isolating_flags()

    def _settings(self) -> dict[str, Any]:
        """Return the settings of process 1."""
        return {
            "folder": str(self.folder),
            "binaries": self._binaries,
            "environment": {"PYTHONPATH": MODULES},
        }

    def stop(self) -> None:
        """End it and everything in it; the logs stay, etcd's preallocated files do not."""
        self._end()
        shutil.rmtree(self.folder / "etcd", ignore_errors=True)

    def _end(self) -> None:
        """End every process of it."""
        if self._process is None:
            return
        try:
            self._process.communicate(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()
        self._process = None

    @property
    def _node(self) -> subprocess.Popen[str]:
        """Process 1 of the machine, seen from outside."""
        if self._process is None:
            raise RuntimeError("the machine is not started")
        return self._process

    def order(self, what: str, **details: str | float) -> Any:
        """
        Have process 1 do something to the machine (`orders` has what), and return what it says.

        Raises:
            AssertionError: it could not; the text says why.
        """
        node = self._node
        if node.stdin is None or node.stdout is None:
            raise RuntimeError("the machine was started without pipes")
        node.stdin.write(json.dumps({"what": what, **details}) + "\n")
        node.stdin.flush()
        answer = json.loads(node.stdout.readline() or '{"error": "the machine has ended"}')
        if "error" in answer:
            raise AssertionError(f"{what} {details}: {answer['error']}")
        return answer["done"]

    def read(self, path: str) -> str:
        """
        Read a path of the API server as the cluster's administrator.

        Process 1 does it over an open connection: to start a kubectl costs a hundred times as much.

        Raises:
            AssertionError: there was no answer; the text says why.
        """
        if self.program != Machine.program:
            return self.must("get", "--raw", path).stdout
        return str(self.order("read", path=path))

    def end_at_once(self, pods: Iterable[str]) -> None:
        """Kill the processes of pods that are being deleted, so that they do not drain."""
        for pod in pods:
            self.order("signal", name=pod, signal_name="KILL")

    def _inside(self, command: Sequence[str]) -> list[str]:
        """Return the command line that runs *command* on the machine's network."""
        enter = ["nsenter", f"--target={self._node.pid}", "--net"]
        if "--user" in self._flags:
            enter += ["--user", "--preserve-credentials"]
        return [*enter, "--", *command]

    def begin(self, command: Sequence[str], output: IO[str]) -> subprocess.Popen[bytes]:
        """Start a command on the machine's network that goes on by itself; it writes into *output*."""
        return subprocess.Popen(
            self._inside(command),
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )

    def start_program(self, module: str, settings: Mapping[str, Any], log: Path) -> subprocess.Popen[str]:
        """Start a module of the tests on the machine's network; it ends when its standard input does."""
        command = [sys.executable, "-m", module, json.dumps(settings)]
        with log.open("w") as written:
            return subprocess.Popen(
                self._inside(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=written,
                text=True,
                env=self._environment() | {"PYTHONPATH": MODULES},
            )

    def run_program(self, module: str, settings: Mapping[str, Any], seconds: float = KUBECTL_SECONDS) -> Any:
        """Run a module of the tests on the machine's network, and read the JSON that it prints."""
        known = {"ca": str(self.folder / "pki" / "ca.crt"), **settings}
        done = subprocess.run(
            self._inside([sys.executable, "-m", module, json.dumps(known)]),
            env=self._environment() | {"PYTHONPATH": MODULES},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        if done.returncode != 0:
            raise AssertionError(f"{module}: {done.stderr}")
        return json.loads(done.stdout)

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """Apply objects as the cluster's administrator; this has to work."""
        listed = {"apiVersion": "v1", "kind": "List", "items": objects}
        self.must("apply", "-f", "-", stdin=json.dumps(listed))

    def run(self, command: Sequence[str], stdin: str | None = None, seconds: float = KUBECTL_SECONDS) -> Answer:
        """Run one command on the machine's network."""
        done = subprocess.run(
            self._inside(command),
            input=stdin if stdin is not None else "",
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        return Answer(status=done.returncode, stdout=done.stdout, stderr=done.stderr)

    def _environment(self) -> dict[str, str]:
        """Return the environment of a command, without the user's: no proxy, no language, no settings of kubectl."""
        return {"PATH": os.environ["PATH"], "HOME": str(self.folder), "LANG": "C.UTF-8", "KUBERC": "off"}

    def kubectl(self, *arguments: str, stdin: str | None = None, seconds: float = KUBECTL_SECONDS) -> Answer:
        """Run kubectl as the cluster's administrator and return what it says, whatever that is."""
        return self.run([*self._client(), *arguments], stdin=stdin, seconds=seconds)

    def _client(self) -> list[str]:
        """Return the kubectl command with the settings of the cluster's administrator."""
        return [
            self._binaries["kubectl"],
            f"--kubeconfig={self.folder / 'admin.kubeconfig'}",
            f"--cache-dir={self.folder / 'kubectl-cache'}",
        ]

    def open(self, *arguments: str, output: IO[str] | int) -> subprocess.Popen[str]:
        """Start a kubectl that goes on by itself; it writes into *output*."""
        return subprocess.Popen(
            self._inside([*self._client(), *arguments]),
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def must(self, *arguments: str, stdin: str | None = None, seconds: float = KUBECTL_SECONDS) -> Answer:
        """Run kubectl for something that has to work."""
        answer = self.kubectl(*arguments, stdin=stdin, seconds=seconds)
        if answer.status != 0:
            raise AssertionError(f"kubectl {' '.join(arguments)}: {answer.stdout}{answer.stderr}")
        return answer
