"""The service as it is shipped, on a real kubelet: its Secret, its Lease and its registration are its own work."""

from collections.abc import Iterator

import pytest
from harness.decisions import DEFAULTS, INSTANCES, POLICIES
from harness.guard import Guard
from harness.loading import Load
from harness.mix import prepared
from harness.place import Place
from harness.registering import RegisteringGuard

from node.cluster import Node

REPLICAS = 3
RATE = 10  # questions a second: beside a node, two cores that others use too carry that
GONE_SECONDS = 100


@pytest.fixture(scope="module")
def shipped(machine: Node, guard: Guard) -> Iterator[RegisteringGuard]:
    """Install the base where the other cases have a registration by hand, and put that back in the end."""
    machine.must("delete", "-k", str(guard.overlay), seconds=GONE_SECONDS)
    installed = RegisteringGuard(machine, REPLICAS, {})
    installed.install()
    yield installed
    machine.must("delete", "-k", str(installed.overlay), seconds=GONE_SECONDS)
    guard.install_again()


@pytest.fixture
def own_place(machine: Node, shipped: RegisteringGuard, names: Iterator[str]) -> Place:
    """Hand out a namespace that nobody registers but the service."""
    return Place(next(names), machine, shipped)


def test_it_registers_itself(machine: Node, shipped: RegisteringGuard) -> None:
    """The base alone is enough: every entry trusts what the Secret holds, and one replica has the Lease."""
    entries = {entry["name"]: entry["clientConfig"]["caBundle"] for entry in shipped.entries()}

    assert entries == dict.fromkeys((POLICIES, INSTANCES, DEFAULTS), shipped.kept.encoded_bundle())
    assert shipped.until_led() in shipped.replicas()
    assert machine.must("get", "events", "--all-namespaces", "--field-selector=type=Warning,reason=Failed").stdout == ""


def test_it_refuses_through_its_service(own_place: Place) -> None:
    """A namespace comes under guard when an instance is made in it, and then the edit that cuts it off is refused."""
    own_place.set_up_gateway()

    refused = own_place.denied(own_place.delete("allow-kafka"), "DELETE", "allow-kafka")

    assert "TCP/8092" in refused


def test_its_rolling_restart_drops_nothing(shipped: RegisteringGuard, machine: Node, own_place: Place) -> None:
    """All replicas are replaced, whoever leads among them, and every edit meanwhile gets its verdict."""
    own_place.set_up(*prepared(own_place.name))
    before = set(shipped.replicas())

    with Load(machine, own_place.name, rate=RATE) as load:
        shipped.restart()
        ends = shipped.exits(before)

    assert load.report.failures == []
    assert ends == dict.fromkeys(before, (0, False))
    assert shipped.until_led() in shipped.replicas()
    assert shipped.is_registered()
