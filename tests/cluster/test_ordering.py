"""The events of one kind count once, in the order of their resourceVersions."""

from typing import Any
from zlib import crc32

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from webhook.cluster.ordering import EventType, Ordering, version_number


def mapping(name: str, number: int | str, uid: str = "a", namespace: str = "ns") -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace, "uid": uid, "resourceVersion": str(number)}}


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("12", 12),
        ("", 0),
        (None, 0),
        (12, 0),
        ("12a", 0),
        ("-1", 0),
        ("٣", 0),
        ("9" * 21, 0),
        ("9" * 20, int("9" * 20)),
    ],
)
def test_only_decimal_resource_versions_are_compared(text: object, number: int) -> None:
    """Only plain decimal digits of a limited length give a number."""
    assert version_number(text) == number


def test_an_event_that_is_not_newer_is_ignored() -> None:
    """The same state again, and an earlier one, are ignored; a later one is taken."""
    ordering = Ordering()
    events: list[tuple[EventType, int]] = [("ADDED", 5), ("ADDED", 5), ("MODIFIED", 4), ("MODIFIED", 6)]

    assert [ordering.admit(kind, mapping("x", number)) for kind, number in events] == [True, False, False, True]


def test_an_earlier_object_of_the_same_name_cannot_remove_a_later_one() -> None:
    """The deletion of an earlier object with this name is ignored."""
    ordering = Ordering()
    ordering.admit("ADDED", mapping("x", 9, uid="new"))

    assert not ordering.admit("DELETED", mapping("x", 7, uid="old"))
    assert len(ordering) == 1


def test_the_deletion_of_the_same_uid_is_always_taken() -> None:
    """A uid never comes back, whatever number its deletion has."""
    ordering = Ordering()
    ordering.admit("ADDED", mapping("x", 9))

    assert ordering.admit("DELETED", mapping("x", 9))
    assert len(ordering) == 0


def test_a_later_deletion_removes_the_object_of_that_name() -> None:
    """Even if the creation in between was never seen, the name is free."""
    ordering = Ordering()
    ordering.admit("ADDED", mapping("x", 9, uid="first"))

    assert ordering.admit("DELETED", mapping("x", 12, uid="second"))


def test_a_deleted_object_does_not_come_back() -> None:
    """An old state after the deletion is ignored, also if the deletion was the first event."""
    ordering = Ordering()

    assert not ordering.admit("DELETED", mapping("x", 7))
    assert not ordering.admit("ADDED", mapping("x", 6))
    assert ordering.admit("ADDED", mapping("x", 8, uid="b"))


def test_a_skipped_object_is_forgotten_until_a_newer_event() -> None:
    """An object whose new state is not kept is no longer known, and its older events are ignored."""
    ordering = Ordering()
    ordering.admit("ADDED", mapping("x", 3))

    assert not ordering.skip(mapping("x", 2))
    assert ordering.skip(mapping("x", 5))
    assert not ordering.skip(mapping("y", 6))
    assert len(ordering) == 0
    assert not ordering.admit("MODIFIED", mapping("x", 4))
    assert ordering.admit("MODIFIED", mapping("x", 7))


def test_events_from_before_a_bookmark_are_ignored() -> None:
    """After a bookmark all events up to it have come, and earlier deletions need not be remembered."""
    ordering = Ordering()
    ordering.admit("ADDED", mapping("x", 3))
    ordering.admit("DELETED", mapping("x", 4))
    ordering.everything_before(10)
    ordering.everything_before(6)

    assert not ordering.admit("ADDED", mapping("y", 10))
    assert not ordering.admit("ADDED", mapping("x", 4))
    assert ordering.admit("ADDED", mapping("y", 11))


def test_resource_versions_that_are_not_numbers_are_taken_in_order_of_arrival() -> None:
    """If they cannot be compared, the last event counts."""
    ordering = Ordering()

    assert ordering.admit("ADDED", mapping("x", "abc"))
    assert ordering.admit("MODIFIED", mapping("x", "aaa"))
    assert ordering.admit("DELETED", mapping("x", "zzz"))


def test_a_list_shows_what_changed_and_what_was_deleted() -> None:
    """An object that is known in the same version is unchanged."""
    ordering = Ordering()
    for name, number in (("same", 1), ("newer", 2), ("gone", 3)):
        ordering.admit("ADDED", mapping(name, number))
    relist = ordering.relist()

    assert not relist.take(mapping("same", 1))
    assert relist.take(mapping("newer", 8))
    assert relist.take(mapping("same", 1, uid="b", namespace="other"))
    assert relist.gone() == (("ns", "gone"),)


