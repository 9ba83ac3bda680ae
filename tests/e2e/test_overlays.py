"""Every overlay is accepted as it is, and says nothing that the code does not know."""

import argparse
from dataclasses import fields

import pytest
import yaml
from harness.guard import MANIFESTS, NAMESPACE
from harness.machine import Machine
from harness.objects import Json

from webhook.admission.heartbeat import CANARY_NAMESPACE
from webhook.cli import serve
from webhook.main.upkeep import SECRET_NAME
from webhook.registration.entries import NAME
from webhook.settings import Settings, settings_from, variable_of

OVERLAYS = ("base", "overlays/development", "overlays/production", "overlays/openshift", "overlays/kind")
PROBES = {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}

overlays = pytest.mark.parametrize("overlay", OVERLAYS)


@pytest.fixture
def objects(machine: Machine, overlay: str) -> list[Json]:
    """Build one of them."""
    return list(yaml.safe_load_all(machine.must("kustomize", str(MANIFESTS / overlay)).stdout))


def one(objects: list[Json], kind: str, name: str = NAMESPACE) -> Json:
    """Give the one object of that kind and name."""
    (found,) = [each for each in objects if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


def container(objects: list[Json]) -> Json:
    """Give the service's container."""
    (found,) = one(objects, "Deployment")["spec"]["template"]["spec"]["containers"]
    return found  # type: ignore[no-any-return]  # a mapping


def told(objects: list[Json]) -> Settings:
    """Read what the container is told as the service does."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    serve.add_arguments(parser)
    command, *arguments = container(objects)["args"]
    assert command == "serve"
    environment = {each["name"]: each["value"] for each in container(objects).get("env", ())}
    return settings_from(parser.parse_args(arguments), environment)


def test_all_are_listed() -> None:
    """No overlay is left out here."""
    assert {f"overlays/{each.name}" for each in (MANIFESTS / "overlays").iterdir()} == set(OVERLAYS) - {"base"}


@pytest.mark.usefixtures("guard")
@overlays
def test_accepted_strictly(machine: Machine, overlay: str) -> None:
    """Every object passes strict validation without one warning."""
    answer = machine.kubectl("apply", "--dry-run=server", "--validate=strict", "-k", str(MANIFESTS / overlay))
    # kubectl has a default order, and says that it heeds the one of the manifests.
    warnings = [line for line in answer.stderr.splitlines() if "Using the kustomization file" not in line]

    assert (answer.status, warnings) == (0, [])


@overlays
def test_the_registration_goes_first(objects: list[Json]) -> None:
    """Deleted in this order, nothing is refused for want of replicas."""
    assert [each["kind"] for each in objects[:2]] == ["ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"]


@overlays
def test_every_variable_is_a_setting(objects: list[Json]) -> None:
    """A variable that no setting has would change nothing, and nobody would notice."""
    known = {variable_of(each.name) for each in fields(Settings)}

    assert {each["name"] for each in container(objects).get("env", ())} <= known
    assert told(objects).register


@overlays
def test_probes_and_ports_are_what_is_served(objects: list[Json]) -> None:
    """Probes ask what is answered there, the policy opens both ports, the Service leads to the one for reviews."""
    settings, found = told(objects), container(objects)
    ports = {each["name"]: each["containerPort"] for each in found["ports"]}
    probes = {probe: found[probe]["httpGet"] for probe in PROBES}
    (rule,) = one(objects, "NetworkPolicy")["spec"]["ingress"]
    (service,) = one(objects, "Service")["spec"]["ports"]

    assert ports == {"https": settings.https_port, "http": settings.http_port}
    assert probes == {probe: {"path": path, "port": "http"} for probe, path in PROBES.items()}
    assert {each["port"] for each in rule["ports"]} == set(ports.values())
    assert service["targetPort"] == "https"


@overlays
def test_names_are_those_of_the_code(objects: list[Json]) -> None:
    """What the service writes to is where it looks for it, and who selects its pods means them."""
    deployment = one(objects, "Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"].items()
    spread = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
    selectors = [
        deployment["spec"]["selector"]["matchLabels"],
        one(objects, "Service")["spec"]["selector"],
        one(objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        one(objects, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        *(each["labelSelector"]["matchLabels"] for each in spread),
    ]
    named = {
        (resource, name)
        for each in objects
        if each["kind"] in {"Role", "ClusterRole"}
        for rule in each["rules"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", ())
    }

    assert all(selector.items() <= labels for selector in selectors)
    assert one(objects, "Namespace", CANARY_NAMESPACE)
    assert ("leases", NAME) in named
    assert ({name for resource, name in named if resource == "secrets"}) <= {SECRET_NAME}


@pytest.mark.parametrize("overlay", ["overlays/development"])
def test_development_refuses_nothing(objects: list[Json]) -> None:
    """One replica, which warns, and whose absence is in nobody's way."""
    settings = told(objects)

    assert (settings.mode, settings.failure_policy) == ("warn", "Ignore")
    assert one(objects, "Deployment")["spec"]["replicas"] == 1
    assert one(objects, "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


@pytest.mark.parametrize("overlay", ["overlays/production", "overlays/openshift"])
def test_production_refuses_and_stays(objects: list[Json]) -> None:
    """Three replicas that refuse, with their absence counted as a refusal, and nobody pushes them out."""
    settings, deployment = told(objects), one(objects, "Deployment")["spec"]

    assert (settings.mode, settings.failure_policy) == ("enforce", "Fail")
    assert deployment["replicas"] == 3
    assert deployment["template"]["spec"]["priorityClassName"] == "system-cluster-critical"
    assert {each["topologyKey"] for each in deployment["template"]["spec"]["topologySpreadConstraints"]} == {
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
    }


@pytest.mark.parametrize("overlay", ["overlays/openshift"])
def test_openshift_chooses_the_user(objects: list[Json]) -> None:
    """The pod names no user and no group, for the constraint restricted-v2 would refuse it, and no root either."""
    context = one(objects, "Deployment")["spec"]["template"]["spec"]["securityContext"]

    assert context == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert told(objects).tls_dir is not None


@pytest.mark.parametrize("overlay", ["overlays/kind"])
def test_kind_pulls_no_image(objects: list[Json]) -> None:
    """What was loaded into the nodes is what runs."""
    assert container(objects)["imagePullPolicy"] == "Never"
