"""The manifests, as a real API server accepts them and as they agree with the code."""

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
from webhook.cluster.definitions import DEFINITIONS, definition_name
from webhook.controllers.open_reports import REPORTS
from webhook.eem import OPTIONAL_KINDS, WATCHED
from webhook.eem.resources import CALICO, CALICO_VERSIONS, CLUSTER_POLICIES, EEM_GROUP, NETWORK_POLICIES
from webhook.eem.rules import ProductVersion
from webhook.main.from_cluster import ACCESS_REVIEWS
from webhook.server import VALIDATE_CLUSTER_POLICY, WEBHOOKS
from webhook.settings import Settings, variable_of

HOUR_SECONDS = 3600


def read(path: str) -> Json:
    """Read a manifest with one object."""
    found: Json = yaml.safe_load((MANIFESTS / path).read_text())
    return found


def registered() -> dict[str, Json]:
    """Return the webhook entries of static-registration by name."""
    files = [
        read("components/static-registration/validatingwebhookconfiguration.yaml"),
        read("base/validatingwebhookconfiguration.yaml"),
        read("base/mutatingwebhookconfiguration.yaml"),
    ]
    return {webhook["name"]: webhook for configuration in files for webhook in configuration["webhooks"]}


def test_every_path_is_registered_under_its_name() -> None:
    """
    Each path of the service has an entry with the name that its metrics and log lines have.

    The entry for cluster-wide policies exists only while the service registers itself.
    """
    service = read("base/service.yaml")
    (port,) = service["spec"]["ports"]
    there = {"namespace": NAMESPACE, "name": service["metadata"]["name"], "port": port["port"]}

    asked = {name: webhook["clientConfig"]["service"] for name, webhook in registered().items()}

    shipped = {path: name for path, name in WEBHOOKS.items() if path != VALIDATE_CLUSTER_POLICY}
    assert asked == {name: {**there, "path": path} for path, name in shipped.items()}


def test_the_service_targets_the_https_port() -> None:
    """The Service targets the port of the container that the service opens for HTTPS."""
    (port,) = read("base/service.yaml")["spec"]["ports"]
    (container,) = read("base/deployment.yaml")["spec"]["template"]["spec"]["containers"]

    opened = {one["name"]: one["containerPort"] for one in container["ports"]}

    assert opened[port["targetPort"]] == Settings().https_port


def test_the_rules_name_the_judged_kinds_and_operations() -> None:
    """The API server sends the kinds and operations that the service judges, and no subresources."""
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


def test_only_policies_of_eem_namespaces_fail_without_the_service() -> None:
    """Only the entry for NetworkPolicies has Fail. The namespace of the service and kube-system are excluded."""
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


def test_the_overlay_of_the_tests_passes_strict_validation(machine: Machine, guard: Guard) -> None:
    """The API server accepts every object of the base and of static-registration without a warning."""
    answer = machine.kubectl("apply", "--dry-run=server", "--validate=strict", "-k", str(guard.overlay))

    assert (answer.status, answer.stderr) == (0, "")


@pytest.mark.usefixtures("guard")
def test_the_base_passes_strict_validation(machine: Machine) -> None:
    """The base can be applied without a component."""
    answer = machine.kubectl("apply", "--dry-run=server", "--validate=strict", "-k", str(MANIFESTS / "base"))
    # kubectl has a default order, and reports that it uses the order of the manifests.
    told = [line for line in answer.stderr.splitlines() if "Using the kustomization file" not in line]

    assert (answer.status, told) == (0, [])


@pytest.mark.usefixtures("guard")
@pytest.mark.parametrize("release", RELEASES, ids=str)
def test_the_definitions_of_the_tests_pass_strict_validation(machine: Machine, release: ProductVersion) -> None:
    """For each release, the tables of fields make structural schemas."""
    made = listed(*definitions(release))

    answer = machine.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", stdin=made)

    assert (answer.status, answer.stderr) == (0, "")


