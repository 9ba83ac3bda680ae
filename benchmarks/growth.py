"""
Measure what grows with the cluster: `python -m benchmarks.growth` prints a table.

Each row sets the processor time of one piece of work in a small cluster against that in a cluster which is large in one
way. Both are measured in turn, so that a machine that changes its speed does so for both.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from statistics import median

from benchmarks.cluster import (
    EDITED,
    GATEWAY_PODS,
    NAMESPACE,
    SMALL,
    ApiObject,
    Size,
    objects,
    pods,
    policies,
    review,
    review_of,
)
from webhook.admission import AdmissionRequest, Options, decide, decode_review, encode_review, validate
from webhook.eem import EemSnapshot

ROUNDS = 15
LEAST_SECONDS = 0.01
"""Processor time of one round: what is shorter is repeated within it."""

Work = Callable[[], object]

WAYS: Mapping[str, Size] = {
    "pods: 50, 20,000": replace(SMALL, pods=20_000),
    "policies in the namespace: 10, 5,000": replace(SMALL, policies=5_000),
    "policies elsewhere: 10, 5,000": replace(SMALL, elsewhere=5_000),
    "namespaces: 3, 1,000": replace(SMALL, namespaces=1_000),
    "instances in other namespaces: 4, 400": replace(SMALL, others=200),
    "gateways in the namespace: 1, 200": replace(SMALL, gateways=200),
}
"""In which way the larger cluster is larger."""


def table(ways: Mapping[str, Size], rounds: int) -> Iterator[str]:
    """Yield the lines of the table."""
    yield "| what grows | work | small | large | times |"
    yield "|---|---|---:|---:|---:|"
    small = World.of(SMALL)
    for way, size in ways.items():
        for name, (before, after) in measure(small, World.of(size), rounds):
            yield f"| {way} | {name} | {before:,.1f} µs | {after:,.1f} µs | {after / before:.2f} |"


@dataclass(frozen=True, kw_only=True)
class World:
    """A cluster of one size, with every subject's standing known."""

    size: Size
    snapshot: EemSnapshot

    @classmethod
    def of(cls, size: Size) -> "World":
        """Build it."""
        snapshot = EemSnapshot.empty()
        for api_object in objects(size):
            snapshot = snapshot.with_object(api_object)
        return cls(size=size, snapshot=snapshot)

    def policy(self, name: str) -> ApiObject:
        """Return one of the namespace's policies."""
        return next(known for known in policies(self.size.policies) if known["metadata"]["name"] == name)


def measure(small: World, large: World, rounds: int) -> Iterator[tuple[str, tuple[float, float]]]:
    """Yield, for each piece of work, the microseconds that it takes in the small cluster and in the large one."""
    for (name, work), (_, larger) in zip(works(small), works(large), strict=True):
        samples: tuple[list[float], list[float]] = ([], [])
        for _ in range(rounds):
            for one, found in ((work, samples[0]), (larger, samples[1])):
                found.append(_seconds(one) * 1e6)
        yield name, (median(samples[0]), median(samples[1]))


def _seconds(work: Work) -> float:
    """Return the processor time of one call."""
    count, spent, began = 0, 0.0, time.process_time()
    while not count or spent < LEAST_SECONDS:
        work()
        count += 1
        spent = time.process_time() - began
    return spent / count


def works(world: World) -> Iterator[tuple[str, Work]]:
    """Yield every piece of work, by its name; each is done once before it is measured."""
    for name, work in (*_reviews(world), *_changes(world)):
        work()
        yield name, work


def _reviews(world: World) -> Iterator[tuple[str, Work]]:
    options, snapshot = Options(), world.snapshot
    edits = [review(name, world.size) for name in EDITED]
    bodies = {
        "allowed: a rule is added": edits[1],
        "allowed: the exceptions go": _edited(world, "allow-gateway", _open),
        "warned: pods by their address only": _edited(world, "allow-manager", _by_address),
        "refused: an exception is added": _edited(world, "allow-gateway", _excepted),
        "refused: a namespace is left out": _edited(world, "allow-gateway", _left_out),
        "refused: the allow is deleted": review_of(world.policy("allow-gateway"), None),
        "refused: the first default-deny": review_of(None, _default_deny()),
    }
    for name, body in bodies.items():
        request = decode_review(body)
        yield f"decision, {name}", partial(decide, request, snapshot, options)
    for name in ("allowed: a rule is added", "refused: the allow is deleted"):
        yield f"review, {name}", partial(_review, bodies[name], snapshot, options)
    gateway = decode_review(_gateway_review())
    yield "validation of a gateway", partial(validate, gateway, snapshot, options)


