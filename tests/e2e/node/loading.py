"""Have the service asked without a pause while something happens to it."""

import contextlib
import json
import sys
from collections.abc import Iterator

from harness.load import ASKING
from harness.machine import Machine
from harness.plane import ADMIN_TOKEN, HOST, PORT

CONNECTIONS = 4
ENDED_SECONDS = 60  # one request may take as long as its webhook's timeout


@contextlib.contextmanager
def loaded(machine: Machine, namespace: str) -> Iterator[dict[str, int]]:
    """Ask about changes in *namespace*; what was answered is in the mapping when the block has ended."""
    answers: dict[str, int] = {}
    ca = machine.folder / "pki" / "ca.crt"
    arguments = (f"https://{HOST}:{PORT}", str(ca), ADMIN_TOKEN, namespace, str(CONNECTIONS))
    process = machine.begin(sys.executable, "-m", "harness.load", *arguments)
    try:
        if process.stdout is None or process.stdout.readline() != ASKING:
            raise AssertionError("nothing was answered")
        yield answers
    finally:
        said, _ = process.communicate(timeout=ENDED_SECONDS)
    if process.returncode != 0:
        raise AssertionError(f"the load ended with status {process.returncode}")
    answers.update(json.loads(said))
