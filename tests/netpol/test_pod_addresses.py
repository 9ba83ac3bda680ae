"""The index of pods' addresses."""

import pytest

from webhook.netpol.intervals import WHOLE, address_of, network
from webhook.netpol.pod_addresses import PodAddresses

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
    """Two pods may bear one address for a moment; IPv6 is in use as long as a pod has such an address."""
    address = address_of("fd00::7")
    two = PODS.changed((), (address,))
    one = two.changed((address,), ())
    none = one.changed((address,), ())

    assert [known.holds_any(6, WHOLE[6]) for known in (two, one, none)] == [True, True, False]
    assert [known.families() for known in (two, one, none)] == [(4, 6), (4, 6), (4,)]
    assert one == PODS
