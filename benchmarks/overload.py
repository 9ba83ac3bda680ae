"""
Send five times as many reviews as the service can judge: `python -m benchmarks.overload [RUNS]`.

Each review costs some milliseconds, so that a client on the same machine can send enough of them. Two ways to refuse
reviews are compared: that of the service (a few reviews a second are sent to another replica over a new connection, the
others are asked to wait for a second on the same one), and sending every review to another replica. There is only one
replica, so it receives everything again: the harder case, like a flood on all replicas.

Other work on the machine takes processor time from the service. Therefore the number of judged reviews is given for
each second of processor time that the service had. The processor time of one answer is measured separately.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median, quantiles

import msgspec

from benchmarks.cluster import SMALL, review
from benchmarks.flood import JUDGED, Flooded, Waves
from benchmarks.reviews import ROOT, send, write_state
from benchmarks.service import Pair, make_pair, served

PEERS = 500  # of the policy under review: some milliseconds, and not yet decoded in a thread
FLOOD = 5.0  # times the reviews that the service judges in a second
CALM = 0.3
FLOOD_SECONDS = 8.0
CALM_SECONDS = 8.0
PEAK_SECONDS = 3.0
CONNECTIONS = 8
SLOW_SECONDS = 1.0  # a slower answer after the end of the flood counts as an effect of the flood
ELSEWHERE = """\
import sys
from webhook.server.limits import Limits
Limits.__init__.__kwdefaults__["max_sent_elsewhere_per_second"] = 10**9
from webhook.cli import main
sys.exit(main())
"""
ANSWERS = 1600  # of each kind, after a tenth of them to warm up
ALWAYS_BUSY = """\
import sys
from webhook.server.gate import Gate
from webhook.guard.outcomes import Overloaded
async def admit(self, address, patience_seconds):
    raise Overloaded("always", flooded={flooded})
