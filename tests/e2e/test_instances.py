"""The requirements of instances, while the instances change."""

import time

from harness.guard import NAMESPACE, Guard
from harness.machine import Machine
from harness.objects import allow, deny_all, event_gateway, gateway, manager, operator, service_account
from harness.place import Place


def switch(place: Place, *, deploys: bool) -> None:
    """Set spec.deployNetworkPolicies of the gateway, and wait until every replica has seen it."""
    since = time.time()
    patch = f'{{"spec": {{"deployNetworkPolicies": {str(deploys).lower()}}}}}'
    answer = place.kubectl("patch", "eventgateway", "gw", "--type=merge", f"--patch={patch}")
    if answer.status != 0:
        raise AssertionError(answer)
    place.guard.until_told("eventgateways", since)


def test_kinds_that_are_installed_after_the_service_are_judged(machine: Machine, guard: Guard, place: Place) -> None:
    """Replicas that started before the kinds existed judge by their objects without a restart."""
    made = machine.must("get", "-f", str(guard.kinds), "--output=json").json["items"]
    pods = machine.must("get", "pods", f"--namespace={NAMESPACE}", "--output=json").json["items"]
    place.set_up(*gateway(place.name))

    place.denied(place.apply(deny_all(place.name)), "CREATE", "default-deny-ingress")

    assert guard.first_replicas == {one["metadata"]["name"] for one in pods}
    assert max(one["metadata"]["creationTimestamp"] for one in pods) <= min(
        one["metadata"]["creationTimestamp"] for one in made
    )


def test_deploy_network_policies_false_waives_the_requirements(place: Place) -> None:
    """With deployNetworkPolicies: false the default deny is exempt, and with true it is denied again."""
    place.set_up(*gateway(place.name))
    place.denied(place.apply(deny_all(place.name)), "CREATE", "default-deny-ingress")

    switch(place, deploys=False)
    place.passed(place.apply(deny_all(place.name)), "CREATE", "default-deny-ingress", "exempt")
    place.passed(place.delete("default-deny-ingress"), "DELETE", "default-deny-ingress", "exempt")
    switch(place, deploys=True)
    text = place.denied(place.apply(deny_all(place.name)), "CREATE", "default-deny-ingress")

    assert "TCP/8092" in text
    assert place.policies() == set()


def test_a_gateway_requires_the_port_of_its_listener(place: Place) -> None:
    """A gateway with a listener requires that port instead of 8092."""
    listeners = [{"name": "external", "port": 9443}]
    place.set_up(*gateway(place.name, port=9443, listeners=listeners))

    text = place.denied(place.apply(allow(place.name, "allow-8092", "gw", [8092])), "CREATE", "allow-8092")
    place.passed(place.apply(allow(place.name, "allow-9443", "gw", [9443])), "CREATE", "allow-9443")
    place.passed(place.apply(deny_all(place.name)), "CREATE", "default-deny-ingress")

    assert "gateway TCP/9443" in text
    assert "TCP/8092" not in text


def test_an_instance_without_pods_is_guarded_by_its_labels(place: Place) -> None:
    """The message names the labels that the pods will have."""
    place.set_up(event_gateway(place.name))

    text = place.denied(place.apply(deny_all(place.name)), "CREATE", "default-deny-ingress")

    assert "app.kubernetes.io/instance=gw" in text


def test_deploy_network_policies_counts_for_its_own_instance_only(place: Place) -> None:
    """A manager that waives its requirements does not waive those of a gateway in the same namespace."""
    place.set_up(*manager(place.name, deployNetworkPolicies=False), *gateway(place.name))

    text = place.denied(place.apply(deny_all(place.name)), "CREATE", "default-deny-ingress")

    assert "gateway TCP/8092" in text
    assert "TCP/3000" not in text


def test_the_port_of_the_operator_may_be_narrowed_but_not_closed(place: Place) -> None:
    """The webhook port may be limited to some sources, as the documentation of IBM advises."""
    place.set_up(service_account(place.name, "ibm-eem-operator"), operator(place.name))
    place.kubectl("rollout", "status", "deployment", "ibm-eem-operator", "--timeout=30s")
    place.guard.until_seen()

    text = place.denied(place.apply(deny_all(place.name)), "CREATE", "default-deny-ingress")
    nodes = [{"ipBlock": {"cidr": "192.0.2.0/24"}}]
    narrowed = place.apply(allow(place.name, "allow-webhook", "ibm-eem-operator", [8443], sources=nodes))
    place.passed(narrowed, "CREATE", "allow-webhook")
    place.passed(place.apply(deny_all(place.name)), "CREATE", "default-deny-ingress")

    assert "operator TCP/8443" in text
