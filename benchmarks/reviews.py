"""Measure the service over TLS: processor time, throughput, answer times, and its start."""

import json
import subprocess
import sys
from pathlib import Path
from statistics import quantiles

import msgspec

from benchmarks.cluster import EDITED, Size, objects, review
from benchmarks.figures import CPU, GROWTH, MIDDLE, READY, REVIEWS, SLOW, Figures
from benchmarks.load import Job, Outcome
from benchmarks.plan import Plan
from benchmarks.service import Pair, Service, served

ROOT = Path(__file__).resolve().parent.parent
CLOSED_CONNECTIONS = 8  # enough to keep the server busy
OPEN_CONNECTIONS = 25  # the idle connections that the API server keeps to one webhook
RATE_PER_SECOND = 200.0
WARM_SECONDS = 0.5  # for the first reviews, before caches are filled


def write_state(size: Size, folder: Path) -> Path:
    """Write a cluster as JSON, which is read fastest, and return the file."""
    path = folder / f"state-{size.policies}-{size.pods}.json"
    path.write_text("\n".join(json.dumps(api_object) for api_object in objects(size)), encoding="utf-8")
    return path


def measure(size: Size, pair: Pair, folder: Path, plan: Plan, figures: Figures) -> None:
    """Measure one size of cluster."""
    state = write_state(size, folder)
    bodies = [review(name, size) for name in EDITED]
    with served(["--state", str(state)], pair, folder / "serve.log") as service:
        send(service, pair, bodies, CLOSED_CONNECTIONS, WARM_SECONDS)
        costs: list[float] = []
        for _ in range(plan.runs):
            before = service.cpu_seconds()
            outcome = send(service, pair, bodies, CLOSED_CONNECTIONS, plan.closed_seconds)
            costs.append((service.cpu_seconds() - before) / outcome.answered * 1000)
        outcome = send(service, pair, bodies, OPEN_CONNECTIONS, plan.open_seconds, RATE_PER_SECOND)
    figures.add(CPU, size, costs)
    figures.add(REVIEWS, size, [1000 / cost for cost in costs])
    percentiles = quantiles(outcome.milliseconds, n=100)
    figures.add(MIDDLE, size, [percentiles[49]])
    figures.add(SLOW, size, [percentiles[98]])


def measure_growth(plan: Plan, figures: Figures) -> None:
    """Compare the cost in the largest cluster with that in the smallest."""
    costs = figures.of(CPU)
    figures.add(GROWTH, plan.sizes[-1], [costs[plan.sizes[-1]] / costs[plan.sizes[0]]])


def measure_start(pair: Pair, folder: Path, plan: Plan, figures: Figures) -> None:
    """Measure the time until the service is ready on the files of a small cluster."""
    size = plan.sizes[0]
    state = write_state(size, folder)
    seconds: list[float] = []
    for _ in range(plan.runs):
        with served(["--state", str(state)], pair, folder / "serve.log") as service:
            seconds.append(service.ready_seconds)
    figures.add(READY, size, seconds)


def send(  # noqa: PLR0913, PLR0917  one load
    service: Service, pair: Pair, bodies: list[bytes], connections: int, seconds: float, rate: float = 0.0
) -> Outcome:
    """Send reviews from a separate process: an open loop if there is a rate, otherwise a closed loop."""
    job = Job(
        port=service.https_port,
        ca_file=pair.ca_file,
        bodies=bodies,
        connections=connections,
        seconds=seconds,
        rate=rate,
    )
    command = [sys.executable, "-m", "benchmarks.load"]
    done = subprocess.run(command, input=msgspec.json.encode(job), stdout=subprocess.PIPE, check=True, cwd=ROOT)
    return msgspec.json.decode(done.stdout, type=Outcome)
