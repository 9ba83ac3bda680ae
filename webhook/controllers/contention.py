"""
Say when what was written, and is undone, is written again.

Who undoes it now and then, a deployment tool each five seconds, is answered at once. Who undoes it as soon as it is
written fights: the answers come later and later, and somebody is told.
"""

from dataclasses import dataclass
from typing import Final

# Undone sooner than this after it was written, it is a fight: a wipe each five seconds is not.
QUICK_SECONDS: Final = 4.0
# Quick undoings in a row that are answered at once.
FREE: Final = 3
LONGEST_SECONDS: Final = 30.0


@dataclass(kw_only=True, slots=True)
class Pace:
    """What became of one thing that is written again and again; times are a monotonic clock's seconds."""

    _content: str | None = None
    _written_at: float = float("-inf")
    _undone_at: float | None = None
    _quick: int = 0

    @property
    def fighting(self) -> bool:
        """Say whether it is undone again and again."""
        return self._quick > FREE

    def due_seconds(self, content: str, now: float) -> float:
        """Give how long to wait before *content*, which is not there, is written."""
        if content != self._content:
            return 0.0
        if self._undone_at is None:
            self._undone_at = now
            self._quick = self._quick + 1 if now - self._written_at < QUICK_SECONDS else 0
        delay = min(2.0 ** (self._quick - FREE), LONGEST_SECONDS) if self.fighting else 0.0
        return max(0.0, self._undone_at + delay - now)

    def wrote(self, content: str, now: float) -> None:
        """Take note that *content* was written."""
        if content != self._content:
            self._quick = 0
        self._content, self._written_at, self._undone_at = content, now, None

    def kept(self, now: float) -> None:
        """Take note that it is there: after a while in which nobody undid it, a fight is over."""
        if self._undone_at is None and now - self._written_at >= QUICK_SECONDS:
            self._quick = 0
