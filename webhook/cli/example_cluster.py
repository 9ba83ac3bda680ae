"""
The example cluster of the demo: an EEM manager and a gateway, isolated as IBM recommends, and a shop that uses them.

The operator has made one policy for each instance, and the namespace has a default deny.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

NAMESPACE: Final = "eem"

_PRODUCT: Final = {"app.kubernetes.io/name": "ibm-event-endpoint-management"}


def _namespace(name: str) -> Mapping[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _instance(kind: str, name: str) -> Mapping[str, Any]:
    metadata = {"name": name, "namespace": NAMESPACE, "uid": f"uid-of-{name}"}
    return {"apiVersion": "events.ibm.com/v1beta1", "kind": kind, "metadata": metadata, "spec": {}}


def _pod(namespace: str, name: str, labels: Mapping[str, str], address: str) -> Mapping[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"containers": []},
        "status": {"phase": "Running", "podIP": address},
    }


def _labels(instance: str) -> Mapping[str, str]:
    return {**_PRODUCT, "app.kubernetes.io/instance": instance}


def _policy(name: str, pod_selector: Mapping[str, Any], ports: Sequence[int], **metadata: Any) -> Mapping[str, Any]:
    rules = {"ingress": [{"ports": [{"protocol": "TCP", "port": port} for port in ports]}]} if ports else {}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": NAMESPACE, **metadata},
        "spec": {"podSelector": pod_selector, "policyTypes": ["Ingress"], **rules},
    }


def _operator_policy(kind: str, instance: str, suffix: str, ports: Sequence[int]) -> Mapping[str, Any]:
    owner = {
        "apiVersion": "events.ibm.com/v1beta1",
        "kind": kind,
        "name": instance,
        "uid": f"uid-of-{instance}",
        "controller": True,
    }
    labels = _labels(instance)
    return _policy(f"{instance}-{suffix}", {"matchLabels": labels}, ports, labels=labels, ownerReferences=[owner])


MANAGER_POLICY: Final = _operator_policy("EventEndpointManagement", "manager", "ibm-eem-manager", (3000, 8081))
GATEWAY_POLICY: Final = _operator_policy("EventGateway", "gateway", "ibm-egw-gateway", (8092,))
DEFAULT_DENY: Final = _policy("default-deny-ingress", {}, ())
CLUSTER: Final[tuple[Mapping[str, Any], ...]] = (
    _namespace(NAMESPACE),
    _namespace("shop"),
    _instance("EventEndpointManagement", "manager"),
    _instance("EventGateway", "gateway"),
    _pod(NAMESPACE, "manager-ibm-eem-manager-0", _labels("manager"), "10.244.0.10"),
    _pod(NAMESPACE, "gateway-ibm-egw-gateway-6f7c9d-x2x4q", _labels("gateway"), "10.244.0.11"),
    _pod("shop", "orders-0", {"app": "orders"}, "10.244.0.20"),
    MANAGER_POLICY,
    GATEWAY_POLICY,
    DEFAULT_DENY,
)
