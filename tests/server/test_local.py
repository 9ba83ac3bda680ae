"""The port on the pod's loopback: it shows the report and the audit, to those who ask for this host."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from server_builders import HOST, PAIR, Answer, Connected

from webhook.guard.outcomes import NotReady
from webhook.server import CertificateSource, Metrics, ServedPort, Servers, Serving, make_app, make_health_app
from webhook.server import local as local_module
from webhook.server.local import MISDIRECTED, make_local_app
from webhook.server.serving import Drain


async def shown() -> bytes:
    return b'{"requirements":[]}'


class Pages:
    """A page that changes; without content there is none."""

    def __init__(self, content: bytes = b"<!doctype html>") -> None:
        self.version = 0
        self._content = content

    async def page(self) -> bytes:
        if not self._content:
            raise NotReady("the cluster is not known yet")
        return self._content


@asynccontextmanager
async def local(pages: Pages | None = None, drain: Drain | None = None) -> AsyncIterator[int]:
    """Serve the three ports, and yield the local one."""
    serving = Serving(metrics=Metrics(version="test"), drain=drain or Drain())
    source = CertificateSource(metrics=serving.metrics)
    source.install(PAIR.certificate_pem(), PAIR.key_pem())
    servers = Servers(
        serving,
        https=ServedPort(app=make_app({}, serving), host=HOST, port=0, tls=source.context),
        http=ServedPort(app=make_health_app({}, serving), host=HOST, port=0),
        local=ServedPort(app=make_local_app(shown, pages or Pages(), serving), host=HOST, port=0),
    )
    await servers.start()
    try:
        assert servers.local_port is not None
        yield servers.local_port
    finally:
        await servers.stop()


async def ask(path: str, *, host: str | None = "localhost", method: str = "GET", pages: Pages | None = None) -> Answer:
    async with local(pages) as port:
        reader, writer = await asyncio.open_connection(HOST, port)
        connected = Connected(reader=reader, writer=writer)
        named = "" if host is None else f"Host: {host}\r\n"
        answer = await connected.ask(f"{method} {path} HTTP/1.1\r\n{named}\r\n".encode())
        await connected.close()
        return answer


@pytest.mark.parametrize("host", ["localhost", "localhost:8088", "127.0.0.1:40000", "[::1]:8088", "LOCALHOST"])
async def test_the_audit_is_shown_to_who_has_forwarded_the_port(host: str) -> None:
    """The name is a loopback name, and the port is any."""
    answer = await ask("/audit", host=host)

    assert (answer.status, answer.json()) == (200, {"requirements": []})
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:8088", "", "10.0.0.1"]
)
async def test_a_request_for_another_host_gets_nothing(host: str) -> None:
    """A web page whose name resolves to the loopback address sends its own name."""
    for path in ("/audit", "/", "/changes"):
        answer = await ask(path, host=host)

        assert (answer.status, b"requirements" in answer.body or b"html" in answer.body) == (MISDIRECTED, False)


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [("/index.html", "GET", 404), ("/audit", "POST", 405), ("/audit/", "GET", 404), ("/", "POST", 405)],
)
async def test_there_is_nothing_else(path: str, method: str, status: int) -> None:
    """Other paths and methods are refused, and never redirected."""
    assert (await ask(path, method=method)).status == status


async def test_the_page_may_be_in_no_frame_and_in_no_cache() -> None:
    """A foreign page cannot show it as its own."""
    answer = await ask("/")

    assert (answer.status, answer.body) == (200, b"<!doctype html>")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"] == "frame-ancestors 'none'"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert answer.headers["cache-control"] == "no-store"


async def test_before_the_first_audit_there_is_no_page() -> None:
    """An empty report would look like good news."""
    answer = await ask("/", pages=Pages(b""))

    assert (answer.status, answer.body) == (503, b"the cluster is not known yet\n")


async def follow(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(b"GET /changes HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await reader.readuntil(b": following\n\n")
    return reader, writer


async def test_changes_are_told_to_those_who_follow_until_the_replica_drains(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event for a change, a comment in silence, and an end that holds nothing up."""
    monkeypatch.setattr(local_module, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(local_module, "LOOKS_IN_SILENCE", 3)
    pages, drain = Pages(), Drain()
    async with asyncio.timeout(30), local(pages, drain) as port:
        reader, writer = await follow(port)
        await reader.readuntil(b": no change\n\n")
        pages.version += 1
        await reader.readuntil(b"event: changed\ndata:\n\n")
        drain.start()
        rest = await reader.read()
        writer.close()

    assert rest.endswith(b"0\r\n\r\n")


async def test_a_client_that_leaves_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its stream ends, and the port still answers."""
    monkeypatch.setattr(local_module, "LOOK_SECONDS", 0.01)
    async with asyncio.timeout(30), local() as port:
        _, writer = await follow(port)
        writer.transport.abort()
        _, writer = await follow(port)
        writer.close()
