"""
Read and write one Secret, never blindly.

What it says of failures is in the words of whoever needs the Secret: the two kinds of error are given to it.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from webhook.cluster.client import ApiClient
from webhook.cluster.errors import ApiError, ClusterError
from webhook.eem.resources import ResourceType

SECRETS: Final = ResourceType(group="", version="v1", plural="secrets", kind="Secret")
# A Secret has 1 MiB at most. Who writes must have stopped before another may lead: see the election.
REQUEST_SECONDS: Final = 4.0


class SecretStore:
    """
    One Secret of the cluster.

    Args:
        conflict: what is raised where the Secret is not what the writer thought: made, changed or deleted meanwhile.
        failure: what is raised where the API server did not do what was asked.
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
        """Give the Secret as it is now; None where there is none."""
        try:
            return await self._ask("GET", self._path)
        except ApiError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise self._failure(str(error)) from error
        except ClusterError as error:
            raise self._failure(str(error)) from error

    async def create(self, secret: Mapping[str, Any]) -> Mapping[str, Any]:
        """Make the Secret, where there is none, and give it as it is stored."""
        return await self._write("POST", self._collection, secret)

    async def replace(self, secret: Mapping[str, Any]) -> Mapping[str, Any]:
        """Replace the Secret, where its resourceVersion is still the one of *secret*, and give it as it is stored."""
        if not (secret.get("metadata") or {}).get("resourceVersion"):
            raise ValueError("a Secret without its resourceVersion would replace what nobody has seen")
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
