"""
Changes in flight: changes that were admitted and whose outcome has not been seen.

Between the verdict and the watch event an admitted change may have happened, may still happen, or may have failed
elsewhere (another webhook, a quota, a conflict). So a later change must be acceptable in each case: a removal or an
isolation counts at once, an allow counts only when it is seen.

Every verdict is bound to the version of the policy for which it was given: if the policy has another version when the
API server stores the change, the API server asks again. So a change is settled when a version later than its old one is
seen, and not before, because a cache that lags may have an earlier version.

Source: k8s.io/apiserver registry/generic/registry/store.go (Create, Update, Delete), storage/etcd3/store.go.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice, product
from math import prod

from webhook.admission.review import Policies, PolicyReview, policy_named
from webhook.eem.eem_snapshot import EemSnapshot
from webhook.eem.view import EemNamespace
from webhook.netpol.cluster_policies import ClusterPolicies, ClusterPolicy
from webhook.netpol.model import NetworkPolicy, PolicyRule, PolicyType
from webhook.netpol.selectors import LabelSelector

PENDING_SECONDS = 180.0
"""
How long an admitted change may take to be seen: the API server gives a request 60 s, the service gives up a silent
watch after 85 s, and a new list takes the rest.
"""

SETTLE_SECONDS = 2.0
"""
How long after the verdict the API server may still store a change: if a list that begins later does not show the
change, it failed. The API server stores within milliseconds; other webhooks that it asks take longer.
"""

MOST_WORLDS = 16
"""States of one namespace that are judged one by one; if there are more, two extreme states stand for all of them."""

MOST_PENDING = 128
"""
Changes of one namespace that are kept; each costs every later verdict there some microseconds. While there are more, a
change in that namespace must be acceptable whatever the other policies are.
"""

MOST_PENDING_BYTES = 2**20
"""Bytes of the reviews whose policies are kept for one namespace; a single review may have more."""

States = tuple[NetworkPolicy | None, ...]
Effect = tuple[LabelSelector, frozenset[PolicyType], tuple[PolicyRule, ...], tuple[PolicyRule, ...], bool]


@dataclass(frozen=True, kw_only=True, slots=True)
class Pending:
    """
    One admitted change.

    Args:
        old: the policy before the change; None for CREATE.
        new: the policy after the change; None for DELETE.
        known: the last version of the policy in the cache, which may be earlier than *old*; None if there was none.
        admitted_at: the time of the verdict, in seconds of a monotonic clock.
        size: bytes of the review, which bound what the policies take of memory.
    """

    name: str
    old: NetworkPolicy | None
    new: NetworkPolicy | None
    known: NetworkPolicy | None = None
    admitted_at: float
    size: int = field(default=0, compare=False)

    def is_settled_by(self, current: NetworkPolicy | None) -> bool:
        """Whether *current*, a version that may be older than the verdict, shows the outcome of the change."""
        if current is None:
            # The policy is gone if the cache had it; a cache that never had it shows nothing.
            return self.old is not None and self.known is not None and self.known.uid == self.old.uid
        if self.old is None:
            return self._made(current)
        return is_later(current, self.old)

    def beside(self, current: NetworkPolicy | None) -> "Pending":
        """Return the change with the version that the cache has now."""
        return self if current is None or current is self.known else replace(self, known=current)

    def is_shown_by(self, listed: NetworkPolicy | None) -> bool:
        """Whether *listed*, a version that is not older than the verdict, shows that the policy has changed."""
        if self.old is None:
            return listed is not None and self._made(listed)
        return listed is None or (listed.uid, listed.resource_version) != (self.old.uid, self.old.resource_version)

    def _made(self, current: NetworkPolicy) -> bool:
        """Whether *current* is what a CREATE made: the API server sets the uid before it calls webhooks."""
        return self.new is not None and current.uid == self.new.uid

    def is_over(self, now: float) -> bool:
        """Whether the change is too old to happen; if it happened, it was seen."""
        return now - self.admitted_at > PENDING_SECONDS

    def has_failed_by(self, listed_at: float) -> bool:
        """Whether a list that began at *listed_at* would show the change if it had happened."""
        return listed_at - self.admitted_at > SETTLE_SECONDS

    def repeats(self, other: "Pending") -> bool:
        """Whether both do the same to the same version of the same policy, and it has the same content."""
        same = self.name == other.name and _version(self.old) == _version(other.old)
        return same and (effect_of(self.old), effect_of(self.new)) == (effect_of(other.old), effect_of(other.new))


@dataclass(frozen=True, kw_only=True, slots=True)
class InFlight:
    """
    The changes in flight of one namespace.

    Args:
        pending: the oldest first; at most MOST_PENDING, of reviews of at most MOST_PENDING_BYTES.
        overfull_at: the time of the last change that did not fit; None if there is none.
        tiers: every other state in which changes in flight may leave the cluster-wide policies.
        any_tiers: whether *tiers* are extremes that stand for all states which these policies can have.
    """

    pending: tuple[Pending, ...] = ()
    overfull_at: float | None = None
    tiers: tuple[ClusterPolicies, ...] = ()
    any_tiers: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing is in flight."""
        return not (self.pending or self.tiers) and self.overfull_at is None

    def with_admitted(self, change: Pending) -> "InFlight":
        """
        Add a change; it replaces an earlier one that it repeats.

        It does not replace others: only the watch and live lists show outcomes, because a client other than the API
        server may send a review with any content.
        """
        others = tuple(known for known in self.pending if not change.repeats(known))
        size = sum(known.size for known in others) + change.size
        if len(others) >= MOST_PENDING or (others and size > MOST_PENDING_BYTES):
            return replace(self, overfull_at=change.admitted_at)
        return replace(self, pending=(*others, change))

    def is_over(self, now: float) -> bool:
        """Whether every change is too old to happen."""
        return self._overfull_until(now, PENDING_SECONDS) is None and all(known.is_over(now) for known in self.pending)

    def _overfull_until(self, now: float, seconds: float) -> float | None:
        """Return the time of the last change that did not fit; None if it is older than *seconds*."""
        return None if self.overfull_at is None or now - self.overfull_at > seconds else self.overfull_at

    def without_seen(self, policies: Policies, now: float) -> "InFlight":
        """
        Drop the changes whose outcome the cache shows, and those that are too old to happen.

        Args:
            policies: the policies of the namespace by name, as the cache has them. The caller shows each state of the
                cache in its order, so that a policy that comes and goes is not missed.
            now: seconds of the clock of `admitted_at`.
        """
        if self.is_empty:
            return self
        left = (
            known.beside(policy_named(known.name, policies))
            for known in self.pending
            if not known.is_over(now) and not known.is_settled_by(policy_named(known.name, policies))
        )
        return InFlight(pending=tuple(left), overfull_at=self._overfull_until(now, PENDING_SECONDS))

    def without_shown(self, policies: Policies, listed_at: float) -> "InFlight":
        """
        Drop the changes whose outcome a live list shows, in order to judge on that list.

        Args:
            policies: the policies of the namespace by name, as they were listed.
            listed_at: the time at which the list began.
        """

        def is_settled(known: Pending) -> bool:
            listed = policy_named(known.name, policies)
            if listed_at < known.admitted_at:
                return known.is_settled_by(listed)
            return known.is_shown_by(listed) or known.has_failed_by(listed_at)

        left = [known for known in self.pending if not is_settled(known)]
        going = {known.name for known in left if known.new is None}
        # A CREATE fails if its name is taken, unless the policy of that name is being deleted.
        taken = {
            known.name
            for known in left
            if known.old is None and known.admitted_at <= listed_at and known.name in policies.keys() - going
        }
        return InFlight(
            pending=tuple(known for known in left if known.old is not None or known.name not in taken),
            overfull_at=self._overfull_until(listed_at, SETTLE_SECONDS),
        )

    def without_failed(self, policies: Policies, listed_at: float) -> "InFlight":
        """Drop the changes that a list would show and does not; keep those that it shows until the cache has them."""
        return replace(
            self,
            pending=tuple(
                known
                for known in self.pending
                if not known.has_failed_by(listed_at) or known.is_shown_by(policy_named(known.name, policies))
            ),
        )

    def other_views(self, view: EemNamespace, name: str) -> Iterator[EemNamespace]:
        """
        Yield the namespace in every other state in which the changes in flight may leave it.

        If there are too many states, two extreme ones stand for all of them: in one, every policy in doubt isolates all
        pods that it may isolate and admits nothing; in the other, the policies that may not isolate are absent. A loss
        in some state is a loss in one of these. The reverse may not hold, and then a change has to wait for the others.

        Args:
            view: the namespace as it is known.
            name: the policy that is changed now: its own state is in the request.
        """
        states = self._states(view, name)
        if prod(len(known) for known in states.values()) > MOST_WORLDS:
            yield _at_worst(view, states)
            yield _at_least(view, states)
            return
        for chosen in islice(product(*states.values()), 1, None):  # the first one is the state that is known
            world = view
            for policy_name, policy in zip(states, chosen, strict=True):
                if policy is not states[policy_name][0]:
                    world = world.with_policy(policy_name, policy)
            yield world

    def _states(self, view: EemNamespace, name: str) -> dict[str, States]:
        """Return what each policy in doubt may be, the known state first; None means that it is deleted."""
        states: dict[str, States] = {}
        for known in self.pending:
            if known.name != name:
                found = states.get(known.name, (policy_named(known.name, view.policies),))
                for policy in (known.old, known.new):
                    if effect_of(policy) not in map(effect_of, found):
                        found = (*found, policy)
                states[known.name] = found
        return {policy_name: found for policy_name, found in states.items() if len(found) > 1}


