"""What the instances demand, as they change under the service."""

import time

from harness.guard import NAMESPACE, Guard
from harness.machine import Machine
from harness.objects import allow, deny_all, event_gateway, gateway, manager, operator, service_account
from harness.place import Place


def switch(place: Place, *, deploys: bool) -> None:
    """Set spec.deployNetworkPolicies of the gateway, and wait until every replica knows."""
    since = time.time()
    patch = f'{{"spec": {{"deployNetworkPolicies": {str(deploys).lower()}}}}}'
    answer = place.kubectl("patch", "eventgateway", "gw", "--type=merge", f"--patch={patch}")
    if answer.status != 0:
        raise AssertionError(answer)
    place.guard.until_told("eventgateways", since)


def test_kinds_that_come_after_the_service(machine: Machine, guard: Guard, place: Place) -> None:
    """Replicas that started before the kinds existed judge by their objects, without having been restarted."""
    made = machine.must("get", "-f", str(guard.kinds), "--output=json").json["items"]
    pods = machine.must("get", "pods", f"--namespace={NAMESPACE}", "--output=json").json["items"]
    place.set_up(*gateway(place.name))

    place.denied(place.apply(deny_all(place.name)), "CREATE", "default-deny-ingress")

    assert guard.first_replicas == {one["metadata"]["name"] for one in pods}
    assert max(one["status"]["startTime"] for one in pods) <= min(one["metadata"]["creationTimestamp"] for one in made)


def test_switch_off_and_on(place: Place) -> None:
    """An instance with deployNetworkPolicies off demands nothing; switched on again, it does."""
    place.set_up(*gateway(place.name))
    place.denied(place.apply(deny_all(place.name)), "CREATE", "default-deny-ingress")

    switch(place, deploys=False)
    place.passed(place.apply(deny_all(place.name)), "CREATE", "default-deny-ingress", "exempt")
    place.passed(place.delete("default-deny-ingress"), "DELETE", "default-deny-ingress", "exempt")
    switch(place, deploys=True)
    text = place.denied(place.apply(deny_all(place.name)), "CREATE", "default-deny-ingress")

    assert "TCP/8092" in text
    assert place.policies() == set()


def test_port_of_the_listener(place: Place) -> None:
    """A gateway with a listener needs that port, and not 8092 any more."""
    listeners = [{"name": "external", "port": 9443}]
    place.set_up(*gateway(place.name, port=9443, listeners=listeners))

    text = place.denied(place.apply(allow(place.name, "allow-8092", "gw", [8092])), "CREATE", "allow-8092")
    place.passed(place.apply(allow(place.name, "allow-9443", "gw", [9443])), "CREATE", "allow-9443")
    place.passed(place.apply(deny_all(place.name)), "CREATE", "default-deny-ingress")

    assert "gateway TCP/9443" in text
    assert "TCP/8092" not in text


def test_instance_without_pods(place: Place) -> None:
    """An instance whose pods are still to come is guarded by the labels that they will have."""
    place.set_up(event_gateway(place.name))

    text = place.denied(place.apply(deny_all(place.name)), "CREATE", "default-deny-ingress")

    assert "app.kubernetes.io/instance=gw" in text


def test_each_instance_has_its_own_switch(place: Place) -> None:
    """A manager that manages its own policies does not speak for the gateway beside it."""
    place.set_up(*manager(place.name, deployNetworkPolicies=False), *gateway(place.name))

    text = place.denied(place.apply(deny_all(place.name)), "CREATE", "default-deny-ingress")

    assert "gateway TCP/8092" in text
    assert "TCP/3000" not in text


def test_operator_is_reached_from_somewhere(place: Place) -> None:
    """The operator's own port may be narrowed, as IBM's documentation advises, but not closed."""
    place.set_up(service_account(place.name, "ibm-eem-operator"), operator(place.name))
    place.kubectl("rollout", "status", "deployment", "ibm-eem-operator", "--timeout=30s")
    place.guard.until_seen()

    text = place.denied(place.apply(deny_all(place.name)), "CREATE", "default-deny-ingress")
    nodes = [{"ipBlock": {"cidr": "192.0.2.0/24"}}]
    narrowed = place.apply(allow(place.name, "allow-webhook", "ibm-eem-operator", [8443], sources=nodes))
    place.passed(narrowed, "CREATE", "allow-webhook")
    place.passed(place.apply(deny_all(place.name)), "CREATE", "default-deny-ingress")

    assert "operator TCP/8443" in text
