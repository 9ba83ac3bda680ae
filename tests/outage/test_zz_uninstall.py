"""The service goes for good: last of all, for nothing is left afterwards."""

from harness.guard import NAMESPACE, Guard
from harness.machine import Machine
from harness.place import Place

REGISTRATIONS = "validatingwebhookconfigurations,mutatingwebhookconfigurations"


def test_uninstall_with_nobody_to_ask(machine: Machine, place: Place, guard: Guard) -> None:
    """One command takes everything away with all replicas dead, and what was guarded can be edited at once."""
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
