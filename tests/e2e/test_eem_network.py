"""Instances and NetworkPolicies, each judged by what is known of the other."""

from collections.abc import Callable

import pytest
from harness.instances import Instances
from harness.objects import allow, deny_all, event_gateway, gateway, listener, manager, owner
from harness.place import Place


@pytest.fixture
def alone(take_place: Callable[[], Place]) -> Instances:
    """Give one guarded namespace to each case."""
    return Instances(take_place())


def about_ports(warnings: list[str]) -> list[str]:
    """Give the warnings that are about ports."""
    return [line for line in warnings if line.startswith("TCP/")]


def test_made_where_pods_are_isolated(alone: Instances) -> None:
    """Whoever makes an instance under a default-deny is told which ports will be closed, and by which policy."""
    alone.place.set_up(deny_all(alone.name))
    management, _ = manager(alone.name)
    instance = event_gateway(alone.name, listeners=listener(alone.name, port=9443))

    managed = alone.passed(alone.apply(management), "CREATE", management, "warned")
    served = alone.passed(alone.apply(instance), "CREATE", instance, "warned")

    assert managed == [
        "TCP/3000 of its pods will not be open: isolated by default-deny-ingress",
        "TCP/8081 of its pods will not be open: isolated by default-deny-ingress",
    ]
    assert served == ["TCP/9443 of its pods will not be open: isolated by default-deny-ingress"]


def test_made_where_its_port_is_allowed(alone: Instances) -> None:
    """With the allow there first, there is nothing to say; from then on the policy is guarded."""
    alone.place.set_up(deny_all(alone.name), allow(alone.name, "allow-kafka", "gw", [8092]))
    instance = event_gateway(alone.name, listeners=listener(alone.name))

    told = alone.passed(alone.apply(instance), "CREATE", instance)
    alone.until_seen()
    text = alone.place.denied(alone.place.delete("allow-kafka"), "DELETE", "allow-kafka")

    assert told == []
    assert "gateway TCP/8092" in text


def test_switched_off(alone: Instances) -> None:
    """Whoever turns deployNetworkPolicies off is told which port closes once the operator's own policy is gone."""
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
    assert port.endswith("will need a policy of your own: isolated by default-deny-ingress")
    assert any(line.startswith("spec.deployNetworkPolicies: is false") for line in told)


def test_port_changed(alone: Instances) -> None:
    """Whoever moves the listener to a port that the policies do not admit is told."""
    allowed = allow(alone.name, "allow-kafka", "gw", [8092])
    alone.place.set_up(*gateway(alone.name, listeners=listener(alone.name)), allowed, deny_all(alone.name))
    instance = event_gateway(alone.name, listeners=listener(alone.name, port=9443))

    told = alone.passed(alone.apply(instance), "UPDATE", instance, "warned")

    assert len(told) == 1
    assert told[0].startswith("TCP/9443 of gw-ibm-egw")
    assert told[0].endswith("is closed unless policies follow: isolated by allow-kafka and 1 more")
