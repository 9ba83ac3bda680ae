"""Verdicts, held against packets."""

import pytest
from harness.guard import Guard

from node.cluster import Node
from node.packets import Packets

SETS = 20  # in two minutes; docs/evidence/packets.md has more, and the command for them


@pytest.mark.timeout(900, func_only=True)
def test_verdicts_agree_with_packets(machine: Node, guard: Guard) -> None:
    """Whatever policies the generator makes, connections come about as explained, and no loss goes unsaid."""
    report = Packets(machine, guard).run(SETS)

    assert report.disagreements == []
    assert min(report.counts[name] for name in ("open", "closed", "admitted", "refused")) > 0
    assert report.counts["lost in packets and told"] > 0
