"""Answer one review: bytes in, bytes out. What it means is decided elsewhere."""

import asyncio

from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

from webhook.admission import AdmissionRequest, AdmissionResponse, decode_review, encode_review
from webhook.guard.outcomes import Judge
from webhook.server.bodies import Body, read_body, require_plain_json
from webhook.server.gate import Gate
from webhook.server.limits import ANSWER_MARGIN_SECONDS, WAITING_SHARE, Limits
from webhook.server.logs import log_decision
from webhook.server.metrics import Metrics
from webhook.server.reading import Reader
from webhook.server.refusals import SERVER_NAME, DeadlinePassed
from webhook.server.timeouts import timeout_of

ASKED = web.RequestKey("asked", AdmissionRequest)  # what was read, for the log line of a review that then fails
RECEIVED = web.RequestKey("received", float)  # the loop's time at the first byte
JSON_HEADERS: CIMultiDictProxy[str] = CIMultiDictProxy(
    CIMultiDict({"Content-Type": "application/json", "Server": SERVER_NAME})
)


class ReviewHandler:
    """The handler of one path."""

    def __init__(  # noqa: PLR0913  what the handlers of all paths share
        self, *, webhook: str, judge: Judge, gate: Gate, reader: Reader, limits: Limits, metrics: Metrics
    ) -> None:
        self._webhook = webhook
        self._judge = judge
        self._gate = gate
        self._reader = reader
        self._limits = limits
        self._metrics = metrics

    async def review(self, request: web.Request) -> web.Response:
        """Read the review, have it judged, and answer."""
        loop, received = asyncio.get_running_loop(), request[RECEIVED]
        timeout = timeout_of(request.raw_path)
        deadline = received + timeout - ANSWER_MARGIN_SECONDS
        with Body(self._gate.bodies) as body:
            content = await self._read(request, body, timeout)
            latest = received + timeout * WAITING_SHARE
            large = await self._reader.read_large(content, latest) if self._reader.is_large(content) else None
            await self._gate.turn(latest - loop.time())
            if loop.time() >= deadline or request.transport is None:
                raise DeadlinePassed("the caller's own timeout passed, or it left, before there was time to judge")
            asked = request[ASKED] = large or decode_review(content)
            with self._gate.entered():
                answer = await self._judged(asked, deadline)
            encoded = encode_review(asked, answer)
        self._record(asked, answer, loop.time() - received)
        return web.Response(body=encoded, headers=JSON_HEADERS)

    async def _read(self, request: web.Request, body: Body, seconds: float) -> bytes:
        """Give the bytes of the body."""
        require_plain_json(request)
        return await read_body(request, body, self._limits, min(seconds, self._limits.body_seconds))

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
