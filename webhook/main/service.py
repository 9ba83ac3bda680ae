"""Run what was constructed: the ports, and the background work, which must never end."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from webhook.cluster.client import ApiClient
from webhook.cluster.store import Store
from webhook.server import CertificateSource, Servers, StopSignals, stop_signals

_log: Final = logging.getLogger(__name__)

_FAILED: Final = 1

Work = Callable[[], Coroutine[Any, Any, None]]
"""Work in the background; it runs until it is cancelled."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Service:
    """
    The service, ready to run.

    Args:
        store: the state of the cluster.
        certificate: the serving certificate.
        servers: the ports.
        background: what keeps the store, the certificate and the registration up to date.
        client: the client of the API server, if there is one; it is closed at the end.
    """

    store: Store
    certificate: CertificateSource
    servers: Servers
    background: tuple[Work, ...]
    client: ApiClient | None = None

    async def run(self) -> int:
        """
        Serve until a signal comes, and return the exit status: 1 if background work has ended.

        Raises:
            OSError: a port cannot be opened.
        """
        with stop_signals() as told:
            await self.servers.start()
            return await self.run_until(told)

    async def run_until(self, told: StopSignals) -> int:
        """Serve until a signal comes; the ports are open already."""
        serving = asyncio.create_task(self.servers.serve_until_told(told))
        tasks = [asyncio.create_task(work()) for work in self.background]
        try:
            await asyncio.wait((serving, *tasks), return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                return serving.result()
            for ended in (task for task in tasks if task.done()):
                _log.critical("background work ended, so the service ends", exc_info=ended.exception())
            return _FAILED
        finally:
            for task in (serving, *tasks):
                task.cancel()
            await asyncio.gather(serving, *tasks, return_exceptions=True)
            await self.servers.stop()
            if self.client is not None:
                await self.client.close()
