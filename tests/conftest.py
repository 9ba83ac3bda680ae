"""What holds for all tests: hypothesis, the workers, the control plane, and parts that cannot run on this machine."""

import os
import shutil
import sys
from collections import Counter
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

import pytest
from clusters import CLUSTERS, ELSEWHERE
from controlplane.background import BackgroundBuild, NotBuiltError, wait_for_result
from controlplane.namespaces import isolation
from hypothesis import settings
from json_outputs import compared
from node.availability import OF_TESTS
from scheduling import SHARED, SharedServerScheduling
from xdist.workermanage import WorkerController

from webhook import cli

cli.main = compared(cli.main)  # before any test imports it: each JSON output is compared with its schema

# Else each of the hundreds of processes that tests start would compile the package again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A shared machine is slow at times, and slowness is no failure. In CI the examples are the same in every run, so that a
# failure is seen again; on the machine of a developer each run tries new ones.
settings.register_profile("developer", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "developer")

END_TO_END = "tests/e2e/"
# To measure coverage more than doubles the time of tests that compute for long. What these run, others cover as well,
# except for parts of Calico.
MEASURED = "tests/oracle/test_calico.py"
UNMEASURED = (
    "tests/benchmarks/",
    "tests/configanalyzer/",
    "tests/e2e/",
    "tests/oracle/",
    "tests/outage/",
    "tests/policyengine/",
    "tests/report_page/test_page_in_browser.py",
    "tests/test_pages.py",
)
MEASURING = "COVERAGE_PROCESS_CONFIG"  # the variable by which coverage measures processes that a test starts
BUILT_FOR = ("plane", "node")  # the kinds of cluster that have the control plane that is built here
RESULT = "control_plane_result"  # in what the controller hands to its workers: the file that the build writes
NOT_RUN = "not_run"  # in what a worker hands back: how many tests were left out for each reason
BUILD = pytest.StashKey[BackgroundBuild]()
LEFT_OUT = pytest.StashKey[dict[str, int]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options about the end-to-end tests."""
    kinds = "; ".join(f"{name}: {what}" for name, what in CLUSTERS.items())
    parser.addoption("--cluster", choices=list(CLUSTERS), default="plane", help=f"where tests/e2e runs. {kinds}")
    parser.addoption(
        "--require-end-to-end",
        action="store_true",
        help="fail if the end-to-end tests, or tests with a Debian package's command, cannot run on this machine",
    )


def is_worker(config: pytest.Config) -> bool:
    """Whether this process runs tests for a controller."""
    return hasattr(config, "workerinput")


def pytest_configure(config: pytest.Config) -> None:
    """Prepare the build of the control plane in the process that reports to the terminal."""
    if is_worker(config):
        return

    def say(line: str) -> None:
        reporter = config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.ensure_newline()
            reporter.write_line(line)

    # Without workers the tests run in this process, which captures what is printed meanwhile.
    config.stash[BUILD] = BackgroundBuild(say, at_once=bool(config.getoption("numprocesses", 0)))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the build, also after Ctrl-C."""
    if BUILD in config.stash:
        config.stash[BUILD].stop()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: WorkerController) -> None:
    """Pass the place of the build's result to a worker."""
    node.workerinput[RESULT] = str(node.config.stash[BUILD].result)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> SharedServerScheduling:
    """
    Return a scheduler that goes by the path of a test: pytest 9.2 hides the names of xdist's own groups.

    Source: pytest-xdist 3.8, remote.py, which writes the group into `_nodeid`.
    """
    build = config.stash[BUILD]
    return SharedServerScheduling(config, log, lambda: build.is_running)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: WorkerController, ids: Sequence[str]) -> None:
    """Start the build if a worker has collected tests that may need it."""
    start_build_for(node.config, ids)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start the build if this process has collected tests that may need it."""
    if not is_worker(session.config):
        start_build_for(session.config, [item.nodeid for item in session.items])


def start_build_for(config: pytest.Config, ids: Sequence[str]) -> None:
    """Start the build of the control plane, if these tests may need it."""
    needed = any(one.startswith(SHARED) for one in ids) and config.getoption("cluster") in BUILT_FOR
    if needed and not config.getoption("collectonly") and not isolation().problem:
        config.stash[BUILD].start()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Print the progress of the build between two tests, and measure no process of a test that is not measured."""
    if BUILD in item.config.stash:
        item.config.stash[BUILD].flush()
    with pytest.MonkeyPatch.context() as patch:
        if item.get_closest_marker("no_cover") is not None:
            patch.delenv(MEASURING, raising=False)
        return (yield)


