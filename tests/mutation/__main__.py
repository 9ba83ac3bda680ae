"""
Change the code in one place at a time, and run the tests that should notice it.

    PYTHONPATH=.:tests python -m mutation --sample 1500 --seed 1 --report mutation.json

This command takes a seeded sample of all changes of `webhook/netpol` and of the decision on a NetworkPolicy (0: all of
them). For each change it runs the tests that reach the changed line, the quickest first, and the independent evaluator
on a few hundred generated changes; it lists the changes that none of them noticed. The tests are collected once, and
each change is made in a forked process, by replacing the code of the existing function.
"""

import argparse
import importlib
import json
import math
import os
import pickle
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from types import CodeType, FunctionType
from typing import Any

import coverage
import pytest

from mutation.mutants import Mutant, mutants_of, mutated

ROOT = Path(__file__).parents[2]
DECISION = (
    "exemptions",
    "explanation",
    "impact",
    "inflight",
    "judge",
    "networkpolicy",
    "options",
    "refusal",
    "remedy",
    "response",
    "review",
)
MODULES = (
    *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "webhook/netpol").rglob("*.py")),
    *(f"webhook/admission/{name}.py" for name in DECISION),
)
TESTS = ("tests/netpol", "tests/admission", "tests/oracle/test_settings.py")
LEFT_OUT = "not single_faults"  # it judges each case hundreds of times
PAIRS = 300
"""Generated changes for the independent evaluator if no test noticed the change: half a second."""

ENOUGH_SECONDS = 4.0
"""CPU seconds of tests after which a change counts as not noticed."""

MOST_SECONDS = 12
"""CPU seconds after which a change counts as noticed: it made something endless."""

Line = tuple[str, int]


def function_of(mutant: Mutant) -> FunctionType:
    """Return the live function that contains the change."""
    found: Any = importlib.import_module(mutant.module)
    for part in mutant.function.split("."):
        found = found.__dict__[part]
    for wrapper in ("fget", "func", "__func__", "__wrapped__"):
        found = getattr(found, wrapper, found)
    assert isinstance(found, FunctionType)
    return found


def code_of(mutant: Mutant) -> CodeType:
    """Compile the changed function."""
    code = compile(mutated(ROOT, mutant), str(ROOT / mutant.path), "exec")
    for part in mutant.function.split("."):
        code = next(const for const in code.co_consts if isinstance(const, CodeType) and const.co_name == part)
    return code


class Mutation:
    """Runs the collected tests against each change."""

    def __init__(self, chosen: list[Mutant], known: Path | None) -> None:
        self.chosen = chosen
        self.known = known
        self.survived: list[Mutant] = []
        self.done = 0

    def pytest_configure(self) -> None:
        """Let every run of a test use the same examples, and fewer of them."""
        import hypothesis  # noqa: PLC0415  pytest wants to be the first to load it

        hypothesis.settings.register_profile(
            "mutation", database=None, derandomize=True, max_examples=30, deadline=None, print_blob=False
        )
        hypothesis.settings.load_profile("mutation")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if self.known is None or not self.known.exists():
            found = _in_fork(lambda: _calls(session))
            if self.known is not None:
                self.known.write_bytes(pickle.dumps(found))
        else:
            found = pickle.loads(self.known.read_bytes())  # noqa: S301  written by this program itself
        calls, seconds = found
        order = sorted(range(len(session.items)), key=lambda index: seconds[index])
        for mutant in self.chosen:
            items = [session.items[index] for index in order if (mutant.path, mutant.line) in calls[index]]
            if not items:  # a line within a statement has no event of its own
                lines = {(mutant.path, line) for line in mutant.lines}
                items = [session.items[index] for index in order if lines & calls[index]]
            noticed = _noticed(mutant, items, session)
            self.done += 1
            if self.done % 50 == 0:
                say(f"{self.done} tried, {len(self.survived)} not noticed")
            if not noticed:
                self.survived.append(mutant)
                say(f"{self.done}: not noticed: {mutant.path}:{mutant.line} {mutant.what} ({len(items)} tests)")
        return True


