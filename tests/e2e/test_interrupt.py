"""Ctrl-C during the tests leaves no process behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from harness.machine import CHECKOUT
from harness.waiting import wait_until

pytestmark = pytest.mark.clusters("plane")  # a control plane of its own

STARTED_SECONDS = 90
ENDED_SECONDS = 60


def processes(folder: Path) -> dict[int, str]:
    """Return the running processes whose command line names something in *folder*, by their number."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:  # ended meanwhile
                continue
            if str(folder) in command:
                found[int(entry.name)] = command
    return found


@pytest.mark.usefixtures("control_plane")
def test_interrupted_tests_end_their_control_plane(tmp_path: Path) -> None:
    """Pytest reports the interrupt, and the namespaces end with every process in them."""
    folder = tmp_path / "interrupted"
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--basetemp={folder}"]
    running = subprocess.Popen(
        [*command, "tests/e2e/test_replicas.py"],
        cwd=CHECKOUT,
        env=os.environ | {"PYTEST_ADDOPTS": ""},  # a measurement of the coverage is not begun again
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # a group of processes, as a terminal gives it, and signals it on Ctrl-C
    )
    try:
        wait_until(
            lambda: any("kube-apiserver" in one for one in processes(folder).values()),
            "the control plane to start",
            seconds=STARTED_SECONDS,
        )

        os.killpg(running.pid, signal.SIGINT)
        output, _ = running.communicate(timeout=ENDED_SECONDS)

        assert running.returncode == pytest.ExitCode.INTERRUPTED, output
        wait_until(lambda: not processes(folder), "the end of every process", seconds=ENDED_SECONDS)
    finally:
        if running.poll() is None:
            running.kill()
            running.communicate()
