"""An upgrade and a rollback, with both versions side by side for a while: no client notices."""

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

VARIABLE = "PYTHONPATH"  # what a process that stands for a pod runs is what it imports
BEGUN_SECONDS = 60
ROTATED_SECONDS = 150
TOGETHER_SECONDS = 8
UNDONE = "RegistrationUndone"
# In eight seconds nothing is due but, at most, the end of a rotation, which is one write of each configuration.
MOST_WRITES_TOGETHER = 2
# A rotation writes each twice; a new leader writes its own entry, and first removes the other version's condition.
MOST_WRITES = 12


def folder_of(pod: Json) -> str:
    """Return the folder of a pod's version; empty for this checkout."""
    (container,) = pod["spec"]["containers"]
    return next((one.get("value", "") for one in container.get("env", ()) if one["name"] == VARIABLE), "")


class Versions:
    """
    The versions that the replicas have.

    Args:
        other: the folder of the other version.
        what: the other version, for people.
    """

    def __init__(self, machine: Machine, guard: RegisteringGuard, other: Path, what: str) -> None:
        self._machine = machine
        self._guard = guard
        self.other = str(other)
        self.what = what

    def of_ready(self) -> set[str]:
        """Return the folder of each ready replica."""
        ready = set(self._guard.ready())
        pods = self._machine.must("get", "pods", f"--namespace={NAMESPACE}", "--output=json").json["items"]
        return {folder_of(one) for one in pods if one["metadata"]["name"] in ready}

    def of_leader(self) -> str:
        """Return the folder of the replica that leads."""
        leader = self._guard.until_led()
        return folder_of(self._machine.must("get", "pod", leader, f"--namespace={NAMESPACE}", "--output=json").json)

    def begin(self, *, other: bool) -> None:
        """Have the replicas replaced, and stop on the way: some are of one version, some of the other."""
        rollouts.begin(self._machine, "set", "env", f"{VARIABLE}={self.other}" if other else f"{VARIABLE}-")
        self.until_both_serve()

    def until_both_serve(self) -> None:
        """Wait until a replica of each version is ready."""
        both = {"", self.other}
        wait_until(lambda: self.of_ready() == both, "a replica of each version", seconds=BEGUN_SECONDS)

    def finish(self) -> None:
        """Have the rest replaced, too."""
        rollouts.go_on(self._machine)
        self._guard.until_rolled_out()


def writes(machine: Machine) -> int:
    """Count the writes of the service to the configurations."""
    asked = asked_by_the_service(machine)
    return sum(one.verb == "patch" and one.resource.endswith("webhookconfigurations") for one in asked)


def own(guard: RegisteringGuard) -> list[Json]:
    """Read the entries without what they trust, which a rotation replaces."""
    found = json.loads(json.dumps(guard.entries()))
    for entry in found:
        del entry["clientConfig"]["caBundle"]
    return found


@pytest.fixture(params=[pytest.param(previous, id="previous"), pytest.param(later, id="later", marks=pytest.mark.long)])
def versions(request: pytest.FixtureRequest, machine: Machine, guard: RegisteringGuard, tmp_path: Path) -> Versions:
    """Have another version at hand."""
    folder = tmp_path / "version"
    return Versions(machine, guard, folder, request.param(folder))


def test_versions_take_turns(
    machine: Machine, guard: RegisteringGuard, versions: Versions, load: Callable[..., Load], figure: Say
) -> None:
    """
    To the other version and back, each time with a stop on the way, under load; an authority is replaced meanwhile.

    Nothing is dropped, each version leads in its turn, neither undoes again and again what the other has written, and
    in the end the entries are what they were.
    """
    wait_until(lambda: guard.kept.phase() is Phase.RESTING, "the end of a rotation", seconds=ROTATED_SECONDS)
    before, undone, began = own(guard), guard.told(UNDONE), writes(machine)
    together, led = [], []
    with load(handshakes=2) as pressing:
        for is_other in (True, False):
            versions.begin(other=is_other)
            if is_other:
                guard.kept.ask_for_rotation()
                signing = "the next authority to sign"
                wait_until(lambda: guard.kept.phase() is Phase.SIGNING, signing, seconds=ROTATED_SECONDS)
            guard.until_registered()
            so_far = writes(machine)
            pressing.go_on(TOGETHER_SECONDS)
            versions.until_both_serve()  # still
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
