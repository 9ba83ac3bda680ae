"""
Changes that were admitted and that nobody has seen happen yet.

Between the verdict and the watch event an admitted change may have happened, may happen, or may have failed elsewhere
(another webhook, a quota, a conflict). So a later change must be acceptable either way: what was admitted to be taken
away counts as gone at once, and what was admitted to be added counts only when it is seen.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product

from webhook.eem.view import EemNamespace
from webhook.netpol.model import NetworkPolicy
from webhook.netpol.sure import SURE

PENDING_SECONDS = 60.0
"""How long an admitted change may take to be seen: the API server gives a request at most 60 s."""

SETTLE_SECONDS = 2.0
"""
How long after the verdict a change may still be on its way to the store: a list begun later that does not show it means
that it failed. The API server stores within milliseconds; slow webhooks that are asked beside us are what takes longer.
"""

MOST_COMBINED = 4
"""Pending changes of one namespace of which every combination is judged; of more only none, all, and the worst."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pending:
    """
    One admitted change.

    Args:
        old: the policy before; None for CREATE.
        new: the policy afterwards; None for DELETE.
        admitted_at: when, in seconds of a clock that never goes back.
    """

    namespace: str
    name: str
    old: NetworkPolicy | None
    new: NetworkPolicy | None
    admitted_at: float

    def is_seen(self, current: NetworkPolicy | None) -> bool:
        """Say whether the policy is no longer what it was before the change: then it is known what became of it."""
        if self.old is None or current is None:
            return (self.old is None) is not (current is None)
        same = (self.old.uid, self.old.resource_version) == (current.uid, current.resource_version)
        return not same or self.old.terminating is not current.terminating


@dataclass(frozen=True, kw_only=True, slots=True)
class InFlight:
    """All admitted changes of which nothing has been seen yet, the oldest first."""

    pending: tuple[Pending, ...] = ()

    def with_admitted(self, change: Pending) -> "InFlight":
        """Add a change; an earlier one of the same policy is settled by it, for its old object has shown it."""
        kept = (known for known in self.pending if (known.namespace, known.name) != (change.namespace, change.name))
        return InFlight(pending=(*kept, change))

    def without_seen(self, policies_of: Mapping[str, Mapping[str, NetworkPolicy]], now: float) -> "InFlight":
        """
        Drop what was seen to have happened or is too old to happen any more.

        Args:
            policies_of: the policies by namespace and name, for every namespace with pending changes.
            now: seconds of the same clock as `admitted_at`.
        """
        if not self.pending:
            return self
        return InFlight(
            pending=tuple(
                known
                for known in self.pending
                if now - known.admitted_at <= PENDING_SECONDS
                and not known.is_seen(policies_of[known.namespace].get(known.name))
            )
        )

    def without_failed(self, namespace: str, listed_at: float) -> "InFlight":
        """Drop what a list begun at *listed_at* would have shown, had it happened."""
        return InFlight(
            pending=tuple(
                known
                for known in self.pending
                if known.namespace != namespace or listed_at - known.admitted_at <= SETTLE_SECONDS
            )
        )

    def worlds(self, view: EemNamespace, name: str) -> Iterator[EemNamespace]:
        """
        Give the namespace in every state that the pending changes may leave it in; as it is known comes first.

        Args:
            view: the namespace as it is known.
            name: the policy that is asked about now: its own state is in the request.
        """
        yield view
        pending = [known for known in self.pending if known.namespace == view.name and known.name != name]
        if not pending:
            return
        if len(pending) <= MOST_COMBINED:
            for happened in product((False, True), repeat=len(pending)):
                if SURE[any(happened)]:
                    yield _applied(view, [known for known, has in zip(pending, happened, strict=True) if has])
            return
        yield _applied(view, pending)
        yield _at_worst(view, pending)


def _applied(view: EemNamespace, pending: Iterable[Pending]) -> EemNamespace:
    for known in pending:
        view = view.with_policy(known.name, known.new)
    return view


def _at_worst(view: EemNamespace, pending: Iterable[Pending]) -> EemNamespace:
    """Let every pending policy isolate whom it may isolate, and admit nobody."""
    for known in pending:
        for version, policy in (("old", known.old), ("new", known.new)):
            if policy is not None:
                stub = replace(policy, ingress=())
                view = view.with_policy(f"{known.name} ({version})", stub)
        view = view.with_policy(known.name, None)
    return view
