"""
Gateways that run without an EventGateway: the product documents a plain Deployment, which the user owns.

No instance says what they need, so they are not guarded; the commands name them, so that this is no surprise.

Source: IBM Event Endpoint Management documentation, "Installing a Kubernetes Deployment Event Gateway".
"""

from collections.abc import Iterator
from typing import Final

from webhook.eem.eem_snapshot import EemSnapshot
from webhook.netpol.model import Pod
from webhook.netpol.snapshot import NamespaceState

GATEWAY_LABELS: Final = frozenset({"gatewayGroup", "gatewayId"})
"""The labels of the pods of the documented Deployment."""


def unmanaged_gateways(snapshot: EemSnapshot) -> tuple[str, ...]:
    """Return the pods with a gateway's labels that belong to no instance, and workloads without pods: their names."""
    found = (name for state in snapshot.cluster.namespaces() for name in _in_namespace(state, snapshot))
    return tuple(sorted(found))


def _in_namespace(state: NamespaceState, snapshot: EemSnapshot) -> Iterator[str]:
    namespace = state.namespace.name
    view = snapshot.eem.get(namespace)
    mine = view.inventory.claims if view is not None else None
    pods = [pod for pod in state.pods.values() if _is_gateway(pod) and not pod.finished]
    yield from (f"{namespace}/{pod.name}" for pod in pods if mine is None or not mine.of_pod(pod))
    seen = {pod.labels["gatewayId"] for pod in pods}
    for workload in state.workloads.values():
        template = workload.template
        is_new = _is_gateway(template) and template.labels["gatewayId"] not in seen
        if is_new and not workload.owners and (mine is None or not mine.of_workload(workload)):
            yield f"{namespace}/{workload.name}"


def _is_gateway(pod: Pod) -> bool:
    return pod.labels.keys() >= GATEWAY_LABELS
