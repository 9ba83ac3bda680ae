"""
Let a refused change through, if its user asks for that with a reason and has the right.

The right is asked of the API server each time, and never remembered: it may be taken away, and another user may ask
next. If the answer does not come, the refusal stands and says so.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from webhook.admission import AdmissionRequest, AdmissionResponse
from webhook.admission.bypass import bypass_reason, bypassed, refusal_to_bypass
from webhook.admission.response import with_note
from webhook.guard.outcomes import ListError

ASK_SECONDS: Final = 1.0
"""How long the API server may take to answer."""

MOST_QUESTIONS: Final = 4
"""Questions at a time: a client that reaches the webhook's port can invent reviews."""

LONGEST_REASON: Final = 200

AskAccess = Callable[[AdmissionRequest], Awaitable[object]]
"""Ask whether the user of a request may bypass the guard, and return the answer; raises ListError."""

log = logging.getLogger(__name__)


class Bypasses:
    """
    What lets refused changes through.

    Args:
        ask: asks the API server; None if there is none, as for files.
        count: is called for each change that was let through, except dry runs.
        seconds: how long an answer may take.
    """

    def __init__(self, ask: AskAccess | None, count: Callable[[], object], *, seconds: float = ASK_SECONDS) -> None:
        self._ask = ask
        self._count = count
        self._seconds = seconds
        self._turns = asyncio.Semaphore(MOST_QUESTIONS)

    async def reconsider(self, request: AdmissionRequest, refused: AdmissionResponse) -> AdmissionResponse:
        """Return a refusal as it stands, or the change let through."""
        reason = bypass_reason(request)
        if not reason:
            return refused
        problem = await self._problem(request)
        fields = {
            "namespace": request.namespace,
            "name": request.name,
            "operation": request.operation,
            "user": request.username,
            "dryRun": request.dry_run,
            "reason": reason,
        }
        if problem:
            log.warning("a bypass was refused", extra={"fields": {**fields, "problem": problem}})
            return with_note(refused, f"(The bypass does not count: {problem[:LONGEST_REASON]}.)")
        log.warning("a bypass was used", extra={"fields": {**fields, "message": refused.message}})
        if not request.dry_run:
            self._count()
        return bypassed(refused, reason)

    async def _problem(self, request: AdmissionRequest) -> str:
        """Return why the bypass does not count; empty if it does."""
        if self._ask is None:
            return "there is no API server that knows the rights of users"
        try:
            async with asyncio.timeout(self._seconds), self._turns:
                return refusal_to_bypass(await self._ask(request), request.username)
        except TimeoutError:
            return "the API server did not answer in time whether the user has the right"
        except ListError as error:
            return f"the API server could not be asked whether the user has the right: {error}"
