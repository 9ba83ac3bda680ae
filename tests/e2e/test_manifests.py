"""The manifests, as a real API server reads them."""

import pytest
import yaml
from crds.definitions import RELEASES, definitions
from harness.decisions import DEFAULTS, INSTANCES, POLICIES
from harness.guard import MANIFESTS, NAMESPACE, Guard
from harness.machine import Machine
from harness.objects import Json, listed

from webhook.eem import WATCHED
from webhook.eem.resources import EEM_GROUP, NETWORK_POLICIES
from webhook.eem.rules.version import Version
from webhook.server import WEBHOOKS
from webhook.settings import Settings


def read(path: str) -> Json:
    """Read a manifest that holds one object."""
    found: Json = yaml.safe_load((MANIFESTS / path).read_text())
    return found


def registered() -> dict[str, Json]:
    """Give what static-registration registers, by the webhooks' names."""
    kinds = ("validating", "mutating")
    files = [read(f"components/static-registration/{kind}webhookconfiguration.yaml") for kind in kinds]
    return {webhook["name"]: webhook for configuration in files for webhook in configuration["webhooks"]}


def test_every_path_is_registered_under_its_name() -> None:
    """What is registered is what the service serves: each path under the name that its metrics and log have."""
    service = read("base/service.yaml")
    (port,) = service["spec"]["ports"]
    there = {"namespace": NAMESPACE, "name": service["metadata"]["name"], "port": port["port"]}

    asked = {name: webhook["clientConfig"]["service"] for name, webhook in registered().items()}

    assert asked == {name: {**there, "path": path} for path, name in WEBHOOKS.items()}


def test_service_leads_to_the_port_that_is_served() -> None:
    """The Service's port is the container's, and the container's is the one that the service opens."""
    (port,) = read("base/service.yaml")["spec"]["ports"]
    (container,) = read("base/deployment.yaml")["spec"]["template"]["spec"]["containers"]

    opened = {one["name"]: one["containerPort"] for one in container["ports"]}

    assert opened[port["targetPort"]] == Settings().https_port


def test_rules_cover_what_is_judged() -> None:
    """The API server asks about the kinds and operations that the judges know, and about no subresource."""
    rules = {name: webhook["rules"] for name, webhook in registered().items()}
    asked = {
        name: {
            (group, version, resource)
            for group in rule["apiGroups"]
            for version in rule["apiVersions"]
            for resource in rule["resources"]
        }
        for name, (rule,) in rules.items()
    }
    instances = {(one.group, one.version, one.plural) for one in WATCHED if one.group == EEM_GROUP}
    policies = {(NETWORK_POLICIES.group, NETWORK_POLICIES.version, NETWORK_POLICIES.plural)}

    assert asked == {POLICIES: policies, INSTANCES: instances, DEFAULTS: instances}
    assert {name: rule["operations"] for name, (rule,) in rules.items()} == {
        POLICIES: ["CREATE", "UPDATE", "DELETE"],
        INSTANCES: ["CREATE", "UPDATE"],
        DEFAULTS: ["CREATE"],
    }


def test_nothing_of_the_cluster_waits_for_the_service() -> None:
    """Its own namespace and kube-system are left out, and only what cuts a port off is refused unanswered."""
    found = registered()
    (own,) = found[POLICIES]["namespaceSelector"]["matchExpressions"]

    assert {name: webhook["failurePolicy"] for name, webhook in found.items()} == {
        POLICIES: "Fail",
        INSTANCES: "Ignore",
        DEFAULTS: "Ignore",
    }
    assert own["operator"] == "In"
    assert {NAMESPACE, "kube-system"}.isdisjoint(own["values"])
    for name in (INSTANCES, DEFAULTS):
        assert found[name]["namespaceSelector"]["matchExpressions"] == [
            {"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": [NAMESPACE, "kube-system"]}
        ]


def test_overlay_is_accepted_strictly(machine: Machine, guard: Guard) -> None:
    """Every object of the base and of static-registration passes strict validation without one warning."""
    answer = machine.kubectl("apply", "--dry-run=server", "--validate=strict", "-k", str(guard.overlay))

    assert (answer.status, answer.stderr) == (0, "")


@pytest.mark.usefixtures("guard")
def test_base_is_accepted_strictly_on_its_own(machine: Machine) -> None:
    """The base needs no component to be applied."""
    answer = machine.kubectl("apply", "--dry-run=server", "--validate=strict", "-k", str(MANIFESTS / "base"))

    assert (answer.status, answer.stderr) == (0, "")


@pytest.mark.usefixtures("guard")
@pytest.mark.parametrize("release", RELEASES, ids=str)
def test_kinds_of_the_tests_are_accepted_strictly(machine: Machine, release: Version) -> None:
    """What the tables of fields say of a release makes structural schemas."""
    made = listed(*definitions(release))

    answer = machine.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=made)

    assert (answer.status, answer.stderr) == (0, "")


def test_pods_run_under_the_restricted_standard(machine: Machine, guard: Guard) -> None:
    """The namespace enforces the restricted Pod Security standard, and the replicas run all the same."""
    enforced = machine.must("get", "namespace", NAMESPACE, "--output=json").json["metadata"]["labels"]

    assert enforced["pod-security.kubernetes.io/enforce"] == "restricted"
    assert len(guard.replicas()) == 2


def test_role_grants_what_is_watched_and_nothing_else() -> None:
    """The ClusterRole names exactly the resources that the service watches, for reading."""
    role, _ = yaml.safe_load_all((MANIFESTS / "base" / "role.yaml").read_text())

    granted = {
        (group, resource): set(rule["verbs"])
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }

    assert granted == {(one.group, one.plural): {"list", "watch"} for one in WATCHED}
