"""Measure the service on a watched cluster: the time until it is ready, its memory, and the effect of a new list."""

import signal
import ssl
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks.cluster import EDITED, Size, review
from benchmarks.figures import CALM, HOLD, MEMORY, SYNCED, Figures
from benchmarks.plan import Plan
from benchmarks.reviews import OPEN_CONNECTIONS, RATE_PER_SECOND, ROOT, WARM_SECONDS, send
from benchmarks.service import Pair, served

EXPIRES_AFTER_SECONDS = 1.0
REGISTER = ("--register", "off")


def measure(pair: Pair, folder: Path, plan: Plan, figures: Figures) -> None:
    """Measure the largest cluster, from a stand-in with pods as large as those of a real cluster."""
    size = plan.largest
    bodies = [review(name, size).replace(b'"dryRun":false', b'"dryRun":true') for name in EDITED]
    with api_server(size, pair) as port:
        arguments = ["--service-account-dir", str(service_account(folder, Path(pair.ca_file), "token")), *REGISTER]
        with served(arguments, pair, folder / "live.log", in_cluster("127.0.0.1", port)) as service:
            figures.add(SYNCED, size, [service.ready_seconds])
            figures.add(MEMORY, size, [service.resident_mib()])
            send(service, pair, bodies, OPEN_CONNECTIONS, WARM_SECONDS, RATE_PER_SECOND)
            held: list[float] = []
            calm: list[float] = []
            for _ in range(plan.runs):
                for longest, expires in ((calm, False), (held, True)):
                    timer = threading.Timer(EXPIRES_AFTER_SECONDS, _expire, (pair, port))
                    if expires:
                        timer.start()
                    outcome = send(service, pair, bodies, OPEN_CONNECTIONS, plan.relist_seconds, RATE_PER_SECOND)
                    longest.append(max(outcome.milliseconds))
    figures.add(HOLD, size, held)
    figures.add(CALM, size, calm)


@contextmanager
def api_server(size: Size, pair: Pair) -> Iterator[int]:
    """Run the stand-in of the API server, and yield its port."""
    command = [sys.executable, "-m", "benchmarks.apiserver", "--tls-dir", str(pair.folder)]
    command += ["--policies", str(size.policies), "--pods", str(size.pods)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
        try:
            yield int((process.stdout.readline() if process.stdout else b"") or 0)
        finally:
            process.send_signal(signal.SIGTERM)


def service_account(folder: Path, ca: Path, token: str) -> Path:
    """Write the folder of a service account as it is mounted in a pod, and return it."""
    account = folder / "account"
    account.mkdir()
    (account / "ca.crt").write_bytes(ca.read_bytes())
    (account / "token").write_text(token, encoding="ascii")
    return account


def in_cluster(host: str, port: int) -> Mapping[str, str]:
    """Return the environment variables with which a pod finds the API server."""
    return {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": str(port)}


def _expire(pair: Pair, port: int) -> None:
    context = ssl.create_default_context(cafile=pair.ca_file)
    request = urllib.request.Request(f"https://localhost:{port}/expire", method="POST")
    with urllib.request.urlopen(request, context=context):  # noqa: S310  the stand-in of this benchmark
        pass
