"""The control plane is built beside the tests: progress is printed, the tests wait, and the build ends with them."""

import os
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from controlplane import background
from controlplane.background import BackgroundBuild, NotBuiltError, wait_for_result
from harness.waiting import wait_until

SECONDS = 30.0

Begin = Callable[..., BackgroundBuild]


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Begin]:
    """Start builds that run a program of the test, and stop them at the end."""
    begun: list[BackgroundBuild] = []

    def make(text: str, say: Callable[[str], None] = lambda _: None, *, at_once: bool = True) -> BackgroundBuild:
        program = tmp_path / "program.py"
        program.write_text(textwrap.dedent(text))
        begun.append(BackgroundBuild(say, at_once=at_once, program=program))
        begun[-1].start()
        return begun[-1]

    yield make
    for one in begun:
        one.stop()


def test_tests_wait_for_the_commands(begin: Begin) -> None:
    """A test that waits gets the paths when the build ends, and the build is running until then."""
    built = begin("import json; print(json.dumps({'etcd': '/bin/etcd'}))")

    assert wait_for_result(built.result) == {"etcd": "/bin/etcd"}
    assert not built.is_running


def test_a_build_is_running_until_it_has_a_result(begin: Begin, tmp_path: Path) -> None:
    """It was not running before it was started, and is not when its result is there."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)

    built = begin(f"open({str(gate)!r}).read(); print('{{}}')")
    before = built.is_running
    gate.write_text("go on")
    wait_for_result(built.result)

    assert (before, built.is_running) == (True, False)


def test_progress_is_printed_while_it_comes(begin: Begin) -> None:
    """Row 46: with workers, the controller prints each line as soon as the build has printed it."""
    said: list[str] = []

    built = begin("import sys; print('one', file=sys.stderr); print('two', file=sys.stderr); print('{}')", said.append)
    wait_for_result(built.result)

    assert said == ["control plane: one", "control plane: two"]


def test_progress_waits_where_output_is_captured(begin: Begin) -> None:
    """Without workers, lines are printed by the thread that runs the tests, between two of them or while it waits."""
    said: list[tuple[str, bool]] = []
    main = threading.current_thread()

    built = begin(
        "import sys; print('one', file=sys.stderr); print('{}')",
        lambda line: said.append((line, threading.current_thread() is main)),
        at_once=False,
    )
    wait_for_result(built.result)
    before = list(said)
    built.flush()

    assert before == []
    assert said == [("control plane: one", True)]


def test_a_failure_is_told_to_every_test_that_waits(begin: Begin) -> None:
    """What the build printed is the reason."""
    built = begin("raise SystemExit('no compiler')")

    for _ in range(2):
        with pytest.raises(NotBuiltError, match="no compiler"):
            wait_for_result(built.result)


def test_waiting_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A result that never comes is a failure."""
    monkeypatch.setattr(background, "BUILD_SECONDS", 0.0)

    with pytest.raises(NotBuiltError, match="not built within"):
        wait_for_result(tmp_path / "never")


def test_stopping_ends_the_build_and_its_compilers(begin: Begin, tmp_path: Path) -> None:
    """The processes that the build has started end with it, as on Ctrl-C, and its folder is removed."""
    number = tmp_path / "number"
    built = begin(
        f"""
        import pathlib, subprocess
        compiler = subprocess.Popen(["sleep", "600"])
        pathlib.Path({str(number)!r}).write_text(str(compiler.pid))
        compiler.wait()
        """
    )
    compiler = int(wait_until(lambda: number.exists() and number.read_text(), "the compiler", seconds=SECONDS))

    built.stop()

    wait_until(lambda: not runs(compiler), "the end of the compiler", seconds=SECONDS)
    assert not built.result.parent.exists()


def runs(process: int) -> bool:
    """Whether a process is there and has not ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