NOTHING_IN_FLIGHT = InFlight()


def extreme_policies(namespace: str) -> tuple[Policies, ...]:
    """
    Return the extremes that stand for all policies which a namespace may have, for a change of a cluster-wide policy.

    No pod is isolated, and Baseline decides; every pod is, and nothing is admitted; every pod is, and everything is
    admitted.
    """
    closed = NetworkPolicy(namespace=namespace, name="in-flight", policy_types=frozenset(PolicyType))
    everything = (PolicyRule(peers=None, ports=None),)
    opened = replace(closed, ingress=everything, egress=everything)
    return {}, {closed.name: closed}, {opened.name: opened}


def pending_change(review: PolicyReview, snapshot: EemSnapshot, now: float) -> Pending | None:
    """
    Return the change that an admitted request leaves in flight.

    None for a dry run, a status, an unchanged spec, a name that is yet to be generated, and a namespace without EEM.
    """
    request = review.request
    if request.dry_run or request.sub_resource or request.namespace not in snapshot.eem:
        return None
    if not review.name or request.leaves_spec_unchanged:
        return None
    policies = snapshot.cluster.state(request.namespace).policies
    return Pending(
        name=review.name,
        old=review.old_in(policies),
        new=review.new,
        known=policy_named(review.name, policies),
        admitted_at=now,
        size=request.size,
    )


