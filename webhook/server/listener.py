"""
Accept connections on one port, no more than there is room for, and finish their handshakes in time.

aiohttp's own site bounds neither the number of connections nor the handshake, and asyncio's server does not tell how
many handshakes are under way: so the accepting is done here.
"""

import asyncio
import logging
import socket
import ssl
from collections import deque
from contextlib import suppress
from functools import partial

from webhook.server.connection import CROWDED, Connection, Connections

RETRY_SECONDS = 1.0  # after the system is out of file descriptors or memory; asyncio's own figure
BATCH = 64  # connections accepted before others have their turn; some milliseconds of work

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
        self._retries: deque[asyncio.TimerHandle] = deque(maxlen=8)  # more listening sockets than a port has
        self.port = 0  # the one listened on, once it is known
        self._handshakes: dict[asyncio.Task[None], Connection] = {}  # the oldest first

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
        for listening in self._sockets:
            self._listen(listening)

    async def stop(self) -> None:
        """Stop listening; connections that are made stay. Once more does no harm."""
        loop = asyncio.get_running_loop()
        for retry in self._retries:
            retry.cancel()
        listened, self._sockets = self._sockets, ()  # stopping twice is no error
        for listening in listened:
            loop.remove_reader(listening)
            listening.close()
        self._sockets = ()
        handshakes = tuple(self._handshakes)
        for task in handshakes:
            task.cancel()
        await asyncio.gather(*handshakes, return_exceptions=True)

    def _listen(self, listening: socket.socket) -> None:
        asyncio.get_running_loop().add_reader(listening, self._accept, listening)

    def _accept(self, listening: socket.socket) -> None:
        """Accept what waits, but no more than a batch: others have their turn, then this is called again."""
        loop = asyncio.get_running_loop()
        for _ in range(BATCH):
            try:
                connected = accept(listening)
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                log.error("a connection could not be accepted", extra={"fields": {"reason": str(error)}})  # noqa: TRY400
                loop.remove_reader(listening)
                self._retries.append(loop.call_later(RETRY_SECONDS, self._listen, listening))
                return
            if self._has_room():
                connection = self._connections.new()
                task = loop.create_task(self._shake_hands(connected, connection))
                self._handshakes[task] = connection
                task.add_done_callback(partial(self._handshake_ended, connected))
            else:
                self._metrics.connection_cut(CROWDED)
                connected.close()

    def _has_room(self) -> bool:
        """Make room where there is none: by the oldest handshake where they are many, by an idle connection else."""
        most = self._limits.max_connections
        if len(self._handshakes) + len(self._connections.open) < most:
            return True
        # A handshake that is complete is among the open connections already, though its task may not have ended.
        unfinished = [task for task, connection in self._handshakes.items() if connection.wire is None]
        if len(unfinished) + len(self._connections.open) < most:
            return True
        if len(unfinished) * 2 <= most and self._connections.make_room():
            return True
        if not unfinished:
            return False
        self._metrics.connection_cut(CROWDED)
        del self._handshakes[unfinished[0]]
        unfinished[0].cancel()
        return True

    async def _shake_hands(self, connected: socket.socket, connection: Connection) -> None:
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
            await loop.connect_accepted_socket(lambda: connection, connected, ssl=self._tls, **timeouts)

    def _handshake_ended(self, connected: socket.socket, task: asyncio.Task[None]) -> None:
        self._handshakes.pop(task, None)
        if task.cancelled():
            connected.close()  # a task that was cancelled before it began has told nobody about its socket


def accept(listening: socket.socket) -> socket.socket:
    """
    Take the next connection.

    Raises:
        BlockingIOError: none waits.
        OSError: there is no file descriptor or memory for it.
    """
    connected, _ = listening.accept()
    connected.setblocking(False)  # noqa: FBT003  the standard library's own signature
    return connected


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