@pytest.fixture(scope="session")
def control_plane(request: pytest.FixtureRequest) -> dict[str, str]:
    """Return the path of each command of the control plane when all are built; none if the cluster needs none."""
    config = request.config
    if config.getoption("cluster") not in BUILT_FOR:
        return {}
    try:
        if is_worker(config):
            return wait_for_result(Path(config.workerinput[RESULT]))  # type: ignore[attr-defined]
        build = config.stash[BUILD]
        with config.pluginmanager.get_plugin("capturemanager").global_and_fixture_disabled():
            return wait_for_result(build.result, meanwhile=build.flush)
    except NotBuiltError as error:
        raise pytest.fail.Exception(f"no control plane to test against: {error}", pytrace=False) from None


@pytest.hookimpl(trylast=True)  # what the user has not selected is not left out
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the tests in order, and leave out those that the cluster or this machine cannot have."""
    cluster = config.getoption("cluster")
    for item in items:
        if item.nodeid.startswith(UNMEASURED) and not item.nodeid.startswith(MEASURED):
            item.add_marker(pytest.mark.no_cover)
    deselect(config, items, [item for item in items if not can_have(cluster, item)])
    items.sort(key=lambda item: item.get_closest_marker("after_others") is not None)
    problem = isolation().problem if cluster == "plane" and any(map(needs_control_plane, items)) else ""
    no_plane = f"end-to-end tests: {problem}" if problem else ""
    reasons = {item: missing_command(item) or (no_plane if needs_control_plane(item) else "") for item in items}
    left_out = [item for item in items if reasons[item]]
    deselect(config, items, left_out)
    if left_out:
        config.stash[LEFT_OUT] = dict(Counter(reasons[item] for item in left_out))
        if is_worker(config):
            config.workeroutput[NOT_RUN] = config.stash[LEFT_OUT]  # type: ignore[attr-defined]


def can_have(cluster: str, item: pytest.Item) -> bool:
    """Whether a kind of cluster can have a test."""
    mark = item.get_closest_marker("clusters")
    return mark is None or cluster in mark.args


def needs_control_plane(item: pytest.Item) -> bool:
    """Whether a test asks a real API server."""
    return "control_plane" in getattr(item, "fixturenames", ())


def missing_command(item: pytest.Item) -> str:
    """Return why this machine cannot have a test that starts a Debian package's command; "" if it can."""
    named = [name for mark in item.iter_markers("commands") for name in mark.args]
    missing = [name for name in named if shutil.which(name) is None]
    return f"tests that start {missing[0]}: install the Debian package {OF_TESTS[missing[0]]}" if missing else ""


def deselect(config: pytest.Config, items: list[pytest.Item], left_out: list[pytest.Item]) -> None:
    """Remove *left_out* from *items*."""
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        dropped = set(left_out)
        items[:] = [item for item in items if item not in dropped]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: WorkerController) -> None:
    """Keep what a worker says about the tests that it left out."""
    said = getattr(node, "workeroutput", {}).get(NOT_RUN)
    if said:
        node.config.stash[LEFT_OUT] = said


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail if every test must run, and some cannot."""
    if LEFT_OUT in session.config.stash and session.config.getoption("require_end_to_end"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Report on which cluster the end-to-end tests ran, or why they did not run."""
    if LEFT_OUT in config.stash:
        for problem, count in config.stash[LEFT_OUT].items():
            terminalreporter.write_line(f"NOT RUN: {count} {problem}", red=True, bold=True)
    reports = [one for some in terminalreporter.stats.values() for one in some]
    if any(getattr(one, "nodeid", "").startswith(END_TO_END) for one in reports):
        chosen = config.getoption("cluster")
        terminalreporter.write_line(f"end to end on {chosen} ({CLUSTERS[chosen]}); not run there: {ELSEWHERE[chosen]}")
