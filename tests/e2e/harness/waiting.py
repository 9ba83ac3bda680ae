"""Wait for a condition, not for a time."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")

PAUSE_SECONDS = 0.05  # between two looks
HOLD_PAUSE_SECONDS = 0.5  # between two looks at what is to stay as it is


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


def hold(look: Callable[[], bool], what: str, *, seconds: float) -> None:
    """
    Look for *seconds* whether something stays true.

    Raises:
        AssertionError: it did not; the text says what was to stay, and for how long it did.
    """
    pause = threading.Event()
    began = time.monotonic()
    while time.monotonic() < began + seconds:
        if not look():
            raise AssertionError(f"{what}: no more after {time.monotonic() - began:.1f} s")
        pause.wait(HOLD_PAUSE_SECONDS)
