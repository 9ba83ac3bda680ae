"""
Changes of cluster-wide policies in flight: they were admitted, and the watch has not shown what became of them.

Each may have happened or not, so a later change, of one of them or of a NetworkPolicy, has to be acceptable in each
case. A change is settled when the cache shows a version later than its old one.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice, product

from webhook.admission.clusterpolicy import ClusterChange
from webhook.admission.inflight import MOST_WORLDS, PENDING_SECONDS, is_later
from webhook.netpol.cluster_policies import ClusterPolicies, ClusterPolicy

MOST_PENDING_TIERS = 4
"""Changes that are kept, the newest: administrators change these policies seldom, and each doubles what is judged."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PendingTier:
    """
    One admitted change of a cluster-wide policy.

    Args:
        key: the kind and the name of the policy.
        old: the policy before the change; None for CREATE.
        new: the policy after the change; None for DELETE.
        was_known: whether the cache had a policy of this name at the time of the verdict.
        admitted_at: the time of the verdict, in seconds of a monotonic clock.
    """

    key: tuple[str, str]
    old: ClusterPolicy | None
    new: ClusterPolicy | None
    was_known: bool
    admitted_at: float

    def is_over(self, current: ClusterPolicy | None, now: float) -> bool:
        """Whether the cache shows the outcome, or the change is too old to happen."""
        if now - self.admitted_at > PENDING_SECONDS:
            return True
        if self.old is None:  # the API server sets the uid before it calls webhooks
            return current is not None and self.new is not None and current.uid == self.new.uid
        return self.was_known if current is None else is_later(current, self.old)


@dataclass(frozen=True, kw_only=True, slots=True)
class TiersInFlight:
    """The changes of cluster-wide policies in flight, the oldest first."""

    pending: tuple[PendingTier, ...] = ()

    def with_admitted(self, change: ClusterChange, known: ClusterPolicies, now: float) -> "TiersInFlight":
        """Add a change; *known* are the policies in the cache."""
        one = PendingTier(
            key=change.key,
            old=change.before.known.get(change.key),
            new=change.after.known.get(change.key),
            was_known=change.key in known.known,
            admitted_at=now,
        )
        return TiersInFlight(pending=(*self.pending, one)[-MOST_PENDING_TIERS:])

    def without_seen(self, known: ClusterPolicies, now: float) -> "TiersInFlight":
        """Drop the changes whose outcome the cache shows, and those that are too old to happen."""
        left = tuple(one for one in self.pending if not one.is_over(known.known.get(one.key), now))
        return self if len(left) == len(self.pending) else TiersInFlight(pending=left)

    def others(self, known: ClusterPolicies, apart_from: tuple[str, str] = ("", "")) -> Iterator[ClusterPolicies]:
        """
        Yield every other state in which the changes may leave the policies.

        Args:
            known: the policies in the cache.
            apart_from: the policy that is changed now: its own state is in the request.
        """
        states: dict[tuple[str, str], tuple[ClusterPolicy | None, ...]] = {}
        for one in self.pending:
            found = states.get(one.key, (known.known.get(one.key),))
            for policy in (one.old, one.new):
                if one.key != apart_from and _effect_of(policy) not in map(_effect_of, found):
                    found = (*found, policy)
            states[one.key] = found
        for chosen in islice(product(*states.values()), 1, MOST_WORLDS):  # the first one is the state that is known
            policies = known
            for key, policy in zip(states, chosen, strict=True):
                policies = policies.without(*key) if policy is None else policies.with_policy(policy)
            yield policies


def _effect_of(policy: ClusterPolicy | None) -> ClusterPolicy | None:
    """Return what a policy does: two versions with the same effect count as one."""
    return None if policy is None else replace(policy, uid="", resource_version="")
