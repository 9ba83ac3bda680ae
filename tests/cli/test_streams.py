"""Ctrl-C, full devices and closed pipes end every command in order."""

import fcntl
import os
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import IO

import pytest

EXAMPLE = """\
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: eem}}
- {apiVersion: events.ibm.com/v1beta1, kind: EventGateway, metadata: {name: gw, namespace: eem}}
- {apiVersion: v1, kind: Pod, metadata: {name: gw-0, namespace: eem}}
- {apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: a, namespace: eem}, spec: {podSelector: {}}}
"""
PORTS = ["--https-port", "0", "--http-port", "0", "--local-port", "0"]
COMMANDS = {
    "demo": ["demo", "--once", *PORTS],
    "serve": ["serve", "--state", "STATE", "--bind", "127.0.0.1", *PORTS],
    "check": ["check", "--state", "STATE", "--delete", "netpol/eem/a"],
    "explain": ["explain", "--state", "STATE", "--to", "eem/gw-0", "--port", "8092"],
    "rules": ["rules"],
    "version": ["version"],
    "help": ["--help"],
    "help of a command": ["check", "--help"],
    "version by flag": ["--version"],
}


@pytest.fixture
def state(tmp_path: Path) -> str:
    path = tmp_path / "state.yaml"
    path.write_text(EXAMPLE)
    return str(path)


def webhook(*words: str) -> list[str]:
    return [sys.executable, "-m", "webhook", *words]


def left_in(pipe: IO[bytes]) -> int:
    """Return the number of bytes that the reader of a pipe has not read yet."""
    return int.from_bytes(fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)), sys.byteorder)


@pytest.mark.parametrize("name", COMMANDS)
def test_ctrl_c_while_modules_load_is_silent(name: str, tmp_path: Path) -> None:
    """Row 38: from the first line of the program on, Ctrl-C ends it with 130 and without a traceback."""
    (tmp_path / "argparse.py").write_text(
        f"import pathlib, time\npathlib.Path({str(tmp_path / 'loading')!r}).touch()\ntime.sleep(60)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(Path.cwd())])}
    with subprocess.Popen(
        webhook(*COMMANDS[name]), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        while not (tmp_path / "loading").exists():
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)

    assert (process.returncode, out, err) == (130, b"", b"")


def test_ctrl_c_while_a_command_reads_is_silent() -> None:
    """Row 38: a command that waits for standard input ends at once."""
    command = webhook("check", "--state", "-", "--delete", "netpol/eem/a")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(b"#" * 1_000_000)  # more than a pipe holds: the command reads
        process.stdin.flush()
        while left_in(process.stdin):  # until it has read them, and waits for more
            time.sleep(0.005)
        process.send_signal(signal.SIGINT)
        process.wait(timeout=30)
        assert process.stdout is not None
        assert process.stderr is not None
        out, err = process.stdout.read(), process.stderr.read()
        process.stdin.close()

    assert (process.returncode, out, err) == (130, b"", b"")


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - {"serve"}))
@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
def test_a_full_output_device_is_reported_with_status_2(name: str, unbuffered: str, state: str) -> None:
    """Row 38: exit status 1 would mean that a change is refused."""
    words = [state if word == "STATE" else word for word in COMMANDS[name]]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            webhook(*words),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
        )

    assert done.returncode == 2
    assert done.stderr == "eem-guardrail: cannot write to standard output: No space left on device\n"


@pytest.mark.parametrize("name", ["rules", "check", "explain"])
def test_a_reader_that_closes_the_output_is_no_error_message(name: str, state: str) -> None:
    """`eem-guardrail rules | head -1` prints one line."""
    words = [state if word == "STATE" else word for word in COMMANDS[name]]
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(webhook(*words), stdout=write, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write)

    assert (done.returncode, done.stderr) == (2, "")
