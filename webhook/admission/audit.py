"""
Evaluate every requirement on the state of the cluster, and keep the result from change to change.

Admission sees single changes of policies and instances, and no changes of pods and namespaces; the audit sees the
result of all of them. It is a value: an audit of the next state is made from the last one, and evaluates only what
changed in between. What an answer rests on tells whether it still holds: the standing of the subject, which is the same
object until a policy of the namespace changes it; the labels of all namespaces, where a policy selects sources by
labels; and the addresses of all pods, where it selects them by ipBlocks.
"""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

from rpds import HashTrieMap

from webhook.admission.egress.need_standing import NamespaceNeeds, NeedState, need_steps
from webhook.admission.namespace_audit import NamespaceAudit, NamespacePass, RequirementState
from webhook.admission.options import Options, demand_of, egress_of
from webhook.admission.surroundings import Surroundings
from webhook.admission.verdict import lost_json, time_text
from webhook.admission.world import World
from webhook.eem.claims import is_gateway_by_labels
from webhook.eem.eem_snapshot import EemSnapshot
from webhook.netpol.model import Pod
from webhook.netpol.sources.budget import Answers

Steps = Iterator["Audit | None"]
"""The work of an audit in short pieces: the last one brings the audit, the others None."""

Turn = Literal["broken", "restored", "ended"]
"""What has become of a requirement; it has ended if it was broken and is no longer required."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Audit:
    """
    The state of every requirement of a cluster.

    Args:
        namespaces: the EEM namespaces by name, in order.
        needs: the needs of those of them whose egress is judged.
        evaluated: how many answers were evaluated anew for this audit; the others were kept.
        surroundings: the rest of the cluster at the time; None before the first audit.
    """

    namespaces: Mapping[str, NamespaceAudit] = field(default_factory=dict)
    needs: Mapping[str, NamespaceNeeds] = field(default_factory=dict)
    evaluated: int = 0
    surroundings: Surroundings | None = None

    def states(self) -> Iterator[RequirementState]:
        """Yield the state of every requirement of every instance and operator that is not exempt."""
        for known in self.namespaces.values():
            yield from known.states.values()

    def need_states(self) -> Iterator[NeedState]:
        """Yield the state of every need of egress, of the namespaces where egress is judged."""
        for known in self.needs.values():
            yield from known.states.values()


NOTHING_AUDITED = Audit()


def audit(snapshot: EemSnapshot, options: Options, *, at: float = 0.0, known: Audit = NOTHING_AUDITED) -> Audit:
    """Return the audit of a cluster; see `audit_steps`."""
    found = NOTHING_AUDITED
    for step in audit_steps(snapshot, options, at=at, known=known):
        found = step or found
    return found


def audit_steps(snapshot: EemSnapshot, options: Options, *, at: float, known: Audit, fresh: bool = False) -> Steps:
    """
    Audit a cluster in short pieces.

    Args:
        at: the time, in seconds since 1970.
        known: the audit of an earlier state: what it rests on and has not changed is not evaluated again.
        fresh: evaluate everything again; of *known*, only the times remain.
    """
    surroundings = Surroundings.of(snapshot, options)
    is_steady = known.surroundings is not None and known.surroundings.is_same(surroundings)
    found: dict[str, NamespaceAudit] = {}
    evaluated = 0
    for name in sorted(snapshot.eem):
        view, before = snapshot.eem[name], known.namespaces.get(name)
        rest = None if fresh else before
        demand = demand_of(name, snapshot, options)
        if rest is not None and rest.still_holds(snapshot, surroundings, demand, is_steady=is_steady):
            found[name] = rest
            continue
        passing = NamespacePass(snapshot=snapshot, options=options, view=view, surroundings=surroundings, before=rest)
        found[name] = yield from passing.steps(at, {} if before is None else before.states)
        evaluated += passing.evaluated
    needs = yield from _need_steps(snapshot, options, surroundings, at, known.needs, fresh=fresh)
    yield Audit(namespaces=found, needs=needs, evaluated=evaluated, surroundings=surroundings)


def _need_steps(  # noqa: PLR0913  the parts of one audit
    snapshot: EemSnapshot,
    options: Options,
    surroundings: Surroundings,
    at: float,
    known: Mapping[str, NamespaceNeeds],
    *,
    fresh: bool,
) -> Generator[None, None, Mapping[str, NamespaceNeeds]]:
    """Evaluate the needs of each namespace of which something has changed, one need at a time."""
    found: dict[str, NamespaceNeeds] = {}
    for name in sorted(snapshot.eem):
        if egress_of(name, snapshot, options) == "off":
            continue
        before = known.get(name)
        if before is not None and not fresh and before.still_holds(name, snapshot, surroundings):
            found[name] = before
            continue
        world = World(
            snapshot=snapshot,
            view=snapshot.eem[name],
            demand=demand_of(name, snapshot, options),
            universe=surroundings.universe,
            answers=Answers(),
        )
        found[name] = yield from need_steps(world, options, surroundings, at, {} if before is None else before.states)
    return found


def turns(before: Audit, after: Audit) -> Iterator[tuple[Turn, RequirementState]]:
    """Yield each requirement that was broken, restored or ended between two audits, with its last known state."""
    for name, now in after.namespaces.items():
        then = before.namespaces.get(name)
        if now is then:
            continue
        yield from _turned({} if then is None else then.states, now.states)
    for name, then in before.namespaces.items():
        left = after.namespaces[name].states if name in after.namespaces else {}
        if left is not then.states:
            yield from _ended(then.states, left)


def need_turns(before: Audit, after: Audit) -> Iterator[tuple[Turn, NeedState]]:
    """Yield each need that was broken, restored or ended between two audits, with its last known state."""
    for name, now in after.needs.items():
        then = before.needs.get(name)
        if now is not then:
            yield from _turned({} if then is None else then.states, now.states)
    for name, then in before.needs.items():
        left = after.needs[name].states if name in after.needs else {}
        if left is not then.states:
            yield from _ended(then.states, left)


class _Held(Protocol):
    """A state of a requirement or need."""

    @property
    def met(self) -> bool:
        """Whether it holds."""


Key = TypeVar("Key")
State = TypeVar("State", bound=_Held)


def _turned(before: Mapping[Key, State], now: Mapping[Key, State]) -> Iterator[tuple[Turn, State]]:
    for key, state in now.items():
        was_met = key not in before or before[key].met
        if state.met != was_met:
            yield "restored" if state.met else "broken", state


def _ended(before: Mapping[Key, State], left: Mapping[Key, State]) -> Iterator[tuple[Turn, State]]:
    yield from (("ended", state) for key, state in before.items() if not state.met and key not in left)


def gateways_without_instance(snapshot: EemSnapshot) -> Iterator[str]:
    """Yield `namespace/name` of the pods with a gateway's labels that belong to no instance; this looks at all pods."""
    for space in snapshot.cluster.names_in_order:
        known = snapshot.eem.get(space)
        own: HashTrieMap[str, Pod] = HashTrieMap() if known is None else known.inventory.pods
        pods = snapshot.cluster.state(space).pods
        for name in sorted(pods):
            if name not in own and not pods[name].finished and is_gateway_by_labels(pods[name].labels):
                yield f"{space}/{name}"


def unknown_annotations_of(found: Audit) -> list[dict[str, str]]:
    """Return the annotations of EEM namespaces whose values are not known, as JSON values."""
    return [
        {"namespace": name, "annotation": annotation}
        for name, known in found.namespaces.items()
        for annotation in known.unknown
    ]


def row(state: RequirementState) -> dict[str, Any]:
    """
    Return the state of one requirement as JSON values.

    These are the fields of a loss, whether it is met, since when, and the bypasses that may have broken it.
    """
    bypasses = [{"policy": mark.policy, "reason": mark.reason} for mark in state.bypasses]
    return {**lost_json(state.evidence()), "met": state.met, "since": time_text(state.since), "bypasses": bypasses}
