"""
Turn whatever happens to a request into an answer: the one place that catches every exception.

A bug in the judge is a 500, for which the API server applies the failurePolicy of the webhook's configuration: whether
the guard fails open or closed is written there and nowhere else.
"""

import asyncio
import logging
from collections.abc import Mapping
from types import MappingProxyType

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from webhook.admission import ReviewError
from webhook.guard.outcomes import NotReady, NoVerdict, Overloaded, Stale
from webhook.server.connection import Connection
from webhook.server.handlers import ASKED, RECEIVED
from webhook.server.metrics import ERRORED, UNKNOWN, Metrics
from webhook.server.refusals import TRY_ELSEWHERE, TRY_LATER, Refusal, plain
from webhook.server.serving import Serving

INTERNAL_ERROR = 500
SERVICE_UNAVAILABLE = 503
SHED: Mapping[type[Exception], str] = MappingProxyType(
    {NotReady: "not_ready", Stale: "stale", Overloaded: "overloaded"}
)  # what the metrics call the reason for which a review is left to another replica
log = logging.getLogger(__name__)


def answer_everything(serving: Serving, webhooks: Mapping[str, str]) -> Middleware:
    """
    Make the middleware of one application.

    Args:
        serving: counts what goes wrong, and knows whether every answer must close its connection.
        webhooks: the webhook's name for each path that takes reviews.
    """

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        connection = request.protocol
        guarded = connection if isinstance(connection, Connection) else None
        loop = asyncio.get_running_loop()
        received = request[RECEIVED] = guarded.request_began() if guarded is not None else loop.time()
        try:
            response = await handler(request)
        except web.HTTPException as error:
            response = _no_such_request(error)
        except Exception as error:  # the one place
            response = _answer_to(error)
            if request.path in webhooks:
                _record(request, error, serving.metrics, webhooks[request.path], loop.time() - received)
            else:
                log.exception("a page could not be made")
        finally:
            if guarded is not None:
                guarded.request_ended()
        # What follows an unread body cannot be told from a request.
        if serving.drain.started or not request.content.is_eof():
            response.force_close()
        return response

    return middleware


def _no_such_request(error: web.HTTPException) -> web.StreamResponse:
    """Answer 404 and 405 (with the methods that there are); never a redirect, whatever the router would like."""
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    return plain(error.status, error.reason, headers)


def _answer_to(error: Exception) -> web.StreamResponse:
    if isinstance(error, ReviewError):
        return plain(error.status, str(error))
    if isinstance(error, NoVerdict):
        return _try_again(error)
    if not isinstance(error, Refusal):
        return plain(INTERNAL_ERROR, "there was no verdict because of an error in the guard; its log has the details")
    response = plain(error.status, str(error), error.headers)
    if error.closes:
        response.force_close()
    return response


def _try_again(outcome: NoVerdict) -> web.StreamResponse:
    """
    Answer 503: the API server repeats the review, on another replica if the connection is closed.

    In a flood the connection stays open and the API server waits a second, because a new handshake costs what a
    verdict costs.
    """
    flooded = isinstance(outcome, Overloaded) and outcome.flooded
    response = plain(SERVICE_UNAVAILABLE, str(outcome), TRY_LATER if flooded else TRY_ELSEWHERE)
    if not flooded:
        response.force_close()
    return response


def _record(request: web.Request, error: Exception, metrics: Metrics, webhook: str, seconds: float) -> None:
    """Count and log a review that has no verdict; only a bug, which nobody expects, comes with its traceback."""
    if type(error) in SHED:
        metrics.shed(SHED[type(error)])
        log.info("a review was left to another replica", extra={"fields": {"reason": str(error)}})
        return
    asked = request.get(ASKED)
    operation = asked.operation if asked is not None else UNKNOWN
    metrics.review(webhook=webhook, operation=operation, result=ERRORED, seconds=seconds)
    fields = {
        "webhook": webhook,
        "result": ERRORED,
        "uid": asked.uid if asked is not None else "",
        "operation": operation,
        "peer": request.remote or "",
        "milliseconds": round(seconds * 1000, 3),
    }
    if isinstance(error, ReviewError | Refusal):
        log.warning("a review has no verdict", extra={"fields": fields | {"reason": str(error)}})
    else:
        log.error("a review has no verdict because of a bug", exc_info=error, extra={"fields": fields})
