"""Sets of addresses as intervals: the algebra against sets of small integers, and CIDRs in and out of it."""

import ipaddress
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from webhook.netpol.intervals import (
    LAST,
    WHOLE,
    Interval,
    Intervals,
    address_of,
    holds,
    intersect,
    largest_network,
    network,
    subtract,
    union,
)

PIECES = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 6)).map(lambda pair: (pair[0], pair[0] + pair[1])), max_size=6
)
SETS = PIECES.map(union)


def members(intervals: Intervals) -> set[int]:
    return {address for first, last in intervals for address in range(first, last + 1)}


def is_canonical(intervals: Intervals) -> bool:
    """Whether the intervals are sorted, disjoint and not adjacent."""
    ordered = all(first <= last for first, last in intervals)
    return ordered and all(one[1] + 1 < two[0] for one, two in pairwise(intervals))


@given(PIECES)
@example([(0, 9), (2, 3)])
def test_union(pieces: list[Interval]) -> None:
    """A union holds what any piece holds, in the one canonical form."""
    merged = union(pieces)

    assert members(tuple(pieces)) == members(merged)
    assert is_canonical(merged)


@given(SETS, SETS)
def test_subtraction(left: Intervals, right: Intervals) -> None:
    """A difference holds what the left set holds and the right one does not."""
    rest = subtract(left, right)

    assert members(left) - members(right) == members(rest)
    assert is_canonical(rest)


@given(SETS, SETS)
def test_intersection(left: Intervals, right: Intervals) -> None:
    """An intersection holds what both sets hold."""
    both = intersect(left, right)

    assert members(left) & members(right) == members(both)
    assert is_canonical(both)


@given(SETS, st.integers(-1, 50))
def test_membership(intervals: Intervals, address: int) -> None:
    """An address is in a set where it is in one of the intervals."""
    assert holds(intervals, address) is (address in members(intervals))


@given(SETS, SETS)
def test_equal_sets_are_equal_tuples(left: Intervals, right: Intervals) -> None:
    """The form is canonical: two ways to the same set give the same tuple."""
    assert subtract(left, subtract(left, right)) == intersect(left, right)
    assert union((*subtract(left, right), *intersect(left, right))) == left


@pytest.mark.parametrize("family", [4, 6])
def test_a_whole_family_has_both_ends(family: int) -> None:
    """The first and the last address of a family belong to it, and taking a set out of itself leaves nothing."""
    assert holds(WHOLE[family], 0)
    assert holds(WHOLE[family], LAST[family])
    assert not holds(WHOLE[family], LAST[family] + 1)
    assert subtract(WHOLE[family], WHOLE[family]) == ()


# CIDRs


@pytest.mark.parametrize(
    ("text", "family", "first", "last"),
    [
        pytest.param("0.0.0.0/0", 4, "0.0.0.0", "255.255.255.255", id="all of IPv4"),  # noqa: S104  no socket
        pytest.param("::/0", 6, "::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", id="all of IPv6, none of it IPv4"),
        pytest.param("192.168.242.213/24", 4, "192.168.242.0", "192.168.242.255", id="host bits are masked"),
        pytest.param("2001:db8::7/32", 6, "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", id="in IPv6 too"),
        pytest.param("10.0.0.7/32", 4, "10.0.0.7", "10.0.0.7", id="one address"),
        pytest.param("010.001.000.08/8", 4, "10.0.0.0", "10.255.255.255", id="leading zeros are decimal, never octal"),
        pytest.param("10.0.0.0/08", 4, "10.0.0.0", "10.255.255.255", id="also in the prefix length"),
    ],
)
def test_networks(text: str, family: int, first: str, last: str) -> None:
    """A CIDR is read as its first and its last address."""
    assert network(text) == (family, (address_of(first)[1], address_of(last)[1]))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "/8",
        "10.0.0.0",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0.0/+8",
        "10.0.0.0/8/8",
        "10.0.0.0/ 8",
        "10.0.0.0/255.0.0.0",
        "10.0.0.0/\N{SUPERSCRIPT TWO}",
        "\N{ARABIC-INDIC DIGIT THREE}.0.0.0/8",
        f"10.0.0.0/{'9' * 5000}",
        f"{'9' * 5000}.0.0.0/8",
        "10.0.0/8",
        "10.0.0.0.0/8",
        "10..0.0/8",
        "0x0a.0.0.0/8",
        "256.0.0.0/8",
        "::/129",
        ":::/8",
        "fe80::1%eth0/64",
        "::ffff:10.0.0.0/104",
    ],
    ids=lambda text: f"{text[:30]!r}",
)
def test_what_is_no_network(text: str) -> None:
    """What is no CIDR of IPv4 or plain IPv6 is refused, and never read as another one."""
    with pytest.raises(ValueError, match=r"\S"):
        network(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [("0.0.0.10", (4, 10)), ("::10", (6, 16)), ("255.255.255.255", (4, 2**32 - 1))],
)
def test_addresses(text: str, address: tuple[int, int]) -> None:
    """An address is its family and its number."""
    assert address == address_of(text)


