"""A machine of its own, the service with three replicas on it, and a namespace under load."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness.guard import GUARDED, PROBED, Guard
from harness.loading import Load
from harness.machine import Machine
from harness.mix import prepared
from harness.place import Place
from harness.registering import RegisteringGuard
from harness.starting import running_machine

REPLICAS = 3
# Questions a second: what two cores still carry beside a control plane and another suite, and what the figures are for.
RATE = float(os.environ.get("OUTAGE_RATE", "40"))
LONG_RATE = float(os.environ.get("OUTAGE_RATE", "200"))
SECONDS, LONG_SECONDS = 480, 3600  # time limits of a test
# What was measured is printed at the end of a run, and so not at all where the run is ended from outside: this file has
# it as it comes.
FIGURES = os.environ.get("OUTAGE_FIGURES", "")


@pytest.hookimpl(tryfirst=True)  # before tests are selected by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test here, and set its time limit. Only those marked `quick` are part of the test command."""
    for item in items:
        if Path(__file__).parent not in item.path.parents:
            continue
        item.add_marker(pytest.mark.e2e)
        item.add_marker(pytest.mark.clusters("plane"))
        marks = {mark.name for mark in item.iter_markers()}
        if not marks & {"long", "quick"}:
            item.add_marker(pytest.mark.slow)
        seconds = LONG_SECONDS if "long" in marks else SECONDS
        item.add_marker(pytest.mark.timeout(seconds, func_only=True))


@pytest.fixture(scope="session")
def machine(control_plane: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Start a control plane that these tests may stop and start."""
    with running_machine(lambda: Machine(tmp_path_factory.mktemp("outage"), control_plane)) as started:
        yield started


@pytest.fixture(scope="session")
def guard(machine: Machine) -> RegisteringGuard:
    """Install the service as it is shipped, and the kinds of Event Endpoint Management after it."""
    installed = RegisteringGuard(machine, REPLICAS)
    installed.install()
    installed.add_kinds()
    return installed


@pytest.fixture(scope="session")
def names() -> Iterator[str]:
    """Yield the names of guarded namespaces that no test has used."""
    return iter([name for name in GUARDED if name not in PROBED])


@pytest.fixture
def place(machine: Machine, guard: Guard, names: Iterator[str]) -> Place:
    """Hand out one guarded namespace."""
    return Place(next(names), machine, guard)


@pytest.fixture(scope="session")
def busy(machine: Machine, guard: Guard, names: Iterator[str]) -> Place:
    """Prepare the namespace that all loads edit."""
    made = Place(next(names), machine, guard)
    made.set_up(*prepared(made.name))
    return made


@pytest.fixture
def load(machine: Machine, busy: Place, request: pytest.FixtureRequest) -> Callable[..., Load]:
    """Hand out a load on the prepared namespace, at the rate of the case's form."""
    rate = LONG_RATE if request.node.get_closest_marker("long") else RATE

    def begin(rate: float = rate, handshakes: float = 0.0, *, harmless: bool = False) -> Load:
        return Load(machine, busy.name, rate=rate, handshakes=handshakes, harmless=harmless)

    return begin


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str, object], None]:
    """Report a measurement: in the output of `pytest -rP`, and in the file that OUTAGE_FIGURES names."""

    def say(what: str, found: object) -> None:
        line = json.dumps({"case": request.node.nodeid, "what": what, "found": found}) + "\n"
        sys.stdout.write(line)
        if FIGURES:
            with Path(FIGURES).open("a", encoding="utf-8") as kept:
                kept.write(line)

    return say