def _calls(session: pytest.Session) -> tuple[list[set[Line]], list[float]]:
    """Run every test once; return the lines that each reaches, and its processor time."""
    tracer = coverage.Coverage(data_file=None, include=[str(ROOT / path) for path in MODULES], config_file=False)
    seconds: list[float] = []
    tracer.start()
    for index, item in enumerate(session.items):
        tracer.switch_context(str(index))
        began = time.process_time()
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
        seconds.append(time.process_time() - began)
    tracer.stop()
    if session.testsfailed:
        raise SystemExit("the tests fail as they are")
    calls: list[set[Line]] = [set() for _ in session.items]
    for path in MODULES:
        for line, contexts in tracer.get_data().contexts_by_lineno(str(ROOT / path)).items():
            for index in filter(None, contexts):
                calls[int(index)].add((path, line))
    return calls, seconds


def _in_fork(work: Callable[[], Any]) -> Any:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        with os.fdopen(writer, "wb") as end:
            pickle.dump(work(), end)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as end:
        answer = pickle.load(end)  # noqa: S301  written above by this program itself
    os.waitpid(child, 0)
    return answer


def _noticed(mutant: Mutant, items: list[pytest.Item], session: pytest.Session) -> bool:
    code = code_of(mutant)
    child = os.fork()
    if child == 0:
        os._exit(_try(mutant, code, items, session))
    _, status = os.waitpid(child, 0)
    return not os.WIFEXITED(status) or os.WEXITSTATUS(status) != 0


def _try(mutant: Mutant, code: CodeType, items: list[pytest.Item], session: pytest.Session) -> int:
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_SECONDS, MOST_SECONDS + 1))
    signal.signal(signal.SIGXCPU, lambda *_: os._exit(2))
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    function_of(mutant).__code__ = code
    began = time.process_time()
    try:
        for item in items:
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
            if session.testsfailed:
                return 1
            if time.process_time() - began > ENOUGH_SECONDS:
                return 0
        from oracle.agreement import agreement  # noqa: PLC0415  only where it is needed

        return 1 if agreement(range(PAIRS))[0] else 0
    except BaseException:  # noqa: BLE001  whatever it is, it was noticed
        return 3


def interval(noticed: int, tried: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of a share, by Wilson's score."""
    z = 1.96
    share = noticed / tried
    middle = (share + z * z / (2 * tried)) / (1 + z * z / tried)
    width = z * math.sqrt(share * (1 - share) / tried + z * z / (4 * tried * tried)) / (1 + z * z / tried)
    return middle - width, middle + width


def every_mutant() -> Iterator[Mutant]:
    for path in MODULES:
        yield from mutants_of(ROOT, path)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m mutation", description=__doc__)
    parser.add_argument("--sample", type=int, default=1500, help="how many changes are tried; 0: all of them")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="a part of the path of the modules that are changed")
    parser.add_argument("--report", type=Path)
    parser.add_argument(
        "--reached", type=Path, help="a file that keeps which test reaches which line, for the next run"
    )
    asked = parser.parse_args()
    known = [mutant for mutant in every_mutant() if asked.only in mutant.path]
    chosen = known
    if 0 < asked.sample < len(known):
        chosen = Random(asked.seed).sample(known, asked.sample)  # repeatable on purpose, nothing secret
    say(f"{len(known)} changes, {len(chosen)} of them tried")
    run = Mutation(chosen, asked.reached)
    arguments = ["-p", "no:cacheprovider", "-p", "no:xdist", "-o", "addopts=-q --strict-markers", "-k", LEFT_OUT, "-x"]
    pytest.main([*arguments, *TESTS], plugins=[run])
    noticed = run.done - len(run.survived)
    low, high = interval(noticed, run.done)
    say(f"{noticed} of {run.done} noticed: {noticed / run.done:.1%} (95 %: {low:.1%} to {high:.1%})")
    if asked.report:
        rows = [
            {"path": mutant.path, "line": mutant.line, "function": mutant.function, "what": mutant.what}
            for mutant in run.survived
        ]
        asked.report.write_text(json.dumps({"tried": run.done, "survived": rows}, indent=1), encoding="utf-8")
    return 0


def say(text: str) -> None:
    sys.__stdout__.write(f"{text}\n")  # type: ignore[union-attr]  there is one: this is a command
    sys.__stdout__.flush()  # type: ignore[union-attr]  the same


if __name__ == "__main__":
    raise SystemExit(main())
