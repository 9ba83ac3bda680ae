"""
Build the application that shows the inside of the cluster: the report page at /, and /audit.

It is served on the pod's own loopback address only, so that Kubernetes' rights to forward a port guard it. A browser
that has forwarded the port also runs other people's pages: a page whose name resolves to 127.0.0.1 could read the
answers as its own, so a request must name this host.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Final, Protocol

from aiohttp import web
from aiohttp.typedefs import Handler
from multidict import CIMultiDict, CIMultiDictProxy

from webhook.server.answering import answer_everything
from webhook.server.refusals import SERVER_NAME, plain
from webhook.server.serving import Serving

LOOPBACK: Final = "127.0.0.1"
MISDIRECTED: Final = 421
_OWN_HOST: Final = re.compile(r"(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?", re.IGNORECASE)
_COMMON: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Server": SERVER_NAME}
_JSON: Final[CIMultiDictProxy[str]] = CIMultiDictProxy(CIMultiDict({"Content-Type": "application/json", **_COMMON}))
_EVENTS: Final[CIMultiDictProxy[str]] = CIMultiDictProxy(CIMultiDict({"Content-Type": "text/event-stream", **_COMMON}))
_PAGE: Final[CIMultiDictProxy[str]] = CIMultiDictProxy(
    CIMultiDict(
        {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Security-Policy": "frame-ancestors 'none'",  # the rest is in the page
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "same-origin",
            **_COMMON,
        }
    )
)
LOOK_SECONDS: Final = 0.5
"""The time between two looks at the state, for those who follow its changes."""

LOOKS_IN_SILENCE: Final = 30
"""Looks after which something is sent anyway, so that a connection that is gone is noticed."""


class ShownReport(Protocol):
    """The report page, and the number of its version, which grows when the state changes."""

    @property
    def version(self) -> int:
        """Return the number of the version."""

    async def page(self) -> bytes:
        """Return the page; raises NotReady while there is none."""


def make_local_app(shown: Callable[[], Awaitable[bytes]], page: ShownReport, serving: Serving) -> web.Application:
    """
    Return the application for those who may forward a port of the pod.

    Args:
        shown: returns the audit as JSON.
    """

    async def show_page(_request: web.Request) -> web.Response:
        return web.Response(body=await page.page(), headers=_PAGE)

    async def show_audit(_request: web.Request) -> web.Response:
        return web.Response(body=await shown(), headers=_JSON)

    async def tell_changes(request: web.Request) -> web.StreamResponse:
        """Send an event for each change of the state, until the client leaves or the replica drains."""
        response = web.StreamResponse(headers=_EVENTS)
        with suppress(ConnectionResetError):
            await response.prepare(request)
            async for event in _changes(page, lambda: serving.drain.started or request.transport is None):
                await response.write(event)
        return response

    app = web.Application(middlewares=[answer_everything(serving, {}), _only_own_host])
    app.router.add_get("/", show_page)
    app.router.add_get("/audit", show_audit)
    app.router.add_get("/changes", tell_changes)
    return app


async def _changes(page: ShownReport, has_ended: Callable[[], bool]) -> AsyncIterator[bytes]:
    """Yield what the stream of events consists of: a comment at once and in silence, and an event for each change."""
    told, silent = page.version, 0
    yield b": following\n\n"
    while not has_ended():
        await asyncio.sleep(LOOK_SECONDS)
        silent += 1
        if page.version != told:
            told, silent = page.version, 0
            yield b"event: changed\ndata:\n\n"
        elif silent >= LOOKS_IN_SILENCE:
            silent = 0
            yield b": no change\n\n"


@web.middleware
async def _only_own_host(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse a request for another host."""
    if _OWN_HOST.fullmatch(request.headers.get("Host", "")) is None:
        return plain(MISDIRECTED, "ask for localhost: this port serves only clients that forward it")
    return await handler(request)
