"""The example cluster of the demo: an EEM manager and a gateway, a shop that uses them, and no policy yet."""

from collections.abc import Mapping
from typing import Any

NAMESPACE = "eem"

_PRODUCT = {"app.kubernetes.io/name": "ibm-event-endpoint-management"}


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


CLUSTER: tuple[Mapping[str, Any], ...] = (
    _namespace(NAMESPACE),
    _namespace("shop"),
    _instance("EventEndpointManagement", "manager"),
    _instance("EventGateway", "gateway"),
    _pod(
        NAMESPACE,
        "manager-ibm-eem-manager-0",
        _PRODUCT | {"app.kubernetes.io/instance": "manager"},
        "10.244.0.10",
    ),
    _pod(
        NAMESPACE,
        "gateway-ibm-egw-gateway-6f7c9d-x2x4q",
        _PRODUCT | {"app.kubernetes.io/instance": "gateway"},
        "10.244.0.11",
    ),
    _pod("shop", "orders-0", {"app": "orders"}, "10.244.0.20"),
)

DEFAULT_DENY: Mapping[str, Any] = {
    "apiVersion": "networking.k8s.io/v1",
    "kind": "NetworkPolicy",
    "metadata": {"name": "default-deny-ingress", "namespace": NAMESPACE},
    "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
}
