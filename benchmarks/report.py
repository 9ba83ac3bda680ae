"""Write what was measured: a table for people, and every sample as JSON."""

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

`python -m benchmarks` measures everything on this page and writes it, in ten minutes at most; `--quick` takes one
minute and prints the table only.

"""

HOW = """\

## How

- The cluster: EEM and everything else in one namespace, which is the hardest case. A default-deny, the allows that EEM
  needs, and a crowd of policies of which every third selects every pod.
- A review: an UPDATE of 7 KB as `kubectl apply` makes it, `last-applied-configuration` and `managedFields` included, of
  four policies in turn that select pods of EEM, so that each is judged to the end. Metrics and the log line are on.
- The service runs as `serve` does in the image, on uvloop, in a process of its own; the load comes from another one
  over TLS 1.3 and keep-alive connections. Processor time is the kernel's count for all threads of the service: system
  calls, TLS and the collector are in it.
- 200 reviews a second are an open loop: each is due at a fixed moment and its time counts from then, whatever became of
  those before, so that a stall is charged for all that it kept waiting.
- The longest answer while all pods are listed again is the longest of some thousand reviews, the median of several
  lists; the machine's own hiccups are in it, as the line below it shows.
- `check` and `explain` are whole processes, from the shell's point of view, on YAML files of a hundred objects.
- What is repeated counts with its median. Timings of a machine that does other things besides are worth little.

## Where the time of a review goes

Found with perf and py-spy, and by leaving parts out of the running service; shares of the processor time of a review on
CPython 3.11 without profile-guided optimisation, as `pyenv` builds it (an optimised 3.11 took 5 to 8 % less).

| part | share |
|---|---:|
| TLS, system calls, HTTP: a handler of aiohttp that answers every request with the same bytes | a fifth |
| limits, deadlines and the line that reviews wait in | a tenth |
| the review from JSON, its 7 KB mostly passed over | a tenth |
| the decision: a third of it reads the new policy, a third judges it | two fifths |
| metrics and the log line | a seventh |

Three quarters of all that is spent in Python's own interpreter, and no function of the service takes a twentieth.
uvloop serves; asyncio's own loop was slower, by about a fifth in runs that differed much among themselves. A review has
become dearer by a quarter since the shares were found (195 to 246 µs): the line that reviews wait in, the versions of
changes in flight, and answers that are never taken on trust came since. What is left would need fewer steps, not faster
ones, or an interpreter that compiles them.

"""


def markdown(figures: Figures, notes: Sequence[str]) -> str:
    """Give the page."""
    table = "\n".join(_table(figures))
    told = "".join(f"{note}\n\n" for note in notes)
    return f"{HEAD}{machine()}\n\n{table}\n\n{told}![Cost against the size of the cluster](benchmarks.svg)\n{HOW}"


def machine() -> str:
    """Say what it was measured on."""
    cores = os.cpu_count() or 1
    loop = f"uvloop {version('uvloop')}"
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"Measured on {cores} cores of {_processor()}, {python}, {loop}, aiohttp {version('aiohttp')}."


def _processor() -> str:
    found = [line for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if "model name" in line]
    return found[0].partition(":")[2].strip() if found else platform.machine()


def _table(figures: Figures) -> Iterator[str]:
    yield "| figure | policies, pods | wanted | measured | reached |"
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
    """Give every sample as JSON."""
    written = msgspec.json.encode({"machine": machine(), "figures": figures.raw()})
    return msgspec.json.format(written) + b"\n"
