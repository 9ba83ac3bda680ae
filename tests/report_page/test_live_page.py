"""The page that the guard serves: it follows the state of the cluster by itself."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from admission.reviews import allow, default_deny, gateway, gateway_pod
from aiohttp import web
from builders import namespace
from playwright.async_api import Browser, async_playwright, expect

from webhook.admission import Options
from webhook.cluster.store import Store
from webhook.eem import EemSnapshot
from webhook.guard.auditing import Auditor, AuditTiming
from webhook.guard.reporting import LiveReport
from webhook.report_page.page import report_page
from webhook.server import Metrics, Serving
from webhook.server.local import make_local_app

pytestmark = pytest.mark.commands("chromium")

SECONDS = 60_000  # milliseconds that a slow machine may take
SHUT = allow(ports=(1,))


def render(found: Mapping[str, Any], at: str) -> bytes:
    return report_page(found, at=at, live=True).encode()


class Guard:
    """The part of the guard that the page shows."""

    def __init__(self) -> None:
        self.store = Store()
        self.store.reset(EemSnapshot.from_objects((namespace(), gateway(), gateway_pod(), default_deny(), allow())))
        timing = AuditTiming(breathe=lambda: asyncio.sleep(0), spacing_seconds=0.0)
        self.auditor = Auditor(self.store, Options(), timing, observe=lambda _: None)
        self.live = LiveReport(self.auditor, Options(), render, is_complete=lambda: True)

    @asynccontextmanager
    async def served(self) -> AsyncIterator[int]:
        """Serve the page, and yield the port."""
        app = make_local_app(self.auditor.shown, self.live, Serving(metrics=Metrics(version="test")))
        runner = web.AppRunner(app, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        auditing = asyncio.create_task(self.auditor.run())
        try:
            yield runner.addresses[0][1]
        finally:
            auditing.cancel()
            with suppress(asyncio.CancelledError):
                await auditing
            await runner.cleanup()


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        started = await playwright.chromium.launch(executable_path=shutil.which("chromium"))
        yield started
        await started.close()


async def test_the_page_follows_the_cluster(browser: Browser) -> None:
    """A change is shown without a reload, and what the reader has typed and chosen stays."""
    guard, complaints = Guard(), []
    async with guard.served() as port:
        page = await browser.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        await page.goto(f"http://localhost:{port}/#q=gw")
        await expect(page.get_by_text("✓ The required port is open")).to_be_visible(timeout=SECONDS)
        await expect(page.get_by_text("● live")).to_be_visible(timeout=SECONDS)
        guard.store.apply(SHUT["kind"], "MODIFIED", SHUT)

        await expect(page.get_by_text("✕ 1 of 1 required port closed")).to_be_visible(timeout=SECONDS)
        await expect(page.get_by_text("Closed since")).to_be_visible(timeout=SECONDS)
        await expect(page.locator("svg .port.broken")).to_have_text("✕ TCP/8092", timeout=SECONDS)
        await expect(page.get_by_label("Search")).to_have_value("gw")
        await page.close()

    assert complaints == []


async def test_the_page_of_another_host_is_not_served(browser: Browser) -> None:
    """A foreign name that points at the loopback address."""
    guard = Guard()
    async with guard.served() as port:
        page = await browser.new_page()
        answer = await page.goto(f"http://evil.localhost:{port}/")

        assert answer is not None
        assert answer.status == 421
        await page.close()
