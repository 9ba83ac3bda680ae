"""The API server stops and starts again: the replicas run on, and soon have the current state."""

import time
from collections.abc import Callable

import pytest
from harness.guard import WATCHED, Guard
from harness.machine import Answer, Machine
from harness.objects import Json, allow
from harness.place import Place
from harness.waiting import hold, wait_until

Say = Callable[[str, object], None]

EXACT_SECONDS = 10
BACK_SECONDS = 60
WRITES = 200  # since the backup: more than the control plane makes until the replicas look again
FIRST = {"allow-kafka", "default-deny-ingress"}
EXPIRED = (
    "certificate has expired"  # the serving certificate lasts a minute here, and cannot be renewed in the meantime
)
LASTING_SECONDS = 15  # the shortest rest of its lifetime before a renewal
DETECTED_SECONDS = 90  # a token is read again every minute, and at once if it is rejected


def config_map(number: int) -> Json:
    """Return an object that nothing depends on."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"filler-{number}"}}


def back_and_exact(place: Place, limit: float) -> tuple[float, list[str]]:
    """Return the seconds until every replica has seen a change, and the messages of denied changes before that."""
    began = time.monotonic()
    answers: list[Answer] = []

    def passes() -> bool:
        answers.append(place.apply(allow(place.name, "second", "gw", [8092])))
        return answers[-1].status == 0

    wait_until(passes, "an edit to pass", seconds=limit)
    place.passed(answers[-1], "CREATE", "second")
    place.passed(place.delete("allow-kafka"), "DELETE", "allow-kafka")
    place.guard.until_seen(WATCHED, seconds=limit)
    return time.monotonic() - began, [one.stderr for one in answers[:-1]]


def stay_alive(machine: Machine, seconds: float) -> None:
    """Check for so long that every replica runs."""
    hold(lambda: all(machine.order("alive").values()), "every replica alive", seconds=seconds)


@pytest.mark.parametrize("seconds", [pytest.param(10, id="10s"), pytest.param(300, id="5min", marks=pytest.mark.long)])
def test_replicas_run_on_without_the_api_server(
    machine: Machine, place: Place, guard: Guard, figure: Say, seconds: float
) -> None:
    """They have the current state ten seconds after the API server starts again."""
    place.set_up_gateway()
    before = machine.order("usage")

    machine.order("stop", name="kube-apiserver")
    stay_alive(machine, seconds)
    machine.order("start", name="kube-apiserver")
    took, refused = back_and_exact(place, EXACT_SECONDS)
    text = place.denied(place.delete("second"), "DELETE", "second")

    figure(f"API server down for {seconds} s", f"exact after {took:.1f} s, {len(refused)} edits refused before")
    assert "TCP/8092" in text
    assert took <= EXACT_SECONDS
    assert [one for one in refused if seconds < LASTING_SECONDS or EXPIRED not in one] == []
    assert {name: machine.order("usage")[name]["pid"] for name in guard.replicas()} == {
        name: before[name]["pid"] for name in guard.replicas()
    }


def test_a_restored_etcd_is_judged_as_it_is(machine: Machine, place: Place, guard: Guard, figure: Say) -> None:
    """A policy that the backup does not have never counts again: no verdict rests on it, and every replica lists."""
    place.set_up_gateway()
    before = machine.order("usage")
    machine.order("back_up")
    wait_until(lambda: place.policies() == FIRST, "the API server to use etcd again", seconds=BACK_SECONDS)
    guard.until_seen(WATCHED)
    place.passed(place.apply(allow(place.name, "second", "gw", [8092])), "CREATE", "second")
    assert place.apply(*(config_map(number) for number in range(WRITES))).status == 0
    place.passed(place.apply(allow(place.name, "third", "gw", [8092])), "CREATE", "third")

    machine.order("stop", name="kube-apiserver")
    machine.order("restore")
    machine.order("start", name="kube-apiserver")
    began = time.monotonic()
    answers: list[Answer] = []

    def denied() -> bool:
        answers.append(place.delete("allow-kafka"))
        return "denied the request" in answers[-1].stderr

    wait_until(denied, "a verdict", seconds=BACK_SECONDS)
    guard.until_seen(WATCHED, seconds=BACK_SECONDS)
    took = time.monotonic() - began
    for order in ("stop", "start"):  # it, too, has seen what is not there any more
        machine.order(order, name="kube-controller-manager")

    figure("etcd restored from a backup", f"exact after {took:.1f} s, {len(answers) - 1} edits without a verdict")
    assert [one for one in answers if one.status == 0] == []
    assert "TCP/8092" in place.denied(answers[-1], "DELETE", "allow-kafka")
    assert place.policies() == FIRST
    assert {name: machine.order("usage")[name]["pid"] for name in guard.replicas()} == {
        name: before[name]["pid"] for name in guard.replicas()
    }


def test_new_certificates_and_tokens_of_the_api_server_are_used(
    machine: Machine, place: Place, guard: Guard, figure: Say
) -> None:
    """No certificate or token that was valid before is needed again."""
    place.set_up_gateway()

    machine.order("stop", name="kube-apiserver")
    machine.order("renew_serving_pair")
    machine.order("renew_token_key")
    machine.order("start", name="kube-apiserver")
    for order in ("stop", "start"):  # its tokens are not valid any more either
        machine.order(order, name="kube-controller-manager")
    machine.order("renew_tokens")
    took, refused = back_and_exact(place, DETECTED_SECONDS)
    text = place.denied(place.delete("second"), "DELETE", "second")

    figure("certificate and tokens renewed", f"exact after {took:.1f} s")
    assert "TCP/8092" in text
    assert refused == []
    assert took <= DETECTED_SECONDS
    assert len(guard.ready()) == len(guard.replicas())
