"""
Tell who may connect to a port of a pod: everyone that its ingress admits, as a set.

What the sources' own egress policies say is not in it: that is a question about one source, and `evaluate` answers it.
"""

from dataclasses import dataclass

from webhook.netpol.evaluate import LAST_PORT, find_pod, full_name
from webhook.netpol.faults import Fault, SpecError
from webhook.netpol.intervals import Interval, Intervals, subtract
from webhook.netpol.isolation import selecting
from webhook.netpol.model import PolicyType, Protocol
from webhook.netpol.reading import describe, shorten
from webhook.netpol.snapshot import ClusterSnapshot
from webhook.netpol.sources import EVERYONE, Sources, admitted


@dataclass(frozen=True, kw_only=True, slots=True)
class Reach:
    """
    Who may connect.

    Args:
        policies: `namespace/name` of the policies that isolate the pod; empty where none does.
        sources: everyone that ingress admits.
    """

    policies: tuple[str, ...]
    sources: Sources

    def refused(self, family: int, interval: Interval) -> Intervals:
        """Give the addresses of a range, outside the cluster's pods, that may not connect."""
        if self.sources.everyone:
            return ()
        return subtract((interval,), self.sources.block(family))


def who_may_connect(to: str, protocol: str, port: int, snapshot: ClusterSnapshot) -> Reach:
    """
    Give the set of sources that may connect to *port* of the pod or workload *to*.

    Raises:
        SpecError: there is no such pod, port or protocol; `field` is `to`, `port` or `protocol`.
    """
    namespace, _, name = to.partition("/")
    pod = find_pod(namespace, name, snapshot)
    known = next((member for member in Protocol if member.value == protocol), None)
    faults: list[Fault] = []
    if pod is None:
        message = f"there is no pod or workload {shorten(name)} in namespace {shorten(namespace)}"
        faults.append(Fault(field="to", message=message, reason="NotFound"))
    if known is None:
        message = f"must be TCP, UDP or SCTP, not {shorten(repr(protocol))}"
        faults.append(Fault(field="protocol", message=message, reason="NotSupported"))
    if not 1 <= port <= LAST_PORT:
        faults.append(Fault(field="port", message=f"must be between 1 and {LAST_PORT}, not {describe(port)}"))
    if pod is None or known is None or faults:
        raise SpecError(faults)
    if pod.host_network:
        return Reach(policies=(), sources=EVERYONE)
    policies = snapshot.state(namespace).sorted_policies()
    isolating = selecting(policies, pod, PolicyType.INGRESS)
    return Reach(
        policies=tuple(full_name(policy) for policy in isolating), sources=admitted(policies, pod, known, port)
    )
