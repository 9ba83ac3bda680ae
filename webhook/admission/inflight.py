"""
Changes that were admitted and that nobody has seen happen yet.

Between the verdict and the watch event an admitted change may have happened, may happen, or may have failed elsewhere
(another webhook, a quota, a conflict). So a later change must be acceptable either way: what was admitted to be taken
away counts as gone at once, and what was admitted to be added counts only when it is seen.

Every verdict is bound to the version of the policy that it was given about: should the policy have another version by
the time that it is stored, the API server asks again. So a change is settled once a later version than its old one is
known, and only then: a cache that lags may well know an earlier one.

Source: k8s.io/apiserver registry/generic/registry/store.go (Create, Update, Delete), storage/etcd3/store.go.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import islice, product
from math import prod

from webhook.eem.view import EemNamespace
from webhook.netpol.model import NetworkPolicy, PolicyRule, PolicyType
from webhook.netpol.selectors import LabelSelector

PENDING_SECONDS = 180.0
"""
How long an admitted change may take to be seen: the API server gives a request 60 s, a watch that has silently died is
given up after 85 s, and a new list takes the rest.
"""

SETTLE_SECONDS = 2.0
"""
How long after the verdict a change may still be on its way to the store: a list begun later that does not show it means
that it failed. The API server stores within milliseconds; slow webhooks that are asked beside us are what takes longer.
"""

MOST_WORLDS = 16
"""States of one namespace that are judged one by one; where there are more, two that are worse than all of them."""

MOST_PENDING = 128
"""Changes of one namespace that are kept; each costs every later decision there some microseconds."""

Policies = Mapping[str, NetworkPolicy]
States = tuple[NetworkPolicy | None, ...]
Effect = tuple[LabelSelector, bool, tuple[PolicyRule, ...], bool]


@dataclass(frozen=True, kw_only=True, slots=True)
class Pending:
    """
    One admitted change.

    Args:
        old: the policy before; None for CREATE.
        new: the policy afterwards; None for DELETE.
        known: the policy as the cache had it last, which may be an earlier version than *old*; None: not yet at all.
        admitted_at: when, in seconds of a clock that never goes back.
    """

    name: str
    old: NetworkPolicy | None
    new: NetworkPolicy | None
    known: NetworkPolicy | None = None
    admitted_at: float

    def is_settled_by(self, current: NetworkPolicy | None) -> bool:
        """Say whether *current*, which may be older than the verdict, shows what became of the change."""
        if current is None:
            # Gone, if it was there: a cache that has not even seen it come knows as little.
            return self.old is not None and self.known is not None and self.known.uid == self.old.uid
        if self.old is None:
            return self._made(current)
        return is_later(current, self.old)

    def beside(self, current: NetworkPolicy | None) -> "Pending":
        """Take note of what the cache has of the policy while nothing is settled."""
        return self if current is None or current is self.known else replace(self, known=current)

    def is_shown_by(self, listed: NetworkPolicy | None) -> bool:
        """Say whether *listed*, which is not older than the verdict, shows that the policy has changed."""
        if self.old is None:
            return listed is not None and self._made(listed)
        return listed is None or (listed.uid, listed.resource_version) != (self.old.uid, self.old.resource_version)

    def _made(self, current: NetworkPolicy) -> bool:
        """Say whether *current* is what a CREATE made: its uid is given before anybody is asked."""
        return self.new is not None and current.uid == self.new.uid

    def is_over(self, now: float) -> bool:
        """Say whether the change is too old to happen any more, and must have been seen if it has."""
        return now - self.admitted_at > PENDING_SECONDS

    def has_failed_by(self, listed_at: float) -> bool:
        """Say whether a list begun at *listed_at* would show the change, had it happened."""
        return listed_at - self.admitted_at > SETTLE_SECONDS

    def repeats(self, other: "Pending") -> bool:
        """Say whether both do the same to the same version."""
        same = _version(self.old) == _version(other.old) and effect_of(self.new) == effect_of(other.new)
        return same and self.name == other.name


@dataclass(frozen=True, kw_only=True, slots=True)
class InFlight:
    """The admitted changes of one namespace of which nothing has been seen yet, the oldest first."""

    pending: tuple[Pending, ...] = ()

    def with_admitted(self, change: Pending) -> "InFlight":
        """
        Add a change.

        It settles an earlier one of the same policy if its old object is a later version than the earlier one's; about
        the same version, either may be the one that happens.
        """
        return InFlight(pending=(*(known for known in self.pending if not _replaced(known, change)), change))

    def is_over(self, now: float) -> bool:
        """Say whether everything is too old to happen any more."""
        return all(known.is_over(now) for known in self.pending)

    def without_seen(self, policies: Policies, now: float) -> "InFlight":
        """
        Drop what was seen to have happened or is too old to happen any more.

        Args:
            policies: the namespace's policies by name, as the cache has them. Whoever shows each state of the cache, in
                its order, misses nothing that comes and goes.
            now: seconds of the same clock as `admitted_at`.
        """
        if not self.pending:
            return self
        left = (
            known.beside(policies.get(known.name))
            for known in self.pending
            if not known.is_over(now) and not known.is_settled_by(policies.get(known.name))
        )
        return InFlight(pending=tuple(left))

    def without_shown(self, policies: Policies, listed_at: float) -> "InFlight":
        """
        Drop what a live list settles, for judging what is on that list.

        Args:
            policies: the namespace's policies by name, as they were listed.
            listed_at: when the list began.
        """

        def is_settled(known: Pending) -> bool:
            listed = policies.get(known.name)
            if listed_at < known.admitted_at:
                return known.is_settled_by(listed)
            return known.is_shown_by(listed) or known.has_failed_by(listed_at)

        left = [known for known in self.pending if not is_settled(known)]
        going = {known.name for known in left if known.new is None}
        # A name that is taken lets no CREATE happen, unless its owner is about to go.
        taken = {
            known.name
            for known in left
            if known.old is None and known.admitted_at <= listed_at and known.name in policies.keys() - going
        }
        return InFlight(pending=tuple(known for known in left if known.old is not None or known.name not in taken))

    def without_failed(self, policies: Policies, listed_at: float) -> "InFlight":
        """Drop what a list would have shown, had it happened; what it shows counts until the cache has it, too."""
        return InFlight(
            pending=tuple(
                known
                for known in self.pending
                if not known.has_failed_by(listed_at) or known.is_shown_by(policies.get(known.name))
            )
        )

    def worlds(self, view: EemNamespace, name: str) -> Iterator[EemNamespace]:
        """
        Give the namespace in every state that the pending changes may leave it in; as it is known comes first.

        Where there are too many, two states stand for all of them: in one, every policy in doubt isolates whom it may
        isolate and admits nobody; in the other, those that may isolate nobody are not there. Whatever is lost in some
        state is lost in one of these; the reverse may not hold, and then a change has to wait for the others.

        Args:
            view: the namespace as it is known.
            name: the policy that is asked about now: its own state is in the request.
        """
        yield view
        states = self._states(view, name)
        if states == {}:
            return
        if prod(len(known) for known in states.values()) > MOST_WORLDS:
            yield _at_worst(view, states)
            yield _at_least(view, states)
            return
        for chosen in islice(product(*states.values()), 1, None):
            world = view
            for policy_name, policy in zip(states, chosen, strict=True):
                if policy is not states[policy_name][0]:  # the first is as it is known
                    world = world.with_policy(policy_name, policy)
            yield world

    def _states(self, view: EemNamespace, name: str) -> dict[str, States]:
        """Give what each policy in doubt may be, as it is known first; None is gone."""
        states: dict[str, States] = {}
        for known in self.pending:
            if known.name != name:
                # Looked up, not asked for: a call that gives None when it should not would count as "gone".
                as_known = view.policies[known.name] if known.name in view.policies else None  # noqa: SIM401
                found = states[known.name] if known.name in states else (as_known,)  # noqa: SIM401
                for policy in (known.old, known.new):
                    if effect_of(policy) not in map(effect_of, found):
                        found = (*found, policy)
                states[known.name] = found
        return {policy_name: found for policy_name, found in states.items() if len(found) > 1}


def is_later(policy: NetworkPolicy, than: NetworkPolicy) -> bool:
    """
    Say whether one state of a policy, or of its successor by name, is surely later than another.

    Source: Kubernetes API concepts, "Resource versions": they are numbers that can be compared, within one kind.
    """
    versions = (policy.resource_version, than.resource_version)
    return all(text.isascii() and text.isdecimal() for text in versions) and int(versions[0]) > int(versions[1])


def effect_of(policy: NetworkPolicy | None) -> Effect | None:
    """Give what a policy does to those who want to reach pods: two states of a policy that do the same are one."""
    if policy is None:
        return None
    isolates = PolicyType.INGRESS in policy.policy_types
    return policy.pod_selector, isolates, policy.rules(PolicyType.INGRESS), policy.terminating


def _version(policy: NetworkPolicy | None) -> tuple[str, str] | None:
    return None if policy is None else (policy.uid, policy.resource_version)


def _replaced(known: Pending, change: Pending) -> bool:
    """Say whether a newly admitted change makes an earlier one superfluous."""
    if known.name != change.name:
        return False
    return change.repeats(known) or (change.old is not None and known.is_settled_by(change.old))


def _at_worst(view: EemNamespace, states: Mapping[str, States]) -> EemNamespace:
    """Let every policy in doubt isolate whom it may isolate, and admit nobody."""
    for name, policies in states.items():
        view = view.with_policy(name, None)
        for number, policy in enumerate(policies):
            if policy is not None:
                view = view.with_policy(f"{name} ({number})", replace(policy, ingress=()))
    return view


def _at_least(view: EemNamespace, states: Mapping[str, States]) -> EemNamespace:
    """Leave out every policy in doubt that may isolate others than it does, or nobody."""
    for name, policies in states.items():
        isolated = {None if policy is None else (policy.pod_selector, policy.policy_types) for policy in policies}
        if len(isolated) > 1:
            view = view.with_policy(name, None)
    return view
