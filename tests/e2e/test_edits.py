"""Edits of policies by kubectl: what is refused, what is not, and in which words."""

from collections.abc import Callable
from typing import Any

import pytest
from harness.objects import Json, allow, deny_all, gateway, listed, manager, policy, selects
from harness.place import Place

NARROWED: Json = {"ports": [{"protocol": "TCP", "port": 8081}]}  # of the manager's 3000 and 8081


def test_default_deny_before_the_allows(place: Place) -> None:
    """A default-deny that comes first is refused, in words that name what breaks, for whom, and what to do."""
    place.set_up(*gateway(place.name))

    answer = place.apply(deny_all(place.name))
    text = place.denied(answer, "CREATE", "default-deny-ingress", user="platform-admin")

    assert answer.stderr.startswith('Error from server (Forbidden): error when creating "STDIN": admission webhook')
    assert f"EventGateway {place.name}/gw" in text
    assert "TCP/8092" in text
    assert "pod gw-ibm-egw-gateway-5d8f7c9b6-x2x7q" in text
    assert "a pod without labels in namespace " in text
    assert f"{place.name}/default-deny-ingress" in text
    assert "First apply a NetworkPolicy that allows ingress on TCP/8092" in text
    assert place.policies() == set()


def test_default_deny_after_the_allows(place: Place) -> None:
    """The same default-deny is let through once the allow is there, and nothing is warned about."""
    place.set_up(*gateway(place.name))

    first = place.apply(allow(place.name, "allow-kafka", "gw", [8092]))
    place.passed(first, "CREATE", "allow-kafka")
    second = place.apply(deny_all(place.name))
    place.passed(second, "CREATE", "default-deny-ingress")

    assert (second.stdout, second.stderr) == ("networkpolicy.networking.k8s.io/default-deny-ingress created\n", "")


def test_allows_and_default_deny_in_one_file(place: Place) -> None:
    """One apply of the allow and then the default-deny passes: the second is judged with the first in place."""
    place.set_up(*gateway(place.name))

    answer = place.apply(allow(place.name, "allow-kafka", "gw", [8092]), deny_all(place.name))
    place.passed(answer, "CREATE", "allow-kafka")
    place.passed(answer, "CREATE", "default-deny-ingress")

    assert place.policies() == {"allow-kafka", "default-deny-ingress"}


def test_allow_deleted_under_default_deny(place: Place) -> None:
    """The allow cannot be deleted while the default-deny stands; after the default-deny went, it can."""
    place.set_up_gateway()

    text = place.denied(place.delete("allow-kafka"), "DELETE", "allow-kafka")
    place.passed(place.delete("default-deny-ingress"), "DELETE", "default-deny-ingress")
    place.passed(place.delete("allow-kafka"), "DELETE", "allow-kafka")

    assert f"deleting NetworkPolicy {place.name}/allow-kafka" in text
    assert f"isolated by {place.name}/default-deny-ingress" in text
    assert place.policies() == set()


def test_selector_widened(place: Place) -> None:
    """A policy that isolates other pods may not be widened over the gateway's."""
    batch = policy(place.name, "isolate-batch", selector={"matchLabels": {"role": "batch"}})
    place.set_up(*gateway(place.name), batch)

    text = place.denied(place.apply(policy(place.name, "isolate-batch")), "UPDATE", "isolate-batch")
    kept = place.policy("isolate-batch")

    assert f"changing NetworkPolicy {place.name}/isolate-batch" in text
    assert kept is not None
    assert kept["spec"]["podSelector"] == {"matchLabels": {"role": "batch"}}


def test_allow_turned_to_other_pods(place: Place) -> None:
    """The allow's selector may not leave the gateway's pods while they are isolated."""
    place.set_up_gateway()

    moved = place.apply(allow(place.name, "allow-kafka", "other", [8092]))

    assert "TCP/8092" in place.denied(moved, "UPDATE", "allow-kafka")


def test_ports_narrowed(place: Place) -> None:
    """The manager's allow may not lose port 3000; the refusal names that port and not the one that stays."""
    allowed = allow(place.name, "allow-manager", "mgr", [3000, 8081])
    place.set_up(*manager(place.name), allowed, deny_all(place.name))

    narrowed = place.apply(allow(place.name, "allow-manager", "mgr", [8081]))
    text = place.denied(narrowed, "UPDATE", "allow-manager")

    assert f"EventEndpointManagement {place.name}/mgr: manager TCP/3000" in text
    assert "TCP/8081" not in text.partition(". First apply")[0]


