"""
Build the control plane in the background of a test session, beside the tests that do not need it.

The process that reports to the terminal starts the build; each process that runs tests waits for its result, which is
a file: one JSON object with the paths of the commands, or with the reason why there are none.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path

PROGRAM = Path(__file__).with_name("build.py")
BUILD_SECONDS = 3600.0  # 5 minutes were seen on two cores, downloads included; other work on the machine comes on top
STOP_SECONDS = 120.0  # to remove several GB on a busy disk
PAUSE_SECONDS = 0.1  # between two looks at the result
PREFIX = "control plane: "


class BackgroundBuild:
    """
    The build of one test session.

    Args:
        say: prints a line on the terminal.
        at_once: whether *say* may be called from another thread at any time; else lines wait for `flush`.
        program: what is run; it prints its progress on standard error, and the paths of the commands as JSON.
    """

    def __init__(self, say: Callable[[str], None], *, at_once: bool, program: Path = PROGRAM) -> None:
        self._say = say
        self._at_once = at_once
        self._program = program
        self._lines: deque[str] = deque()
        self._folder = Path(tempfile.gettempdir()) / f"control-plane-{uuid.uuid4().hex}"
        self._process: subprocess.Popen[str] | None = None
        self._readers: list[threading.Thread] = []
        self.result = self._folder / "result.json"

    @property
    def is_running(self) -> bool:
        """Whether the build was started and has no result yet."""
        return self._process is not None and not self.result.exists()

    def start(self) -> None:
        """Start the build, unless it was started; it ends at once if everything is built."""
        if self._process is None:
            self._folder.mkdir(mode=0o700)
            self._process = subprocess.Popen(
                [sys.executable, str(self._program)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,  # one signal ends it with its compilers, and Ctrl-C leaves that to `stop`
            )
            for target in (self._follow, self._await):
                self._readers.append(threading.Thread(target=target, args=(self._process,), daemon=True))
                self._readers[-1].start()

    def _follow(self, process: subprocess.Popen[str]) -> None:
        """Pass the lines of the build on, and report its failure."""
        lines: list[str] = []
        for line in process.stderr or ():
            lines.append(line.rstrip())
            self._lines.append(PREFIX + lines[-1])
            if self._at_once:
                self.flush()
        if process.wait() != 0:
            self._write({"problem": "\n".join(lines)})

    def _await(self, process: subprocess.Popen[str]) -> None:
        """Write the result of the build as soon as there is one, before it has removed its caches."""
        output = process.stdout.readline() if process.stdout else ""
        if output:
            self._write({"commands": json.loads(output)})

    def _write(self, found: Mapping[str, object]) -> None:
        unfinished = self.result.with_suffix(".new")
        unfinished.write_text(json.dumps(found))
        unfinished.rename(self.result)

    def flush(self) -> None:
        """Print the lines that came since the last call."""
        while self._lines:
            self._say(self._lines.popleft())

    def stop(self) -> None:
        """End the build with its compilers if it is not done, and wait until it has removed its caches."""
        if self._process is not None:
            if self._process.poll() is None and not self.result.exists():
                os.killpg(self._process.pid, signal.SIGINT)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
            for reader in self._readers:
                reader.join(STOP_SECONDS)
            for pipe in (self._process.stdout, self._process.stderr):
                if pipe is not None:
                    pipe.close()
        shutil.rmtree(self._folder, ignore_errors=True)


class NotBuiltError(RuntimeError):
    """Raised when there is no control plane; the text says why."""


def wait_for_result(result: Path, meanwhile: Callable[[], None] = lambda: None) -> dict[str, str]:
    """
    Wait for the result of a build, and return the path of each command by its name.

    Args:
        meanwhile: called while there is no result.

    Raises:
        NotBuiltError: the build failed, or took too long.
    """
    end = time.monotonic() + BUILD_SECONDS
    pause = threading.Event()
    while not result.exists():
        if time.monotonic() > end:
            raise NotBuiltError(f"the control plane was not built within {BUILD_SECONDS:g} s")
        meanwhile()
        pause.wait(PAUSE_SECONDS)
    found = json.loads(result.read_text())
    if "problem" in found:
        raise NotBuiltError(found["problem"])
    commands: dict[str, str] = found["commands"]
    return commands
