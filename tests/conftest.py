"""What holds for all tests: how hypothesis searches, and which tests belong on one worker."""

import os
from collections.abc import Iterable

import pytest
from hypothesis import settings

# A shared machine is slow at times, and slowness is no failure. In CI the same examples come each time, so that a red
# run is red again; a developer's runs go on looking for new ones.
settings.register_profile("developer", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "developer")


def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    """Keep the tests that share one API server on one worker; the others spread over the rest."""
    for item in items:
        if item.get_closest_marker("e2e") is not None:
            item.add_marker(pytest.mark.xdist_group("e2e"))
