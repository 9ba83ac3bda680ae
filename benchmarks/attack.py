"""
Attack the service from one pod while the API server asks it: `python -m benchmarks.attack [--minutes 30]`.

The service runs in a cgroup with the memory limit of the shipped Deployment, and watches a stand-in of the API server.
Honest reviews are sent as an API server sends them, its own repetitions included: one that must be allowed and one that
must be refused, in turn. What the attack does is described in benchmarks/attackers.py. It comes from another address
than the honest reviews; with `--one-address` from the same one, as behind a NAT. It needs root, for the cgroup.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import quantiles
from typing import Self

import msgspec
import yaml

from benchmarks.attackers import API_SERVER, POD, Attack
from benchmarks.cluster import EDITED, SMALL, policies, review, review_of
from benchmarks.flood import JUDGED, LOST, SHED, WRONG, Flooded, Waves
from benchmarks.lists import REGISTER, api_server, in_cluster, service_account
from benchmarks.overload import flood
from benchmarks.reviews import ROOT
from benchmarks.service import Pair, Service, make_pair, served

MINUTES = 30.0
HONEST_PER_SECOND = 50.0
CALM_SECONDS = 2.0
PROBE_SECONDS = 0.05
RECOVERY_SECONDS = 120.0  # the longest time, after the attack, until all honest reviews have verdicts again
MOST_MIB, LONGEST_MS = 200, 250
"""What all requests under way may take together; the 99th percentile of honest answers, and the longest of /livez."""

IN_CGROUP = """\
import os, sys
with open(os.environ["CGROUP_PROCS"], "w") as procs:
    procs.write(str(os.getpid()))
from webhook.cli import main
sys.exit(main())
"""
VERSION_1 = Path("/sys/fs/cgroup/memory")
VERSION_2 = Path("/sys/fs/cgroup")


@dataclass(frozen=True, kw_only=True)
class Cgroup:
    """A cgroup with a limit of memory, of either version of the kernel's interface."""

    folder: Path
    limit: str
    peak: str

    def peak_mib(self) -> float:
        """Return the most memory that its processes have had together."""
        return int((self.folder / self.peak).read_text(encoding="ascii")) / 2**20


@dataclass(frozen=True, kw_only=True)
class Attacked:
    """
    What an attack did.

    Args:
        honest: the honest reviews.
        answers: of the attacker, by status.
        before_mib: the memory of the service before the attack.
        highest_mib: the most memory that it had.
        cgroup_mib: the most memory that its cgroup had, the kernel's own for its sockets included.
        livez_ms: the longest time that /livez took to answer.
        recovery_seconds: from the end of the attack until every honest review had its verdict; None if never.
        alive: whether the same process still serves.
    """

    honest: Flooded
    answers: Mapping[str, int]
    before_mib: float
    highest_mib: float
    cgroup_mib: float
    livez_ms: float
    recovery_seconds: float | None
    alive: bool

    @property
    def statuses(self) -> list[int]:
        """Return the last status of each honest review."""
        return [status for _, _, status in self.honest.asked]

    def lines(self) -> Iterator[str]:
        """Yield the lines of the table."""
        statuses = self.statuses
        taken = sorted(seconds * 1000 for _, seconds, _ in self.honest.asked)
        cuts = quantiles(taken, n=100)
        yield "| what | wanted | found |"
        yield "|---|---:|---:|"
        yield f"| honest reviews | | {len(statuses):,} |"
        yield f"| with the other verdict | 0 | {statuses.count(WRONG)} |"
        yield f"| without a verdict: 503 to the end | 0 | {statuses.count(SHED)} |"
        without = len(statuses) - sum(statuses.count(known) for known in (JUDGED, WRONG, SHED))
        yield f"| without a verdict: otherwise | 0 | {without} ({statuses.count(LOST)} without an answer) |"
        yield f"| 99th percentile of their answers | ≤ {LONGEST_MS} ms | {cuts[98]:.0f} ms |"
        yield f"| median, longest | | {cuts[49]:.1f} ms, {taken[-1]:.0f} ms |"
        yield f"| answered with 503 first | | {len(self.honest.shed_milliseconds):,} |"
        yield f"| longest answer of /livez | ≤ {LONGEST_MS} ms | {self.livez_ms:.0f} ms |"
        yield f"| memory of all requests together | ≤ {MOST_MIB} MiB | {self.highest_mib - self.before_mib:.0f} MiB |"
        yield f"| memory of the cgroup | < {memory_limit() // 2**20} MiB | {self.cgroup_mib:.0f} MiB |"
        recovery = "never" if self.recovery_seconds is None else f"{self.recovery_seconds:.0f} s"
        yield f"| after the attack, until every honest review has its verdict | | {recovery} |"
        yield f"| the same process still serves | yes | {'yes' if self.alive else 'no'} |"
        for status, times in sorted(self.answers.items()):
            yield f"| answers to the attacker: {status} | | {times:,} |"


