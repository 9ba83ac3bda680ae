"""
Close connections that occupy a place without use.

aiohttp limits the size of a header, but neither its duration nor the number of connections. Here each connection has a
deadline for its first header, a deadline for every later header that starts with the header's first byte, and a
deadline for reading an answer. One check of all connections per second costs less than a timer per request.
"""

import asyncio
import logging
from collections.abc import Collection
from typing import Any

from aiohttp import web
from aiohttp.web_request import BaseRequest

from webhook.server.refusals import plain
from webhook.server.serving import Serving

log = logging.getLogger(__name__)

SLOW_HEADER, SLOW_READER, CROWDED = "slow_header", "slow_reader", "crowded"
_INTERNAL_ERROR = 500


class HttpConnection(web.RequestHandler):
    """One connection of a client, from its first byte to its last."""

    __slots__ = (
        "_busy",
        "_connections",
        "_header_due",
        "_received_at",
        "_receiving",
        "_write_due",
        "address",
        "handshake",
        "idle_since",
        "wire",
    )

    def __init__(self, connections: "Connections", server: web.Server, address: str, **settings: Any) -> None:
        super().__init__(server, **settings)
        self.address = address
        self.handshake: asyncio.Task[None] | None = None
        self._connections = connections
        self._busy = False
        self._receiving = False
        self.idle_since = self._received_at = self._loop.time()
        self._header_due: float | None = self.idle_since + connections.limits.header_seconds
        self._write_due: float | None = None
        self.wire: asyncio.Transport | None = None  # aiohttp drops its own reference before the close is complete

    @property
    def busy(self) -> bool:
        """Whether a request is being answered."""
        return self._busy

    @property
    def idle(self) -> bool:
        """Whether nothing was received since the last answer, so no client waits for an answer."""
        return not self._busy and not self._receiving

    @property
    def quiet_since(self) -> float:
        """Loop time of the last received byte, or of the last answer."""
        return self._received_at if self._receiving else self.idle_since

    def request_began(self) -> float:
        """Record that a header is complete, and return the loop time of its first byte."""
        received = self._received_at if self._receiving else self._loop.time()
        self._busy = True
        self._receiving = False
        self._header_due = None
        return received

    def request_ended(self) -> None:
        """Record that an answer is ready."""
        self._busy = False
        self.idle_since = self._loop.time()

    def overdue(self, now: float) -> str | None:
        """Return why the connection must be closed now; None if it need not be."""
        if self._header_due is not None and now >= self._header_due:
            return SLOW_HEADER
        if self._write_due is not None and now >= self._write_due:
            return SLOW_READER
        return None

    def cut(self) -> None:
        """Close the connection at once, without waiting for the client; or end its handshake."""
        if self.wire is not None:
            self.wire.abort()
        elif self.handshake is not None:
            self.handshake.cancel()

    def stop_reading(self) -> None:
        """Read nothing more of a body that is refused; the connection is closed when the client has its answer."""
        if self.wire is not None:
            self.wire.pause_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Register with the other connections of the port."""
        self.wire = transport  # type: ignore[assignment]  # a stream transport, which reads and writes
        self._connections.open.add(self)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Remove the connection from the others of the port."""
        self.wire = None
        super().connection_lost(exc)
        self._connections.left(self)

    def data_received(self, data: bytes) -> None:
        """Start the header's deadline if none runs, then read."""
        if data and not self._busy:  # aiohttp calls this without data to continue parsing
            if not self._receiving:
                self._received_at = self._loop.time()
            self._receiving = True
            if self._header_due is None:
                self._header_due = self._loop.time() + self._connections.limits.header_seconds
        super().data_received(data)

    def pause_writing(self) -> None:
        """Start the deadline for a client that does not read its answer."""
        self._write_due = self._loop.time() + self._connections.limits.write_seconds
        super().pause_writing()

    def resume_writing(self) -> None:
        """Stop the deadline for a client that does not read its answer."""
        self._write_due = None
        super().resume_writing()

    def handle_error(
        self,
        request: BaseRequest,
        status: int = _INTERNAL_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  aiohttp's text repeats the client's bytes
    ) -> web.StreamResponse:
        """Answer bytes that are not HTTP, without repeating them and without a traceback for a client's mistake."""
        level = logging.ERROR if status >= _INTERNAL_ERROR else logging.DEBUG
        log.log(level, "a request could not be read", exc_info=exc, extra={"fields": {"status": status}})
        if request.writer.output_size > 0:
            raise ConnectionError("part of an answer was already sent")
        response = plain(status, "the request could not be read")
        response.force_close()
        return response


