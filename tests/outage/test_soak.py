"""Half an hour at a high rate of changes: no resource use grows, and no change is missed."""

import re
import time
from collections.abc import Callable, Iterator
from statistics import linear_regression

import pytest
from harness.guard import Guard
from harness.known import gauge
from harness.loading import Load
from harness.machine import Machine
from harness.objects import Json, instance_labels, pod, policy
from harness.place import Place
from harness.registering import RegisteringGuard

Say = Callable[[str, object], None]

RATE = 50
# Between two phases the API server is restarted, so that all objects are listed again. In each phase the CA is rotated.
PHASES = 3
WARM_UP = 0.2  # of the samples: caches and the arenas of Python grow at first
SAMPLE_SECONDS = 5
CHURNED = 20  # pods, and the same number of policies
GROWTH_BYTES = 8 * 1024 * 1024  # over the whole time; a leak of one 100-byte object a request is 9 MB
# The connections of the API server to a replica, up to 25, are not counted. A descriptor or a task that leaks every
# five minutes makes 5.
GROWTH = {"resident_bytes": GROWTH_BYTES, "descriptors": 4, "threads": 2, "tasks": 4}
# The memory is not flat after such a short time. A leak with each request, connection or list shows.
SHORT_GROWTH = {"descriptors": 8, "threads": 4, "tasks": 8}
LASTS_SECONDS = 600  # in a run of at least this length, the memory must be flat
SHORT_RATE = 25

Usage = dict[str, dict[str, float]]


def churned(namespace: str, number: int) -> list[Json]:
    """Return a pod and a policy that replace earlier ones."""
    name, turn = f"churned-{number % CHURNED}", str(number // CHURNED)
    labels = {**instance_labels(f"other-{name}", "ibm-egw"), "turn": turn}
    return [
        pod(namespace, name, labels, "egw", [8092]),
        policy(namespace, name, selector={"matchLabels": {"app": name, "turn": turn}}),
    ]


def tasks_of(metrics: str) -> float:
    """Return the tasks of a replica without those of its open connections, one each."""
    connections = re.findall(r"^eem_guardrail_connections\{.*\} (\S+)$", metrics, re.MULTILINE)
    return gauge(metrics, "eem_guardrail_tasks") - sum(map(float, connections))


def measured(machine: Machine, guard: Guard) -> Usage:
    """Return the resource use of each process, and the tasks of each replica."""
    usage: Usage = machine.order("usage")
    for replica in guard.replicas():
        usage[replica]["tasks"] = tasks_of(guard.metrics(replica))
    return usage


def live(machine: Machine, guard: Guard, place: Place, pressing: Load, seconds: float) -> Iterator[tuple[float, Usage]]:
    """Create and delete objects for so long, and yield samples of the resource use."""
    end = time.monotonic() + seconds
    number = 0
    while time.monotonic() < end:
        for one in churned(place.name, number):
            machine.kubectl("delete", one["kind"], one["metadata"]["name"], f"--namespace={place.name}", "--wait=false")
            machine.apply(one)
        number += 1
        pressing.go_on(SAMPLE_SECONDS)
        yield time.time(), measured(machine, guard)


def growth(samples: list[tuple[float, Usage]], replica: str, what: str) -> float:
    """Return the growth of a replica from the end of the warm-up to the end, by linear regression."""
    counted = samples[int(len(samples) * WARM_UP) :]
    times, values = [at for at, _ in counted], [usage[replica][what] for _, usage in counted]
    return linear_regression(times, values).slope * (times[-1] - times[0])


@pytest.mark.parametrize(
    "seconds", [pytest.param(30, id="30s"), pytest.param(1800, id="30min", marks=pytest.mark.long)]
)
def test_resource_use_stays_flat(  # noqa: PLR0913, PLR0917 - fixtures
    machine: Machine, guard: RegisteringGuard, place: Place, load: Callable[..., Load], figure: Say, seconds: float
) -> None:
    """Memory, descriptors, threads and tasks do not grow, every change gets its verdict, and no change is missed."""
    lasts = seconds >= LASTS_SECONDS
    place.set_up()
    samples: list[tuple[float, Usage]] = []
    reports = []
    authorities = [guard.kept.authorities()]
    for phase in range(PHASES):
        if phase:
            for order in ("stop", "start"):
                machine.order(order, name="kube-apiserver")
            guard.until_seen()
        with load(rate=RATE if lasts else SHORT_RATE, handshakes=0.5) as pressing:
            if lasts:
                guard.kept.ask_for_rotation()
            samples += list(live(machine, guard, place, pressing, seconds / PHASES))
        reports.append(pressing.report)
        authorities.append(guard.kept.authorities())
        figure(f"soak, part {phase + 1} of {PHASES}", [pressing.report.summary(), samples[-1][1]])
    guard.until_seen()  # the cache and etcd have the same objects in the same versions

    bounds = GROWTH if lasts else SHORT_GROWTH
    grown = {replica: {what: growth(samples, replica, what) for what in bounds} for replica in guard.replicas()}
    figure(f"soak of {seconds} s", [grown, samples[0][1], samples[-1][1]])
    assert [(one.dropped, one.wrong, one.handshake_failures) for one in reports] == [([], [], [])] * PHASES
    assert len({tuple(one) for one in authorities}) == (PHASES + 1 if lasts else 1)
    assert {
        (replica, what): found
        for replica, known in grown.items()
        for what, found in known.items()
        if found > bounds[what]
    } == {}
