"""What is filled in when an instance is made, and that nothing comes and goes afterwards."""

import pytest
from harness.instances import Instances
from harness.objects import Json, event_gateway, listed, listener, management

WAYS = {
    "client-side": (),
    "server-side": ("--server-side", "--field-manager=gitops"),
    "server-side, forced": ("--server-side", "--field-manager=gitops", "--force-conflicts"),
}


def both(namespace: str, name: str, **spec: object) -> list[Json]:
    """Give one instance of each kind, with nothing doubtful about them."""
    return [
        management(namespace, name, **spec),
        event_gateway(namespace, name, listeners=listener(namespace, name), **spec),
    ]


def test_defaults_are_written_down_before_the_verdict(here: Instances) -> None:
    """An instance that leaves deployNetworkPolicies out is stored with true, filled in before it is judged."""
    instances = both(here.name, "plain")

    answer = here.apply(*instances)
    filled = [here.guard.defaults.heard(here.name, "CREATE", "plain", "allowed") for _ in instances]
    judged = [here.guard.verdicts.heard(here.name, "CREATE", "plain", "allowed") for _ in instances]

    assert answer.stderr == ""
    assert [here.spec(instance)["deployNetworkPolicies"] for instance in instances] == [True, True]
    assert here.spec(instances[1])["replicas"] == 1
    by_kind = [{one.kind: one.time for one in found} for found in (filled, judged)]
    assert len(by_kind[0]) == 2
    assert all(by_kind[0][kind] <= by_kind[1][kind] for kind in by_kind[0])


def test_dry_run_shows_what_would_be_filled_in(here: Instances) -> None:
    """A dry run prints the instance with the defaults, and stores nothing."""
    manager, _ = both(here.name, "tried")

    answer = here.apply(manager, flags=("--dry-run=server", "--output=json"))

    assert answer.json["spec"]["deployNetworkPolicies"] is True
    assert here.stored(manager) is None


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_what_is_set_stays(here: Instances, way: tuple[str, ...]) -> None:
    """False stays false, and a number that is set stays as it is."""
    name = f"off-{len(way)}"
    manager, gateway = both(here.name, name, deployNetworkPolicies=False)
    gateway["spec"]["replicas"] = 3

    answer = here.apply(manager, gateway, flags=way)

    assert answer.status == 0
    assert here.spec(manager)["deployNetworkPolicies"] is False
    assert here.spec(gateway)["deployNetworkPolicies"] is False
    assert here.spec(gateway)["replicas"] == 3


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_no_drift(here: Instances, way: tuple[str, ...]) -> None:
    """Ten times the same manifest change nothing, and kubectl sees no difference at any time."""
    instances = both(here.name, f"steady-{len(way)}")
    here.apply(*instances, flags=way)
    before = [here.stored(instance) for instance in instances]

    again = [here.apply(*instances, flags=way) for _ in range(10)]
    diff = here.kubectl("diff", *way, "-f", "-", stdin=listed(*instances))
    after = [here.stored(instance) for instance in instances]

    assert [(answer.status, answer.stderr) for answer in again] == [(0, "")] * 10
    assert (diff.status, diff.stdout) == (0, "")
    assert after == before
