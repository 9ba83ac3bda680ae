"""
Read the body of a review: whole, in time, and not one byte more than allowed.

What is held is counted as it arrives, not as it is announced, so that a caller who only claims to send much takes
nothing from the others.
"""

import asyncio
from typing import Self

from aiohttp import web

from webhook.guard.outcomes import Overloaded
from webhook.server.limits import Limits
from webhook.server.refusals import BodyBroken, BodyTooLarge, BodyTooSlow, UnsupportedBody

JSON = "application/json"


class BodyBudget:
    """How many bytes of bodies are held at the moment, of how many."""

    __slots__ = ("_held", "_most")

    def __init__(self, most: int) -> None:
        self._held = 0
        self._most = most

    @property
    def held(self) -> int:
        """Bytes held now."""
        return self._held

    def take(self, size: int) -> None:
        """
        Hold *size* more bytes.

        Raises:
            Overloaded: that would be too many.
        """
        if self._held + size > self._most:
            raise Overloaded(f"reviews of {self._held} bytes are being worked on, at most {self._most} are taken")
        self._held += size

    def give_back(self, size: int) -> None:
        """Hold *size* bytes less."""
        self._held -= size


class Body:
    """The bytes of one body as they come in, and their share of the budget, which it gives back when its block ends."""

    __slots__ = ("_budget", "_chunks", "size")

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self._chunks: list[bytes] = []
        self.size = 0

    def add(self, chunk: bytes) -> None:
        """Keep another chunk."""
        self._budget.take(len(chunk))
        self.size += len(chunk)
        self._chunks.append(chunk)

    def joined(self) -> bytes:
        """Give the whole body; most come in one chunk and are not copied."""
        return self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)

    def __enter__(self) -> Self:
        """Hold nothing yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give the share back."""
        self._budget.give_back(self.size)


def require_plain_json(request: web.Request) -> None:
    """
    Refuse what is announced as anything but uncompressed JSON.

    A charset parameter is let through: JSON is UTF-8 whatever it says, and the decoder insists on it.

    Raises:
        UnsupportedBody: another type, or any Content-Encoding.
    """
    if request.content_type != JSON:
        raise UnsupportedBody(f"Content-Type must be {JSON}")
    if "Content-Encoding" in request.headers:
        raise UnsupportedBody("Content-Encoding is not accepted")


async def read_body(request: web.Request, body: Body, limits: Limits, seconds: float) -> bytes:
    """
    Read a request's body into *body*.

    Args:
        request: whose body it is.
        body: where its bytes are counted.
        limits: how large it may be.
        seconds: how long it may take.

    Raises:
        BodyTooLarge, BodyTooSlow, BodyBroken, Overloaded: it cannot be had.
    """
    announced = request.content_length
    if announced is not None and announced > limits.max_body_bytes:
        raise BodyTooLarge(f"the body has {announced} bytes, at most {limits.max_body_bytes} are read")
    content = request.content
    try:
        if content.is_eof():  # all here already, as a rule: no timer needed
            body.add(content.read_nowait())
        else:
            content.set_read_chunk_size(limits.max_body_bytes)
            async with asyncio.timeout(seconds):
                while chunk := await content.readany():
                    body.add(chunk)
                    if body.size > limits.max_body_bytes:
                        raise BodyTooLarge(f"the body has more than {limits.max_body_bytes} bytes")
    except TimeoutError as error:
        raise BodyTooSlow(f"the body did not arrive within {seconds:g} s") from error
    except (ConnectionError, web.RequestPayloadError) as error:
        raise BodyBroken("the body is incomplete or framed wrongly") from error
    return body.joined()
