"""Replicas are killed or stop: few requests are lost, and only for a short time."""

import json
import time
from collections.abc import Callable

import pytest
from harness.decisions import complete_lines
from harness.guard import Guard
from harness.loading import Load
from harness.machine import Machine
from harness.waiting import wait_until

Say = Callable[[str, object], None]

AGAIN_SECONDS = 90  # a replica starts in two or three seconds
FROZEN_SECONDS = 12  # two failed probes, and the time of one question to a stopped replica
NOTICED_SECONDS = (
    10.0  # two failed probes, 2 s apart and of 1 s each, and the update of the Service: 4.5 s on an idle machine
)
MOST_LOST, MOST_LATE_SECONDS = 5, 5
BESIDE_OTHERS = 10  # up to so many kills is the short form, on a shared machine


def starts(machine: Machine, pod: str) -> int:
    """Count how often the container of *pod* was started."""
    events = [json.loads(line) for line in complete_lines(machine.logs / "kubelet.jsonl")]
    return sum(one["event"] == "started" and one["pod"].endswith(f"/{pod}") for one in events)


def kill(machine: Machine, guard: Guard, pod: str) -> float:
    """Kill the process of one replica, wait until all are ready again, and return the time of the kill."""
    before = starts(machine, pod)
    at = time.time()
    machine.order("signal", name=pod, signal_name="KILL")
    wait_until(lambda: starts(machine, pod) > before, f"{pod} to start again", seconds=AGAIN_SECONDS)
    guard.until_ready()
    return at


@pytest.mark.parametrize(
    "kills", [pytest.param(3, id="3", marks=pytest.mark.quick), pytest.param(50, id="50", marks=pytest.mark.long)]
)
def test_a_killed_replica_loses_only_its_open_requests(
    machine: Machine, guard: Guard, load: Callable[..., Load], figure: Say, kills: int
) -> None:
    """Soon after the kill every request gets an answer."""
    replicas = guard.replicas()
    with load() as pressing:
        pressing.go_on(1)
        times = []
        for number in range(kills):
            times.append(kill(machine, guard, replicas[number % len(replicas)]))
            pressing.go_on(1)

    found = pressing.report
    windows = [found.dropped_between(at - 1, later - 1) for at, later in zip(times, [*times[1:], 1e12], strict=True)]
    lost = [len(window) for window in windows]
    late = [max(window, default=at) - at for window, at in zip(windows, times, strict=True)]
    figure(f"{kills} kills", [found.summary(), f"lost {lost}", f"last lost {max(late):.2f} s after"])
    assert found.wrong == []
    assert sum(lost) == len(found.dropped)
    if kills > BESIDE_OTHERS:
        assert max(lost) <= MOST_LOST
        assert max(late) <= 1
    else:  # if answers take a second, more requests are open
        under_way = [sum(began <= at <= began + seconds for began, seconds, _ in found.requests) for at in times]
        assert [(one, most) for one, most in zip(lost, under_way, strict=True) if one > MOST_LOST + most] == []
        assert max(late) <= MOST_LATE_SECONDS


def test_a_stopped_replica_leaves_the_service_after_its_probes_fail(
    machine: Machine, guard: Guard, load: Callable[..., Load], figure: Say
) -> None:
    """Requests to it fail until then. When it runs again, it gets requests again."""
    frozen = guard.replicas()[0]
    with load() as pressing:
        pressing.go_on(2)
        at = time.time()
        machine.order("signal", name=frozen, signal_name="STOP")
        try:
            wait_until(lambda: frozen not in guard.ready(), f"{frozen} to leave", seconds=FROZEN_SECONDS)
            left = time.time() - at
            pressing.go_on(6)
        finally:
            machine.order("signal", name=frozen, signal_name="CONT")
        thawed = time.time()
        guard.until_ready()
        back = time.time() - thawed
        pressing.go_on(2)

    found = pressing.report
    lost = [began - at for began in found.dropped_between(0, 1e12)]
    figure("frozen", [found.summary(), f"left after {left:.1f} s, back {back:.1f} s after it went on", f"lost {lost}"])
    assert found.wrong == []
    assert max(lost, default=0) <= NOTICED_SECONDS
    assert left <= NOTICED_SECONDS
    assert back <= 5
