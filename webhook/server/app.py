"""
Build the application that the API server calls: the webhook paths, and what happens to one review.

What a review means is decided by the judges. Nothing is read from the environment, and no module state is kept: an
application holds its parts under typed keys.
"""

import asyncio
import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from urllib.parse import parse_qsl

from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

from webhook.admission import AdmissionRequest, AdmissionResponse, encode_review
from webhook.guard.outcomes import Judge
from webhook.server.answering import ASKED, RECEIVED, answer_everything
from webhook.server.bodies import Body, read_body, require_plain_json
from webhook.server.decoding import (
    BYTES_PER_VALUE,
    TOO_DEEP,
    LargeReviews,
    TooComplex,
    count_values,
    decode_within,
    refuse,
)
from webhook.server.gate import Gate
from webhook.server.limits import (
    ANSWER_MARGIN_SECONDS,
    DEFAULT_TIMEOUT_SECONDS,
    MAX_TIMEOUT_SECONDS,
    MIN_TIMEOUT_SECONDS,
    WAITING_SHARE,
    Limits,
)
from webhook.server.logs import log_decision
from webhook.server.metrics import Metrics
from webhook.server.refusals import SERVER_NAME, DeadlinePassed
from webhook.server.serving import Serving

VALIDATE_NETWORK_POLICY = "/validate-networkpolicy"
VALIDATE_CLUSTER_POLICY = "/validate-cluster-policy"
VALIDATE_EEM = "/validate-eem"
MUTATE_EEM = "/mutate-eem"
WEBHOOKS: Mapping[str, str] = MappingProxyType(
    {
        VALIDATE_NETWORK_POLICY: "networkpolicies.eem-guardrail.io",
        VALIDATE_CLUSTER_POLICY: "clusterpolicies.eem-guardrail.io",
        VALIDATE_EEM: "eem.eem-guardrail.io",
        MUTATE_EEM: "defaults.eem-guardrail.io",
    }
)
"""The webhook's name in the webhook configuration, by path."""

SERVING = web.AppKey("serving", Serving)
GATE = web.AppKey("gate", Gate)
JSON_HEADERS: CIMultiDictProxy[str] = CIMultiDictProxy(
    CIMultiDict({"Content-Type": "application/json", "Server": SERVER_NAME})
)

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|us|µs|ns|h|m|s)")
_DURATION = re.compile(rf"(?:{_PART.pattern})+")


def make_app(
    judges: Mapping[str, Judge], serving: Serving, *, large_reviews: LargeReviews | None = None
) -> web.Application:
    """
    Return the application that the API server calls.

    Args:
        judges: the judge of each path of WEBHOOKS; a path without a judge does not exist.
        serving: what this application shares with the other applications of the process.
        large_reviews: decodes large reviews; None to decode them in one thread of its own.

    Raises:
        KeyError: a path is not a path of WEBHOOKS.
    """
    limits = serving.limits
    gate = Gate(limits)
    large_reviews = large_reviews or LargeReviews(limits)
    app = web.Application(
        middlewares=[answer_everything(serving, WEBHOOKS)],
        client_max_size=limits.max_body_bytes,
    )
    app[SERVING], app[GATE] = serving, gate

    async def close(_app: web.Application) -> None:
        large_reviews.close()

    app.on_cleanup.append(close)
    for path, judge in judges.items():
        handler = ReviewHandler(
            path=path,
            judge=judge,
            gate=gate,
            large_reviews=large_reviews,
            limits=limits,
            metrics=serving.metrics,
        )
        app.router.add_post(path, handler.review)
    return app


