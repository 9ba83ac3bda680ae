"""
Count the calls that one review makes, and the modules that it visits: `python -m benchmarks.structure` runs this file.

It runs as a script, with the checkout that is measured as PYTHONPATH, so it imports nothing of its own package. The
path is the one behind HTTP: decode the review, judge it in the guard with a live list, encode the answer. Only calls
into functions of `webhook/` count; each resumption of a generator or coroutine is one call.
"""

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from importlib import import_module
from pathlib import Path
from types import FrameType
from typing import Any

GUARDS = ("webhook.guard.judging", "webhook.server.judging")
"""Modules that have held PolicyJudge, the newest first."""

NAMESPACE = "eem"
PRODUCT = {"app.kubernetes.io/name": "ibm-event-endpoint-management"}
ApiObject = dict[str, Any]


class Cluster:
    """A cluster in which the cache is complete and nothing changes, in the form that the guard asks for."""

    has_synced = follows_policies = True

    def __init__(self, objects: Iterable[ApiObject]) -> None:
        self.objects = tuple(objects)
        self.snapshot = import_module("webhook.eem").EemSnapshot.from_objects(self.objects)

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Accept a listener; nothing ever changes, so it is never called."""

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Return when *condition* holds, which it does from the start."""

    async def list_policies(self, _: str) -> list[ApiObject]:
        """Return the policies, as the API server lists them."""
        return [one for one in self.objects if one["kind"] == "NetworkPolicy"]


def objects(*, with_policies: bool) -> list[ApiObject]:
    """Return a namespace with a manager and a gateway, with or without a default deny and the allows."""
    found: list[ApiObject] = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}]
    for kind, name, pod in (
        ("EventEndpointManagement", "manager", "manager-ibm-eem-manager-0"),
        ("EventGateway", "gateway", "gateway-ibm-egw-gateway-6f7c9d-x2x4q"),
    ):
        labels = PRODUCT | {"app.kubernetes.io/instance": name}
        metadata = {"name": name, "namespace": NAMESPACE, "uid": f"uid-of-{name}"}
        found += [
            {"apiVersion": "events.ibm.com/v1beta1", "kind": kind, "metadata": metadata, "spec": {}},
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": pod, "namespace": NAMESPACE, "labels": labels},
                "spec": {},
                "status": {"phase": "Running", "podIP": f"10.244.0.{len(found)}"},
            },
        ]
    if with_policies:
        found += [policy("default-deny", {}, None), policy("allow-manager", PRODUCT, (3000, 8081, 8092))]
    return found


def policy(name: str, labels: Mapping[str, str], ports: Iterable[int] | None, version: str = "1") -> ApiObject:
    """Return a NetworkPolicy that isolates pods with *labels* and opens *ports*; None opens nothing."""
    spec: ApiObject = {"podSelector": {"matchLabels": dict(labels)}, "policyTypes": ["Ingress"]}
    if ports is not None:
        spec["ingress"] = [{"ports": [{"protocol": "TCP", "port": port} for port in ports]}]
    metadata = {"name": name, "namespace": NAMESPACE, "uid": f"uid-of-{name}", "resourceVersion": version}
    return {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata, "spec": spec}


def review(operation: str, new: ApiObject, old: ApiObject | None) -> bytes:
    """Return the AdmissionReview that an API server sends."""
    kind = {"group": "networking.k8s.io", "version": "v1"}
    request = {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": kind | {"kind": "NetworkPolicy"},
        "resource": kind | {"resource": "networkpolicies"},
        "name": new["metadata"]["name"],
        "namespace": NAMESPACE,
        "operation": operation,
        "userInfo": {"username": "jane", "groups": []},
        "object": new,
        "oldObject": old,
    }
    return json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).encode()


def allowed() -> tuple[Cluster, bytes]:
    """Return an UPDATE that opens one more port."""
    old, new = (policy("allow-manager", PRODUCT, ports) for ports in ((3000, 8081, 8092), (3000, 8081, 8092, 9999)))
    return Cluster(objects(with_policies=True)), review("UPDATE", new, old)


def refused() -> tuple[Cluster, bytes]:
    """Return a CREATE of a default deny where no policy keeps the required ports open."""
    return Cluster(objects(with_policies=False)), review("CREATE", policy("default-deny", {}, None), None)


def guard_of(cluster: Cluster) -> Callable[[Any], Awaitable[Any]]:
    """Return a new judge of NetworkPolicies with a live list."""
    options = import_module("webhook.admission").Options()
    for name in GUARDS:
        try:
            module = import_module(name)
        except ModuleNotFoundError:
            continue
        judge: Callable[[Any], Awaitable[Any]] = module.PolicyJudge(cluster, options, cluster.list_policies)
        return judge
    raise SystemExit(f"PolicyJudge is in none of {', '.join(GUARDS)}: add its module to the list")


async def answer(judge: Callable[[Any], Awaitable[Any]], content: bytes) -> bytes:
    """Return the answer to one review, as bytes."""
    admission = import_module("webhook.admission")
    request = admission.decode_review(content)
    encoded: bytes = admission.encode_review(request, await judge(request))
    return encoded


def traced(case: Callable[[], tuple[Cluster, bytes]], folder: str) -> dict[str, int]:
    """
    Judge one review twice and count the second time, when everything is imported and cached.

    Args:
        case: `allowed` or `refused`; its name is the expected verdict.
        folder: files below it are counted.
    """
    cluster, content = case()
    calls = 0
    modules: set[str] = set()

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal calls
        if event == "call" and frame.f_code.co_filename.startswith(folder):
            calls += 1
            modules.add(frame.f_code.co_filename)

    async def run() -> bytes:
        await answer(guard_of(cluster), content)
        judge = guard_of(cluster)  # another one: the first remembers the change that it has just admitted
        sys.setprofile(count)
        try:
            return await answer(judge, content)
        finally:
            sys.setprofile(None)

    response = json.loads(asyncio.run(run()))["response"]
    if response["allowed"] is not (case is allowed):
        raise SystemExit(f"the verdict was not the expected one: {response}")
    return {"calls": calls, "modules": len(modules)}


def main() -> None:
    """Print the counts of both reviews as JSON."""
    folder = str(Path(import_module("webhook").__file__ or "").parent)
    sys.stdout.write(json.dumps({case.__name__: traced(case, folder) for case in (allowed, refused)}) + "\n")


if __name__ == "__main__":
    main()