Gate.admit = admit
from webhook.cli import main
sys.exit(main())
"""
KINDS: dict[str, tuple[str, ...]] = {
    "a verdict": ("-m", "webhook"),
    "503, to come again over the same connection": ("-c", ALWAYS_BUSY.format(flooded=True)),
    "503, to go elsewhere over a new one": ("-c", ALWAYS_BUSY.format(flooded=False)),
}
WAYS: dict[str, tuple[str, ...]] = {"as it is": ("-m", "webhook"), "all at once elsewhere": ("-c", ELSEWHERE)}


@dataclass(frozen=True, kw_only=True)
class Run:
    """
    The result of one flood.

    Args:
        share: reviews judged during and after the flood, relative to the peak, for each second of processor time.
        judged_per_second: reviews judged during the flood.
        shed_milliseconds: the median and the 99th percentile of answers of 503.
        refused: the share of the flood's reviews that got no verdict in the end.
        handshakes_per_second: handshakes during the flood.
        recovery_seconds: from the end of the flood to the last review that was slow or got no verdict.
        late_seconds: the delay of the client; if it is large, the machine was too slow.
    """

    share: float
    judged_per_second: float
    shed_milliseconds: tuple[float, float]
    refused: float
    handshakes_per_second: float
    recovery_seconds: float
    late_seconds: float


def heavy() -> bytes:
    """Return a review that takes some milliseconds: a policy with many peers."""
    asked = json.loads(review("crowd-0", SMALL))
    peers = [{"ipBlock": {"cidr": f"10.{number // 250}.{number % 250}.0/24"}} for number in range(PEERS)]
    asked["request"]["object"]["spec"]["ingress"].append({"from": peers})
    return json.dumps(asked, separators=(",", ":")).encode()


def measure(program: Sequence[str], pair: Pair, folder: Path, body: bytes) -> Run:
    """Measure the peak rate, then send a flood, then a moderate load."""
    state = write_state(SMALL, folder)
    with served(["--state", str(state)], pair, folder / "serve.log", program=program) as service:
        send(service, pair, [body], CONNECTIONS, 0.5)
        before = service.cpu_seconds()
        peak = send(service, pair, [body], CONNECTIONS, PEAK_SECONDS)
        peak_per_cpu = peak.answered / (service.cpu_seconds() - before)
        rate = peak.answered / peak.seconds
        job = Waves(
            port=service.https_port,
            ca_file=pair.ca_file,
            body=body,
            waves=[(FLOOD * rate, FLOOD_SECONDS), (CALM * rate, CALM_SECONDS)],
        )
        before = service.cpu_seconds()
        found = flood(job)
        spent = service.cpu_seconds() - before
    flooded = [one for one in found.asked if one[0] < FLOOD_SECONDS]
    judged = [one for one in found.asked if one[2] == JUDGED]
    in_flood = [due for due, seconds, _ in judged if due + seconds < FLOOD_SECONDS]
    late = [due for due, seconds, status in found.asked if status != JUDGED or seconds > SLOW_SECONDS]
    cuts = quantiles(found.shed_milliseconds, n=100) if len(found.shed_milliseconds) > 1 else [0.0] * 99
    return Run(
        share=len(judged) / spent / peak_per_cpu,
        judged_per_second=len(in_flood) / FLOOD_SECONDS,
        shed_milliseconds=(cuts[49], cuts[98]),
        refused=sum(one[2] != JUDGED for one in flooded) / len(flooded),
        handshakes_per_second=found.handshakes / FLOOD_SECONDS,
        recovery_seconds=max(0.0, max(late, default=0.0) - FLOOD_SECONDS),
        late_seconds=found.late_seconds,
    )


def cost_milliseconds(program: Sequence[str], pair: Pair, folder: Path) -> float:
    """Return the processor time of one answer to a common review."""
    with served(["--state", str(write_state(SMALL, folder))], pair, folder / "serve.log", program=program) as service:
        job = partial(Waves, port=service.https_port, ca_file=pair.ca_file, body=review("crowd-0", SMALL))
        flood(job(attempts=ANSWERS // 10))
        before = service.cpu_seconds()
        flood(job(attempts=ANSWERS))
        return (service.cpu_seconds() - before) / ANSWERS * 1000


def flood(job: Waves) -> Flooded:
    """Send the reviews of *job* from a separate process."""
    command = [sys.executable, "-m", "benchmarks.flood"]
    done = subprocess.run(command, input=msgspec.json.encode(job), stdout=subprocess.PIPE, check=True, cwd=ROOT)
    return msgspec.json.decode(done.stdout, type=Flooded)


def row_of(way: str, runs: Sequence[Run]) -> str:
    """Return one row of the table, with medians."""
    half, most = (median(one.shed_milliseconds[at] for one in runs) for at in (0, 1))
    return (
        f"| {way} | {median(one.share for one in runs):.0%} | {median(one.judged_per_second for one in runs):.0f} "
        f"| {half:.0f}, {most:.0f} ms | {median(one.refused for one in runs):.0%} "
        f"| {median(one.handshakes_per_second for one in runs):.0f} "
        f"| {median(one.recovery_seconds for one in runs):.1f} s |"
    )


def main(words: Sequence[str]) -> int:
    """Flood both ways in turn, so that a change of the machine's speed affects both, and print the medians."""
    runs: dict[str, list[Run]] = {way: [] for way in WAYS}
    costs: dict[str, list[float]] = {kind: [] for kind in KINDS}
    with tempfile.TemporaryDirectory(prefix="overload-") as scratch:
        folder = Path(scratch)
        pair, body = make_pair(folder / "tls"), heavy()
        for _ in range(int(words[0]) if words else 5):
            for kind, program in KINDS.items():
                costs[kind].append(cost_milliseconds(program, pair, folder))
            for way, program in WAYS.items():
                runs[way].append(measure(program, pair, folder, body))
                sys.stderr.write(f"{way}: {runs[way][-1]}; load {os.getloadavg()[0]:.1f}\n")
    head = (
        "| sent away | judged, of the most possible | a second | 503 after | refused | handshakes a second | recovery |"
    )
    rows = [row_of(way, found) for way, found in runs.items()]
    paid = [f"| {kind} | {median(found):.2f} ms |" for kind, found in costs.items()]
    sys.stdout.write("\n".join(["| answer | processor time |", "|---|---:|", *paid, "", ""]))
    sys.stdout.write("\n".join([head, "|---|---:|---:|---:|---:|---:|---:|", *rows, ""]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
