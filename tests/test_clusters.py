"""The option --cluster selects the cluster behind the end-to-end tests, and what cannot run is reported."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from clusters import CLUSTERS
from node.packets import PAGE

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = f"{ROOT}/tests:{ROOT}/tests/e2e"


def collected(cluster: str, *arguments: str) -> str:
    """Collect the end-to-end tests for one kind of cluster, and return what pytest prints."""
    environment = os.environ | {"PYTEST_ADDOPTS": ""}
    command = [sys.executable, "-m", "pytest", "-n", "0", "--collect-only", f"--cluster={cluster}", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def availability(code: str) -> subprocess.CompletedProcess[str]:
    """Run a line of Python with the module that looks whether this machine can be a node, which needs one more tool."""
    code = f"import sys; from node import availability; availability.NEEDED['no-such-command'] = 'nowhere'; {code}"
    command, environment = [sys.executable, "-c", code], {"PYTHONPATH": FOLDERS}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_tests_of_the_node_are_deselected_on_other_clusters(cluster: str) -> None:
    """The tests in tests/e2e/node run on a node only; the others run on every cluster."""
    text = collected(cluster, "tests/e2e/node/test_pods.py", "tests/e2e/test_replicas.py")

    assert ("test_the_container_has_no_privileges" in text) == (cluster == "node")
    assert "test_new_replicas_know_what_was_there_before" in text


def test_an_unknown_cluster_is_refused() -> None:
    """The error lists the kinds of cluster that there are."""
    text = collected("cloud", "tests/e2e/test_replicas.py")

    assert all(name in text for name in CLUSTERS)


def test_a_machine_that_cannot_be_a_node_says_why() -> None:
    """A user who is not root is told so, and each missing package is named."""
    done = availability("print(*availability.missing(1000, {'PATH': '/nowhere'}), sep='; ')")

    assert done.stdout.startswith("root")
    assert "the Debian package nowhere" in done.stdout


def test_the_check_command_fails_on_a_machine_that_cannot_be_a_node() -> None:
    """The command that `.ci/run` asks first ends with an error, and says in one line what did not run and why."""
    done = availability("sys.exit(availability.main())")
    (line,) = done.stderr.splitlines()

    assert done.returncode == 1
    assert line.startswith("NOT RUN: the tests on a node: ")
    assert "the Debian package nowhere" in line


def test_the_check_command_installs_the_packages_that_are_missing() -> None:
    """`--packages` prints the names for apt-get, and nothing else."""
    done = availability("sys.argv[1:] = ['--packages']; sys.exit(availability.main())")

    assert done.returncode == 0
    assert "nowhere" in done.stdout.split()
    assert "node.availability --packages" in (ROOT / ".ci/run").read_text()


def test_the_page_about_packets_is_of_this_command() -> None:
    """The page about packets begins with the text that its command prints now."""
    page = (ROOT / "docs/evidence/packets.md").read_text()

    assert page.startswith(PAGE)
    assert "| disagreements | 0 |" in page
