"""
Send more reviews than the service can judge, as API servers do: `python -m benchmarks.flood`, in its own process.

It reads Waves as JSON from standard input and writes Flooded as JSON to standard output. A review that gets 503 and
`Retry-After` is sent again after that many seconds, at most ten times and within its timeout. Connections are opened
when they are needed and at most 25 are kept, so that a flood causes handshakes.

Source: client-go rest/with_retry.go and transport/cache.go.
"""

import asyncio
import gc
import os
import ssl
import sys
import time
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import msgspec
import uvloop

from benchmarks.load import request_of

TIMEOUT_SECONDS = 5.0  # of the shipped registration
MOST_ATTEMPTS = 11
IDLE_CONNECTIONS = 25
JUDGED = 200
SHED = 503
CALLERS = 8
LOST = 0  # no answer came
WRONG = 1  # the other verdict


@dataclass(frozen=True, kw_only=True)
class Waves:
    """
    The reviews to send.

    Args:
        body: a review that is allowed.
        refused: a review that is refused, sent in turn with the other; empty for none.
        waves: reviews a second and the number of seconds, one wave after the other.
        attempts: reviews that eight callers send before the waves, each as soon as its last one is answered; they are
            not repeated and not reported.
    """

    port: int
    ca_file: str
    body: bytes
    refused: bytes = b""
    waves: list[tuple[float, float]] = field(default_factory=list)
    attempts: int = 0


@dataclass(kw_only=True)
class Flooded:
    """
    The answers.

    Args:
        asked: for each review when it was due, in seconds from the start, how long it took, and its last status (or
            LOST, or WRONG).
        shed_milliseconds: how long each answer of 503 took.
        handshakes: the number of connections that were opened.
        late_seconds: the delay of the latest start of a review; if it is large, this process was too slow.
    """

    asked: list[tuple[float, float, int]] = field(default_factory=list)
    shed_milliseconds: list[float] = field(default_factory=list)
    handshakes: int = 0
    late_seconds: float = 0.0


class _Caller:
    def __init__(self, job: Waves) -> None:
        self._job = job
        self._reviews = cycle(
            [(request_of(job.body), b'"allowed":true')]
            + ([(request_of(job.refused), b'"allowed":false')] if job.refused else [])
        )
        self._context = ssl.create_default_context(cafile=job.ca_file)
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.found = Flooded()

    async def run(self) -> Flooded:
        await asyncio.gather(*(self._go_on(self._job.attempts // CALLERS) for _ in range(CALLERS)))
        began = due = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for rate, seconds in self._job.waves:
                for _ in range(int(rate * seconds)):
                    if (left := due - time.perf_counter()) > 0:
                        await asyncio.sleep(left)
                    self.found.late_seconds = max(self.found.late_seconds, time.perf_counter() - due)
                    group.create_task(self._ask(began, due))
                    due += 1 / rate
        return self.found

    async def _go_on(self, attempts: int) -> None:
        for _ in range(attempts):
            await self._attempt(*next(self._reviews))

    async def _ask(self, began: float, due: float) -> None:
        status, asked = LOST, next(self._reviews)
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                for _ in range(MOST_ATTEMPTS):
                    sent = time.perf_counter()
                    status, again_seconds = await self._attempt(*asked)
                    if status != SHED:
                        break
                    self.found.shed_milliseconds.append((time.perf_counter() - sent) * 1000)
                    await asyncio.sleep(again_seconds)
        except (OSError, EOFError, TimeoutError):
            status = LOST if status != SHED else SHED
        self.found.asked.append((due - began, time.perf_counter() - due, status))

    async def _attempt(self, request: bytes, verdict: bytes) -> tuple[int, int]:
        """Send a review once, and return the status, or WRONG, and the seconds of `Retry-After`."""
        reader, writer = self._kept() or await self._connect()
        kept = False
        try:
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            answer = await reader.readexactly(int(_field(head, b"content-length")))
            kept = b"connection: close" not in head and len(self._idle) < IDLE_CONNECTIONS
        finally:
            if kept:
                self._idle.append((reader, writer))
            else:
                writer.transport.abort()
        status = int(head[9:12])
        status = WRONG if status == JUDGED and verdict not in answer else status
        return status, int(_field(head, b"retry-after") or b"0")

    def _kept(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """Return an idle connection that the server has not closed; None if there is none."""
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.transport.abort()
        return None

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self.found.handshakes += 1
        return await asyncio.open_connection(
            "127.0.0.1", self._job.port, ssl=self._context, server_hostname="localhost"
        )


def _field(head: bytes, name: bytes) -> bytes:
    return head.partition(name + b":")[2].partition(b"\r\n")[0].strip()


async def _main() -> Flooded:
    job: Any = msgspec.json.decode(sys.stdin.buffer.read(), type=Waves)
    gc.disable()  # the time of the server is measured, not that of this process
    return await _Caller(job).run()


if __name__ == "__main__":
    flooded = uvloop.run(_main())
    os.set_blocking(sys.stdout.fileno(), True)  # uvloop leaves it non-blocking
    left = memoryview(msgspec.json.encode(flooded))
    while left:  # sys.stdout has lost the end of a large text that was written in parts
        left = left[os.write(sys.stdout.fileno(), left) :]
