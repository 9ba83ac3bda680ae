"""News of one kind counts once, and in the order of the cluster's own numbers."""

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
def test_a_version_is_a_number_or_nothing(text: object, number: int) -> None:
    """Only plain decimal digits of a bearable length are compared."""
    assert version_number(text) == number


def test_what_is_not_newer_is_no_news() -> None:
    """The same state again, and an earlier one, are refused; a later one is news."""
    ordering = Ordering()
    events: list[tuple[EventType, int]] = [("ADDED", 5), ("ADDED", 5), ("MODIFIED", 4), ("MODIFIED", 6)]

    assert [ordering.admit(kind, mapping("x", number)) for kind, number in events] == [True, False, False, True]


def test_an_earlier_object_of_the_same_name_cannot_remove_a_later_one() -> None:
    """The deletion of what had this name before is old news."""
    ordering = Ordering()
    ordering.admit("ADDED", mapping("x", 9, uid="new"))

    assert not ordering.admit("DELETED", mapping("x", 7, uid="old"))
    assert len(ordering) == 1


def test_the_end_of_the_same_object_is_always_true() -> None:
    """A uid never comes back, whatever number its deletion has."""
    ordering = Ordering()
    ordering.admit("ADDED", mapping("x", 9))

    assert ordering.admit("DELETED", mapping("x", 9))
    assert len(ordering) == 0


def test_a_later_deletion_removes_whoever_has_the_name() -> None:
    """When the creation in between was never seen, the name is free all the same."""
    ordering = Ordering()
    ordering.admit("ADDED", mapping("x", 9, uid="first"))

    assert ordering.admit("DELETED", mapping("x", 12, uid="second"))


def test_what_was_deleted_does_not_come_back() -> None:
    """An old state that comes after the deletion is refused, also when the deletion came first of all."""
    ordering = Ordering()

    assert not ordering.admit("DELETED", mapping("x", 7))
    assert not ordering.admit("ADDED", mapping("x", 6))
    assert ordering.admit("ADDED", mapping("x", 8, uid="b"))


def test_nothing_from_before_a_bookmark_is_news() -> None:
    """After a bookmark everything up to it has come; what was deleted before need not be remembered."""
    ordering = Ordering()
    ordering.admit("ADDED", mapping("x", 3))
    ordering.admit("DELETED", mapping("x", 4))
    ordering.everything_before(10)
    ordering.everything_before(6)

    assert not ordering.admit("ADDED", mapping("y", 10))
    assert not ordering.admit("ADDED", mapping("x", 4))
    assert ordering.admit("ADDED", mapping("y", 11))


def test_versions_that_are_no_numbers_are_taken_as_they_come() -> None:
    """Where nothing can be compared, the last word counts."""
    ordering = Ordering()

    assert ordering.admit("ADDED", mapping("x", "abc"))
    assert ordering.admit("MODIFIED", mapping("x", "aaa"))
    assert ordering.admit("DELETED", mapping("x", "zzz"))


def test_a_list_names_what_changed_and_what_is_gone() -> None:
    """What is known in the same version is left alone."""
    ordering = Ordering()
    for name, number in (("same", 1), ("newer", 2), ("gone", 3)):
        ordering.admit("ADDED", mapping(name, number))
    relist = ordering.relist()

    assert not relist.take(mapping("same", 1))
    assert relist.take(mapping("newer", 8))
    assert relist.take(mapping("same", 1, uid="b", namespace="other"))
    assert relist.gone() == (("ns", "gone"),)


def test_the_checksum_knows_names_namespaces_and_versions() -> None:
    """Whoever knows the same has the same, in whatever order it came; whoever does not has another."""

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
    """A list in pages may show what changed in between again."""
    ordering, expected = Ordering(), Ordering()
    relist = ordering.relist()
    for number in (1, 2):
        relist.take(mapping("x", number))
    ordering.replace(relist, 2)
    expected.admit("ADDED", mapping("x", 2))

    assert ordering.checksum == expected.checksum


class Cluster(RuleBasedStateMachine):
    """A cluster whose news comes late, twice and in any order between two bookmarks."""

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
        """Deliver any of the news that is due, not always the first."""
        if self.pending:
            index = data.draw(st.integers(0, len(self.pending) - 1))
            self.sent.append(self.pending.pop(index))
            self.receive(*self.sent[-1])

    @rule(data=st.data())
    def repeat(self, data: st.DataObject) -> None:
        """Deliver old news once more."""
        if self.sent:
            self.receive(*data.draw(st.sampled_from(self.sent)))

    @rule()
    def bookmark(self) -> None:
        """Deliver all that is due, and say so."""
        for event in self.pending:
            self.receive(*event)
        self.sent += self.pending
        self.pending = []
        self.ordering.everything_before(self.revision)

    @rule()
    def list_again(self) -> None:
        """Take a list; what was due before it comes after it, too late."""
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
    def knows_the_truth_when_nothing_is_due(self) -> None:
        """Compare with the cluster."""
        if not self.pending:
            assert self.cached == {name: number for name, (_, number) in self.truth.items()}
            assert len(self.ordering) == len(self.truth)
            told = [f"ns/{name} {number}" for name, (_, number) in self.truth.items()]
            assert self.ordering.checksum == sum(crc32(one.encode()) for one in told) % 2**32


Cluster.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None, derandomize=True)
TestAnyOrderOfNews = Cluster.TestCase
