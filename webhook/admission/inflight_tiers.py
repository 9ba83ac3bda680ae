"""
Changes of cluster-wide policies in flight: they were admitted, and the watch has not shown what became of them.

Each may have happened or not, so a later change, of one of them or of a NetworkPolicy, has to be acceptable in each
case. A change is settled when the cache shows a version later than its old one.

A client other than the API server may send reviews with any content, so their number is bounded. While there are more
changes than are kept, or more states than are judged one by one, a later change has to be acceptable whatever the
cluster-wide policies do: in a few extreme states, which stand for all of them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice, product
from math import prod

from webhook.admission.cluster_change import ClusterChange
from webhook.admission.inflight import MOST_PENDING_BYTES, MOST_WORLDS, PENDING_SECONDS, is_later
from webhook.netpol.cluster_policies import (
    ADMIN_KIND,
    BASELINE_KIND,
    CLUSTER_KIND,
    LAST_PRIORITY,
    ClusterPeer,
    ClusterPolicies,
    ClusterPolicy,
    ClusterRule,
    RuleAction,
    Tier,
)
from webhook.netpol.intervals import WHOLE
from webhook.netpol.model import IPBlock, PodPeer

MOST_PENDING_TIERS = 128
"""Changes that are kept; while there are more, the policies may do anything."""

IN_FLIGHT_NAME = "in-flight"
"""The name, in messages, of a policy that changes in flight may leave."""

_EVERY_POD: tuple[ClusterPeer, ...] = (PodPeer(),)
_EVERYTHING: tuple[ClusterPeer, ...] = (
    *_EVERY_POD,
    *(IPBlock(family=family, cidr=cidr) for family, (cidr,) in WHOLE.items()),
)

States = tuple[ClusterPolicy | None, ...]


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
        size: bytes of the review, which bound what the policies take of memory.
    """

    key: tuple[str, str]
    old: ClusterPolicy | None
    new: ClusterPolicy | None
    was_known: bool
    admitted_at: float
    size: int = field(default=0, compare=False)

    def is_over(self, current: ClusterPolicy | None, now: float) -> bool:
        """Whether the cache shows the outcome, or the change is too old to happen."""
        if now - self.admitted_at > PENDING_SECONDS:
            return True
        if self.old is None:  # the API server sets the uid before it calls webhooks
            return current is not None and self.new is not None and current.uid == self.new.uid
        return self.was_known if current is None else is_later(current, self.old)

    def repeats(self, other: "PendingTier") -> bool:
        """Whether both do the same to the same version of the same policy."""
        same = (self.key, self.old, self.was_known) == (other.key, other.old, other.was_known)
        return same and _effect_of(self.new) == _effect_of(other.new) and _uid(self.new) == _uid(other.new)


@dataclass(frozen=True, kw_only=True, slots=True)
class TierStates:
    """
    The other states in which changes in flight may leave the cluster-wide policies.

    Args:
        each: every one of them, or extremes.
        are_extremes: whether they stand for all states that policies can have.
    """

    each: tuple[ClusterPolicies, ...] = ()
    are_extremes: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class TiersInFlight:
    """
    The changes of cluster-wide policies in flight.

    Args:
        pending: the oldest first; at most MOST_PENDING_TIERS, of reviews of at most MOST_PENDING_BYTES.
        overfull_at: the time of the last change that did not fit; None if there is none.
    """

    pending: tuple[PendingTier, ...] = ()
    overfull_at: float | None = None

    def with_admitted(
        self, change: ClusterChange, known: ClusterPolicies, now: float, *, size: int = 0
    ) -> "TiersInFlight":
        """
        Add a change; it replaces an earlier one that it repeats, and no other one.

        Args:
            known: the policies in the cache.
            now: the time of the verdict.
            size: bytes of the review.
        """
        one = PendingTier(
            key=change.key,
            old=change.old,
            new=change.new,
            was_known=change.key in known.known,
            admitted_at=now,
            size=size,
        )
        others = tuple(other for other in self.pending if not one.repeats(other))
        taken = sum(other.size for other in others) + size
        if len(others) >= MOST_PENDING_TIERS or (others and taken > MOST_PENDING_BYTES):
            return replace(self, overfull_at=now)
        return replace(self, pending=(*others, one))

    def without_seen(self, known: ClusterPolicies, now: float) -> "TiersInFlight":
        """Drop the changes whose outcome the cache shows, and those that are too old to happen."""
        left = tuple(one for one in self.pending if not one.is_over(known.known.get(one.key), now))
        is_over = self.overfull_at is not None and now - self.overfull_at > PENDING_SECONDS
        if len(left) == len(self.pending) and not is_over:
            return self
        return TiersInFlight(pending=left, overfull_at=None if is_over else self.overfull_at)

    def others(self, known: ClusterPolicies) -> TierStates:
        """Return the other states of the policies in the cache, for a change of a NetworkPolicy."""
        states = self._states(known)
        if self._are_too_many(states):
            return TierStates(each=tuple(_between_network_policies(known)), are_extremes=True)
        return TierStates(each=tuple(_each(known, states)))

    def around(self, change: ClusterChange, known: ClusterPolicies) -> tuple[ClusterChange, ...]:
        """Return the change beside each other state of the policies in the cache; its own state is in the request."""
        states = self._states(known)
        states.pop(change.key, None)
        if self._are_too_many(states):
            return tuple(_among_anything(change, known))
        return tuple(map(change.beside, _each(known, states)))

    def _are_too_many(self, states: Mapping[tuple[str, str], States]) -> bool:
        return self.overfull_at is not None or prod(map(len, states.values())) > MOST_WORLDS

    def _states(self, known: ClusterPolicies) -> dict[tuple[str, str], States]:
        """Return what each policy in doubt may be, the known state first; None means that it is not there."""
        states: dict[tuple[str, str], States] = {}
        for one in self.pending:
            found = states.get(one.key, (known.known.get(one.key),))
            for policy in (one.old, one.new):
                if _effect_of(policy) not in map(_effect_of, found):
                    found = (*found, policy)
            states[one.key] = found
        return states


