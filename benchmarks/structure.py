"""
Print how a checkout is built, as a Markdown table: `python -m benchmarks.structure [PATH ...]`.

Each path is a checkout and becomes a column, so that a version before a change and one after it stand side by side:

    git worktree add /tmp/before 3da3ecf
    python -m benchmarks.structure /tmp/before .

Two rows come from other commands, because they take minutes: the processor time of a review is read from the figures
that `python -m benchmarks` wrote into the checkout, and the seconds of the README's test command are given with
`--test-seconds`, one number for each path.
"""

import argparse
import ast
import io
import json
import os
import subprocess
import sys
import tokenize
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("webhook", "certs")
FEW_LINES = 30
"""Lines of code below which a module counts as small."""

FIGURES = ("docs/evidence/benchmarks.json", "docs/benchmarks.json")
"""Where `python -m benchmarks` writes its figures, the newest place first."""

REVIEW_TIME = "processor time of a review, over TLS"
IMPORTS = (
    "import grimp, json; graph = grimp.build_graph('webhook', 'certs', cache_dir=None); "
    "print(json.dumps({module: sorted(graph.find_modules_directly_imported_by(module)) for module in graph.modules}))"
)
LAYOUT_TOKENS = frozenset(
    {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    }
)
Functions = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, kw_only=True)
class Module:
    """One module: its path within the checkout, and its text."""

    path: Path
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """Return the parsed module."""
        return ast.parse(self.text)

    @property
    def lines(self) -> int:
        """Return the number of lines, blank lines and comments included."""
        return self.text.count("\n")

    @cached_property
    def code_lines(self) -> int:
        """Return the number of lines without blank lines, comments and docstrings."""
        found: set[int] = set()
        for token in tokenize.generate_tokens(io.StringIO(self.text).readline):
            if token.type not in LAYOUT_TOKENS:
                found.update(range(token.start[0], token.end[0] + 1))
        return len(found - self._docstring_lines())

    def _docstring_lines(self) -> set[int]:
        texts = (node.value for node in ast.walk(self.tree) if isinstance(node, ast.Expr))
        return {
            line
            for text in texts
            if isinstance(text, ast.Constant) and isinstance(text.value, str)
            for line in range(text.lineno, (text.end_lineno or text.lineno) + 1)
        }

    def function_lengths(self) -> Iterator[int]:
        """Return the lines of each function, from `def` to its end, docstring included."""
        for node in ast.walk(self.tree):
            if isinstance(node, Functions):
                yield (node.end_lineno or node.lineno) - node.lineno + 1

    def public_classes(self) -> Iterator[str]:
        """Return the names of the classes at the top level that do not begin with an underscore."""
        for node in self.tree.body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                yield node.name


