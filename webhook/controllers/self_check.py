"""
Check that reviews reach this service: directly on its own HTTPS port, and through the API server by a heartbeat.

Nothing is registered for the first time before the HTTPS port answers. The heartbeat is a NetworkPolicy that the
service always refuses. Its refusal involves the whole chain: the configuration as the API server knows it, the
Service, its endpoints, the certificate, and a verdict. Nothing is created: the request is a dry run of one fixed name,
in a namespace without pods.
"""

import asyncio
import logging
import ssl
from http import HTTPStatus
from typing import Any, Final

from webhook.admission.exemptions import CANARY_NAMESPACE, HEARTBEAT_NAME, HEARTBEAT_REFUSAL
from webhook.cluster.client import ApiClient
from webhook.cluster.errors import ApiError, ClusterError
from webhook.cluster.timing import Clock
from webhook.controllers.entries import (
    NAME,
    NAMESPACE,
    POLICIES,
)
from webhook.eem.resources import NETWORK_POLICIES

_log: Final = logging.getLogger(__name__)

SERVER_NAME: Final = f"{NAME}.{NAMESPACE}.svc"
"""The host name that the API server uses for the Service."""
# The API server's way is longer, so a service that needs longer for this check would be too slow for it.
PORT_TIMEOUT_SECONDS: Final = 2.0
# The path does not matter: any HTTP answer is enough.
_PORT_REQUEST: Final = f"GET / HTTP/1.1\r\nHost: {SERVER_NAME}\r\nConnection: close\r\n\r\n".encode()

INTERVAL_SECONDS: Final = 60.0
# The API server uses a new registration within a second or two. Until a heartbeat was refused, the next one is sent
# sooner: first after half a second, then after twice the time each.
FIRST_SECONDS: Final = 0.5
LONGEST_SECONDS: Final = 10.0
# The webhook's timeout of 5 s, and 3 s more; a later answer counts as none.
_HEARTBEAT_TIMEOUT_SECONDS: Final = 8.0
_NEVER: Final = float("-inf")
_QUERY: Final = {"dryRun": "All", "fieldManager": NAME}
_POLICY: Final[dict[str, Any]] = {
    "apiVersion": NETWORK_POLICIES.api_version,
    "kind": NETWORK_POLICIES.kind,
    "metadata": {"name": HEARTBEAT_NAME, "namespace": CANARY_NAMESPACE},
    "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
}


class OwnPort:
    """
    The HTTPS port of this replica.

    Args:
        host: the address that it listens on; `0.0.0.0` and `::` mean the loopback address.
    """

    def __init__(self, host: str, port: int, *, timeout_seconds: float = PORT_TIMEOUT_SECONDS) -> None:
        self._host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - nothing is bound here
        self._port = port
        self._timeout_seconds = timeout_seconds

    async def problem(self, ca_bundle: bytes) -> str | None:
        """Return why a client that trusts *ca_bundle* gets no answer; None if it gets one."""
        try:
            context = ssl.create_default_context(cadata=ca_bundle.decode("ascii"))
            async with asyncio.timeout(self._timeout_seconds):
                line = await self._ask(context)
        except (OSError, ValueError, TimeoutError) as error:
            return f"this replica's HTTPS port does not answer: {str(error) or type(error).__name__}"
        return None if line.startswith(b"HTTP/1.1 ") else "this replica's HTTPS port does not answer in HTTP"

    async def _ask(self, context: ssl.SSLContext) -> bytes:
        reader, writer = await asyncio.open_connection(self._host, self._port, ssl=context, server_hostname=SERVER_NAME)
        try:
            writer.write(_PORT_REQUEST)
            await writer.drain()
            return await reader.readline()
        finally:
            writer.close()


class Heartbeat:
    """
    The heartbeat and its last result.

    Args:
        client: sends it with the service's own account, which may create NetworkPolicies in the canary namespace only.
    """

    def __init__(self, client: ApiClient, *, clock: Clock | None = None) -> None:
        self._client = client
        self._clock = clock or Clock()
        self._wait_seconds = 0.0
        self._sent_at = _NEVER
        self.problem: str | None = None
        self.proven = False
        self.last_success_timestamp_seconds = 0.0
        self.failures = 0

    @property
    def due(self) -> bool:
        """Whether it is time for the next heartbeat."""
        seconds = INTERVAL_SECONDS if self.proven else self._wait_seconds
        return self._clock.monotonic() - self._sent_at >= seconds

    def forget(self) -> None:
        """Forget the last result: another replica sends the heartbeats now, or the configuration is gone."""
        self.proven, self.problem = False, None
        self._wait_seconds, self._sent_at = 0.0, _NEVER

    async def send(self) -> None:
        """Send one heartbeat and keep its result."""
        self._sent_at = self._clock.monotonic()
        problem = await self._ask()
        if problem is None:
            if not self.proven:
                _log.info("reviews reach the service: it refused the heartbeat")
            self.proven, self.problem, self._wait_seconds = True, None, 0.0
            self.last_success_timestamp_seconds = self._clock.wall()
            return
        self.failures += 1
        if problem != self.problem:
            _log.warning("the heartbeat failed: %s", problem)
        self._wait_seconds = min(max(self._wait_seconds * 2, FIRST_SECONDS), LONGEST_SECONDS)
        self.proven, self.problem = False, problem

    async def _ask(self) -> str | None:
        """Return what failed; None if the answer is the service's own refusal."""
        try:
            await self._client.request(
                "POST",
                NETWORK_POLICIES.path(CANARY_NAMESPACE),
                query=_QUERY,
                body=_POLICY,
                timeout_seconds=_HEARTBEAT_TIMEOUT_SECONDS,
            )
        except ApiError as error:
            refused = error.status == HTTPStatus.FORBIDDEN and POLICIES in error.message
            return None if refused and HEARTBEAT_REFUSAL in error.message else str(error)
        except ClusterError as error:
            return str(error)
        return "the API server admitted it, so no review reached the service"
