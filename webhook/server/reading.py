"""
Read reviews: small ones at once, large ones one after another in a thread of their own.

To read a policy of a megabyte takes some 200 ms, for which nobody else would be answered. The thread computes as well
and Python runs one thread at a time, but it lets the event loop have its turn every few milliseconds.
"""

import asyncio
from concurrent.futures import Executor, ThreadPoolExecutor

from webhook.admission import AdmissionRequest, decode_review
from webhook.guard.outcomes import Overloaded
from webhook.server.limits import Limits


class Reader:
    """
    The reader of all paths' reviews.

    Args:
        limits: what is large.
        executor: where large ones are read; without it a thread, which is started when it is needed first.
    """

    def __init__(self, limits: Limits, executor: Executor | None = None) -> None:
        self._large_body_bytes = limits.large_body_bytes
        # One thread: two large reviews at once would take twice as long each, twice the memory, and more of the loop.
        # A caller that leaves takes its review out of the line; what is being read is read to its end.
        self._executor = executor or ThreadPoolExecutor(max_workers=1, thread_name_prefix="large-review")

    def is_large(self, content: bytes) -> bool:
        """Say whether to read this would hold the event loop for too long."""
        return len(content) > self._large_body_bytes

    async def read_large(self, content: bytes, until: float) -> AdmissionRequest:
        """
        Read a large review, and its policies, beside the event loop.

        Args:
            content: the body.
            until: when to give up, in the loop's time.

        Raises:
            ReviewError: it is no review.
            Overloaded: other large ones came first, and there was no time left.
        """
        try:
            async with asyncio.timeout_at(until):
                return await asyncio.get_running_loop().run_in_executor(self._executor, _read, content)
        except TimeoutError as error:
            raise Overloaded("large reviews are being read, and this one's turn did not come in time") from error

    def close(self) -> None:
        """Read no more; who still waits is cancelled."""
        self._executor.shutdown(wait=False, cancel_futures=True)


def _read(content: bytes) -> AdmissionRequest:
    request = decode_review(content)
    request.parse_policies()
    return request
