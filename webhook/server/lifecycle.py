"""
Start the ports and stop them so that no request is lost.

A replica that is told to go is still called for a while: over connections that are open, and by whoever has not heard
yet. So it says at once that it is not ready, goes on answering with `Connection: close`, and only after the drain
delay stops listening, finishes what it has begun, and closes what is left.
"""

import asyncio
import logging
import signal
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import cast

from aiohttp import web

from webhook.server.connection import Connections
from webhook.server.listener import Listener
from webhook.server.serving import Serving

STOPPED, INTERRUPTED = 0, 130  # exit statuses; 130 is what a shell gives a program ended by SIGINT
CLOSE_SECONDS = 1.0  # for handlers that are cancelled at the very end to notice it

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """
    An application and where it is served.

    Args:
        host: an address or name; empty for all of the machine's addresses.
        port: 0 for any that is free.
        tls: the listening context; None for plain HTTP.
    """

    app: web.Application
    host: str
    port: int
    tls: ssl.SSLContext | None = None


class Server:
    """
    One endpoint being served.

    Args:
        name: what the metrics call its port.
    """

    def __init__(self, name: str, endpoint: Endpoint, serving: Serving) -> None:
        self._name = name
        self._endpoint = endpoint
        self._serving = serving
        self._runner = web.AppRunner(endpoint.app, shutdown_timeout=CLOSE_SECONDS)
        self._started: _Started | None = None

    @property
    def port(self) -> int:
        """The port listened on; the one asked for before the start."""
        return self._endpoint.port if self._started is None else self._started.listener.port

    async def start(self) -> None:
        """
        Listen.

        Raises:
            OSError: the address cannot be had.
        """
        await self._runner.setup()
        connections = Connections(cast("web.Server", self._runner.server), self._serving)
        self._serving.metrics.connections.labels(self._name).set_function(lambda: len(connections.open))
        listener = Listener(connections, tls=self._endpoint.tls)
        listener.start(self._endpoint.host, self._endpoint.port)
        sweeper = asyncio.create_task(connections.keep_swept())
        self._started = _Started(connections=connections, listener=listener, sweeper=sweeper)

    async def stop(self, *, in_flight_seconds: float) -> None:
        """Stop listening, close idle connections, and give the others so long to be answered."""
        if self._started is not None:
            await self._started.listener.stop()
            await self._started.connections.close_all(in_flight_seconds)
            self._started.sweeper.cancel()
        await self._runner.cleanup()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Started:
    """What a server has once it listens."""

    connections: Connections
    listener: Listener
    sweeper: asyncio.Task[None]


class Servers:
    """
    All ports of the service.

    Args:
        serving: what the applications share.
        https: what the API server calls.
        http: probes and metrics; stops last, so that the end can be watched.
        local: what only this pod's own loopback may see; None where nothing is.
    """

    def __init__(self, serving: Serving, *, https: Endpoint, http: Endpoint, local: Endpoint | None = None) -> None:
        self._limits = serving.limits
        self._drain = serving.drain
        self._https = Server("https", https, serving)
        self._http = Server("http", http, serving)
        self._local = Server("local", local, serving) if local is not None else None

    @property
    def https_port(self) -> int:
        """The port of the webhook."""
        return self._https.port

    @property
    def http_port(self) -> int:
        """The port of the probes."""
        return self._http.port

    async def start(self) -> None:
        """
        Listen on every port; the webhook's first, so that nobody is told "ready" before it answers.

        Raises:
            OSError: an address cannot be had; nothing is left listening.
        """
        try:
            for server in self._in_order():
                await server.start()
        except OSError:
            await self.stop()
            raise
        log.info("listening", extra={"fields": {"https": self.https_port, "http": self.http_port}})

    async def stop(self, *, in_flight_seconds: float = 0.0) -> None:
        """Close every port; requests under way get so long to be answered."""
        for server in self._in_order():
            await server.stop(in_flight_seconds=in_flight_seconds)

    async def drain(self) -> None:
        """Go without losing a request: not ready at once, answers for the drain delay, then stop."""
        log.info("draining", extra={"fields": {"seconds": self._limits.drain_seconds}})
        self._drain.start()
        await asyncio.sleep(self._limits.drain_seconds)
        await self.stop(in_flight_seconds=self._limits.in_flight_seconds)

    async def serve_until_told(self, told: "StopSignals | None" = None) -> int:
        """
        Serve until a signal says otherwise and give the exit status: SIGTERM drains, SIGINT ends at once.

        The ports must have been started; they are closed when this returns.

        Args:
            told: the signals, where they are caught since before the start; None to catch them from now on.
        """
        if told is None:
            with stop_signals() as told_from_now:
                return await self.serve_until_told(told_from_now)
        await asyncio.wait((told.terminated, told.interrupted), return_when=asyncio.FIRST_COMPLETED)
        if not told.interrupted.done():
            draining = asyncio.create_task(self.drain())
            await asyncio.wait((draining, told.interrupted), return_when=asyncio.FIRST_COMPLETED)
            if draining.done():
                draining.result()  # a failure to stop is not hidden
                return STOPPED
            draining.cancel()
            await asyncio.wait((draining,))
        await self.stop()
        return INTERRUPTED

    def _in_order(self) -> Iterator[Server]:
        yield self._https
        if self._local is not None:
            yield self._local
        yield self._http


@dataclass(frozen=True, kw_only=True, slots=True)
class StopSignals:
    """What the process has been told: each future is done once its signal has come."""

    terminated: asyncio.Future[None]
    interrupted: asyncio.Future[None]


@contextmanager
def stop_signals() -> Iterator[StopSignals]:
    """Catch SIGTERM and SIGINT from now on: enter this before anything is started, so that none is missed."""
    loop = asyncio.get_running_loop()
    told = StopSignals(terminated=loop.create_future(), interrupted=loop.create_future())
    futures = {signal.SIGTERM: told.terminated, signal.SIGINT: told.interrupted}
    for number, future in futures.items():
        loop.add_signal_handler(number, _resolve, future)
    try:
        yield told
    finally:
        for number in futures:
            loop.remove_signal_handler(number)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
