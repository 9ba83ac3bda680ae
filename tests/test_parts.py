"""A machine that cannot run the end-to-end tests runs all others, and the summary says what did not run and why."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from controlplane import namespaces
from controlplane.namespaces import isolation

ROOT = Path(__file__).resolve().parent.parent
ENDS_TO_END = ("tests/e2e/test_replicas.py", "tests/outage/test_attack.py")
OTHER = "tests/netpol/test_selectors.py"

pytestmark = pytest.mark.timeout(300)  # sessions of pytest, each with up to three processes


def run_without_tools(workers: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run pytest where PATH has no command at all."""
    command = [sys.executable, "-m", "pytest", "-n", str(workers), "-p", "no:cacheprovider", *arguments]
    environment = os.environ | {"PATH": "/nowhere", "PYTEST_ADDOPTS": ""}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_without_namespaces_the_other_tests_run_and_pass() -> None:
    """One line has the number of tests that did not run, the reason and the remedy; the session passes."""
    done = run_without_tools(2, *ENDS_TO_END, OTHER)
    (line,) = [one for one in done.stdout.splitlines() if "NOT RUN" in one]

    assert done.returncode == 0, done.stdout + done.stderr
    assert "end-to-end tests: ip, nsenter, prlimit, unshare not found on PATH" in line
    assert "install iproute2 and util-linux" in line
    assert " passed" in done.stdout.splitlines()[-1]


def test_where_the_end_to_end_tests_are_required_the_session_fails() -> None:
    """A session in one process with `--require-end-to-end` fails, with the same line."""
    done = run_without_tools(0, "--require-end-to-end", *ENDS_TO_END, OTHER)

    assert "NOT RUN" in done.stdout
    assert done.returncode == 1


def test_a_selection_that_needs_no_control_plane_is_complete() -> None:
    """Nothing is reported as not run where nothing that was selected is left out."""
    done = run_without_tools(0, "--require-end-to-end", OTHER)

    assert "NOT RUN" not in done.stdout
    assert done.returncode == 0


def test_a_user_without_the_right_to_namespaces_is_told_the_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The reason holds what unshare(1) said, and how to get the right."""
    for name in namespaces.NEEDED:
        command = tmp_path / name
        command.write_text("#!/bin/sh\necho 'unshare failed: Operation not permitted' >&2\nexit 1\n")
        command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    isolation.cache_clear()

    found = isolation()
    isolation.cache_clear()

    assert found.flags == ()
    assert "Operation not permitted" in found.problem
    assert "run as root" in found.problem
    assert "kernel.apparmor_restrict_unprivileged_userns=0" in found.problem
