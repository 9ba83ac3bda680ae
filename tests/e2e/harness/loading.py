"""The load as a test holds it: begun, waited for, ended, and what it found."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any, Self

from harness.machine import Machine
from harness.mix import Outcome
from harness.plane import ADMIN_TOKEN, HOST, PORT
from harness.waiting import wait_until

STARTED_SECONDS = 30
ANSWERED_SECONDS = 60  # on top of what the rate says
ENDED_SECONDS = 60  # the last questions have a timeout of their own


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadReport:
    """What one load found. Times are Unix times; failures hold what was asked and answered."""

    requests: list[tuple[float, float, str]]
    failures: list[dict[str, Any]]
    lags: list[float]
    handshakes: int
    handshake_failures: list[dict[str, Any]]
    cpu_seconds: float

    def failed(self, outcome: Outcome) -> list[dict[str, Any]]:
        """Return the requests that were dropped or answered wrongly."""
        return [one for one in self.failures if one["outcome"] == outcome]

    @property
    def dropped(self) -> list[dict[str, Any]]:
        """What got no verdict."""
        return self.failed(Outcome.DROPPED)

    @property
    def wrong(self) -> list[dict[str, Any]]:
        """What got the wrong one."""
        return self.failed(Outcome.WRONG)

    @property
    def distrusted(self) -> list[dict[str, Any]]:
        """Handshakes with a pair that the registration of that moment does not trust."""
        return [one for one in self.handshake_failures if not one["trusted"]]

    def dropped_between(self, earliest: float, latest: float) -> list[float]:
        """Return the times of the dropped requests that were sent between two times."""
        return sorted(one["began"] for one in self.dropped if earliest <= one["began"] < latest)

    def summary(self) -> str:
        """Sum up in one line, for the figures in the documentation."""
        taken = sorted(seconds for _, seconds, _ in self.requests)
        cuts = quantiles(taken, n=1000) if len(taken) > 1 else [0.0] * 999
        times = [began for began, _, _ in self.requests]
        span = max(times, default=0.0) - min(times, default=0.0)
        rate = len(taken) / span if span else 0.0
        late = sorted(self.lags)[int(len(self.lags) * 0.99)] if self.lags else 0.0
        return (
            f"{len(taken)} requests in {span:.0f} s ({rate:.0f}/s), "
            f"{len(self.dropped)} dropped, {len(self.wrong)} wrong; "
            f"p50 {cuts[499] * 1000:.0f} ms, p99 {cuts[989] * 1000:.0f} ms, max {max(taken, default=0) * 1000:.0f} ms; "
            f"late p99 {late * 1000:.0f} ms, generator {self.cpu_seconds:.1f} s CPU; "
            f"{self.handshakes} handshakes, {len(self.handshake_failures)} failed, {len(self.distrusted)} distrusted"
        )


class Load:
    """
    Edits in one namespace at a fixed rate, until the `with` block ends.

    Args:
        rate: questions a second to the API server.
        handshakes: looks a second at the registration, each followed by a handshake with every replica.
        harmless: leave out edits that must be refused, so that every edit is admitted with and without the guard.
    """

    def __init__(
        self, machine: Machine, namespace: str, *, rate: float, handshakes: float = 0.0, harmless: bool = False
    ) -> None:
        self._machine = machine
        self._folder = Path(machine.folder / "load")
        self._folder.mkdir(exist_ok=True)
        self._settings = {
            "url": f"https://{HOST}:{PORT}",
            "ca": str(machine.folder / "pki" / "ca.crt"),
            "token": ADMIN_TOKEN,
            "namespace": namespace,
            "rate": rate,
            "handshakes": handshakes,
            "harmless": harmless,
            "report": str(self._folder / "report.json"),
            "progress": str(self._folder / "progress"),
        }
        self._rate = rate
        self._process: subprocess.Popen[str] | None = None
        self._report: LoadReport | None = None

    @property
    def report(self) -> LoadReport:
        """What was found; once the load has ended."""
        if self._report is None:
            raise RuntimeError("the load is not over")
        return self._report

    def __enter__(self) -> Self:
        """Begin, and wait for the first answers."""
        for name in ("report", "progress"):
            Path(str(self._settings[name])).unlink(missing_ok=True)
        self._process = self._machine.start_program("harness.load", self._settings, self._folder / "load.log")
        wait_until(lambda: self.answered > 0, "the first answer", seconds=STARTED_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        """End it and read what it found."""
        if self._process is None:
            return
        self._process.communicate(timeout=ENDED_SECONDS)
        if self._process.returncode != 0:
            raise AssertionError((self._folder / "load.log").read_text())
        found = json.loads(Path(str(self._settings["report"])).read_text())
        self._report = LoadReport(**found)

    @property
    def answered(self) -> int:
        """How many questions were answered so far."""
        progress = Path(str(self._settings["progress"]))
        return int(progress.read_text()) if progress.exists() else 0

    def go_on(self, seconds: float) -> None:
        """Wait until as many more questions were answered as *seconds* bring."""
        wanted = self.answered + int(self._rate * seconds)
        limit = seconds + ANSWERED_SECONDS
        wait_until(lambda: self.answered >= wanted, f"{wanted} answers", seconds=limit)
