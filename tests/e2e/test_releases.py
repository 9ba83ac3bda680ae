"""The rules follow the installed release if only the definitions of its kinds show it."""

from collections.abc import Callable, Iterator

import pytest
from crds.definitions import RELEASES
from harness.guard import Guard
from harness.instances import Instances
from harness.objects import listed, listener, management, old_gateway
from harness.waiting import wait_until

from webhook.eem.rules import NEWEST, ProductVersion

KEYCLOAK = {"authConfig": {"authType": "INTEGRATION_KEYCLOAK"}}
REPLICAS_CAME, KEYCLOAK_CAME = ProductVersion(11, 1, 0), ProductVersion(11, 2, 1)
VERSION_SECONDS = 30  # three looks of a replica at the definitions
SERVER_CAME, LISTENERS_CAME = ProductVersion(11, 5, 0), ProductVersion(11, 8, 0)


@pytest.fixture(scope="module")
def install(guard: Guard) -> Iterator[Callable[[ProductVersion], None]]:
    """Return a function that installs the definitions of a release; the newest release is restored at the end."""
    installed = [NEWEST]

    def install(release: ProductVersion) -> None:
        guard.set_kinds(release)
        guard.restart()
        guard.until_seen()
        installed.append(release)

    yield install
    if installed[-1] != NEWEST:
        install(NEWEST)


@pytest.fixture(scope="module", params=RELEASES, ids=str)
def release(install: Callable[[ProductVersion], None], request: pytest.FixtureRequest) -> ProductVersion:
    """Install the definitions of each release in turn."""
    found: ProductVersion = request.param
    install(found)
    return found


def test_the_api_server_enforces_the_definitions_before_the_webhooks(here: Instances, release: ProductVersion) -> None:
    """The API server rejects or removes what older definitions do not have."""
    nowhere = old_gateway(here.name, f"nowhere-{release}")
    del nowhere["spec"]["managerEndpoint"]
    keycloak = management(here.name, f"keys-{release}", KEYCLOAK)
    listening = old_gateway(here.name, f"ears-{release}", listeners=listener(here.name))

    loosely = ("--validate=ignore",)
    unregistered, unknown = here.apply(nowhere, flags=loosely), here.apply(keycloak, flags=loosely)
    early, pruned = here.apply(listening), here.apply(listening, flags=loosely)

    assert ("spec.managerEndpoint: Required value" in unregistered.stderr) == (release < LISTENERS_CAME)
    assert ('Unsupported value: "INTEGRATION_KEYCLOAK"' in unknown.stderr) == (release < KEYCLOAK_CAME)
    assert ('unknown field "listeners"' in early.stderr) == (release < LISTENERS_CAME)
    assert pruned.status == 0
    assert ("listeners" in here.spec(listening)) == (release >= LISTENERS_CAME)


def test_rules_follow_the_definitions(here: Instances, release: ProductVersion) -> None:
    """A rule of a later release is off, and a rule of an earlier release is on."""
    ends = [{"name": "server", "host": f"server.{release}.example.com"}]
    manager = management(here.name, f"rules-{release}", {"endpoints": ends})
    gateway = old_gateway(here.name, f"route-{release}")
    expected = release >= LISTENERS_CAME

    def is_deprecated() -> bool:
        return "Deprecated" in here.kubectl("create", "--dry-run=server", "-f", "-", stdin=listed(gateway)).stderr

    # Each replica reads the definitions for itself, a moment after it is ready.
    wait_until(
        lambda: all(is_deprecated() == expected for _ in range(6)), f"the rules of {release}", seconds=VERSION_SECONDS
    )
    answer, told = here.apply(manager), here.passed(here.apply(gateway), "CREATE", gateway, "warned")

    assert any("Deprecated" in line for line in told) == expected, told
    if release < SERVER_CAME:
        found = here.passed(answer, "CREATE", manager, "warned")
        assert any("the endpoint server exists since 11.5.0" in line for line in found)
    else:
        assert set(here.refused(answer, "CREATE", manager)) == {"spec.manager.endpoints[0].host"}


def test_defaults_follow_the_definitions(here: Instances, release: ProductVersion) -> None:
    """The default of deployNetworkPolicies exists in every release, and of replicas since 11.1.0."""
    instance = old_gateway(here.name, f"counted-{release}")

    here.passed(here.apply(instance), "CREATE", instance, "warned")
    spec = here.spec(instance)

    assert spec["deployNetworkPolicies"] is True
    assert ("replicas" in spec) == (release >= REPLICAS_CAME)
