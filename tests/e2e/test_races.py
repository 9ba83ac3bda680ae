"""Concurrent changes on a real API server, and changes that fail after the service has allowed them."""

import json
from collections.abc import Callable

import pytest
from harness.guard import Guard
from harness.machine import Machine
from harness.objects import allow, deny_all
from harness.place import Place
from harness.racing import Racing
from harness.waiting import wait_until

pytestmark = pytest.mark.clusters("plane")  # each replica has its own address

Say = Callable[[str, object], None]

SEED = 20261126
LAG_SECONDS = 0.05  # well below the time that a denial waits for the watch
COUNTS = [
    pytest.param(200, id="200", marks=pytest.mark.timeout(300)),
    pytest.param(10_000, id="10000", marks=[pytest.mark.long, pytest.mark.timeout(7200)]),
]


@pytest.mark.parametrize("lag_seconds", [0.0, LAG_SECONDS], ids=["as it is", "with a watch that lags"])
@pytest.mark.parametrize("count", COUNTS)
def test_of_two_changes_that_break_together_only_one_is_allowed(
    arena: Racing, figure: Say, count: int, lag_seconds: float
) -> None:
    """Each of the two changes, 0 to 50 ms apart, is harmless alone. Exactly one is allowed, and nothing is cut off."""
    arena.order("fault", lag_seconds=lag_seconds)

    found = arena.order("pairs", group="two" if lag_seconds else "one", count=count, seed=SEED)

    figure(f"{count} pairs", found)
    assert found["wrong"] == {}, found["told"]
    assert sum(found["kinds"].values()) == count
    assert found["overlapping"] > 0


@pytest.mark.parametrize("lag_seconds", [0.0, LAG_SECONDS], ids=["as it is", "with a watch that lags"])
@pytest.mark.parametrize("count", COUNTS)
def test_a_repair_through_another_replica_counts_at_once(
    arena: Racing, figure: Say, count: int, lag_seconds: float
) -> None:
    """A repair goes through one replica, and the change that needs it through the other: both are allowed."""
    arena.order("fault", lag_seconds=lag_seconds)

    found = arena.order("fixes", count=count, seed=SEED)

    figure(f"{count} repairs", found)
    assert found["wrong"] == {}, found["told"]
    assert sum(found["fixed_by"].values()) >= count
    assert found["lists"] > 0


# Changes that were allowed and then failed. `objector.example.com` denies names that begin with "unwanted" or "kept".

DENY = "default-deny-ingress"
FORGOTTEN_SECONDS = 30  # a failed change is forgotten after 2 s, and kubectl may be slow
QUOTA = "count/networkpolicies.networking.k8s.io"


@pytest.fixture
def stage(arena: Racing, machine: Machine, guard: Guard) -> Callable[..., Place]:
    """Return a function that makes a namespace with a gateway, an allow for each name, and a default deny."""

    def make(*names: str) -> Place:
        made = Place(arena.next_namespace(), machine, guard)
        through = [allow(made.name, name, "gw", [8092]) for name in names]
        answer = made.apply(*through, deny_all(made.name))
        assert (answer.status, answer.stderr) == (0, "")
        return made

    return make


def limit_to(place: Place, count: int) -> None:
    """Create a quota without room for another policy, as its controller would, and wait until it applies."""
    counted = {QUOTA: str(count)}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "few"}, "spec": {"hard": counted}}
    place.apply(quota)
    status = json.dumps({"status": {"hard": counted, "used": counted}})
    place.kubectl("patch", "resourcequota", "few", "--subresource=status", "--type=merge", f"--patch={status}")
    probe = allow(place.name, "probe", "gw", [8092])
    wait_until(
        lambda: "exceeded quota" in place.create(probe, flags=("--dry-run=server",)).stderr,
        "the quota",
        seconds=FORGOTTEN_SECONDS,
    )


def test_an_allow_that_a_quota_rejects_does_not_count(arena: Racing, stage: Callable[..., Place]) -> None:
    """The service allows a second allow, and a quota rejects it. The first allow must stay."""
    place = stage("a")
    limit_to(place, 2)

    created = place.create(allow(place.name, "b", "gw", [8092]))
    arena.until_decided(place.name, "CREATE", "b", "allowed")
    removed = place.delete("a")

    assert "exceeded quota" in created.stderr
    assert "denied the request" in removed.stderr
    assert place.policies() == {"a", DENY}


def test_an_allow_that_another_webhook_denies_does_not_count(arena: Racing, stage: Callable[..., Place]) -> None:
    """The API server calls two webhooks at the same time, and the other one denies."""
    place = stage("a")

    created = place.create(allow(place.name, "unwanted", "gw", [8092]))
    arena.until_decided(place.name, "CREATE", "unwanted", "allowed")
    removed = place.delete("a")

    assert "objector.example.com" in created.stderr
    assert "networkpolicies.eem-guardrail.io" in removed.stderr
    assert place.policies() == {"a", DENY}


def test_a_delete_that_fails_is_forgotten_soon(arena: Racing, stage: Callable[..., Place]) -> None:
    """Another webhook denies the deletion of the first allow. Soon the second allow may be deleted."""
    place = stage("kept", "b")

    kept = place.delete("kept")
    arena.until_decided(place.name, "DELETE", "kept", "allowed")
    wait_until(lambda: place.delete("b").status == 0, "the deletion of b", seconds=FORGOTTEN_SECONDS)

    assert "objector.example.com" in kept.stderr
    assert place.policies() == {"kept", DENY}


def test_a_dry_run_does_not_count_for_the_next_change(arena: Racing, stage: Callable[..., Place]) -> None:
    """A dry run of a deletion does not prevent the deletion of the other allow."""
    place = stage("a", "b")

    tried = place.delete("a", "--dry-run=server")
    arena.until_decided(place.name, "DELETE", "a", "allowed")
    removed = place.delete("b")

    assert (tried.status, removed.status) == (0, 0)
    assert place.policies() == {"a", DENY}


@pytest.mark.parametrize(
    ("lists", "reason"),
    [
        pytest.param("slow", "it did not answer in time", id="it is slow"),
        pytest.param("cut", "Server disconnected", id="it cuts the connection"),
        pytest.param("busy", "429 TooManyRequests", id="it answers 429"),
    ],
)
def test_a_refusal_says_when_the_api_server_could_not_be_asked(
    arena: Racing, stage: Callable[..., Place], lists: str, reason: str
) -> None:
    """The service answers before the timeout of the API server, and the message names the reason."""
    place = stage("a")

    arena.order("fault", lists=lists)
    unsure = place.delete("a")
    arena.order("fault")
    sure = place.delete("a")

    assert "could not be asked to confirm this" in unsure.stderr
    assert reason in unsure.stderr
    assert "denied the request" in sure.stderr
    assert "could not be asked" not in sure.stderr
    assert place.policies() == {"a", DENY}
