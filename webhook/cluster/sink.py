"""The interface between a reflector and what it fills: the store, or one observed object."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from webhook.cluster.ordering import EventType
from webhook.cluster.timing import Clock
from webhook.eem import ResourceType
from webhook.netpol.parse_objects import Parsed


@dataclass(kw_only=True, slots=True)
class KindStatus:
    """
    How well one kind is known; its reflector writes it, metrics and probes read it.

    Args:
        synced: a list was taken in and a watch has stood since, and nothing keeps the reflector from following it.
        served: False while the API server does not know the kind.
        objects: the number of objects.
        lists: the number of lists that were taken in.
        last_event_timestamp_seconds: the time of the last list, event or bookmark, as seconds since 1970; 0 before the
            first.
        heard_at_seconds: the same on the monotonic clock; minus infinity before the first, infinity for files, which
            never grow stale.
        problem: what fails now; empty when nothing does.
    """

    resource: ResourceType
    synced: bool = False
    served: bool = True
    objects: int = 0
    lists: int = 0
    last_event_timestamp_seconds: float = 0.0
    heard_at_seconds: float = -math.inf
    problem: str = ""

    def heard(self, clock: Clock) -> None:
        """Note that a list, event or bookmark of this kind has just come."""
        self.last_event_timestamp_seconds = clock.wall()
        self.heard_at_seconds = clock.monotonic()


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """
    The objects of a kind that a reflector follows; without arguments, all.

    Args:
        namespace: only those of one namespace.
        name: only the one of this name. Such lists and watches are covered by a Role with `resourceNames`.
    """

    namespace: str | None = None
    name: str | None = None

    @property
    def query(self) -> Mapping[str, str]:
        """Return the parameters that limit a list or a watch to these objects."""
        return {} if self.name is None else {"fieldSelector": f"metadata.name={self.name}"}


class Intake(Protocol):
    """A list while it is taken in, page by page, so that no more than one page is held as it came."""

    async def add(self, mappings: Iterable[Mapping[str, Any]]) -> None:
        """Take in the objects of one page."""

    async def finish(self, number: int = 0) -> None:
        """Make the added objects the complete set of objects, at the resourceVersion *number*."""


class Sink(Protocol):
    """What a reflector fills; the methods of Store say what these mean."""

    @property
    def status(self) -> Mapping[str, KindStatus]:
        """Return how well each kind is known."""

    def apply(
        self, kind: str, event_type: EventType, mapping: Mapping[str, Any], *, parsed: Parsed | None = None
    ) -> object:
        """Take in one event; *parsed* is the object if it was read beforehand."""

    def begin_list(self, kind: str) -> "Intake":
        """Begin to take in a list; nothing changes before its end."""

    def all_heard_before(self, kind: str, number: int) -> None:
        """Note that all changes up to *number* have come."""

    def mark(self, kind: str, *, synced: bool) -> None:
        """Note whether the kind can be kept up to date."""

    def distrust(self, kind: str) -> None:
        """Note that what is known of the kind may be wrong: it is not known until the next list."""

    def announce(self) -> None:
        """Wake all waiting tasks, so that they look again."""
