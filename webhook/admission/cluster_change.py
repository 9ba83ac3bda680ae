"""
One change of one cluster-wide policy: an AdminNetworkPolicy, BaselineAdminNetworkPolicy or ClusterNetworkPolicy.

Faults are no reason to refuse: the schema of the kind is checked by the API server, and a schema may be newer than this
reader.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from webhook.admission.review import AdmissionRequest, ReviewError, metadata_text
from webhook.eem.eem_snapshot import EemSnapshot
from webhook.netpol.cluster_policies import CLUSTER_POLICY_GROUP, CLUSTER_POLICY_KINDS, ClusterPolicies, ClusterPolicy
from webhook.netpol.model import Pod
from webhook.netpol.parse_cluster_policies import read_cluster_policy
from webhook.netpol.sources.decided import pods_of_rule
from webhook.netpol.sources.term_algebra import EVERY, NO_PODS, Terms


@dataclass(frozen=True, kw_only=True, slots=True)
class ClusterChange:
    """
    One change of one cluster-wide policy.

    Args:
        key: the kind and the name of the policy.
        before: all cluster-wide policies before the change.
        after: all of them after it.
        changed: the policy before it and after it, as far as there is one.
        touched: the pods that its ingress rules may match.
        others: what the other cluster-wide policies do: what they do in *before*, or anything. Then *before* has one of
            the extremes between which all their states are.
    """

    key: tuple[str, str]
    before: ClusterPolicies
    after: ClusterPolicies
    changed: tuple[ClusterPolicy, ...]
    touched: Terms
    others: Literal["known", "any"] = "known"

    def touches(self, pod: Pod, snapshot: EemSnapshot) -> bool:
        """Whether the policy speaks of the pod, before or after the change."""
        labels = snapshot.namespace(pod.namespace).labels
        return any(policy.ingress and policy.selects(pod, labels) for policy in self.changed)

    @property
    def old(self) -> ClusterPolicy | None:
        """Return the policy before the change; None for CREATE."""
        return self.before.known.get(self.key)

    @property
    def new(self) -> ClusterPolicy | None:
        """Return the policy after the change; None for DELETE."""
        return self.after.known.get(self.key)

    def beside(self, others: ClusterPolicies) -> "ClusterChange":
        """Return the change beside other cluster-wide policies."""
        left = others.without(*self.key)
        before, after = (left if one is None else left.with_policy(one) for one in (self.old, self.new))
        return replace(self, before=before, after=after)

    def parts(self) -> "tuple[ClusterChange, ...]":
        """Return the change, or a deletion and a creation if the policy gets another place in the order."""
        old, new = self.old, self.new
        if old is None or new is None or (old.tier, old.priority) == (new.tier, new.priority):
            return (self,)
        gone = self.before.without(*self.key)
        return (
            replace(self, after=gone, changed=(old,), touched=_touched((old,))),
            replace(self, before=gone, changed=(new,), touched=_touched((new,))),
        )


def name_in(request: AdmissionRequest) -> str:
    """Return the name of the policy that a request is about."""
    return request.name or metadata_text(request.object or request.old_object, "name")


def change_of(request: AdmissionRequest, name: str, snapshot: EemSnapshot) -> ClusterChange:
    """
    Return the change that a request makes; its old object wins over the cached one.

    Raises:
        ReviewError: the request is about something else, or does not have the object that its operation needs.
    """
    kind = request.kind.kind
    if kind not in CLUSTER_POLICY_KINDS or request.kind.group != CLUSTER_POLICY_GROUP:
        kinds = ", ".join(sorted(CLUSTER_POLICY_KINDS))
        raise ReviewError("request.kind.kind", f"must be one of {kinds}, of {CLUSTER_POLICY_GROUP}")
    if request.operation == "CONNECT":
        raise ReviewError("request.operation", "must be CREATE, UPDATE or DELETE")
    if request.operation != "DELETE" and request.object is None:
        raise ReviewError("request.object", "must be set")
    known = snapshot.cluster.cluster_policies
    before = known.without(kind, name) if request.operation == "CREATE" else known
    if request.operation != "CREATE" and request.old_object is not None:
        before = known.with_policy(_read(request.old_object, kind, name))
    after = before.without(kind, name)
    if request.operation != "DELETE" and request.object is not None:
        after = before.with_policy(_read(request.object, kind, name))
    changed = tuple(policy for side in (before, after) if (policy := side.known.get((kind, name))) is not None)
    return ClusterChange(key=(kind, name), before=before, after=after, changed=changed, touched=_touched(changed))


def deletion_of(policy: ClusterPolicy, snapshot: EemSnapshot) -> ClusterChange:
    """Return the deletion of a policy of the snapshot."""
    before = snapshot.cluster.cluster_policies
    after = before.without(policy.kind, policy.name)
    key = policy.kind, policy.name
    return ClusterChange(key=key, before=before, after=after, changed=(policy,), touched=_touched((policy,)))


def _read(api_object: object, kind: str, name: str) -> ClusterPolicy:
    policy, _ = read_cluster_policy({**(api_object if isinstance(api_object, dict) else {}), "kind": kind})
    return replace(policy, name=name)


def _touched(changed: Sequence[ClusterPolicy]) -> Terms:
    """Return the pods that the ingress rules of a policy may match."""
    found = [pods_of_rule(rule) for policy in changed for rule in policy.ingress]
    return EVERY if any(not is_readable for _, is_readable in found) else NO_PODS.union(*(pods for pods, _ in found))
