"""What holds for all tests: how hypothesis searches, and which tests belong on one worker."""

import os
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

# A shared machine is slow at times, and slowness is no failure. In CI the same examples come each time, so that a red
# run is red again; a developer's runs go on looking for new ones.
settings.register_profile("developer", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "developer")


ONE_SERVER = ("tests/outage/", "tests/e2e/")  # each has an API server, and so a worker, of its own


class OneServerScheduling(LoadScopeScheduling):
    """Keep the tests that share one API server on one worker, in their order; the others spread over the rest."""

    def _split_scope(self, nodeid: str) -> str:
        return next((folder for folder in ONE_SERVER if nodeid.startswith(folder)), nodeid)

    def _assign_work_unit(self, node: WorkerController) -> None:
        """Begin with what takes longest, however few tests it has: xdist goes by their number."""
        for scope in reversed(ONE_SERVER):
            if scope in self.workqueue:
                self.workqueue.move_to_end(scope, last=False)
        super()._assign_work_unit(node)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneServerScheduling:
    """
    Schedule by where a test stands: pytest 9.2 keeps node ids to itself, so xdist's own groups have no effect.

    Source: pytest-xdist 3.8, remote.py, which writes the group into `_nodeid`.
    """
    return OneServerScheduling(config, log)
