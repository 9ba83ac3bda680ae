"""
Keep one kind's objects from going back in time.

After a list from another API server, or a replayed stream, old news may come after newer. Every change in a cluster
has a number, the resourceVersion: news that is not newer than what is known of the same object is no news. What was
deleted is remembered for as long as old news of it may still come, which is until a list, a bookmark or a new stream.

resourceVersions are compared to refuse, and for nothing else; that two replicas know the same shows a sum of them.

Source: Kubernetes API concepts, "Resource versions"; k8s.io/apimachinery types of watch.Event.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from zlib import crc32

EventType = Literal["ADDED", "MODIFIED", "DELETED"]
Name = tuple[str, str]

# 64-bit numbers have at most this many digits; anything longer is not a number that is compared.
_MAX_DIGITS: Final = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """Which object this is, and its state's number; 0 when it has none that can be compared."""

    uid: str
    number: int


def version_number(resource_version: object) -> int:
    """Give a resourceVersion as a number, 0 when it is none."""
    text = resource_version if isinstance(resource_version, str) else ""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS else 0


def name_of(mapping: Mapping[str, Any]) -> Name:
    """Give an object's (namespace, name)."""
    metadata = mapping.get("metadata") or {}
    return metadata.get("namespace", ""), metadata.get("name", "")


def version_of(mapping: Mapping[str, Any]) -> Version:
    """Give an object's version."""
    metadata = mapping.get("metadata") or {}
    return Version(uid=metadata.get("uid", ""), number=version_number(metadata.get("resourceVersion")))


class Versions(dict[Name, Version]):
    """The version of each object that there is, and what they sum up to."""

    def __init__(self) -> None:
        super().__init__()
        self._sum = 0

    @property
    def checksum(self) -> int:
        """The sum of the CRC-32 of `<namespace>/<name> <resourceVersion>` of all objects, modulo 2^32."""
        return self._sum & 0xFFFF_FFFF

    def put(self, name: Name, version: Version) -> None:
        """Take note of an object, in the place of an earlier state of it."""
        before = self.get(name)
        if before is not None:
            self._sum -= _digest(name, before)
        self._sum += _digest(name, version)
        self[name] = version

    def drop(self, name: Name) -> None:
        """Take note that an object is gone."""
        self._sum -= _digest(name, self.pop(name))


def _digest(name: Name, version: Version) -> int:
    return crc32(f"{name[0]}/{name[1]} {version.number}".encode())


class Ordering:
    """What is known of one kind: the version of each object that there is, and of each that was."""

    def __init__(self) -> None:
        self._known = Versions()
        self._deleted: dict[Name, int] = {}
        self._floor = 0

    def __len__(self) -> int:
        return len(self._known)

    @property
    def checksum(self) -> int:
        """The same for all who know the same objects in the same states (see `Versions`)."""
        return self._known.checksum

    def admit(self, event_type: EventType, mapping: Mapping[str, Any]) -> bool:
        """Say whether an event is news, and remember it when it is."""
        name, version = name_of(mapping), version_of(mapping)
        known = self._known.get(name)
        if event_type == "DELETED":
            return self._admit_deletion(name, version, known)
        if version.number and version.number <= self._newest(name, known):
            return False
        self._known.put(name, version)
        self._deleted.pop(name, None)
        return True

    def forget(self, name: Name) -> None:
        """Know nothing of an object, so that the next list brings it anew: its last news could not be taken in."""
        if name in self._known:
            self._known.drop(name)

    def _admit_deletion(self, name: Name, version: Version, known: Version | None) -> bool:
        if known is None:
            # Perhaps the news of its creation comes later.
            self._deleted[name] = max(version.number, self._deleted.get(name, 0))
            return False
        is_same = bool(version.uid) and version.uid == known.uid
        if not is_same and version.number and version.number < max(known.number, self._floor):
            # An earlier object of this name; a uid never comes back, so the end of the same one is always true.
            return False
        self._known.drop(name)
        self._deleted[name] = version.number
        return True

    def _newest(self, name: Name, known: Version | None) -> int:
        return max(self._floor, known.number if known else 0, self._deleted.get(name, 0))

    def everything_before(self, number: int) -> None:
        """Take note that all news up to *number* has come: a bookmark says so, and a stream that begins there."""
        if number <= self._floor:
            return
        self._floor = number
        self._deleted = {name: deleted for name, deleted in self._deleted.items() if deleted > number}

    def relist(self) -> "Relist":
        """Begin to compare a whole list with what is known."""
        return Relist(self._known)

    def replace(self, relist: "Relist", number: int) -> None:
        """
        Remember a list as all that there is at *number*.

        Even if that is earlier than what was known: who lists decides whether to believe it.
        """
        self._known = relist.listed
        self._deleted = {}
        self._floor = number


class Relist:
    """
    A list while it is compared, object by object, with what was known before it.

    Args:
        before: what was known; what is not in `listed` in the end is gone.
    """

    def __init__(self, before: Versions) -> None:
        self.before = before
        self.listed = Versions()

    def take(self, mapping: Mapping[str, Any]) -> bool:
        """Take one object of the list; say whether it differs from what was known."""
        name, version = name_of(mapping), version_of(mapping)
        self.listed.put(name, version)
        return not version.number or self.before.get(name) != version

    def gone(self) -> tuple[Name, ...]:
        """Give the names that the list no longer has, once all of it was taken."""
        return tuple(self.before.keys() - self.listed.keys())
