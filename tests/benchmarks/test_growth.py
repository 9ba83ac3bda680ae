"""What a decision costs does not depend on the size of the cluster: calls are counted, no time is measured."""

import sys
from collections.abc import Callable
from dataclasses import replace
from types import FrameType

import pytest

from benchmarks import __main__ as command
from benchmarks import growth
from benchmarks.cluster import SMALL, Size
from webhook.admission import AdmissionResponse

MOST_TIMES = 1.2
WAYS = {
    "pods": replace(SMALL, pods=2_000),
    "policies elsewhere": replace(SMALL, elsewhere=500),
    "namespaces": replace(SMALL, namespaces=300),
    "instances in other namespaces": replace(SMALL, others=40),
}


def calls_of(work: Callable[[], object]) -> int:
    """Return how many functions are called, Python's own among them."""
    count = 0

    def note(_: FrameType, event: str, __: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("way", WAYS)
def test_no_work_grows_with_the_rest_of_the_cluster(way: str) -> None:
    """Decisions, reviews, refusals and events take about as many calls in a large cluster as in a small one."""
    small, large = (growth.works(growth.World.of(size)) for size in (SMALL, WAYS[way]))
    times = {name: calls_of(larger) / calls_of(work) for (name, work), (_, larger) in zip(small, large, strict=True)}

    assert {name: ratio for name, ratio in times.items() if ratio > MOST_TIMES} == {}
    assert len(times) > 20


def test_each_decision_is_what_its_name_says() -> None:
    """What is measured as refused is refused, and so for the others."""
    found = {
        name.removeprefix("decision, "): work()
        for name, work in growth.works(growth.World.of(SMALL))
        if name.startswith("decision, ")
    }

    assert found
    for name, response in found.items():
        assert isinstance(response, AdmissionResponse)
        assert name.startswith("refused" if not response.allowed else "warned" if response.warnings else "allowed")


def test_the_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The command prints a row for each piece of work and each way to be large, with both costs and their ratio."""
    monkeypatch.setattr(growth, "WAYS", {"pods: 50, 60": Size(policies=10, pods=60)})
    monkeypatch.setattr(growth, "LEAST_SECONDS", 1e-6)
    monkeypatch.setattr(growth, "ROUNDS", 1)

    assert command.main(["growth"]) == 0

    head, rule, *rows = capsys.readouterr().out.splitlines()

    assert (head.count("|"), rule.count("|")) == (6, 6)
    assert all(row.startswith("| pods: 50, 60 | ") and row.count("|") == 6 for row in rows)
    assert len(rows) == len(list(growth.works(growth.World.of(SMALL))))