def _changes(world: World) -> Iterator[tuple[str, Work]]:
    options, snapshot = Options(), world.snapshot
    found = [pod for _, pod in zip(range(GATEWAY_PODS + 2), pods(world.size.pods), strict=False)]
    request = decode_review(_edited(world, "allow-manager", _by_address))
    decide(request, snapshot, options)
    changed = {
        "a pod of EEM": found[0],
        "another pod": found[-1],
        "a new pod": _new(found[-1]),
        "a policy": world.policy("crowd-0"),
        "an instance": _gateway(),
        "a namespace": next(one for one in objects(world.size) if one["metadata"]["name"] == "team-0"),
    }
    for name, api_object in changed.items():
        yield f"event of {name}", partial(snapshot.with_object, api_object)
    for name, api_object in changed.items():
        yield f"event of {name}, and a decision", partial(_after, api_object, request, snapshot, options)


def _after(api_object: ApiObject, request: AdmissionRequest, snapshot: EemSnapshot, options: Options) -> object:
    return decide(request, snapshot.with_object(api_object), options)


def _review(body: bytes, snapshot: EemSnapshot, options: Options) -> bytes:
    request = decode_review(body)
    return encode_review(request, decide(request, snapshot, options))


def _edited(world: World, name: str, change: Callable[[ApiObject], object]) -> bytes:
    """Return the review of an UPDATE of one of the namespace's policies."""
    old = world.policy(name)
    new = deepcopy(old)
    change(new["spec"])
    return review_of(old, new)


def _open(spec: ApiObject) -> None:
    for peer in spec["ingress"][0]["from"]:
        peer.get("ipBlock", {}).pop("except", None)


def _by_address(spec: ApiObject) -> None:
    spec["ingress"][0]["from"].pop(0)


def _excepted(spec: ApiObject) -> None:
    spec["ingress"][0]["from"][1]["ipBlock"]["except"].append("192.0.2.0/24")


def _left_out(spec: ApiObject) -> None:
    selector = {"matchExpressions": [{"key": "stage", "operator": "NotIn", "values": ["test"]}]}
    spec["ingress"][0]["from"][0]["namespaceSelector"] = selector


def _default_deny() -> ApiObject:
    deny = deepcopy(next(iter(policies(3))))
    deny["metadata"]["namespace"] = f"{NAMESPACE}-0"
    return deny


def _gateway() -> ApiObject:
    return next(one for one in objects(SMALL) if one["kind"] == "EventGateway")


def _gateway_review() -> bytes:
    """Return the review of an UPDATE that moves the gateway's port."""
    old = _gateway()
    new = deepcopy(old)
    new["spec"]["listeners"] = [{"name": "l", "port": 9092}]
    kind = {"group": "events.ibm.com", "version": "v1beta1", "kind": "EventGateway"}
    resource = {"group": "events.ibm.com", "version": "v1beta1", "resource": "eventgateways"}
    request = {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "kind": kind,
        "resource": resource,
        "name": "gateway",
        "namespace": NAMESPACE,
        "operation": "UPDATE",
        "userInfo": {"username": "jane@example.com"},
        "object": new,
        "oldObject": old,
    }
    content = {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}
    return json.dumps(content).encode()


def _new(pod: ApiObject) -> ApiObject:
    """Return a pod with a name and addresses that no other has."""
    new = deepcopy(pod)
    new["metadata"]["name"] = "new"
    addresses = ["10.200.1.2", "fd00:10:0:ffff::2"]
    new["status"] |= {"podIP": addresses[0], "podIPs": [{"ip": address} for address in addresses]}
    return new
