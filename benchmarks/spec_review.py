"""
Measure a review whose 7 KB are mostly spec, without HTTP: `python -m benchmarks.spec_review [PATH ...]`.

What counts is the processor time of decoding, the decision, and what is kept in flight. Each path is a checkout and
becomes a column; the checkouts are measured in turn, so that a machine that changes its speed does so for all:

    git worktree add /tmp/before HEAD~1
    python -m benchmarks.spec_review /tmp/before .

The measurement itself runs as a script, with the checkout as PYTHONPATH, so it imports nothing of its own package.
"""

import argparse
import asyncio
import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 5
TIMES = 400  # reviews of a round
LONGEST_MS = {"allowed": 0.15, "refused": 0.45}
"""Milliseconds of processor time that a review may take."""

NAMESPACE = "eem"
PRODUCT = {"app.kubernetes.io/name": "ibm-event-endpoint-management"}
ApiObject = dict[str, Any]


def rules() -> list[ApiObject]:
    """Return six rules with eleven peers, among them expressions and blocks with exceptions, and six ports."""
    office = {"ipBlock": {"cidr": "198.51.100.0/24", "except": ["198.51.100.128/25", "198.51.100.4/32"]}}
    branch = {"ipBlock": {"cidr": "2001:db8:1::/48", "except": ["2001:db8:1:ff::/64"]}}
    orders = [_term("app.kubernetes.io/name", "In", "orders", "payments", "returns"), _term("stage", "NotIn", "test")]
    tenants = [_term("team", "In", "sales", "stock", "support"), _term("quarantined", "DoesNotExist")]
    scraper = {"app.kubernetes.io/name": "monitoring", "app.kubernetes.io/component": "scraper"}
    in_shop = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}
    outside = {"namespaceSelector": {"matchExpressions": [_term("kubernetes.io/metadata.name", "NotIn", "guests")]}}
    peers: list[list[ApiObject]] = [
        [{"namespaceSelector": {}}, {"ipBlock": {"cidr": "0.0.0.0/0"}}],
        [in_shop | {"podSelector": {"matchExpressions": orders}}, office],
        [{"podSelector": {"matchLabels": scraper}}, {"namespaceSelector": {"matchExpressions": tenants}}],
        [{"ipBlock": {"cidr": "203.0.113.0/24"}}, branch],
        [{"namespaceSelector": {"matchLabels": {"network.openshift.io/policy-group": "ingress"}}}],
        [outside | {"podSelector": {"matchLabels": {"role": "client"}}}, {"ipBlock": {"cidr": "192.0.2.0/25"}}],
    ]
    ports: list[ApiObject] = [{"port": one} for one in (8092, 9443, "metrics", 8081, 80, 53)]
    ports[3]["endPort"] = 8083
    return [{"from": one, "ports": [{"protocol": "TCP", **port}]} for one, port in zip(peers, ports, strict=True)]


def _term(key: str, operator: str, *values: str) -> ApiObject:
    return {"key": key, "operator": operator} | ({"values": list(values)} if values else {})


def _object(api_version: str, kind: str, name: str, spec: ApiObject, **more: object) -> ApiObject:
    metadata = {"name": name, "namespace": NAMESPACE, "uid": f"uid-of-{name}", "resourceVersion": "5"}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, "spec": spec, **more}


def policy(name: str, labels: Mapping[str, str], written: Iterable[ApiObject] = ()) -> ApiObject:
    """Return a policy for the pods with *labels*."""
    spec = {"podSelector": {"matchLabels": dict(labels)}, "policyTypes": ["Ingress"], "ingress": list(written)}
    return _object("networking.k8s.io/v1", "NetworkPolicy", name, spec)


def cluster() -> list[ApiObject]:
    """Return a gateway with one pod, a default deny, the policy that opens the gateway, and namespaces."""
    labels = PRODUCT | {"app.kubernetes.io/instance": "gw"}
    pod = _object("v1", "Pod", "gw-ibm-egw-gateway-0", {}, status={"phase": "Running", "podIP": "10.244.0.7"})
    pod["metadata"]["labels"] = labels
    names = (NAMESPACE, "shop", "guests")
    namespaces = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": one, "labels": {"team": one}}} for one in names
    ]
    gateway = _object("events.ibm.com/v1beta1", "EventGateway", "gw", {})
    return [*namespaces, gateway, pod, policy("default-deny", {}), policy("allow-gw", labels, rules())]


