"""
Read the body of a review completely, in time, and within its limit.

The budget counts the bytes that have arrived, not the bytes that Content-Length announces, so a client that only
announces a large body takes nothing from the others.
"""

import asyncio
from collections import Counter
from typing import Self

from aiohttp import web

from webhook.guard.outcomes import Overloaded
from webhook.server.limits import Limits
from webhook.server.refusals import BodyBroken, BodyTooLarge, BodyTooSlow, UnsupportedBody

JSON = "application/json"


class BodyBudget:
    """The bytes that all reviews in progress may hold, and those that they hold now."""

    __slots__ = ("_held", "_most", "_most_of_address", "_of_address")

    def __init__(self, limits: Limits) -> None:
        self._held = 0
        self._most = limits.max_held_bytes
        self._most_of_address = limits.of_address(limits.max_held_bytes)
        self._of_address: Counter[str] = Counter()

    @property
    def held(self) -> int:
        """Return the bytes that are held now."""
        return self._held

    def take(self, address: str, size: int) -> None:
        """
        Hold *size* more bytes for a client address.

        Raises:
            Overloaded: they would exceed the budget, or the share of the address.
        """
        of_address = self._of_address[address] + size
        if self._held + size > self._most or of_address > self._most_of_address:
            raise Overloaded(
                f"reviews of {self._held} bytes are in progress; the limits are {self._most}, and "
                f"{self._most_of_address} for one client"
            )
        self._held += size
        self._of_address[address] = of_address

    def give_back(self, address: str, size: int) -> None:
        """Release *size* bytes of a client address."""
        self._held -= size
        self._of_address[address] -= size
        if not self._of_address[address]:
            del self._of_address[address]


class Body:
    """The received bytes of one body and their share of the budget, which the end of its `with` block releases."""

    __slots__ = ("_address", "_budget", "_chunks", "_held", "size")

    def __init__(self, budget: BodyBudget, address: str) -> None:
        self._budget = budget
        self._address = address
        self._chunks: list[bytes] = []
        self._held = 0
        self.size = 0  # bytes that have arrived

    def add(self, chunk: bytes) -> None:
        """
        Add a chunk; it counts twice, because there are two copies of the body while the chunks are joined.

        Raises:
            Overloaded: the budget is used up.
        """
        self.reserve(2 * len(chunk))
        self.size += len(chunk)
        self._chunks.append(chunk)

    def reserve(self, size: int) -> None:
        """
        Hold *size* bytes more, for what will be built of the body.

        Raises:
            Overloaded: the budget is used up.
        """
        self._budget.take(self._address, size)
        self._held += size

    def joined(self) -> bytes:
        """Return the whole body and drop its chunks; a body of one chunk, the common case, is not copied."""
        content = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        return content

    def __enter__(self) -> Self:
        """Return the body itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Release the body's share of the budget."""
        self._budget.give_back(self._address, self._held)


def require_plain_json(request: web.Request) -> None:
    """
    Check that the headers announce uncompressed JSON.

    A charset parameter is accepted and ignored: JSON is UTF-8, and the decoder checks that.

    Raises:
        UnsupportedBody: the type is another one, or there is a Content-Encoding.
    """
    if request.content_type != JSON:
        raise UnsupportedBody(f"Content-Type must be {JSON}")
    if "Content-Encoding" in request.headers:
        raise UnsupportedBody("Content-Encoding is not accepted")


async def read_body(request: web.Request, body: Body, limits: Limits, seconds: float) -> bytes:
    """
    Read a request's body into *body*.

    Args:
        request: the request.
        body: counts the bytes.
        limits: has the largest size.
        seconds: the longest time until the end of the body.

    Raises:
        BodyTooLarge, BodyTooSlow, BodyBroken, Overloaded: the body cannot be read.
    """
    announced = request.content_length
    if announced is not None and announced > limits.max_body_bytes:
        raise BodyTooLarge(f"the body has {announced} bytes, the limit is {limits.max_body_bytes}")
    content = request.content
    try:
        if content.is_eof():  # the common case: the whole body is here, so no timer is needed
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
