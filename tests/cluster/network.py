"""A network between client and API server that falls silent while every connection stays open."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Final, Literal

Direction = Literal["up", "down"]
UP: Final[Direction] = "up"
"""From the client to the API server."""
DOWN: Final[Direction] = "down"
TRICKLE_SECONDS: Final = 0.005
"""The pause between two bytes of a trickle."""


class Network:
    """
    A TCP proxy in front of one port.

    Args:
        port: the API server's.
        host: the address of both.
    """

    def __init__(self, port: int, host: str) -> None:
        self._target = host, port
        self._open: dict[str, asyncio.Event] = {UP: asyncio.Event(), DOWN: asyncio.Event()}
        self._tasks: set[asyncio.Task[None]] = set()
        self._rest = -1  # bytes that may still come down; -1 for no limit
        self._trickles = False
        self.address = ""
        self.heal()

    def heal(self) -> None:
        """Let all bytes through, including those that were held back."""
        self._rest, self._trickles = -1, False
        for event in self._open.values():
            event.set()

    def hold(self, *directions: Direction) -> None:
        """Let no byte through any more, without closing a connection."""
        for direction in directions:
            self._open[direction].clear()

    def hold_after(self, size: int) -> None:
        """Let that many bytes come down, and then none."""
        self._rest = size

    def trickle(self) -> None:
        """Let bytes come down one at a time."""
        self._trickles = True

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with suppress(OSError, asyncio.CancelledError):  # only the end of the test cancels
                await self._connect(reader, writer)
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self._target)
        up = asyncio.create_task(self._pump(reader, far_writer, UP))
        down = asyncio.create_task(self._pump(far_reader, writer, DOWN))
        try:
            await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            far_writer.transport.abort()  # before anything is awaited, which may be cancelled again
            up.cancel()
            down.cancel()
            await asyncio.gather(up, down, return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: Direction) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                await self._open[direction].wait()
                if direction == DOWN:
                    data = await self._throttled(data, writer)
                writer.write(data)
                await writer.drain()

    async def _throttled(self, data: bytes, writer: asyncio.StreamWriter) -> bytes:
        """Send the bytes that may come down now, and return the rest once all of it may."""
        if 0 <= self._rest < len(data):
            writer.write(data[: self._rest])
            data, self._rest = data[self._rest :], -1
            self.hold(DOWN)
            await self._open[DOWN].wait()
        while self._trickles and data:
            writer.write(data[:1])
            data = data[1:]
            await asyncio.sleep(TRICKLE_SECONDS)  # the trickle itself
        return data

    async def stop(self) -> None:
        """Break every connection."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


SILENCES: Final[Mapping[str, Callable[[Network], None]]] = {
    "both directions": lambda between: between.hold(UP, DOWN),
    "nothing comes down": lambda between: between.hold(DOWN),
    "in the middle of a line": lambda between: between.hold_after(40),
    "a trickle that never ends its line": Network.trickle,
}
"""The ways to fall silent; in each the connections stay open."""


@asynccontextmanager
async def network(port: int, host: str = "127.0.0.1") -> AsyncIterator[Network]:
    """Put a network in front of a port of the loopback address."""
    between = Network(port, host)
    server = await asyncio.start_server(between._serve, host, 0)  # noqa: SLF001 - its own other half
    between.address = f"{host}:{server.sockets[0].getsockname()[1]}"
    try:
        yield between
    finally:
        server.close()
        await between.stop()
        await server.wait_closed()
