"""The product loses the egress that the witness loses, on seeded clusters and changes."""

import pytest

from oracle.egress_pairs import agreement_on_egress

QUICK = [range(500)]
SLOW = [range(first, first + 2_000) for first in range(2_000, 22_000, 2_000)]


@pytest.mark.parametrize("seeds", [*QUICK, *(pytest.param(one, marks=pytest.mark.slow) for one in SLOW)], ids=str)
def test_the_product_agrees_with_the_witness_about_egress(seeds: range) -> None:
    """What is surely lost, and what is in doubt, of the needs whose paths are known; every outcome occurs."""
    differing, met = agreement_on_egress(seeds)

    assert differing == []
    assert min(met[name] for name in ("E1 lost", "E3 lost", "E3 in doubt")) >= len(seeds) // 50
    assert met["E1 in doubt"] > 0
