"""The API server accepts every overlay, and each overlay agrees with the code."""

import argparse
import base64
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from crds import cert_manager
from harness.guard import MANIFESTS, NAMESPACE, Guard
from harness.kustomizing import built, composed, written
from harness.machine import CHECKOUT, Machine
from harness.objects import Json, listed

from certs.authority import service_names
from webhook.admission.exemptions import CANARY_NAMESPACE
from webhook.cli import serve_command
from webhook.cluster.credentials import SERVICE_ACCOUNT_DIRECTORY
from webhook.cluster.definitions import definition_name
from webhook.controllers.entries import (
    NAME,
    POLICIES,
)
from webhook.controllers.self_check import SERVER_NAME
from webhook.eem.resources import GATEWAYS, MANAGERS
from webhook.main.writers import SECRET_NAME
from webhook.server import WEBHOOKS
from webhook.settings import Settings, settings_from, variable_of

OVERLAYS = ("base", *sorted(f"overlays/{one.name}" for one in (MANIFESTS / "overlays").iterdir()))
# What docs/install.md shows besides the overlays: an overlay with a component.
COMPOSED = ("overlays/production+cert-manager", "overlays/production+static-registration")
PROBES = {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
CONFIGURATIONS = ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")
FOR_USERS = "eem-guardrail-bypass"
LONGEST_REVIEW_SECONDS = 30  # the largest `timeoutSeconds` of the API

everything = pytest.mark.parametrize("overlay", [*OVERLAYS, *COMPOSED])


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the folder of each overlay and of each composed kustomization."""
    made = {overlay: MANIFESTS / overlay for overlay in OVERLAYS}
    for overlay in COMPOSED:
        resource, _, component = overlay.partition("+")
        made[overlay] = composed(tmp_path_factory.mktemp("composed") / component, resource, [component])
    return made


@pytest.fixture(scope="module")
def builds(machine: Machine, folders: dict[str, Path]) -> dict[str, list[Json]]:
    """Build each of them once."""
    return {overlay: built(machine, folder) for overlay, folder in folders.items()}


@pytest.fixture
def objects(builds: dict[str, list[Json]], overlay: str) -> list[Json]:
    """Return the objects of one of them."""
    return builds[overlay]


@pytest.fixture(scope="module")
def cert_managers_kinds(machine: Machine, guard: Guard) -> Iterator[None]:  # noqa: ARG001 - it creates the namespaces
    """Install the kinds of cert-manager: those of the cluster, or stand-ins."""
    kinds = listed(*cert_manager.definitions())
    if machine.kubectl("get", "-f", "-", stdin=kinds).status == 0:
        yield
        return
    machine.must("apply", "-f", "-", stdin=kinds)
    machine.must("wait", "--for=condition=Established", "--timeout=30s", "-f", "-", stdin=kinds)
    yield
    machine.must("delete", "-f", "-", stdin=kinds)


def one(objects: list[Json], kind: str, name: str = NAMESPACE) -> Json:
    """Return the object of this kind and name."""
    (found,) = [each for each in objects if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found


def of_kind(objects: list[Json], *kinds: str) -> list[Json]:
    """Return the objects of these kinds."""
    return [each for each in objects if each["kind"] in kinds]


def pod(objects: list[Json]) -> Json:
    """Return the pod template of the Deployment."""
    found: Json = one(objects, "Deployment")["spec"]["template"]["spec"]
    return found


def container(objects: list[Json]) -> Json:
    """Return the container of the service."""
    (found,) = pod(objects)["containers"]
    return found  # type: ignore[no-any-return]  # a mapping


def parsed_settings(objects: list[Json]) -> Settings:
    """Parse the arguments and the environment of the container as the service does."""
    parser = argparse.ArgumentParser(exit_on_error=False)
    serve_command.add_arguments(parser)
    command, *arguments = container(objects)["args"]
    assert command == "serve"
    environment = {each["name"]: each["value"] for each in container(objects).get("env", ())}
    return settings_from(parser.parse_args(arguments), environment)


def test_every_overlay_is_tested() -> None:
    """The list of overlays in this module is complete."""
    assert {f"overlays/{each.name}" for each in (MANIFESTS / "overlays").iterdir()} == set(OVERLAYS) - {"base"}


@pytest.mark.usefixtures("guard", "cert_managers_kinds")
@everything
def test_every_overlay_passes_strict_validation(machine: Machine, folders: dict[str, Path], overlay: str) -> None:
    """The API server accepts every object without a warning."""
    answer = machine.kubectl("apply", "--dry-run=server", "--validate=strict", "-k", str(folders[overlay]))
    # kubectl has a default order, and reports that it uses the order of the manifests.
    warnings = [line for line in answer.stderr.splitlines() if "Using the kustomization file" not in line]

    assert (answer.status, warnings) == (0, [])


@everything
def test_the_webhook_configurations_are_deleted_first(objects: list[Json]) -> None:
    """With this order, no request is denied because no replica runs."""
    assert [each["kind"] for each in objects[:2]] == list(CONFIGURATIONS)


@everything
def test_every_variable_is_a_setting(objects: list[Json], overlay: str) -> None:
    """A variable without a setting would have no effect, and would not be noticed."""
    known = {variable_of(each.name) for each in fields(Settings)}

    assert {each["name"] for each in container(objects).get("env", ())} <= known
    assert parsed_settings(objects).register is not overlay.endswith("static-registration")


@everything
def test_probes_and_ports_agree_with_the_settings(objects: list[Json]) -> None:
    """Probes use the paths for health, the policy opens both ports, and the Service targets the HTTPS port."""
    settings, found = parsed_settings(objects), container(objects)
    ports = {each["name"]: each["containerPort"] for each in found["ports"]}
    probes = {probe: found[probe]["httpGet"] for probe in PROBES}
    (rule,) = one(objects, "NetworkPolicy")["spec"]["ingress"]
    (service,) = one(objects, "Service")["spec"]["ports"]

    assert ports == {"https": settings.https_port, "http": settings.http_port}
    assert probes == {probe: {"path": path, "port": "http"} for probe, path in PROBES.items()}
    assert {each["port"] for each in rule["ports"]} == set(ports.values())
    assert service["targetPort"] == "https"


@everything
def test_every_entry_calls_a_path_of_the_service(objects: list[Json]) -> None:
    """Each entry names the Service and the path that has the name of the entry in metrics and log lines."""
    service = one(objects, "Service")
    (port,) = service["spec"]["ports"]
    there = {"namespace": service["metadata"]["namespace"], "name": NAME, "port": port["port"]}
    entries = [entry for each in of_kind(objects, *CONFIGURATIONS) for entry in each["webhooks"]]
    asked = {entry["clientConfig"]["service"]["path"]: entry["name"] for entry in entries}

    assert asked.items() <= WEBHOOKS.items()
    assert all(entry["clientConfig"]["service"].items() >= there.items() for entry in entries)
    assert SERVER_NAME == f"{there['name']}.{there['namespace']}.svc"


@everything
def test_every_selector_selects_the_pods_of_the_deployment(objects: list[Json]) -> None:
    """The selectors of Deployment, Service, PodDisruptionBudget and NetworkPolicy match the labels of the pods."""
    deployment = one(objects, "Deployment")
    selectors = [
        deployment["spec"]["selector"]["matchLabels"],
        one(objects, "Service")["spec"]["selector"],
        one(objects, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        one(objects, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        *(each["labelSelector"]["matchLabels"] for each in pod(objects)["topologySpreadConstraints"]),
    ]
    labels = deployment["spec"]["template"]["metadata"]["labels"].items()

    assert all(selector and selector.items() <= labels for selector in selectors)


@everything
def test_every_namespace_is_created_before_its_objects(objects: list[Json]) -> None:
    """Only Events are in a namespace that exists already, `default`."""
    made = {"default"}
    for each in objects:
        if each["kind"] == "Namespace":
            made.add(each["metadata"]["name"])
        assert each["metadata"].get("namespace", "default") in made, each["metadata"]

    assert made == {"default", NAMESPACE, CANARY_NAMESPACE}


@everything
def test_every_binding_grants_a_role_to_the_account_of_the_pods(objects: list[Json]) -> None:
    """Every role is granted, except the one for users. The names in the roles are those that the code uses."""
    account = one(objects, "ServiceAccount", pod(objects)["serviceAccountName"])["metadata"]
    subject = {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}

    def role(each: Json, kind: str, name: str) -> tuple[Any, ...]:
        return kind, name, each["metadata"].get("namespace")

    roles = [one for one in of_kind(objects, "Role", "ClusterRole") if one["metadata"]["name"] != FOR_USERS]
    bindings = of_kind(objects, "RoleBinding", "ClusterRoleBinding")
    given = [role(each, each["roleRef"]["kind"], each["roleRef"]["name"]) for each in bindings]
    named = {
        (resource, each["metadata"].get("namespace"), name)
        for each in roles
        for rule in each["rules"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", ())
    }

    assert all(each["subjects"] == [subject] for each in bindings)
    assert sorted(given, key=str) == sorted((role(one, one["kind"], one["metadata"]["name"]) for one in roles), key=str)
    assert named <= {
        ("leases", NAMESPACE, NAME),
        ("secrets", NAMESPACE, SECRET_NAME),
        ("validatingwebhookconfigurations", None, NAME),
        ("mutatingwebhookconfigurations", None, NAME),
        *(("customresourcedefinitions", None, definition_name(kind)) for kind in (MANAGERS, GATEWAYS)),
    }
    assert (("leases", NAMESPACE, NAME) in named) is parsed_settings(objects).register
    assert (("secrets", NAMESPACE, SECRET_NAME) in named) is (parsed_settings(objects).tls_dir is None)


@everything
def test_a_mounted_secret_is_where_the_service_reads_it(objects: list[Json]) -> None:
    """Besides the token, at most one volume is mounted: the Secret with the certificates."""
    volumes = pod(objects)["volumes"]
    secrets = {each["name"]: each["secret"]["secretName"] for each in volumes if "secret" in each}
    tokens = [each["name"] for each in volumes if "projected" in each]
    mounts = {each["name"]: Path(each["mountPath"]) for each in container(objects)["volumeMounts"]}
    folder = parsed_settings(objects).tls_dir

    assert list(secrets.values()) == ([SECRET_NAME] if folder else [])
    assert len(volumes) == len(secrets) + len(tokens)
    assert mounts == dict.fromkeys(secrets, folder) | dict.fromkeys(tokens, SERVICE_ACCOUNT_DIRECTORY)


@everything
def test_the_grace_period_covers_draining_and_the_longest_review(objects: list[Json]) -> None:
    """The kubelet kills a replica only after it has drained and answered every review."""
    assert (
        pod(objects)["terminationGracePeriodSeconds"] > parsed_settings(objects).drain_seconds + LONGEST_REVIEW_SECONDS
    )


@everything
def test_a_priority_class_comes_with_a_quota(objects: list[Json]) -> None:
    """The pods start also where a system priority class needs a quota."""
    priority = pod(objects).get("priorityClassName")
    quotas = of_kind(objects, "ResourceQuota")
    (scopes,) = [each["spec"]["scopeSelector"]["matchExpressions"] for each in quotas] or [[]]

    assert scopes == ([{"scopeName": "PriorityClass", "operator": "In", "values": [priority]}] if priority else [])
    assert all(
        int(each["spec"]["hard"]["pods"]) >= 10 * one(objects, "Deployment")["spec"]["replicas"] for each in quotas
    )


@everything
def test_the_pods_run_as_the_user_of_the_image(objects: list[Json], overlay: str) -> None:
    """The pods run as the user of the image, or as a user of the platform, and never as root."""
    *_, user = re.findall(r"^USER (\d+):(\d+)$", (CHECKOUT / "Dockerfile").read_text(), re.MULTILINE)
    context = pod(objects)["securityContext"]
    chosen = (context.get("runAsUser"), context.get("runAsGroup"), context.get("fsGroup"))

    assert chosen == ((None,) * 3 if "openshift" in overlay else (int(user[0]), int(user[1]), int(user[1])))
    assert context["runAsNonRoot"]
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}


@pytest.mark.parametrize("overlay", ["overlays/development"])
def test_development_denies_nothing(objects: list[Json]) -> None:
    """One replica warns. Without it, no request fails, and it blocks no node drain."""
    settings = parsed_settings(objects)
    shipped = [entry["failurePolicy"] for each in of_kind(objects, *CONFIGURATIONS) for entry in each["webhooks"]]

    assert (settings.mode, settings.failure_policy, shipped) == ("warn", "Ignore", ["Ignore", "Ignore"])
    assert one(objects, "Deployment")["spec"]["replicas"] == 1
    assert one(objects, "PodDisruptionBudget")["spec"].items() >= {"maxUnavailable": 1}.items()


@pytest.mark.parametrize("overlay", ["overlays/production", "overlays/openshift"])
def test_production_enforces_with_three_replicas(objects: list[Json]) -> None:
    """Without a replica, requests fail. The replicas have a priority class and are spread over nodes and zones."""
    settings = parsed_settings(objects)

    assert (settings.mode, settings.failure_policy) == ("enforce", "Fail")
    assert one(objects, "Deployment")["spec"]["replicas"] == 3
    assert pod(objects)["priorityClassName"] == "system-cluster-critical"
    assert {each["topologyKey"] for each in pod(objects)["topologySpreadConstraints"]} == {
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
    }


@pytest.mark.parametrize("overlay", ["overlays/openshift"])
def test_openshift_uses_its_service_ca_and_rules(objects: list[Json]) -> None:
    """The service CA writes the mounted Secret, and the rules are those for OpenShift."""
    annotations = one(objects, "Service")["metadata"]["annotations"]

    assert annotations == {"service.beta.openshift.io/serving-cert-secret-name": SECRET_NAME}
    assert parsed_settings(objects).platform == "openshift"


@pytest.mark.parametrize("overlay", ["overlays/production+cert-manager"])
def test_cert_manager_writes_the_mounted_secret(objects: list[Json]) -> None:
    """The certificate has the names that the API server uses."""
    certificate = one(objects, "Certificate")
    asked = {each["metadata"]["annotations"]["cert-manager.io/inject-ca-from"] for each in objects[:2]}

    assert certificate["spec"]["secretName"] == SECRET_NAME
    assert certificate["spec"]["dnsNames"] == list(service_names(NAME, NAMESPACE))
    assert asked == {f"{NAMESPACE}/{certificate['metadata']['name']}"}


@pytest.mark.parametrize("overlay", ["overlays/kind"])
def test_kind_pulls_no_image(objects: list[Json]) -> None:
    """The image that is loaded into the nodes is used."""
    assert container(objects)["imagePullPolicy"] == "Never"


BUNDLE = "BUNDLE"  # the placeholder for the caBundle
PASTED = re.findall(r"^```yaml\n(.*?)^```", (CHECKOUT / "docs/install.md").read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.usefixtures("guard", "cert_managers_kinds")
@pytest.mark.parametrize("kustomization", PASTED)
def test_kustomizations_of_the_install_page_are_accepted(machine: Machine, tmp_path: Path, kustomization: str) -> None:
    """The API server accepts them without a warning, and the configurations come first."""
    bundle = base64.b64encode((machine.folder / "tls" / "ca.crt").read_bytes()).decode()
    folder = written(tmp_path / "pasted", kustomization.replace(BUNDLE, bundle))
    answer = machine.kubectl("apply", "--dry-run=server", "--validate=strict", "-k", str(folder))

    assert answer.status == 0, answer.stderr
    assert [each["kind"] for each in built(machine, folder)[:2]] == list(CONFIGURATIONS)


def test_the_install_page_patches_the_entry_for_policies(machine: Machine, tmp_path: Path) -> None:
    """With a static registration, the page's patches set the namespaces of that entry and every caBundle."""
    (kustomization,) = [each for each in PASTED if "static-registration" in each]
    patch, _ = yaml.safe_load(kustomization)["patches"]
    operation, _ = yaml.safe_load(patch["patch"])
    objects = built(machine, written(tmp_path / "pasted", kustomization))
    entries = [entry for each in objects if each["kind"] in CONFIGURATIONS for entry in each["webhooks"]]
    (selector,) = [each["namespaceSelector"]["matchExpressions"] for each in entries if each["name"] == POLICIES]

    assert [each["values"] for each in selector] == [operation["value"]]
    assert [each["clientConfig"]["caBundle"] for each in entries] == [BUNDLE] * 3
