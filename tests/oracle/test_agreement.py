import pytest

from oracle.agreement import KINDS, agreement, described, differing_connections, shares

CHUNK = 2500  # pairs in one test: a few seconds, so that a failure is seen early and both workers have a share
SLOW_CHUNKS = range(40)  # a hundred thousand pairs
QUICK_CHUNKS = range(40, 42)  # five thousand others
CONNECTIONS = 5000  # in one test of three
ROUNDS = 3


@pytest.mark.parametrize("chunk", [*QUICK_CHUNKS, *(pytest.param(one, marks=pytest.mark.slow) for one in SLOW_CHUNKS)])
def test_the_product_agrees_with_the_witness(chunk: int) -> None:
    """On every generated change, the product loses what the witness loses, for the same pods, as decided."""
    differing, met = agreement(range(chunk * CHUNK, (chunk + 1) * CHUNK))
    share = shares(met)

    assert not differing, described(differing)
    # Each kind of loss is a twentieth of the pairs, and neither verdict is rare: else there is little to agree about.
    assert min(share[kind] for kind in KINDS) >= 0.05
    assert min(share["allowed"], share["denied"]) >= 0.3
    assert share["undecided"] >= 0.02


@pytest.mark.parametrize("part", range(ROUNDS))
def test_connections_agree(part: int) -> None:
    """On every generated connection, in both directions, the product answers as the witness does."""
    assert differing_connections(range(part * CONNECTIONS, (part + 1) * CONNECTIONS)) == []
