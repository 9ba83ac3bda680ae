"""Changes of instances by kubectl: which are denied, which cause warnings, and what the messages say."""

from collections.abc import Callable

import pytest
from harness.instances import Instances
from harness.machine import Machine
from harness.objects import LICENSE, Json, event_gateway, listed, listener, management, namespace
from harness.place import Place

NOT_ACCEPTED = "must be true: the operator deploys nothing until you accept the licence"
FIXED = "cannot change: the existing claim keeps the value that it was created with"
FLAGS = {
    "apply": ("apply",),
    "create": ("create",),
    "server-side apply": ("apply", "--server-side", "--field-manager=e2e"),
    "dry run": ("apply", "--dry-run=server"),
    "server-side dry run": ("apply", "--server-side", "--dry-run=server"),
}


@pytest.fixture
def alone(take_place: Callable[[], Place]) -> Instances:
    """Return a namespace for one test, which changes the whole namespace."""
    place = take_place()
    place.set_up()
    return Instances(place)


def faulty(namespace: str, name: str) -> Json:
    """Return a manager with five faults, in different areas, that no later version of EEM can accept."""
    part = {
        "storage": {"type": "persistent-claim", "size": "10GiB", "storageClassName": "fast"},
        "authConfig": {"authType": "OIDC"},
        "endpoints": [
            {"name": "server", "host": f"server.{name}.example.com"},
            {"name": "ui", "host": f"ui.{name}.example.com"},
        ],
        "tls": {"caSecretName": "<secret>"},
    }
    return management(namespace, name, part, license=LICENSE | {"accept": False})


@pytest.mark.parametrize("flags", FLAGS.values(), ids=FLAGS)
def test_all_faults_of_an_instance_are_in_one_answer(here: Instances, flags: tuple[str, ...]) -> None:
    """For each way to create an instance, kubectl prints every fault with its field, and nothing is stored."""
    instance = faulty(here.name, "faulty")
    host = '"server.faulty.example.com"'

    answer = here.kubectl(*flags, "-f", "-", stdin=listed(instance))
    told = here.refused(answer, "CREATE", instance)

    assert told == {
        "spec.license.accept": NOT_ACCEPTED,
        "spec.manager.authConfig.oidcConfig": "must be set: authType is OIDC",
        "spec.manager.endpoints[0].host": f'must begin with "eem." for the endpoint server, not be {host}',
        "spec.manager.storage.size": told["spec.manager.storage.size"],
        "spec.manager.tls.caSecretName": "must have a value in place of <secret>",
    }
    assert '"10GiB"' in told["spec.manager.storage.size"]
    assert here.stored(instance) is None


def test_a_single_fault_is_printed_like_a_fault_of_the_api_server(here: Instances) -> None:
    """The message has the kind, the name and the field."""
    instance = event_gateway(here.name, "single", license=LICENSE | {"accept": False})

    answer = here.apply(instance)
    here.refused(answer, "CREATE", instance)

    assert answer.stderr.splitlines()[-1] == (
        f'The EventGateway "single" is invalid: spec.license.accept: {NOT_ACCEPTED}'
    )


def test_an_instance_with_a_generated_name_is_judged(here: Instances) -> None:
    """An instance whose name the API server generates is denied like any other."""
    instance = event_gateway(here.name, "", license=LICENSE | {"accept": False})
    instance["metadata"] = {"namespace": here.name, "generateName": "gateway-"}

    told = here.refused(here.create(instance), "CREATE", instance)

    assert set(told) == {"spec.license.accept"}


def test_of_two_instances_in_one_file_only_the_valid_one_is_stored(here: Instances) -> None:
    """The verdict on one instance does not affect the other."""
    good = management(here.name, "good")
    bad = management(here.name, "bad", {"authConfig": {"authType": "OIDC"}})

    answer = here.apply(bad, good)
    here.refused(answer, "CREATE", bad)
    here.guard.verdicts.heard(here.name, "CREATE", "good", "allowed")

    assert here.stored(good) is not None
    assert here.stored(bad) is None


