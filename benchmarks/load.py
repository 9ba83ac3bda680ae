"""
Send reviews over TLS on kept connections and measure their time: `python -m benchmarks.load`, in its own process.

It reads a Job as JSON from standard input and writes an Outcome as JSON to standard output. In the open loop reviews
are due at fixed moments, whatever happened to earlier ones, and their time counts from the moment when they were due.
A stall of the server therefore counts for every review that it delays.
"""

import asyncio
import gc
import ssl
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle
from typing import Any

import msgspec
import uvloop

PATH = "/validate-networkpolicy?timeout=5s"
SPIN_SECONDS = 0.002  # timers of the event loop have steps of a millisecond; the rest is a busy wait
LONGEST_WAIT_SECONDS = 30.0  # for the last answers, after the last review


@dataclass(frozen=True, kw_only=True)
class Job:
    """
    The reviews to send.

    Args:
        ca_file: the CA that verifies the certificate of the server.
        bodies: the reviews, sent in turn.
        connections: the number of connections, opened at the start.
        seconds: the duration.
        rate: reviews per second of the open loop; 0 for the closed loop, in which each answer triggers the next review.
    """

    port: int
    ca_file: str
    bodies: list[bytes]
    connections: int
    seconds: float
    rate: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The number of answers, the seconds that they took, and the milliseconds of each (open loop only)."""

    answered: int
    seconds: float
    milliseconds: list[float] = field(default_factory=list)


class _Connection(asyncio.Protocol):
    """One kept connection with at most one review in progress."""

    def __init__(self, load: "_Load") -> None:
        self._load = load
        self._received = b""
        self._due = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a stream's transport

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.lost(exc)

    def send(self, request: bytes, due: float) -> None:
        self._due = due
        if self._transport is not None:
            self._transport.write(request)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, blank, body = self._received.partition(b"\r\n\r\n")
        if not blank:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
        if len(body) < length:
            return
        if b'"allowed":true' not in body:
            self._load.lost(ValueError(f"a review was not allowed: {self._received[:500]!r}"))
        self._received = b""
        self._load.answered(self, self._due)


class _Load:
    """All connections and the answers on them."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._requests: Iterator[bytes] = cycle([request_of(body) for body in job.bodies])
        self._idle: deque[_Connection] = deque()
        self._waiting: deque[float] = deque()
        self._milliseconds: list[float] = []
        self._count = 0
        self._ends = 0.0
        self._last_answer = 0.0
        self._under_way = 0
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._finished = asyncio.Event()

    async def run(self) -> Outcome:
        await self._connect()
        began = time.perf_counter()
        self._ends = began + self._job.seconds
        work = self._open_loop(began) if self._job.rate else self._closed_loop()
        working = asyncio.ensure_future(work)
        await asyncio.wait({working, self._failed}, return_when=asyncio.FIRST_COMPLETED)
        if self._failed.done():
            working.cancel()
            self._failed.result()
        working.result()
        outcome = Outcome(answered=self._count, seconds=self._last_answer - began, milliseconds=self._milliseconds)
        self._failed.cancel()  # from here on a lost connection is no failure
        for connection in self._idle:
            connection.close()
        return outcome

    async def _connect(self) -> None:
        context = ssl.create_default_context(cafile=self._job.ca_file)
        loop = asyncio.get_running_loop()
        for _ in range(self._job.connections):
            _, connection = await loop.create_connection(
                lambda: _Connection(self), "127.0.0.1", self._job.port, ssl=context, server_hostname="localhost"
            )
            self._idle.append(connection)

    async def _closed_loop(self) -> None:
        while self._idle:
            self._send(self._idle.popleft(), time.perf_counter())
        await self._finished.wait()

    async def _open_loop(self, began: float) -> None:
        for number in range(int(self._job.rate * self._job.seconds)):
            due = began + number / self._job.rate
            await _until(due)
            if self._idle:
                self._send(self._idle.popleft(), due)
            else:
                self._waiting.append(due)
        async with asyncio.timeout(LONGEST_WAIT_SECONDS):
            await self._finished.wait()

    def _send(self, connection: _Connection, due: float) -> None:
        self._under_way += 1
        self._finished.clear()
        connection.send(next(self._requests), due)

    def answered(self, connection: _Connection, due: float) -> None:
        """Record the time of one review, and send the next one if it is due."""
        now = time.perf_counter()
        self._last_answer = now
        self._under_way -= 1
        self._count += 1
        if self._job.rate:
            self._milliseconds.append((now - due) * 1000)
            if self._waiting:
                self._send(connection, self._waiting.popleft())
                return
        elif now < self._ends:
            self._send(connection, now)
            return
        self._idle.append(connection)
        if not self._under_way:
            self._finished.set()

    def lost(self, error: Exception | None) -> None:
        """Stop with an error: a measurement with errors has no value."""
        if not self._failed.done():
            self._failed.set_exception(error or ConnectionError("the server closed a connection"))


async def _until(due: float) -> None:
    while (left := due - time.perf_counter()) > 0:  # noqa: ASYNC110  it waits for a point in time
        await asyncio.sleep(max(left - SPIN_SECONDS, 0.0))


def request_of(body: bytes) -> bytes:
    """Return the HTTP request that the API server sends."""
    head = (
        f"POST {PATH} HTTP/1.1\r\nHost: eem-guardrail.eem-guardrail.svc:443\r\nUser-Agent: kube-apiserver-admission\r\n"
        f"Content-Length: {len(body)}\r\nAccept: application/json\r\nContent-Type: application/json\r\n"
        "Accept-Encoding: gzip\r\n\r\n"
    )
    return head.encode() + body


async def _main() -> Outcome:
    job: Any = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    gc.disable()  # the time of the server is measured, not that of this process
    return await _Load(job).run()


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(_main())))
