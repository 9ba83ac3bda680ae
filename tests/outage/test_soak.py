"""Half an hour of ordinary life at a rate that no cluster has: nothing grows, and nothing is forgotten."""

import time
from collections.abc import Callable, Iterator
from statistics import linear_regression

import pytest
from harness.loading import Load
from harness.machine import Machine
from harness.objects import Json, instance_labels, pod, policy
from harness.place import Place
from harness.registering import RegisteringGuard

Say = Callable[[str, object], None]

SECONDS = 1800
RATE = 50
# The API server is started anew between two, so that everything is listed again; in each the authority is replaced.
PHASES = 3
WARM_UP = 0.2  # of the samples: caches fill, Python's arenas settle
SAMPLE_SECONDS = 5
CHURNED = 20  # pods, and as many policies
GROWTH_BYTES = 8 * 1024 * 1024  # over the whole time; a leak of one 100-byte object a request is 9 MB
# Without the connections that the API server keeps to a replica, up to 25, now more of them, now fewer. A descriptor or
# a task that is lost every five minutes makes 5.
GROWTH = {"resident_bytes": GROWTH_BYTES, "descriptors": 4, "threads": 2, "idle_tasks": 4}

Usage = dict[str, dict[str, float]]


def churned(namespace: str, number: int) -> list[Json]:
    """Give a pod and a policy that were not there before, in the place of others."""
    name, turn = f"churned-{number % CHURNED}", str(number // CHURNED)
    labels = {**instance_labels(f"other-{name}", "ibm-egw"), "turn": turn}
    return [
        pod(namespace, name, labels, "egw", [8092]),
        policy(namespace, name, selector={"matchLabels": {"app": name, "turn": turn}}),
    ]


def live(machine: Machine, place: Place, pressing: Load, seconds: float) -> Iterator[tuple[float, Usage]]:
    """Churn for so long, and yield from time to time what each process takes."""
    end = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end:
        for one in churned(place.name, number):
            machine.kubectl("delete", one["kind"], one["metadata"]["name"], f"--namespace={place.name}", "--wait=false")
            machine.apply(one)
        number += 1
        pressing.go_on(SAMPLE_SECONDS)
        yield time.time(), machine.order("usage")


def growth(samples: list[tuple[float, Usage]], replica: str, what: str) -> float:
    """Give how much more a replica took at the end than after the warm-up, by the line through all samples."""
    counted = samples[int(len(samples) * WARM_UP) :]
    times, values = [at for at, _ in counted], [usage[replica][what] for _, usage in counted]
    return linear_regression(times, values).slope * (times[-1] - times[0])


@pytest.mark.long
def test_soak(machine: Machine, guard: RegisteringGuard, place: Place, load: Callable[..., Load], figure: Say) -> None:
    """Memory, descriptors and tasks stay flat, every edit gets its verdict, and the cache is what etcd has."""
    place.set_up()
    samples: list[tuple[float, Usage]] = []
    reports = []
    authorities = [guard.kept.authorities()]
    for phase in range(PHASES):
        if phase:
            for order in ("stop", "start"):
                machine.order(order, name="kube-apiserver")
            guard.until_seen()
        with load(rate=RATE, handshakes=0.5) as pressing:
            guard.kept.ask_for_rotation()
            samples += list(live(machine, place, pressing, SECONDS / PHASES))
        reports.append(pressing.report)
        authorities.append(guard.kept.authorities())
    guard.until_seen()

    grown = {replica: {what: growth(samples, replica, what) for what in GROWTH} for replica in guard.replicas()}
    figure("soak", [*(one.summary() for one in reports), grown, samples[0][1], samples[-1][1]])
    assert [(one.dropped, one.wrong, one.handshake_failures) for one in reports] == [([], [], [])] * PHASES
    assert len({tuple(one) for one in authorities}) == PHASES + 1
    assert {
        (replica, what): found
        for replica, measured in grown.items()
        for what, found in measured.items()
        if found > GROWTH[what]
    } == {}
