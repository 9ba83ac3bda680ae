"""network-config-analyzer and the product agree on whole sets of connections."""

import pytest

from configanalyzer.comparing_sets import compare_sets, running

CHUNK = 250


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("chunk", range(4))
def test_the_analyzer_agrees(chunk: int) -> None:
    """On each set of NetworkPolicies, alone and with Calico's, except for the difference that is explained."""
    with running() as analyzer:
        found = compare_sets(analyzer, range(chunk * CHUNK, (chunk + 1) * CHUNK))

    assert found.different == {}
    assert found.rejected.total() == 0
    assert set(found.kinds.values()) == {CHUNK // 2}
    assert found.explained < CHUNK / 4
    assert min(found.counts["allowed"], found.counts["denied"]) > found.counts.total() / 5
