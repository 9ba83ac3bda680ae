"""A cluster that runs during a session of tests, or during a module."""

import contextlib
from collections.abc import Callable, Iterator

import pytest

from harness.machine import Machine, NoMachineError


@contextlib.contextmanager
def running_machine(make: Callable[[], Machine]) -> Iterator[Machine]:
    """
    Start the cluster that *make* returns, and stop it at the end.

    If there is none, or it does not start, every test that needs it fails with the reason.
    """
    try:
        started = make()
        started.start()
    except NoMachineError as error:
        raise pytest.fail.Exception(f"no cluster to test against: {error}", pytrace=False) from None
    try:
        yield started
    finally:
        started.stop()
