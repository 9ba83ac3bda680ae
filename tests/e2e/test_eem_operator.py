"""The operator's Deployment says which release of the product it is, and the rules follow it."""

from collections.abc import Iterator

import pytest
from harness.decisions import warnings
from harness.instances import Instances
from harness.machine import Machine
from harness.objects import event_gateway, listed, listener, management, old_gateway, operator

from webhook.eem.rules import ProductVersion

OPERATOR = "ibm-eem-operator"
KEYCLOAK = {"authConfig": {"authType": "INTEGRATION_KEYCLOAK"}}
KEYCLOAK_CAME, REGISTRATION_CHANGED = ProductVersion(11, 2, 1), ProductVersion(11, 8, 0)


@pytest.fixture(scope="module", params=["11.0.4", "11.4.0", "11.8.1"])
def operated(here: Instances, machine: Machine, request: pytest.FixtureRequest) -> Iterator[ProductVersion]:
    """Install the operator of one release after the other, beside the newest definitions."""
    deployment = operator(here.name)
    deployment["metadata"]["labels"] |= {"app.kubernetes.io/version": request.param}
    deployment["spec"]["replicas"] = 0
    machine.must("apply", "-f", "-", stdin=listed(deployment))
    here.guard.until_seen(["deployments"])
    yield ProductVersion.parse(request.param)
    machine.must("delete", "deployment", OPERATOR, f"--namespace={here.name}")
    here.guard.until_seen(["deployments"])


def test_where_a_gateway_registers(here: Instances, operated: ProductVersion) -> None:
    """Up to 11.7.4 managerEndpoint must be set; since 11.8.0 it is deprecated."""
    old = old_gateway(here.name, f"old-{operated}")
    new = event_gateway(here.name, f"new-{operated}")

    told, answer = warnings(here.apply(old)), here.apply(new)

    assert any(line.startswith("spec.managerEndpoint: Deprecated") for line in told) == (
        operated >= REGISTRATION_CHANGED
    )
    if operated < REGISTRATION_CHANGED:
        assert here.refused(answer, "CREATE", new) == {"spec.managerEndpoint": "must be set"}
    else:
        here.passed(answer, "CREATE", new, "warned")


def test_who_logs_in(here: Instances, operated: ProductVersion) -> None:
    """INTEGRATION_KEYCLOAK is refused before 11.2.1, which brought it."""
    instance = management(here.name, f"keycloak-{operated}", KEYCLOAK)

    answer = here.apply(instance)

    if operated < KEYCLOAK_CAME:
        known = f'"INTEGRATION_KEYCLOAK" is known since 11.2.1, and this is {operated}'
        assert here.refused(answer, "CREATE", instance) == {"spec.manager.authConfig.authType": known}
    else:
        here.passed(answer, "CREATE", instance, "warned")


def test_whether_listeners_count(here: Instances, operated: ProductVersion) -> None:
    """Listeners are judged since 11.8.0, which brought them; an older operator does not look at them."""
    ports = listener(here.name, f"listens-{operated}", port=70000)
    instance = old_gateway(here.name, f"listens-{operated}", listeners=ports)

    answer = here.apply(instance)

    if operated < REGISTRATION_CHANGED:
        here.passed(answer, "CREATE", instance, "warned")
    else:
        expected = {"spec.listeners[0].port": "is 70000: expected from 1 to 65535"}
        assert here.refused(answer, "CREATE", instance) == expected
