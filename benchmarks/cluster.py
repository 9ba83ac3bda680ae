"""Make the clusters that are measured: EEM and all else in one namespace, which is the hardest case for a decision."""

import json
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

NAMESPACE = "events"
PRODUCT = {"app.kubernetes.io/name": "ibm-event-endpoint-management"}
GATEWAY_PODS = 4
OTHER_APPS = 50  # kinds of pods that are nobody's of EEM; each policy of the crowd speaks of one of them
EDITED = ("allow-gateway", "allow-manager", "default-deny", "crowd-0")
"""Policies that the reviews edit: all of them select pods of EEM, so that every review is judged to the end."""

ApiObject = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """How large a cluster is."""

    policies: int
    pods: int

    def __str__(self) -> str:
        return f"{self.policies:,} policies, {self.pods:,} pods"


SMALL = Size(policies=10, pods=50)
MEDIUM = Size(policies=200, pods=2_000)
LARGE = Size(policies=5_000, pods=20_000)
SIZES = (SMALL, MEDIUM, LARGE)
REPOSITORY = Size(policies=500, pods=2_000)


def objects(size: Size) -> Iterator[ApiObject]:
    """Give every object of a cluster: its EEM first, then its policies, then its pods."""
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "uid": "namespace"}}
    yield from (_instance("EventEndpointManagement", "manager"), _instance("EventGateway", "gateway"))
    yield from policies(size.policies)
    yield from pods(size.pods)


def _instance(kind: str, name: str) -> ApiObject:
    metadata = {"name": name, "namespace": NAMESPACE, "uid": f"uid-{name}"}
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


def policies(count: int) -> Iterator[ApiObject]:
    """Give a default-deny, the allows that EEM needs, and a crowd of others; a third of it selects every pod."""
    yield policy("default-deny", {"podSelector": {}, "policyTypes": ["Ingress"]})
    for instance, ports in (("gateway", (8092,)), ("manager", (3000, 8081))):
        entries = [{"port": port, "protocol": "TCP"} for port in ports]
        selector = {"matchLabels": {"app.kubernetes.io/instance": instance}}
        spec = {"podSelector": selector, "policyTypes": ["Ingress"], "ingress": [{"ports": entries}]}
        yield policy(f"allow-{instance}", spec)
    for index in range(count - 3):
        spec = {
            "podSelector": {"matchLabels": {"app": f"app-{index % OTHER_APPS}"}} if index % 3 else {},
            "policyTypes": ["Ingress"],
            "ingress": [
                {
                    "from": [{"podSelector": {"matchLabels": {"app": f"client-{index}"}}}],
                    "ports": [{"port": 80 + index % 100, "protocol": "TCP"}],
                }
            ],
        }
        yield policy(f"crowd-{index}", spec)


def policy(name: str, spec: Mapping[str, Any]) -> ApiObject:
    """Give one NetworkPolicy as the API server stores it, without what only clients write."""
    metadata = {"name": name, "namespace": NAMESPACE, "uid": f"uid-{name}", "resourceVersion": "5"}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata,
        "spec": dict(spec),
    }


def pods(count: int) -> Iterator[ApiObject]:
    """Give the pods of EEM, then a crowd."""
    for index in range(count):
        address = f"10.{index // 65536}.{index // 256 % 256}.{index % 256}"
        if index < GATEWAY_PODS:
            labels = PRODUCT | {"app.kubernetes.io/instance": "gateway", "pod-template-hash": "6d5f7c"}
            yield pod(f"gateway-ibm-egw-gateway-6d5f7c-{index}", labels, address)
        elif index == GATEWAY_PODS:
            yield pod("manager-ibm-eem-manager-0", PRODUCT | {"app.kubernetes.io/instance": "manager"}, address)
        else:
            app = f"app-{index % OTHER_APPS}"
            yield pod(f"{app}-6d5f7c-{index}", {"app": app, "pod-template-hash": "6d5f7c"}, address)


def pod(name: str, labels: Mapping[str, str], address: str) -> ApiObject:
    """Give one running pod, as a manifest with a status has it."""
    container = {
        "name": "main",
        "image": "registry.example/team/app:1.2.3",
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
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
        "status": {"phase": "Running", "hostIP": "192.0.2.1", "podIP": address, "podIPs": [{"ip": address}]},
    }


def as_listed(api_object: ApiObject) -> ApiObject:
    """
    Give a pod as the API server lists it, about 6 KB: with the fields that controllers and managers write.

    Source: the parts of a Deployment's pod in `kubectl get pod -o json` that a decision never looks at.
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
    """Give an AdmissionReview of about 7 KB: an UPDATE that adds a rule to one policy, made by kubectl apply."""
    old = next(known for known in policies(size.policies) if known["metadata"]["name"] == name)
    new = deepcopy(old)
    added = {
        "from": [{"namespaceSelector": {"matchLabels": {"team": "shop"}}}],
        "ports": [{"port": 9999, "protocol": "TCP"}],
    }
    new["spec"]["ingress"] = [*new["spec"].get("ingress", ()), added]
    for version in (old, new):
        version["metadata"] |= _written_by_kubectl(version)
    request = {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": {"group": "networking.k8s.io", "version": "v1", "kind": "NetworkPolicy"},
        "resource": {"group": "networking.k8s.io", "version": "v1", "resource": "networkpolicies"},
        "requestKind": {"group": "networking.k8s.io", "version": "v1", "kind": "NetworkPolicy"},
        "requestResource": {"group": "networking.k8s.io", "version": "v1", "resource": "networkpolicies"},
        "name": name,
        "namespace": NAMESPACE,
        "operation": "UPDATE",
        "userInfo": {"username": "jane@example.com", "groups": ["developers", "system:authenticated"]},
        "object": new,
        "oldObject": old,
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
    """Give what kubectl and the API server add to an object's metadata: most of a review's bytes."""
    applied = json.dumps({key: version[key] for key in ("apiVersion", "kind", "spec")})
    owned: ApiObject = {f"f:part-{index}": {".": {}, "f:ingress": {}, "f:podSelector": {}} for index in range(44)}
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
