"""What holds for all tests: how hypothesis searches, and which tests belong on one worker."""

import os
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

# A shared machine is slow at times, and slowness is no failure. In CI the same examples come each time, so that a red
# run is red again; a developer's runs go on looking for new ones.
settings.register_profile("developer", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "developer")


class OneServerScheduling(LoadScopeScheduling):
    """Keep the tests that share one API server on one worker, in their order; the others spread over the rest."""

    def _split_scope(self, nodeid: str) -> str:
        return "e2e" if nodeid.startswith("tests/e2e/") else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneServerScheduling:
    """
    Schedule by where a test stands: pytest 9.2 keeps node ids to itself, so xdist's own groups have no effect.

    Source: pytest-xdist 3.8, remote.py, which writes the group into `_nodeid`.
    """
    return OneServerScheduling(config, log)
