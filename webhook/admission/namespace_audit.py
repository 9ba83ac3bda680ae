"""
The state of the requirements of one namespace, with what it rests on.

That tells what is evaluated again after a change.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field

from webhook.admission.bypass import BypassMark, BypassMarks
from webhook.admission.explanation import Explainer, pods_seen
from webhook.admission.judge import NO_CHANGE, Finding, in_all_readings
from webhook.admission.options import Options, demand_of, unknown_annotations
from webhook.admission.surroundings import Surroundings
from webhook.admission.verdict import Lost
from webhook.admission.world import World
from webhook.eem.eem_snapshot import EemSnapshot
from webhook.eem.instances import Requirement, SourcesDemand
from webhook.eem.standing import Port, PortStanding, Standing
from webhook.eem.view import EemNamespace, Guarded, StandingKey
from webhook.netpol.sources.budget import Answers
from webhook.netpol.sources.counterexample import PodExample
from webhook.netpol.sources.loss import lost_from_anywhere, lost_from_some
from webhook.netpol.sources.sides import NO_TIERS, Side, TierLoss, Tiers
from webhook.netpol.sources.source_set import EVERYONE, Sources
from webhook.netpol.sources.term_algebra import EVERY
from webhook.netpol.sources.tier_loss import lost_in_tiers, tiers_in

ALL_OPEN = Side(sources=EVERYONE, isolated=False)

_Question = tuple[StandingKey, Port, SourcesDemand]


@dataclass(frozen=True, kw_only=True, slots=True)
class RequirementState:
    """
    Whether one requirement holds for every subject.

    Args:
        lost: what is or may be closed, with the evidence of a refusal; None if the requirement surely holds.
        met: whether it holds; one that is not decided counts as met, except under --strict.
        since: the time since when it is known to be so, in seconds since 1970.
        bypasses: while it is broken, the policies with a bypass annotation that may have broken it, with their reasons.
        subjects: its pods, each with the policies that isolate it.
    """

    requirement: Requirement
    lost: Lost | None
    met: bool
    since: float
    bypasses: tuple[BypassMark, ...] = ()
    subjects: tuple[tuple[Guarded, Standing], ...] = field(default=(), compare=False, repr=False)

    def evidence(self) -> Lost:
        """Return what is or may be closed; of a requirement that surely holds, its pods and what isolates them."""
        if self.lost is not None:
            return self.lost
        requirement, seen = self.requirement, [guarded.subject for guarded, _ in self.subjects]
        isolating = dict.fromkeys(name for _, standing in self.subjects for name in standing.names_in_order)
        return Lost(
            instance=requirement.instance,
            component=requirement.component,
            protocol=requirement.protocol,
            port=requirement.port,
            pods=pods_seen(seen),
            counterexample=None,
            policies=tuple(f"{requirement.instance.namespace}/{name}" for name in isolating),
            decided=True,
            why_undecided="",
            remedy=None,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Answer:
    """What is closed at one port of one subject, and what that rests on in its namespace."""

    port: PortStanding
    isolated: bool
    tiers: Tiers
    found: TierLoss | None

    @property
    def sources(self) -> Sources:
        """Return who may connect."""
        return self.port.total if self.isolated else EVERYONE


@dataclass(frozen=True, kw_only=True, slots=True)
class NamespaceAudit:
    """
    The state of every requirement of one namespace.

    Args:
        unknown: the annotations of the namespace whose values have no meaning: `eem-guardrail.io/mode=enforced`.
        examples: the pods that the evidence names.
        sources: who may connect to the ports, each set once: what the answers rest on besides the namespace.
    """

    view: EemNamespace
    demand: SourcesDemand
    surroundings: Surroundings
    unknown: tuple[str, ...] = ()
    answers: Mapping[_Question, _Answer] = field(default_factory=dict)
    states: Mapping[Requirement, RequirementState] = field(default_factory=dict)
    examples: tuple[PodExample, ...] = ()
    sources: tuple[Sources, ...] = ()

    def still_holds(self, snapshot: EemSnapshot, now: Surroundings, demand: SourcesDemand, *, is_steady: bool) -> bool:
        """
        Whether nothing has changed that an answer rests on.

        Args:
            is_steady: the surroundings are the same as when this was asked last.
        """
        view = snapshot.eem[self.view.inventory.namespace]
        here = self.surroundings
        if self.view is not view or self.demand != demand or here.strict != now.strict:
            return False
        if here.cluster_policies is not now.cluster_policies:
            return False
        if not here.has_namespaces_of(now):  # an annotation may have changed, or an example be in none that exists
            return False
        if not all(_is_there(example, snapshot) for example in self.examples):
            return False
        return is_steady or not any(here.differs_for(sources, now) for sources in self.sources)


class NamespacePass:
    """The audit of one namespace of which something has changed."""

    def __init__(
        self,
        *,
        snapshot: EemSnapshot,
        options: Options,
        view: EemNamespace,
        surroundings: Surroundings,
        before: NamespaceAudit | None,
    ) -> None:
        name = view.inventory.namespace
        self._world = World(
            snapshot=snapshot,
            view=view,
            demand=demand_of(name, snapshot, options),
            universe=surroundings.universe,
            answers=Answers(),
        )
        self._unknown = unknown_annotations(name, snapshot)
        self._surroundings = surroundings
        self._before = before
        self._known = {} if before is None else dict(before.answers)
        self._by_port = {(id(one.port), question[1:]): one for question, one in self._known.items()}
        self._answers: dict[_Question, _Answer] = {}
        self._fresh: set[_Question] = set()

    @property
    def evaluated(self) -> int:
        """Return how many answers were evaluated anew."""
        return len(self._fresh)

    def steps(
        self, at: float, earlier: Mapping[Requirement, RequirementState]
    ) -> Generator[None, None, NamespaceAudit]:
        """
        Evaluate what changed, one answer or one explanation at a time.

        Args:
            at: the time, in seconds since 1970.
            earlier: the last states: the time of one that has not turned since remains.
        """
        view = self._world.view
        subjects: dict[Requirement, list[Guarded]] = {}
        for guarded in view.guarded:
            for requirement in guarded.needs:
                subjects.setdefault(requirement, []).append(guarded)
        yield
        closed: dict[Requirement, list[Finding]] = {}
        for requirement, concerned in subjects.items():
            closed[requirement] = []
            for guarded in concerned:
                finding = self._finding(requirement, guarded)
                if finding is not None:
                    closed[requirement].append(finding)
                yield
        kept = {requirement: lost for requirement in closed if (lost := self._kept(requirement, subjects[requirement]))}
        taken = (lost.remedy["metadata"]["name"] for lost in kept.values() if lost.remedy is not None)
        explainer = Explainer(self._world, taken)
        marks = BypassMarks(view, None if self._before is None else self._before.view)
        states: dict[Requirement, RequirementState] = {}
        for requirement in view.requirements("anywhere"):
            lost = kept.get(requirement) or _explained(closed.get(requirement, []), explainer)
            met = lost is None or not (lost.decided or self._surroundings.strict)
            before = earlier.get(requirement)
            seen = tuple((one, view.standings[one.key]) for one in subjects.get(requirement, []))
            is_old = before is not None and before.met == met
            states[requirement] = RequirementState(
                requirement=requirement,
                lost=lost,
                met=met,
                since=before.since if before is not None and is_old else at,
                bypasses=() if met else marks.of_break(seen, before.bypasses if before and is_old else None),
                subjects=seen,
            )
            yield
        examples = (state.lost.counterexample for state in states.values() if state.lost is not None)
        sources = {id(answer.sources): answer.sources for answer in self._answers.values()}
        return NamespaceAudit(
            view=view,
            demand=self._world.demand,
            surroundings=self._surroundings,
            unknown=self._unknown,
            answers=self._answers,
            states=states,
            examples=tuple(one for one in examples if isinstance(one, PodExample) and one.pod),
            sources=tuple(sources.values()),
        )

    def _finding(self, requirement: Requirement, guarded: Guarded) -> Finding | None:
        """Return what is or may be closed for one subject; None for nothing."""
        return in_all_readings([self._finding_of(requirement, reading) for reading in guarded.readings])

    def _finding_of(self, requirement: Requirement, guarded: Guarded) -> Finding | None:
        standing = self._world.view.standings[guarded.key]
        question = self._question(requirement, guarded)
        answer = self._answers[question] = self._answers.get(question) or self._answer(question, standing)
        if answer.found is None:
            return None
        return Finding(
            requirement=requirement,
            subject=guarded.subject,
            loss=answer.found.loss,
            broken=True,
            only_pods=False,
            lost_ipv6=None,
            change=NO_CHANGE,
            world=self._world,
            standing=standing,
            before=answer.found.before,
            after=answer.found.after,
            denied_by=answer.found.denied_by,
        )

    def _question(self, requirement: Requirement, guarded: Guarded) -> _Question:
        demand: SourcesDemand = "some" if "some" in {requirement.sources, self._world.demand} else "anywhere"
        return guarded.key, (requirement.protocol, requirement.port), demand

    def _answer(self, question: _Question, standing: Standing) -> _Answer:
        """Return the answer: one from before if all that it rests on is the same, be it that of other labels."""
        _, port, demand = question
        found, isolated = standing.ports[port], bool(len(standing.isolating))
        tiers = tiers_in(self._world.snapshot.cluster, standing.pod, *port) or NO_TIERS
        known = self._known.get(question) or self._by_port.get((id(found), question[1:]))
        if (
            known is not None
            and self._before is not None
            and known.port is found
            and known.isolated == isolated
            and known.tiers == tiers
            and not self._before.surroundings.differs_for(known.sources, self._surroundings)
        ):
            return known
        self._fresh.add(question)
        side = Side(sources=found.total if isolated else EVERYONE, isolated=isolated, tiers=tiers)
        return _Answer(port=found, isolated=isolated, tiers=tiers, found=self._closed(side, demand))

    def _closed(self, side: Side, demand: SourcesDemand) -> TierLoss | None:
        """Return what is or may be closed; None for nothing."""
        universe, answers = self._surroundings.universe, self._world.answers
        if side.tiers is not NO_TIERS:
            found = lost_in_tiers(ALL_OPEN, side, demand, EVERY, universe, answers)
            return None if found is not None and found.loss.only_ipv6 else found
        lost = lost_from_some if demand == "some" else lost_from_anywhere
        loss = lost(EVERYONE, side.sources, universe, answers) if side.isolated else None
        return None if loss is None or loss.only_ipv6 else TierLoss(loss=loss, before=EVERYONE, after=side.sources)

    def _kept(self, requirement: Requirement, concerned: list[Guarded]) -> Lost | None:
        """Return what was explained before, if all that the explanation rests on is the same."""
        view, before = self._world.view, self._before
        state = None if before is None else before.states.get(requirement)
        if before is None or state is None or state.lost is None:
            return None
        if before.view.inventory is not view.inventory or not before.surroundings.has_namespaces_of(self._surroundings):
            return None
        readings = (reading for guarded in concerned for reading in guarded.readings)
        if any(self._question(requirement, reading) in self._fresh for reading in readings):
            return None
        if any(view.standings[guarded.key] is not standing for guarded, standing in state.subjects):
            return None
        example, remedy = state.lost.counterexample, state.lost.remedy
        if isinstance(example, PodExample) and not _is_there(example, self._world.snapshot):
            return None
        return None if remedy is not None and remedy["metadata"]["name"] in view.policies else state.lost


def _is_there(example: PodExample, snapshot: EemSnapshot) -> bool:
    """Whether the pod of an example exists as it was; true for an example that is not an existing pod."""
    if not example.pod:
        return True
    pod = snapshot.cluster.state(example.namespace).pods.get(example.pod)
    return pod is not None and pod.labels == example.labels


def _explained(closed: list[Finding], explainer: Explainer) -> Lost | None:
    """Explain what is surely closed, or else what may be; None for nothing."""
    sure = [finding for finding in closed if finding.loss is not None and finding.loss.decided]
    return explainer.lost(sure or closed) if closed else None