def test_sources_narrowed(place: Place) -> None:
    """An allow from anywhere may not become one from a single CIDR."""
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
def test_patches(place: Place, kind: str, patch: object) -> None:
    """However a policy is patched, what counts is what comes of it; a patch that widens passes."""
    allowed = allow(place.name, "allow-manager", "mgr", [3000, 8081])
    place.set_up(*manager(place.name), allowed, deny_all(place.name))

    text = place.denied(place.patch("allow-manager", patch, kind), "UPDATE", "allow-manager")
    widened = place.patch("allow-manager", {"spec": {"ingress": [{}]}}, "merge")
    place.passed(widened, "UPDATE", "allow-manager")

    assert "manager TCP/3000" in text


def test_server_side_apply(place: Place) -> None:
    """Server-side apply, which is a patch of its own kind, creates what is fine and is refused what breaks."""
    place.set_up(*manager(place.name))
    flags = ("--server-side", "--field-manager=e2e")

    created = place.apply(allow(place.name, "allow-manager", "mgr", [3000, 8081]), flags=flags)
    place.passed(created, "CREATE", "allow-manager")
    narrowed = place.apply(allow(place.name, "allow-manager", "mgr", [8081]), flags=flags)
    text = place.denied(narrowed, "UPDATE", "allow-manager")

    assert "manager TCP/3000" in text


def test_replace(place: Place) -> None:
    """A replace (PUT) is judged like a patch."""
    place.set_up_gateway()

    emptied = listed(policy(place.name, "allow-kafka", selector=selects("gw")))
    answer = place.kubectl("replace", "-f", "-", stdin=emptied)

    assert "TCP/8092" in place.denied(answer, "UPDATE", "allow-kafka")


def test_delete_all(place: Place) -> None:
    """`delete --all` is refused the allow and deletes the default-deny; the second time it deletes the rest."""
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


def test_delete_collection(place: Place) -> None:
    """A deletecollection, whose reviews carry no name, is refused by the name of the object."""
    place.set_up_gateway()

    path = f"/apis/networking.k8s.io/v1/namespaces/{place.name}/networkpolicies"
    answer = place.kubectl("delete", "--raw", path)
    text = place.denied(answer, "DELETE", None)

    assert f"deleting NetworkPolicy {place.name}/allow-kafka" in text
    assert "allow-kafka" in place.policies()


def test_dry_run(place: Place) -> None:
    """A dry run is judged like the change itself, and what it allowed does not count afterwards."""
    place.set_up(*gateway(place.name))
    dry = ("--dry-run=server",)

    text = place.denied(place.apply(deny_all(place.name), flags=dry), "CREATE", "default-deny-ingress")
    allowed = place.apply(allow(place.name, "allow-kafka", "gw", [8092]), flags=dry)
    place.passed(allowed, "CREATE", "allow-kafka")
    place.denied(place.apply(deny_all(place.name)), "CREATE", "default-deny-ingress")

    assert "TCP/8092" in text
    assert allowed.stdout == "networkpolicy.networking.k8s.io/allow-kafka created (server dry run)\n"
    assert place.policies() == set()


def test_generated_name(place: Place) -> None:
    """A policy whose name the API server makes up is judged like any other."""
    place.set_up(*gateway(place.name))
    generated = deny_all(place.name)
    generated["metadata"] = {"namespace": place.name, "generateName": "deny-"}

    text = place.denied(place.create(generated), "CREATE", None)

    assert "TCP/8092" in text
    assert place.policies() == set()


@pytest.mark.parametrize("change", [{"labels": {"team": "kafka"}}, {"annotations": {"note": "seen"}}])
def test_metadata_alone_is_not_asked_about(place: Place, change: dict[str, Any]) -> None:
    """An UPDATE that leaves spec and owners alone stays in the API server, even while the requirement is broken."""
    place.set_up_gateway()

    answer = place.patch("allow-kafka", {"metadata": change}, "merge")

    assert (answer.status, place.unasked()) == (0, [])


def test_two_namespaces(take_place: Callable[[], Place]) -> None:
    """Each namespace is judged by its own policies, and may not be narrowed to the pods of another."""
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


def test_namespace_without_the_product(place: Place) -> None:
    """A guarded namespace that holds no instance may isolate itself."""
    place.set_up()

    place.passed(place.apply(deny_all(place.name)), "CREATE", "default-deny-ingress")

    assert place.policies() == {"default-deny-ingress"}
