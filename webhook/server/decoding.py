"""
Decode large reviews one after another in a thread of their own.

To decode a policy of a megabyte takes some 200 ms, in which the event loop would answer no other request. The thread
computes as well, and Python runs one thread at a time, but the event loop gets its turn every few milliseconds.
"""

import asyncio
from concurrent.futures import Executor, ThreadPoolExecutor

from webhook.admission import AdmissionRequest, decode_review, prepared
from webhook.guard.outcomes import Overloaded
from webhook.server.limits import Limits


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

    async def decode(self, content: bytes, until: float) -> AdmissionRequest:
        """
        Decode a large review, and read its policies, outside the event loop.

        Args:
            content: the body.
            until: loop time at which to give up.

        Raises:
            ReviewError: the body is not a review.
            Overloaded: other large reviews came first, and no time is left.
        """
        try:
            async with asyncio.timeout_at(until):
                return await asyncio.get_running_loop().run_in_executor(self._executor, _decode, content)
        except TimeoutError as error:
            raise Overloaded("other large reviews came first, and no time was left for this one") from error

    def close(self) -> None:
        """Cancel the reviews that wait, and stop."""
        self._executor.shutdown(wait=False, cancel_futures=True)


def _decode(content: bytes) -> AdmissionRequest:
    return prepared(decode_review(content))
