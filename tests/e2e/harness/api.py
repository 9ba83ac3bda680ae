"""A thin client of the API server, for the stand-in of the kubelet."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp

REQUEST_SECONDS = 30  # nothing that is asked here takes the API server a second

RETRY_SECONDS = 0.2
SERVER_ERRORS = range(500, 600)

MAX_EVENT_BYTES = 4 * 1024 * 1024  # an object is 1.5 MiB at most in etcd; JSON is longer than its protobuf

PATCH_TYPE = "application/strategic-merge-patch+json"


class ApiError(RuntimeError):
    """Carry the status code with which the API server refused."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text[:1500]}")
        self.status = status


class ApiClient:
    """
    Ask one API server as one user.

    Args:
        user: the user that the administrator impersonates; None to impersonate no user.
    """

    def __init__(self, url: str, ca: Path, token: str, user: str | None = None) -> None:
        impersonated = {"Impersonate-User": user, "Impersonate-Group": "system:masters"} if user else {}
        self._session = aiohttp.ClientSession(
            base_url=url,
            headers={"Authorization": f"Bearer {token}", **impersonated},
            connector=aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=str(ca)), limit=0),
        )

    async def close(self) -> None:
        """Drop the connections."""
        await self._session.close()

    async def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None, patch: str = PATCH_TYPE) -> Any:
        """
        Send one request and read the JSON of the answer.

        Args:
            patch: for PATCH, which kind of patch *body* is.

        Raises:
            ApiError: the API server refused.
        """
        text = await self._text(method, path, body, patch)
        return json.loads(text) if text.startswith("{") else text

    async def read(self, path: str) -> str:
        """
        Read a path and return the answer as it is.

        Raises:
            ApiError: the API server refused.
        """
        return await self._text("GET", path)

    async def _text(self, method: str, path: str, body: Mapping[str, Any] | None = None, patch: str = "") -> str:
        kind = patch if method == "PATCH" else "application/json"
        timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": kind}
        async with self._session.request(method, path, data=data, headers=headers, timeout=timeout) as answer:
            text = await answer.text()
            if answer.status >= 400:
                raise ApiError(answer.status, text)
            return text

    async def watch(self, path: str, resource_version: str) -> AsyncIterator[Mapping[str, Any]]:
        """Yield the events since *resource_version* until the API server ends the watch."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=REQUEST_SECONDS)
        query = {"watch": "1", "resourceVersion": resource_version, "allowWatchBookmarks": "true"}
        async with self._session.get(path, params=query, timeout=timeout) as answer:
            while line := await answer.content.readline(max_line_length=MAX_EVENT_BYTES):
                yield json.loads(line)


class PatientClient(ApiClient):
    """Ask until there is an answer, as who has nothing else to do: an API server may be down for a while."""

    async def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None, patch: str = PATCH_TYPE) -> Any:
        """
        Send one request, and repeat it while no answer comes.

        Raises:
            ApiError: the API server refused.
        """
        while True:
            try:
                return await super().ask(method, path, body, patch)
            except ApiError as error:
                if error.status not in SERVER_ERRORS:
                    raise
            except (aiohttp.ClientError, TimeoutError):
                pass
            await asyncio.sleep(RETRY_SECONDS)
