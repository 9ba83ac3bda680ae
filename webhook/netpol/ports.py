"""
Say whether a rule's list of ports covers one port of one pod.

The port is always the destination pod's. A name resolves over that pod's containers by name *and* protocol; a name
that resolves to nothing covers nothing, and is no error.

Source: NetworkPolicyPort (networking.k8s.io/v1).
"""

from collections.abc import Iterable

from webhook.netpol.model import (
    ContainerPort,
    NamedPort,
    NetworkPolicyPort,
    PolicyRule,
    PortRange,
    Protocol,
    Unreadable,
)
from webhook.netpol.sure import SURE, Answer


def covers(
    entry: PortRange | NamedPort, container_ports: Iterable[ContainerPort], protocol: Protocol, port: int
) -> bool:
    """Say whether one readable entry covers *port* of a pod with these named ports."""
    if entry.protocol is not protocol:
        return False
    if isinstance(entry, PortRange):
        return entry.first <= port <= entry.last
    return any(
        named.name == entry.name and named.protocol is protocol and named.number == port for named in container_ports
    )


def rule_covers(rule: PolicyRule, container_ports: Iterable[ContainerPort], protocol: Protocol, port: int) -> Answer:
    """Say whether *rule* speaks of this port: unsure where only an entry may that cannot be read."""
    if rule.ports is None:
        return Answer.YES
    unsure = False
    for entry in rule.ports:
        if isinstance(entry, PortRange):  # written out: a rule may list thousands of them
            if entry.first <= port <= entry.last and entry.protocol is protocol:
                return Answer.YES
        elif isinstance(entry, Unreadable):
            unsure = True
        elif SURE[covers(entry, container_ports, protocol, port)]:
            return Answer.YES
    return Answer.UNSURE if unsure else Answer.NO


def unresolved_names(
    ports: Iterable[NetworkPolicyPort] | None, container_ports: Iterable[ContainerPort]
) -> tuple[str, ...]:
    """Give the port names of a rule that no container of the pod has: what an explanation points at."""
    known = {(named.name, named.protocol) for named in container_ports}
    return tuple(
        entry.name
        for entry in ports or ()
        if isinstance(entry, NamedPort) and (entry.name, entry.protocol) not in known
    )
