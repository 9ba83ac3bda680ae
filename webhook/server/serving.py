"""Hold what every application of one process shares: its metrics, its limits, and whether it is on its way out."""

from dataclasses import dataclass, field

from webhook.server.limits import Limits
from webhook.server.metrics import Metrics


class Drain:
    """A flag that is raised once, on SIGTERM: not ready any more, and every answer closes its connection."""

    __slots__ = ("_started",)

    def __init__(self) -> None:
        self._started = False

    @property
    def started(self) -> bool:
        """Whether this replica drains."""
        return self._started

    def start(self) -> None:
        """Begin to drain."""
        self._started = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Serving:
    """
    What the applications and the ports of one process share.

    Args:
        metrics: counts what happens.
        limits: what a caller may take; the defaults are for production.
        drain: while it has started, nothing is ready and every answer closes its connection.
    """

    metrics: Metrics
    limits: Limits = field(default_factory=Limits)
    drain: Drain = field(default_factory=Drain)
