"""Builders of the objects that the cases apply: plain mappings with good defaults."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

Json = dict[str, Any]

PRODUCT = "ibm-event-endpoint-management"
POD_ACCOUNT = "workload"
LICENSE = {
    "accept": True,
    "license": "L-CYBH-K48BZQ",
    "metric": "VIRTUAL_PROCESSOR_CORE",
    "use": "EventAutomationNonProduction",
}


def listed(*items: Mapping[str, Any]) -> str:
    """Write objects as one List, for standard input."""
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


def namespace(name: str) -> list[Json]:
    """Return a namespace, and an account for its pods, since a controller creates the default one later."""
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}},
        service_account(name, POD_ACCOUNT),
    ]


def instance_labels(name: str, component: str) -> dict[str, str]:
    """Return the labels that the operator sets on the objects of an instance."""
    return {
        "app.kubernetes.io/name": PRODUCT,
        "app.kubernetes.io/instance": name,
        "app.kubernetes.io/component": component,
        "events.ibm.com/component": f"{name}-{component}",
    }


def pod(namespace: str, name: str, labels: Mapping[str, str], container: str, ports: Sequence[int] = ()) -> Json:
    """Return a pod without processes: the stand-in of the kubelet reports it as Running."""
    listening = [{"containerPort": port} for port in ports]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": namespace, "name": name, "labels": dict(labels)},
        "spec": {
            "serviceAccountName": POD_ACCOUNT,
            "terminationGracePeriodSeconds": 0,  # nothing runs that could need time
            "containers": [{"name": container, "image": f"localhost/{container}:e2e", "ports": listening}],
        },
    }


def event_gateway(namespace: str, name: str = "gw", **spec: Any) -> Json:
    """Return an EventGateway that registers at a manager of its own."""
    registration = {"endpoint": f"https://eem.{namespace}.example.com/gateway"}
    given = {"license": LICENSE, "gatewayGroupName": "group", "gatewayID": name, "manager": registration, **spec}
    return {
        "apiVersion": "events.ibm.com/v1beta1",
        "kind": "EventGateway",
        "metadata": {"namespace": namespace, "name": name},
        "spec": given,
    }


def old_gateway(namespace: str, name: str, **spec: Any) -> Json:
    """Return an EventGateway that registers as before 11.8.0."""
    instance = event_gateway(namespace, name, managerEndpoint=f"https://mgr-{namespace}.example.com", **spec)
    del instance["spec"]["manager"]
    return instance


def gateway(namespace: str, name: str = "gw", port: int = 8092, **spec: Any) -> list[Json]:
    """Return an EventGateway and the pod that its operator would run."""
    labels = instance_labels(name, "ibm-egw")
    running = pod(namespace, f"{name}-ibm-egw-gateway-5d8f7c9b6-x2x7q", labels, "egw", [port])
    return [event_gateway(namespace, name, **spec), running]


def management(namespace: str, name: str = "mgr", part: Mapping[str, Any] | None = None, **spec: Any) -> Json:
    """Return an EventEndpointManagement with *part* in `spec.manager`, without faults or warnings."""
    hosts = {end: f"{end}.{name}.{namespace}.example.com" for end in ("ui", "gateway", "admin")}
    hosts["server"] = f"eem.{name}.{namespace}.example.com"
    managed = {
        "authConfig": {"authType": "LOCAL"},
        "storage": {"type": "ephemeral"},
        "endpoints": [{"name": end, "host": host} for end, host in hosts.items()],
        **(part or {}),
    }
    return {
        "apiVersion": "events.ibm.com/v1beta1",
        "kind": "EventEndpointManagement",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"license": LICENSE, "manager": managed, **spec},
    }


def manager(namespace: str, name: str = "mgr", **spec: Any) -> list[Json]:
    """Return an EventEndpointManagement and the pod that its operator would run."""
    labels = instance_labels(name, "ibm-eem-manager")
    running = pod(namespace, f"{name}-ibm-eem-manager-0", labels, "manager", [3000, 8081])
    return [management(namespace, name, **spec), running]


def listener(namespace: str, name: str = "gw", port: int = 8092) -> list[Json]:
    """Return the listeners of a gateway for clients."""
    exposed = {"name": "clients", "endpoint": {"host": f"kafka.{name}.{namespace}.example.com"}}
    return [{"name": "external", "port": port, "groups": [exposed]}]


def operator(namespace: str) -> Json:
    """Return the operator's Deployment, as its chart writes it; the Deployment controller makes the pod."""
    labels = {"app.kubernetes.io/name": PRODUCT, "app.kubernetes.io/instance": "ibm-eem-operator"}
    container = {"name": "ibm-eem-operator", "image": "localhost/ibm-eem-operator:e2e"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"namespace": namespace, "name": "ibm-eem-operator", "labels": labels},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"serviceAccountName": "ibm-eem-operator", "containers": [container]},
            },
        },
    }


def service_account(namespace: str, name: str) -> Json:
    """Return a service account."""
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"namespace": namespace, "name": name}}


def policy(
    namespace: str,
    name: str,
    *,
    selector: Mapping[str, Any] | None = None,
    ingress: Sequence[Mapping[str, Any]] = (),
) -> Json:
    """Return a NetworkPolicy for ingress; by default it selects every pod and admits nothing."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"namespace": namespace, "name": name},
        "spec": {"podSelector": dict(selector or {}), "policyTypes": ["Ingress"], "ingress": list(ingress)},
    }


def deny_all(namespace: str, name: str = "default-deny-ingress") -> Json:
    """Return the policy that IBM's documentation advises, after the allows exist."""
    return policy(namespace, name)


def allow(
    namespace: str,
    name: str,
    instance: str,
    ports: Sequence[int],
    sources: Sequence[Mapping[str, Any]] = (),
) -> Json:
    """Let *sources*, or anyone, reach the pods of one instance on some TCP ports."""
    rule: Json = {"ports": [{"protocol": "TCP", "port": port} for port in ports]}
    if sources:
        rule["from"] = list(sources)
    return policy(namespace, name, selector=selects(instance), ingress=[rule])


def selects(instance: str) -> Json:
    """Select the pods of one instance."""
    return {"matchLabels": {"app.kubernetes.io/instance": instance}}


def owner(kind: str, name: str, uid: str, version: str = "events.ibm.com/v1beta1") -> Json:
    """Return an ownerReference."""
    return {"apiVersion": version, "kind": kind, "name": name, "uid": uid}
