"""Replicas end, one after the other or all at once, while the service gets requests."""

import textwrap
from collections.abc import Callable

from harness import rollouts
from harness.guard import NAMESPACE, Guard
from harness.loading import Load, LoadReport
from harness.mix import prepared
from harness.objects import allow, deny_all
from harness.place import Place
from harness.waiting import wait_until

from node.cluster import Node

RATE = 10  # requests a second that two shared cores can handle beside a node
BACK_SECONDS = 120  # a killed container restarts within seconds; a node needs longer
# Processes in the container, each with less memory than the service has: when they reach the container's limit
# together, the kernel ends the largest, which is the service.
EAT = textwrap.dedent(
    """
    import os, time
    for _ in range(24):
        if os.fork() == 0:
            ballast = b"x" * (24 * 1024 * 1024)
            break
    time.sleep(60)
    """
)
FAILED_CLOSED = "failed calling webhook"


def restarts(machine: Node) -> dict[str, tuple[int, str]]:
    """Return how often each replica was restarted, and why its last container ended."""
    pods = machine.must("get", "pods", f"--namespace={NAMESPACE}", "--output=json").json["items"]
    return {
        one["metadata"]["name"]: (
            status["restartCount"],
            status.get("lastState", {}).get("terminated", {}).get("reason", ""),
        )
        for one in pods
        for status in one["status"].get("containerStatuses", ())
    }


def until_serving(machine: Node, guard: Guard, replicas: int) -> None:
    """Wait until so many replicas are ready, and the service hears of a change."""

    def look() -> bool:
        answer = machine.kubectl("get", "deployment", NAMESPACE, f"--namespace={NAMESPACE}", "--output=json")
        return answer.status == 0 and answer.json["status"].get("readyReplicas", 0) == replicas

    wait_until(look, f"{replicas} ready replicas", seconds=BACK_SECONDS)
    guard.until_asked()


def unexpected(report: LoadReport) -> list[str]:
    """Return the requests without the right verdict, except those that failed because no replica answered."""
    return [one["text"] for one in report.failures if one in report.wrong or FAILED_CLOSED not in one["text"]]


def mostly_right(report: LoadReport) -> bool:
    """Whether more requests got a verdict than got none."""
    return len(report.requests) > 2 * len(report.failures)


def test_a_rolling_restart_drops_no_request(machine: Node, guard: Guard, place: Place) -> None:
    """Every change during the replacement of all replicas gets its verdict."""
    place.set_up(*prepared(place.name))
    before = set(guard.replicas())

    report, ended = rollouts.restarted(machine, guard, place.name, RATE)

    assert report.failures == []
    assert ended == dict.fromkeys(before, True)
    assert before.isdisjoint(guard.replicas())


def test_a_replica_out_of_memory_restarts_and_nothing_passes_unjudged(
    machine: Node, guard: Guard, place: Place
) -> None:
    """The kernel kills the replica, the kubelet restarts it, and the other replicas answer."""
    place.set_up(*prepared(place.name))
    victim, *_ = guard.replicas()

    with Load(machine, place.name, rate=RATE) as load:
        machine.kubectl("exec", victim, f"--namespace={NAMESPACE}", "--", "python", "-c", EAT)
        wait_until(
            lambda: restarts(machine)[victim] == (1, "OOMKilled"),
            "the kernel to kill the replica",
            seconds=BACK_SECONDS,
        )
        until_serving(machine, guard, len(guard.replicas()))

    assert unexpected(load.report) == []
    assert mostly_right(load.report)


def test_a_replica_deleted_by_force_is_replaced_and_nothing_passes_unjudged(
    machine: Node, guard: Guard, place: Place
) -> None:
    """The replica is deleted without a grace period, and the other replicas answer."""
    place.set_up(*prepared(place.name))
    replicas = guard.replicas()

    with Load(machine, place.name, rate=RATE) as load:
        force = ("--force", "--grace-period=0", "--wait=false")
        machine.must("delete", "pod", replicas[0], f"--namespace={NAMESPACE}", *force)
        until_serving(machine, guard, len(replicas))

    assert unexpected(load.report) == []
    assert mostly_right(load.report)
    assert replicas[0] not in guard.replicas()


def test_after_a_power_failure_the_node_recovers_and_guards(
    machine: Node, guard: Guard, take_place: Callable[[], Place]
) -> None:
    """
    The machine starts with the registration in place and without a replica, and recovers without help.

    Until the first replica answers, guarded changes fail. Then they are judged.
    """
    place = take_place()
    place.set_up_gateway()
    replicas = len(guard.replicas())

    machine.restart()
    first = place.apply(deny_all(place.name, "while-it-starts"))
    elsewhere = machine.kubectl("create", "namespace", f"{place.name}-elsewhere")
    until_serving(machine, guard, replicas)
    guard.until_seen()
    guard.decisions.forget(place.name)
    refused = place.denied(place.delete("allow-kafka"), "DELETE", "allow-kafka")
    passed = place.apply(allow(place.name, "allow-more", "gw", [8092]))

    assert first.status == 0 or FAILED_CLOSED in first.stderr
    assert elsewhere.status == 0
    assert "TCP/8092" in refused
    assert passed.status == 0
