"""The API server goes and comes back: the service lives on, and soon knows what there is."""

import time
from collections.abc import Callable

import pytest
from harness.guard import WATCHED, Guard
from harness.machine import Answer, Machine
from harness.objects import allow
from harness.place import Place
from harness.waiting import hold, wait_until

Say = Callable[[str, object], None]

EXACT_SECONDS = 10
EXPIRED = "certificate has expired"  # the serving certificate, which lasts a minute and cannot be renewed meanwhile
LASTING_SECONDS = 15  # the least that is left of it before it is renewed
DETECTED_SECONDS = 90  # a token is read again once a minute, and at once if it is refused


def back_and_exact(place: Place, limit: float) -> tuple[float, list[str]]:
    """Change what there is as soon as the API server is back; give how long the service took to know, and refusals."""
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
    """Leave the API server away for so long, and see that every replica lives."""
    hold(lambda: all(machine.order("alive").values()), "every replica alive", seconds=seconds)


@pytest.mark.parametrize("seconds", [pytest.param(10, id="10s"), pytest.param(300, id="5min", marks=pytest.mark.long)])
def test_down(machine: Machine, place: Place, guard: Guard, figure: Say, seconds: float) -> None:
    """The replicas run on while no API server answers; ten seconds after it is back, their caches are exact."""
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


def test_trust_renewed(machine: Machine, place: Place, guard: Guard, figure: Say) -> None:
    """A new certificate of the API server and new tokens are taken up: none that was valid before is needed again."""
    place.set_up_gateway()

    machine.order("stop", name="kube-apiserver")
    machine.order("renew_serving_pair")
    machine.order("renew_token_key")
    machine.order("start", name="kube-apiserver")
    for order in ("stop", "start"):  # its tokens are worth nothing any more either
        machine.order(order, name="kube-controller-manager")
    machine.order("renew_tokens")
    took, refused = back_and_exact(place, DETECTED_SECONDS)
    text = place.denied(place.delete("second"), "DELETE", "second")

    figure("certificate and tokens renewed", f"exact after {took:.1f} s")
    assert "TCP/8092" in text
    assert refused == []
    assert took <= DETECTED_SECONDS
    assert len(guard.ready()) == len(guard.replicas())
