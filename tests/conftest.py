"""What holds for all tests: how hypothesis searches, what belongs on one worker, and the cluster behind it."""

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

END_TO_END = "tests/e2e/"
CLUSTERS = {
    "plane": "a control plane with a stand-in for the kubelet",
    "node": "a node of this machine's own: the image, a real kubelet, packets",
    "kind": "the kind cluster of tests/e2e/kind.sh",
    "kubeconfig": "the cluster that kubectl reaches as it is set up",
}
ELSEWHERE = {
    "plane": "what needs a kubelet or packets (tests/e2e/node)",
    "node": "nothing",
    "kind": "what needs a node of the tests' own or the API server's audit log",
    "kubeconfig": "what needs a node of the tests' own or the API server's audit log",
}


class OneServerScheduling(LoadScopeScheduling):
    """Keep the tests that share one API server on one worker, in their order; the others spread over the rest."""

    def _split_scope(self, nodeid: str) -> str:
        return "e2e" if nodeid.startswith(END_TO_END) else nodeid


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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say on which cluster the end-to-end tests ran, and which of them this cluster cannot have."""
    reports = [one for some in terminalreporter.stats.values() for one in some]
    if any(getattr(one, "nodeid", "").startswith(END_TO_END) for one in reports):
        chosen = config.getoption("cluster")
        terminalreporter.write_line(f"end to end on {chosen} ({CLUSTERS[chosen]}); not run there: {ELSEWHERE[chosen]}")
