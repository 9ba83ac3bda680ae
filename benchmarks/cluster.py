"""
Make the clusters that are measured.

Each has every feature that users have: addresses of both families, ipBlocks with exceptions, named ports and ranges of
ports, expressions in selectors, several namespaces with EEM, and an operator in a namespace of its own. Most policies
and pods are in one namespace with EEM, which is the hardest case for a decision.
"""

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

NAMESPACE = "events"
OPERATOR_NAMESPACE = "eem-operator"
PRODUCT = {"app.kubernetes.io/name": "ibm-event-endpoint-management"}
GATEWAY_PODS = 4
OTHER_APPS = 50
"""Different labels among the pods that are not EEM's; each policy of the crowd selects one of them, or every pod."""

PODS_IPV4 = "10.0.0.0/8"
PODS_IPV6 = "fd00:10::/32"
EDITED = ("allow-gateway", "allow-manager", "default-deny", "crowd-0")
"""Policies that the reviews edit: all of them select pods of EEM, so that every review is judged to the end."""

BYTES_OF_A_VERSION = 2_900
"""One policy in a review: its spec twice, and what kubectl and the API server add."""

BYTES_OF_A_PART = 56

ApiObject = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """
    How large a cluster is.

    Args:
        policies: in the namespace that is measured.
        pods: in that namespace.
        namespaces: without EEM.
        elsewhere: policies in those namespaces.
        others: namespaces that hold a manager and a gateway, besides the one that is measured.
        gateways: in the namespace that is measured.
    """

    policies: int
    pods: int
    namespaces: int = 3
    elsewhere: int = 10
    others: int = 2
    gateways: int = 1

    def __str__(self) -> str:
        return f"{self.policies:,} policies, {self.pods:,} pods"


SMALL = Size(policies=10, pods=50)
MEDIUM = Size(policies=200, pods=2_000)
LARGE = Size(policies=5_000, pods=20_000)
SIZES = (SMALL, MEDIUM, LARGE)
PRINTED = Size(policies=500, pods=20_000), Size(policies=500, pods=7_000)
"""As kubectl prints them, some 284 MB of JSON and 42 MB of YAML."""
REPOSITORY = Size(policies=500, pods=2_000)


def objects(size: Size) -> Iterator[ApiObject]:
    """Yield every object of a cluster: namespaces, EEM, policies, and the pods at the end."""
    others = [f"{NAMESPACE}-{number}" for number in range(size.others)]
    teams = [f"team-{number}" for number in range(size.namespaces)]
    for name in (NAMESPACE, OPERATOR_NAMESPACE, *others, *teams):
        yield _namespace(name)
    yield from _instances(NAMESPACE)
    for number in range(1, size.gateways):
        yield _instance("EventGateway", f"gateway-{number}", NAMESPACE)
    for namespace in others:
        yield from _instances(namespace)
    yield _operator()
    yield from policies(size.policies)
    for number in range(size.elsewhere if teams else 0):
        yield _crowd(number, teams[number % len(teams)])
    yield from pods(size.pods)


def _namespace(name: str) -> ApiObject:
    labels = {"kubernetes.io/metadata.name": name, "team": name, "stage": "test" if name.endswith("1") else "live"}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "uid": f"uid-namespace-{name}", "labels": labels},
    }


def _instances(namespace: str) -> tuple[ApiObject, ApiObject]:
    manager = _instance("EventEndpointManagement", "manager", namespace)
    return manager, _instance("EventGateway", "gateway", namespace)


def _instance(kind: str, name: str, namespace: str) -> ApiObject:
    metadata = {"name": name, "namespace": namespace, "uid": f"uid-{namespace}-{name}"}
    spec: ApiObject = {
        "license": {
            "accept": True,
            "license": "L-VTPK-22YZPK",
            "use": "EventAutomationNonProduction",
            "metric": "VIRTUAL_PROCESSOR_CORE",
        }
    }
    if kind == "EventGateway":
        spec |= {"gatewayGroupName": "group", "gatewayID": name}
    return {"apiVersion": "events.ibm.com/v1beta1", "kind": kind, "metadata": metadata, "spec": spec}


def _operator() -> ApiObject:
    """Return the operator's Deployment as the Helm chart makes it."""
    labels = PRODUCT | {"app.kubernetes.io/instance": "ibm-eem-operator"}
    container = {
        "name": "ibm-eem-operator",
        "image": "registry.example/eem/operator:1.0",
        "env": [{"name": "DEPLOY_OPERATOR_NETWORK_POLICY", "value": "true"}],
        "ports": [{"name": "webhook", "containerPort": 8443, "protocol": "TCP"}],
    }
    template = {
        "metadata": {"labels": labels},
        "spec": {"serviceAccountName": "ibm-eem-operator", "containers": [container]},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "ibm-eem-operator",
            "namespace": OPERATOR_NAMESPACE,
            "uid": "uid-operator",
            "labels": labels,
        },
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }


