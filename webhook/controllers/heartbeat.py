"""
Prove again and again that reviews reach the service: ask the API server for what must be refused.

The whole chain takes part: the configuration as the API server has it in mind, the Service, its endpoints, the
certificate, a verdict. Nothing is made: it is a dry run, of one fixed name, in a namespace where nothing runs.
"""

import logging
from http import HTTPStatus
from typing import Any, Final

from webhook.admission.exemptions import CANARY_NAMESPACE, HEARTBEAT_NAME, HEARTBEAT_REFUSAL
from webhook.cluster.client import ApiClient
from webhook.cluster.errors import ApiError, ClusterError
from webhook.cluster.timing import Clock
from webhook.controllers.entries import NAME, POLICIES
from webhook.eem.resources import NETWORK_POLICIES

_log: Final = logging.getLogger(__name__)

INTERVAL_SECONDS: Final = 60.0
# The API server honours a new registration within a second or two. While there is no proof, it is asked sooner, first
# after half a second and then twice as late each time.
FIRST_SECONDS: Final = 0.5
LONGEST_SECONDS: Final = 10.0
# The webhook's timeout and some air: an answer that takes longer is none.
_REQUEST_SECONDS: Final = 8.0
_NEVER: Final = float("-inf")
_QUERY: Final = {"dryRun": "All", "fieldManager": NAME}
_POLICY: Final[dict[str, Any]] = {
    "apiVersion": NETWORK_POLICIES.api_version,
    "kind": NETWORK_POLICIES.kind,
    "metadata": {"name": HEARTBEAT_NAME, "namespace": CANARY_NAMESPACE},
    "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
}


class Heartbeat:
    """
    The question, and what became of it.

    Args:
        client: asks as the service's own account, which may make NetworkPolicies in the canary's namespace alone.
    """

    def __init__(self, client: ApiClient, *, clock: Clock | None = None) -> None:
        self._client = client
        self._clock = clock or Clock()
        self._wait_seconds = 0.0
        self._beat_at = _NEVER
        self.problem: str | None = None
        self.proven = False
        self.last_success_timestamp_seconds = 0.0
        self.failures = 0

    @property
    def due(self) -> bool:
        """Say whether it is time for the next beat."""
        seconds = INTERVAL_SECONDS if self.proven else self._wait_seconds
        return self._clock.monotonic() - self._beat_at >= seconds

    def forget(self) -> None:
        """Take what was proven for unproven: somebody else proves it now, or what it rested on is gone."""
        self.proven, self.problem = False, None
        self._wait_seconds, self._beat_at = 0.0, _NEVER

    async def beat(self) -> None:
        """Ask once."""
        self._beat_at = self._clock.monotonic()
        problem = await self._ask()
        if problem is None:
            if not self.proven:
                _log.info("reviews reach the service: the heartbeat was refused")
            self.proven, self.problem, self._wait_seconds = True, None, 0.0
            self.last_success_timestamp_seconds = self._clock.wall()
            return
        self.failures += 1
        if problem != self.problem:
            _log.warning("the heartbeat: %s", problem)
        self._wait_seconds = min(max(self._wait_seconds * 2, FIRST_SECONDS), LONGEST_SECONDS)
        self.proven, self.problem = False, problem

    async def _ask(self) -> str | None:
        """Give what is wrong; None where the answer is the service's own refusal."""
        try:
            await self._client.request(
                "POST",
                NETWORK_POLICIES.path(CANARY_NAMESPACE),
                query=_QUERY,
                body=_POLICY,
                timeout_seconds=_REQUEST_SECONDS,
            )
        except ApiError as error:
            refused = error.status == HTTPStatus.FORBIDDEN and POLICIES in error.message
            return None if refused and HEARTBEAT_REFUSAL in error.message else str(error)
        except ClusterError as error:
            return str(error)
        return "the API server let it through: no review reached the service"