def review(written: Sequence[ApiObject]) -> bytes:
    """Return the review of an UPDATE of the policy that opens the gateway."""
    old = cluster()[-1]
    new = deepcopy(old)
    new["spec"]["ingress"] = list(written)
    for version in (old, new):
        applied = json.dumps(version["spec"], separators=(",", ":"))
        version["metadata"]["annotations"] = {"kubectl.kubernetes.io/last-applied-configuration": applied}
    group = {"group": "networking.k8s.io", "version": "v1"}
    request = {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": group | {"kind": "NetworkPolicy"},
        "resource": group | {"resource": "networkpolicies"},
        "name": "allow-gw",
        "namespace": NAMESPACE,
        "operation": "UPDATE",
        "userInfo": {"username": "jane@example.com", "groups": ["developers", "system:authenticated"]},
        "object": new,
        "oldObject": old,
        "dryRun": False,
    }
    content = {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}
    return json.dumps(content, separators=(",", ":")).encode()


def reviews() -> Mapping[str, bytes]:
    """Return a review that is allowed, since it widens a block, and one that is refused: the open rule goes."""
    wider = rules()
    wider[3]["from"][0]["ipBlock"]["cidr"] = "203.0.112.0/23"
    return {"allowed": review(wider), "refused": review(rules()[1:])}


class _Cluster:
    """A cluster in which the cache is complete and nothing changes, in the form that the guard asks for."""

    has_synced = follows_policies = True

    def __init__(self) -> None:
        self.snapshot = import_module("webhook.eem").EemSnapshot.from_objects(cluster())

    def subscribe(self, listener: Callable[[], None]) -> None:
        """Accept a listener; nothing ever changes, so it is never called."""

    async def wait_until(self, condition: Callable[[], bool]) -> None:
        """Return when *condition* holds, which it does from the start."""

    async def list_policies(self, _: str) -> list[ApiObject]:
        """Return the policies, as the API server lists them."""
        return [one for one in cluster() if one["kind"] == "NetworkPolicy"]


async def microseconds(content: bytes, verdict: str, times: int) -> float:
    """Return the median processor time of one review, from its bytes to the change that it leaves in flight."""
    admission = import_module("webhook.admission")
    listing = _Cluster()
    listed = await listing.list_policies(NAMESPACE)

    async def list_policies(_: str) -> list[ApiObject]:
        return listed

    make = import_module("webhook.guard.judging").PolicyJudge
    judge = make(listing, admission.Options(), list_policies, spacing_seconds=0.0)
    taken: list[float] = []
    for _ in range(times):
        began = time.process_time()
        response = await judge(admission.decode_review(content))
        taken.append(time.process_time() - began)
        if response.allowed is not (verdict == "allowed"):
            raise SystemExit(f"the verdict was not the expected one: {response}")
    return median(taken) * 1e6


def measure(times: int) -> dict[str, float]:
    """Return the microseconds of each review in the checkout on the path."""
    gc.freeze()
    return {name: asyncio.run(microseconds(content, name, times)) for name, content in reviews().items()}


def side_by_side(paths: Sequence[Path], rounds: int, times: int) -> dict[Path, dict[str, float]]:
    """Return, for each checkout, the median over all rounds of each review's microseconds."""
    found: dict[Path, dict[str, list[float]]] = {path: {name: [] for name in LONGEST_MS} for path in paths}
    for _ in range(rounds):
        for path in paths:
            done = subprocess.run(
                [sys.executable, __file__, "--measure", str(times)],
                env={**os.environ, "PYTHONPATH": str(path.resolve())},
                capture_output=True,
                check=True,
            )
            for name, value in json.loads(done.stdout).items():
                found[path][name].append(value)
    return {path: {name: median(values) for name, values in one.items()} for path, one in found.items()}


def table(measured: Mapping[Path, Mapping[str, float]]) -> str:
    """Return the milliseconds of each review in each checkout, as a Markdown table."""
    sizes = {name: len(content) for name, content in reviews().items()}
    lines = [f"| review | target | {' | '.join(str(path) for path in measured)} |"]
    lines.append(f"|---|---:|{'---:|' * len(measured)}")
    for name, target in LONGEST_MS.items():
        cells = " | ".join(f"{one[name] / 1000:.3f} ms" for one in measured.values())
        lines.append(f"| {name}, {sizes[name]:,} bytes | ≤ {target} ms | {cells} |")
    return "\n".join(lines) + "\n"


def main(words: Sequence[str] | None = None) -> int:
    """Run one command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.spec_review", description="Print what a review costs, one column for each checkout."
    )
    parser.add_argument("paths", nargs="*", default=[ROOT], type=Path, metavar="PATH", help="default: this checkout")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"default: {ROUNDS}")
    parser.add_argument("--measure", type=int, default=0, metavar="TIMES", help=argparse.SUPPRESS)
    arguments = parser.parse_args(words)
    if arguments.measure:
        sys.stdout.write(json.dumps(measure(arguments.measure)))
        return 0
    sys.stdout.write(table(side_by_side(arguments.paths, arguments.rounds, TIMES)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