def test_a_questionable_setting_is_stored_with_a_warning(here: Instances) -> None:
    """The warning names the field and the reason."""
    production = LICENSE | {"use": "EventAutomationProduction"}
    instance = management(here.name, "doubtful", license=production)
    old = event_gateway(
        here.name, "old", managerEndpoint="https://old.example.com", listeners=listener(here.name, "old")
    )

    told = here.passed(here.apply(instance), "CREATE", instance, "warned")
    deprecated = here.passed(here.apply(old), "CREATE", old, "warned")

    assert len(told) == 1
    assert told[0].startswith("spec.manager.storage.type: should be persistent-claim with the licence for Event")
    assert "spec.managerEndpoint: Deprecated since 11.8.0: use spec.manager.endpoint instead" in deprecated
    assert here.stored(instance) is not None


def test_a_valid_instance_is_created_without_warnings(here: Instances) -> None:
    """The output says only that the instances were created."""
    instances = [management(here.name, "fine"), event_gateway(here.name, "fine", listeners=listener(here.name, "fine"))]

    answer = here.apply(*instances)

    assert answer.stderr == ""
    assert answer.stdout == (
        "eventendpointmanagement.events.ibm.com/fine created\neventgateway.events.ibm.com/fine created\n"
    )


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        pytest.param("merge", {"spec": {"license": {"accept": False}}}, id="merge patch"),
        pytest.param("json", [{"op": "replace", "path": "/spec/license/accept", "value": False}], id="JSON patch"),
    ],
)
def test_a_patch_of_an_instance_is_judged_by_its_result(here: Instances, kind: str, change: object) -> None:
    """Each kind of patch that withdraws the acceptance of the licence is denied."""
    instance = management(here.name, f"patched-{kind}")
    here.passed(here.apply(instance), "CREATE", instance)

    told = here.refused(here.patch(instance, change, kind=kind), "UPDATE", instance)

    assert set(told) == {"spec.license.accept"}
    assert here.spec(instance)["license"]["accept"] is True


@pytest.mark.parametrize("flags", [("apply",), ("apply", "--server-side"), ("replace",)], ids=" ".join)
def test_apply_and_replace_of_an_instance_are_judged(here: Instances, flags: tuple[str, ...]) -> None:
    """Apply, server-side apply and replace of an existing instance are denied like a patch."""
    name = "changed" + "".join(flags).replace("apply", "-a")
    instance = management(here.name, name)
    here.passed(here.kubectl("apply", *flags[1:], "-f", "-", stdin=listed(instance)), "CREATE", instance)

    instance["spec"]["manager"]["authConfig"] = {"authType": "OIDC"}
    told = here.refused(here.kubectl(*flags, "-f", "-", stdin=listed(instance)), "UPDATE", instance)

    assert set(told) == {"spec.manager.authConfig.oidcConfig"}


def test_only_new_faults_deny_an_update(alone: Instances) -> None:
    """Faults that the instance had before are warnings, also at a new index. Only a new fault is in the denial."""
    instance = faulty(alone.name, "inherited")
    alone.store_anyway(instance)
    ends = instance["spec"]["manager"]["endpoints"]

    turned = alone.patch(instance, {"spec": {"manager": {"endpoints": ends[::-1], "traceSpec": "all=info"}}})
    kept = alone.passed(turned, "UPDATE", instance, "warned")
    worse = alone.patch(instance, {"spec": {"manager": {"apic": {"jwks": {"endpoint": "portal"}}}}})
    told = alone.refused(worse, "UPDATE", instance)
    better = alone.patch(instance, {"spec": {"license": LICENSE}})
    left = alone.passed(better, "UPDATE", instance, "warned")

    assert "spec.manager.authConfig.oidcConfig: must be set: authType is OIDC (as before)" in kept
    assert any(line.startswith("spec.manager.endpoints[1].host: ") for line in kept)
    assert set(told) == {"spec.manager.apic.jwks.endpoint"}
    assert not any(line.startswith("spec.license") for line in left)


