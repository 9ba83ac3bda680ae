"""
Measure everything, and write docs/evidence/benchmarks.md, .svg and .json: `python -m benchmarks [--quick]`.

`python -m benchmarks growth` prints what each piece of work costs in a small cluster and in large ones, as Markdown; it
takes two minutes. `python -m benchmarks doubling` prints what each piece of work costs when the objects double, and
which of them grow fastest; with `--quick` it counts steps, and fails if one grows faster than its input.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from benchmarks import commands, decisions, doubling, growth, lists, real, reviews
from benchmarks.chart import draw
from benchmarks.figures import Figures
from benchmarks.plan import FULL, QUICK, Plan
from benchmarks.report import markdown, raw
from benchmarks.reviews import ROOT
from benchmarks.service import Pair, make_pair

Step = tuple[str, Callable[[], None]]


def main(words: Sequence[str] | None = None) -> int:
    """Run one command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="?", choices=("all", "growth", "doubling"), default="all", help="default: all")
    parser.add_argument(
        "--quick", action="store_true", help="a minute instead of a quarter of an hour, and without kube-apiserver"
    )
    parser.add_argument("--output", type=Path, help="folder to write to (default: docs/evidence; with --quick: none)")
    arguments = parser.parse_args(words)
    if arguments.what == "growth":
        sys.stdout.writelines(f"{line}\n" for line in growth.table(growth.WAYS, growth.ROUNDS))
        return 0
    if arguments.what == "doubling":
        return _doubling(quick=arguments.quick)
    plan = QUICK if arguments.quick else FULL
    output = arguments.output or (None if arguments.quick else ROOT / "docs/evidence")
    figures = Figures()
    notes = measure(plan, figures)
    page = markdown(figures, notes, list(growth.table(growth.WAYS, growth.ROUNDS)) if plan.growth else [])
    if output is not None:
        write(output, page, figures)
    sys.stdout.write(page)
    return 0


def _doubling(*, quick: bool) -> int:
    lines = list(doubling.too_steep()) if quick else doubling.table()
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return 1 if quick and lines else 0


def measure(plan: Plan, figures: Figures) -> list[str]:
    """Measure everything in *plan*, and return notes about what could not be measured."""
    notes: list[str] = []
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as scratch:
        folder = Path(scratch)
        for what, step in _steps(plan, make_pair(folder / "tls"), folder, figures):
            sys.stderr.write(f"{time.monotonic() - began:5.0f} s  {what}\n")
            try:
                step()
            except (
                RuntimeError,
                OSError,
                subprocess.SubprocessError,
            ) as error:  # the other figures are still useful
                sys.stderr.write(f"{error}\n")
                notes.append(f"Not measured: {what} ({str(error).splitlines()[0]}).")
    return notes


def _steps(plan: Plan, pair: Pair, folder: Path, figures: Figures) -> Iterator[Step]:
    for size in plan.sizes:
        yield f"decisions, {size}", partial(decisions.measure, size, plan, figures)
    for size in plan.sizes:
        yield f"reviews, {size}", partial(reviews.measure, size, pair, folder, plan, figures)
    yield "growth", partial(reviews.measure_growth, plan, figures)
    yield "start on files", partial(reviews.measure_start, pair, folder, plan, figures)
    yield "check and explain", partial(commands.measure, folder, plan, figures)
    yield f"lists, {plan.largest}", partial(lists.measure, pair, folder, plan, figures)
    if plan.real:
        yield f"kube-apiserver, {plan.largest}", partial(real.measure, pair, folder, plan, figures)


def write(output: Path, page: str, figures: Figures) -> None:
    """Write the page, the picture and the samples."""
    (output / "benchmarks.md").write_text(page, encoding="utf-8")
    (output / "benchmarks.svg").write_text(draw(figures), encoding="utf-8")
    (output / "benchmarks.json").write_bytes(raw(figures))


if __name__ == "__main__":
    raise SystemExit(main())
