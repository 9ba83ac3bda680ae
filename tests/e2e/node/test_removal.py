"""The service is taken away: in order, in the wrong order, and with its namespace."""

from collections.abc import Iterator

import pytest
from harness.guard import NAMESPACE, Guard
from harness.objects import deny_all, listed
from harness.place import Place

from node.cluster import Node

GONE_SECONDS = 100  # a replica that drains takes 12 s and its grace; a namespace a few more
KINDS = "validatingwebhookconfiguration,mutatingwebhookconfiguration"


@pytest.fixture(autouse=True)
def installed_again(guard: Guard) -> Iterator[None]:
    """Put everything back, whatever a case took away."""
    yield
    guard.install_again()


def test_uninstall_with_no_replica(machine: Node, guard: Guard, place: Place) -> None:
    """With every replica gone and the registration in place, deleting what was applied works and frees policies."""
    place.set_up_gateway()
    machine.must("scale", f"deployment/{NAMESPACE}", f"--namespace={NAMESPACE}", "--replicas=0")
    guard.until_nobody_runs()
    held = place.delete("allow-kafka")

    removed = machine.kubectl("delete", "-k", str(guard.overlay), seconds=GONE_SECONDS)
    free = place.delete("allow-kafka")

    assert "failed calling webhook" in held.stderr
    assert (removed.status, free.status) == (0, 0)
    assert machine.must("get", "namespace", NAMESPACE, "--ignore-not-found").stdout == ""


def test_its_namespace_is_deleted(machine: Node, place: Place) -> None:
    """Without its namespace the registration still refuses, the guarded namespace can go, and one command ends it."""
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
