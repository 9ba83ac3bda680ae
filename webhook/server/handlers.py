"""Answer one review: bytes in, bytes out. What it means is decided elsewhere."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

from webhook.admission import AdmissionRequest, AdmissionResponse, decode_review, encode_review
from webhook.server.bodies import Body, BodyBudget, read_body, require_plain_json
from webhook.server.limits import ANSWER_MARGIN_SECONDS, Limits
from webhook.server.logs import log_decision
from webhook.server.metrics import Metrics
from webhook.server.refusals import SERVER_NAME, DeadlinePassed, Overloaded
from webhook.server.timeouts import timeout_of

Judge = Callable[[AdmissionRequest], Awaitable[AdmissionResponse]]
ASKED = web.RequestKey("asked", AdmissionRequest)  # what was read, for the log line of a review that then fails
JSON_HEADERS: CIMultiDictProxy[str] = CIMultiDictProxy(
    CIMultiDict({"Content-Type": "application/json", "Server": SERVER_NAME})
)


class Gate:
    """
    How many reviews are being judged, of how many, and how many bytes their bodies have.

    One gate serves all paths: they share one processor core.
    """

    __slots__ = ("_inside", "_most", "bodies")

    def __init__(self, limits: Limits) -> None:
        self._inside = 0
        self._most = limits.max_concurrent_reviews
        self.bodies = BodyBudget(limits.max_held_body_bytes)

    def __enter__(self) -> None:
        """
        Take a place for as long as a review is judged.

        Raises:
            Overloaded: there is none.
        """
        if self._inside >= self._most:
            raise Overloaded(f"{self._inside} reviews are being judged, no more are taken")
        self._inside += 1

    def __exit__(self, *_: object) -> None:
        """Give the place back."""
        self._inside -= 1


class ReviewHandler:
    """The handler of one path."""

    def __init__(self, *, webhook: str, judge: Judge, gate: Gate, limits: Limits, metrics: Metrics) -> None:
        self._webhook = webhook
        self._judge = judge
        self._gate = gate
        self._limits = limits
        self._metrics = metrics

    async def review(self, request: web.Request) -> web.Response:
        """Read the review, have it judged, and answer."""
        started = time.perf_counter()
        with Body(self._gate.bodies) as body:
            asked, deadline = await self._read(request, body)
            with self._gate:
                answer = await self._judged(asked, deadline)
            encoded = encode_review(asked, answer)
        self._record(asked, answer, time.perf_counter() - started)
        return web.Response(body=encoded, headers=JSON_HEADERS)

    async def _read(self, request: web.Request, body: Body) -> tuple[AdmissionRequest, float]:
        """Give what is asked and the loop's time by which it must be answered."""
        timeout = timeout_of(request.raw_path)
        deadline = asyncio.get_running_loop().time() + timeout - ANSWER_MARGIN_SECONDS
        require_plain_json(request)
        content = await read_body(request, body, self._limits, min(timeout, self._limits.body_seconds))
        asked = request[ASKED] = decode_review(content)
        return asked, deadline

    async def _judged(self, asked: AdmissionRequest, deadline: float) -> AdmissionResponse:
        scope = asyncio.timeout_at(deadline)
        try:
            async with scope:
                return await self._judge(asked)
        except TimeoutError as error:
            if scope.expired():
                raise DeadlinePassed("there was no verdict before the caller's own timeout") from error
            raise

    def _record(self, asked: AdmissionRequest, answer: AdmissionResponse, seconds: float) -> None:
        self._metrics.review(webhook=self._webhook, operation=asked.operation, result=answer.result, seconds=seconds)
        log_decision(self._webhook, asked, answer, seconds * 1000)
