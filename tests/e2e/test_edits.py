"""Changes of policies by kubectl: which are denied, which are allowed, and what the messages say."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from harness.objects import Json, allow, deny_all, gateway, listed, manager, policy, selects
from harness.place import Place

NARROWED: Json = {"ports": [{"protocol": "TCP", "port": 8081}]}  # without 3000, which the manager requires, too


def test_default_deny_before_the_allow_is_denied(place: Place) -> None:
    """The message names the requirement, the pod, who is cut off, the policy and what to do first."""
    place.set_up(*gateway(place.name))

    answer = place.apply(deny_all(place.name))
    text = place.denied(answer, "CREATE", "default-deny-ingress", user="platform-admin")

    assert answer.stderr.startswith('Error from server (Forbidden): error when creating "STDIN": admission webhook')
    assert f"EventGateway {place.name}/gw" in text
    assert "TCP/8092" in text
    assert "pod gw-ibm-egw-gateway-5d8f7c9b6-x2x7q" in text
    client = r"pod \S+/\S+|any pod, for example a pod without labels in namespace \S+"  # other tests may have pods
    assert re.search(rf"could not be reached from (?:{client}), isolated by", text)
    assert f"{place.name}/default-deny-ingress" in text
    assert "First apply a NetworkPolicy that allows ingress on TCP/8092" in text
    assert place.policies() == set()


def test_default_deny_after_the_allow_is_allowed(place: Place) -> None:
    """With the allow in place, the same default deny is allowed without a warning."""
    place.set_up(*gateway(place.name))

    first = place.apply(allow(place.name, "allow-kafka", "gw", [8092]))
    place.passed(first, "CREATE", "allow-kafka")
    second = place.apply(deny_all(place.name))
    place.passed(second, "CREATE", "default-deny-ingress")

    assert (second.stdout, second.stderr) == ("networkpolicy.networking.k8s.io/default-deny-ingress created\n", "")


def test_allow_and_default_deny_in_one_file_are_allowed(place: Place) -> None:
    """The default deny is judged with the allow, which stands before it in the file, in place."""
    place.set_up(*gateway(place.name))

    answer = place.apply(allow(place.name, "allow-kafka", "gw", [8092]), deny_all(place.name))
    place.passed(answer, "CREATE", "allow-kafka")
    place.passed(answer, "CREATE", "default-deny-ingress")

    assert place.policies() == {"allow-kafka", "default-deny-ingress"}


def test_deleting_the_allow_under_default_deny_is_denied(place: Place) -> None:
    """The allow can be deleted only after the default deny."""
    place.set_up_gateway()

    text = place.denied(place.delete("allow-kafka"), "DELETE", "allow-kafka")
    place.passed(place.delete("default-deny-ingress"), "DELETE", "default-deny-ingress")
    place.passed(place.delete("allow-kafka"), "DELETE", "allow-kafka")

    assert f"deleting NetworkPolicy {place.name}/allow-kafka" in text
    assert f"isolated by {place.name}/default-deny-ingress" in text
    assert place.policies() == set()


def test_widening_a_selector_over_the_gateway_is_denied(place: Place) -> None:
    """A policy that isolates other pods may not be changed so that it isolates the pods of the gateway."""
    batch = policy(place.name, "isolate-batch", selector={"matchLabels": {"role": "batch"}})
    place.set_up(*gateway(place.name), batch)

    text = place.denied(place.apply(policy(place.name, "isolate-batch")), "UPDATE", "isolate-batch")
    kept = place.policy("isolate-batch")

    assert f"changing NetworkPolicy {place.name}/isolate-batch" in text
    assert kept is not None
    assert kept["spec"]["podSelector"] == {"matchLabels": {"role": "batch"}}


def test_moving_the_allow_to_other_pods_is_denied(place: Place) -> None:
    """While the pods of the gateway are isolated, the allow must select them."""
    place.set_up_gateway()

    moved = place.apply(allow(place.name, "allow-kafka", "other", [8092]))

    assert "TCP/8092" in place.denied(moved, "UPDATE", "allow-kafka")


def test_removing_a_required_port_from_the_allow_is_denied(place: Place) -> None:
    """The message names the port that the change removes, and not the port that stays."""
    allowed = allow(place.name, "allow-manager", "mgr", [3000, 8081])
    place.set_up(*manager(place.name), allowed, deny_all(place.name))

    narrowed = place.apply(allow(place.name, "allow-manager", "mgr", [8081]))
    text = place.denied(narrowed, "UPDATE", "allow-manager")

    assert f"EventEndpointManagement {place.name}/mgr: manager TCP/3000" in text
    assert "TCP/8081" not in text.partition(". First apply")[0]


def test_narrowing_the_sources_of_the_allow_is_denied(place: Place) -> None:
    """An allow from all sources may not become an allow from one CIDR."""
    place.set_up_gateway()

    office = allow(place.name, "allow-kafka", "gw", [8092], sources=[{"ipBlock": {"cidr": "203.0.113.0/24"}}])

    assert "TCP/8092" in place.denied(place.apply(office), "UPDATE", "allow-kafka")


@pytest.mark.parametrize(
    ("kind", "patch"),
    [
        pytest.param("json", [{"op": "replace", "path": "/spec/ingress/0", "value": NARROWED}], id="JSON patch"),
        pytest.param("merge", {"spec": {"ingress": [NARROWED]}}, id="merge patch"),
        pytest.param("strategic", {"spec": {"ingress": [NARROWED]}}, id="strategic merge patch"),
    ],
)
def test_a_patch_is_judged_by_its_result(place: Place, kind: str, patch: object) -> None:
    """Each kind of patch that narrows the allow is denied, and a patch that widens it is allowed."""
    allowed = allow(place.name, "allow-manager", "mgr", [3000, 8081])
    place.set_up(*manager(place.name), allowed, deny_all(place.name))

    text = place.denied(place.patch("allow-manager", patch, kind), "UPDATE", "allow-manager")
    widened = place.patch("allow-manager", {"spec": {"ingress": [{}]}}, "merge")
    place.passed(widened, "UPDATE", "allow-manager")

    assert "manager TCP/3000" in text


def test_server_side_apply_is_judged(place: Place) -> None:
    """Server-side apply of a new allow is allowed, and of a narrower allow is denied."""
    place.set_up(*manager(place.name))
    flags = ("--server-side", "--field-manager=e2e")

    created = place.apply(allow(place.name, "allow-manager", "mgr", [3000, 8081]), flags=flags)
    place.passed(created, "CREATE", "allow-manager")
    narrowed = place.apply(allow(place.name, "allow-manager", "mgr", [8081]), flags=flags)
    text = place.denied(narrowed, "UPDATE", "allow-manager")

    assert "manager TCP/3000" in text


def test_replace_is_judged(place: Place) -> None:
    """A replace (PUT) that removes the rules of the allow is denied."""
    place.set_up_gateway()

    emptied = listed(policy(place.name, "allow-kafka", selector=selects("gw")))
    answer = place.kubectl("replace", "-f", "-", stdin=emptied)

    assert "TCP/8092" in place.denied(answer, "UPDATE", "allow-kafka")


def test_delete_all_deletes_only_the_default_deny_first(place: Place) -> None:
    """The first `delete --all` is denied for the allow and deletes the default deny. The second deletes the allow."""
    place.set_up_gateway()

    first = place.kubectl("delete", "networkpolicies", "--all")
    place.denied(first, "DELETE", "allow-kafka")
    place.guard.decisions.heard(place.name, "DELETE", "default-deny-ingress", "allowed")
    left = place.policies()
    second = place.kubectl("delete", "networkpolicies", "--all")
    place.passed(second, "DELETE", "allow-kafka")

    assert (
        first.stdout == f'networkpolicy.networking.k8s.io "default-deny-ingress" deleted from {place.name} namespace\n'
    )
    assert (left, place.policies()) == ({"allow-kafka"}, set())


def test_delete_collection_is_denied_with_the_name_of_the_policy(place: Place) -> None:
    """The reviews of a deletecollection have no name; the name comes from the object."""
    place.set_up_gateway()

    path = f"/apis/networking.k8s.io/v1/namespaces/{place.name}/networkpolicies"
    answer = place.kubectl("delete", "--raw", path)
    text = place.denied(answer, "DELETE", None)

    assert f"deleting NetworkPolicy {place.name}/allow-kafka" in text
    assert "allow-kafka" in place.policies()


def test_a_dry_run_is_judged_and_then_forgotten(place: Place) -> None:
    """A dry run gets the same verdict as the change, and an allowed dry run does not count later."""
    place.set_up(*gateway(place.name))
    dry = ("--dry-run=server",)

    text = place.denied(place.apply(deny_all(place.name), flags=dry), "CREATE", "default-deny-ingress")
    allowed = place.apply(allow(place.name, "allow-kafka", "gw", [8092]), flags=dry)
    place.passed(allowed, "CREATE", "allow-kafka")
    place.denied(place.apply(deny_all(place.name)), "CREATE", "default-deny-ingress")

    assert "TCP/8092" in text
    assert allowed.stdout == "networkpolicy.networking.k8s.io/allow-kafka created (server dry run)\n"
    assert place.policies() == set()


def test_a_policy_with_a_generated_name_is_judged(place: Place) -> None:
    """A policy whose name the API server generates is denied like any other."""
    place.set_up(*gateway(place.name))
    generated = deny_all(place.name)
    generated["metadata"] = {"namespace": place.name, "generateName": "deny-"}

    text = place.denied(place.create(generated), "CREATE", None)

    assert "TCP/8092" in text
    assert place.policies() == set()


@pytest.mark.parametrize("change", [{"labels": {"team": "kafka"}}, {"annotations": {"note": "seen"}}])
def test_a_change_of_metadata_alone_is_not_sent_to_the_service(place: Place, change: dict[str, Any]) -> None:
    """The API server does not call the webhook for an UPDATE that changes neither spec nor ownerReferences."""
    place.set_up_gateway()

    answer = place.patch("allow-kafka", {"metadata": change}, "merge")

    assert (answer.status, place.unasked()) == (0, [])


def test_each_namespace_is_judged_by_its_own_policies(take_place: Callable[[], Place]) -> None:
    """A default deny is allowed in the namespace with an allow. In the other one, the allow may not be narrowed."""
    managing, serving = take_place(), take_place()
    managing.set_up(*manager(managing.name), allow(managing.name, "allow-manager", "mgr", [3000, 8081]))
    serving.set_up_gateway()

    managing.passed(managing.apply(deny_all(managing.name)), "CREATE", "default-deny-ingress")
    there = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": managing.name}}}
    narrowed = serving.apply(allow(serving.name, "allow-kafka", "gw", [8092], sources=[there]))
    text = serving.denied(narrowed, "UPDATE", "allow-kafka")
    managing.denied(managing.delete("allow-manager"), "DELETE", "allow-manager")

    assert f"EventGateway {serving.name}/gw" in text
    assert f"in namespace {managing.name}" not in text


def test_default_deny_in_a_namespace_without_instances_is_allowed(place: Place) -> None:
    """A guarded namespace without instances may isolate its pods."""
    place.set_up()

    place.passed(place.apply(deny_all(place.name)), "CREATE", "default-deny-ingress")

    assert place.policies() == {"default-deny-ingress"}