def policies(count: int) -> Iterator[ApiObject]:
    """Yield a default-deny, the allows that EEM needs, and a crowd of others; a third of it selects every pod."""
    yield policy("default-deny", {"podSelector": {}, "policyTypes": ["Ingress"]})
    yield policy("allow-gateway", _allow("gateway", _everywhere_but_pods(), [{"port": "kafka"}, {"port": 8092}]))
    yield policy("allow-manager", _allow("manager", _everywhere(), [{"port": 3000}, {"port": 8081, "endPort": 8082}]))
    for number in range(count - 3):
        yield _crowd(number, NAMESPACE)


def _allow(instance: str, peers: list[ApiObject], ports: list[ApiObject]) -> ApiObject:
    return {
        "podSelector": {"matchLabels": {"app.kubernetes.io/instance": instance}},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": peers, "ports": [{"protocol": "TCP", **port} for port in ports]}],
    }


def _everywhere() -> list[ApiObject]:
    """Return peers that stand for every pod and every address."""
    every_namespace = {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "Exists"}]}
    return [{"namespaceSelector": every_namespace}, _block("0.0.0.0/0"), _block("::/0")]


def _everywhere_but_pods() -> list[ApiObject]:
    """Return peers that stand for every pod by its labels, and every address that is not a pod's."""
    return [{"namespaceSelector": {}}, _block("0.0.0.0/0", PODS_IPV4), _block("::/0", PODS_IPV6)]


def _block(cidr: str, *except_: str) -> ApiObject:
    return {"ipBlock": {"cidr": cidr, "except": list(except_)} if except_ else {"cidr": cidr}}


def _crowd(number: int, namespace: str) -> ApiObject:
    """Return a policy that is not about EEM; a third of them selects every pod, a few of these open the Kafka port."""
    client = {"matchExpressions": [{"key": "app", "operator": "In", "values": [f"client-{number}", f"job-{number}"]}]}
    teams = {"matchExpressions": [{"key": "team", "operator": "NotIn", "values": [f"team-{number}", "guests"]}]}
    office = f"198.51.{number % 200}.0/24"
    peers = [
        {"podSelector": {"matchLabels": {"app": f"client-{number}"}}},
        {"podSelector": client, "namespaceSelector": teams},
        _block(office, f"198.51.{number % 200}.128/25"),
        _block(f"2001:db8:{number % 9000}::/48"),
    ]
    entry: ApiObject = {"port": 80 + number % 100} if number % 30 else {"port": 8092}
    spec: ApiObject = {
        "podSelector": {"matchLabels": {"app": f"app-{number % OTHER_APPS}"}} if number % 3 else {},
        "policyTypes": ["Ingress"],
        "ingress": [{"from": peers[number % 2 :: 2], "ports": [{"protocol": "TCP", **entry}]}],
    }
    if not number % 5:
        spec["ingress"].append({"from": peers[:1], "ports": [{"protocol": "TCP", "port": "http"}]})
    return policy(f"crowd-{number}", spec, namespace)


def policy(name: str, spec: Mapping[str, Any], namespace: str = NAMESPACE) -> ApiObject:
    """Return one NetworkPolicy as the API server stores it, without what only clients write."""
    metadata = {"name": name, "namespace": namespace, "uid": f"uid-{name}", "resourceVersion": "5"}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata,
        "spec": dict(spec),
    }


def pods(count: int) -> Iterator[ApiObject]:
    """Yield the pods of EEM, then a crowd; each has an address of both families."""
    for number in range(count):
        addresses = [
            f"10.{number // 65536}.{number // 256 % 256}.{number % 256}",
            f"fd00:10:0:{number // 256:x}::{number % 256:x}",
        ]
        if number < GATEWAY_PODS:
            labels = PRODUCT | {"app.kubernetes.io/instance": "gateway", "pod-template-hash": "6d5f7c"}
            yield pod(f"gateway-ibm-egw-gateway-6d5f7c-{number}", labels, addresses, ("kafka", 8092))
        elif number == GATEWAY_PODS:
            labels = PRODUCT | {"app.kubernetes.io/instance": "manager"}
            yield pod("manager-ibm-eem-manager-0", labels, addresses, ("ui", 3000))
        else:
            app = f"app-{number % OTHER_APPS}"
            yield pod(f"{app}-6d5f7c-{number}", {"app": app, "pod-template-hash": "6d5f7c"}, addresses, ("http", 8080))


