"""The end-to-end tests run on the chosen cluster, and report what they do not run."""

import subprocess
import sys
from pathlib import Path

import pytest
from clusters import CLUSTERS
from node.packets import PAGE

NOWHERE = "no-such-command"
ROOT = Path(__file__).resolve().parent.parent


def collected(cluster: str, *arguments: str) -> str:
    """Collect the end-to-end tests for one kind of cluster, and give what pytest says."""
    command = [sys.executable, "-m", "pytest", "-n", "0", "--collect-only", f"--cluster={cluster}", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize("cluster", CLUSTERS)
def test_what_needs_a_node_is_left_out_elsewhere(cluster: str) -> None:
    """The cases in tests/e2e/node are for a node alone; the others are for every cluster."""
    text = collected(cluster, "tests/e2e/node/test_pods.py", "tests/e2e/test_replicas.py")

    assert ("test_pods_hold_no_privilege" in text) == (cluster == "node")
    assert "test_restart_between_edits" in text


def test_no_such_cluster() -> None:
    """Another name is refused, and the right ones are listed."""
    text = collected("cloud", "tests/e2e/test_replicas.py")

    assert all(name in text for name in CLUSTERS)


def test_a_machine_that_cannot_be_a_node_says_why() -> None:
    """Without root or a package, the node part reports that in one line."""
    code = "from node.availability import missing; print(*missing(1000, {'PATH': '/nowhere'}), sep='; ')"
    command = [sys.executable, "-c", code]
    folders = f"{ROOT}/tests:{ROOT}/tests/e2e"
    done = subprocess.run(command, env={"PYTHONPATH": folders}, capture_output=True, text=True, check=True)

    assert done.stdout.startswith("root")


def test_the_check_command_tells_a_machine_that_cannot_be_a_node_from_a_failure() -> None:
    """There it leaves the node part out, by the exit status that the module has for that alone."""
    code = f"from node import availability; availability.NEEDED['{NOWHERE}'] = 'nowhere'; exit(availability.main())"
    folders = f"{ROOT}/tests:{ROOT}/tests/e2e"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": folders}, capture_output=True, text=True, check=False
    )

    assert "the Debian package nowhere" in done.stderr
    assert f"unavailable={done.returncode} " in (ROOT / ".ci/run").read_text()


def test_the_page_about_packets_is_of_the_command_at_hand() -> None:
    """What docs/evidence/packets.md says about how its table came about is what the command prints now."""
    page = (ROOT / "docs/evidence/packets.md").read_text()

    assert page.startswith(PAGE)
    assert "| disagreements | 0 |" in page