def is_later(policy: NetworkPolicy | ClusterPolicy, than: NetworkPolicy | ClusterPolicy) -> bool:
    """
    Whether one state of a policy, or of its successor by name, is certainly later than another.

    Source: Kubernetes API concepts, "Resource versions": within one kind they are numbers that can be compared.
    """
    versions = (policy.resource_version, than.resource_version)
    if not all(text.isascii() and text.isdecimal() for text in versions):
        return False
    later, earlier = (text.lstrip("0") for text in versions)  # a review may have more digits than `int` reads
    return (len(later), later) > (len(earlier), earlier)


def effect_of(policy: NetworkPolicy | None) -> Effect | None:
    """Return what a policy does: two states of a policy with the same effect count as one."""
    if policy is None:
        return None
    ingress, egress = policy.rules(PolicyType.INGRESS), policy.rules(PolicyType.EGRESS)
    return policy.pod_selector, policy.policy_types, ingress, egress, policy.terminating


def _version(policy: NetworkPolicy | None) -> tuple[str, str] | None:
    return None if policy is None else (policy.uid, policy.resource_version)


def _at_worst(view: EemNamespace, states: Mapping[str, States]) -> EemNamespace:
    """Return the state in which every policy in doubt isolates all pods that it may isolate, and admits nothing."""
    for name, policies in states.items():
        view = view.with_policy(name, None)
        for number, policy in enumerate(policies):
            if policy is not None:
                view = view.with_policy(f"{name} ({number})", replace(policy, ingress=(), egress=()))
    return view


def _at_least(view: EemNamespace, states: Mapping[str, States]) -> EemNamespace:
    """Return the state without the policies in doubt that may isolate other pods than they do, or none."""
    for name, policies in states.items():
        isolated = {None if policy is None else (policy.pod_selector, policy.policy_types) for policy in policies}
        if len(isolated) > 1:
            view = view.with_policy(name, None)
    return view
