"""
Find out what a cluster is: its platform, and which version of EEM's definitions it has installed.

Both are discovery, which every account may read. Neither holds anything up: the rules that depend on them are quiet
until it is known.

Source: OpenShift serves config.openshift.io; the API server serves OpenAPI v3 for each group and version.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from webhook.cluster.client import ApiClient
from webhook.cluster.errors import ApiError, ClusterError
from webhook.eem.resources import EEM_GROUP, EEM_VERSION
from webhook.eem.rules import Platform, ProductVersion, installed_version

_log: Final = logging.getLogger(__name__)

OPENSHIFT_GROUP: Final = "/apis/config.openshift.io"
DEFINITIONS: Final = f"/openapi/v3/apis/{EEM_GROUP}/{EEM_VERSION}"
# Definitions change when the product is upgraded: five minutes later is soon enough for a rule that follows them.
LOOK_SECONDS: Final = 300.0
# After a look that failed: the service has just started, or the API server is away.
RETRY_SECONDS: Final = 10.0


@dataclass(kw_only=True, slots=True)
class Surroundings:
    """What was found out so far; None for what is not known."""

    platform: Platform | None = None
    version: ProductVersion | None = None


class Survey:
    """Looks again and again, until cancelled."""

    def __init__(
        self,
        client: ApiClient,
        found: Surroundings,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._found = found
        self._asked_platform = found.platform is None
        self._sleep = sleep

    async def run(self) -> None:
        """Look, wait, and look again."""
        while True:
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001  a hint for some rules must never end the service
                known = isinstance(error, ClusterError)
                _log.info("what the cluster is could not be found out: %s", error, exc_info=not known)
                await self._sleep(RETRY_SECONDS)
            else:
                await self._sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """
        Look once.

        Raises:
            ClusterError: the API server could not be asked.
        """
        if self._asked_platform:
            self._found.platform = "kubernetes" if await self._get(OPENSHIFT_GROUP) is None else "openshift"
        definitions = await self._get(DEFINITIONS)
        self._found.version = None if definitions is None else installed_version(definitions)

    async def _get(self, path: str) -> dict[str, object] | None:
        try:
            answer = await self._client.request("GET", path)
        except ApiError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise
        return answer if isinstance(answer, dict) else None
