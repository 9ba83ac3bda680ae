"""
Close connections that keep a place without using it.

aiohttp limits the size of a header but not the time it takes, nor the number of connections. Each connection here
has a deadline by which its first header must be complete, the same from the first byte of every later one, and a
deadline for taking an answer; one look at all of them each second costs less than a timer for each request.
"""

import asyncio
import logging
from typing import Any

from aiohttp import web
from aiohttp.web_request import BaseRequest

from webhook.server.refusals import plain
from webhook.server.serving import Serving

log = logging.getLogger(__name__)

SLOW_HEADER, SLOW_READER, CROWDED = "slow_header", "slow_reader", "crowded"
_INTERNAL_ERROR = 500


class Connection(web.RequestHandler):
    """One connection from its first byte to its last."""

    __slots__ = (
        "_busy",
        "_connections",
        "_header_due",
        "_received_at",
        "_receiving",
        "_write_due",
        "idle_since",
        "wire",
    )

    def __init__(self, connections: "Connections", server: web.Server, **settings: Any) -> None:
        super().__init__(server, **settings)
        self._connections = connections
        self._busy = False
        self._receiving = False
        self.idle_since = self._received_at = self._loop.time()
        self._header_due: float | None = self.idle_since + connections.limits.header_seconds
        self._write_due: float | None = None
        self.wire: asyncio.Transport | None = None  # aiohttp forgets its own before the close is complete

    @property
    def busy(self) -> bool:
        """Whether a request is being answered."""
        return self._busy

    @property
    def idle(self) -> bool:
        """Whether nothing has come since the last answer: nobody waits for anything."""
        return not self._busy and not self._receiving

    @property
    def quiet_since(self) -> float:
        """Since when nothing has come, in the loop's time; a request that has just come may not have begun yet."""
        return self._received_at if self._receiving else self.idle_since

    def request_began(self) -> float:
        """Note that a header is complete, and give the loop's time at which its first byte was there."""
        received = self._received_at if self._receiving else self._loop.time()
        self._busy = True
        self._receiving = False
        self._header_due = None
        return received

    def request_ended(self) -> None:
        """Note that an answer is ready."""
        self._busy = False
        self.idle_since = self._loop.time()

    def overdue(self, now: float) -> str | None:
        """Say why this connection must go, if it must."""
        if self._header_due is not None and now >= self._header_due:
            return SLOW_HEADER
        if self._write_due is not None and now >= self._write_due:
            return SLOW_READER
        return None

    def cut(self) -> None:
        """Close at once, without waiting for the peer."""
        if self.wire is not None:
            self.wire.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Join the other connections."""
        self.wire = transport  # type: ignore[assignment]  # a stream's transport, which reads and writes
        self._connections.open.add(self)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Leave the other connections."""
        self.wire = None
        super().connection_lost(exc)
        self._connections.left(self)

    def data_received(self, data: bytes) -> None:
        """Start the clock for a header where none runs, then read on."""
        if data and not self._busy:  # aiohttp calls this without data to go on parsing
            if not self._receiving:
                self._received_at = self._loop.time()
            self._receiving = True
            if self._header_due is None:
                self._header_due = self._loop.time() + self._connections.limits.header_seconds
        super().data_received(data)

    def pause_writing(self) -> None:
        """Start the clock for a peer that does not read."""
        self._write_due = self._loop.time() + self._connections.limits.write_seconds
        super().pause_writing()

    def resume_writing(self) -> None:
        """Stop that clock."""
        self._write_due = None
        super().resume_writing()

    def handle_error(
        self,
        request: BaseRequest,
        status: int = _INTERNAL_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  aiohttp's text repeats what was sent
    ) -> web.StreamResponse:
        """Answer what is not HTTP, without repeating it and without a traceback for every stranger."""
        level = logging.ERROR if status >= _INTERNAL_ERROR else logging.DEBUG
        log.log(level, "a request could not be read", exc_info=exc, extra={"fields": {"status": status}})
        if request.writer.output_size > 0:
            raise ConnectionError("part of an answer was sent already")
        response = plain(status, "the request could not be read")
        response.force_close()
        return response


class Connections:
    """All connections of one port."""

    def __init__(self, server: web.Server, serving: Serving) -> None:
        self.limits = limits = serving.limits
        self.metrics = serving.metrics
        self.open: set[Connection] = set()
        self._server = server
        self._settings = {
            "loop": asyncio.get_running_loop(),
            "keepalive_timeout": limits.keepalive_seconds,
            "lingering_time": limits.linger_seconds,
            "max_headers": limits.max_headers,
            "max_line_size": limits.max_header_bytes,
            "max_field_size": limits.max_header_bytes,
            "auto_decompress": False,  # a Content-Encoding is refused, never unpacked
            "access_log": None,  # one line for each decision instead
            "logger": log,
        }
        self._emptied: asyncio.Future[None] | None = None

    def new(self) -> Connection:
        """Make the protocol for a connection that was accepted."""
        return Connection(self, self._server, **self._settings)

    def left(self, connection: Connection) -> None:
        """Forget a connection that is closed."""
        self.open.discard(connection)
        if not self.open and self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)

    async def keep_swept(self) -> None:
        """Look for connections that are overdue, again and again."""
        while True:
            await asyncio.sleep(self.limits.sweep_seconds)
            self._sweep()

    def _sweep(self) -> None:
        now = asyncio.get_running_loop().time()
        for connection in tuple(self.open):
            reason = connection.overdue(now)
            if reason is not None:
                self.metrics.connection_cut(reason)
                connection.cut()

    def make_room(self) -> bool:
        """Close the connection that was idle longest; say whether there was one."""
        idle = (connection for connection in self.open if not connection.busy and connection.wire is not None)
        longest = min(idle, key=lambda connection: connection.quiet_since, default=None)
        if longest is None:
            return False
        self.metrics.connection_cut(CROWDED)
        longest.cut()
        self.open.discard(longest)
        return True

    async def close_all(self, in_flight_seconds: float) -> None:
        """Close what is idle, wait so long for the answers that others wait for, then cut what is left."""
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
