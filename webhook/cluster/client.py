"""
Talk to the API server over HTTP/1.1: requests and watch streams.

It knows credentials and timeouts; it does not know what an object means. The credentials go to the API server's
address and nowhere else: paths only, no redirects, no proxy but the kubeconfig's own.
"""

import asyncio
import logging
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import msgspec
from yarl import URL

from webhook.cluster.connections import open_session
from webhook.cluster.credentials import Credentials, CredentialsError, CredentialSource, ssl_context
from webhook.cluster.errors import AnswerTooLargeError, UnreachableError, api_error, one_line

_log: Final = logging.getLogger(__name__)

# Seconds for one ordinary request, from asking for a connection to the last byte. The API server itself gives up
# after 60.
REQUEST_TIMEOUT_SECONDS: Final = 30.0
# Seconds to a usable connection: a TCP handshake that needs two retransmissions (1 s + 2 s), then TLS.
CONNECT_TIMEOUT_SECONDS: Final = 10.0
# 500 objects of 128 KiB. Who asks for lists asks for smaller pages when one is larger.
MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
# An error's body is a Status of a few hundred bytes; the rest of a longer one is not read.
_MAX_ERROR_BYTES: Final = 64 * 1024

_UNAUTHORIZED: Final = 401
_FIRST_FAILURE: Final = 300


