"""Build a running server with a real certificate, and clients that write and read bytes."""

import asyncio
import json
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from certs.authority import KeyPair, issue_serving_pair, make_authority
from webhook.admission import AdmissionRequest, AdmissionResponse
from webhook.guard.outcomes import Judge
from webhook.server import (
    VALIDATE_NETWORK_POLICY,
    CertificateSource,
    Check,
    Limits,
    Metrics,
    ServedPort,
    Servers,
    Serving,
    make_app,
    make_health_app,
)
from webhook.server.decoding import LargeReviews

PATH = VALIDATE_NETWORK_POLICY
HOST = "127.0.0.1"
AUTHORITY = make_authority(now=datetime.now(UTC))


def pair(*, authority: KeyPair = AUTHORITY, name: str = "localhost", days: float = 7) -> KeyPair:
    now = datetime.now(UTC)
    return issue_serving_pair(authority, names=(name, HOST), now=now, lifetime=timedelta(days=days))


PAIR = pair()


async def allow(_request: AdmissionRequest) -> AdmissionResponse:
    return AdmissionResponse(allowed=True)


def review(**request: Any) -> bytes:
    """Return a well-formed AdmissionReview; the arguments replace fields of its request."""
    resource = {"group": "networking.k8s.io", "version": "v1"}
    complete = {
        "uid": "6f1c-42",
        "kind": {**resource, "kind": "NetworkPolicy"},
        "resource": {**resource, "resource": "networkpolicies"},
        "operation": "CREATE",
        "name": "deny",
        "namespace": "eem",
        "userInfo": {"username": "jane"},
        "object": {"metadata": {"name": "deny", "namespace": "eem"}, "spec": {"podSelector": {}}},
        "dryRun": False,
    }
    envelope = {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": complete | request,
    }
    return json.dumps(envelope).encode()


def post(
    body: bytes, *, path: str = PATH, headers: Mapping[str, str | None] | None = None, method: str = "POST"
) -> bytes:
    """Return a request as bytes; a header that is None is left out."""
    complete: dict[str, str | None] = {
        "Host": "localhost",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        **(headers or {}),
    }
    lines = [f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in complete.items() if v is not None)]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)


@dataclass(kw_only=True)
class Connected:
    """One connection of a client."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> Answer:
        """Read one answer."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        status_line, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}
        length = int(headers.get("content-length", "0"))
        body = await self.reader.readexactly(length)
        return Answer(status=int(status_line.split(" ")[1]), headers=headers, body=body)

    async def ask(self, data: bytes) -> Answer:
        """Send a request and read its answer."""
        await self.send(data)
        return await self.answer()

    async def closed(self) -> bool:
        """Wait for the server to close the connection; discard what it still sends."""
        with suppress(ConnectionError):
            while await self.reader.read(65536):
                pass
        return True

    def certificate(self) -> bytes:
        """Return the server's certificate as DER."""
        return self.writer.get_extra_info("ssl_object").getpeercert(binary_form=True)

    async def close(self) -> None:
        """Close the connection."""
        self.writer.close()
        with suppress(OSError):
            await self.writer.wait_closed()


async def until(condition: Callable[[], bool]) -> None:
    """Run the event loop until *condition* holds, for at most thirty seconds."""
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110  what is waited for has no event of its own
            await asyncio.sleep(0.001)


def client_context(authority: KeyPair = AUTHORITY) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority.certificate_pem().decode())
    context.set_alpn_protocols(["http/1.1"])
    return context


@dataclass(kw_only=True)
class Running:
    """A running server and its parts."""

    servers: Servers
    app: web.Application
    serving: Serving
    source: CertificateSource
    clients: list[Connected] = field(default_factory=list)

    async def connect(
        self, *, tls: ssl.SSLContext | None = None, name: str | None = "localhost", address: str = HOST
    ) -> Connected:
        """Connect with TLS, from a loopback address."""
        reader, writer = await asyncio.open_connection(
            HOST,
            self.servers.https_port,
            ssl=tls or client_context(),
            server_hostname=name,
            local_addr=(address, 0),
        )
        return self._keep(reader, writer)

    async def connect_plain(self, port: int | None = None) -> Connected:
        """Connect without TLS, to the probes' port or to *port*."""
        reader, writer = await asyncio.open_connection(HOST, port or self.servers.http_port)
        return self._keep(reader, writer)

    async def ask(self, data: bytes) -> Answer:
        """Ask over a connection of its own."""
        connected = await self.connect()
        return await connected.ask(data)

    async def get(self, path: str) -> Answer:
        """Send a GET request to the probes' port."""
        connected = await self.connect_plain()
        return await connected.ask(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    async def metric(self, name: str) -> float:
        """Return the value of a metric as Prometheus reads it; 0 if it does not exist yet."""
        for line in (await self.get("/metrics")).body.decode().splitlines():
            if line.startswith(f"{name} "):
                return float(line.rpartition(" ")[2])
        return 0.0

    def _keep(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Connected:
        connected = Connected(reader=reader, writer=writer)
        self.clients.append(connected)
        return connected


@asynccontextmanager
async def running(  # noqa: PLR0913  one argument for each part of a server
    judge: Judge = allow,
    *,
    limits: Limits | None = None,
    judges: Mapping[str, Judge] | None = None,
    checks: Mapping[str, Check] | None = None,
    notes: Mapping[str, Check] | None = None,
    source: CertificateSource | None = None,
    large_reviews: LargeReviews | None = None,
) -> AsyncIterator[Running]:
    """Serve on free ports of the loopback until the block ends."""
    serving = Serving(metrics=Metrics(version="test"), limits=limits or Limits())
    if source is None:
        source = CertificateSource(metrics=serving.metrics)
        source.install(PAIR.certificate_pem(), PAIR.key_pem(), AUTHORITY.certificate_pem())
    app = make_app(judges or {PATH: judge}, serving, large_reviews=large_reviews)
    servers = Servers(
        serving,
        https=ServedPort(app=app, host=HOST, port=0, tls=source.context),
        http=ServedPort(app=make_health_app(checks or {}, serving, notes or {}), host=HOST, port=0),
    )
    await servers.start()
    built = Running(servers=servers, app=app, serving=serving, source=source)
    try:
        yield built
    finally:
        for connected in built.clients:
            await connected.close()
        await servers.stop()


class Lines(logging.Handler):
    """Collects log records."""

    def __init__(self, formatter: logging.Formatter | None = None) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.lines: list[str] = []
        self.setFormatter(formatter)

    def emit(self, record: logging.LogRecord) -> None:
        """Collect a record."""
        self.records.append(record)
        self.lines.append(self.format(record))

    def fields(self) -> list[Mapping[str, Any]]:
        """Return the fields of all records."""
        return [record.fields for record in self.records]  # type: ignore[attr-defined]


@contextmanager
def logged(name: str, formatter: logging.Formatter | None = None) -> Iterator[Lines]:
    """Collect the records of a logger inside the block."""
    logger, handler = logging.getLogger(name), Lines(formatter)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        yield handler
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
