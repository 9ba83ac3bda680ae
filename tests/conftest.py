"""What holds for all tests: how hypothesis searches, what belongs on one worker, and the cluster behind it."""

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

END_TO_END = "tests/e2e/"
ONE_SERVER = ("tests/outage/", END_TO_END)  # each has an API server, and so a worker, of its own
CLUSTERS = {
    "plane": "a control plane with a stand-in for the kubelet",
    "node": "a node of this machine's own: the image, a real kubelet, packets",
    "kind": "the kind cluster of tests/e2e/kind.sh",
    "kubeconfig": "the cluster that kubectl reaches as it is set up",
}
ELSEWHERE = {
    "plane": "what needs a kubelet or packets (tests/e2e/node)",
    "node": "what orders the plane about, as tests/outage does",
    "kind": "what needs a machine of the tests' own or the API server's audit log",
    "kubeconfig": "what needs a machine of the tests' own or the API server's audit log",
}


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


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let whoever runs the tests choose the cluster behind the end-to-end ones."""
    told = "; ".join(f"{name}: {what}" for name, what in CLUSTERS.items())
    parser.addoption("--cluster", choices=list(CLUSTERS), default="plane", help=f"where tests/e2e runs. {told}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the cases that the cluster cannot have."""
    cluster = config.getoption("cluster")
    marks = {item: item.get_closest_marker("clusters") for item in items}
    left = [item for item, mark in marks.items() if mark is not None and cluster not in mark.args]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in set(left)]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say on which cluster the end-to-end tests ran, and which of them this cluster cannot have."""
    reports = [one for some in terminalreporter.stats.values() for one in some]
    if any(getattr(one, "nodeid", "").startswith(END_TO_END) for one in reports):
        chosen = config.getoption("cluster")
        terminalreporter.write_line(f"end to end on {chosen} ({CLUSTERS[chosen]}); not run there: {ELSEWHERE[chosen]}")
