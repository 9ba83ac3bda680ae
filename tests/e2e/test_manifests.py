"""The manifests, as a real API server reads them."""

from pathlib import Path

import pytest
import yaml
from crds.definitions import RELEASES, definitions
from harness.decisions import DEFAULTS, INSTANCES, POLICIES
from harness.guard import MANIFESTS, NAMESPACE, Guard
from harness.kustomizing import built, composed
from harness.machine import Machine
from harness.objects import Json, listed

from webhook.cluster.credentials import SERVICE_ACCOUNT_DIRECTORY
from webhook.eem import WATCHED
from webhook.eem.resources import EEM_GROUP, NETWORK_POLICIES
from webhook.eem.rules.version import Version
from webhook.server import WEBHOOKS
from webhook.settings import Settings

HOUR_SECONDS = 3600


def read(path: str) -> Json:
    """Read a manifest that holds one object."""
    found: Json = yaml.safe_load((MANIFESTS / path).read_text())
    return found


def registered() -> dict[str, Json]:
    """Return the entries of static-registration, by their names."""
    files = [
        read("components/static-registration/validatingwebhookconfiguration.yaml"),
        read("base/validatingwebhookconfiguration.yaml"),
        read("base/mutatingwebhookconfiguration.yaml"),
    ]
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
    # kubectl has a default order, and says that it heeds the one of the manifests.
    told = [line for line in answer.stderr.splitlines() if "Using the kustomization file" not in line]

    assert (answer.status, told) == (0, [])


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
    assert len(guard.replicas()) == 3


def test_token_is_projected_and_no_other_is_mounted(machine: Machine, guard: Guard) -> None:
    """It lasts for an hour at most, where the service looks for it, and Kubernetes adds none by itself."""
    pods = machine.must("get", "pods", f"--namespace={NAMESPACE}", "--output=json").json["items"]
    specs = [one["spec"] for one in pods if one["metadata"]["name"] in guard.replicas()]

    assert specs
    for spec in specs:
        tokens = [
            (volume["name"], source["serviceAccountToken"])
            for volume in spec["volumes"]
            for source in volume.get("projected", {}).get("sources", ())
            if "serviceAccountToken" in source
        ]
        ((name, token),) = tokens
        (container,) = spec["containers"]
        mounts = {one["name"]: one for one in container["volumeMounts"]}
        assert token["expirationSeconds"] <= HOUR_SECONDS
        assert (mounts[name]["mountPath"], mounts[name]["readOnly"]) == (str(SERVICE_ACCOUNT_DIRECTORY), True)


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


def named(objects: list[Json], kind: str) -> list[Json]:
    """Return the objects of one kind with the service's name."""
    return [one for one in objects if one["kind"] == kind and one["metadata"]["name"] == NAMESPACE]


CONFIGURATIONS = ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")
BROUGHT = ("cert-manager", "openshift-service-ca")


def test_configurations_come_first_and_bare(machine: Machine) -> None:
    """They are applied, and deleted, before everything else; they ship no caBundle and no entry for NetworkPolicies."""
    objects = built(machine, MANIFESTS / "base")
    entries = [entry for one in objects if one["kind"] in CONFIGURATIONS for entry in one["webhooks"]]

    assert [one["kind"] for one in objects[:4]] == [*CONFIGURATIONS, "Namespace", "Namespace"]
    assert {entry["name"] for entry in entries} == {INSTANCES, DEFAULTS}
    assert [entry["clientConfig"].keys() for entry in entries] == [{"service"}] * 2


def test_every_object_says_where_it_is(machine: Machine) -> None:
    """What is in a namespace names it: the service's own, the canary's, or `default` for Events."""
    objects = built(machine, MANIFESTS / "base")
    places = {
        (one["kind"], one["metadata"].get("namespace"))
        for one in objects
        if one["kind"] not in {*CONFIGURATIONS, "Namespace", "ClusterRole", "ClusterRoleBinding"}
    }

    assert {place for _, place in places} == {NAMESPACE, "eem-guardrail-canary", "default"}
    assert {kind for kind, place in places if place != NAMESPACE} == {"Role", "RoleBinding"}


