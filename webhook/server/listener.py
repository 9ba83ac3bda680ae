"""
Accept connections on one port, no more than there is room for, and finish their handshakes in time.

aiohttp's own site bounds neither the number of connections nor the handshake, and asyncio's server does not tell how
many handshakes are under way: so the accepting is done here.
"""

import asyncio
import logging
import socket
import ssl
from contextlib import suppress
from functools import partial

from webhook.server.connection import CROWDED, Connections

RETRY_SECONDS = 1.0  # after the system is out of file descriptors or memory; asyncio's own figure
BATCH = 64  # connections accepted before others have their turn

log = logging.getLogger(__name__)


class Listener:
    """
    The listening sockets of one port and the connections that are not made yet.

    Args:
        connections: where accepted connections go.
        tls: the listening context; None for plain HTTP.
    """

    def __init__(self, connections: Connections, *, tls: ssl.SSLContext | None) -> None:
        self._connections = connections
        self._tls = tls
        self._limits = connections.limits
        self._metrics = connections.metrics
        self._sockets: tuple[socket.socket, ...] = ()
        self._tasks: tuple[asyncio.Task[None], ...] = ()
        self.port = 0  # the one listened on, once it is known
        self._handshakes: dict[asyncio.Task[None], None] = {}  # the oldest first

    def start(self, host: str, port: int) -> None:
        """
        Listen.

        Args:
            host: an address or name, every address of which is listened on; empty for all of the machine's.
            port: 0 for any that is free.

        Raises:
            OSError: the address cannot be had.
        """
        self._sockets = open_sockets(host, port, self._limits.backlog)
        self.port = self._sockets[0].getsockname()[1]
        self._tasks = tuple(asyncio.create_task(self._accept(listening)) for listening in self._sockets)

    async def stop(self) -> None:
        """Stop listening; connections that are made stay."""
        for task in (*self._tasks, *self._handshakes):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._handshakes, return_exceptions=True)
        for listening in self._sockets:
            listening.close()

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        accepted = 0
        while True:
            try:
                connected, _ = await loop.sock_accept(listening)
            except OSError as error:
                log.error("a connection could not be accepted", extra={"fields": {"reason": str(error)}})  # noqa: TRY400
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if self._has_room():
                task = loop.create_task(self._shake_hands(connected))
                self._handshakes[task] = None
                task.add_done_callback(partial(self._handshake_ended, connected))
            else:
                self._metrics.connection_cut(CROWDED)
                connected.close()
            accepted += 1
            if accepted % BATCH == 0:
                await asyncio.sleep(0)

    def _has_room(self) -> bool:
        """Make room where there is none: by the oldest handshake where they are many, by an idle connection else."""
        handshakes, most = len(self._handshakes), self._limits.max_connections
        if handshakes + len(self._connections.open) < most:
            return True
        if handshakes * 2 <= most and self._connections.make_room():
            return True
        oldest = next(iter(self._handshakes), None)
        if oldest is None:
            return False
        self._metrics.connection_cut(CROWDED)
        del self._handshakes[oldest]
        oldest.cancel()
        return True

    async def _shake_hands(self, connected: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        timeouts = (
            {}
            if self._tls is None
            else {
                "ssl_handshake_timeout": self._limits.handshake_seconds,
                "ssl_shutdown_timeout": self._limits.tls_close_seconds,
            }
        )
        with suppress(OSError):  # SSLError and timeouts too: a peer that fails its handshake is its own concern
            await loop.connect_accepted_socket(self._connections.new, connected, ssl=self._tls, **timeouts)

    def _handshake_ended(self, connected: socket.socket, task: asyncio.Task[None]) -> None:
        self._handshakes.pop(task, None)
        if task.cancelled():
            connected.close()  # a task that was cancelled before it began has told nobody about its socket


def open_sockets(host: str, port: int, backlog: int) -> tuple[socket.socket, ...]:
    """
    Open the listening sockets for a host: one for each of its addresses, one for both families where it is empty.

    Raises:
        OSError: an address cannot be had.
    """
    if not host:
        both = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if both else socket.AF_INET
        sockets = [socket.create_server(("", port), family=family, backlog=backlog, dualstack_ipv6=both)]
    else:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        addresses = dict.fromkeys((family, sockaddr[0]) for family, _, _, _, sockaddr in found)
        sockets = []
        try:
            for family, address in addresses:
                sockets.append(socket.create_server((str(address), port), family=family, backlog=backlog))
                port = sockets[0].getsockname()[1]  # port 0: the same free port for every address
        except OSError:
            for opened in sockets:
                opened.close()
            raise
    for opened in sockets:
        opened.setblocking(False)  # noqa: FBT003  the standard library's own signature
    return tuple(sockets)
