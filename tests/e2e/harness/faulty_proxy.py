"""Stand between a replica and the API server: watches that lag, live lists that are slow, fail, or are turned away."""

import asyncio
import re
import ssl
from pathlib import Path

import aiohttp
from aiohttp import web

from harness.judges import PROXY

PORT = 8001
LIVE_LIST = re.compile(r"/apis/networking\.k8s\.io/v1/namespaces/[^/]+/networkpolicies")
BUSY = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "TooManyRequests", "code": 429}


class FaultyProxy:
    """
    A proxy for one client, who reaches it without TLS and need not prove who he is.

    Whatever it does to lists, it does only to those of one namespace: no reflector asks for these.
    """

    def __init__(self, url: str, ca: Path, token: str) -> None:
        self._session = aiohttp.ClientSession(
            base_url=url,
            headers={"Authorization": f"Bearer {token}"},
            connector=aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=str(ca)), limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
        )
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._forward)
        self._runner = web.AppRunner(app, handler_cancellation=True)
        self._lag_seconds = 0.0
        self._fault = "none"
        self._changed = asyncio.Event()
        self.lists = 0

    def kubeconfig(self) -> str:
        """Write the settings of the client."""
        return f"""\
apiVersion: v1
kind: Config
clusters: [{{name: e2e, cluster: {{server: "http://{PROXY}:{PORT}"}}}}]
users: [{{name: e2e, user: {{}}}}]
contexts: [{{name: e2e, context: {{cluster: e2e, user: e2e}}}}]
current-context: e2e
"""

    async def start(self) -> None:
        """Listen."""
        await self._runner.setup()
        await web.TCPSite(self._runner, PROXY, PORT, shutdown_timeout=0).start()

    async def stop(self) -> None:
        """Listen no more, and drop what is under way."""
        await self.fail()
        await self._session.close()
        await self._runner.cleanup()

    async def fail(self, lists: str = "none", lag_seconds: float = 0.0) -> None:
        """
        Do so from now on.

        Args:
            lists: what becomes of live lists: `none` for nothing, or `slow`, `cut`, `busy`.
            lag_seconds: how long events of a watch are held back.
        """
        self._fault, self._lag_seconds = lists, lag_seconds
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        watching = "watch" in request.query
        if LIVE_LIST.fullmatch(request.path) and not watching:
            self.lists += 1
            if self._fault == "slow":
                await self._changed.wait()
            if self._fault == "cut" and request.transport is not None:
                request.transport.abort()
            if self._fault == "busy":
                return web.json_response(BUSY, status=429, headers={"Retry-After": "1"})
        headers = {name: request.headers[name] for name in ("Accept", "Content-Type") if name in request.headers}
        headers["Accept-Encoding"] = "identity"  # what is passed on is not said to be compressed
        async with self._session.request(
            request.method, request.path_qs, data=await request.read(), headers=headers
        ) as answer:
            response = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.content_type})
            await response.prepare(request)
            async for chunk in answer.content.iter_any():
                if watching and self._lag_seconds:
                    await asyncio.sleep(self._lag_seconds)
                await response.write(chunk)
            return response
