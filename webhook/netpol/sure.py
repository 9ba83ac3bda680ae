"""
Take a predicate's answer for what it is, or not at all.

In Python everything has a truth value: a predicate that gives None, because it was broken or cut short, counts as no.
Where a no lets a change through, the answer is looked up here instead: `if SURE[selects(...)]`. What is neither yes nor
no raises KeyError, and an error is never an allow.
"""

import enum
from collections.abc import Mapping


class Answer(enum.Enum):
    """The answer to a question that cannot always be answered."""

    YES = enum.auto()
    NO = enum.auto()
    UNSURE = enum.auto()


SURE: Mapping[bool, bool] = {True: True, False: False}