def _each(known: ClusterPolicies, states: Mapping[tuple[str, str], States]) -> Iterator[ClusterPolicies]:
    """Yield every state but the known one."""
    for chosen in islice(product(*states.values()), 1, None):
        policies = known
        for key, policy in zip(states, chosen, strict=True):
            policies = policies.without(*key) if policy is None else policies.with_policy(policy)
        yield policies


def _between_network_policies(known: ClusterPolicies) -> Iterator[ClusterPolicies]:
    """
    Yield the extremes for a change of a NetworkPolicy: no policy at all, and one of Baseline that denies everything.

    What Admin decides, a NetworkPolicy does not change. Of a source that is left to NetworkPolicies, the change can
    take away what it admitted, or begin to isolate the pod, which is worst without Baseline; or end to isolate it,
    which is worst if Baseline denies the source.
    """
    yield _only(known)
    yield _only(known, _everything(Tier.BASELINE, RuleAction.DENY, BASELINE_KIND))


def _among_anything(change: ClusterChange, known: ClusterPolicies) -> Iterator[ClusterChange]:
    """
    Yield a change of a policy beside the extremes of all others.

    A source that a policy before it decides is not touched by the change. For a source that gets to it, it matters what
    the tiers do behind it: each leaves the source alone, accepts it or denies it. What a policy at another place in the
    order does is in between, so a change of the place is judged as a deletion and a creation.
    """
    is_new_schema = change.key[0] == CLUSTER_KIND  # nothing says in which order policies of two schemas are asked
    admin_kind, baseline_kind = (CLUSTER_KIND, CLUSTER_KIND) if is_new_schema else (ADMIN_KIND, BASELINE_KIND)
    admin = [(), *((_everything(Tier.ADMIN, one, admin_kind),) for one in (RuleAction.ACCEPT, RuleAction.DENY))]
    baseline = [(), (_everything(Tier.BASELINE, RuleAction.DENY, baseline_kind),)]
    for first, last in product(admin, baseline):
        others = _only(known, *first, *last)
        for part in change.parts():
            yield replace(part.beside(others), others="any")


def _only(known: ClusterPolicies, *policies: ClusterPolicy) -> ClusterPolicies:
    """Return these policies alone, with what Calico has: its objects are not in flight."""
    return replace(ClusterPolicies.of(policies), calico=known.calico)


def _everything(tier: Tier, action: RuleAction, kind: str) -> ClusterPolicy:
    """Return the last policy of a tier, which does the same with every connection of every pod."""
    return ClusterPolicy(
        kind=kind,
        name=f"{IN_FLIGHT_NAME}-{tier.lower()}",
        tier=tier,
        priority=LAST_PRIORITY + 1,
        ingress=(ClusterRule(index=0, action=action, peers=_EVERY_POD),),
        egress=(ClusterRule(index=0, action=action, peers=_EVERYTHING),),
    )


def _uid(policy: ClusterPolicy | None) -> str:
    return "" if policy is None else policy.uid


def _effect_of(policy: ClusterPolicy | None) -> ClusterPolicy | None:
    """Return what a policy does: two versions with the same effect count as one."""
    return None if policy is None else replace(policy, uid="", resource_version="")