def test_the_checksum_depends_on_names_namespaces_and_versions() -> None:
    """It is equal for equal objects, in any order of arrival, and differs otherwise."""

    def summed(*mappings: dict[str, Any]) -> int:
        ordering = Ordering()
        for one in mappings:
            ordering.admit("ADDED", one)
        return ordering.checksum

    here, there = mapping("x", 4), mapping("y", 5)
    others = [mapping("x", 6), mapping("z", 4), mapping("x", 4, namespace="other")]

    assert summed() == 0
    assert summed(here, there) == summed(mapping("y", 3), here, there)
    assert len({summed(one, there) for one in (here, *others)}) == 4


def test_an_object_that_a_list_has_twice_counts_once() -> None:
    """A list in pages may show an object again that changed in between."""
    ordering, expected = Ordering(), Ordering()
    relist = ordering.relist()
    for number in (1, 2):
        relist.take(mapping("x", number))
    ordering.replace(relist, 2)
    expected.admit("ADDED", mapping("x", 2))

    assert ordering.checksum == expected.checksum


class Cluster(RuleBasedStateMachine):
    """A cluster whose events come late, twice, and in any order between two bookmarks."""

    def __init__(self) -> None:
        super().__init__()
        self.ordering = Ordering()
        self.cached: dict[str, int] = {}
        self.truth: dict[str, tuple[str, int]] = {}
        self.revision = 10
        self.pending: list[tuple[EventType, dict[str, Any]]] = []
        self.sent: list[tuple[EventType, dict[str, Any]]] = []

    @rule(name=st.sampled_from("abc"))
    def write(self, name: str) -> None:
        """Create or change an object."""
        self.revision += 1
        known = self.truth.get(name)
        uid = known[0] if known else f"uid-{self.revision}"
        self.truth[name] = uid, self.revision
        self.pending.append(("MODIFIED" if known else "ADDED", mapping(name, self.revision, uid)))

    @rule(name=st.sampled_from("abc"))
    def remove(self, name: str) -> None:
        """Delete an object."""
        if name in self.truth:
            self.revision += 1
            uid, _ = self.truth.pop(name)
            self.pending.append(("DELETED", mapping(name, self.revision, uid)))

    @rule(data=st.data())
    def deliver(self, data: st.DataObject) -> None:
        """Deliver any of the pending events, not always the first."""
        if self.pending:
            index = data.draw(st.integers(0, len(self.pending) - 1))
            self.sent.append(self.pending.pop(index))
            self.receive(*self.sent[-1])

    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        """Deliver an old event once more."""
        if self.sent:
            self.receive(*data.draw(st.sampled_from(self.sent)))

    @rule()
    def bookmark(self) -> None:
        """Deliver all pending events, and a bookmark."""
        for event in self.pending:
            self.receive(*event)
        self.sent += self.pending
        self.pending = []
        self.ordering.everything_before(self.revision)

    @rule()
    def list_again(self) -> None:
        """List the objects; the events that were pending before the list come after it."""
        relist = self.ordering.relist()
        for name, (uid, number) in self.truth.items():
            if relist.take(mapping(name, number, uid)):
                self.cached[name] = number
        for _, name in relist.gone():
            del self.cached[name]
        self.ordering.replace(relist, self.revision)

    def receive(self, event_type: EventType, news: dict[str, Any]) -> None:
        """Do what a store does."""
        if self.ordering.admit(event_type, news):
            name, number = news["metadata"]["name"], int(news["metadata"]["resourceVersion"])
            if event_type == "DELETED":
                del self.cached[name]
            else:
                assert number > self.cached.get(name, 0), "an object never goes backwards"
                self.cached[name] = number

    @invariant()
    def knows_the_truth_when_nothing_is_pending(self) -> None:
        """Compare with the cluster."""
        if not self.pending:
            assert self.cached == {name: number for name, (_, number) in self.truth.items()}
            assert len(self.ordering) == len(self.truth)
            told = [f"ns/{name} {number}" for name, (_, number) in self.truth.items()]
            assert self.ordering.checksum == sum(crc32(one.encode()) for one in told) % 2**32


Cluster.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None, derandomize=True)
TestAnyOrderOfNews = Cluster.TestCase