def test_the_replicas_run_under_the_restricted_pod_security_standard(machine: Machine, guard: Guard) -> None:
    """The namespace enforces the restricted standard, and all replicas start."""
    enforced = machine.must("get", "namespace", NAMESPACE, "--output=json").json["metadata"]["labels"]

    assert enforced["pod-security.kubernetes.io/enforce"] == "restricted"
    assert len(guard.replicas()) == 3


def test_only_a_projected_token_is_mounted(machine: Machine, guard: Guard) -> None:
    """The token lasts at most an hour and is where the service reads it. Kubernetes adds no other token."""
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


def test_the_role_grants_only_reading_of_watched_resources() -> None:
    """
    The ClusterRole grants list and watch on the resources that the service watches, and on EEM's two definitions.

    Besides, it may ask what a user may do, which stores nothing.
    """
    role, _ = yaml.safe_load_all((MANIFESTS / "base" / "role.yaml").read_text())

    granted = {
        (group, resource): set(rule["verbs"])
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }

    assert granted.pop((ACCESS_REVIEWS.group, ACCESS_REVIEWS.plural)) == {"create"}
    assert granted == {(one.group, one.plural): {"list", "watch"} for one in (*WATCHED, DEFINITIONS)}
    (definitions,) = [rule for rule in role["rules"] if DEFINITIONS.plural in rule["resources"]]
    assert definitions["resourceNames"] == [definition_name(one) for one in WATCHED if one.kind in OPTIONAL_KINDS]


def test_the_component_for_cluster_policies_grants_only_reading_of_their_kinds() -> None:
    """The ClusterRole of the component grants list and watch, and production has the component."""
    role, binding = yaml.safe_load_all((MANIFESTS / "components" / "cluster-policies" / "role.yaml").read_text())
    base_role, base_binding = yaml.safe_load_all((MANIFESTS / "base" / "role.yaml").read_text())

    assert role["rules"] == [
        {
            "apiGroups": [CLUSTER_POLICIES[0].group],
            "resources": [one.plural for one in CLUSTER_POLICIES],
            "verbs": base_role["rules"][0]["verbs"],
        }
    ]
    assert binding["subjects"] == base_binding["subjects"]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]


def test_the_component_for_calico_grants_only_reading_of_its_kinds() -> None:
    """The ClusterRole of the component grants list and watch in both groups in which Calico's kinds may be served."""
    role, binding = yaml.safe_load_all((MANIFESTS / "components" / "calico" / "role.yaml").read_text())
    base_role, base_binding = yaml.safe_load_all((MANIFESTS / "base" / "role.yaml").read_text())

    assert role["rules"] == [
        {
            "apiGroups": list(CALICO_VERSIONS),
            "resources": [one.plural for one in CALICO],
            "verbs": base_role["rules"][0]["verbs"],
        }
    ]
    assert binding["subjects"] == base_binding["subjects"]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]


def test_the_component_for_reports_grants_only_writing_of_them() -> None:
    """It turns them on, and its ClusterRole grants what server-side apply needs, and on OpenShift the owners."""
    folder = MANIFESTS / "components" / "reports"
    role, binding = yaml.safe_load_all((folder / "role.yaml").read_text())
    base_binding = list(yaml.safe_load_all((MANIFESTS / "base" / "role.yaml").read_text()))[1]
    (container,) = yaml.safe_load((folder / "deployment.yaml").read_text())["spec"]["template"]["spec"]["containers"]

    assert role["rules"] == [
        {"apiGroups": [REPORTS.group], "resources": [REPORTS.plural], "verbs": ["create", "patch", "delete"]}
    ]
    assert binding["subjects"] == base_binding["subjects"]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert container["env"] == [{"name": variable_of("reports"), "value": "on"}]


def named(objects: list[Json], kind: str) -> list[Json]:
    """Return the objects of one kind that have the name of the service."""
    return [one for one in objects if one["kind"] == kind and one["metadata"]["name"] == NAMESPACE]


