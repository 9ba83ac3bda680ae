"""
Find out the platform of a cluster, and the version of EEM whose CustomResourceDefinitions are installed.

Both come from discovery documents, which every account may read. Nothing waits for them: the rules that depend on them
do not apply until they are known.

Source: OpenShift serves config.openshift.io; the API server serves an OpenAPI v3 document for each group and version.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final

from webhook.cluster.client import ApiClient
from webhook.cluster.errors import ApiError, ClusterError
from webhook.eem.resources import EEM_GROUP, EEM_VERSION
from webhook.eem.rules import Platform, ProductVersion, installed_version

_log: Final = logging.getLogger(__name__)

OPENSHIFT_GROUP: Final = "/apis/config.openshift.io"
DEFINITIONS: Final = f"/openapi/v3/apis/{EEM_GROUP}/{EEM_VERSION}"
# CustomResourceDefinitions change when EEM is upgraded. A rule that depends on them may follow five minutes later.
INTERVAL_SECONDS: Final = 300.0
# After a failure, and while no version is known: the service has just started, EEM is not installed yet, or the API
# server does not answer.
RETRY_SECONDS: Final = 10.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterFacts:
    """What is known about a cluster; None for what is not."""

    platform: Platform | None = None
    version: ProductVersion | None = None


class Discovery:
    """
    Reads the discovery documents at an interval.

    Args:
        platform: the platform that the user has set; then it is not looked up.
    """

    def __init__(
        self,
        client: ApiClient,
        *,
        platform: Platform | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._set_platform = platform
        self._facts = ClusterFacts(platform=platform)
        self._sleep = sleep

    @property
    def facts(self) -> ClusterFacts:
        """Return what is known now."""
        return self._facts

    async def run(self) -> None:
        """Read the documents again and again, until cancelled."""
        while True:
            try:
                await self.look()
            except Exception as error:  # noqa: BLE001  a hint for some rules must not end the service
                is_known = isinstance(error, ClusterError)
                _log.info("platform and version of EEM could not be read: %s", error, exc_info=not is_known)
                await self._sleep(RETRY_SECONDS)
            else:
                await self._sleep(INTERVAL_SECONDS if self._facts.version is not None else RETRY_SECONDS)

    async def look(self) -> None:
        """
        Read the documents once.

        Raises:
            ClusterError: the API server did not answer.
        """
        if self._set_platform is None:
            platform: Platform = "kubernetes" if await self._get(OPENSHIFT_GROUP) is None else "openshift"
            self._facts = replace(self._facts, platform=platform)
        definitions = await self._get(DEFINITIONS)
        version = None if definitions is None else installed_version(definitions)
        self._facts = replace(self._facts, version=version)

    async def _get(self, path: str) -> dict[str, object] | None:
        try:
            answer = await self._client.request("GET", path)
        except ApiError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise
        return answer if isinstance(answer, dict) else None
