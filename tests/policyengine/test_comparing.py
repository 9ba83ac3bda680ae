"""The engine of kube-network-policies and the product agree on which connections policies allow."""

import pytest

from policyengine.comparing import compare
from policyengine.engine import running

CONNECTIONS = 120_000


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_engine_agrees() -> None:
    """On each connection that is decided, except for the differences that the page explains."""
    with running() as engine:
        found = compare(engine, range(100_000), CONNECTIONS)

    assert found.unexplained == []
    assert found.counts.total() >= CONNECTIONS
    assert min(found.counts["allowed"], found.counts["denied"]) > CONNECTIONS / 5
    assert 0 < found.counts["undecided"] < CONNECTIONS / 50
    assert sum(found.explained.values()) < CONNECTIONS / 50
