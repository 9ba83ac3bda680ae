"""Say how large an object is, before anybody reads it."""

from typing import Final

MOST_VALUES: Final = 10_000
"""
Values of an object that is read at once. To read one takes up to 4 µs, so this many take up to 40 ms: as long as the
event loop may be held.
"""


def is_large(value: object, most: int = MOST_VALUES) -> bool:
    """Say whether there are more than *most* values in *value*; no more are looked at."""
    waiting, seen = [value], 0
    while waiting:
        match waiting.pop():
            case dict() as found:
                values = [*found.values()]
            case list() | tuple() as found:
                values = [*found[: most + 1]]
            case _:
                continue
        seen += len(values)
        if seen > most:
            return True
        waiting += values
    return False
