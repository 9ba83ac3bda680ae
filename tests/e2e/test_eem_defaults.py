"""The defaults that are added when an instance is created, and that they cause no drift later."""

import pytest
from harness.instances import Instances
from harness.objects import Json, event_gateway, listed, listener, management

WAYS = {
    "client-side": (),
    "server-side": ("--server-side", "--field-manager=gitops"),
    "server-side, forced": ("--server-side", "--field-manager=gitops", "--force-conflicts"),
}


def both(namespace: str, name: str, **spec: object) -> list[Json]:
    """Return one valid instance of each kind."""
    return [
        management(namespace, name, **spec),
        event_gateway(namespace, name, listeners=listener(namespace, name), **spec),
    ]


def test_defaults_are_added_before_the_instance_is_judged(here: Instances) -> None:
    """An instance without deployNetworkPolicies is stored with true. The default is added before the validation."""
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


def test_a_dry_run_prints_the_defaults(here: Instances) -> None:
    """A dry run prints the instance with its defaults, and stores nothing."""
    manager, _ = both(here.name, "tried")

    answer = here.apply(manager, flags=("--dry-run=server", "--output=json"))

    assert answer.json["spec"]["deployNetworkPolicies"] is True
    assert here.stored(manager) is None


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_defaults_do_not_replace_values_that_are_set(here: Instances, way: tuple[str, ...]) -> None:
    """deployNetworkPolicies: false and a number of replicas stay as they are."""
    name = f"off-{len(way)}"
    manager, gateway = both(here.name, name, deployNetworkPolicies=False)
    gateway["spec"]["replicas"] = 3

    answer = here.apply(manager, gateway, flags=way)

    assert answer.status == 0
    assert here.spec(manager)["deployNetworkPolicies"] is False
    assert here.spec(gateway)["deployNetworkPolicies"] is False
    assert here.spec(gateway)["replicas"] == 3


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_applying_the_same_manifest_again_changes_nothing(here: Instances, way: tuple[str, ...]) -> None:
    """After ten applies nothing has changed, and `kubectl diff` shows no difference."""
    instances = both(here.name, f"steady-{len(way)}")
    here.apply(*instances, flags=way)
    before = [here.stored(instance) for instance in instances]

    again = [here.apply(*instances, flags=way) for _ in range(10)]
    diff = here.kubectl("diff", *way, "-f", "-", stdin=listed(*instances))
    after = [here.stored(instance) for instance in instances]

    assert [(answer.status, answer.stderr) for answer in again] == [(0, "")] * 10
    assert (diff.status, diff.stdout) == (0, "")
    assert after == before
