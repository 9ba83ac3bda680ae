"""The requests that the service sent to the API server during all other tests here, against its RBAC rights."""

from collections.abc import Iterator

import pytest
from harness.guard import NAMESPACE, Guard
from harness.kustomizing import built
from harness.machine import Machine
from harness.objects import Json, deny_all, gateway
from harness.place import Place
from harness.registering import RegisteringGuard
from harness.waiting import wait_until
from harness.witness import asked_by_the_service
from test_attack import AGENT

pytestmark = pytest.mark.after_others  # this reads their requests in the audit log

FOR_USERS = "eem-guardrail-bypass"
DRIFTED = "ConfigurationDrift"
TOLD_SECONDS = 60


def granted(manifests: list[Json]) -> Iterator[tuple[str, str, str]]:
    """Yield each verb, group and resource that the roles of the service grant."""
    for role in manifests:
        if role["kind"] in ("Role", "ClusterRole") and role["metadata"]["name"] != FOR_USERS:
            for rule in role["rules"]:
                for verb in rule["verbs"]:
                    yield from (
                        (verb, group, resource) for group in rule["apiGroups"] for resource in rule["resources"]
                    )


def tell(guard: RegisteringGuard) -> None:
    """Have one replica create an Event and the next leader write it again, if no test before did."""
    guard.drift()
    first = wait_until(lambda: guard.told(DRIFTED), "an Event", seconds=TOLD_SECONDS)
    guard.kill_leader()
    wait_until(lambda: guard.told(DRIFTED) != first, "the Event to be written again", seconds=TOLD_SECONDS)
    guard.until_ready()
    guard.apply_configurations()
    guard.until_registered()


def ask_for_a_bypass(place: Place) -> None:
    """Have one replica ask whether the administrator may bypass the guard."""
    place.set_up(*gateway(place.name))
    deny = deny_all(place.name)
    deny["metadata"]["annotations"] = {"eem-guardrail.io/bypass": "a test of the rights"}
    place.create(deny, flags=("--dry-run=server",))


def test_no_request_of_the_service_was_forbidden(machine: Machine, guard: Guard) -> None:
    """The audit log has no forbidden request of the service."""
    asked = [one for one in asked_by_the_service(machine) if one.agent != AGENT]

    assert len(asked) > len(guard.replicas())
    assert [one for one in asked if one.forbidden] == []


def test_every_granted_right_was_used_by_the_service(machine: Machine, guard: RegisteringGuard, place: Place) -> None:
    """The audit log has each verb that the manifests grant on each resource."""
    if not any(one.resource == "events" for one in asked_by_the_service(machine)):
        tell(guard)
    ask_for_a_bypass(place)
    manifests = built(machine, guard.overlay)
    used = {(one.verb, one.group, one.resource) for one in asked_by_the_service(machine) if one.agent != AGENT}

    assert set(granted(manifests)) - used == set()
    assert NAMESPACE in {one["metadata"]["name"] for one in manifests}
