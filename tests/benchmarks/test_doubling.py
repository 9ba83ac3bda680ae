"""What a decision costs is linear in each of its parts: steps are counted, no time is measured."""

import pytest

from benchmarks import __main__ as command
from benchmarks import doubling


@pytest.mark.parametrize("shape", doubling.SHAPES)
def test_no_work_grows_faster_than_its_input(shape: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each piece of work takes at most 2.2 times the steps for the double of one thing."""
    monkeypatch.setattr(doubling, "SHAPES", {shape: doubling.SHAPES[shape]})

    assert list(doubling.too_steep()) == []


def test_quadratic_work_is_found(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The command fails and names a piece of work whose steps grow four times."""

    def nested(size: int) -> None:
        for _ in range(size):
            for _ in range(size):
                pass

    shape = doubling.Shape(make=lambda size: {"nested": lambda: nested(size)}, quick=100, full=8)
    monkeypatch.setattr(doubling, "SHAPES", {"loops": shape})

    assert command.main(["doubling", "--quick"]) == 1
    assert capsys.readouterr().out.startswith("loops: nested: 3.9")


def test_the_table_of_times(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The command prints a row for each shape and piece of work, with three sizes and times, and the worst rows."""
    shape = doubling.SHAPES["ports"]
    small = doubling.Shape(make=shape.make, quick=shape.quick, full=8)
    monkeypatch.setattr(doubling, "SHAPES", {"ports": small})

    assert command.main(["doubling"]) == 0

    lines = capsys.readouterr().out.splitlines()
    rows = [line for line in lines if line.startswith("| ports | ")]

    assert all(row.count("|") == 6 and "| 2, 4, 8 |" in row for row in rows)
    assert set(rows[:4]) == set(rows[4:])
    assert lines[-5] == ""


def test_the_work_is_what_its_name_says() -> None:
    """A review of an instance is decoded as one; a change that closes a port is refused."""
    found = {name: work() for name, work in doubling.SHAPES["instances"].make(2).items()}

    assert b'"allowed":false' in found["the first default deny"]  # type: ignore[operator]
    assert b'"allowed":false' in found["the only allow is deleted"]  # type: ignore[operator]
    assert b'"allowed":true' in found["a second allow"]  # type: ignore[operator]
    assert b"is not valid" in found["a review of an instance"]  # type: ignore[operator]
