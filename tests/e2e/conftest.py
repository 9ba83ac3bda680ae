"""The machine, the service on it, and a namespace for each case."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness.guard import BARE, GUARDED, PROBED, Guard
from harness.instances import Instances
from harness.machine import Machine
from harness.place import Place
from harness.racing import Racing
from harness.starting import running_machine


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every case here, and let the first one's build of the control plane take its time."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.timeout(120, func_only=True))  # the build has a limit of its own


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Start the control plane; where that cannot be, every case fails and says why."""
    with running_machine(tmp_path_factory.mktemp("machine")) as started:
        yield started


@pytest.fixture(scope="session")
def guard(machine: Machine) -> Guard:
    """Install the service first and the kinds of Event Endpoint Management after it, the harder order."""
    installed = Guard(machine)
    installed.install()
    installed.add_kinds()
    return installed


@pytest.fixture(scope="session")
def names() -> Iterator[str]:
    """Name the guarded namespaces that no case has had."""
    return iter([name for name in GUARDED if name not in PROBED])


@pytest.fixture(scope="session")
def bare_names() -> Iterator[str]:
    """Name those that are registered without matchConditions."""
    return iter([name for name in BARE if name not in PROBED])


@pytest.fixture
def take_place(machine: Machine, guard: Guard, names: Iterator[str]) -> Callable[[], Place]:
    """Hand out guarded namespaces."""
    return lambda: Place(next(names), machine, guard)


@pytest.fixture
def place(take_place: Callable[[], Place]) -> Place:
    """Hand out one guarded namespace."""
    return take_place()


@pytest.fixture
def bare_place(machine: Machine, guard: Guard, bare_names: Iterator[str]) -> Place:
    """Hand out one namespace where the API server keeps nothing from the service."""
    return Place(next(bare_names), machine, guard)


@pytest.fixture(scope="module")
def here(machine: Machine, guard: Guard, names: Iterator[str]) -> Instances:
    """Hand out one guarded namespace to all cases of a module that name their instances apart."""
    place = Place(next(names), machine, guard)
    place.set_up()
    return Instances(place)


@pytest.fixture(scope="module")
def arena(machine: Machine, guard: Guard) -> Iterator[Racing]:  # noqa: ARG001 - it brings the kinds
    """Start replicas at known addresses, one of them behind a proxy, and their namespaces."""
    with Racing(machine) as begun:
        yield begun


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str, object], None]:
    """Print what was measured, for whoever writes it down (`pytest -rP`)."""

    def say(what: str, found: object) -> None:
        sys.stdout.write(json.dumps({"case": request.node.nodeid, "what": what, "found": found}) + "\n")

    return say