@dataclass(frozen=True, kw_only=True, slots=True)
class _Call:
    """One request before it has credentials."""

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
        source: where the API server is, and what proves who we are.
        monotonic: seconds; decides when credentials are loaded again.
        max_answer_bytes: the longest answer to a request.
    """

    def __init__(
        self,
        source: CredentialSource,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        user_agent: str = "eem-guardrail",
    ) -> None:
        self._source = source
        self._monotonic = monotonic
        self._max_answer_bytes = max_answer_bytes
        self._user_agent = user_agent
        self._credentials: Credentials | None = None
        self._loaded_at = float("-inf")
        self._ssl: ssl.SSLContext | None = None
        self._loading = asyncio.Lock()
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Give the client itself; connections are made when they are needed."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection."""
        await self.close()

    async def close(self) -> None:
        """Close every connection; a later request would open new ones."""
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
        Ask once and give the decoded JSON answer, or None for an empty one.

        Args:
            body: anything that JSON can hold; None sends no body.
            content_type: for PATCH, which kind of patch *body* is.

        Raises:
            ApiError: the answer is not a success.
            UnreachableError: no whole answer came in time.
            AnswerTooLargeError: the answer is longer than the client takes.
        """
        call = _Call(
            method=method,
            path=path,
            query=query or {},
            timeout=aiohttp.ClientTimeout(total=timeout_seconds, sock_connect=CONNECT_TIMEOUT_SECONDS),
            headers={"Accept": "application/json"} | ({} if body is None else {"Content-Type": content_type}),
            data=None if body is None else msgspec.json.encode(body),
        )
        raw = await self._whole(call)
        try:
            return msgspec.json.decode(raw) if raw else None
        except msgspec.DecodeError as error:
            raise UnreachableError(f"{call}: the answer is not JSON: {error}") from error

    async def get_bytes(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        timeout_seconds: float = REQUEST_TIMEOUT_SECONDS,
    ) -> bytes:
        """Read *path* and give the answer undecoded; it fails as `request` does."""
        timeout = aiohttp.ClientTimeout(total=timeout_seconds, sock_connect=CONNECT_TIMEOUT_SECONDS)
        headers = {"Accept": "application/json"}
        return await self._whole(_Call(method="GET", path=path, query=query or {}, timeout=timeout, headers=headers))

    @asynccontextmanager
    async def stream(self, path: str, query: Mapping[str, str]) -> AsyncIterator[AsyncIterator[bytes]]:
        """
        Open a GET that has no end, and give its chunks as they come.

        Silence is not an error here: whoever reads decides how long is too long.

        Raises:
            ApiError: the answer is not a success.
            UnreachableError: no connection, or it was cut.
        """
        call = _Call(
            method="GET",
            path=path,
            query=query,
            timeout=aiohttp.ClientTimeout(
                total=None, connect=CONNECT_TIMEOUT_SECONDS, sock_connect=CONNECT_TIMEOUT_SECONDS
            ),
            # Not compressed: a compressed stream may be held back until a block is full.
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
        )
        async with self._answer(call) as response:
            yield response.content.iter_any()

    async def _whole(self, call: _Call) -> bytes:
        try:
            # Over all of it: who writes counts on that, also where credentials are loaded again and it is asked twice.
            async with asyncio.timeout(call.timeout.total), self._answer(call) as response:
                body = await _read(response, self._max_answer_bytes)
        except TimeoutError as error:
            raise UnreachableError(f"{call}: {_said(error)}") from error
        if len(body) > self._max_answer_bytes:
            raise AnswerTooLargeError(f"{call}: the answer has more than {self._max_answer_bytes} bytes")
        return body

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
                # An answer that was read to its end has given its connection back already; any other cannot be used
                # again.
                response.close()
        except CredentialsError as error:
            raise UnreachableError(str(error)) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise UnreachableError(f"{call}: {_said(error)}") from error

    async def _send(self, call: _Call) -> aiohttp.ClientResponse:
        """Send; and again where that met 401 or an authority not known, and there are other credentials by now."""
        credentials = await self._current()
        try:
            response = await self._once(call, credentials)
        except aiohttp.ClientConnectorCertificateError:
            newer = await self._newer_than(credentials)
            if newer is None:
                raise
            return await self._once(call, newer)
        if response.status != _UNAUTHORIZED:
            return response
        newer = await self._newer_than(credentials)
        if newer is None:
            return response
        response.close()
        return await self._once(call, newer)

    async def _once(self, call: _Call, credentials: Credentials) -> aiohttp.ClientResponse:
        if self._session is None:
            self._session = open_session(self._user_agent)
        endpoint = self._source.endpoint
        headers = dict(call.headers)
        if credentials.authorization:
            headers["Authorization"] = credentials.authorization
        return await self._session.request(
            call.method,
            URL(endpoint.base_url + call.path),
            params=call.query,
            data=call.data,
            headers=headers,
            timeout=call.timeout,
            ssl=self._ssl or True,
            server_hostname=endpoint.server_name,
            proxy=endpoint.proxy_url,
            allow_redirects=False,
        )

    async def _current(self) -> Credentials:
        """Give the credentials, loaded again when they have reached their age."""
        async with self._loading:
            # Who had to wait finds what the one before has loaded.
            known = self._credentials
            is_young = self._monotonic() - self._loaded_at < self._source.max_age_seconds
            return known if known is not None and is_young else await self._load()

    async def _newer_than(self, refused: Credentials) -> Credentials | None:
        """Load again after a refusal; None when what there is now is what was refused."""
        async with self._loading:
            current = await self._load() if self._credentials == refused else self._credentials
            return None if current == refused else current

    async def _load(self) -> Credentials:
        """Take what the source has; what cannot be read or used leaves the credentials that there are."""
        try:
            loaded = await asyncio.to_thread(self._source.load)
            if self._credentials is None or loaded.trust != self._credentials.trust:
                self._ssl = await asyncio.to_thread(ssl_context, loaded.trust)
        except CredentialsError as error:
            if self._credentials is None:
                raise
            _log.warning("the credentials stay as they are: %s", error)
            loaded = self._credentials
        self._credentials = loaded
        self._loaded_at = self._monotonic()
        return loaded


def _said(error: Exception) -> str:
    """Give what went wrong, and with whom, in the words of the system; aiohttp's own hold addresses of objects."""
    whom = ""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        whom, error = f"{error.host}:{error.port}: ", error.certificate_error
    elif isinstance(error, aiohttp.ClientConnectorError):
        whom, error = f"{error.host}:{error.port}: ", error.os_error
    return whom + (one_line(str(error)) or type(error).__name__)


async def _read(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """Read an answer, and stop soon after *max_bytes*."""
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        parts.append(part)
        size += len(part)
        if size > max_bytes:
            break
    return b"".join(parts)
