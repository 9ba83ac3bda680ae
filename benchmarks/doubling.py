"""
Measure what doubles with the size of the objects: `python -m benchmarks doubling` prints a table and its worst rows.

Each row doubles one shape: how many CIDRs a policy has, how many instances a namespace, and so on. A ratio of two is
linear, four is quadratic. `--quick` counts steps instead of time (lines that run and functions that are called), which
is the same on every machine, and fails where a ratio is above the limit.
"""

import gc
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from statistics import median
from types import FrameType
from typing import Any

from benchmarks.cluster import NAMESPACE, PRODUCT, ApiObject, policy, review_of
from benchmarks.cluster import pod as running_pod
from webhook.admission import Options, decide, decode_review, encode_review, validate
from webhook.admission.audit import audit
from webhook.eem import EemSnapshot

MOST = 2.2
"""The largest ratio of a doubling: linear, with what sorting adds, and what does not grow at all."""

ROUNDS = 5
LEAST_STEPS = 2_000
"""Fewer steps are no work that could grow too fast at the size that is measured."""

Work = Callable[[], object]
Measure = Callable[[Work], float]
Row = tuple[str, str, list[int], list[float]]
"""A shape, a piece of work, the sizes, and what it costs at each of them."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """
    Something that can be doubled.

    Args:
        make: returns the work at one size, by name.
        quick: the size for counting steps; it is doubled once.
        full: the size for measuring time; it is doubled twice, up to what the API server stores.
    """

    make: Callable[[int], Mapping[str, Work]]
    quick: int
    full: int


def rows(
    measure: Measure, sizes: Callable[[Shape], Iterable[int]]
) -> Iterator[tuple[str, str, list[int], list[float]]]:
    """Yield each shape and work with its sizes, and what it costs at each of them."""
    for name, shape in SHAPES.items():
        chosen = list(sizes(shape))
        costs: dict[str, list[float]] = {}
        for size in chosen:
            for work, run in shape.make(size).items():
                run()
                costs.setdefault(work, []).append(measure(run))
        for work, found in costs.items():
            yield name, work, chosen, found


def worst_ratio(costs: list[float]) -> float:
    """Return the largest ratio of two costs of which one is at the double size of the other."""
    return max(after / before for before, after in pairwise(costs))


def table() -> Iterator[str]:
    """Yield the lines of the table of processor times, the worst rows last."""
    yield "| what doubles | work | sizes | milliseconds | largest ratio |"
    yield "|---|---|---|---|---:|"
    found = []
    for name, work, sizes, costs in rows(milliseconds, lambda shape: (shape.full // 4, shape.full // 2, shape.full)):
        shown = ", ".join(f"{size:,}" for size in sizes), ", ".join(f"{cost:,.2f}" for cost in costs)
        found.append((worst_ratio(costs), f"| {name} | {work} | {shown[0]} | {shown[1]} | {worst_ratio(costs):.2f} |"))
        yield found[-1][1]
    yield ""
    yield "Largest ratios:"
    yield ""
    yield from (line for _, line in sorted(found, reverse=True)[:5])


def too_steep() -> Iterator[str]:
    """Yield a line for each shape and work whose steps grow faster than they may."""
    for name, work, sizes, costs in rows(steps_of, lambda shape: (shape.quick, shape.quick * 2)):
        ratio = worst_ratio(costs)
        sys.stderr.write(f"{name}: {work}: {sizes[0]:,} to {sizes[1]:,}: {costs[1]:,.0f} steps, {ratio:.2f} times\n")
        if ratio > MOST and costs[1] > LEAST_STEPS:
            yield f"{name}: {work}: {ratio:.2f} times the steps for the double"


def milliseconds(work: Work) -> float:
    """Return the median processor time of one call; the collector skips the cluster, as in the service."""
    gc.collect()
    gc.freeze()
    samples = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        samples.append((time.process_time() - began) * 1e3)
    return median(samples)


def steps_of(work: Work) -> float:
    """Return how many lines run and how many functions of Python are called."""
    count = 0

    def note(_: FrameType, event: str, __: object) -> Any:
        nonlocal count
        count += event in {"call", "line"}
        return note

    before = sys.gettrace()
    sys.settrace(note)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def _instance(name: str, **spec: object) -> ApiObject:
    metadata = {"name": name, "namespace": NAMESPACE, "uid": f"uid-{name}"}
    return {"apiVersion": "events.ibm.com/v1beta1", "kind": "EventGateway", "metadata": metadata, "spec": spec}


def _pods(count: int, label: str) -> list[ApiObject]:
    """Return a pod for each gateway, or (with a label) so many pods of the first one, with a value of it each."""
    made = []
    for number in range(count):
        labels = PRODUCT | {"app.kubernetes.io/instance": "gateway-0" if label else f"gateway-{number}"}
        labels |= {label: f"value-{number}"} if label else {}
        made.append(running_pod(f"pod-{number}", labels, [f"10.0.{number // 256}.{number % 256}"], ("kafka", 8092)))
    return made


def _world(*objects: ApiObject) -> EemSnapshot:
    snapshot = EemSnapshot.from_objects(objects)
    for view in snapshot.eem.values():
        _ = view.standings
    return snapshot


def _spec(*rules: ApiObject) -> ApiObject:
    return {
        "podSelector": {},
        "policyTypes": ["Ingress"],
        "ingress": [*rules],
    }


def _judged(snapshot: EemSnapshot, old: ApiObject | None, new: ApiObject | None) -> Work:
    """Return a whole review, from its bytes to the bytes of its answer."""
    return partial(_review, review_of(old, new), snapshot)


def _review(body: bytes, snapshot: EemSnapshot) -> bytes:
    request = decode_review(body)
    judge = validate if request.kind.group == "events.ibm.com" else decide
    return encode_review(request, judge(request, snapshot, Options()))


DENY = policy("deny", _spec())
OPEN = policy("open", _spec({}))
GATEWAY = _instance("gateway-0")


def _of_rules(rules: Callable[[int], list[ApiObject]], size: int) -> Mapping[str, Work]:
    """Return reviews about one large policy: it is created where it opens and closes, and one like it is deleted."""
    large, more = policy("large", _spec(*rules(size))), policy("more", _spec(*rules(size), *rules(1)))
    return {
        "an allow beside it": _judged(_world(GATEWAY, DENY, large), None, more),
        "it closes the port": _judged(_world(GATEWAY), None, large),
        "it is deleted": _judged(_world(GATEWAY, DENY, large), large, None),
        "one that is alike is deleted": _judged(_world(GATEWAY, DENY, large, more), more, None),
    }


def _blocks(size: int) -> list[ApiObject]:
    cidrs = (f"{11 + at // 65536}.{at // 256 % 256}.{at % 256}.0/25" for at in range(size))
    return [{"from": [{"ipBlock": {"cidr": cidr}} for cidr in cidrs]}]


def _exceptions(size: int) -> list[ApiObject]:
    except_ = [f"{11 + at // 65536}.{at // 256 % 256}.{at % 256}.0/25" for at in range(size)]
    return [{"from": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": except_}}, {"namespaceSelector": {}}]}]


def _peers(size: int) -> list[ApiObject]:
    return [
        {"from": [{"podSelector": {"matchLabels": {"app": f"app-{at}", "tier": f"{at % 7}"}}} for at in range(size)]}
    ]


def _rules(size: int) -> list[ApiObject]:
    return [
        {"from": [{"podSelector": {"matchLabels": {"app": f"app-{at}"}}}], "ports": [{"port": 8092}]}
        for at in range(size)
    ]


def _ports(size: int) -> list[ApiObject]:
    return [{"from": [{"namespaceSelector": {}}], "ports": [{"port": 10_000 + at} for at in range(size)]}]


def _keys(size: int) -> list[ApiObject]:
    keys = [{"key": f"key-{at}", "operator": "Exists"} for at in range(size)]
    return [{"from": [{"podSelector": {"matchExpressions": keys}}]}]


def _values(size: int) -> list[ApiObject]:
    values = [f"value-{at}" for at in range(size)]
    peers = [{"podSelector": {"matchExpressions": [{"key": "app", "operator": "NotIn", "values": values}]}}]
    return [{"from": [*peers, {"podSelector": {"matchLabels": {"app": values[0]}}}]}]


def _of_policies(size: int) -> Mapping[str, Work]:
    crowd = [policy(f"crowd-{at}", _spec(*_peers(1), *_ports(at % 3 + 1))) for at in range(size)]
    world = _world(GATEWAY, *crowd, OPEN)
    return {
        "the open one is deleted": _judged(world, OPEN, None),
        "another one is deleted": _judged(world, crowd[0], None),
        "event of a policy": partial(world.with_object, crowd[0]),
        "an audit": partial(audit, world, Options()),
    }


def _of_subjects(label: str, size: int) -> Mapping[str, Work]:
    """Return work on many subjects: on so many gateways, or on so many label sets of one."""
    gateways = [_instance(f"gateway-{number}") for number in range(1 if label else size)]
    objects = [*gateways, *_pods(size, label)]
    world, old, new = _world(*objects), _instance("gateway-0"), _instance("gateway-0", listeners=[{"port": 9092}])
    isolated = _world(*objects, DENY, OPEN)
    deletion = review_of(OPEN, None)
    return {
        "the first default deny": _judged(world, None, DENY),
        "the only allow is deleted": _judged(isolated, OPEN, None),
        "a second allow": _judged(isolated, None, policy("second", OPEN["spec"])),
        "a review of an instance": _validated(isolated, old, new),
        "the start": partial(_world, *objects, DENY),
        "event of a policy": partial(world.with_object, DENY),
        "event of an instance and a decision": partial(_after, isolated, gateways[0], deletion),
        "event of a pod and a decision": partial(_after, isolated, objects[-1], deletion),
        "an audit": partial(audit, isolated, Options()),
    }


def _of_managers(size: int) -> Mapping[str, Work]:
    """Return work on so many managers without hosts, and a gateway for each that may register at any of them."""
    url = {"endpoint": "https://eem.example.com/gateway"}
    managers = [{**_instance(f"manager-{at}", manager={}), "kind": "EventEndpointManagement"} for at in range(size)]
    gateways = [_instance(f"gateway-{at}", manager=url) for at in range(size)]
    world = _world(*managers, *gateways, *_pods(size, ""), OPEN)
    sealed = policy("sealed", {"podSelector": {}, "policyTypes": ["Egress"]})
    return {
        "no egress any more": _judged(world, None, sealed),
        "a review of an instance": _validated(world, gateways[0], _instance("gateway-0", listeners=[{"port": 9092}])),
        "an audit": partial(audit, world, Options()),
    }


def _after(snapshot: EemSnapshot, changed: ApiObject, body: bytes) -> bytes:
    return _review(body, snapshot.with_object(changed))


def _validated(snapshot: EemSnapshot, old: ApiObject, new: ApiObject) -> Work:
    """Return the review of a change of a gateway."""
    body = review_of(old, new)
    for policy_word, gateway_word in (
        (b"networking.k8s.io", b"events.ibm.com"),
        (b"networkpolicies", b"eventgateways"),
        (b'"version":"v1"', b'"version":"v1beta1"'),
        (b'"kind":"NetworkPolicy"', b'"kind":"EventGateway"'),
    ):
        body = body.replace(policy_word, gateway_word)
    return partial(_review, body, snapshot)


def _of_namespaces(size: int) -> Mapping[str, Work]:
    names = [f"team-{at}" for at in range(size)]
    spaces: list[ApiObject] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"team": name}}}
        for name in names
    ]
    listed = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": names}
    wide = policy("wide", _spec({"from": [{"namespaceSelector": {"matchExpressions": [listed]}}]}))
    each = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}}} for name in names]
    narrow = policy("wide", _spec({"from": each[1:]}))
    world = _world(GATEWAY, *spaces, DENY, wide)
    return {
        "a namespace is left out": _judged(world, wide, narrow),
        "the first default deny": _judged(world, None, DENY),
    }


def _of_findings(size: int) -> Mapping[str, Work]:
    new = _instance("gateway-0", **{f"unknown{at}": at for at in range(size)})
    return {"a review of an instance": _validated(_world(GATEWAY), GATEWAY, new)}


SHAPES: Mapping[str, Shape] = {
    "CIDRs": Shape(make=partial(_of_rules, _blocks), quick=400, full=20_000),
    "exceptions": Shape(make=partial(_of_rules, _exceptions), quick=400, full=20_000),
    "peers": Shape(make=partial(_of_rules, _peers), quick=400, full=10_000),
    "rules": Shape(make=partial(_of_rules, _rules), quick=400, full=10_000),
    "ports": Shape(make=partial(_of_rules, _ports), quick=400, full=20_000),
    "keys": Shape(make=partial(_of_rules, _keys), quick=400, full=10_000),
    "values": Shape(make=partial(_of_rules, _values), quick=400, full=40_000),
    "policies that select EEM's pods": Shape(make=_of_policies, quick=200, full=10_000),
    "instances": Shape(make=partial(_of_subjects, ""), quick=50, full=1_000),
    "managers and gateways": Shape(make=_of_managers, quick=50, full=1_000),
    "distinct label sets": Shape(make=partial(_of_subjects, "shard"), quick=50, full=4_000),
    "namespaces": Shape(make=_of_namespaces, quick=100, full=4_000),
    "findings": Shape(make=_of_findings, quick=100, full=10_000),
}
