"""
Report on the cluster as it was last audited, for the page that people look at.

A report takes seconds in a large cluster, so it is made in a thread, when a client asks, and once for each audit.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from webhook.admission import Options
from webhook.admission.audit import Audit
from webhook.admission.report import report
from webhook.admission.verdict import time_text
from webhook.guard.auditing import Auditor
from webhook.guard.outcomes import NotReady

Render = Callable[[Mapping[str, Any], str], bytes]
"""Makes the page of a report and the time of its state."""

NOT_AUDITED: Final = "the cluster is not known yet"
IN_PART: Final = " (the lists of the cluster are not complete)"


class LiveReport:
    """
    The page of the last audit.

    Args:
        options: the settings with which the auditor audits.
        is_complete: whether every kind of object is known now.
    """

    def __init__(self, auditor: Auditor, options: Options, render: Render, *, is_complete: Callable[[], bool]) -> None:
        self._auditor = auditor
        self._options = options
        self._render = render
        self._is_complete = is_complete
        self._turn = asyncio.Lock()
        self._made: tuple[Audit, str, bytes] | None = None
        self.version = 0
        auditor.subscribe(self._look)

    def _look(self, before: Audit, after: Audit) -> None:
        """Count the audits after which the report may be another one."""
        is_same = before.namespaces.keys() == after.namespaces.keys() and all(
            after.namespaces[name] is known for name, known in before.namespaces.items()
        )
        around = before.surroundings
        if not is_same or around is None or after.surroundings is None or not around.is_same(after.surroundings):
            self.version += 1

    async def page(self) -> bytes:
        """
        Return the page.

        Raises:
            NotReady: nothing has been audited.
        """
        async with self._turn:
            audited = self._auditor.audited
            if audited is None:
                raise NotReady(NOT_AUDITED)
            found, snapshot, at = audited
            when = time_text(at) + ("" if self._is_complete() else IN_PART)
            if self._made is None or self._made[0] is not found or self._made[1] != when:
                made = await asyncio.to_thread(lambda: self._render(report(found, snapshot, self._options), when))
                self._made = found, when, made
            return self._made[2]
