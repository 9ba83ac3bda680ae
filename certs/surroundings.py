"""Say whom a keeper asks and tells: the Secret, what is published, who leads, who serves, and what time it is."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from certs.material import Material
from certs.pace import Clock
from certs.trust import Published

Secret = Mapping[str, Any]


class StoreError(Exception):
    """Tell that the Secret could not be read or written."""


class ConflictError(StoreError):
    """Tell that another was faster: the Secret is there already, or is not the version that was to be replaced."""


class Secrets(Protocol):
    """The one Secret, as the API server has it."""

    async def read(self) -> Secret | None:
        """Give the Secret as it is now, or None where there is none."""
        ...

    async def create(self, secret: Secret) -> object:
        """Make it, or raise ConflictError where it is there."""
        ...

    async def replace(self, secret: Secret) -> object:
        """Replace the version that its resourceVersion names, or raise ConflictError."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Surroundings:
    """
    Whom a keeper asks and tells.

    Args:
        secrets: the Secret.
        published: the caBundle of every entry of our configurations, as the API server shows them now: empty where an
            entry has none, an empty sequence where there are no entries, None while nobody knows.
        leads: whether this replica renews and rotates.
        install: takes a serving pair; ValueError or OSError where it cannot, and the old one stays.
        count: told of every version of the Secret that could not be used.
        clock: what time it is.
        rng: chance, for how long to wait and how early to renew.
    """

    secrets: Secrets
    published: Callable[[], Published]
    leads: Callable[[], bool]
    install: Callable[[Material], object]
    count: Callable[[], object] = lambda: None
    clock: Clock = field(default_factory=Clock)
    rng: random.Random = field(default_factory=random.SystemRandom)