@pytest.mark.parametrize(
    "text", ["", "10.0.0.0/8", "10.0.0", "localhost", "1" * 5000], ids=lambda text: repr(text[:12])
)
def test_what_is_no_address(text: str) -> None:
    """What is no address is refused."""
    with pytest.raises(ValueError, match=r"\S"):
        address_of(text)


@pytest.mark.parametrize(
    ("cidrs", "taken", "largest"),
    [
        pytest.param(["0.0.0.0/0"], [], "0.0.0.0/0", id="everything"),
        pytest.param(["203.0.113.7/32"], [], "203.0.113.7/32", id="one address"),
        pytest.param(["10.0.0.0/8", "11.0.0.0/8"], [], "10.0.0.0/7", id="adjacent networks that are one"),
        pytest.param(["11.0.0.0/8", "12.0.0.0/8"], [], "11.0.0.0/8", id="adjacent networks that are none: the first"),
        pytest.param(["0.0.0.0/0"], ["0.0.0.0/32"], "128.0.0.0/1", id="a hole at the beginning"),
        pytest.param(["0.0.0.0/0"], ["200.0.0.0/8"], "0.0.0.0/1", id="a hole in the second half"),
        pytest.param(["::/0"], ["2001:db8::/32"], "8000::/1", id="a hole in IPv6"),
    ],
)
def test_the_largest_network(cidrs: list[str], taken: list[str], largest: str) -> None:
    """A set is shown by the first of the largest CIDRs that lie in it."""
    family = network(cidrs[0])[0]
    intervals = subtract(union(network(cidr)[1] for cidr in cidrs), union(network(cidr)[1] for cidr in taken))

    assert largest == largest_network(intervals, family)


@given(SETS.filter(bool))
def test_the_largest_network_against_a_list_of_all(intervals: Intervals) -> None:
    """The network found is the first of the shortest prefixes among all that make up the set."""
    every = [
        candidate
        for first, last in intervals
        for candidate in ipaddress.summarize_address_range(ipaddress.IPv4Address(first), ipaddress.IPv4Address(last))
    ]

    assert str(min(every, key=lambda candidate: candidate.prefixlen)) == largest_network(intervals, 4)


def test_an_empty_set_has_no_network() -> None:
    """There is nothing to show of an empty set."""
    with pytest.raises(ValueError, match="empty"):
        largest_network((), 4)


def test_thousands_of_exceptions_are_not_listed_one_by_one() -> None:
    """The largest network among the gaps of 20,000 IPv6 addresses is found in one pass, with no list of CIDRs."""
    scattered = union((number * 2**110 + 7919 * number, number * 2**110 + 7919 * number) for number in range(20_000))
    gaps = subtract(WHOLE[6], scattered)

    assert largest_network(gaps, 6) == "8000::/1"
