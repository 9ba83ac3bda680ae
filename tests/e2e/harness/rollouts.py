"""Rollouts: one under load, and one that stands still where both versions serve, until a test continues it."""

import json

from harness.guard import NAMESPACE, Guard
from harness.loading import Load, LoadReport
from harness.machine import Machine

DEPLOYMENT = (f"deployment/{NAMESPACE}", f"--namespace={NAMESPACE}")
# Below progressDeadlineSeconds, which the API server wants. No case lasts so long.
HELD_SECONDS = 500


def restarted(machine: Machine, guard: Guard, namespace: str, rate: float) -> tuple[LoadReport, dict[str, bool]]:
    """
    Replace every replica while edits are made in *namespace*.

    Returns:
        What the load found, and of each replica that has gone whether it ended by itself, with status 0.
    """
    before = set(guard.replicas())
    with Load(machine, namespace, rate=rate) as load:
        guard.restart()
        ends = guard.exits(before)
    return load.report, {name: end == (0, False) for name, end in ends.items()}


def begin(machine: Machine, *change: str) -> None:
    """
    Make a change of the pods' template of which the first pod alone is made, until `go_on`.

    The new pod serves as soon as it is ready, but none of the old ones goes before it has been ready for minutes.
    `kubectl rollout pause` would come too late on a busy machine: by then the controller may have replaced them all.

    Args:
        change: the command of kubectl, and what it takes beside the Deployment's name.
    """
    _hold(machine, HELD_SECONDS)
    verb, what, *arguments = change
    machine.must(verb, what, *DEPLOYMENT, *arguments)


def go_on(machine: Machine) -> None:
    """Let the rest be replaced."""
    _hold(machine, 0)


def _hold(machine: Machine, seconds: int) -> None:
    patch = json.dumps({"spec": {"minReadySeconds": seconds}})
    machine.must("patch", *DEPLOYMENT, f"--patch={patch}")
