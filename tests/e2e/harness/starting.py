"""A machine for as long as a session of tests lasts."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.machine import Machine, NoMachineError, find_binaries


def plane(folder: Path) -> Machine:
    """Give a control plane, not started."""
    return Machine(folder, find_binaries())


@contextlib.contextmanager
def running_machine(folder: Path, make: Callable[[Path], Machine] = plane) -> Iterator[Machine]:
    """Start the control plane, or what *make* gives; where that cannot be, every case fails and says why."""
    try:
        started = make(folder)
        started.start()
    except NoMachineError as error:
        raise pytest.fail.Exception(f"no cluster to test against: {error}", pytrace=False) from None
    try:
        yield started
    finally:
        started.stop()
