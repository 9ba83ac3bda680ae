"""No replica runs, and the failure policy is Fail: the cluster can still recover."""

import datetime as dt
import json
import time
from collections.abc import Callable

from harness.guard import Guard
from harness.machine import Machine
from harness.objects import allow, owner
from harness.place import Place
from harness.waiting import wait_until

Say = Callable[[str, object], None]

PLANE = ("etcd", "kube-apiserver", "kube-controller-manager")
COLD_SECONDS = 60
COLLECTED_SECONDS = 60  # the garbage collector detects new kinds every 30 s
FINALIZERS = {"metadata": {"finalizers": ["example.com/hold"]}}
NO_FINALIZERS = {"metadata": {"finalizers": None}}


def test_a_cluster_starts_again_with_the_registration_in_place(
    machine: Machine, place: Place, guard: Guard, figure: Say
) -> None:
    """Every process of the cluster was killed at once."""
    place.set_up_gateway()

    for name in reversed(PLANE):
        machine.order("stop", name=name)
    replicas, killed_at = machine.order("alive"), dt.datetime.now(dt.UTC).isoformat()
    for replica in replicas:
        machine.order("signal", name=replica, signal_name="KILL")
    began = time.monotonic()
    for name in PLANE:
        machine.order("start", name=name)
    guard.until_noticed(set(replicas), killed_at)
    unanswered = place.delete("allow-kafka")
    guard.until_ready(COLD_SECONDS)
    took = time.monotonic() - began
    guard.until_seen()
    text = place.denied(place.delete("allow-kafka"), "DELETE", "allow-kafka")

    figure("cold start", f"ready {took:.1f} s after the first process of the control plane")
    assert "failed calling webhook" in unanswered.stderr or "denied the request" in unanswered.stderr
    assert "TCP/8092" in text
    assert took <= COLD_SECONDS


def test_without_a_replica_owned_objects_and_finalizers_can_be_removed(place: Place, guard: Guard) -> None:
    """The matchConditions keep these requests from the webhook."""
    place.set_up_gateway(allow(place.name, "owned", "gw", [8092]))
    uid = place.kubectl("get", "eventgateway", "gw", "--output=jsonpath={.metadata.uid}").stdout
    owned = {"metadata": {"ownerReferences": [owner("EventGateway", "gw", uid)], **FINALIZERS["metadata"]}}
    place.passed(place.patch("owned", owned, "merge"), "UPDATE", "owned", "exempt")
    place.machine.must(
        "patch", "eventgateway", "gw", f"--namespace={place.name}", "--type=merge", f"--patch={json.dumps(FINALIZERS)}"
    )

    with guard.absent():
        place.machine.must("delete", "eventgateway", "gw", f"--namespace={place.name}", "--wait=false")
        freed = place.kubectl("patch", "eventgateway", "gw", "--type=merge", f"--patch={json.dumps(NO_FINALIZERS)}")
        wait_until(lambda: is_terminating(place, "owned"), "the garbage collection", seconds=COLLECTED_SECONDS)
        released = place.patch("owned", NO_FINALIZERS, "merge")
        wait_until(
            lambda: "owned" not in place.policies(), "the deletion of the released policy", seconds=COLLECTED_SECONDS
        )

    assert (freed.status, freed.stderr) == (0, "")
    assert (released.status, released.stderr) == (0, "")


def is_terminating(place: Place, name: str) -> bool:
    """Whether a policy is being deleted."""
    found = place.policy(name)
    return found is not None and "deletionTimestamp" in found["metadata"]
