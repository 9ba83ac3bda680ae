"""After `--stale-seconds` without the API server, a replica is not ready, and judges on the third attempt only."""

from collections.abc import Callable
from typing import Any

import pytest
from harness.guard import NAMESPACE
from harness.machine import Machine
from harness.place import Place
from harness.registering import RegisteringGuard
from harness.waiting import wait_until

from webhook.settings.values import LEAST_SILENCE_SECONDS

Say = Callable[[str, object], None]

STALE_SECONDS = LEAST_SILENCE_SECONDS
UNREADY_SECONDS = 2 * STALE_SECONDS
OK, UNAVAILABLE, FORBIDDEN = 200, 503, 403


def deletion(policy: dict[str, Any], uid: str) -> dict[str, Any]:
    """Return the review of the deletion of a policy."""
    group = {"group": "networking.k8s.io", "version": "v1"}
    kind, resource = {**group, "kind": "NetworkPolicy"}, {**group, "resource": "networkpolicies"}
    request = {
        "uid": uid,
        "kind": kind,
        "resource": resource,
        "requestKind": kind,
        "requestResource": resource,
        "name": policy["metadata"]["name"],
        "namespace": policy["metadata"]["namespace"],
        "operation": "DELETE",
        "userInfo": {"username": "platform-user"},
        "object": None,
        "oldObject": policy,
        "dryRun": False,
    }
    return {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}


def is_stale(found: Any) -> bool:
    """Whether the replica reports its policies as stale."""
    return any(line.startswith("[-]cache-networkpolicies") for line in found["said"])


@pytest.mark.long
def test_a_stale_replica_judges_with_a_warning_on_the_third_attempt(
    machine: Machine, guard: RegisteringGuard, place: Place, figure: Say
) -> None:
    """Soon after the loss it judges as usual. Later it answers 503 twice, and then a verdict with a warning."""
    place.set_up_gateway()
    policy = place.policy("allow-kafka")
    assert policy is not None
    with guard.given({"EEM_GUARDRAIL_STALE_SECONDS": f"{STALE_SECONDS:g}"}):
        guard.until_seen()
        replica = guard.ready()[0]
        address = machine.must("get", "pod", replica, f"--namespace={NAMESPACE}", "--output=jsonpath={.status.podIP}")

        def ask(uid: str, times: int) -> Any:
            return machine.run_program(
                "harness.direct", {"address": address.stdout, "review": deletion(dict(policy), uid), "times": times}
            )

        machine.order("stop", name="kube-apiserver")
        try:
            soon = ask("soon", 1)
            wait_until(lambda: is_stale(ask("probe", 0)), "the replica to report stale data", seconds=UNREADY_SECONDS)
            late = ask("late", 3)
            alive = machine.order("alive")
        finally:
            machine.order("start", name="kube-apiserver")
        guard.until_ready()
        guard.until_seen()
        again = ask("again", 1)

    figure("an old view", {"soon": soon, "late": late, "again": again})
    assert not is_stale(soon)
    assert [status for status, *_ in soon["answers"]] == [OK]
    assert [(status, after) for status, after, _ in late["answers"]] == [(UNAVAILABLE, "0")] * 2 + [(OK, None)]
    assert all(alive.values())
    verdicts = [one["answers"][-1][2] for one in (soon, late, again)]
    assert [one["status"]["code"] for one in verdicts] == [FORBIDDEN] * 3
    assert [bool(one.get("warnings")) for one in verdicts] == [False, True, False]
