"""
Decode reviews within limits: count what a body would become before it is built, and decode large bodies in a thread.

A byte of JSON can become a hundred bytes of memory, so the length of a body bounds neither its memory nor the time of
its judge. The number of its values does, and a linear scan counts them in milliseconds.

To decode and read a policy of a megabyte takes some 200 ms, in which the event loop would answer no other request. The
thread computes as well, and Python runs one thread at a time, but the event loop gets its turn every few milliseconds.
"""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec

from webhook.admission import AdmissionRequest, AdmissionResponse, ReviewError, Verdict, decode_review
from webhook.admission.response import INVALID, Cause, denied
from webhook.admission.verdict import ResourceName
from webhook.admission.wire import WireGroupVersionKind, WireGroupVersionResource
from webhook.admission.written_spec import WrittenSpec
from webhook.guard.outcomes import Overloaded
from webhook.server.gate import FairQueue
from webhook.server.limits import MAX_DEPTH, MAX_RULES, Limits

BYTES_PER_VALUE = 200  # of a decoded object and of what is read of it, measured with the costliest bodies
REST = 3  # times the length of the work, after each large review
TOO_DEEP = f"the object is nested more than {MAX_DEPTH} levels deep"
_SQUARE = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


class TooComplex(Exception):  # noqa: N818  the object is the user's; this program has no error
    """
    Raised when the objects of a review have too many values or are nested too deeply to be judged.

    Args:
        asked: the request without its objects.
        problem: what is wrong, for the user.
    """

    def __init__(self, asked: AdmissionRequest, problem: str) -> None:
        super().__init__(problem)
        self.asked = asked


class _Envelope(msgspec.Struct, rename="camel"):
    """The fields of an AdmissionRequest that identify it; all others are skipped, and not built."""

    uid: str
    kind: WireGroupVersionKind
    resource: WireGroupVersionResource
    operation: str
    sub_resource: str | None = None
    name: str | None = None
    namespace: str | None = None


class _EnvelopeReview(msgspec.Struct, rename="camel"):
    api_version: str
    kind: str
    request: _Envelope | None = None


_envelope_decoder = msgspec.json.Decoder(_EnvelopeReview)


def count_values(content: bytes) -> int:
    """
    Return an upper bound of the number of values in a JSON text, in a linear scan.

    Each value of an array or object is preceded by a comma or by its container's bracket. Commas and brackets within
    strings are counted as well.
    """
    return content.count(b",") + content.count(b"{") + content.count(b"[") + 1


def is_deeper(content: bytes, most: int) -> bool:
    """Whether a JSON text is nested deeper than *most*; of a text that is not JSON, whether a decoder might be."""
    if content.count(b"{") + content.count(b"[") <= most:
        return False
    without_escapes = content.replace(rb"\\", b"").replace(rb"\"", b"")
    outside_strings = b"".join(without_escapes.split(b'"')[::2])
    brackets = outside_strings.translate(_SQUARE, delete=_NO_BRACKETS)
    for _ in range(most):  # each round removes the innermost level
        inner = len(brackets)
        brackets = brackets.replace(b"[]", b"")
        if len(brackets) == inner:
            return inner > most
    return bool(brackets)


def decode_within(content: bytes, most_values: int) -> AdmissionRequest:
    """
    Decode a review.

    Raises:
        TooComplex: its objects have more than *most_values* values.
        ReviewError: the body is not a review.
    """
    if count_values(content) > most_values:
        raise TooComplex(_without_objects(content), f"the review has more than {most_values:,} values")
    return decode_review(content)


def rules_of(request: AdmissionRequest) -> int:
    """Return the number of rules that the longest list of a policy has; 0 for another kind."""
    specs = [(api_object or {}).get("spec") for api_object in (request.object, request.old_object)]
    return max((spec.rules() for spec in specs if isinstance(spec, WrittenSpec)), default=0)


def refuse(error: TooComplex) -> AdmissionResponse:
    """
    Return the verdict on an object that is too complex to be judged: 422.

    It is a verdict and not an HTTP error, so that the object is refused under `failurePolicy: Ignore` as well.
    """
    asked = error.asked
    message = f"{asked.kind.kind} {asked.namespace}/{asked.name} is too large to be judged: {error}. Make it smaller."
    resource = ResourceName(kind=asked.kind.kind, namespace=asked.namespace, name=asked.name)
    verdict = Verdict(allowed=False, operation=asked.operation, resource=resource, message=message)
    cause = Cause(reason="FieldValueTooLong", message=str(error), field="")
    return denied(verdict, INVALID, (cause,), {})


@dataclass(kw_only=True, slots=True)
class _Places:
    """
    The large reviews of one client address.

    Args:
        free: the places of bodies that are read or decoded.
        reviews: those with a place, and those that wait for one.
    """

    free: asyncio.Semaphore
    reviews: int = 0


