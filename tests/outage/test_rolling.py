"""Replicas are deleted or replaced: no request fails, however late the Service is updated."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness.decisions import complete_lines
from harness.guard import NAMESPACE, Guard
from harness.loading import Load
from harness.machine import Machine
from harness.objects import Json, service_account
from harness.versions import without_retry_after
from harness.waiting import wait_until
from harness.witness import uncalled

Say = Callable[[str, object], None]

CONTROLLERS = "kube-controller-manager"
LATE_SECONDS = 5  # how long the Service still routes to a deleted replica
DRAIN = "EEM_GUARDRAIL_DRAIN_SECONDS"
MOST_RESTARTS = 10  # a restart causes some new connections; one in four or five goes there
UNSYNCED = "eem-guardrail-unsynced"


@pytest.mark.parametrize("restarts", [pytest.param(2, id="2"), pytest.param(20, id="20", marks=pytest.mark.long)])
def test_rolling_restarts_fail_no_request(
    machine: Machine, guard: Guard, load: Callable[..., Load], figure: Say, restarts: int
) -> None:
    """Every request gets its verdict, and each replica ends by itself."""
    gone: dict[str, tuple[int, bool]] = {}
    counted = uncalled(machine)
    with load(handshakes=2) as pressing:
        pressing.go_on(2)
        for _ in range(restarts):
            before = set(guard.replicas())
            guard.restart()
            gone |= guard.exits(before)
        pressing.go_on(2)

    found = pressing.report
    figure(f"{restarts} rolling restarts", found.summary())
    assert (found.dropped, found.wrong, found.handshake_failures) == ([], [], [])
    assert uncalled(machine) == counted
    assert set(gone.values()) == {(0, False)}


def busiest(guard: Guard, pods: list[str]) -> list[str]:
    """Return the pods by the number of their requests, the largest first."""
    asked = {path.stem: len(complete_lines(path)) for path in guard.decisions.files()}
    return sorted(pods, key=lambda pod: -asked[pod])


def delete_unheard(machine: Machine, guard: Guard, pressing: Load) -> float:
    """Delete all replicas but the idlest while the Service is not updated, and return the time."""
    pressing.go_on(2)
    gone = busiest(guard, guard.ready())[:-1]
    machine.order("signal", name=CONTROLLERS, signal_name="STOP")
    try:
        began = time.time()
        machine.must("delete", "pods", *gone, f"--namespace={NAMESPACE}", "--wait=false")
        pressing.go_on(LATE_SECONDS)
    finally:
        machine.order("signal", name=CONTROLLERS, signal_name="CONT")
    guard.exits(set(gone))
    guard.until_rolled_out()
    return began


def test_a_deleted_replica_answers_until_the_service_is_updated(
    machine: Machine, guard: Guard, load: Callable[..., Load], figure: Say
) -> None:
    """Requests to a replica that drains get their verdict."""
    with load(rate=60, handshakes=4) as pressing:
        delete_unheard(machine, guard, pressing)

    found = pressing.report
    figure(f"endpoints removed {LATE_SECONDS} s late", found.summary())
    assert (found.dropped, found.wrong, found.handshake_failures) == ([], [], [])


@pytest.fixture
def undrained(machine: Machine, guard: Guard) -> Iterator[None]:
    """Deploy replicas that end without draining, during the test."""
    command = ("set", "env", f"deployment/{NAMESPACE}", f"--namespace={NAMESPACE}")
    machine.must(*command, f"{DRAIN}=0")
    guard.until_rolled_out()
    yield
    machine.must(*command, f"{DRAIN}-")
    guard.until_rolled_out()


@pytest.mark.usefixtures("undrained")
def test_without_draining_handshakes_fail(
    machine: Machine, guard: Guard, load: Callable[..., Load], figure: Say
) -> None:
    """The control of the tests above: they would detect replicas that end too early."""
    with load(rate=60, handshakes=4) as pressing:
        began = delete_unheard(machine, guard, pressing)

    found = pressing.report
    figure("the same without drain", found.summary())
    assert [one for one in found.handshake_failures if one["began"] >= began]


def may_serve() -> Json:
    """Return the binding to the role for certificates, which a replica needs to serve."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"namespace": NAMESPACE, "name": UNSYNCED},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "eem-guardrail-certificates"},
        "subjects": [{"kind": "ServiceAccount", "namespace": NAMESPACE, "name": UNSYNCED}],
    }


