"""The memory of a replica is bounded by what decisions need, not by the size of templates and lists."""

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MOST_MIB = 200
"""Of the container's limit of 512 MiB: the rest is for requests."""

SIZES = {
    "pods": (20_000, 1_500),
    "deployments": (5_000, 2_000),
    "replicasets": (55_000, 2_000),
    "cronjobs": (40, 1_250_000),
}
"""20,000 pods, 5,000 Deployments with ten old ReplicaSets each, and CronJobs as large as etcd takes them."""


def test_a_large_cluster_fits_into_200_mib() -> None:
    """Neither templates, nor environment variables, nor old ReplicaSets, nor the pages of a list fill the memory."""
    folder = ROOT / "tests" / "cluster"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests"), str(folder)))}
    command = [sys.executable, str(folder / "large_cluster.py"), json.dumps(SIZES)]
    quiet = subprocess.DEVNULL  # the client drops the connection of a page that is too large
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=quiet, text=True, env=environment) as server:
        assert server.stdout is not None
        try:
            url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
            replica = [sys.executable, str(folder / "large_store.py"), url]
            printed = subprocess.run(replica, env=environment, capture_output=True, text=True, check=True).stdout
        finally:
            server.kill()
    found = json.loads(printed)

    assert found["objects"] == {"pods": 20_000, "deployments": 5_000, "replicasets": 5_000, "cronjobs": 40}
    assert found["peak_mib"] <= MOST_MIB
