"""Wait for a condition, not for a time."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")

PAUSE_SECONDS = 0.05  # between two looks


def wait_until(look: Callable[[], Found | None], what: str, *, seconds: float) -> Found:
    """
    Look until *look* answers with something true, and return that.

    Raises:
        TimeoutError: it did not within *seconds*; the text says what was waited for.
    """
    pause = threading.Event()
    end = time.monotonic() + seconds
    while not (found := look()):
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        pause.wait(PAUSE_SECONDS)
    return found
