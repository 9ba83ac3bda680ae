"""Fixtures for the certificate tests."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from simulation import World


@pytest.fixture
def worlds() -> Iterator[Callable[..., World]]:
    """Make simulated clusters that are closed at the end of the test."""
    made: list[World] = []

    def make(**options: Any) -> World:
        made.append(World(**options))
        return made[-1]

    yield make
    for each in made:
        each.close()
