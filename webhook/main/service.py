"""Run what was put together: the ports, and the work behind them that must never end."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from webhook.cluster.client import ApiClient
from webhook.cluster.store import Store
from webhook.server import CertificateSource, Metrics, Servers, StopSignals, stop_signals

FAILED = 1

log = logging.getLogger(__name__)


@dataclass(kw_only=True, slots=True)
class Service:
    """
    The service before it runs.

    Args:
        store: what is known of the cluster.
        certificate: the serving pair.
        servers: the ports.
        metrics: what all parts count.
        background: what keeps the store and the pair up to date; none of it ever ends by itself.
        client: the connection to the API server, where there is one.
    """

    store: Store
    certificate: CertificateSource
    servers: Servers
    metrics: Metrics
    background: list[Callable[[], Coroutine[Any, Any, None]]] = field(default_factory=list)
    client: ApiClient | None = None

    async def run(self) -> int:
        """
        Serve until a signal ends it, and give the exit status; 1 where something that must not end did.

        Raises:
            OSError: an address cannot be had.
        """
        with stop_signals() as told:
            await self.servers.start()
            return await self.run_until(told)

    async def run_until(self, told: StopSignals) -> int:
        """Serve, with the ports open already, until *told*."""
        serving = asyncio.create_task(self.servers.serve_until_told(told))
        tasks = [asyncio.create_task(work()) for work in self.background]
        try:
            await asyncio.wait((serving, *tasks), return_when=asyncio.FIRST_COMPLETED)
            if serving.done():
                return serving.result()
            for ended in (task for task in tasks if task.done()):
                log.critical("a part of the service ended, so the service does", exc_info=ended.exception())
            return FAILED
        finally:
            for task in (serving, *tasks):
                task.cancel()
            await asyncio.gather(serving, *tasks, return_exceptions=True)
            await self.servers.stop()
            if self.client is not None:
                await self.client.close()
