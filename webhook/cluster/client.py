"""
Ask the API server over HTTP/1.1: single requests and watch streams.

The client knows credentials and timeouts, and not what an object means. Credentials are sent to the API server's
address only: requests name paths, redirects are not followed, and only a kubeconfig can name a proxy.
"""

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import msgspec
from aiohappyeyeballs import AddrInfoType
from yarl import URL

from webhook.cluster.credentials import Credentials, CredentialsError, CredentialSource, ssl_context
from webhook.cluster.errors import AnswerTooLargeError, ApiError, UnreachableError, api_error, one_line

_log: Final = logging.getLogger(__name__)

# Seconds for one request, from asking for a connection to the last byte. The API server itself gives up after 60.
REQUEST_TIMEOUT_SECONDS: Final = 30.0
# Seconds to a usable connection: a TCP handshake with two retransmissions (1 s + 2 s), then TLS.
CONNECT_TIMEOUT_SECONDS: Final = 10.0
# The largest object as JSON, with room to spare: see the pages of a list.
MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
# The body of an error is a Status of a few hundred bytes; no more than this is read of it.
_MAX_ERROR_BYTES: Final = 64 * 1024
# 12 watches, as many lists at the start, and the requests of the controllers and of reviews that need a live list.
_MAX_CONNECTIONS: Final = 64
# Bytes read at a time; aiohttp's default of 64 KiB doubles the work for a large list.
_READ_BUFFER_BYTES: Final = 256 * 1024

# A peer that is gone is noticed within 30 s: the first keepalive probe after 15 s of silence, then one each 5 s, three
# in all. Bytes that stay unacknowledged for 30 s count as lost, too. Linux alone would wait 15 minutes to two hours.
_TCP_OPTIONS: Final = {
    "TCP_KEEPIDLE": 15,  # seconds
    "TCP_KEEPINTVL": 5,  # seconds
    "TCP_KEEPCNT": 3,
    "TCP_USER_TIMEOUT": 30_000,  # milliseconds
}

_UNAUTHORIZED: Final = 401
_FIRST_FAILURE: Final = 300


