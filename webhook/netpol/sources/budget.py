"""
How much work one question may take before its answer is "not decided".

Work is counted in steps, never in time: the same question gets the same answer on a busy machine and on an idle one,
in the service, offline and in a test. Each question of a decision has steps of its own, so that a hard question takes
nothing from the others.
"""

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Any

from webhook.netpol.sources.source_set import Sources, union_of

MOST_STEPS = 60_000
"""
Steps of one question. A step is one look at a cell of a key, at a constraint of a term, or at a few of its values: a
third of a microsecond, measured. So the longest search ends within 25 ms.
"""


class StepsExhaustedError(Exception):
    """Raised when a search needs more steps than its budget has: the answer is "not decided"."""


@dataclass(slots=True)
class StepBudget:
    """
    The steps that a search may still take.

    Args:
        left: how many there are.
    """

    left: int = MOST_STEPS

    def spend(self, steps: int) -> None:
        """
        Count *steps* before they are taken.

        Raises:
            StepsExhaustedError: there are not so many left.
        """
        self.left -= steps
        if self.left < 0:
            raise StepsExhaustedError


@dataclass(slots=True)
class Answers:
    """
    The answers of one decision: it asks the same about many pods, and each question is answered once.

    Args:
        steps: the steps that each question may take.
        known: the answers, by question.
        unions: the unions of sets of sources, by the ids of the sets, with the sets: an id is reused when its set goes.
    """

    steps: int = MOST_STEPS
    known: dict[Hashable, Any] = field(default_factory=dict)
    unions: dict[frozenset[int], tuple[Sources, tuple[Sources, ...]]] = field(default_factory=dict)

    def union_of(self, parts: Iterable[Sources]) -> Sources:
        """Return what any of *parts* holds: the same object for the same parts, in any order."""
        kept = tuple(parts)
        question = frozenset(map(id, kept))
        if question not in self.unions:
            self.unions[question] = union_of(kept), kept
        return self.unions[question][0]
