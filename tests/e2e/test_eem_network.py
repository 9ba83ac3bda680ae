"""Instances and NetworkPolicies, each judged by the current state of the other."""

from collections.abc import Callable

import pytest
from harness.instances import Instances
from harness.objects import allow, deny_all, event_gateway, gateway, listener, manager, owner
from harness.place import Place


@pytest.fixture
def alone(take_place: Callable[[], Place]) -> Instances:
    """Return one guarded namespace for each test."""
    return Instances(take_place())


def about_ports(warnings: list[str]) -> list[str]:
    """Return the warnings about ports."""
    return [line for line in warnings if line.startswith("TCP/")]


def test_an_instance_under_default_deny_is_created_without_warnings(alone: Instances) -> None:
    """The operator makes the policies that open its ports."""
    alone.place.set_up(deny_all(alone.name))
    management, _ = manager(alone.name)
    instance = event_gateway(alone.name, listeners=listener(alone.name, port=9443))

    assert alone.passed(alone.apply(management), "CREATE", management) == []
    assert alone.passed(alone.apply(instance), "CREATE", instance) == []


def test_an_exempt_instance_under_default_deny_is_created_with_warnings(alone: Instances) -> None:
    """Each warning names a port that needs a policy of the user, and the policy that closes it."""
    alone.place.set_up(deny_all(alone.name))
    management = manager(alone.name, deployNetworkPolicies=False)[0]
    instance = event_gateway(alone.name, listeners=listener(alone.name, port=9443), deployNetworkPolicies=False)

    managed = alone.passed(alone.apply(management), "CREATE", management, "warned")
    served = alone.passed(alone.apply(instance), "CREATE", instance, "warned")

    assert about_ports(managed) == [
        "TCP/3000 of its pods will need a policy that you write: isolated by default-deny-ingress",
        "TCP/8081 of its pods will need a policy that you write: isolated by default-deny-ingress",
    ]
    assert about_ports(served) == [
        "TCP/9443 of its pods will need a policy that you write: isolated by default-deny-ingress"
    ]


def test_an_instance_whose_port_is_allowed_is_created_without_warnings(alone: Instances) -> None:
    """From then on, the allow is required and cannot be deleted."""
    alone.place.set_up(deny_all(alone.name), allow(alone.name, "allow-kafka", "gw", [8092]))
    instance = event_gateway(alone.name, listeners=listener(alone.name))

    told = alone.passed(alone.apply(instance), "CREATE", instance)
    alone.until_seen()
    text = alone.place.denied(alone.place.delete("allow-kafka"), "DELETE", "allow-kafka")

    assert told == []
    assert "gateway TCP/8092" in text


def test_switching_deploy_network_policies_off_warns_about_ports(alone: Instances) -> None:
    """The warning names the port that will be closed when the operator deletes its policy."""
    own = allow(alone.name, "gw-ibm-egw-gateway", "gw", [8092])
    alone.place.set_up(*gateway(alone.name, listeners=listener(alone.name)), own, deny_all(alone.name))
    instance = event_gateway(alone.name, listeners=listener(alone.name))
    stored = alone.stored(instance)
    assert stored is not None
    owners = [owner("EventGateway", "gw", stored["metadata"]["uid"])]
    owned = alone.place.patch("gw-ibm-egw-gateway", {"metadata": {"ownerReferences": owners}}, "merge")
    alone.place.passed(owned, "UPDATE", "gw-ibm-egw-gateway", "exempt")

    off = alone.patch(instance, {"spec": {"deployNetworkPolicies": False}})
    told = alone.passed(off, "UPDATE", instance, "warned")

    (port,) = about_ports(told)
    assert port.startswith("TCP/8092 of gw-ibm-egw")
    assert port.endswith("will need a policy that you write: isolated by default-deny-ingress")
    assert any(line.startswith("spec.deployNetworkPolicies: is false") for line in told)


def test_moving_a_listener_to_a_closed_port_warns(alone: Instances) -> None:
    """The warning names the port and the policies that isolate the pods."""
    allowed = allow(alone.name, "allow-kafka", "gw", [8092])
    alone.place.set_up(*gateway(alone.name, listeners=listener(alone.name)), allowed, deny_all(alone.name))
    instance = event_gateway(alone.name, listeners=listener(alone.name, port=9443))

    told = alone.passed(alone.apply(instance), "UPDATE", instance, "warned")

    assert len(told) == 1
    assert told[0].startswith("TCP/9443 of gw-ibm-egw")
    assert told[0].endswith("is closed unless policies change: isolated by allow-kafka and 1 more")