def test_mode_warn_gives_warnings_and_mode_audit_gives_none(alone: Instances) -> None:
    """In mode warn each fault is a warning. In mode audit kubectl prints nothing."""
    warned, audited = (
        faulty(alone.name, "warned"),
        event_gateway(alone.name, "audited", license={**LICENSE, "use": "x"}),
    )

    alone.set_mode("warn")
    told = alone.passed(alone.apply(warned), "CREATE", warned, "warned")
    alone.set_mode("audit")
    silent = alone.passed(alone.apply(audited), "CREATE", audited, "audited")

    assert sum(line.startswith("would be refused: ") for line in told) == 5
    assert silent == []


def storage(name: str, **settings: str) -> Json:
    """Return the part of a manager with a persistent volume claim."""
    return {"storage": {"type": "persistent-claim", "storageClassName": name, "size": "1Gi", **settings}}


def storage_class(name: str, *, default: bool = False) -> Json:
    """Return a StorageClass."""
    annotations = {"storageclass.kubernetes.io/is-default-class": "true"} if default else {}
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": name, "annotations": annotations},
        "provisioner": "example.com/none",
    }


def test_impossible_changes_of_a_claim_are_denied(here: Instances) -> None:
    """A new class, a selector or a smaller size is denied. A change that only loses data causes a warning."""
    here.place.machine.must("apply", "-f", "-", stdin=listed(storage_class("fast"), storage_class("slow")))
    here.guard.until_seen(["storageclasses"])
    instance = management(here.name, "claimed", storage("fast"))
    here.passed(here.apply(instance), "CREATE", instance)

    moved = management(here.name, "claimed", storage("slow", size="500Mi", selectors={"disk": "ssd"}))
    told = here.refused(here.apply(moved), "UPDATE", instance)
    grown = here.passed(here.apply(management(here.name, "claimed", storage("fast", size="2Gi"))), "UPDATE", instance)
    lost = here.passed(here.apply(management(here.name, "claimed")), "UPDATE", instance, "warned")

    assert told == {
        "spec.manager.storage.selectors": FIXED,
        "spec.manager.storage.size": "cannot shrink from 1Gi to 500Mi: a persistent claim can only grow",
        "spec.manager.storage.storageClassName": FIXED,
    }
    assert grown == []
    assert lost == ["spec.manager.storage.type: changes: the stored data is not copied to the new storage and is lost"]


def test_a_claim_without_class_needs_a_default_storage_class(here: Instances) -> None:
    """A claim without a class is denied while the cluster has no default class."""
    instance = management(here.name, "classless", {"storage": {"type": "persistent-claim"}})

    told = here.refused(here.apply(instance), "CREATE", instance)
    here.place.machine.must("apply", "-f", "-", stdin=listed(storage_class("standard", default=True)))
    here.guard.until_seen(["storageclasses"])
    found = here.passed(here.apply(instance), "CREATE", instance)
    here.place.machine.must("delete", "storageclass", "standard")
    here.guard.until_seen(["storageclasses"])

    assert set(told) == {"spec.manager.storage.storageClassName"}
    assert found == []


def test_a_duplicate_gateway_id_is_denied(here: Instances, machine: Machine) -> None:
    """A gateway ID cannot be used twice in one group of one manager, also from another namespace."""
    first = event_gateway(here.name, "first", gatewayID="one")
    here.passed(here.apply(first), "CREATE", first, "warned")
    here.until_seen()
    machine.must("apply", "-f", "-", stdin=listed(*namespace("elsewhere")))

    second = event_gateway("elsewhere", "second", gatewayID="one", manager=first["spec"]["manager"])
    answer = machine.kubectl("apply", "-f", "-", stdin=listed(second))
    here.guard.verdicts.heard("elsewhere", "CREATE", "second", "denied")

    assert f'in the group group: "one" is already the id of EventGateway {here.name}/first' in answer.stderr
