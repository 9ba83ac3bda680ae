"""
Name the ways in which the server refuses a request before there is a verdict.

A refusal is an HTTP status, which the API server takes for a failure of the webhook: its failurePolicy decides. The
exception is 503 with `Retry-After`, which it repeats within the same timeout, on another replica as a rule.

Source: client-go rest/with_retry.go (429 and 5xx with a whole number in Retry-After, at most ten times).
"""

from collections.abc import Mapping
from types import MappingProxyType

from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

SERVER_NAME = "eem-guardrail"  # instead of aiohttp's, which gives its version and Python's away
TEXT_HEADERS: CIMultiDictProxy[str] = CIMultiDictProxy(
    CIMultiDict(
        {
            "Content-Type": "text/plain; charset=utf-8",
            "X-Content-Type-Options": "nosniff",
            "Server": SERVER_NAME,
        }
    )
)
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})
TRY_ELSEWHERE: Mapping[str, str] = MappingProxyType({"Retry-After": "0"})


TRY_LATER: Mapping[str, str] = MappingProxyType({"Retry-After": "1"})  # the API server takes whole seconds only


class Refusal(Exception):  # noqa: N818  the word says what it is, and not every refusal is anyone's error
    """Tell that a request gets no verdict, and with which HTTP answer."""

    status = 500
    headers: Mapping[str, str] = _NO_HEADERS
    closes = True  # the connection: what follows on it cannot be trusted, or belongs on another replica


class BodyTooLarge(Refusal):
    """Tell that a body is longer than any review can be."""

    status = 413


class UnsupportedBody(Refusal):
    """Tell that a body is not plain JSON."""

    status = 415


class BodyTooSlow(Refusal):
    """Tell that a body did not arrive in time."""

    status = 408


class BodyBroken(Refusal):
    """Tell that a body ended before its time or was framed wrongly."""

    status = 400


class DeadlinePassed(Refusal):
    """
    Tell that there was no verdict before the caller's own timeout.

    A 500 and not a 503: asking another replica again would only use up what is left of the timeout, so the
    failurePolicy decides at once.
    """

    status = 500
    closes = False


def plain(status: int, text: str, headers: Mapping[str, str] = _NO_HEADERS) -> web.Response:
    """Answer with one line of text."""
    response = web.Response(status=status, body=f"{text}\n".encode(errors="backslashreplace"), headers=TEXT_HEADERS)
    response.headers.update(headers)
    return response
