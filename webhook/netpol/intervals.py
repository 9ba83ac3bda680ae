"""
Sets of addresses as sorted, disjoint, non-adjacent integer intervals.

An IPv4 address is an integer below 2**32, an IPv6 address one below 2**128; the family is known to the caller. With
integers, containment and subtraction are cheap and exact for any number of CIDRs: every operation sorts or sweeps.
"""

import ipaddress
from bisect import bisect_left, bisect_right
from collections.abc import Iterable

IPAddress = tuple[int, int]
"""Family (4 or 6) and number."""

Interval = tuple[int, int]
"""First and last number of a range of addresses, both included."""

Intervals = tuple[Interval, ...]
"""Sorted, disjoint and not adjacent: equal sets are equal tuples."""

IPV4 = 4
IPV6 = 6
LAST = {IPV4: 2**32 - 1, IPV6: 2**128 - 1}
_OCTETS = {str(number): number for number in range(256)}
_LENGTHS = {str(number): number for number in range(33)}
WHOLE: dict[int, Intervals] = {family: ((0, last),) for family, last in LAST.items()}


def union(pieces: Iterable[Interval]) -> Intervals:
    """Return the union of intervals, which may be in any order."""
    merged: list[Interval] = []
    for first, last in sorted(pieces):
        if merged and first <= merged[-1][1] + 1:
            if last > merged[-1][1]:
                merged[-1] = (merged[-1][0], last)
        else:
            merged.append((first, last))
    return tuple(merged)


def subtract(left: Intervals, right: Intervals) -> Intervals:
    """Return the addresses of *left* that are not in *right*."""
    if not right:
        return left
    pieces: list[Interval] = []
    position = 0
    for left_first, last in left:
        first = left_first
        while position < len(right) and right[position][1] < first:
            position += 1
        sweep = position
        while sweep < len(right) and right[sweep][0] <= last and first <= last:
            if right[sweep][0] > first:
                pieces.append((first, right[sweep][0] - 1))
            first = right[sweep][1] + 1
            sweep += 1
        if first <= last:
            pieces.append((first, last))
    return tuple(pieces)


def intersect(left: Intervals, right: Intervals) -> Intervals:
    """Return the addresses that are in both sets: a slice of the longer one for each interval of the shorter."""
    short, long = (left, right) if len(left) < len(right) else (right, left)
    pieces: list[Interval] = []
    start = 0
    for first, last in short:
        start = bisect_left(long, first, lo=start, key=_last)
        end = bisect_right(long, last, lo=start, key=_first)
        if end > start:
            inside = list(long[start:end])
            inside[0] = max(first, inside[0][0]), inside[0][1]
            inside[-1] = inside[-1][0], min(last, inside[-1][1])
            pieces += inside
    return tuple(pieces)


def holds(intervals: Intervals, address: int) -> bool:
    """Whether *address* is in the set."""
    index = bisect_right(intervals, address, key=_first)
    return index > 0 and address <= intervals[index - 1][1]


def _first(interval: Interval) -> int:
    return interval[0]


def _last(interval: Interval) -> int:
    return interval[1]


def network(text: str) -> tuple[int, Interval]:
    """
    Return the family and the interval of a CIDR.

    Host bits may be set and octets may have leading zeros: stored policies may have both, and are read as the API
    server reads them.

    Raises:
        ValueError: *text* is not a CIDR of IPv4 or plain IPv6.

    Source: k8s.io/utils/net ParseCIDRSloppy; NetworkPolicy validation keeps old values.
    """
    address, slash, prefix = text.partition("/")
    if "." in address and prefix in _LENGTHS:
        plain = _plain_ipv4(address)
        if plain is not None:
            return IPV4, _range(plain, 32 - _LENGTHS[prefix])
    if not slash or "%" in address or not prefix.isascii() or not prefix.isdigit():
        raise ValueError(f"{text!r} is not a CIDR")
    if ":" not in address:
        address = ".".join(part.lstrip("0") or "0" if part.isdigit() else part for part in address.split("."))
    try:
        parsed, length = ipaddress.ip_address(address), int(prefix)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a CIDR") from error
    if length > parsed.max_prefixlen:
        raise ValueError(f"{text!r} is not a CIDR")
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        raise ValueError(f"{text!r} is an IPv4-mapped IPv6 CIDR, which network plugins read differently")
    return parsed.version, _range(int(parsed), parsed.max_prefixlen - length)


def _plain_ipv4(address: str) -> int | None:
    """Return the number of an IPv4 address in a third of the library's time; None for one that is not plain."""
    try:
        one, two, three, four = address.split(".")
        return (_OCTETS[one] << 24) + (_OCTETS[two] << 16) + (_OCTETS[three] << 8) + _OCTETS[four]
    except (KeyError, ValueError):
        return None


def _range(address: int, host_bits: int) -> Interval:
    first = address >> host_bits << host_bits
    return first, first + (1 << host_bits) - 1


def address_of(text: str) -> IPAddress:
    """
    Return the family and the number of an IP address.

    Raises:
        ValueError: *text* is not an IP address.
    """
    plain = _plain_ipv4(text)
    if plain is not None:
        return 4, plain
    parsed = ipaddress.ip_address(text)
    return parsed.version, int(parsed)


def largest_network(intervals: Intervals, family: int) -> str:
    """Return, as text, the largest CIDR within the set: the example in a message."""
    bits = LAST[family].bit_length()
    best: tuple[int, int] | None = None  # how many host bits, and the first address
    for first, last in intervals:
        size = (last - first + 1).bit_length() - 1
        start = _aligned(first, size)
        if start + (1 << size) - 1 > last:
            size -= 1
            start = _aligned(first, size)
        if best is None or size > best[0]:
            best = size, start
    if best is None:
        raise ValueError("an empty set holds no network")
    size, start = best
    make = ipaddress.IPv4Address if family == IPV4 else ipaddress.IPv6Address
    return f"{make(start)}/{bits - size}"


def _aligned(address: int, host_bits: int) -> int:
    """Return the first address from *address* on at which a network with so many host bits can begin."""
    return -(-address >> host_bits) << host_bits
