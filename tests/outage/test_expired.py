"""All certificates have expired while no replica ran, and the failure policy is Fail: the service recovers."""

import base64
import datetime as dt
import json
import time
from collections.abc import Callable

from harness.certificates import Phase
from harness.guard import NAMESPACE
from harness.loading import Load
from harness.machine import Machine
from harness.place import Place
from harness.registering import CONFIGURATIONS, RegisteringGuard
from harness.waiting import wait_until

from certs.authority import service_names
from certs.material import new_material
from certs.renewal import Lifetimes

Say = Callable[[str, object], None]

AGO = dt.timedelta(days=400)  # longer than the lifetime of a CA
AGAIN_SECONDS = 180
ROTATED_SECONDS = 150


def expired() -> dict[str, str]:
    """Return the content of a Secret with expired certificates, encoded as in the API."""
    made = new_material(service_names(NAMESPACE, NAMESPACE), now=dt.datetime.now(dt.UTC) - AGO, lifetimes=Lifetimes())
    return {name: base64.b64encode(content).decode() for name, content in made.entries().items()}


def publish(machine: Machine, guard: RegisteringGuard, bundle: str) -> None:
    """Set the caBundle of every entry."""
    for kind in CONFIGURATIONS:
        entries = machine.must("get", kind, NAMESPACE, "--output=json").json["webhooks"]
        path = "/webhooks/{}/clientConfig/caBundle"
        patch = [{"op": "replace", "path": path.format(at), "value": bundle} for at in range(len(entries))]
        machine.must("patch", kind, NAMESPACE, "--type=json", f"--patch={json.dumps(patch)}")
    assert {entry["clientConfig"]["caBundle"] for entry in guard.entries()} == {bundle}


def test_the_service_recovers_from_expired_certificates(
    machine: Machine, guard: RegisteringGuard, place: Place, load: Callable[..., Load], figure: Say
) -> None:
    """
    The CA and the serving certificate have expired, and every entry trusts only them.

    No API server can verify the service, and no change is allowed. The service makes a new CA, publishes it in the
    existing entries and signs with it as soon as it is published. Then changes are judged again.
    """
    place.set_up_gateway()
    wait_until(lambda: guard.kept.phase() is Phase.RESTING, "the end of a rotation", seconds=ROTATED_SECONDS)
    with guard.absent():
        left = expired()
        guard.kept.replace(left)
        publish(machine, guard, left["ca.crt"])
        unanswered = place.delete("allow-kafka")
        began = time.monotonic()
    guard.until_registered(AGAIN_SECONDS)
    wait_until(lambda: "denied the request" in place.delete("allow-kafka").stderr, "a verdict", seconds=AGAIN_SECONDS)
    took = time.monotonic() - began
    guard.until_ready()

    figure("everything expired", f"a verdict again after {took:.1f} s")
    assert "failed calling webhook" in unanswered.stderr
    assert place.policies() == {"allow-kafka", "default-deny-ingress"}
    assert guard.kept.encoded_bundle() != left["ca.crt"]
    with load(handshakes=4) as pressing:
        pressing.go_on(2)
    found = pressing.report
    assert (found.dropped, found.wrong, found.handshake_failures) == ([], [], [])
