"""The machine, the service on it, and a namespace for each case."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from harness.foreign import KIND_CONTEXT, Foreign
from harness.guard import BARE, GUARDED, PROBED, Guard
from harness.instances import Instances
from harness.machine import Machine
from harness.place import Place
from harness.racing import Racing
from harness.starting import running_machine
from node.cluster import Node

HERE = Path(__file__).parent
CASE_SECONDS = 300
NODE_CASE_SECONDS = 480  # what a real kubelet starts and ends takes its own time


@pytest.hookimpl(tryfirst=True)  # before whatever goes by the marks
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark every case here, and put last those that replace pods."""
    cluster = config.getoption("cluster")
    items.sort(key=lambda item: HERE / "node" in item.path.parents)
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


def chosen(cluster: str, folder: Path, binaries: Mapping[str, str]) -> Machine:
    """
    Return the cluster of the option `--cluster`, not started.

    Args:
        binaries: the commands of the control plane, for the clusters that have one of their own.

    Raises:
        NoMachineError: this machine cannot have it; the text says why.
    """
    match cluster:
        case "node":
            return Node(folder, binaries)
        case "kind":
            return Foreign(folder, KIND_CONTEXT)
        case "kubeconfig":
            return Foreign(folder, None)
        case _:
            return Machine(folder, binaries)


@pytest.fixture(scope="session")
def machine(
    request: pytest.FixtureRequest, control_plane: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Machine]:
    """Start the cluster of the option `--cluster`."""
    cluster, folder = request.config.getoption("cluster"), tmp_path_factory.mktemp("machine")
    with running_machine(lambda: chosen(cluster, folder, control_plane)) as started:
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
    """Yield the names of guarded namespaces that no test has used."""
    return iter([name for name in GUARDED if name not in PROBED])


@pytest.fixture(scope="session")
def bare_names() -> Iterator[str]:
    """Yield the names of namespaces that are registered without matchConditions."""
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
    """Report a measurement in the output of `pytest -rP`."""

    def say(what: str, found: object) -> None:
        sys.stdout.write(json.dumps({"case": request.node.nodeid, "what": what, "found": found}) + "\n")

    return say
