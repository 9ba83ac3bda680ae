"""The service is uninstalled: in order, in the wrong order, and by deleting its namespace."""

from collections.abc import Iterator

import pytest
from harness.guard import NAMESPACE, Guard
from harness.objects import deny_all, listed
from harness.place import Place

from node.cluster import Node

GONE_SECONDS = 100  # a replica needs 12 s to drain and its grace period, a namespace a few seconds more
KINDS = "validatingwebhookconfiguration,mutatingwebhookconfiguration"


@pytest.fixture(autouse=True)
def installed_again(guard: Guard) -> Iterator[None]:
    """Install the service again at the end of a test."""
    yield
    guard.install_again()


def test_uninstalling_without_a_replica_frees_policies(machine: Node, guard: Guard, place: Place) -> None:
    """With the registration in place and no replica, deleting the manifests works, and policies can be changed."""
    place.set_up_gateway()
    machine.must("scale", f"deployment/{NAMESPACE}", f"--namespace={NAMESPACE}", "--replicas=0")
    guard.until_nobody_runs()
    held = place.delete("allow-kafka")

    removed = machine.kubectl("delete", "-k", str(guard.overlay), seconds=GONE_SECONDS)
    free = place.delete("allow-kafka")

    assert "failed calling webhook" in held.stderr
    assert (removed.status, free.status) == (0, 0)
    assert machine.must("get", "namespace", NAMESPACE, "--ignore-not-found").stdout == ""


def test_after_its_namespace_is_deleted_one_command_ends_the_registration(machine: Node, place: Place) -> None:
    """Guarded policies cannot be changed until then, but the guarded namespace can be deleted."""
    place.set_up_gateway()
    machine.must("delete", "namespace", NAMESPACE, seconds=GONE_SECONDS)
    held = place.delete("allow-kafka")
    elsewhere = machine.kubectl("apply", "-f", "-", stdin=listed(deny_all("default", "elsewhere")))

    ended = machine.kubectl("delete", "namespace", place.name, seconds=GONE_SECONDS)
    removed = machine.kubectl("delete", KINDS, NAMESPACE)

    assert "failed calling webhook" in held.stderr
    assert elsewhere.status == 0
    assert ended.status == 0
    assert removed.status == 0
