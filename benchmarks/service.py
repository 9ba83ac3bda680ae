"""Run the service in its own process, and read its cost from the kernel."""

import os
import re
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path

from certs.authority import issue_serving_pair, make_authority

LONGEST_START_SECONDS = 60.0  # 25,000 objects from files, on a slow machine
LONGEST_STOP_SECONDS = 5.0  # SIGINT ends it at once
LOOK_SECONDS = 0.002  # between two checks whether it is ready
_PORTS = re.compile(r'"https": ?(\d+), ?"http": ?(\d+)')
_SCHEDULER_CLOCK = 2  # the kernel's number for the processor time of a process
NAMES = ("localhost", "127.0.0.1")


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A folder with a serving certificate, its key and the CA, like a mounted Secret."""

    folder: Path

    @property
    def ca_file(self) -> str:
        """Return the path of the CA certificate."""
        return str(self.folder / "ca.crt")

    def server_context(self) -> ssl.SSLContext:
        """Return a TLS context that serves this certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "tls.crt", self.folder / "tls.key")
        return context


def make_pair(folder: Path) -> Pair:
    """Write a CA and a serving certificate for loopback names, and return their folder."""
    folder.mkdir()
    now = datetime.now(UTC)
    authority = make_authority(now=now)
    pair = issue_serving_pair(authority, names=NAMES, now=now)
    (folder / "tls.crt").write_bytes(pair.certificate_pem())
    (folder / "tls.key").write_bytes(pair.key_pem())
    (folder / "ca.crt").write_bytes(authority.certificate_pem())
    return Pair(folder=folder)


@dataclass(frozen=True, kw_only=True)
class Service:
    """
    A service that runs.

    Args:
        ready_seconds: from the start of its process to the first successful /readyz.
    """

    pid: int
    https_port: int
    http_port: int
    ready_seconds: float

    def cpu_seconds(self) -> float:
        """Return the processor time of all its threads so far."""
        return time.clock_gettime((~self.pid << 3) | _SCHEDULER_CLOCK)

    def resident_mib(self, what: str = "VmRSS") -> float:
        """Return its memory: VmRSS is the current value, VmHWM the highest."""
        status = Path(f"/proc/{self.pid}/status").read_text(encoding="ascii")
        found = re.search(rf"{what}:\s+(\d+) kB", status)
        return int(found[1]) / 1024 if found else 0.0


@contextmanager
def served(
    arguments: Sequence[str],
    pair: Pair,
    log: Path,
    environment: Mapping[str, str] | None = None,
    *,
    program: Sequence[str] = ("-m", "webhook"),
) -> Iterator[Service]:
    """
    Run `serve` with *arguments* until the block ends: as in the manifests, except for the ports.

    Args:
        program: the arguments with which Python starts the service.

    Raises:
        RuntimeError: the service ended, or was not ready in time.
    """
    command = [sys.executable, *program, "serve", *arguments]
    command += ["--bind", "127.0.0.1", "--https-port", "0", "--http-port", "0", "--local-port", "0"]
    command += ["--log-format", "json", "--tls-dir", str(pair.folder)]
    with log.open("wb") as stream:
        began = time.perf_counter()
        process = subprocess.Popen(command, stderr=stream, env={**os.environ, **(environment or {})})
    try:
        yield _ready(process, log, began)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(LONGEST_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _ready(process: subprocess.Popen[bytes], log: Path, began: float) -> Service:
    ports: re.Match[str] | None = None
    while (now := time.perf_counter()) - began < LONGEST_START_SECONDS:
        if process.poll() is not None:
            break
        ports = ports or _PORTS.search(log.read_text(encoding="utf-8"))
        if ports is not None and _is_ready(int(ports[2])):
            return Service(
                pid=process.pid, https_port=int(ports[1]), http_port=int(ports[2]), ready_seconds=now - began
            )
        time.sleep(LOOK_SECONDS)
    raise RuntimeError(f"the service did not become ready:\n{log.read_text(encoding='utf-8')[-2000:]}")


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1) as answer:
            return bool(answer.status == HTTPStatus.OK)
    except OSError:
        return False
