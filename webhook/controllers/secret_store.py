"""
Read and write one Secret, with optimistic concurrency: each write names the resourceVersion that it replaces.

The caller hands in the two exception types that its own code handles.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from webhook.cluster.client import ApiClient
from webhook.cluster.errors import ApiError, ClusterError
from webhook.eem.resources import ResourceType

SECRETS: Final = ResourceType(group="", version="v1", plural="secrets", kind="Secret")
# A Secret has 1 MiB at most. A write must have ended before another replica may lead; see Election.
REQUEST_SECONDS: Final = 4.0


class SecretStore:
    """
    One Secret of the cluster.

    Args:
        conflict: raised if another client has created, changed or deleted the Secret since it was read.
        failure: raised if the request fails in another way.
    """

    def __init__(
        self,
        client: ApiClient,
        *,
        namespace: str,
        name: str,
        conflict: type[Exception],
        failure: type[Exception],
    ) -> None:
        self._client = client
        self._collection = SECRETS.path(namespace)
        self._path = f"{self._collection}/{name}"
        self._conflict = conflict
        self._failure = failure

    async def read(self) -> Mapping[str, Any] | None:
        """Return the Secret as it is now; None if it does not exist."""
        try:
            return await self._ask("GET", self._path)
        except ApiError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise self._failure(str(error)) from error
        except ClusterError as error:
            raise self._failure(str(error)) from error

    async def create(self, secret: Mapping[str, Any]) -> Mapping[str, Any]:
        """Create the Secret and return it as it is stored."""
        return await self._write("POST", self._collection, secret)

    async def replace(self, secret: Mapping[str, Any]) -> Mapping[str, Any]:
        """Replace the Secret if its resourceVersion is still that of *secret*; return it as it is stored."""
        if not (secret.get("metadata") or {}).get("resourceVersion"):
            raise ValueError("a Secret without a resourceVersion would replace a state that was never read")
        return await self._write("PUT", self._path, secret)

    async def _write(self, method: str, path: str, secret: Mapping[str, Any]) -> Mapping[str, Any]:
        try:
            return await self._ask(method, path, secret)
        except ApiError as error:
            gone = method == "PUT" and error.status == HTTPStatus.NOT_FOUND
            if gone or error.status == HTTPStatus.CONFLICT:
                raise self._conflict(str(error)) from error
            raise self._failure(str(error)) from error
        except ClusterError as error:
            raise self._failure(str(error)) from error

    async def _ask(self, method: str, path: str, secret: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
        answer: Mapping[str, Any] = await self._client.request(
            method, path, body=secret, timeout_seconds=REQUEST_SECONDS
        )
        return answer
