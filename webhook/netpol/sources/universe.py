"""
All sources that can open a connection: what "from anywhere" means.

Every pod of every namespace, existing or future, and every unicast address outside the pods' own ranges. Loopback,
link-local, multicast, unspecified and reserved ranges are not the source of a connection to a pod.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from webhook.netpol.indexes import NO_ADDRESSES, PodAddresses
from webhook.netpol.intervals import (
    IPV4,
    IPV6,
    WHOLE,
    Interval,
    Intervals,
    intersect,
    network,
    subtract,
    union,
)

IPBlockMatchesPods = Literal["yes", "no", "unknown"]
"""Whether an ipBlock that contains a pod's address admits that pod: network plugins differ (Calico yes, Cilium no)."""


Enforced = Literal["yes", "no", "unknown"]
"""Whether the network plugin enforces the policies of Calico."""

LabelsOf = Callable[[str], Mapping[str, str] | None]


def all_to_come(_: str) -> None:
    """Return that a namespace does not exist yet: for a cluster of which no namespace is known."""


def _ranges(*cidrs: str) -> Intervals:
    return union(network(cidr)[1] for cidr in cidrs)


UNICAST: Mapping[int, Intervals] = {
    # RFC 1122 3.2.1.3 ("this network", loopback), RFC 3927 link-local, RFC 5771 multicast, RFC 1112 reserved, broadcast
    IPV4: subtract(WHOLE[IPV4], _ranges("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4")),
    # RFC 4291 2.4 and IANA's registry of the IPv6 address space: global unicast, and RFC 4193 unique local. All else
    # is loopback, link-local, multicast, or reserved
    IPV6: _ranges("2000::/3", "fc00::/7"),
}

WIDEST_POD_RANGE = {IPV4: 2**24, IPV6: 2**112}
"""
The largest range, in addresses, that may hold nothing but pods: a /8, or a /16 of IPv6. A larger one surely has
addresses that are not pods'.
"""

_UNIQUE_LOCAL = network("fc00::/7")[1]


@dataclass(frozen=True, kw_only=True, slots=True)
class Universe:
    """
    All sources that a requirement "from anywhere" speaks of.

    Args:
        families: address families in use, 4 and 6.
        pod_ranges: the cluster's pod ranges by family; None where they are not set.
        pod_addresses: every pod address seen; only asked where pod_ranges is None.
        ipblock_matches_pods: what this cluster's plugin does, or "unknown".
        calico: whether the plugin enforces Calico's policies.
        labels_of: returns the labels of a namespace that exists; None for one that may come, with any labels.
    """

    families: tuple[int, ...] = (IPV4,)
    pod_ranges: Mapping[int, Intervals] | None = None
    pod_addresses: PodAddresses = NO_ADDRESSES
    ipblock_matches_pods: IPBlockMatchesPods = "unknown"
    calico: Enforced = "unknown"
    labels_of: LabelsOf = all_to_come

    def outside(self, family: int) -> Intervals:
        """Return the unicast addresses that are not pods', as far as that is known."""
        return subtract(UNICAST[family], (self.pod_ranges or {}).get(family, ()))

    def perhaps_pods(self, family: int, exceptions: Iterable[tuple[int, Interval]], among: Intervals) -> Intervals:
        """
        Return the exceptions that may hold nothing but pods: those with a known pod address in them.

        There are none where the pod ranges are set.

        Args:
            family: of the addresses, 4 or 6.
            exceptions: those of ipBlocks, with their families.
            among: the addresses in question; exceptions before the first one and behind the last one do not matter.
        """
        if self.pod_ranges is not None or not among:
            return ()
        start, end = among[0][0], among[-1][1]
        return union(
            interval
            for known, interval in exceptions
            if known == family
            and interval[0] <= end
            and interval[1] >= start
            and _may_be_pods_only(family, *interval)
            and self.pod_addresses.holds_any(family, (interval,))
        )


def _may_be_pods_only(family: int, first: int, last: int) -> bool:
    if last - first + 1 <= WIDEST_POD_RANGE[family]:
        return True
    return family == IPV6 and intersect(((first, last),), (_UNIQUE_LOCAL,)) == ((first, last),)


def pod_ranges_of(cidrs: Iterable[str]) -> Mapping[int, Intervals] | None:
    """
    Return the pod ranges of a cluster by family; None where *cidrs* is empty.

    Raises:
        ValueError: one is not a CIDR.
    """
    pieces: dict[int, list[Interval]] = {IPV4: [], IPV6: []}
    for cidr in cidrs:
        family, interval = network(cidr)
        pieces[family].append(interval)
    if not any(pieces.values()):
        return None
    return {family: union(intervals) for family, intervals in pieces.items()}
