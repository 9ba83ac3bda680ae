"""
The cluster for packets: the pods that listen, and the clients that connect.

Names and labels are those of the oracle's generator of policies, so that its selectors match some pods.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from harness.guard import PACKETS
from harness.objects import Json, event_gateway, instance_labels, management, namespace, operator
from oracle.vocabulary import EVERY_PORT

SPACES: dict[str, dict[str, str]] = {PACKETS: {"team": "c"}, "shop": {"team": "a"}, "bank": {"team": "b"}, "later": {}}
CLIENTS: tuple[dict[str, str], ...] = (
    {},
    {"app": "web"},
    {"app": "db", "on": "yes"},
    {"app": "cache", "on": "true"},
    {"on": "on"},
    {"app": "web", "on": "on"},
)
NAMED = [{"name": "kafka-client", "containerPort": 8092}, {"name": "ui", "containerPort": 3000}]
LISTEN = [str(port) for port in EVERY_PORT]
OPERATOR = "ibm-eem-operator"


@dataclass(frozen=True, kw_only=True, slots=True)
class Needed:
    """One requirement whose loss packets can show: the ports of the pod of a component."""

    kind: str
    instance: str
    pod: str
    ports: tuple[int, ...]


NEEDED = (
    Needed(kind="EventGateway", instance="gw", pod="gw-ibm-egw-gateway-0", ports=(8092,)),
    Needed(kind="EventEndpointManagement", instance="mgr", pod="mgr-ibm-eem-manager-0", ports=(3000, 8081)),
)
TARGETS = (*(f"{PACKETS}/{one.pod}" for one in NEEDED), "shop/listens")


def listener(space: str, name: str, labels: dict[str, str]) -> Json:
    """Return a pod that listens on every port of the test."""
    container: dict[str, Any] = {"name": "c", "image": "localhost/client:e2e", "args": LISTEN, "ports": NAMED}
    return pod(space, name, labels, container)


def client(space: str, name: str, labels: dict[str, str]) -> Json:
    """Return a pod that has an address and does nothing."""
    return pod(space, name, labels, {"name": "c", "image": "localhost/client:e2e"})


def pod(space: str, name: str, labels: dict[str, str], container: dict[str, Any]) -> Json:
    """Return a pod that stops at once when it is deleted."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": space, "name": name, "labels": labels},
        "spec": {
            "serviceAccountName": "workload",
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "containers": [container],
        },
    }


def objects() -> Iterator[Json]:
    """Yield all objects of the scene, namespaces first."""
    for space, labels in SPACES.items():
        made, account = namespace(space)
        made["metadata"]["labels"] = labels
        yield from (made, account)
    yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"namespace": PACKETS, "name": OPERATOR}}
    yield event_gateway(PACKETS, "gw")
    yield management(PACKETS, "mgr")
    running = operator(PACKETS)
    running["spec"]["template"]["spec"]["containers"][0]["args"] = LISTEN
    yield running
    gateway = instance_labels("gw", "ibm-egw") | {"tier": "gold"}
    manager = instance_labels("mgr", "ibm-eem-manager") | {"tier": "silver", "on": "on"}
    yield listener(PACKETS, "gw-ibm-egw-gateway-0", gateway)
    yield listener(PACKETS, "mgr-ibm-eem-manager-0", manager)
    yield listener("shop", "listens", {"app": "web"})
    for space in SPACES:
        for number, labels in enumerate(CLIENTS):
            yield client(space, f"client-{number}", labels)
