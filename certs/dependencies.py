"""What a keeper depends on: the Secret, what is published, which replica leads, the server, clocks and chance."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from certs.bundle import Published
from certs.material import Material

Secret = Mapping[str, Any]


class StoreError(Exception):
    """Raised when the Secret cannot be read or written."""


class ConflictError(StoreError):
    """Raised when another writer was faster: the Secret exists already, or its resourceVersion has changed."""


class Secrets(Protocol):
    """Read and write the one Secret in the API server."""

    async def read(self) -> Secret | None:
        """Return the Secret as it is now, or None if there is none."""
        ...

    async def create(self, secret: Secret) -> object:
        """Create the Secret, or raise ConflictError if it exists."""
        ...

    async def replace(self, secret: Secret) -> object:
        """Replace the version that its resourceVersion names, or raise ConflictError."""
        ...


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True, slots=True)
class Clocks:
    """
    The clocks and a way to wait.

    Args:
        now: the wall clock, with a time zone. It may jump.
        monotonic: seconds since an arbitrary time. They never go back, and may stand still while the machine is
            suspended.
        sleep: waits for a number of seconds of the monotonic clock.
    """

    now: Callable[[], datetime] = _now
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep


@dataclass(frozen=True, kw_only=True, slots=True)
class KeeperDependencies:
    """
    Everything that a keeper reads, writes and calls.

    Args:
        secrets: the Secret.
        published: returns the caBundle of every entry of both webhook configurations, as the API server shows them now:
            empty bytes for an entry without one, an empty sequence if there is no entry, None while they are
            unknown.
        leads: whether this replica is the leader, which renews and rotates.
        install: loads a serving pair into the server. Raises ValueError or OSError if it cannot; the old pair stays.
        count_unusable: called for every version of the Secret that cannot be used.
        clocks: time.
        rng: chance: how long to wait after a failure, and how early to renew.
    """

    secrets: Secrets
    published: Callable[[], Published]
    leads: Callable[[], bool]
    install: Callable[[Material], object]
    count_unusable: Callable[[], object] = lambda: None
    clocks: Clocks = field(default_factory=Clocks)
    rng: random.Random = field(default_factory=random.SystemRandom)
