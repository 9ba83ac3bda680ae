"""The service is uninstalled while no replica runs."""

from collections.abc import Iterator

import pytest
from harness.guard import NAMESPACE
from harness.machine import Machine
from harness.place import Place
from harness.registering import RegisteringGuard

REGISTRATIONS = "validatingwebhookconfigurations,mutatingwebhookconfigurations"


@pytest.fixture(autouse=True)
def installed_again(guard: RegisteringGuard) -> Iterator[None]:
    """Install the service again at the end."""
    yield
    guard.install_again()


def test_kubectl_delete_uninstalls_without_a_replica_and_frees_policies(
    machine: Machine, place: Place, guard: RegisteringGuard
) -> None:
    """With all replicas gone, one `kubectl delete -k` removes everything, and guarded policies can be changed."""
    place.set_up_gateway()
    guard.take_away()

    refused = place.delete("allow-kafka")
    removed = machine.kubectl("delete", "-k", str(guard.overlay), "--timeout=50s")
    allowed = place.delete("allow-kafka")
    left = machine.must("get", REGISTRATIONS, "--output=name").stdout.split()

    assert "failed calling webhook" in refused.stderr
    assert (removed.status, removed.stderr) == (0, "")
    assert (allowed.status, allowed.stderr) == (0, "")
    assert [one for one in left if NAMESPACE in one] == []
