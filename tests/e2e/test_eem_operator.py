"""The rules follow the release of the product that the Deployment of the operator names."""

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
    """Install the operator of each release in turn, together with the newest definitions."""
    deployment = operator(here.name)
    deployment["metadata"]["labels"] |= {"app.kubernetes.io/version": request.param}
    deployment["spec"]["replicas"] = 0
    machine.must("apply", "-f", "-", stdin=listed(deployment))
    here.guard.until_seen(["deployments"])
    yield ProductVersion.parse(request.param)
    machine.must("delete", "deployment", OPERATOR, f"--namespace={here.name}")
    here.guard.until_seen(["deployments"])


def test_manager_endpoint_is_required_up_to_11_7_and_deprecated_since_11_8(
    here: Instances, operated: ProductVersion
) -> None:
    """The field is required up to 11.7.4, and deprecated since 11.8.0."""
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


def test_keycloak_is_denied_before_the_release_that_added_it(here: Instances, operated: ProductVersion) -> None:
    """INTEGRATION_KEYCLOAK exists since 11.2.1."""
    instance = management(here.name, f"keycloak-{operated}", KEYCLOAK)

    answer = here.apply(instance)

    if operated < KEYCLOAK_CAME:
        known = f'must be LOCAL or OIDC: "INTEGRATION_KEYCLOAK" exists since 11.2.1, and the operator is {operated}'
        assert here.refused(answer, "CREATE", instance) == {"spec.manager.authConfig.authType": known}
    else:
        here.passed(answer, "CREATE", instance, "warned")


def test_listeners_are_judged_since_the_release_that_added_them(here: Instances, operated: ProductVersion) -> None:
    """Listeners exist since 11.8.0. An older operator ignores them."""
    ports = listener(here.name, f"listens-{operated}", port=70000)
    instance = old_gateway(here.name, f"listens-{operated}", listeners=ports)

    answer = here.apply(instance)

    if operated < REGISTRATION_CHANGED:
        here.passed(answer, "CREATE", instance, "warned")
    else:
        expected = {"spec.listeners[0].port": "must be from 1 to 65535, not the number 70000"}
        assert here.refused(answer, "CREATE", instance) == expected