class Connections:
    """All connections of one port."""

    def __init__(self, server: web.Server, serving: Serving) -> None:
        self.limits = limits = serving.limits
        self.metrics = serving.metrics
        self.open: set[HttpConnection] = set()
        self._accepted: dict[str, dict[HttpConnection, None]] = {}  # by client address, handshakes included, in order
        self._server = server
        self._settings = {
            "loop": asyncio.get_running_loop(),
            "keepalive_timeout": limits.keepalive_seconds,
            "lingering_time": limits.linger_seconds,
            "max_headers": limits.max_headers,
            "max_line_size": limits.max_header_bytes,
            "max_field_size": limits.max_header_bytes,
            "auto_decompress": False,  # a Content-Encoding is refused, never decompressed
            "access_log": None,  # the decision log has one line per review
            "logger": log,
        }
        self._emptied: asyncio.Future[None] | None = None

    def new(self, address: str) -> HttpConnection:
        """Return the protocol for a connection that was accepted from a client address."""
        connection = HttpConnection(self, self._server, address, **self._settings)
        self._accepted.setdefault(address, {})[connection] = None
        return connection

    def left(self, connection: HttpConnection) -> None:
        """Remove a connection that was closed, or whose handshake has ended without one."""
        self.open.discard(connection)
        of_address = self._accepted.get(connection.address, {})
        of_address.pop(connection, None)
        if not of_address:
            self._accepted.pop(connection.address, None)
        if not self.open and self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)

    async def keep_swept(self) -> None:
        """Close overdue connections, once per sweep interval, until cancelled."""
        while True:
            await asyncio.sleep(self.limits.sweep_seconds)
            self._sweep()

    def _sweep(self) -> None:
        now = asyncio.get_running_loop().time()
        for connection in tuple(self.open):
            reason = connection.overdue(now)
            if reason is not None:
                self.metrics.connections.cut(reason)
                connection.cut()

    def has_room(self, address: str) -> bool:
        """
        Whether there is room for one more connection of a client address.

        At the limit of the address, one of its own connections is closed; at the limit of all, one of the address that
        has most of them.
        """
        own, most = self._accepted.get(address, {}), self.limits.max_connections
        if len(own) >= self.limits.of_address(most):
            return self._close_one(own)
        if sum(map(len, self._accepted.values())) >= most:
            return self._close_one(max(self._accepted.values(), key=len))
        return True

    def _close_one(self, crowd: Collection[HttpConnection]) -> bool:
        """
        Close one of the connections of an address, and return whether that was possible.

        It is the one that was idle longest; if more than half are handshakes, the oldest of these.
        """
        handshakes = [connection for connection in crowd if connection.wire is None]
        idle = [connection for connection in crowd if not connection.busy and connection.wire is not None]
        if handshakes and (len(handshakes) * 2 > len(crowd) or not idle):
            closed = handshakes[0]
        elif idle:
            closed = min(idle, key=lambda connection: connection.quiet_since)
        else:
            return False
        self.metrics.connections.cut(CROWDED)
        closed.cut()
        self.left(closed)
        return True

    async def close_all(self, in_flight_seconds: float) -> None:
        """Close idle connections, wait up to *in_flight_seconds* for answers in progress, then close the rest."""
        for connection in tuple(self.open):
            if connection.idle:
                connection.force_close()
        await self._wait_until_empty(in_flight_seconds)
        for connection in tuple(self.open):
            connection.cut()

    async def _wait_until_empty(self, seconds: float) -> None:
        if not self.open:
            return
        self._emptied = asyncio.get_running_loop().create_future()
        await asyncio.wait((self._emptied,), timeout=seconds)
