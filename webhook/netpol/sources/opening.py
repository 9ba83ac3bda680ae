"""
Whether policies open a pod to more than it is open to without them, in either direction.

The sources (or destinations) that policies admit change from port to port only where an entry of a rule begins or ends.
So a few ports stand for all.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from webhook.netpol.intervals import IPV4
from webhook.netpol.matching import rule_covers, selecting
from webhook.netpol.model import (
    FIRST_PORT,
    LAST_PORT,
    ContainerPort,
    NamedPort,
    NetworkPolicy,
    Pod,
    PolicyType,
    PortRange,
    Protocol,
)
from webhook.netpol.sources.budget import Answers
from webhook.netpol.sources.loss import lost_from_anywhere
from webhook.netpol.sources.source_set import EVERYONE, Sources, union_of
from webhook.netpol.sources.universe import Universe

Policies = Sequence[NetworkPolicy]


@dataclass(frozen=True, kw_only=True, slots=True)
class Opening:
    """
    The question whether policies open something.

    Args:
        after: the policies that may open something.
        before: the policies of one or more moments: what they admit at any of them is open already.
        free: the ingress ports that may be opened.
    """

    after: Policies
    before: Sequence[Policies]
    universe: Universe
    answers: Answers
    free: Collection[tuple[Protocol, int]] = ()

    def opens(self, pod: Pod) -> bool:
        """Whether a source or destination is, or may be, admitted that was not before."""
        return any(self._opens(pod, direction) for direction in PolicyType)

    def _opens(self, pod: Pod, direction: PolicyType) -> bool:
        after = selecting(self.after, pod, direction)
        known = [selecting(policies, pod, direction) for policies in self.before]
        if not all(known):  # without a policy that isolates the pod, everything is open
            return False
        container_ports = pod.ports if direction is PolicyType.INGRESS else ()
        ports = sorted(set(_ports([*after, *(one for each in known for one in each)], direction, container_ports)))
        return any(
            self._opens_port(after, known, direction, container_ports, protocol, port)
            for protocol in Protocol
            for port in ports
            if direction is PolicyType.EGRESS or (protocol, port) not in self.free
        )

    def _opens_port(  # noqa: PLR0913, PLR0917  the parts of one question
        self,
        after: Policies,
        before: Sequence[Policies],
        direction: PolicyType,
        container_ports: Sequence[ContainerPort],
        protocol: Protocol,
        port: int,
    ) -> bool:
        was = union_of(_admitted(each, direction, container_ports, protocol, port) for each in before)
        now = _admitted(after, direction, container_ports, protocol, port)
        # EEM supports IPv4 only, but what is opened to IPv4 is opened where only IPv6 is in use as well.
        universe = replace(self.universe, families=tuple(sorted({IPV4, *self.universe.families})))
        return lost_from_anywhere(now, was, universe, self.answers) is not None


def _admitted(
    policies: Policies,
    direction: PolicyType,
    container_ports: Sequence[ContainerPort],
    protocol: Protocol,
    port: int,
) -> Sources:
    """Return what policies that isolate a pod admit together, terminating ones with them."""
    if not policies:
        return EVERYONE
    return union_of(
        rule.admits
        for policy in policies
        for rule in policy.rules(direction)
        if rule_covers(rule, container_ports, protocol, port)
    )


def _ports(policies: Policies, direction: PolicyType, container_ports: Iterable[ContainerPort]) -> Iterator[int]:
    """Yield the ports at which an entry of a rule begins, or the first after one."""
    numbers = {(named.name, named.protocol): named.number for named in container_ports}
    yield FIRST_PORT
    for policy in policies:
        for rule in policy.rules(direction):
            for entry in rule.ports or ():
                if isinstance(entry, PortRange):
                    yield entry.first
                    yield min(entry.last + 1, LAST_PORT)
                elif isinstance(entry, NamedPort) and (entry.name, entry.protocol) in numbers:
                    number = numbers[entry.name, entry.protocol]
                    yield number
                    yield min(number + 1, LAST_PORT)