def pod(name: str, labels: Mapping[str, str], addresses: list[str], port: tuple[str, int]) -> ApiObject:
    """Return one running pod, as a manifest with a status has it."""
    container = {
        "name": "main",
        "image": "registry.example/team/app:1.2.3",
        "ports": [{"name": port[0], "containerPort": port[1], "protocol": "TCP"}],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": NAMESPACE,
            "uid": f"uid-{name}",
            "resourceVersion": "7",
            "labels": dict(labels),
        },
        "spec": {"nodeName": "node-1", "serviceAccountName": "default", "containers": [container]},
        "status": {
            "phase": "Running",
            "hostIP": "192.0.2.1",
            "podIP": addresses[0],
            "podIPs": [{"ip": address} for address in addresses],
        },
    }


def as_listed(api_object: ApiObject) -> ApiObject:
    """
    Return a pod as the API server lists it, about 6 KB: with the fields that controllers and managers write.

    Source: the parts of a Deployment's pod in `kubectl get pod -o json` that a decision does not read.
    """
    fields: ApiObject = {f"f:field-{index}": {"f:value": {}, "f:other": {}} for index in range(40)}
    manager = {"manager": "kubelet", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1"}
    mounts = [{"name": f"volume-{index}", "mountPath": f"/var/run/volume-{index}"} for index in range(4)]
    environment = [{"name": f"SETTING_{index}", "value": f"value {index} of a setting"} for index in range(16)]
    conditions = [
        {"type": kind, "status": "True", "lastProbeTime": None, "lastTransitionTime": "2026-01-01T00:00:00Z"}
        for kind in ("Initialized", "Ready", "ContainersReady", "PodScheduled")
    ]
    listed = deepcopy(api_object)
    listed["metadata"]["managedFields"] = [{**manager, "fieldsV1": fields}]
    listed["metadata"]["annotations"] = {"example.com/checksum": "0" * 64}
    listed["spec"]["containers"][0] |= {"env": environment, "volumeMounts": mounts}
    listed["status"]["conditions"] = conditions
    return listed


def review(name: str, size: Size) -> bytes:
    """Return an AdmissionReview of about 7 KB: an UPDATE that adds a rule to one policy, made by kubectl apply."""
    old = next(known for known in policies(size.policies) if known["metadata"]["name"] == name)
    new = deepcopy(old)
    added = {
        "from": [{"namespaceSelector": {"matchLabels": {"team": "shop"}}}],
        "ports": [{"port": 9999, "protocol": "TCP"}],
    }
    new["spec"]["ingress"] = [*new["spec"].get("ingress", ()), added]
    return review_of(old, new)


def review_of(old: ApiObject | None, new: ApiObject | None) -> bytes:
    """Return the AdmissionReview of a change of a policy: old is None for CREATE, new is None for DELETE."""
    versions = [deepcopy(version) for version in (old, new)]
    for version in versions:
        if version is not None:
            version["metadata"] |= _written_by_kubectl(version)
    metadata = next(version["metadata"] for version in versions if version is not None)
    kind = {"group": "networking.k8s.io", "version": "v1", "kind": "NetworkPolicy"}
    resource = {"group": "networking.k8s.io", "version": "v1", "resource": "networkpolicies"}
    request = {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": kind,
        "resource": resource,
        "requestKind": kind,
        "requestResource": resource,
        "name": metadata["name"],
        "namespace": metadata["namespace"],
        "operation": "CREATE" if old is None else "DELETE" if new is None else "UPDATE",
        "userInfo": {"username": "jane@example.com", "groups": ["developers", "system:authenticated"]},
        "object": versions[1],
        "oldObject": versions[0],
        "dryRun": False,
        "options": {
            "kind": "UpdateOptions",
            "apiVersion": "meta.k8s.io/v1",
            "fieldManager": "kubectl-client-side-apply",
        },
    }
    content = {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}
    return json.dumps(content, separators=(",", ":")).encode()


def _written_by_kubectl(version: ApiObject) -> ApiObject:
    """Return what kubectl and the API server add to an object's metadata: most of a review's bytes."""
    applied = json.dumps({key: version[key] for key in ("apiVersion", "kind", "spec")})
    parts = (BYTES_OF_A_VERSION - 2 * len(applied)) // BYTES_OF_A_PART
    owned: ApiObject = {f"f:part-{index:02}": {".": {}, "f:ingress": {}, "f:podSelector": {}} for index in range(parts)}
    manager = {
        "manager": "kubectl-client-side-apply",
        "operation": "Update",
        "apiVersion": "networking.k8s.io/v1",
        "time": "2026-01-01T00:00:00Z",
        "fieldsType": "FieldsV1",
        "fieldsV1": {"f:spec": owned},
    }
    return {
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "generation": 3,
        "annotations": {"kubectl.kubernetes.io/last-applied-configuration": applied},
        "managedFields": [manager],
    }
