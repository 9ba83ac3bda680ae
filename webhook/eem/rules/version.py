"""
Versions of Event Endpoint Management, as the rules compare them.

A version is the operator's: three numbers, in order. A build suffix says nothing about the fields and is dropped.
"""

import re
from typing import NamedTuple

_TEXT = re.compile(r"v?(\d{1,4})\.(\d{1,4})\.(\d{1,4})(?:[-+.][0-9A-Za-z.+_-]{0,64})?", re.ASCII)

# No line of releases has come beyond a patch of one digit.
_NO_SUCH_PATCH = 9999


class Version(NamedTuple):
    """One release of the product, such as 11.8.1; compared as the tuple that it is."""

    major: int
    minor: int
    patch: int

    @classmethod
    def parse(cls, text: str) -> "Version":
        """
        Read a version such as `11.8.1`, `v11.8.1` or `11.8.1-build7`.

        Raises: ValueError where the text has not three numbers.
        """
        match = _TEXT.fullmatch(text)
        if match is None:
            raise ValueError(f"{text[:80]!r} is not a version such as 11.8.1")
        major, minor, patch = (int(number) for number in match.groups())
        return cls(major=major, minor=minor, patch=patch)

    @classmethod
    def last_of(cls, text: str) -> "Version":
        """Return what is later than every release of a line such as `11.4`, and earlier than the next line."""
        return cls.parse(f"{text}.{_NO_SUCH_PATCH}")

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{'x' if self.patch == _NO_SUCH_PATCH else self.patch}"


FIRST = Version.parse("11.0.0")
NEWEST = Version.parse("11.8.1")
"""The newest release whose fields and documents the tables know."""
