"""The machine, the service on it, and a namespace for each case."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness.foreign import KIND_CONTEXT, Foreign
from harness.guard import BARE, GUARDED, PROBED, Guard
from harness.instances import Instances
from harness.machine import Machine, NoMachineError, find_binaries
from harness.place import Place
from node.cluster import Node

HERE = Path(__file__).parent
CASE_SECONDS = 120
NODE_CASE_SECONDS = 300  # what a real kubelet starts and ends takes its own time


@pytest.hookimpl(tryfirst=True)  # before -m, which goes by the marks
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark every case here, leave out those that the cluster cannot have, and put last those that replace pods."""
    cluster = config.getoption("cluster")
    items.sort(key=lambda item: HERE / "node" in item.path.parents)
    left: list[pytest.Item] = []
    for item in items:
        if HERE not in item.path.parents:
            continue
        item.add_marker(pytest.mark.e2e)
        # The build has a limit of its own.
        seconds = CASE_SECONDS if cluster == "plane" else NODE_CASE_SECONDS
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(seconds, func_only=True))
        if HERE / "node" in item.path.parents:
            item.add_marker(pytest.mark.clusters("node"))
        marker = item.get_closest_marker("clusters")
        if marker is not None and cluster not in marker.args:
            left.append(item)
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]


def chosen(cluster: str, folder: Path) -> Machine:
    """
    Give the cluster that was asked for, not started.

    Raises:
        NoMachineError: it cannot be had here; the text says why.
    """
    match cluster:
        case "node":
            return Node(folder)
        case "kind":
            return Foreign(folder, KIND_CONTEXT)
        case "kubeconfig":
            return Foreign(folder, None)
        case _:
            return Machine(folder, find_binaries())


@pytest.fixture(scope="session")
def machine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Start the cluster; where that cannot be, every case fails and says why."""
    try:
        started = chosen(request.config.getoption("cluster"), tmp_path_factory.mktemp("machine"))
        started.start()
    except NoMachineError as error:
        raise pytest.fail.Exception(f"no cluster to test against: {error}", pytrace=False) from None
    yield started
    started.stop()


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
