"""What benchmarks measure against a real API server can be measured; how much it is, is not looked at."""

from pathlib import Path

import pytest

from benchmarks import real
from benchmarks.cluster import Size
from benchmarks.figures import REAL_MEMORY, REAL_SYNCED, Figures
from benchmarks.plan import Plan
from benchmarks.service import make_pair

pytestmark = [pytest.mark.clusters("plane"), pytest.mark.usefixtures("control_plane")]  # one of its own


def test_the_service_is_fed_by_a_real_api_server(tmp_path: Path) -> None:
    """A control plane is filled with a small cluster, and the service becomes ready on it."""
    figures, size = Figures(), Size(policies=5, pods=10)
    real.measure(make_pair(tmp_path / "tls"), tmp_path, Plan(largest=size, runs=1), figures)

    assert {quantity: set(sizes) for quantity, sizes in figures.samples.items()} == {
        REAL_SYNCED: {size},
        REAL_MEMORY: {size},
    }
