"""
The outcomes of a review without a verdict. The server answers each with HTTP 503, and the API server asks again.

Source: client-go rest/with_retry.go: a request that was answered with 503 and `Retry-After` is repeated, at most ten
times.
"""

from collections.abc import Awaitable, Callable

from webhook.admission import AdmissionRequest, AdmissionResponse

Judge = Callable[[AdmissionRequest], Awaitable[AdmissionResponse]]
"""Return the verdict on one review; raises NoVerdict."""


class NoVerdict(Exception):  # noqa: N818  an outcome, and not every one is an error
    """Raised when this replica gives no verdict now; another replica, or this one later, may."""


class NotReady(NoVerdict):
    """Raised when no verdict is possible yet, because the cluster is not known."""


class Stale(NoVerdict):
    """Raised when the view of the cluster is too old; another replica may have a newer one."""


class Overloaded(NoVerdict):
    """
    Raised when this replica has too much to do.

    Args:
        flooded: many reviews are rejected at the moment. A repetition over a new connection costs a handshake, which
            costs as much as a verdict; so the API server is asked to wait and to keep its connection.
    """

    def __init__(self, problem: str, *, flooded: bool = False) -> None:
        super().__init__(problem)
        self.flooded = flooded


class ListError(Exception):
    """Raised when a live list fails: the API server cannot be reached, refuses, or sends an invalid answer."""
