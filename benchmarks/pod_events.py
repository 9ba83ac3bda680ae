"""
Measure what events of pods cost: `python -m benchmarks.pod_events [--quick]`.

The cluster is the largest of the other benchmarks: 20,000 pods and 5,000 policies. What counts is processor time, so
that other work of the machine does not count. An event is an update of one pod's labels, as the watch brings it: the
store takes it in, and the audit evaluates what it touches. During a burst, the longest piece that holds the event loop
is measured: it is the longest time for which the burst delays a review.
"""

import argparse
import asyncio
import gc
import json
import time
from collections.abc import Sequence
from statistics import median
from typing import Any, Final

from benchmarks.cluster import LARGE, MEDIUM, PRODUCT, ApiObject, Size, objects
from webhook.admission import Options
from webhook.cluster.store import Store
from webhook.cluster.timing import TimeSlice
from webhook.eem import EemSnapshot
from webhook.guard.auditing import Auditor, AuditTiming

EVENTS: Final = 300
BURST: Final = 5_000
MILLISECOND: Final = 0.001


def _changed(pod: ApiObject, number: int) -> ApiObject:
    """Return a pod with one more label."""
    labels = {**pod["metadata"].get("labels", {}), "changed": str(number)}
    return {**pod, "metadata": {**pod["metadata"], "labels": labels}}


async def _single(store: Store, auditor: Auditor, pods: Sequence[ApiObject], count: int = EVENTS) -> list[float]:
    """Return the milliseconds of each event, with the audit that follows it, in order."""
    found = []
    for number in range(count):
        event = _changed(pods[number * len(pods) // count], number)
        began = time.thread_time()
        store.apply("Pod", "MODIFIED", event)
        await auditor.audit_once()
        found.append((time.thread_time() - began) / MILLISECOND)
    return sorted(found)


async def _burst(store: Store, auditor: Auditor, pods: Sequence[ApiObject], count: int) -> tuple[float, float]:
    """Return the longest time for which the event loop was held, and the whole time, in milliseconds."""
    longest, ended = 0.0, False

    async def watch() -> None:
        nonlocal longest
        while not ended:
            began = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - began)

    events = [_changed(pods[number * len(pods) // count], -number) for number in range(count)]
    began, time_slice = time.thread_time(), TimeSlice()
    watching, auditing = asyncio.create_task(watch()), asyncio.create_task(auditor.run())
    await asyncio.sleep(0)  # else a burst that never gives way would be over before the watch begins
    for event in events:
        store.apply("Pod", "MODIFIED", event)
        await time_slice.check()
    await auditor.audit_once()
    ended = True
    await watching
    auditing.cancel()
    await asyncio.gather(auditing, return_exceptions=True)
    return longest / MILLISECOND, (time.thread_time() - began) / MILLISECOND


async def measure(size: Size, burst: int) -> dict[str, Any]:
    """Return the figures of one cluster, in milliseconds of processor time."""
    every = list(objects(size))
    every_pod = [one for one in every if one["kind"] == "Pod"]
    own = [one for one in every_pod if PRODUCT.items() <= one["metadata"]["labels"].items()]
    pods = [one for one in every_pod if one not in own]
    store = Store()
    store.reset(EemSnapshot.from_objects(every))
    timing = AuditTiming(breathe=TimeSlice().check, spacing_seconds=0.0)
    auditor = Auditor(store, Options(), timing, observe=lambda _: None)
    began = time.thread_time()
    await auditor.audit_once()
    first = (time.thread_time() - began) / MILLISECOND
    gc.collect()
    gc.freeze()  # as the service does after a list
    single = await _single(store, auditor, pods)
    relabelled = await _single(store, auditor, own, len(own))
    longest, whole = await _burst(store, auditor, pods, burst)
    return {
        "cluster": str(size),
        "first audit": round(first, 1),
        "event, median": round(median(single), 3),
        "event, 99th percentile": round(single[len(single) * 99 // 100], 3),
        "event of an EEM pod with labels that no pod had, median": round(median(relabelled), 3),
        f"burst of {burst:,}, longest hold": round(longest, 2),
        f"burst of {burst:,}, altogether": round(whole, 2),
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smaller cluster, and a shorter burst")
    quick = parser.parse_args(arguments).quick
    figures = asyncio.run(measure(MEDIUM, BURST // 10) if quick else measure(LARGE, BURST))
    print(json.dumps(figures, indent=2))  # noqa: T201 - the result
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
