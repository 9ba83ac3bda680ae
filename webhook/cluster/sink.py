"""The interface between a reflector and what it fills: the store, or one observed object."""

import logging
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from webhook.cluster.errors import one_line
from webhook.cluster.ordering import EventType
from webhook.cluster.timing import Clock
from webhook.eem import ResourceType
from webhook.netpol.parse_objects import Parsed

_log: Final = logging.getLogger(__name__)


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
        note: what operators should know although the kind is synced; empty for nothing.
    """

    resource: ResourceType
    synced: bool = False
    served: bool = True
    objects: int = 0
    lists: int = 0
    last_event_timestamp_seconds: float = 0.0
    heard_at_seconds: float = -math.inf
    problem: str = ""
    note: str = ""

    def heard(self, clock: Clock) -> None:
        """Note that a list, event or bookmark of this kind has just come."""
        self.last_event_timestamp_seconds = clock.wall()
        self.heard_at_seconds = clock.monotonic()


class ProblemLog:
    """
    Keeps the problem of one kind in its status, and logs each problem once.

    Args:
        announce: is called after each change.
    """

    def __init__(self, status: KindStatus, announce: Callable[[], None]) -> None:
        self._status = status
        self._announce = announce
        self._is_logged = False

    def note(self, error: Exception | str) -> None:
        """Set the problem."""
        problem = one_line(str(error)) or type(error).__name__
        self._is_logged = self._is_logged and problem == self._status.problem
        self._status.problem = problem
        self._announce()

    def log(self) -> None:
        """Log the problem, as a warning unless it already was."""
        level = logging.DEBUG if self._is_logged else logging.WARNING
        _log.log(level, "%s: %s", self._status.resource.plural, self._status.problem)
        self._is_logged = True

    def clear(self) -> None:
        """Note that there is no problem any more."""
        if self._is_logged:
            _log.info("%s: up to date again", self._status.resource.plural)
        self._is_logged = False
        self._status.problem = ""
        self._announce()


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
        """Add the objects of one page."""

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
        """Process one event; *parsed* is the object if it was read beforehand."""

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
