"""
Ask the service's own HTTPS port, as the API server will, whether it can be trusted and answers.

Nothing is registered for the first time before that. The way through the Service is proven later, by the heartbeat.
"""

import asyncio
import ssl
from typing import Final

from webhook.controllers.entries import NAME, NAMESPACE

SERVER_NAME: Final = f"{NAME}.{NAMESPACE}.svc"
"""What the API server calls a Service's endpoint."""
# On the way to itself, a service that needs longer would need longer for others.
TIMEOUT_SECONDS: Final = 2.0
# Any path will do: that HTTP is spoken is the answer.
_REQUEST: Final = f"GET / HTTP/1.1\r\nHost: {SERVER_NAME}\r\nConnection: close\r\n\r\n".encode()


class OwnEndpoint:
    """
    The service's own HTTPS port.

    Args:
        host: the address that it listens on; `0.0.0.0` and `::` stand for the loopback.
    """

    def __init__(self, host: str, port: int, *, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - nothing is bound here
        self._port = port
        self._timeout_seconds = timeout_seconds

    async def problem(self, ca_bundle: bytes) -> str | None:
        """Say why nobody who trusts *ca_bundle* gets an answer; None where an answer came."""
        try:
            context = ssl.create_default_context(cadata=ca_bundle.decode("ascii"))
            async with asyncio.timeout(self._timeout_seconds):
                line = await self._ask(context)
        except (OSError, ValueError, TimeoutError) as error:
            return f"the own endpoint does not answer: {str(error) or type(error).__name__}"
        return None if line.startswith(b"HTTP/1.1 ") else "the own endpoint does not speak HTTP"

    async def _ask(self, context: ssl.SSLContext) -> bytes:
        reader, writer = await asyncio.open_connection(self._host, self._port, ssl=context, server_hostname=SERVER_NAME)
        try:
            writer.write(_REQUEST)
            await writer.drain()
            return await reader.readline()
        finally:
            writer.close()
