"""A machine for as long as a session of tests lasts."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.machine import Machine, NoMachineError, find_binaries


@contextlib.contextmanager
def running_machine(folder: Path) -> Iterator[Machine]:
    """Start the control plane; where that cannot be, every case fails and says why."""
    try:
        started = Machine(folder, find_binaries())
        started.start()
    except NoMachineError as error:
        raise pytest.fail.Exception(f"no control plane to test against: {error}", pytrace=False) from None
    yield started
    started.stop()
