"""
Judge what one change of a NetworkPolicy does to the egress of EEM.

For every need of every subject that the changed policy restricts for egress, before or after the change:
1. Each path of the need is reachable, not reachable, or perhaps reachable. A path whose ends are known is reachable if
   each of them is. Of a path whose ends are not known, it counts which addresses and pods the policies allow at its
   port: all, some, or none.
2. The need is surely lost if some path was reachable and none is. It is perhaps lost if a path was lost and another
   one is left, if fewer destinations are left, or if something about them is not known.
3. Policies that may be gone the next moment are judged as for ingress: with them, and without them.

A change of policies that restrict no egress costs nothing here.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial

from webhook.admission.egress.allowance import Allowance, PathReach, PathState
from webhook.admission.judge import NO_CHANGE, Change
from webhook.admission.world import World
from webhook.eem.needs import Need, needs_of
from webhook.eem.paths import NeedPath, ServiceTranslation
from webhook.eem.subjects import Subject
from webhook.netpol.cluster_policies import ClusterPolicy
from webhook.netpol.matching import selecting, selects
from webhook.netpol.model import (
    NetworkPolicy,
    Pod,
    PolicyType,
)
from webhook.netpol.sources.loss import Loss, lost_from_anywhere

BY_PLUGIN = "which path a policy sees depends on the network plugin (--service-translation)"
BY_ROUTER = "a policy usually sees the router, not the manager"
BY_ADDRESS = "its address is not known here"
BY_BLOCK = "whether an ipBlock matches pods depends on the network plugin (--ipblock-matches-pods)"
BY_CLUSTER_POLICIES = "what cluster-wide policies allow is not known for all of its destinations"


@dataclass(frozen=True, kw_only=True, slots=True)
class EgressFinding:
    """
    What a change means for one need of one subject.

    Args:
        is_lost: it was reachable by some path, and surely is by none after the change.
        why_undecided: where it is not surely lost, what is not known; empty for a need that did not hold before.
        left: the paths that are reachable after the change.
        only_ipv6: all that is lost are IPv6 addresses.
        isolating: the policies that isolate the subject after the change, the changed one first.
        denied_by: the cluster-wide policies that cut it, if no NetworkPolicy does.
        was_isolated: whether a policy isolated the subject before the change.
    """

    need: Need
    subject: Subject
    is_lost: bool = False
    why_undecided: str = ""
    left: tuple[NeedPath, ...] = ()
    only_ipv6: bool = False
    isolating: tuple[NetworkPolicy, ...] = field(default=(), compare=False)
    denied_by: tuple[str, ...] = ()
    was_isolated: bool = True

    @property
    def is_loss(self) -> bool:
        """Whether something of a certain need is, or may be, lost."""
        return self.need.level == "certain" and (self.is_lost or bool(self.why_undecided)) and not self.only_ipv6

    @property
    def is_decided(self) -> bool:
        """Whether a certain need is surely lost."""
        return self.need.level == "certain" and self.is_lost


def judge_egress(changes: Iterable[Change], world: World, translation: ServiceTranslation) -> tuple[EgressFinding, ...]:
    """Return a finding for every need that the changes touch, unless it simply holds."""
    changes = [change for change in changes if _restricts_egress(change)]
    if not changes:
        return ()
    needs = _needs_in(world, translation)
    return tuple(
        finding
        for change in changes
        for guarded in world.view.guarded
        if change_selects(change, guarded.subject.pod)
        for finding in egress_findings_of(
            change, world, guarded.subject, needs.get((guarded.subject.component, guarded.subject.instance), ())
        )
    )


def judge_egress_in_tiers(
    before: World, after: World, changed: Iterable[ClusterPolicy], translation: ServiceTranslation
) -> tuple[EgressFinding, ...]:
    """
    Return a finding for every need that a change of a cluster-wide policy touches, unless it simply holds.

    Args:
        before: one namespace before the change.
        after: the same namespace after it: only the cluster-wide policies differ.
        changed: the policy before and after the change, as far as there is one.
    """
    labels = before.snapshot.namespace(before.view.inventory.namespace).labels
    speaking = [policy for policy in changed if policy.egress]
    subjects = [
        guarded.subject
        for guarded in before.view.guarded
        if any(policy.selects(guarded.subject.pod, labels) for policy in speaking)
    ]
    needs = _needs_in(before, translation) if subjects else {}
    return tuple(
        finding
        for subject in subjects
        for finding in egress_findings_of(
            NO_CHANGE, before, subject, needs.get((subject.component, subject.instance), ()), after
        )
    )


def _needs_in(world: World, translation: ServiceTranslation) -> dict[object, list[Need]]:
    """Return what can be lost of the needs of a namespace, by component and instance."""
    needs: dict[object, list[Need]] = {}
    for need in needs_of(world.view.inventory.namespace, world.snapshot, translation):
        if need.level != "note":
            needs.setdefault((need.component, need.instance), []).append(need)
    return needs


def _restricts_egress(change: Change) -> bool:
    old, new = change.old, change.new
    return (old is not None and PolicyType.EGRESS in old.policy_types) or (
        new is not None and PolicyType.EGRESS in new.policy_types
    )


def change_selects(change: Change, pod: Pod) -> bool:
    """Whether the changed policy restricts the egress of a pod, before or after the change."""
    return any(policy is not None and selects(policy, pod, PolicyType.EGRESS) for policy in (change.old, change.new))


def egress_findings_of(
    change: Change, world: World, subject: Subject, needs: Iterable[Need], later: World | None = None
) -> Iterator[EgressFinding]:
    """Yield a finding for each need of a subject that the change touches; *later* is the world after it, if another."""
    others = _others(change, world, subject.pod)
    leaving = {policy.name for policy in others if policy.terminating or policy.name in world.view.orphaned}
    settings = [[replace(policy, egress=()) if policy.terminating else policy for policy in others]]
    if leaving:
        settings.append([policy for policy in others if policy.name not in leaving])
    pairs = [
        (Allowance.of(change.old, kept, subject, world), Allowance.of(change.new, kept, subject, later or world))
        for kept in settings
    ]
    for need in needs:
        found = [finding for before, after in pairs if (finding := _finding(need, before, after)) is not None]
        if found:
            yield min(found, key=lambda finding: (not finding.is_lost, not finding.why_undecided))


def _others(change: Change, world: World, pod: Pod) -> tuple[NetworkPolicy, ...]:
    """Return the policies that restrict the egress of a pod, apart from the changed one, by name."""
    if world.others == "absent":
        return ()
    if world.others == "isolating":
        return (NetworkPolicy(namespace=pod.namespace, name="", policy_types=frozenset({PolicyType.EGRESS})),)
    return isolating_egress((policy for name, policy in world.view.index.egress.items() if name != change.name), pod)


def isolating_egress(policies: Iterable[NetworkPolicy], pod: Pod) -> tuple[NetworkPolicy, ...]:
    """Return the policies that restrict the egress of a pod, by name."""
    restricting = (policy for policy in policies if PolicyType.EGRESS in policy.policy_types)
    return tuple(sorted(selecting(restricting, pod, PolicyType.EGRESS), key=lambda policy: policy.name))


def _finding(need: Need, before: Allowance, after: Allowance) -> EgressFinding | None:
    """Return what becomes of a need; None if it holds as before, or if it is better."""
    was = [before.state(path, need) for path in need.paths]
    now = [after.state(path, need) for path in need.paths]
    make = partial(
        EgressFinding,
        need=need,
        subject=after.subject,
        left=tuple(state.path for state in now if state.reach is not PathReach.NO),
        isolating=after.isolating,
        was_isolated=bool(before.isolating),
    )
    if before.world.tiers == "any":
        return make(is_lost=True) if _is_less(was, now, before.world) else None
    best = max(state.reach for state in was)
    if all(state.reach is PathReach.NO for state in now):
        if best is PathReach.NO:
            return make(denied_by=after.denying(need.paths, need.protocol))
        if best < PathReach.SOME:
            return make(why_undecided=BY_CLUSTER_POLICIES if before.overriding else BY_BLOCK)
        return make(is_lost=True, denied_by=after.denying(need.paths, need.protocol))
    if need.only_if_none:
        return None
    return _undecided(need, was, now, before, make)


def _undecided(
    need: Need, was: list[PathState], now: list[PathState], before: Allowance, make: Callable[..., EgressFinding]
) -> EgressFinding | None:
    """
    Return the finding for a need of which a path or some destinations are lost; None if nothing is.

    The virtual address of a Service is a second path: where everything behind the Service is reachable, its loss
    does not count.
    """
    losses = _losses(was, now, before.world)
    if any(state.reach is PathReach.YES and state.path.translated for state in now):
        losses = [(state, loss) for state, loss in losses if state.path.translated is not False]
    if not losses:
        return None
    if all(loss is not None and loss.only_ipv6 for _, loss in losses):
        return make(why_undecided="only IPv6 is cut off, and EEM supports IPv4 only", only_ipv6=True)
    return make(why_undecided=_why(need, losses[0][0], now))


def _losses(was: list[PathState], now: list[PathState], world: World) -> list[tuple[PathState, Loss | None]]:
    """Return the paths that are lost, or of which some destinations are, with what is lost where it is known."""
    losses: list[tuple[PathState, Loss | None]] = []
    for old, new in zip(was, now, strict=True):
        if old.path.is_known:
            if new.reach < old.reach:
                losses.append((new, None))
        elif new.reach < PathReach.YES or old.reach < PathReach.YES:
            loss = lost_from_anywhere(old.allowed, new.allowed, world.universe, world.answers)
            if loss is not None or new.reach < old.reach or new.may_lose_to_tiers(old):
                losses.append((new, loss))
    return losses


def _is_less(was: list[PathState], now: list[PathState], world: World) -> bool:
    """Whether anything is lost but IPv6: cluster-wide policies that may do anything may deny all that is left."""
    return any(loss is None or not loss.only_ipv6 for _, loss in _losses(was, now, world))


def _why(need: Need, lost: PathState, now: list[PathState]) -> str:
    """Return what is not known about a need that is perhaps lost, as one clause."""
    holds = next((state for state in now if state.reach is PathReach.YES and state.path is not lost.path), None)
    if holds is not None and need.id == "E3":
        return f"{lost.path.name} is cut off: {BY_ROUTER}"
    if holds is not None:
        return f"{lost.path.name} {'is' if lost.reach is PathReach.NO else 'may be'} cut off: {BY_PLUGIN}"
    if lost.path.is_known:
        return BY_BLOCK
    return f"fewer destinations are left, and {BY_ADDRESS}"
