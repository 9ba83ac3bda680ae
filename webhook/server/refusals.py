"""
The reasons for which the server refuses a request before there is a verdict.

The API server treats any HTTP error as a failure of the webhook and applies the `failurePolicy`. The exception is 503
with `Retry-After`: the API server repeats the request within the same timeout, as a rule on another replica.

Source: client-go rest/with_retry.go (429 and 5xx with a whole number in Retry-After, at most ten times).
"""

from collections.abc import Mapping
from types import MappingProxyType

from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

SERVER_NAME = "eem-guardrail"  # instead of aiohttp's header, which names its version and Python's
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


class Refusal(Exception):  # noqa: N818  a refusal is an answer, not an error of this program
    """Raised when a request gets an HTTP error instead of a verdict."""

    status = 500
    headers: Mapping[str, str] = _NO_HEADERS
    closes = True  # close the connection: the bytes that follow may not be a request


class BodyTooLarge(Refusal):
    """Raised when a body is longer than any review can be."""

    status = 413


class UnsupportedBody(Refusal):
    """Raised when a body is not uncompressed JSON."""

    status = 415


class BodyTooSlow(Refusal):
    """Raised when a body did not arrive in time."""

    status = 408


class BodyBroken(Refusal):
    """Raised when a body is incomplete or its framing is invalid."""

    status = 400


class DeadlinePassed(Refusal):
    """
    Raised when there was no verdict before the client's timeout.

    The status is 500 and not 503: no time is left to ask another replica, so the failurePolicy applies at once.
    """

    status = 500
    closes = False


def plain(status: int, text: str, headers: Mapping[str, str] = _NO_HEADERS) -> web.Response:
    """Return an answer with one line of text."""
    response = web.Response(status=status, body=f"{text}\n".encode(errors="backslashreplace"), headers=TEXT_HEADERS)
    response.headers.update(headers)
    return response
