"""The attack from one pod: the service in its cgroup gives no wrong verdict, and its memory is bounded."""

from pathlib import Path

import pytest

from benchmarks.attack import MOST_MIB, attack, image_environment, memory_limit
from benchmarks.attackers import MOST_BYTES, Attack, bodies
from benchmarks.flood import JUDGED, WRONG

SECONDS = 30.0


def test_what_is_sent_is_as_large_as_the_service_accepts() -> None:
    """The largest bodies have 8 MiB, and there are small ones that cost as much."""
    sizes = sorted(len(content) for _, content in bodies())

    assert sizes[0] < 32 * 1024
    assert MOST_BYTES <= sizes[-1] <= 8 * 2**20


def test_the_service_runs_as_in_the_image() -> None:
    """The limit of the Deployment and the allocation of the image count."""
    assert memory_limit() == 512 * 2**20
    assert set(image_environment()) == {"MALLOC_ARENA_MAX", "MALLOC_MMAP_THRESHOLD_"}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_service_that_one_pod_attacks_gives_no_wrong_verdict_and_survives(tmp_path: Path) -> None:
    """
    Its memory is bounded, the attack is refused, and afterwards every honest review has its verdict.

    How long honest reviews take during the attack depends on the machine: the benchmark prints it.
    """
    found = attack(Attack(seconds=SECONDS), tmp_path)

    assert WRONG not in found.statuses
    assert JUDGED in found.statuses
    assert found.highest_mib - found.before_mib <= MOST_MIB
    assert found.answers["503"]
    assert found.recovery_seconds is not None
    assert found.alive
