"""
Decode reviews within limits: count what a body would become before it is built, and decode large bodies in a thread.

A byte of JSON can become a hundred bytes of memory, so the length of a body bounds neither its memory nor the time of
its judge. The number of its values does, and a linear scan counts them in milliseconds.

To decode and read a policy of a megabyte takes some 200 ms, in which the event loop would answer no other request. The
thread computes as well, and Python runs one thread at a time, but the event loop gets its turn every few milliseconds.
"""

import asyncio
import re
import threading
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor

import msgspec

from webhook.admission import AdmissionRequest, AdmissionResponse, ReviewError, Verdict, decode_review
from webhook.admission.response import INVALID, Cause, denied
from webhook.admission.verdict import ResourceName
from webhook.admission.wire import WireGroupVersionKind, WireGroupVersionResource
from webhook.guard.outcomes import Overloaded
from webhook.server.limits import MAX_DEPTH, MAX_RULES, Limits

BYTES_PER_VALUE = 200  # of a decoded object and of what is read of it, measured with the costliest bodies
TOO_DEEP = f"the object is nested more than {MAX_DEPTH} levels deep"
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_STRING_OR_BRACKET = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[\]{}]', re.DOTALL)


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
    depth = 0
    for token in _STRING_OR_BRACKET.finditer(content):
        depth += _STEP.get(content[token.start()], 0)
        if depth > most:
            return True
    return False


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
    lists = [spec.get(key) for spec in specs if isinstance(spec, dict) for key in ("ingress", "egress")]
    return max((len(rules) for rules in lists if isinstance(rules, list)), default=0)


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


class LargeReviews:
    """
    The decoder of large reviews, for all paths.

    Args:
        limits: the size from which a body is large.
        executor: runs the decoding; None for one thread, which is started when it is first needed.
    """

    def __init__(self, limits: Limits, executor: Executor | None = None) -> None:
        self._large_body_bytes = limits.large_body_bytes
        # One thread: two large reviews at once would take twice as long each, twice the memory, and more of the loop.
        self._executor = executor or ThreadPoolExecutor(max_workers=1, thread_name_prefix="large-review")

    def is_large(self, content: bytes) -> bool:
        """Whether decoding this body would block the event loop for too long."""
        return len(content) > self._large_body_bytes

    async def decode(
        self, content: bytes, most_values: int, until: float, is_wanted: Callable[[], bool]
    ) -> AdmissionRequest:
        """
        Decode a large review, and read its policies, outside the event loop.

        Args:
            content: the body.
            most_values: the limit of `decode_within`.
            until: loop time at which to give up.
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
            require_client()
            if is_deeper(content, MAX_DEPTH):  # only here: for a small body, the scan takes the time of a verdict
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
            async with asyncio.timeout_at(until):
                return await loop.run_in_executor(self._executor, decoded)
        except TimeoutError as error:
            given_up.set()
            raise Overloaded("other large reviews came first, and no time was left for this one") from error

    def close(self) -> None:
        """Cancel the reviews that wait, and stop."""
        self._executor.shutdown(wait=False, cancel_futures=True)


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
