"""Measure the service as it runs in a cluster: how soon it knows all of it, its memory, and a list that comes again."""

import signal
import ssl
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.cluster import EDITED, LARGE, review
from benchmarks.figures import HOLD, MEMORY, SYNCED, Figures
from benchmarks.reviews import OPEN_CONNECTIONS, RATE_PER_SECOND, ROOT, send
from benchmarks.service import Pair, served

EXPIRES_AFTER_SECONDS = 1.0
LOAD_SECONDS = 6.0  # the list comes within them: 20,000 pods take two to three seconds beside the reviews


def measure(pair: Pair, folder: Path, figures: Figures) -> None:
    """Measure the largest cluster."""
    with _api_server(pair) as port:
        account = _service_account(pair, folder, port)
        with served(["--service-account-dir", str(account)], pair, folder / "live.log", _in_cluster(port)) as service:
            figures.add(SYNCED, LARGE, [service.ready_seconds])
            figures.add(MEMORY, LARGE, [service.resident_mib()])
            bodies = [review(name, LARGE).replace(b'"dryRun":false', b'"dryRun":true') for name in EDITED]
            timer = threading.Timer(EXPIRES_AFTER_SECONDS, _expire, (pair, port))
            timer.start()
            outcome = send(service, pair, bodies, OPEN_CONNECTIONS, LOAD_SECONDS, RATE_PER_SECOND)
            timer.join()
    figures.add(HOLD, LARGE, [max(outcome.milliseconds)])


@contextmanager
def _api_server(pair: Pair) -> Iterator[int]:
    command = [sys.executable, "-m", "benchmarks.apiserver", "--tls-dir", str(pair.folder)]
    command += ["--policies", str(LARGE.policies), "--pods", str(LARGE.pods)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)
    try:
        yield int((process.stdout.readline() if process.stdout else b"") or 0)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def _service_account(pair: Pair, folder: Path, port: int) -> Path:
    """Write what a pod finds mounted."""
    account = folder / f"account-{port}"
    account.mkdir()
    (account / "ca.crt").write_bytes(Path(pair.ca_file).read_bytes())
    (account / "token").write_text("token of a benchmark", encoding="ascii")
    return account


def _in_cluster(port: int) -> dict[str, str]:
    return {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(port)}


def _expire(pair: Pair, port: int) -> None:
    request = urllib.request.Request(f"https://localhost:{port}/expire", method="POST")
    with urllib.request.urlopen(request, context=ssl.create_default_context(cafile=pair.ca_file)):
        pass
