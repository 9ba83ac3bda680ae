"""
The outcomes of a review without a verdict. The server answers each with HTTP 503, and the API server asks again.

Source: client-go rest/with_retry.go: a 503 with `Retry-After` is repeated at most ten times.
"""

from collections.abc import Awaitable, Callable

from webhook.admission import AdmissionRequest, AdmissionResponse

Judge = Callable[[AdmissionRequest], Awaitable[AdmissionResponse]]
"""Give the verdict on one review; raises NoVerdict."""


class NoVerdict(Exception):  # noqa: N818  an outcome, and not every one is an error
    """Raised when this replica gives no verdict now; another replica, or this one later, may."""


class NotReady(NoVerdict):
    """Raised when no truthful verdict is possible yet, because the cluster is not known."""


class Stale(NoVerdict):
    """Raised when what this replica knows of the cluster is too old; another replica may know better."""


class Overloaded(NoVerdict):
    """
    Raised when this replica has too much to do.

    Args:
        flooded: many reviews are sent away at the moment. Another attempt at once, over a new connection, costs a
            handshake, which is as dear as a verdict; so the caller is asked to wait and to keep its connection.
    """

    def __init__(self, problem: str, *, flooded: bool = False) -> None:
        super().__init__(problem)
        self.flooded = flooded


class ListError(Exception):
    """Raised by a live list that cannot be had: the API server is away, refuses, or answers nonsense."""
