"""Measure the decision and the snapshot without the server, in this process."""

import time
from collections.abc import Callable
from functools import partial
from itertools import islice
from statistics import median

from benchmarks.cluster import EDITED, GATEWAY_PODS, ApiObject, Size, objects, pods, policies, review
from benchmarks.figures import AFTER_CHANGE, DECISION, OTHER_EVENT, POD_EVENT, Figures
from benchmarks.plan import Plan
from webhook.admission import Options, decide, decode_review
from webhook.eem import EemSnapshot


def measure(size: Size, plan: Plan, figures: Figures) -> None:
    """Measure one size of cluster."""
    snapshot = EemSnapshot.empty()
    for api_object in objects(size):
        snapshot = snapshot.with_object(api_object)
    options = Options()
    requests = [decode_review(review(name, size)) for name in EDITED]
    changed = list(islice(policies(size.policies), 10))
    some_pods = list(islice(pods(size.pods), GATEWAY_PODS + 2))

    def decide_all(_: int) -> None:
        for request in requests:
            decide(request, snapshot, options)

    def decide_after(number: int) -> None:
        decide(requests[0], snapshot.with_object(changed[number % len(changed)]), options)

    decide_all(0)
    figures.add(DECISION, size, [_microseconds(decide_all, plan.repeats) / len(requests)])
    figures.add(AFTER_CHANGE, size, [_microseconds(decide_after, plan.repeats)])
    for quantity, pod in ((POD_EVENT, some_pods[0]), (OTHER_EVENT, some_pods[-1])):
        figures.add(quantity, size, [_microseconds(partial(_take, snapshot, pod), plan.repeats)])


def _take(snapshot: EemSnapshot, pod: ApiObject, _: int) -> None:
    snapshot.with_object(pod)


def _microseconds(work: Callable[[int], None], repeats: int) -> float:
    """Return the median time of one call."""
    taken: list[float] = []
    for number in range(repeats):
        began = time.perf_counter()
        work(number)
        taken.append(time.perf_counter() - began)
    return median(taken) * 1e6
