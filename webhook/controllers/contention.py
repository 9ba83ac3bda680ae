"""
Decide when an entry is written again after another client has removed or changed it.

If that happens now and then, such as by a deployment tool each five seconds, the entry is written again at once. If
another client changes it as soon as it is written, the two fight: the writes come later and later, and the fight is
reported.
"""

from dataclasses import dataclass
from typing import Final

# A change sooner than this after the write counts for a fight; a wipe each five seconds does not.
QUICK_SECONDS: Final = 4.0
# Quick changes in a row after which the entry is still written at once.
FREE: Final = 3
LONGEST_SECONDS: Final = 30.0


@dataclass(kw_only=True, slots=True)
class RewriteBackoff:
    """The backoff for one thing that is written again and again; times are in seconds of a monotonic clock."""

    _content: str | None = None
    _written_at: float = float("-inf")
    _undone_at: float | None = None
    _quick: int = 0

    @property
    def fighting(self) -> bool:
        """Whether another client undoes the writes again and again."""
        return self._quick > FREE

    def due_seconds(self, content: str, now: float) -> float:
        """Return how long to wait before *content*, which is not there now, is written."""
        if content != self._content:
            return 0.0
        if self._undone_at is None:
            self._undone_at = now
            self._quick = self._quick + 1 if now - self._written_at < QUICK_SECONDS else 0
        delay = min(2.0 ** (self._quick - FREE), LONGEST_SECONDS) if self.fighting else 0.0
        return max(0.0, self._undone_at + delay - now)

    def wrote(self, content: str, now: float) -> None:
        """Note that *content* was written."""
        if content != self._content:
            self._quick = 0
        self._content, self._written_at, self._undone_at = content, now, None

    def kept(self, now: float) -> None:
        """Note that the content is there; after a while without a change the fight is over."""
        if self._undone_at is None and now - self._written_at >= QUICK_SECONDS:
            self._quick = 0
