"""What all applications and ports of one process share: metrics, limits, and whether the replica drains."""

from dataclasses import dataclass, field

from webhook.server.limits import Limits
from webhook.server.metrics import Metrics


class Drain:
    """Whether this replica drains: after SIGTERM it is not ready, and every answer closes its connection."""

    __slots__ = ("_started",)

    def __init__(self) -> None:
        self._started = False

    @property
    def started(self) -> bool:
        """Whether this replica drains."""
        return self._started

    def start(self) -> None:
        """Start to drain."""
        self._started = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Serving:
    """
    What the applications and the ports of one process share.

    Args:
        metrics: the metrics of the process.
        limits: the limits of the server.
        drain: after it has started, the replica is not ready and every answer closes its connection.
    """

    metrics: Metrics
    limits: Limits = field(default_factory=Limits)
    drain: Drain = field(default_factory=Drain)