@pytest.fixture
def elsewhere() -> dict[str, str]:
    """Return additional environment variables of the replica that is not synced: none."""
    return {}


@pytest.fixture
def unsynced(machine: Machine, guard: Guard, elsewhere: dict[str, str]) -> Iterator[str]:
    """Add a replica to the Service that has no right to read, and so is never synced."""
    deployed = machine.must("get", "deployment", NAMESPACE, f"--namespace={NAMESPACE}", "--output=json").json
    spec = deployed["spec"]["template"]["spec"] | {"serviceAccountName": UNSYNCED}
    spec["containers"][0]["env"] += [{"name": name, "value": value} for name, value in elsewhere.items()]
    metadata = {"namespace": NAMESPACE, "name": UNSYNCED}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    machine.apply(service_account(NAMESPACE, UNSYNCED), may_serve(), pod)
    wait_until(lambda: machine.order("alive").get(UNSYNCED), f"{UNSYNCED} alive:\n{guard.last_words()}", seconds=30)
    address = machine.must("get", "pod", UNSYNCED, f"--namespace={NAMESPACE}", "--output=jsonpath={.status.podIP}")
    machine.apply(
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": metadata | {"labels": {"kubernetes.io/service-name": NAMESPACE}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [address.stdout], "conditions": {"ready": True}}],
            "ports": [{"name": "https", "port": 8443, "protocol": "TCP"}],
        }
    )
    yield UNSYNCED
    for kind in ("endpointslice", "pod"):
        machine.must("delete", kind, UNSYNCED, f"--namespace={NAMESPACE}", "--grace-period=1")


def restart_until_met(guard: Guard, unsynced: str, pressing: Load) -> float:
    """Restart replicas until the API server has called *unsynced*, and return how often that answered 503."""
    shed = 0.0
    for _ in range(MOST_RESTARTS):
        guard.restart()
        pressing.go_on(1)
        shed = guard.sum_of(unsynced, "eem_guardrail_reviews_shed_total")
        if shed:
            break
    return shed


def test_a_replica_that_is_not_synced_fails_no_request(
    machine: Machine, guard: Guard, unsynced: str, load: Callable[..., Load], figure: Say
) -> None:
    """It answers 503 with Retry-After, and the API server calls another replica."""
    counted = uncalled(machine)
    with load(rate=60) as pressing:
        shed = restart_until_met(guard, unsynced, pressing)

    found = pressing.report
    figure("beside a replica that is not synced", [found.summary(), f"{shed:.0f} answers of 503"])
    assert (found.dropped, found.wrong) == ([], [])
    assert uncalled(machine) == counted
    assert shed > 0


class TestWithoutRetryAfter:
    """The control of the test above."""

    @pytest.fixture
    def elsewhere(self, tmp_path: Path) -> dict[str, str]:
        """Return variables for a version that does not send `Retry-After`."""
        without_retry_after(tmp_path / "version")
        return {"PYTHONPATH": str(tmp_path / "version")}

    def test_without_retry_after_requests_fail(
        self, guard: Guard, unsynced: str, load: Callable[..., Load], figure: Say
    ) -> None:
        """The API server does not call another replica, and changes fail."""
        with load(rate=60) as pressing:
            shed = restart_until_met(guard, unsynced, pressing)

        found = pressing.report
        figure("the same without Retry-After", [found.summary(), f"{shed:.0f} answers of 503"])
        assert shed > 0
        assert found.dropped
