"""Put a set of sources into words: who may connect to a pod's port."""

import ipaddress
from collections.abc import Iterable

from webhook.netpol.intervals import IPV4, Intervals
from webhook.netpol.labelspace import NAME_KEY, NAMESPACE, Key, Term, ValueSet
from webhook.netpol.sources import Sources


def describe_sources(sources: Sources) -> tuple[str, ...]:
    """Give one line for each part of the set, pods first."""
    if sources.everyone:
        return ("everyone: every pod, every node, every address",)
    lines = [_term(term) for term in sorted(sources.terms, key=_term)]
    for family, intervals in sources.blocks:
        lines.extend(f"addresses in {cidr}" for cidr in networks(family, intervals))
    if sources.blocks:
        lines.append("pods with such an address: that depends on the network plugin")
    if sources.unreadable:
        lines.append("perhaps others: a stored policy has parts that cannot be read")
    return tuple(lines) or ("nobody",)


def networks(family: int, intervals: Intervals) -> Iterable[str]:
    """Give the set as CIDRs."""
    make = ipaddress.IPv4Address if family == IPV4 else ipaddress.IPv6Address
    for first, last in intervals:
        for network in ipaddress.summarize_address_range(make(first), make(last)):
            yield str(network)


def _term(term: Term) -> str:
    constraints = dict(term)
    name = constraints.pop(NAME_KEY, None)
    spaces = [_constraint(key, values) for key, values in constraints.items() if key[0] == NAMESPACE]
    pods = [_constraint(key, values) for key, values in constraints.items() if key[0] != NAMESPACE]
    where = "every namespace" if not spaces else f"namespaces with {' and '.join(spaces)}"
    if name is not None:
        listed = ", ".join(sorted(name.values))
        named = f"every namespace but {listed}" if name.others else f"namespace {listed}"
        where = named if not spaces else f"{named} with {' and '.join(spaces)}"
    return f"{'pods with ' + ' and '.join(pods) if pods else 'every pod'} in {where}"


def _constraint(key: Key, values: ValueSet) -> str:
    label = key[1]
    listed = ", ".join(sorted(values.values))
    if values.others:
        if not values.values:
            return f"label {label}"
        return f"{label} not in ({listed})" if values.absent else f"label {label}, not in ({listed})"
    if not values.values:
        return f"no label {label}"
    return f"{label}={listed}" if len(values.values) == 1 else f"{label} in ({listed})"
