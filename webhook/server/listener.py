"""
Accept connections on one port, within the limit, and bound the time of their TLS handshakes.

aiohttp's site bounds neither the number of connections nor the handshake, and asyncio's server does not tell how many
handshakes are in progress, so this module accepts connections itself.
"""

import asyncio
import logging
import socket
import ssl
from collections import deque
from contextlib import suppress
from functools import partial

from webhook.server.connection import CROWDED, Connections, HttpConnection

RETRY_SECONDS = 1.0  # after file descriptors or memory ran out; asyncio uses the same value
BATCH = 64  # connections accepted per event loop iteration; some milliseconds of work

log = logging.getLogger(__name__)


class Listener:
    """
    The listening sockets of one port and the handshakes in progress.

    Args:
        connections: receives accepted connections.
        tls: the listening context; None for plain HTTP.
    """

    def __init__(self, connections: Connections, *, tls: ssl.SSLContext | None) -> None:
        self._connections = connections
        self._tls = tls
        self._limits = connections.limits
        self._metrics = connections.metrics
        self._sockets: tuple[socket.socket, ...] = ()
        self._retries: deque[asyncio.TimerHandle] = deque(maxlen=8)  # more listening sockets than a port has
        self.port = 0  # the port that is listened on, after `start`
        self._handshakes: set[asyncio.Task[None]] = set()

    def start(self, host: str, port: int) -> None:
        """
        Listen.

        Args:
            host: an address or name; every address of the name is used. Empty for all addresses of the machine.
            port: 0 for any free port.

        Raises:
            OSError: the address cannot be used.
        """
        self._sockets = open_sockets(host, port, self._limits.backlog)
        self.port = self._sockets[0].getsockname()[1]
        for listening in self._sockets:
            self._listen(listening)

    async def stop(self) -> None:
        """Stop listening; established connections stay open. A second call has no effect."""
        loop = asyncio.get_running_loop()
        for retry in self._retries:
            retry.cancel()
        listened, self._sockets = self._sockets, ()
        for listening in listened:
            loop.remove_reader(listening)
            listening.close()
        handshakes = tuple(self._handshakes)
        for task in handshakes:
            task.cancel()
        await asyncio.gather(*handshakes, return_exceptions=True)

    def _listen(self, listening: socket.socket) -> None:
        asyncio.get_running_loop().add_reader(listening, self._accept, listening)

    def _accept(self, listening: socket.socket) -> None:
        """Accept waiting connections, at most a batch; the event loop calls again for the rest."""
        loop = asyncio.get_running_loop()
        for _ in range(BATCH):
            try:
                connected, address = accept(listening)
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                log.error("a connection could not be accepted", extra={"fields": {"reason": str(error)}})  # noqa: TRY400
                loop.remove_reader(listening)
                self._retries.append(loop.call_later(RETRY_SECONDS, self._listen, listening))
                return
            if self._connections.has_room(address):
                connection = self._connections.new(address)
                task = connection.handshake = loop.create_task(self._shake_hands(connected, connection))
                self._handshakes.add(task)
                task.add_done_callback(partial(self._handshake_ended, connected, connection))
            else:
                self._metrics.connections.cut(CROWDED)
                connected.close()

    async def _shake_hands(self, connected: socket.socket, connection: HttpConnection) -> None:
        loop = asyncio.get_running_loop()
        timeouts = (
            {}
            if self._tls is None
            else {
                "ssl_handshake_timeout": self._limits.handshake_seconds,
                "ssl_shutdown_timeout": self._limits.tls_close_seconds,
            }
        )
        with suppress(OSError):  # includes SSLError and timeouts: a failed handshake concerns its client only
            await loop.connect_accepted_socket(lambda: connection, connected, ssl=self._tls, **timeouts)

    def _handshake_ended(self, connected: socket.socket, connection: HttpConnection, task: asyncio.Task[None]) -> None:
        self._handshakes.discard(task)
        connection.handshake = None
        if connection.wire is None:
            self._connections.left(connection)
        if task.cancelled():
            connected.close()  # a task cancelled before it began has not taken over its socket


def accept(listening: socket.socket) -> tuple[socket.socket, str]:
    """
    Accept the next connection, and return it with the address of its client.

    Raises:
        BlockingIOError: no connection waits.
        OSError: there is no free file descriptor or memory.
    """
    connected, (address, *_) = listening.accept()
    connected.setblocking(False)  # noqa: FBT003  the standard library's signature
    return connected, address


def open_sockets(host: str, port: int, backlog: int) -> tuple[socket.socket, ...]:
    """
    Open the listening sockets of a host: one per address, or one for both families if *host* is empty.

    Raises:
        OSError: an address cannot be used.
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
        opened.setblocking(False)  # noqa: FBT003  the standard library's signature
    return tuple(sockets)
