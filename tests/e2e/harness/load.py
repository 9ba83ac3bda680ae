"""
Ask the API server at a fixed rate, whether it answers or not, and note what becomes of each question.

A process of its own on the machine's network; what it found is written when its standard input ends. The rate does not
follow the answers (an open loop): a service that stalls for a second meets all that came in that second.
"""

import asyncio
import json
import os
import ssl
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp

from harness.handshakes import Handshakes
from harness.mix import Edit, Outcome, edits

REQUEST_SECONDS = 15  # three times the webhook's timeout
PROGRESS_SECONDS = 0.2
MAX_TEXT = 600
# Seconds' worth of questions. Where more are under way they wait, and their time runs: asyncio keeps 256 KiB for each
# TLS connection, and a machine that stands still for a while must not be out of memory for that.
MOST_CONNECTIONS = 1000


class Asking:
    """The questions that are under way, and what became of the others."""

    def __init__(self, session: aiohttp.ClientSession, namespace: str, *, harmless: bool) -> None:
        self._session = session
        self._edits: Iterator[Edit] = (one for one in edits(namespace) if one.allowed or not harmless)
        self._tasks: set[asyncio.Task[None]] = set()
        self.requests: list[tuple[float, float, str]] = []
        self.failures: list[dict[str, Any]] = []
        self.lags: list[float] = []

    async def run(self, rate: float, stopped: asyncio.Event) -> None:
        """Begin *rate* questions a second until *stopped*, and wait for the last answers."""
        began, number = time.monotonic(), 0
        while not stopped.is_set():
            due = began + number / rate
            pause = due - time.monotonic()
            if pause > 0:
                await asyncio.sleep(pause)
            self.lags.append(time.monotonic() - due)
            number += 1
            task = asyncio.create_task(self._ask(next(self._edits)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _ask(self, edit: Edit) -> None:
        began, clock = time.time(), time.monotonic()
        status, text = 0, ""
        try:
            async with self._session.request(
                edit.method,
                edit.path,
                params={"dryRun": "All"} if edit.dry_run else None,
                data=None if edit.body is None else json.dumps(edit.body),
                headers={"Content-Type": edit.media_type},
            ) as answer:
                status, text = answer.status, await answer.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            text = repr(error)
        outcome = edit.outcome(status, text)
        taken = time.monotonic() - clock
        self.requests.append((began, taken, outcome))
        if outcome is not Outcome.RIGHT:
            asked = f"{edit.method} {edit.path}{' (dry run)' if edit.dry_run else ''}"
            details = {"asked": asked, "allowed": edit.allowed, "status": status, "text": text[:MAX_TEXT]}
            self.failures.append({"began": began, "seconds": taken, "outcome": outcome, **details})


async def end_of_input(stopped: asyncio.Event) -> None:
    """Set *stopped* when the parent process closes the pipe or ends."""
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, sys.stdin)
    await reader.read()
    stopped.set()


async def show_progress(asking: Asking, path: Path) -> None:
    """Print the number of answers repeatedly."""
    while True:
        written = path.with_suffix(".new")
        written.write_text(str(len(asking.requests)))
        written.replace(path)
        await asyncio.sleep(PROGRESS_SECONDS)


async def serve(settings: dict[str, Any]) -> dict[str, Any]:
    """Ask until standard input ends, and give what was found."""
    stopped = asyncio.Event()
    context = ssl.create_default_context(cafile=settings["ca"])
    async with aiohttp.ClientSession(
        base_url=settings["url"],
        headers={"Authorization": f"Bearer {settings['token']}"},
        connector=aiohttp.TCPConnector(ssl=context, limit=MOST_CONNECTIONS),
        timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS),
    ) as session:
        asking = Asking(session, settings["namespace"], harmless=settings["harmless"])
        handshakes = Handshakes(session)
        progress = asyncio.create_task(show_progress(asking, Path(settings["progress"])))
        await asyncio.gather(
            end_of_input(stopped),
            asking.run(settings["rate"], stopped),
            handshakes.run(settings["handshakes"], stopped),
        )
        progress.cancel()
    used = os.times()
    return {
        "requests": asking.requests,
        "failures": asking.failures,
        "lags": asking.lags,
        "handshakes": handshakes.done,
        "handshake_failures": handshakes.failures,
        "cpu_seconds": used.user + used.system,
    }


def main() -> None:
    """Read what to ask from the first argument, and write what was found into the file that it names."""
    settings = json.loads(sys.argv[1])
    found = asyncio.run(serve(settings))
    Path(settings["report"]).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
