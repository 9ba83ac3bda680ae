"""
Turn the end of every request into an HTTP answer. This is the only place that catches every exception.

An unexpected exception of a judge becomes 500. The API server then applies the `failurePolicy` of the webhook
configuration: that field alone decides whether the guard fails open or closed.
"""

import asyncio
import logging
from collections.abc import Mapping
from types import MappingProxyType

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from webhook.admission import AdmissionRequest, ReviewError
from webhook.guard.outcomes import NotReady, NoVerdict, Overloaded, Stale
from webhook.server.connection import HttpConnection
from webhook.server.logs import LimitedLog
from webhook.server.metrics import ERRORED, UNKNOWN, Metrics
from webhook.server.refusals import TRY_ELSEWHERE, TRY_LATER, Refusal, plain
from webhook.server.serving import Serving

INTERNAL_ERROR = 500
SERVICE_UNAVAILABLE = 503
ASKED = web.RequestKey("asked", AdmissionRequest)
"""The decoded request, for the log line of a review that fails later."""

RECEIVED = web.RequestKey("received", float)
"""Loop time of the request's first byte."""

SHED: Mapping[type[Exception], str] = MappingProxyType(
    {NotReady: "not_ready", Stale: "stale", Overloaded: "overloaded"}
)
"""The metrics' label for the reason why a review was answered with 503."""

log = logging.getLogger(__name__)


def answer_everything(serving: Serving, webhooks: Mapping[str, str]) -> Middleware:
    """
    Return the middleware of one application.

    Args:
        serving: its metrics count failures; while it drains, every answer closes its connection.
        webhooks: the webhook's name by path, for the paths that accept reviews.
    """
    failures = _Failures(serving.metrics)

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        connection = request.protocol
        guarded = connection if isinstance(connection, HttpConnection) else None
        loop = asyncio.get_running_loop()
        received = request[RECEIVED] = guarded.request_began() if guarded is not None else loop.time()
        try:
            response = await handler(request)
        except web.HTTPException as error:
            response = _no_such_request(error)
        except Exception as error:  # the one place
            response = _answer_to(error)
            if guarded is not None and isinstance(error, Overloaded) and not request.content.is_eof():
                guarded.stop_reading()  # the rest of a large body costs more than many reviews
            if request.path in webhooks:
                failures.record(request, error, webhooks[request.path], loop.time() - received)
            else:
                log.exception("a probe or metrics request failed")
        finally:
            if guarded is not None:
                guarded.request_ended()
        # The bytes after an unread body cannot be told from the next request.
        if serving.drain.started or not request.content.is_eof():
            response.force_close()
        return response

    return middleware


def _no_such_request(error: web.HTTPException) -> web.StreamResponse:
    """Return 404, or 405 with the allowed methods; never the router's redirect."""
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    return plain(error.status, error.reason, headers)


def _answer_to(error: Exception) -> web.StreamResponse:
    if isinstance(error, ReviewError):
        return plain(error.status, str(error))
    if isinstance(error, NoVerdict):
        return _try_again(error)
    if not isinstance(error, Refusal):
        return plain(INTERNAL_ERROR, "there is no verdict because of an error in the guard; see the guard's log")
    response = plain(error.status, str(error), error.headers)
    if error.closes:
        response.force_close()
    return response


def _try_again(outcome: NoVerdict) -> web.StreamResponse:
    """
    Return 503, so that the API server sends the review again.

    A closed connection makes the API server connect again, as a rule to another replica. While the guard is flooded
    the connection stays open and the API server waits one second, because a new handshake costs as much as a verdict.
    """
    flooded = isinstance(outcome, Overloaded) and outcome.flooded
    response = plain(SERVICE_UNAVAILABLE, str(outcome), TRY_LATER if flooded else TRY_ELSEWHERE)
    if not flooded:
        response.force_close()
    return response


class _Failures:
    """Counts and logs the reviews without a verdict."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._lines = LimitedLog(log)

    def record(self, request: web.Request, error: Exception, webhook: str, seconds: float) -> None:
        """Record one review; only an unexpected exception is logged with its traceback."""
        if type(error) in SHED:
            self._metrics.reviews.shed(SHED[type(error)])
            self._lines.write(logging.INFO, "a review was answered with 503", {"reason": str(error)})
            return
        asked = request.get(ASKED)
        operation = asked.operation if asked is not None else UNKNOWN
        self._metrics.reviews.answered(webhook=webhook, operation=operation, result=ERRORED, seconds=seconds)
        fields = {
            "webhook": webhook,
            "result": ERRORED,
            "uid": asked.uid if asked is not None else "",
            "operation": operation,
            "peer": request.remote or "",
            "milliseconds": round(seconds * 1000, 3),
        }
        if isinstance(error, ReviewError | Refusal):
            self._lines.write(logging.WARNING, "a review has no verdict", fields | {"reason": str(error)})
        else:
            self._lines.write(logging.ERROR, "a review has no verdict because of a bug", fields, error)