class ReviewHandler:
    """The handler of one path: bytes in, bytes out."""

    def __init__(  # noqa: PLR0913  the parts that the handlers of all paths share
        self, *, path: str, judge: Judge, gate: Gate, large_reviews: LargeReviews, limits: Limits, metrics: Metrics
    ) -> None:
        self._webhook = WEBHOOKS[path]
        is_for_policies = path in {VALIDATE_NETWORK_POLICY, VALIDATE_CLUSTER_POLICY}
        self._most_values = limits.max_policy_values if is_for_policies else limits.max_instance_values
        self._judge = judge
        self._gate = gate
        self._large_reviews = large_reviews
        self._limits = limits
        self._metrics = metrics

    async def review(self, request: web.Request) -> web.Response:
        """Read the review, pass it to the judge, and return the answer."""
        latest = request[RECEIVED] + timeout_of(request.raw_path) * WAITING_SHARE
        address = request.remote or ""
        if not self._large_reviews.may_be_large(request.content_length):
            return await self._reviewed(request, address, latest)
        async with self._large_reviews.place(address, latest):
            return await self._reviewed(request, address, latest)

    async def _reviewed(self, request: web.Request, address: str, latest: float) -> web.Response:
        loop, received = asyncio.get_running_loop(), request[RECEIVED]
        timeout = timeout_of(request.raw_path)
        deadline = received + timeout - ANSWER_MARGIN_SECONDS
        with Body(self._gate.bodies, address) as body:
            content = await self._read(request, body, timeout)
            try:
                large = await self._decoded_if_large(request, content, latest)
                await self._gate.admit(address, latest - loop.time())
                if loop.time() >= deadline or request.transport is None:
                    raise DeadlinePassed("the client's timeout passed, or the client left, before the verdict")
                asked = request[ASKED] = large or decode_within(content, self._most_values)
                with self._gate.entered(address):
                    answer = await self._judged(asked, deadline)
            except TooComplex as error:
                asked, answer = error.asked, refuse(error)
            encoded = encode_review(asked, answer)
        self._record(asked, answer, loop.time() - received)
        return web.Response(body=encoded, headers=JSON_HEADERS)

    async def _read(self, request: web.Request, body: Body, seconds: float) -> bytes:
        """Read the body, and hold the memory that its objects will take."""
        require_plain_json(request)
        content = await read_body(request, body, self._limits, min(seconds, self._limits.body_seconds))
        body.reserve(min(count_values(content), self._most_values) * BYTES_PER_VALUE)
        return content

    async def _decoded_if_large(self, request: web.Request, content: bytes, latest: float) -> AdmissionRequest | None:
        if not self._large_reviews.is_large(content):
            return None
        return await self._large_reviews.decode(
            content,
            self._most_values,
            latest,
            address=request.remote or "",
            is_wanted=lambda: request.transport is not None,
        )

    async def _judged(self, asked: AdmissionRequest, deadline: float) -> AdmissionResponse:
        scope = asyncio.timeout_at(deadline)
        try:
            async with scope:
                return await self._judge(asked)
        except RecursionError as error:
            raise TooComplex(asked, TOO_DEEP) from error
        except TimeoutError as error:
            if scope.expired():
                raise DeadlinePassed("there was no verdict before the client's timeout") from error
            raise

    def _record(self, asked: AdmissionRequest, answer: AdmissionResponse, seconds: float) -> None:
        self._metrics.reviews.answered(
            webhook=self._webhook, operation=asked.operation, result=answer.result, seconds=seconds
        )
        log_decision(self._webhook, asked, answer, seconds * 1000)


@lru_cache(maxsize=64)  # a cluster uses a handful of values; other clients cannot make the cache grow
def timeout_of(raw_path: str) -> float:
    """
    Return the seconds after which the client closes the request; the API's default where the URL has no timeout.

    Args:
        raw_path: the request's target as sent, `/validate-eem?timeout=5s`.

    Source: k8s.io/apiserver webhook dispatchers (`r.Timeout`), Go's time.Duration.String.
    """
    _, _, query = raw_path.partition("?")
    for key, value in parse_qsl(query):
        if key == "timeout" and _DURATION.fullmatch(value):
            seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(value))
            return min(max(seconds, MIN_TIMEOUT_SECONDS), MAX_TIMEOUT_SECONDS)
    return DEFAULT_TIMEOUT_SECONDS