CONFIGURATIONS = ("ValidatingWebhookConfiguration", "MutatingWebhookConfiguration")
BROUGHT = ("cert-manager", "openshift-service-ca")


def test_the_webhook_configurations_come_first(machine: Machine) -> None:
    """They are applied and deleted before everything else, without a caBundle and the entry for NetworkPolicies."""
    objects = built(machine, MANIFESTS / "base")
    entries = [entry for one in objects if one["kind"] in CONFIGURATIONS for entry in one["webhooks"]]

    assert [one["kind"] for one in objects[:4]] == [*CONFIGURATIONS, "Namespace", "Namespace"]
    assert {entry["name"] for entry in entries} == {INSTANCES, DEFAULTS}
    assert [entry["clientConfig"].keys() for entry in entries] == [{"service"}] * 2


def test_every_namespaced_object_names_its_namespace(machine: Machine) -> None:
    """The namespaces are those of the service and of the canary. Events may be written in every namespace."""
    objects = built(machine, MANIFESTS / "base")
    places = {
        (one["kind"], one["metadata"].get("namespace"))
        for one in objects
        if one["kind"] not in {*CONFIGURATIONS, "Namespace", "ClusterRole", "ClusterRoleBinding"}
    }

    assert {place for _, place in places} == {NAMESPACE, "eem-guardrail-canary"}
    assert {kind for kind, place in places if place != NAMESPACE} == {"Role", "RoleBinding"}


@pytest.mark.parametrize("component", [*BROUGHT, "static-registration"])
def test_a_component_with_certificates_mounts_them_and_removes_the_rights_to_secrets(
    machine: Machine, component: str, tmp_path: Path
) -> None:
    """With certificates of another program, the service reads files and has no right to any Secret."""
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
def test_both_configurations_have_the_annotation_of_the_injector(
    machine: Machine, component: str, key: str, value: str, tmp_path: Path
) -> None:
    """The injector writes the caBundle of every shipped entry."""
    objects = built(machine, composed(tmp_path / "built", "base", [component, "static-registration"]))
    found = [one for one in objects if one["kind"] in CONFIGURATIONS]

    assert [one["metadata"]["annotations"][key] for one in found] == [value, value]


def test_static_registration_removes_every_right_to_write(machine: Machine, tmp_path: Path) -> None:
    """With a static registration, the service has only rights to read, and to ask what a user may do."""
    objects = built(machine, composed(tmp_path / "built", "base", ["static-registration", "cert-manager"]))
    verbs = {
        verb
        for one in objects
        if one["kind"] in {"Role", "ClusterRole"} and one["metadata"]["name"] != UNBOUND
        for rule in one["rules"]
        for verb in rule["verbs"]
        if rule["resources"] != ["subjectaccessreviews"]
    }
    (deployment,) = named(objects, "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    environment = {one["name"]: one["value"] for one in container["env"]}

    assert verbs == {"list", "watch"}
    assert environment["EEM_GUARDRAIL_REGISTER"] == "off"


UNBOUND = "eem-guardrail-bypass"
GRANTED = {
    (None, "admissionregistration.k8s.io", "validatingwebhookconfigurations", NAMESPACE): "list watch patch",
    (None, "admissionregistration.k8s.io", "mutatingwebhookconfigurations", NAMESPACE): "list watch patch",
    (NAMESPACE, "", "secrets", "eem-guardrail-tls"): "get list watch update",
    (NAMESPACE, "", "secrets", ""): "create",
    (NAMESPACE, "coordination.k8s.io", "leases", NAMESPACE): "get update",
    (NAMESPACE, "coordination.k8s.io", "leases", ""): "create",
    (None, "events.k8s.io", "events", ""): "create patch",
    ("eem-guardrail-canary", "networking.k8s.io", "networkpolicies", ""): "create",
}


def test_the_rights_to_write_are_these() -> None:
    """The complete list of rights besides those to read what is judged."""
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
