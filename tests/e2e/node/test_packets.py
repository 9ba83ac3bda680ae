"""Verdicts compared with packets."""

import pytest
from harness.guard import Guard

from node.cluster import Node
from node.packets import Packets

SETS = 20  # two minutes; docs/evidence/packets.md has the command for more


@pytest.mark.timeout(900, func_only=True)
def test_verdicts_agree_with_packets(machine: Node, guard: Guard) -> None:
    """For random policies, connections are open exactly as explained, and every loss is in the verdict."""
    report = Packets(machine, guard).run(SETS)

    assert report.disagreements == []
    assert min(report.counts[name] for name in ("open", "closed", "admitted", "refused")) > 0
    assert report.counts["lost in packets and told"] > 0
