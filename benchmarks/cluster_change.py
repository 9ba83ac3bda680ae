"""
Measure a change of a cluster-wide policy that touches EEM in many namespaces: `python -m benchmarks.cluster_change`.

Each namespace has a manager and a gateway with a pod each. The change denies all pods, in both directions. Where there
are many such namespaces it is judged in a thread; how long the event loop then waits for its turn is the longest time
for which the change delays another review.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

from webhook.admission import Options, decode_review
from webhook.cluster.store import Store
from webhook.eem import EemSnapshot
from webhook.guard.judging import PolicyJudge
from webhook.guard.judging_tiers import MOST_AT_ONCE, ClusterPolicyJudge

EEM_VERSION: Final = "events.ibm.com/v1beta1"
PRODUCT: Final = "ibm-event-endpoint-management"


def _objects(count: int) -> Iterator[dict[str, Any]]:
    for number in range(count):
        name = f"eem-{number:05}"
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        for kind, instance, pod in (
            ("EventEndpointManagement", "mgr", "mgr-ibm-eem-manager-0"),
            ("EventGateway", "gw", "gw-ibm-egw-gateway-7f9c-x2x"),
        ):
            meta = {"name": instance, "namespace": name, "uid": f"{name}-{instance}"}
            yield {"apiVersion": EEM_VERSION, "kind": kind, "metadata": meta, "spec": {}}
            labels = {"app.kubernetes.io/instance": instance, "app.kubernetes.io/name": PRODUCT}
            of_pod = {"name": pod, "namespace": name, "labels": labels}
            yield {"apiVersion": "v1", "kind": "Pod", "metadata": of_pod, "spec": {}}


def _review() -> bytes:
    every: dict[str, Any] = {"namespaces": {}}
    spec = {
        "priority": 10,
        "subject": every,
        "ingress": [{"action": "Deny", "from": [every]}],
        "egress": [{"action": "Deny", "to": [every]}],
    }
    version, kind = "policy.networking.k8s.io/v1alpha1", "AdminNetworkPolicy"
    policy = {"apiVersion": version, "kind": kind, "metadata": {"name": "closed"}, "spec": spec}
    request = {
        "uid": "1",
        "operation": "CREATE",
        "name": "closed",
        "kind": {"group": "policy.networking.k8s.io", "version": "v1alpha1", "kind": kind},
        "resource": {"group": "policy.networking.k8s.io", "version": "v1alpha1", "resource": "adminnetworkpolicies"},
        "userInfo": {"username": "somebody"},
        "object": policy,
    }
    review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}
    return json.dumps(review).encode()


async def measure(count: int) -> dict[str, Any]:
    """Return the processor time of one verdict, and the longest wait of the event loop, in milliseconds."""
    store = Store()
    store.reset(EemSnapshot.from_objects(_objects(count)))
    judge = ClusterPolicyJudge(store, Options, PolicyJudge(store, Options()))
    request, longest = decode_review(_review()), 0.0
    await judge(request)  # what is found out once per state of the policies is known
    began = time.process_time()
    judging = asyncio.create_task(judge(request))
    while not judging.done():
        turn = time.perf_counter()
        await asyncio.sleep(0)
        longest = max(longest, time.perf_counter() - turn)
    spent = time.process_time() - began
    return {
        "namespaces": count,
        "in a thread": count > MOST_AT_ONCE,
        "verdict": "allowed" if judging.result().allowed else "refused",
        "processor time, ms": round(spent * 1000),
        "longest wait of the event loop, ms": round(longest * 1000, 1),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--namespaces", type=int, default=1000, help="with EEM (default: 1000)")
    print(json.dumps(asyncio.run(measure(parser.parse_args(arguments).namespaces)), indent=2))  # noqa: T201 - the result
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