@dataclass(frozen=True, kw_only=True)
class Checkout:
    """A folder that holds the two packages."""

    folder: Path

    @cached_property
    def modules(self) -> tuple[Module, ...]:
        """Return every module of the two packages, by path."""
        return tuple(
            Module(path=path.relative_to(self.folder), text=path.read_text(encoding="utf-8"))
            for package in PACKAGES
            for path in sorted((self.folder / package).rglob("*.py"))
        )

    @cached_property
    def imports(self) -> Mapping[str, Sequence[str]]:
        """Return which module imports which directly."""
        found: Mapping[str, Sequence[str]] = self._run("-c", IMPORTS)
        return found

    @cached_property
    def review(self) -> Mapping[str, Mapping[str, int]]:
        """Return the calls and modules of an allowed and of a refused review."""
        found: Mapping[str, Mapping[str, int]] = self._run(str(ROOT / "benchmarks/traced_review.py"))
        return found

    def _run(self, *words: str) -> Any:
        """Run Python in a process whose packages are those of the checkout, and return the JSON that it prints."""
        done = subprocess.run(
            [sys.executable, "-P", *words],
            env=os.environ | {"PYTHONPATH": str(self.folder)},
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        return json.loads(done.stdout)

    def repeated_module_names(self) -> list[str]:
        """Return the names that more than one module has, `__init__` and `__main__` aside."""
        return _repeated(one.path.stem for one in self.modules if not one.path.stem.startswith("__"))

    def repeated_class_names(self) -> list[str]:
        """Return the public class names that are used more than once."""
        return _repeated(name for one in self.modules for name in one.public_classes())

    def small_modules(self) -> list[str]:
        """Return the modules with few lines of code, `__init__` and `__main__` included."""
        return [str(one.path) for one in self.modules if one.code_lines < FEW_LINES]

    def modules_with_one_importer(self) -> list[str]:
        """Return the modules that exactly one other module imports."""
        count = Counter(target for targets in self.imports.values() for target in targets)
        return sorted(module for module in self.imports if count[module] == 1)

    def circles(self) -> list[list[str]]:
        """Return each group of modules that import each other, directly or through others."""
        reached = {module: self._reached(module) for module in self.imports}
        groups = {
            tuple(sorted(other for other in reached[module] if module in reached[other]))
            for module in self.imports
            if module in reached[module]
        }
        return sorted([list(group) for group in groups])

    def _reached(self, module: str) -> set[str]:
        found: set[str] = set()
        left = list(self.imports[module])
        while left:
            one = left.pop()
            if one not in found:
                found.add(one)
                left.extend(self.imports[one])
        return found

    def function_lengths(self) -> list[int]:
        """Return the lines of every function, the shortest first."""
        return sorted(length for one in self.modules for length in one.function_lengths())

    def review_times(self) -> str:
        """Return the processor time of a review for each size of cluster, as `python -m benchmarks` measured it."""
        place = next((self.folder / name for name in FIGURES if (self.folder / name).is_file()), None)
        figures = [] if place is None else json.loads(place.read_bytes())["figures"]
        found = [
            f"{median(one['samples']):.3f} ms ({one['policies']:,}, {one['pods']:,})"
            for one in figures
            if one["figure"] == REVIEW_TIME
        ]
        return "; ".join(found) or "not measured: `python -m benchmarks` writes it"


def _repeated(names: Iterable[str]) -> list[str]:
    return sorted(name for name, count in Counter(names).items() if count > 1)


def _percentile(lengths: Sequence[int], percent: int) -> int:
    return lengths[len(lengths) * percent // 100]


ROWS: Mapping[str, Callable[[Checkout], str]] = {
    "modules": lambda one: f"{len(one.modules)}",
    "lines of code (without blank lines, comments, docstrings)": lambda one: (
        f"{sum(module.code_lines for module in one.modules):,}"
    ),
    "lines": lambda one: f"{sum(module.lines for module in one.modules):,}",
    "longest module, lines": lambda one: f"{max(module.lines for module in one.modules)}",
    f"modules below {FEW_LINES} lines of code": lambda one: f"{len(one.small_modules())}",
    "modules with one importer": lambda one: f"{len(one.modules_with_one_importer())}",
    "import circles": lambda one: f"{len(one.circles())}",
    "module names used twice": lambda one: f"{len(one.repeated_module_names())}",
    "public class names used twice": lambda one: f"{len(one.repeated_class_names())}",
    "functions: median and 90th percentile, lines": lambda one: (
        f"{_percentile(one.function_lengths(), 50)}, {_percentile(one.function_lengths(), 90)}"
    ),
    "allowed review: calls, modules": lambda one: "{calls:,}, {modules}".format(**one.review["allowed"]),
    "refused review: calls, modules": lambda one: "{calls:,}, {modules}".format(**one.review["refused"]),
    f"{REVIEW_TIME} (policies, pods), from `python -m benchmarks`": Checkout.review_times,
}
TEST_ROW = "the README's test command, seconds, from `time`"


def table(checkouts: Mapping[str, Checkout], test_seconds: Sequence[float] = ()) -> str:
    """Return the measures of each checkout, named by the key, as a Markdown table."""
    lines = [f"| measure | {' | '.join(checkouts)} |", f"|---|{'---:|' * len(checkouts)}"]
    lines += [f"| {name} | {' | '.join(row(one) for one in checkouts.values())} |" for name, row in ROWS.items()]
    if test_seconds:
        lines.append(f"| {TEST_ROW} | {' | '.join(f'{seconds:g}' for seconds in test_seconds)} |")
    return "\n".join(lines) + "\n"


def main(words: Sequence[str] | None = None) -> int:
    """Run one command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.structure", description="Print how checkouts are built, one column for each."
    )
    parser.add_argument("paths", nargs="*", default=[str(ROOT)], metavar="PATH", help="checkout (default: this one)")
    parser.add_argument(
        "--test-seconds",
        nargs="+",
        type=float,
        default=[],
        metavar="SECONDS",
        help="what the README's test command took, one number for each path",
    )
    arguments = parser.parse_args(words)
    if len(arguments.test_seconds) not in {0, len(arguments.paths)}:
        parser.error(f"--test-seconds: expected one number for each of {len(arguments.paths)} paths")
    checkouts = {path: Checkout(folder=Path(path).resolve()) for path in arguments.paths}
    sys.stdout.write(table(checkouts, arguments.test_seconds))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
