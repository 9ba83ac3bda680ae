"""Say what a reflector fills: the store, or one observed object."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from webhook.cluster.ordering import EventType
from webhook.cluster.store import KindStatus
from webhook.netpol.parse_objects import Parsed


class Sink(Protocol):
    """Takes in news of one kind or more; a Store is one, and its methods say what these mean."""

    @property
    def status(self) -> Mapping[str, KindStatus]:
        """Give how well each kind is known."""

    def apply(
        self, kind: str, event_type: EventType, mapping: Mapping[str, Any], *, parsed: Parsed | None = None
    ) -> object:
        """Take in one event; *parsed* is the object as read beforehand, where it was."""

    async def replace(self, kind: str, mappings: Iterable[Mapping[str, Any]], number: int = 0) -> None:
        """Take in a list as all that there is."""

    def all_heard_before(self, kind: str, number: int) -> None:
        """Take note that all news up to *number* has come."""

    def mark(self, kind: str, *, synced: bool) -> None:
        """Say whether a kind can be kept up to date."""

    def announce(self) -> None:
        """Let everybody who waits look again."""
