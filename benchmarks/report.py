"""Write the results: a page with a table, and every sample as JSON."""

import os
import platform
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path

import msgspec

from benchmarks.figures import QUANTITIES, Figures, Quantity

NAMES = {True: "yes", False: "**no**", None: ""}

HEAD = """\
# Benchmarks

What a review costs, and how the cost grows with the cluster. `python -m benchmarks` measures everything on this page
and writes it, in a quarter of an hour at most. `--quick` takes one minute and only prints the page.

"""

GROWTH = """\

## How the cost grows

`python -m benchmarks growth` prints this table: the processor time of each piece of work in a small cluster, and in one
that is large in a single way. Both are measured in turn.

"""

HOW = """\

## Method

- **The cluster.** EEM and everything else run in one namespace, which is the hardest case: a default deny, the allows
  that EEM needs, and many other policies, of which every third selects every pod.
- **A review** is an UPDATE of 7 KB as `kubectl apply` makes it, with `last-applied-configuration` and `managedFields`,
  of one of four policies that select pods of EEM, in turn. So each review is evaluated completely. Metrics and the log
  line are on.
- **The service** runs as `serve` does in the image, on uvloop, in its own process. The load comes from another process
  over TLS 1.3 and kept connections. Processor time is the kernel's count for all threads of the service, with system
  calls, TLS and the garbage collector.
- **200 reviews a second** are an open loop: each review is due at a fixed moment, and its time counts from then on,
  whatever happened to the reviews before it. A stall therefore counts for every review that it delays.
- **The longest answer while all pods are listed again** is the longest of some thousand reviews, as the median of
  several lists. It includes delays of the machine, which the row below it shows.
- `check` and `explain` are whole processes, as a shell sees them, on YAML files of a hundred objects each.
- Repeated measurements count with their median. Do not trust timings of a machine that does other work.

## Where the time of a review goes

Found with perf and py-spy, and by removing parts of the running service. Shares of the processor time of a review, on
CPython 3.11 without profile-guided optimisation, as `pyenv` builds it (an optimised 3.11 took 5 to 8 % less):

| part | share |
|---|---:|
| TLS, system calls, HTTP: an aiohttp handler that answers every request with the same bytes | a fifth |
| limits, deadlines, and the queue of waiting reviews | a tenth |
| decoding the review from JSON; most of its 7 KB is skipped | a tenth |
| the decision: a third of it parses the new policy, a third judges it | two fifths |
| metrics and the log line | a seventh |

Three quarters of the time is spent in the Python interpreter, and no function of the service takes a twentieth. The
event loop of asyncio was slower than uvloop by about a fifth, in runs that differed much from each other. The
shares are those of an earlier version with a simpler cluster: since then the cluster of the benchmark has ipBlocks with
exceptions, and verdicts take more into account (cluster-wide policies, egress, labels of controllers). One cost grows
with the policies that admit sources to a port that EEM needs: a change of what one admits there is added to the others.

"""


def markdown(figures: Figures, notes: Sequence[str], growth: Sequence[str]) -> str:
    """
    Return the page.

    Args:
        growth: the lines of the table of what grows with the cluster; none to leave it out.
    """
    table = "\n".join(_table(figures))
    shown_notes = "".join(f"{note}\n\n" for note in notes)
    grown = "".join((GROWTH, *(f"{line}\n" for line in growth))) if growth else ""
    chart = "![Cost against the size of the cluster](benchmarks.svg)\n"
    return f"{HEAD}{machine()}\n\n{table}\n\n{shown_notes}{chart}{grown}{HOW}"


def machine() -> str:
    """Return a sentence about the machine and the versions."""
    cores = os.cpu_count() or 1
    loop = f"uvloop {version('uvloop')}"
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"Measured on {cores} cores of {_processor()}, {python}, {loop}, aiohttp {version('aiohttp')}."


def _processor() -> str:
    found = [line for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if "model name" in line]
    return found[0].partition(":")[2].strip() if found else platform.machine()


def _table(figures: Figures) -> Iterator[str]:
    yield "| figure | policies, pods | target | measured | met |"
    yield "|---|---|---:|---:|---|"
    for quantity in QUANTITIES:
        for size, value in figures.of(quantity).items():
            reached = NAMES[quantity.reached(value)]
            measured = f"{quantity.shown(value)} {quantity.unit}"
            where = f"{size.policies:,}, {size.pods:,}"
            yield f"| {quantity.name} | {where} | {_wanted(quantity)} | {measured} | {reached} |"


def _wanted(quantity: Quantity) -> str:
    if quantity.target is None:
        return ""
    return f"{'≥' if quantity.more_is_better else '≤'} {quantity.shown(quantity.target)}"


def raw(figures: Figures) -> bytes:
    """Return every sample as JSON."""
    written = msgspec.json.encode({"machine": machine(), "figures": figures.raw()})
    return msgspec.json.format(written) + b"\n"
