"""
Start the ports, and stop them without losing a request.

After SIGTERM, API servers still send reviews for a while: over open connections, and because the endpoint change takes
time to reach them. So the replica reports not ready at once, goes on answering with `Connection: close`, and after the
drain delay stops listening, finishes the reviews in progress, and closes the remaining connections.
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

STOPPED, INTERRUPTED = 0, 130  # exit statuses; a shell reports 130 for a program that SIGINT ended
CLOSE_SECONDS = 1.0  # for handlers to end after they were cancelled

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class ServedPort:
    """
    An application, and the address and port where it is served.

    Args:
        host: an address or name; empty for all addresses of the machine.
        port: 0 for any free port.
        tls: the listening context; None for plain HTTP.
        flag: the command line's flag for the port, for the message when the port cannot be used.
    """

    app: web.Application
    host: str
    port: int
    tls: ssl.SSLContext | None = None
    flag: str = ""


class PortError(OSError):
    """Raised when a port cannot be listened on; the message names the flag that sets it."""


class Server:
    """
    The server of one port.

    Args:
        name: the metrics' label for the port.
    """

    def __init__(self, name: str, served: ServedPort, serving: Serving) -> None:
        self._name = name
        self._served = served
        self._serving = serving
        self._runner = web.AppRunner(served.app, shutdown_timeout=CLOSE_SECONDS)
        self._started: _Started | None = None

    @property
    def port(self) -> int:
        """Return the port that is listened on; before the start, the configured port."""
        return self._served.port if self._started is None else self._started.listener.port

    async def start(self) -> None:
        """
        Listen.

        Raises:
            PortError: the address or port cannot be used.
        """
        await self._runner.setup()
        connections = Connections(cast("web.Server", self._runner.server), self._serving)
        self._serving.metrics.connections.open.labels(self._name).set_function(lambda: len(connections.open))
        listener = Listener(connections, tls=self._served.tls)
        try:
            listener.start(self._served.host, self._served.port)
        except OSError as error:
            raise PortError(_cannot_listen(self._served, error)) from error
        sweeper = asyncio.create_task(connections.keep_swept())
        self._started = _Started(connections=connections, listener=listener, sweeper=sweeper)

    async def stop(self, *, in_flight_seconds: float) -> None:
        """Stop listening, close idle connections, and wait up to *in_flight_seconds* for answers in progress."""
        if self._started is not None:
            await self._started.listener.stop()
            await self._started.connections.close_all(in_flight_seconds)
            self._started.sweeper.cancel()
        await self._runner.cleanup()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Started:
    """The parts of a server that listens."""

    connections: Connections
    listener: Listener
    sweeper: asyncio.Task[None]


class Servers:
    """
    All ports of the service.

    Args:
        serving: what the applications share.
        https: the port that the API server calls.
        http: probes and metrics; it stops last, so that they show the shutdown.
        local: a port on the pod's loopback; None for no such port.
    """

    def __init__(
        self, serving: Serving, *, https: ServedPort, http: ServedPort, local: ServedPort | None = None
    ) -> None:
        self._limits = serving.limits
        self._drain = serving.drain
        self._https = Server("https", https, serving)
        self._http = Server("http", http, serving)
        self._local = Server("local", local, serving) if local is not None else None

    @property
    def https_port(self) -> int:
        """Return the port of the webhook."""
        return self._https.port

    @property
    def http_port(self) -> int:
        """Return the port of the probes."""
        return self._http.port

    @property
    def local_port(self) -> int | None:
        """Return the port on the pod's loopback; None if there is none."""
        return None if self._local is None else self._local.port

    async def start(self) -> None:
        """
        Listen on every port, the webhook's first, so that the probes report ready only when it answers.

        A local port that cannot be used is logged: the verdicts do not need it.

        Raises:
            PortError: an address or port cannot be used; then no port is left open.
        """
        try:
            await self._https.start()
            await self._start_local()
            await self._http.start()
        except OSError:
            await self.stop()
            raise
        log.info("listening", extra={"fields": self._ports()})

    async def _start_local(self) -> None:
        if self._local is None:
            return
        try:
            await self._local.start()
        except PortError as error:
            log.error("the audit and the report are not served", extra={"fields": {"reason": str(error)}})  # noqa: TRY400
            await self._local.stop(in_flight_seconds=0.0)
            self._local = None

    async def stop(self, *, in_flight_seconds: float = 0.0) -> None:
        """Close every port after waiting up to *in_flight_seconds* for answers in progress."""
        for server in self._in_order():
            await server.stop(in_flight_seconds=in_flight_seconds)

    async def drain(self) -> None:
        """Report not ready, go on answering for the drain delay, then stop."""
        log.info("draining", extra={"fields": {"seconds": self._limits.drain_seconds}})
        self._drain.start()
        await asyncio.sleep(self._limits.drain_seconds)
        await self.stop(in_flight_seconds=self._limits.in_flight_seconds)

    async def serve_until_told(self, told: "StopSignals | None" = None) -> int:
        """
        Serve until a signal and return the exit status: SIGTERM drains first, SIGINT ends at once.

        The ports must have been started; they are closed when this method returns.

        Args:
            told: the signals, if they are already caught; None to catch them from now on.
        """
        if told is None:
            with stop_signals() as told_from_now:
                return await self.serve_until_told(told_from_now)
        await asyncio.wait((told.terminated, told.interrupted), return_when=asyncio.FIRST_COMPLETED)
        if not told.interrupted.done():
            draining = asyncio.create_task(self.drain())
            await asyncio.wait((draining, told.interrupted), return_when=asyncio.FIRST_COMPLETED)
            if draining.done():
                draining.result()  # raises the exception of a stop that failed
                return STOPPED
            draining.cancel()
            await asyncio.wait((draining,))
        await self.stop()
        return INTERRUPTED

    def _ports(self) -> dict[str, int | None]:
        return {"https": self.https_port, "http": self.http_port, "local": self.local_port}

    def _in_order(self) -> Iterator[Server]:
        yield self._https
        if self._local is not None:
            yield self._local
        yield self._http


@dataclass(frozen=True, kw_only=True, slots=True)
class StopSignals:
    """The signals that the process has received: each future is done when its signal arrives."""

    terminated: asyncio.Future[None]
    interrupted: asyncio.Future[None]


@contextmanager
def stop_signals() -> Iterator[StopSignals]:
    """Catch SIGTERM and SIGINT inside the block. Enter it before anything is started, so that no signal is missed."""
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


def _cannot_listen(served: ServedPort, error: OSError) -> str:
    reason = (error.strerror or str(error)).lower()
    what = f"cannot listen on {served.host or 'any address'} port {served.port}: {reason}"
    return f"{served.flag}: {what}" if served.flag else what


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
