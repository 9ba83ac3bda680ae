"""One version replaces another and is replaced by it: both run at once for a while, and no request fails."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import rollouts
from harness.certificates import Phase
from harness.guard import NAMESPACE
from harness.loading import Load
from harness.machine import Machine
from harness.objects import Json
from harness.registering import RegisteringGuard
from harness.versions import later, previous
from harness.waiting import wait_until
from harness.witness import asked_by_the_service

Say = Callable[[str, object], None]

VARIABLE = "PYTHONPATH"  # the version of a simulated pod is what its process imports
BEGUN_SECONDS = 180
ROTATED_SECONDS = 150
TOGETHER_SECONDS = 8
UNDONE = "RegistrationUndone"
# In eight seconds at most the end of a rotation is due, which is one write of each configuration.
MOST_WRITES_TOGETHER = 2
# A rotation is two writes of each. A new leader writes its own entry, and removes the condition of the other first.
MOST_WRITES = 12


def folder_of(pod: Json) -> str:
    """Return the folder of the version of a pod, empty for this checkout."""
    (container,) = pod["spec"]["containers"]
    return next((one.get("value", "") for one in container.get("env", ()) if one["name"] == VARIABLE), "")


class Versions:
    """
    The versions of the replicas.

    Args:
        other: the folder of the other version.
        what: the name of the other version.
    """

    def __init__(self, machine: Machine, guard: RegisteringGuard, other: Path, what: str) -> None:
        self._machine = machine
        self._guard = guard
        self.other = str(other)
        self.what = what

    def of_ready(self) -> set[str]:
        """Return the folder of the version of each ready replica."""
        ready = set(self._guard.ready())
        pods = self._machine.must("get", "pods", f"--namespace={NAMESPACE}", "--output=json").json["items"]
        return {folder_of(one) for one in pods if one["metadata"]["name"] in ready}

    def of_leader(self) -> str:
        """Return the folder of the version of the leader."""
        leader = self._guard.until_led()
        return folder_of(self._machine.must("get", "pod", leader, f"--namespace={NAMESPACE}", "--output=json").json)

    def begin(self, *, other: bool) -> None:
        """Begin to replace the replicas, and pause when both versions serve."""
        rollouts.begin(self._machine, "set", "env", f"{VARIABLE}={self.other}" if other else f"{VARIABLE}-")
        self.until_both_serve()

    def until_both_serve(self) -> None:
        """Wait until a replica of each version is ready."""
        both = {"", self.other}
        wait_until(lambda: self.of_ready() == both, "a replica of each version", seconds=BEGUN_SECONDS)

    def finish(self) -> None:
        """Replace the rest of the replicas."""
        rollouts.go_on(self._machine)
        self._guard.until_rolled_out()


def writes(machine: Machine) -> int:
    """Count the writes of the service to the configurations."""
    asked = asked_by_the_service(machine)
    return sum(one.verb == "patch" and one.resource.endswith("webhookconfigurations") for one in asked)


def own(guard: RegisteringGuard) -> list[Json]:
    """Return the entries without their caBundle, which a rotation replaces."""
    found = json.loads(json.dumps(guard.entries()))
    for entry in found:
        del entry["clientConfig"]["caBundle"]
    return found


@pytest.fixture(params=[pytest.param(previous, id="previous"), pytest.param(later, id="later", marks=pytest.mark.long)])
def versions(request: pytest.FixtureRequest, machine: Machine, guard: RegisteringGuard, tmp_path: Path) -> Versions:
    """Return another version."""
    folder = tmp_path / "version"
    return Versions(machine, guard, folder, request.param(folder))


def test_an_upgrade_and_a_downgrade_fail_no_request(
    machine: Machine, guard: RegisteringGuard, versions: Versions, load: Callable[..., Load], figure: Say
) -> None:
    """
    To the other version and back under load, each time with a pause while both run. The CA is rotated in between.

    No request is dropped, each version becomes the leader, neither version undoes the writes of the other one in a
    loop, and the entries at the end are those at the beginning.
    """
    wait_until(lambda: guard.kept.phase() is Phase.RESTING, "the end of a rotation", seconds=ROTATED_SECONDS)
    before, undone, began = own(guard), guard.told(UNDONE), writes(machine)
    together, led = [], []
    with load(handshakes=2) as pressing:
        for is_other in (True, False):
            versions.begin(other=is_other)
            if is_other:
                guard.kept.ask_for_rotation()
                signing = "the next CA to sign"
                wait_until(lambda: guard.kept.phase() is Phase.SIGNING, signing, seconds=ROTATED_SECONDS)
            guard.until_registered()
            so_far = writes(machine)
            pressing.go_on(TOGETHER_SECONDS)
            versions.until_both_serve()  # both must still run
            together.append(writes(machine) - so_far)
            versions.finish()
            led.append(versions.of_leader())
        guard.until_registered()
        pressing.go_on(2)

    found = pressing.report
    total = writes(machine) - began
    figure(f"to {versions.what} and back", [found.summary(), f"{total} writes, {together} of them while both ran"])
    assert (found.dropped, found.wrong, found.handshake_failures) == ([], [], [])
    assert led == [versions.other, ""]
    assert own(guard) == before
    assert guard.told(UNDONE) == undone
    assert max(together) <= MOST_WRITES_TOGETHER
    assert total <= MOST_WRITES
