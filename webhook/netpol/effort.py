"""
How much work one decision may do before it says "undecided".

Work is counted in steps, never in time: the same question gets the same answer on a busy machine and on an idle one,
in the service, offline and in a test. Who asks for one decision hands one Effort through all of it.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

MOST_STEPS = 120_000
"""
Steps of one decision. A step is one look at a cell of a key, at a constraint of a term, at a few of its values, or at
an interval: a third of a microsecond, measured. So the searches of the longest decision end within 50 ms.
"""


class BoundReachedError(Exception):
    """Tell that there was more to look at than the effort allows: whoever asked must answer "undecided"."""


@dataclass(slots=True)
class Effort:
    """
    What is left of the steps of one decision.

    Args:
        left: steps that may still be taken.
        known: answers of this decision, by question: it asks the same about many pods.
    """

    left: int = MOST_STEPS
    known: dict[Hashable, Any] = field(default_factory=dict)

    def take(self, steps: int) -> None:
        """
        Count *steps* before they are done.

        Raises:
            BoundReachedError: there are not so many left.
        """
        self.left -= steps
        if self.left < 0:
            raise BoundReachedError

    def half(self) -> "Effort":
        """
        Give an effort of half the steps that are left; `spend` takes off what was used of it.

        So one hard question leaves something for the next: a plain loss is still found beside it.
        """
        return Effort(left=max(self.left, 0) // 2)

    def spend(self, part: "Effort") -> None:
        """Take off what was used of a half."""
        self.left -= max(self.left, 0) // 2 - max(part.left, 0)
