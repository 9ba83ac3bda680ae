"""Persistent indexes: sorted sets of numbers or names, and the addresses of pods."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.netpol.indexes import MOST, PodAddresses, SortedSet
from webhook.netpol.intervals import WHOLE, address_of, network

NUMBERS = st.integers(0, 60)


@given(st.lists(st.tuples(NUMBERS, st.booleans())), st.sets(NUMBERS))
def test_any_history_of_changes(history: list[tuple[int, bool]], began: set[int]) -> None:
    """The set holds what was inserted and not removed, in order, and earlier sets stay what they were."""
    found, expected = SortedSet.of(began), set(began)
    earlier: list[tuple[SortedSet[int], list[int]]] = []
    for value, is_there in history:
        earlier.append((found, sorted(expected)))
        found = found.insert(value) if is_there else found.remove(value)
        expected = expected | {value} if is_there else expected - {value}

    assert sorted(expected) == list(found)
    assert all(values == list(known) for known, values in earlier)


@given(st.sets(st.integers(0, 2000), max_size=900), st.lists(st.integers(0, 2000)), NUMBERS)
def test_what_lies_between(values: set[int], firsts: list[int], width: int) -> None:
    """A set holds a value between two others exactly where one is there; both ends count."""
    found = SortedSet.of(values)

    for first in firsts:
        between = any(first <= value <= first + width for value in values)
        assert between is found.holds_between(first, first + width)


@pytest.mark.parametrize("order", [1, -1, 7919], ids=["upwards", "downwards", "mixed"])
def test_buckets_stay_short_and_few(order: int) -> None:
    """Whatever the order of ten thousand changes, no bucket is long, and there are few of them."""
    values = [number * order % 10_007 for number in range(10_000)]
    found: SortedSet[int] = SortedSet()
    for value in values:
        found = found.insert(value)
    lengths = [len(bucket) for bucket in found.buckets]

    assert sorted(values) == list(found)
    assert max(lengths) <= MOST
    assert len(lengths) <= 10_000 // (MOST // 4) + 1
    for value in values[:9_900]:
        found = found.remove(value)

    assert sorted(values[9_900:]) == list(found)
    assert len(found.buckets) <= 100 // (MOST // 4) + 2
    assert found.firsts == tuple(bucket[0] for bucket in found.buckets)


def test_a_change_touches_one_bucket() -> None:
    """All buckets but one are the same objects after a change."""
    found = SortedSet.of(range(10_000))
    changed = found.remove(5_000)

    assert len({*map(id, found.buckets)} - {*map(id, changed.buckets)}) == 1


@given(st.sets(NUMBERS), NUMBERS)
def test_values_from_one_on(values: set[int], first: int) -> None:
    """The values from one on come in order, whether or not that one is there."""
    assert sorted(value for value in values if value >= first) == list(SortedSet.of(values).starting_at(first))


def test_names_are_ordered_as_text() -> None:
    """A set of names is in the order of their characters."""
    assert ["a", "a-b", "b"] == list(SortedSet.of(["b", "a-b", "a"]).insert("a"))


# The addresses of pods

PODS = PodAddresses.of(address_of(text) for text in ("10.244.0.7", "10.244.3.9", "fd00::7"))


@pytest.mark.parametrize(
    ("family", "cidrs", "expected"),
    [
        (4, ["10.244.0.0/16"], True),
        (4, ["10.244.0.7/32"], True),
        (4, ["10.244.0.8/29", "10.244.2.0/24"], False),
        (4, ["192.0.2.0/24", "10.244.3.9/32"], True),
        (6, ["fd00::/64"], True),
        (6, ["2001:db8::/32"], False),
        (4, [], False),
    ],
)
def test_whether_a_range_holds_pods(family: int, cidrs: list[str], expected: bool) -> None:  # noqa: FBT001  a column
    """A range holds pods where one of them has an address in it."""
    assert expected is PODS.holds_any(family, tuple(network(cidr)[1] for cidr in cidrs))


def test_an_address_stays_until_its_last_bearer_is_gone() -> None:
    """Two pods may bear one address for a moment; IPv6 is in use while a pod has such an address."""
    address = address_of("fd00::7")
    two = PODS.changed((), (address,))
    one = two.changed((address,), ())
    none = one.changed((address,), ())

    assert [known.holds_any(6, WHOLE[6]) for known in (two, one, none)] == [True, True, False]
    assert [known.families() for known in (two, one, none)] == [(4, 6), (4, 6), (4,)]
    assert one == PODS