def image_environment() -> dict[str, str]:
    """Return the variables of the image that say how memory is allocated."""
    return dict(re.findall(r"\b(MALLOC_\w+)=(\w+)", (ROOT / "Dockerfile").read_text(encoding="utf-8")))


def memory_limit() -> int:
    """Return the bytes of memory that the shipped Deployment may use."""
    deployment = yaml.safe_load((ROOT / "manifests/base/deployment.yaml").read_text(encoding="utf-8"))
    limit: str = deployment["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"]
    return int(limit.removesuffix("Mi")) * 2**20


@contextmanager
def cgroup(limit: int) -> Iterator[Cgroup]:
    """Make a cgroup with a limit of memory; its processes have ended when the block ends."""
    name = f"eem-guardrail-{os.getpid()}"
    if VERSION_1.is_dir():
        made = Cgroup(folder=VERSION_1 / name, limit="memory.limit_in_bytes", peak="memory.max_usage_in_bytes")
    else:
        made = Cgroup(folder=VERSION_2 / name, limit="memory.max", peak="memory.peak")
    made.folder.mkdir()
    try:
        (made.folder / made.limit).write_text(str(limit), encoding="ascii")
        yield made
    finally:
        made.folder.rmdir()


class Probe(threading.Thread):
    """Asks /livez again and again, and keeps the longest time that an answer took."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._url = f"http://127.0.0.1:{port}/livez"
        self._over = threading.Event()
        self.longest_ms = 0.0

    def run(self) -> None:
        """Ask until the block ends."""
        while not self._over.wait(PROBE_SECONDS):
            began = time.perf_counter()
            with urllib.request.urlopen(self._url, timeout=60) as answer:  # noqa: S310  the service
                answer.read()
            self.longest_ms = max(self.longest_ms, (time.perf_counter() - began) * 1000)

    def __enter__(self) -> Self:
        """Begin."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End."""
        self._over.set()
        self.join()


def attack(job: Attack, folder: Path) -> Attacked:
    """Attack a service, whose port the job need not name."""
    pair = make_pair(folder / "tls")
    with cgroup(memory_limit()) as limited, api_server(SMALL, pair) as port:
        arguments = ["--service-account-dir", str(service_account(folder, Path(pair.ca_file), "token")), *REGISTER]
        environment = {
            **in_cluster("127.0.0.1", port),
            **image_environment(),
            "CGROUP_PROCS": str(limited.folder / "cgroup.procs"),
        }
        log = folder / "serve.log"
        with served(arguments, pair, log, environment, program=("-c", IN_CGROUP)) as service:
            return _attacked(service, pair, replace(job, port=service.https_port), limited)


def _attacked(service: Service, pair: Pair, job: Attack, limited: Cgroup) -> Attacked:
    allow = next(one for one in policies(SMALL.policies) if one["metadata"]["name"] == EDITED[0])
    honest = Waves(
        port=service.https_port,
        ca_file=pair.ca_file,
        body=review(EDITED[0], SMALL),
        refused=review_of(allow, None),
        waves=[(HONEST_PER_SECOND, CALM_SECONDS)],
    )
    flood(honest)  # what is kept after the first reviews is no memory of a request
    before = service.resident_mib()
    command = [sys.executable, "-m", "benchmarks.attackers"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as attacker:
        if attacker.stdin is not None:
            attacker.stdin.write(msgspec.json.encode(job))
            attacker.stdin.close()
        with Probe(service.http_port) as probe:
            found = flood(replace(honest, waves=[(HONEST_PER_SECOND, job.seconds)]))
        answers = json.loads(attacker.stdout.read()) if attacker.stdout else {}
    recovery_seconds = _recovery_seconds(honest)
    return Attacked(
        honest=found,
        answers=answers,
        before_mib=before,
        highest_mib=service.resident_mib("VmHWM"),
        cgroup_mib=limited.peak_mib(),
        livez_ms=probe.longest_ms,
        recovery_seconds=recovery_seconds,
        alive=Path(f"/proc/{service.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z",
    )


def _recovery_seconds(honest: Waves) -> float | None:
    """Send the honest reviews again until each of them has its verdict."""
    began = time.monotonic()
    while time.monotonic() - began < RECOVERY_SECONDS:
        if {status for _, _, status in flood(honest).asked} == {JUDGED}:
            return time.monotonic() - began
    return None


def main(words: Sequence[str] | None = None) -> int:
    """Run one command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.attack", description="Attack the service from one pod, and print what came of it."
    )
    parser.add_argument("--minutes", type=float, default=MINUTES, help=f"default: {MINUTES:g}")
    parser.add_argument("--one-address", action="store_true", help="attack from the address of the honest reviews")
    arguments = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="attack-") as scratch:
        address = API_SERVER if arguments.one_address else POD
        found = attack(Attack(seconds=arguments.minutes * 60, address=address), Path(scratch))
    sys.stdout.writelines(f"{line}\n" for line in found.lines())
    sys.stderr.write(f"load of the machine: {os.getloadavg()[0]:.1f}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