@pytest.mark.parametrize("component", [*BROUGHT, "static-registration"])
def test_certificates_of_others_are_mounted_and_no_secret_is_read(
    machine: Machine, component: str, tmp_path: Path
) -> None:
    """With certificates from another program, the service reads files and has no right to any Secret."""
    objects = built(machine, composed(tmp_path / "built", "base", [component]))
    (deployment,) = named(objects, "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    environment = {one["name"]: one["value"] for one in container["env"]}
    (mount,) = (one for one in container["volumeMounts"] if one["name"] == "tls")
    granted = {
        resource
        for one in objects
        if one["kind"] in {"Role", "ClusterRole"}
        for rule in one["rules"]
        for resource in rule["resources"]
    }

    assert environment["EEM_GUARDRAIL_TLS_DIR"] == mount["mountPath"]
    assert "secrets" not in granted
    assert objects[0]["kind"] == "ValidatingWebhookConfiguration"


@pytest.mark.parametrize(
    ("component", "key", "value"),
    [
        ("cert-manager", "cert-manager.io/inject-ca-from", f"{NAMESPACE}/{NAMESPACE}"),
        ("openshift-service-ca", "service.beta.openshift.io/inject-cabundle", "true"),
    ],
)
def test_injectors_are_told_of_both_configurations(
    machine: Machine, component: str, key: str, value: str, tmp_path: Path
) -> None:
    """Both configurations ask the certificate manager to inject the caBundle."""
    objects = built(machine, composed(tmp_path / "built", "base", [component, "static-registration"]))
    found = [one for one in objects if one["kind"] in CONFIGURATIONS]

    assert [one["metadata"]["annotations"][key] for one in found] == [value, value]


def test_static_registration_takes_every_right_to_write(machine: Machine, tmp_path: Path) -> None:
    """Registered by hand, the service keeps its rights to read, and no others."""
    objects = built(machine, composed(tmp_path / "built", "base", ["static-registration", "cert-manager"]))
    verbs = {
        verb
        for one in objects
        if one["kind"] in {"Role", "ClusterRole"}
        for rule in one["rules"]
        for verb in rule["verbs"]
    }
    (deployment,) = named(objects, "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    environment = {one["name"]: one["value"] for one in container["env"]}

    assert verbs == {"list", "watch"}
    assert environment["EEM_GUARDRAIL_REGISTER"] == "off"


GRANTED = {
    (None, "admissionregistration.k8s.io", "validatingwebhookconfigurations", NAMESPACE): "list watch patch",
    (None, "admissionregistration.k8s.io", "mutatingwebhookconfigurations", NAMESPACE): "list watch patch",
    (NAMESPACE, "", "secrets", "eem-guardrail-tls"): "get list watch update",
    (NAMESPACE, "", "secrets", ""): "create",
    (NAMESPACE, "coordination.k8s.io", "leases", NAMESPACE): "get update",
    (NAMESPACE, "coordination.k8s.io", "leases", ""): "create",
    ("default", "", "events", ""): "create patch",
    ("eem-guardrail-canary", "networking.k8s.io", "networkpolicies", ""): "create",
}


def test_rights_to_write_are_these_and_no_others() -> None:
    """Every right besides the reading of what is judged, one by one."""
    roles = [
        one
        for name in ("registration-role", "certificates-role")
        for one in yaml.safe_load_all((MANIFESTS / "base" / f"{name}.yaml").read_text())
        if one["kind"] in {"Role", "ClusterRole"}
    ]
    granted = {
        (role["metadata"].get("namespace"), group, resource, name): " ".join(rule["verbs"])
        for role in roles
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", [""])
    }

    assert granted == GRANTED
