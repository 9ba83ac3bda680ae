"""Watches of a real API server fall silent: the shipped timeouts detect it, and no change is missed."""

import json
from collections.abc import Callable

import pytest
from harness.decisions import complete_lines
from harness.machine import MODULES, Machine
from harness.place import Place
from harness.witness import received

Say = Callable[[str, object], None]

NOTICED_SECONDS = 90
EXACT_SECONDS = 10
STALLED_SECONDS = 400
OTHERS = "platform-admin"  # the user of these replicas, which have no service account


def lists(machine: Machine, since: float) -> int:
    """Count the lists of replicas that run outside of pods."""
    entries = [json.loads(line) for line in complete_lines(machine.logs / "audit.jsonl")]
    return sum(
        one["verb"] == "list"
        and one["user"]["username"] == OTHERS
        and one.get("userAgent", "").startswith("eem-guardrail")
        and received(one) >= since
        for one in entries
    )


@pytest.mark.long
def test_a_silent_watch_is_detected_and_continued_without_a_list(machine: Machine, place: Place, figure: Say) -> None:
    """Silence in both directions, downstream only, in the middle of a line, and a trickle of bytes are all detected."""
    place.set_up_gateway()
    settings = {
        "folder": str(machine.folder / "stalling"),
        "namespace": place.name,
        "environment": {"PYTHONPATH": MODULES},
    }

    found = machine.run_program("harness.stalling", settings, seconds=STALLED_SECONDS)

    listed = lists(machine, found["began"])
    figure("watches stalled", [found["told"], found["exact"], f"{listed} lists", found["as"]])
    assert None not in (*found["before"], *found["told"].values(), *found["exact"].values())
    assert not any(found["exact meanwhile"])
    assert max(found["told"].values()) <= NOTICED_SECONDS
    assert max(found["exact"].values()) <= EXACT_SECONDS
    assert listed == 0
