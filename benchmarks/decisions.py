"""Measure the decision and the snapshot alone, in this process."""

import time
from collections.abc import Callable
from statistics import median

from benchmarks.cluster import EDITED, GATEWAY_PODS, Size, objects, pods, policies, review
from benchmarks.figures import AFTER_CHANGE, DECISION, OTHER_EVENT, POD_EVENT, Figures
from webhook.admission import Options, decide, decode_review
from webhook.eem import EemSnapshot

REPEATS = 400


def measure(size: Size, figures: Figures) -> None:
    """Measure one size of cluster."""
    snapshot = EemSnapshot.empty()
    for api_object in objects(size):
        snapshot = snapshot.with_object(api_object)
    options = Options()
    requests = [decode_review(review(name, size)) for name in EDITED]
    changed = [api_object for api_object, _ in zip(policies(size.policies), range(10), strict=False)]
    some_pods = [api_object for api_object, _ in zip(pods(size.pods), range(20), strict=False)]

    def decide_all() -> None:
        for request in requests:
            decide(request, snapshot, options)

    def decide_after(number: int) -> None:
        decide(requests[0], snapshot.with_object(changed[number % len(changed)]), options)

    decide_all()
    figures.add(DECISION, size, [_microseconds(lambda _: decide_all()) / len(requests)])
    figures.add(AFTER_CHANGE, size, [_microseconds(decide_after)])
    for quantity, pod in ((POD_EVENT, some_pods[0]), (OTHER_EVENT, some_pods[GATEWAY_PODS + 1])):
        figures.add(quantity, size, [_microseconds(lambda _, pod=pod: _take(snapshot, pod))])


def _take(snapshot: EemSnapshot, pod: dict[str, object]) -> None:
    snapshot.with_object(pod)


def _microseconds(work: Callable[[int], None]) -> float:
    """Give the median time of one call."""
    taken: list[float] = []
    for number in range(REPEATS):
        began = time.perf_counter()
        work(number)
        taken.append(time.perf_counter() - began)
    return median(taken) * 1e6
