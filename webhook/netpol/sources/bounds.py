"""The pair of bounds between which a set of sources is known."""

from dataclasses import dataclass
from typing import Generic, TypeVar

SetOf = TypeVar("SetOf")


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds(Generic[SetOf]):
    """A set between two bounds: what is surely in it, and what possibly is."""

    surely: SetOf
    possibly: SetOf
