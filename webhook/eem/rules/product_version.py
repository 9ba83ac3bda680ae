"""
Versions of Event Endpoint Management, as the rules compare them.

A version is the operator's: three numbers, in order. A build suffix does not change the fields, so it is dropped.
"""

import re
from typing import NamedTuple

_TEXT = re.compile(r"v?(\d{1,4})\.(\d{1,4})\.(\d{1,4})(?:[-+.][0-9A-Za-z.+_-]{0,64})?", re.ASCII)

# Larger than the patch number of any release.
_NO_SUCH_PATCH = 9999


class ProductVersion(NamedTuple):
    """
    One release of the product, such as 11.8.1; compared as the tuple that it is.

    Args:
        or_later: the version is only a lower bound, because it was derived from the fields of installed definitions.
    """

    major: int
    minor: int
    patch: int
    or_later: bool = False

    @classmethod
    def parse(cls, text: str) -> "ProductVersion":
        """
        Parse a version such as `11.8.1`, `v11.8.1` or `11.8.1-build7`.

        Raises:
            ValueError: the text does not have three numbers.
        """
        match = _TEXT.fullmatch(text)
        if match is None:
            raise ValueError(f"{text[:80]!r} is not a version such as 11.8.1")
        major, minor, patch = (int(number) for number in match.groups())
        return cls(major=major, minor=minor, patch=patch)

    @classmethod
    def last_of(cls, text: str) -> "ProductVersion":
        """Return a version between the last release of a line such as `11.4` and the first of the next line."""
        return cls.parse(f"{text}.{_NO_SUCH_PATCH}")

    @property
    def may_be_newer(self) -> bool:
        """Whether the operator is, or may be, of a release that is later than those that the rules know."""
        return self > NEWEST or (self.or_later and self >= LAST_FIELDS)

    @property
    def in_words(self) -> str:
        """The version for a message: a lower bound is called so."""
        return f"{self} or later" if self.or_later else str(self)

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{'x' if self.patch == _NO_SUCH_PATCH else self.patch}"


FIRST = ProductVersion.parse("11.0.0")

NEWEST = ProductVersion.parse("11.8.1")
"""The newest release whose definitions and documents the tables of fields were made from."""

LAST_FIELDS = ProductVersion.parse("11.8.0")
"""The newest release that brought a field: definitions with that field may belong to any release since."""