@dataclass(frozen=True, kw_only=True, slots=True)
class _Call:
    """One request without its credentials."""

    method: str
    path: str
    query: Mapping[str, str]
    timeout: aiohttp.ClientTimeout
    headers: Mapping[str, str]
    data: bytes | None = field(default=None, repr=False)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class ApiClient:
    """
    A client of one API server.

    Args:
        source: the API server's address and the credentials for it.
        monotonic: a clock in seconds, for the age of the credentials.
        max_answer_bytes: the longest answer to a request.
    """

    def __init__(
        self,
        source: CredentialSource,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
    ) -> None:
        self._source = source
        self._monotonic = monotonic
        self._max_answer_bytes = max_answer_bytes
        self._credentials: Credentials | None = None
        self._loaded_at = float("-inf")
        self._ssl: ssl.SSLContext | None = None
        self._loading = asyncio.Lock()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Return the client; it connects with the first request."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection."""
        await self.close()

    async def close(self) -> None:
        """Close every connection; a later request opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def request(  # noqa: PLR0913 - one argument for each part of a request
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        content_type: str = "application/json",
        timeout_seconds: float = REQUEST_TIMEOUT_SECONDS,
    ) -> Any:
        """
        Send one request and return the decoded JSON answer, or None for an empty one.

        Args:
            body: any JSON value; None sends no body.
            content_type: for PATCH, the kind of patch that *body* is.

        Raises:
            ApiError: the answer is not a success.
            UnreachableError: no complete answer came in time.
            AnswerTooLargeError: the answer is longer than the client reads.
        """
        call = _Call(
            method=method,
            path=path,
            query=query or {},
            timeout=aiohttp.ClientTimeout(total=timeout_seconds, sock_connect=CONNECT_TIMEOUT_SECONDS),
            headers={"Accept": "application/json"} | ({} if body is None else {"Content-Type": content_type}),
            data=None if body is None else msgspec.json.encode(body),
        )
        raw, _ = await self._answer_bytes(call, self._max_answer_bytes)
        try:
            return msgspec.json.decode(raw) if raw else None
        except msgspec.DecodeError as error:
            raise UnreachableError(f"{call}: the answer is not JSON: {error}") from error

    async def get_bytes(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        timeout_seconds: float = REQUEST_TIMEOUT_SECONDS,
        accept: str = "application/json",
        max_bytes: int | None = None,
    ) -> bytes:
        """
        Read *path* and return the answer without decoding it; the errors are those of `request`.

        Args:
            accept: the value of the Accept header.
            max_bytes: the longest answer, if that is less than the client's limit.
        """
        timeout = aiohttp.ClientTimeout(total=timeout_seconds, sock_connect=CONNECT_TIMEOUT_SECONDS)
        call = _Call(method="GET", path=path, query=query or {}, timeout=timeout, headers={"Accept": accept})
        limit = self._max_answer_bytes if max_bytes is None else min(max_bytes, self._max_answer_bytes)
        return (await self._answer_bytes(call, limit))[0]

    async def get_changed(self, path: str, *, accept: str, etag: str) -> tuple[bytes, str] | None:
        """Read *path* and return the answer and its ETag, None if it still is *etag*; the errors are as above."""
        headers = {"Accept": accept} | ({"If-None-Match": etag} if etag else {})
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_SECONDS, sock_connect=CONNECT_TIMEOUT_SECONDS)
        call = _Call(method="GET", path=path, query={}, timeout=timeout, headers=headers)
        try:
            return await self._answer_bytes(call, self._max_answer_bytes)
        except ApiError as error:
            if error.status == HTTPStatus.NOT_MODIFIED:
                return None
            raise

    @asynccontextmanager
    async def stream(self, path: str, query: Mapping[str, str]) -> AsyncIterator[AsyncIterator[bytes]]:
        """
        Send a GET whose answer has no end, and return its chunks as they come.

        There is no read timeout: the caller decides how long a silence may be.

        Raises:
            ApiError: the answer is not a success.
            UnreachableError: the connection cannot be made, or it was cut.
        """
        call = _Call(
            method="GET",
            path=path,
            query=query,
            timeout=aiohttp.ClientTimeout(
                total=None, connect=CONNECT_TIMEOUT_SECONDS, sock_connect=CONNECT_TIMEOUT_SECONDS
            ),
            # Without compression, which may hold back a part of the stream until a block is full.
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
        )
        async with self._answer(call) as response:
            yield response.content.iter_any()

    async def _answer_bytes(self, call: _Call, max_bytes: int) -> tuple[bytes, str]:
        """Return the whole answer, and its ETag if it has one."""
        try:
            # The timeout covers both attempts where credentials are loaded again: the Lease counts on that.
            async with asyncio.timeout(call.timeout.total), self._answer(call) as response:
                body, etag = await _read(response, max_bytes), response.headers.get("ETag", "")
        except TimeoutError as error:
            raise UnreachableError(f"{call}: {_describe(error)}") from error
        if len(body) > max_bytes:
            raise AnswerTooLargeError(f"{call}: the answer has more than {max_bytes} bytes")
        return body, etag

    @asynccontextmanager
    async def _answer(self, call: _Call) -> AsyncIterator[aiohttp.ClientResponse]:
        if not call.path.startswith("/"):
            raise ValueError(f"{call.path!r} is not a path on the API server")
        try:
            response = await self._send(call)
            try:
                if response.status >= _FIRST_FAILURE:
                    body = await _read(response, _MAX_ERROR_BYTES)
                    raise api_error(response.status, response.headers, body)
                yield response
            finally:
                # An answer that was read to its end has already released its connection; any other connection cannot
                # be used again.
                response.close()
        except CredentialsError as error:
            raise UnreachableError(str(error)) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnreachableError(f"{call}: {_describe(error)}") from error

    async def _send(self, call: _Call) -> aiohttp.ClientResponse:
        """Send *call*; after a 401 or an unknown authority load the credentials, and send it again if they are new."""
        credentials = await self._current()
        try:
            response = await self._send_once(call, credentials)
        except aiohttp.ClientConnectorCertificateError:
            newer = await self._newer_than(credentials)
            if newer is None:
                raise
            return await self._send_once(call, newer)
        if response.status != _UNAUTHORIZED:
            return response
        newer = await self._newer_than(credentials)
        if newer is None:
            return response
        response.close()
        return await self._send_once(call, newer)

    async def _send_once(self, call: _Call, credentials: Credentials) -> aiohttp.ClientResponse:
        if self._session is None:
            self._session = _open_session()
        server = self._source.api_server
        headers = dict(call.headers)
        if credentials.authorization:
            headers["Authorization"] = credentials.authorization
        return await self._session.request(
            call.method,
            URL(server.base_url + call.path),
            params=call.query,
            data=call.data,
            headers=headers,
            timeout=call.timeout,
            ssl=self._ssl or True,
            server_hostname=server.server_name,
            proxy=server.proxy_url,
            allow_redirects=False,
        )

    async def _current(self) -> Credentials:
        """Return the credentials, loaded again if they are too old."""
        async with self._loading:
            # Another task may have loaded them while this one waited for the lock.
            known = self._credentials
            is_young = self._monotonic() - self._loaded_at < self._source.max_age_seconds
            return known if known is not None and is_young else await self._load()

    async def _newer_than(self, refused: Credentials) -> Credentials | None:
        """Load the credentials again after a refusal; None if they are still those that were refused."""
        async with self._loading:
            current = await self._load() if self._credentials == refused else self._credentials
            return None if current == refused else current

    async def _load(self) -> Credentials:
        """Load the credentials; if they cannot be read or used, keep those that are in use."""
        try:
            loaded = await asyncio.to_thread(self._source.load)
            if self._credentials is None or loaded.trust != self._credentials.trust:
                self._ssl = await asyncio.to_thread(ssl_context, loaded.trust)
        except CredentialsError as error:
            if self._credentials is None:
                raise
            _log.warning("the credentials cannot be read; the client keeps the old ones: %s", error)
            loaded = self._credentials
        self._credentials = loaded
        self._loaded_at = self._monotonic()
        return loaded


def _open_session() -> aiohttp.ClientSession:
    """Return a session without cookies, without proxies from the environment, and with TCP keepalive."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=_MAX_CONNECTIONS, socket_factory=_make_socket),
        cookie_jar=aiohttp.DummyCookieJar(),
        read_bufsize=_READ_BUFFER_BYTES,
        headers={"User-Agent": "eem-guardrail"},
        trust_env=False,
    )


def _make_socket(address: AddrInfoType) -> socket.socket:
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _TCP_OPTIONS.items():
        # Some systems lack one of them (macOS has no TCP_USER_TIMEOUT).
        if hasattr(socket, name):
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return made


def _describe(error: Exception) -> str:
    """Return the system's text of the error and the peer; aiohttp's own text has memory addresses in it."""
    peer = ""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        peer, error = f"{error.host}:{error.port}: ", error.certificate_error
    elif isinstance(error, aiohttp.ClientConnectorError):
        peer, error = f"{error.host}:{error.port}: ", error.os_error
    return peer + (one_line(str(error)) or type(error).__name__)


async def _read(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """Read an answer; stop soon after *max_bytes*."""
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > max_bytes:
            break
    return b"".join(parts)
