"""
Keep the objects of one kind from going back in time.

After a list from another API server, or a replayed stream, an old event may come after a newer one. Every change in a
cluster has a number, the resourceVersion: an event that is not newer than the known state of the same object is
ignored. A deletion is remembered until older events of the object can no longer come, which a list, a bookmark or a
new stream shows.

resourceVersions are compared only to ignore old events; the checksum of all of them shows whether two replicas know
the same.

Source: Kubernetes API concepts, "Resource versions"; k8s.io/apimachinery types of watch.Event.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from zlib import crc32

EventType = Literal["ADDED", "MODIFIED", "DELETED"]
Name = tuple[str, str]

# A 64-bit number has at most this many digits; a longer resourceVersion is not compared.
_MAX_DIGITS: Final = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectVersion:
    """The uid of an object and its resourceVersion as a number; 0 if it cannot be compared."""

    uid: str
    number: int


def version_number(resource_version: object) -> int:
    """Return a resourceVersion as a number; 0 if it is not a number."""
    text = resource_version if isinstance(resource_version, str) else ""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS else 0


def name_of(mapping: Mapping[str, Any]) -> Name:
    """Return the namespace and the name of an object."""
    metadata = mapping.get("metadata") or {}
    return metadata.get("namespace", ""), metadata.get("name", "")


def version_of(mapping: Mapping[str, Any]) -> ObjectVersion:
    """Return the version of an object."""
    metadata = mapping.get("metadata") or {}
    return ObjectVersion(uid=metadata.get("uid", ""), number=version_number(metadata.get("resourceVersion")))


class KnownVersions(dict[Name, ObjectVersion]):
    """The version of each object of one kind, with a checksum."""

    def __init__(self) -> None:
        super().__init__()
        self._sum = 0

    @property
    def checksum(self) -> int:
        """The sum of the CRC-32 of `<namespace>/<name> <resourceVersion>` of all objects, modulo 2^32."""
        return self._sum & 0xFFFF_FFFF

    def put(self, name: Name, version: ObjectVersion) -> None:
        """Add an object, or replace its version."""
        before = self.get(name)
        if before is not None:
            self._sum -= _digest(name, before)
        self._sum += _digest(name, version)
        self[name] = version

    def drop(self, name: Name) -> None:
        """Remove an object."""
        self._sum -= _digest(name, self.pop(name))


def _digest(name: Name, version: ObjectVersion) -> int:
    return crc32(f"{name[0]}/{name[1]} {version.number}".encode())


class Ordering:
    """The known objects of one kind and the deleted ones, each with its version."""

    def __init__(self) -> None:
        self._known = KnownVersions()
        self._deleted: dict[Name, int] = {}
        self._floor = 0
        self._newest_number = 0
        self._is_trusted = True

    def __len__(self) -> int:
        return len(self._known)

    @property
    def checksum(self) -> int:
        """The checksum of the known objects (see `KnownVersions`): equal on replicas that know the same."""
        return self._known.checksum

    @property
    def known(self) -> Mapping[Name, ObjectVersion]:
        """The version of each known object; it changes with the events."""
        return self._known

    @property
    def newest(self) -> int:
        """The largest number of an event, a bookmark or the last list; 0 before the first."""
        return self._newest_number

    def admit(self, event_type: EventType, mapping: Mapping[str, Any]) -> bool:
        """Whether an event is newer than what is known; if it is, remember it."""
        name, version = name_of(mapping), version_of(mapping)
        self._newest_number = max(self._newest_number, version.number)
        known = self._known.get(name)
        if event_type == "DELETED":
            return self._admit_deletion(name, version, known)
        if version.number and version.number <= self._newest(name, known):
            return False
        self._known.put(name, version)
        self._deleted.pop(name, None)
        return True

    def skip(self, mapping: Mapping[str, Any]) -> bool:
        """Forget an object whose new state is not kept; return whether it was known in an older one."""
        name, version = name_of(mapping), version_of(mapping)
        known = self._known.get(name)
        self._newest_number = max(self._newest_number, version.number)
        if version.number and version.number <= self._newest(name, known):
            return False
        self._deleted[name] = version.number
        if known is not None:
            self._known.drop(name)
        return known is not None

    def forget(self, name: Name) -> None:
        """Forget an object whose last event could not be taken in, so that the next list brings it again."""
        if name in self._known:
            self._known.drop(name)

    def _admit_deletion(self, name: Name, version: ObjectVersion, known: ObjectVersion | None) -> bool:
        if known is None:
            # The event of its creation may still come.
            self._deleted[name] = max(version.number, self._deleted.get(name, 0))
            return False
        is_same = bool(version.uid) and version.uid == known.uid
        if not is_same and version.number and version.number < max(known.number, self._floor):
            # It is an earlier object of this name. The same uid never comes back, so its deletion is always valid.
            return False
        self._known.drop(name)
        self._deleted[name] = version.number
        return True

    def _newest(self, name: Name, known: ObjectVersion | None) -> int:
        return max(self._floor, known.number if known else 0, self._deleted.get(name, 0))

    def everything_before(self, number: int) -> None:
        """Note that all events up to *number* have come, as a bookmark shows, or a stream that begins there."""
        if number <= self._floor:
            return
        self._floor = number
        self._newest_number = max(self._newest_number, number)
        self._deleted = {name: deleted for name, deleted in self._deleted.items() if deleted > number}

    def relist(self) -> "Relist":
        """Return an empty comparison of a list with what is known."""
        return Relist(self._known, is_trusted=self._is_trusted)

    def distrust(self) -> None:
        """Trust no version until the next list: the same number may belong to another state."""
        self._is_trusted = False

    def replace(self, relist: "Relist", number: int) -> None:
        """
        Remember a list as the complete set of objects at *number*.

        The number may be smaller than the one before: the caller decides whether to trust the list.
        """
        self._known = relist.listed
        self._deleted = {}
        self._floor = self._newest_number = number
        self._is_trusted = True


class Relist:
    """
    The comparison of a list, object by object, with what was known before it.

    Args:
        before: what was known; an object that is not in `listed` at the end was deleted.
        is_trusted: whether an object with the known version is the known object.
    """

    def __init__(self, before: KnownVersions, *, is_trusted: bool = True) -> None:
        self.before = before
        self.listed = KnownVersions()
        self._is_trusted = is_trusted

    def take(self, mapping: Mapping[str, Any]) -> bool:
        """Add one object of the list; return whether it differs from what was known."""
        name, version = name_of(mapping), version_of(mapping)
        self.listed.put(name, version)
        return not self._is_trusted or not version.number or self.before.get(name) != version

    def gone(self) -> tuple[Name, ...]:
        """Return the names that the complete list no longer has."""
        return tuple(self.before.keys() - self.listed.keys())
