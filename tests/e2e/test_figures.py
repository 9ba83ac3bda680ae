"""The benchmarks on a real API server run. Their figures are not checked."""

from pathlib import Path

import pytest

from benchmarks import real
from benchmarks.cluster import Size
from benchmarks.figures import REAL_MEMORY, REAL_SYNCED, Figures
from benchmarks.plan import Plan
from benchmarks.service import make_pair

pytestmark = [pytest.mark.clusters("plane"), pytest.mark.usefixtures("control_plane")]  # the benchmark starts its own


def test_the_benchmark_on_a_real_api_server_gives_its_figures(tmp_path: Path) -> None:
    """A control plane is filled with a small cluster, and the service becomes ready."""
    figures, size = Figures(), Size(policies=5, pods=10)
    real.measure(make_pair(tmp_path / "tls"), tmp_path, Plan(largest=size, runs=1), figures)

    assert {quantity: set(sizes) for quantity, sizes in figures.samples.items()} == {
        REAL_SYNCED: {size},
        REAL_MEMORY: {size},
    }
