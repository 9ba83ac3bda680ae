"""What policies admit to a port of a pod."""

from collections.abc import Iterable
from dataclasses import replace

from webhook.netpol.matching import rule_covers, selecting
from webhook.netpol.model import ContainerPort, NetworkPolicy, Pod, PolicyType, Protocol
from webhook.netpol.sources.source_set import EVERYONE, NO_SOURCES, Sources, union_of


def admitted(policies: Iterable[NetworkPolicy], pod: Pod, protocol: Protocol, port: int) -> Sources:
    """
    Return the sources that may open a connection to *port* of *pod*.

    1. No policy selects the pod for ingress: everyone.
    2. Else the union of what each policy admits that selects the pod.

    Source: NetworkPolicySpec.ingress (networking.k8s.io/v1).
    """
    isolating = selecting(policies, pod, PolicyType.INGRESS)
    if not isolating:
        return EVERYONE
    return union_of(admitted_by(policy, pod.ports, protocol, port) for policy in isolating)


def admitted_by(
    policy: NetworkPolicy, container_ports: Iterable[ContainerPort], protocol: Protocol, port: int
) -> Sources:
    """
    Return the sources that one policy admits to *port* of a pod that it isolates: the union of the rules that cover it.

    A terminating policy admits nothing: what it admits ends with it, and no review is sent for that.
    """
    if policy.terminating:
        return NO_SOURCES
    parts: list[Sources] = []
    is_readable = True
    for rule in policy.ingress:
        covered = rule_covers(rule, container_ports, protocol, port)
        if covered:
            parts.append(rule.admits)
        elif covered is None:
            is_readable = False
    together = union_of(parts)
    return together if is_readable or together.everyone else replace(together, unreadable=True)
