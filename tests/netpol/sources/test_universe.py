"""What "from anywhere" means: unicast addresses outside the pods' ranges, and what may be pods."""

import pytest

from webhook.netpol.indexes import PodAddresses
from webhook.netpol.intervals import WHOLE, address_of, holds, network, subtract
from webhook.netpol.sources.universe import UNICAST, WIDEST_POD_RANGE, Universe, pod_ranges_of


@pytest.mark.parametrize(
    "text",
    [
        *("1.0.0.0", "8.8.8.8", "10.0.0.0", "100.64.0.1", "126.255.255.255", "128.0.0.0", "169.253.255.255"),
        *("169.255.0.0", "172.16.0.1", "192.0.2.1", "192.168.0.1", "223.255.255.255"),
        *("2000::", "2001:db8::1", "3fff:ffff::1", "fc00::", "fd00::1", "fdff:ffff::1"),
    ],
)
def test_unicast_addresses(text: str) -> None:
    """A connection can come from this address."""
    family, number = address_of(text)

    assert holds(UNICAST[family], number)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("0.0.0.0", id="unspecified"),  # noqa: S104  no socket
        pytest.param("0.255.255.255", id="this network"),
        pytest.param("127.0.0.1", id="loopback"),
        pytest.param("169.254.169.254", id="link-local"),
        pytest.param("224.0.0.1", id="multicast"),
        pytest.param("239.255.255.255", id="the last multicast address"),
        pytest.param("240.0.0.1", id="reserved"),
        pytest.param("255.255.255.255", id="broadcast"),
        pytest.param("::", id="unspecified in IPv6"),
        pytest.param("::1", id="loopback in IPv6"),
        pytest.param("::ffff:10.0.0.1", id="IPv4-mapped"),
        pytest.param("1fff::1", id="reserved below global unicast"),
        pytest.param("4000::1", id="reserved above it"),
        pytest.param("fe00::1", id="reserved above unique local"),
        pytest.param("fe80::1", id="link-local in IPv6"),
        pytest.param("fec0::1", id="site-local, which is no more"),
        pytest.param("ff02::1", id="multicast in IPv6"),
    ],
)
def test_other_addresses(text: str) -> None:
    """No connection comes from this address."""
    family, number = address_of(text)

    assert not holds(UNICAST[family], number)


def test_outside_the_pods() -> None:
    """The addresses outside are the unicast ones without the pod ranges, where these are told."""
    told = Universe(pod_ranges=pod_ranges_of(["10.244.0.0/16", "fd00:10:244::/48"]))

    assert told.outside(4) == subtract(UNICAST[4], (network("10.244.0.0/16")[1],))
    assert told.outside(6) == subtract(UNICAST[6], (network("fd00:10:244::/48")[1],))
    assert Universe().outside(4) == UNICAST[4]


@pytest.mark.parametrize(
    ("cidrs", "ranges"),
    [
        pytest.param([], None, id="none is told"),
        pytest.param(["10.244.0.0/16"], {4: (network("10.244.0.0/16")[1],), 6: ()}, id="one family"),
        pytest.param(
            ["10.1.0.0/16", "10.0.0.0/16", "fd00::/64"],
            {4: (network("10.0.0.0/15")[1],), 6: (network("fd00::/64")[1],)},
            id="adjacent ranges are one",
        ),
    ],
)
def test_pod_ranges(cidrs: list[str], ranges: object) -> None:
    """Pod ranges are read by family, and none at all is not an empty range."""
    assert ranges == pod_ranges_of(cidrs)


def test_pod_ranges_that_are_none() -> None:
    """A pod range must be a CIDR."""
    with pytest.raises(ValueError, match="pods"):
        pod_ranges_of(["pods"])


SEEN = PodAddresses.of(address_of(text) for text in ("10.244.0.7", "10.244.3.9", "fd00:10:244::7", "2001:db8::7"))


@pytest.mark.parametrize(
    ("exceptions", "family", "perhaps"),
    [
        pytest.param(["10.244.0.0/16"], 4, ["10.244.0.0/16"], id="it holds pods"),
        pytest.param(["10.244.0.7/32"], 4, ["10.244.0.7/32"], id="it is one pod"),
        pytest.param(["10.244.0.0/29"], 4, ["10.244.0.0/29"], id="a pod is its last address"),
        pytest.param(["10.244.0.8/29"], 4, [], id="the next address is no pod's"),
        pytest.param(["192.168.0.0/16"], 4, [], id="no pod is in it"),
        pytest.param(
            ["10.244.0.0/24", "10.244.3.0/24", "10.9.0.0/16"], 4, ["10.244.0.0/24", "10.244.3.0/24"], id="two"
        ),
        pytest.param(["10.0.0.0/8"], 4, ["10.0.0.0/8"], id="a /8 may be for pods only"),
        pytest.param(["10.0.0.0/7"], 4, [], id="a /7 surely is not"),
        pytest.param(["fd00:10:244::/48"], 6, ["fd00:10:244::/48"], id="it holds IPv6 pods"),
        pytest.param(["fd00:10:244::/48"], 4, [], id="not asked about IPv6"),
        pytest.param(["fc00::/7"], 6, ["fc00::/7"], id="all unique local addresses may be pods'"),
        pytest.param(["2001::/16"], 6, ["2001::/16"], id="a /16 of IPv6 may be for pods only"),
        pytest.param(["2000::/15"], 6, [], id="a /15 of global addresses surely is not"),
        pytest.param([], 4, [], id="no exception"),
    ],
)
def test_exceptions_that_may_be_pods(exceptions: list[str], family: int, perhaps: list[str]) -> None:
    """An exception may hold nothing but pods where it holds pods seen and is not too wide."""
    universe = Universe(families=(4, 6), pod_addresses=SEEN)
    found = universe.perhaps_pods(family, [network(cidr) for cidr in exceptions], WHOLE[family])

    assert tuple(network(cidr)[1] for cidr in perhaps) == found


def test_pod_ranges_that_are_told_leave_no_doubt() -> None:
    """Where the pod ranges are told, no exception may be something else."""
    universe = Universe(pod_ranges=pod_ranges_of(["10.244.0.0/16"]), pod_addresses=SEEN)

    assert universe.perhaps_pods(4, [network("10.244.0.0/16")], WHOLE[4]) == ()


@pytest.mark.parametrize(
    ("among", "matters"),
    [
        pytest.param([], False, id="no address is asked about"),
        pytest.param(["10.243.0.0/16"], False, id="all are before it"),
        pytest.param(["10.245.0.0/16", "11.0.0.0/8"], False, id="all are behind it"),
        pytest.param(["10.244.9.0/24"], True, id="one is in it"),
        pytest.param(["10.0.0.0/16", "11.0.0.0/8"], True, id="it is among them"),
    ],
)
def test_only_exceptions_near_the_addresses_in_question_matter(among: list[str], matters: bool) -> None:  # noqa: FBT001
    """An exception before the first address in question, or behind the last one, is left out."""
    exception = network("10.244.0.0/16")
    found = Universe(pod_addresses=SEEN).perhaps_pods(4, [exception], tuple(network(cidr)[1] for cidr in among))

    assert found == ((exception[1],) if matters else ())


def test_the_widest_range_of_pods() -> None:
    """The widest ranges are a /8 and a /16."""
    sizes = {family: last - first + 1 for family, (first, last) in (network("10.0.0.0/8"), network("fd00::/16"))}

    assert sizes == WIDEST_POD_RANGE
