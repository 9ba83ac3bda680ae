"""
Which policies select a pod, and whether the pod is isolated by them.

Source: NetworkPolicySpec.podSelector and .policyTypes (networking.k8s.io/v1). A pod on the host's network is not on
the pod network: no plugin selects it.
"""

from collections.abc import Iterable

from webhook.netpol.model import NetworkPolicy, Pod, PolicyType
from webhook.netpol.selectors import matches
from webhook.netpol.sure import SURE


def selects(policy: NetworkPolicy, pod: Pod, policy_type: PolicyType) -> bool:
    """Say whether *policy* restricts *pod* in this direction."""
    return (
        policy_type in policy.policy_types
        and policy.namespace == pod.namespace
        and not pod.host_network
        and matches(policy.pod_selector, pod.labels)
    )


def selecting(policies: Iterable[NetworkPolicy], pod: Pod, policy_type: PolicyType) -> tuple[NetworkPolicy, ...]:
    """Give the policies that restrict *pod* in this direction, in the order given."""
    return tuple(policy for policy in policies if SURE[selects(policy, pod, policy_type)])


def is_isolated(pod: Pod, policy_type: PolicyType, policies: Iterable[NetworkPolicy]) -> bool:
    """
    Say whether any policy restricts *pod* in the given direction.

    A pod that no policy selects accepts and sends everything.
    """
    return any(selects(policy, pod, policy_type) for policy in policies)
