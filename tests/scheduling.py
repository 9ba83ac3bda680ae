"""Which worker runs which tests, and when: tests that share one API server stay together on one worker."""

from collections.abc import Callable
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

# The tests of each file, or of the files below each folder, share one API server; the longest begin first.
SHARED = ("tests/outage/", "tests/e2e/", "tests/e2e/test_registration.py")


class SharedServerScheduling(LoadScopeScheduling):
    """
    Keep the tests that share one API server on one worker, in their order; spread all others over the workers.

    A worker begins with tests that need no API server. As soon as the control plane is there, the tests that need it
    begin, because they take longest; until then they wait behind all others.

    Args:
        is_building: whether the control plane is being built.
    """

    def __init__(self, config: pytest.Config, log: Any, is_building: Callable[[], bool]) -> None:
        super().__init__(config, log)
        self._is_building = is_building

    def _split_scope(self, nodeid: str) -> str:
        return max((place for place in SHARED if nodeid.startswith(place)), key=len, default=nodeid)

    def _assign_work_unit(self, node: WorkerController) -> None:
        """Assign the next unit of work that this worker can begin with."""
        scope = self._next_scope(is_first=not self.assigned_work[node])
        self.workqueue.move_to_end(scope, last=False)
        super()._assign_work_unit(node)

    def _next_scope(self, *, is_first: bool) -> str:
        shared = [scope for scope in SHARED if scope in self.workqueue]
        if shared and not is_first and not self._is_building():
            return shared[0]
        return next((scope for scope in self.workqueue if scope not in SHARED), "") or shared[0]