class LargeReviews:
    """
    The decoder of large reviews, for all paths.

    Args:
        limits: the size from which a body is large.
        executor: runs the decoding; None for one thread, which is started when it is first needed.
    """

    def __init__(self, limits: Limits, executor: Executor | None = None) -> None:
        self._limits = limits
        # One thread: two large reviews at once would take twice as long each, twice the memory, and more of the loop.
        self._executor = executor or ThreadPoolExecutor(max_workers=1, thread_name_prefix="large-review")
        self._rested_at = 0.0  # when the thread may begin another review
        self._places: dict[str, _Places] = {}  # by client address
        self._queue: FairQueue[asyncio.Future[None]] = FairQueue()  # reviews that wait for the thread
        self._is_busy = False

    def is_large(self, content: bytes) -> bool:
        """Whether decoding this body would block the event loop for too long."""
        return self.may_be_large(len(content))

    def may_be_large(self, announced: int | None) -> bool:
        """Whether a body of the announced length, or of an unknown one, may be large."""
        return announced is None or announced > self._limits.large_body_bytes

    @asynccontextmanager
    async def place(self, address: str, until: float) -> AsyncIterator[None]:
        """
        Occupy one of the places of a client address, before the body is read.

        Raises:
            Overloaded: too many of its reviews wait already, or no place is free in time.
        """
        places = self._places.setdefault(address, _Places(free=asyncio.Semaphore(self._limits.large_bodies)))
        if places.reviews >= self._limits.large_reviews:
            raise Overloaded(f"{places.reviews} large reviews of this client are in progress, which is the limit")
        places.reviews += 1
        try:
            await _acquire(places.free, until)
            try:
                yield
            finally:
                places.free.release()
        finally:
            places.reviews -= 1
            if not places.reviews:
                del self._places[address]

    async def decode(
        self, content: bytes, most_values: int, until: float, *, address: str, is_wanted: Callable[[], bool]
    ) -> AdmissionRequest:
        """
        Decode a large review, and read its policies, outside the event loop.

        Args:
            content: the body.
            most_values: the limit of `decode_within`.
            until: loop time at which to give up.
            address: of the client; the addresses take turns.
            is_wanted: whether a client still waits for the answer; otherwise the thread ends its work.

        Raises:
            ReviewError: the body is not a review.
            TooComplex: its objects are too large.
            Overloaded: other large reviews came first, and no time is left.
        """
        loop = asyncio.get_running_loop()
        given_up = threading.Event()

        def require_client() -> None:
            if given_up.is_set() or not is_wanted():
                raise Overloaded("the client has left")

        def decoded() -> AdmissionRequest:
            given_up.wait(self._rested_at - time.monotonic())
            began = time.monotonic()
            try:
                return worked()
            finally:  # so large reviews get a quarter of the time at most
                ended = time.monotonic()
                self._rested_at = ended + REST * (ended - began)

        def worked() -> AdmissionRequest:
            require_client()
            if count_values(content) <= most_values and is_deeper(
                content, MAX_DEPTH
            ):  # only here: for a small body, the scan takes the time of a verdict
                raise TooComplex(_without_objects(content), TOO_DEEP)
            request = decode_within(content, most_values)
            if rules_of(request) > MAX_RULES:
                raise TooComplex(request, f"the policy has more than {MAX_RULES:,} rules")
            require_client()
            if request.is_policy and request.new_policy is not None:
                require_client()  # to read each policy may take a second
            request.parse_policies()
            return request

        try:
            async with asyncio.timeout_at(until), self._turn(address):
                return await loop.run_in_executor(self._executor, decoded)
        except TimeoutError as error:
            given_up.set()
            raise Overloaded("other large reviews came first, and no time was left for this one") from error

    @asynccontextmanager
    async def _turn(self, address: str) -> AsyncIterator[None]:
        """Wait until the thread is free and it is the turn of the address."""
        if self._is_busy:
            turn = asyncio.get_running_loop().create_future()
            self._queue.add(address, turn)
            try:
                await turn
            except asyncio.CancelledError:
                if not turn.cancelled():  # no time was left when the turn came
                    self._is_busy = self._pass_on()
                raise
        self._is_busy = True
        try:
            yield
        finally:
            self._is_busy = self._pass_on()

    def _pass_on(self) -> bool:
        """Pass the turn to the next review that still waits, and return whether there is one."""
        while self._queue:
            turn = self._queue.take()
            if not turn.done():
                turn.set_result(None)
                return True
        return False

    def close(self) -> None:
        """Cancel the reviews that wait, and stop."""
        self._executor.shutdown(wait=False, cancel_futures=True)


async def _acquire(free: asyncio.Semaphore, until: float) -> None:
    try:
        async with asyncio.timeout_at(until):
            await free.acquire()
    except TimeoutError as error:
        raise Overloaded("other large reviews of this client came first, and no time was left") from error


def _without_objects(content: bytes) -> AdmissionRequest:
    """
    Decode a review without its objects and its user.

    Raises:
        ReviewError: the body is not a review.
    """
    try:
        envelope = msgspec.json.encode(_envelope_decoder.decode(content))
    except (ValueError, RecursionError) as error:
        raise ReviewError("body", "is too large or too deep, and is not an AdmissionReview") from error
    return decode_review(envelope)
