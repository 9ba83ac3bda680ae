"""
How much work one decision may do before its answer is "not decided".

Work is counted in steps, never in time: the same question gets the same answer on a busy machine and on an idle one,
in the service, offline and in a test. One decision has one budget, which is passed through all its questions.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any

MOST_STEPS = 120_000
"""
Steps of one decision. A step is one look at a cell of a key, at a constraint of a term, or at a few of its values: a
third of a microsecond, measured. So the searches of the longest decision end within 50 ms.
"""


class StepsExhaustedError(Exception):
    """Raised when a search needs more steps than its budget has: the answer is "not decided"."""


@dataclass(slots=True)
class StepBudget:
    """
    The steps that one decision may still take.

    Args:
        left: how many there are.
        answers: what was found in this decision, by question: the same is asked about many pods.
    """

    left: int = MOST_STEPS
    answers: dict[Hashable, Any] = field(default_factory=dict)

    def spend(self, steps: int) -> None:
        """
        Count *steps* before they are taken.

        Raises:
            StepsExhaustedError: there are not so many left.
        """
        self.left -= steps
        if self.left < 0:
            raise StepsExhaustedError

    def half(self) -> "StepBudget":
        """
        Return a budget of half the steps that are left; `charge` takes off what was used of it.

        So one hard question leaves steps for the next: a plain loss is still found beside it.
        """
        return StepBudget(left=max(self.left, 0) // 2)

    def charge(self, half: "StepBudget") -> None:
        """Subtract what was used of a half."""
        self.left -= max(self.left, 0) // 2 - max(half.left, 0)
