"""
What a change takes away where Calico's policies count.

A change of a NetworkPolicy leaves the course of connections as it is: a source is surely lost that was surely in the
base, surely comes as far as it, and is surely neither in it nor admitted elsewhere afterwards. Other changes compare
what is admitted before with what is admitted after, each between its bounds.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from webhook.netpol.calico.course import Course, course_of
from webhook.netpol.calico.regions import ALL, Algebra, Between, EntityReader, Region
from webhook.netpol.intervals import IPV4, IPV6, WHOLE, intersect, largest_network
from webhook.netpol.sources.bounds import Bounds
from webhook.netpol.sources.budget import Answers, StepBudget, StepsExhaustedError
from webhook.netpol.sources.difference import PodWitness, difference, may_hold_pods
from webhook.netpol.sources.loss import (
    BOUND_CLAUSE,
    IPBLOCK_CLAUSE,
    UNREADABLE_CLAUSE,
    AddressWitness,
    Loss,
    lost_ipv4,
    lost_ipv6,
    lost_pods,
)
from webhook.netpol.sources.sides import Side, TierLoss
from webhook.netpol.sources.source_set import EVERYONE, NO_SOURCES, Sources, union_of
from webhook.netpol.sources.term_algebra import EVERY, Terms
from webhook.netpol.sources.terms import admits
from webhook.netpol.sources.universe import Universe

OPEN = Side(sources=EVERYONE, isolated=False)


def lost_with_calico(  # noqa: PLR0913, PLR0917  two sides, and what is asked about them
    before: Side, after: Side, demand: Literal["anywhere", "some"], touched: Terms, universe: Universe, answers: Answers
) -> TierLoss | None:
    """
    Return what a change takes away on a cluster whose plugin is Calico; a decided loss is preferred.

    Args:
        touched: the pods for which the change may change what a tier decides; none for a change of a NetworkPolicy.
    """
    question = _Comparison(before=before, after=after, touched=touched, universe=in_calico(universe), answers=answers)
    try:
        return question.from_anywhere() if demand == "anywhere" else question.from_some()
    except StepsExhaustedError:
        loss = Loss(decided=False, witness=None, why_undecided=BOUND_CLAUSE)
        return TierLoss(loss=loss, before=before.sources, after=after.sources)


def is_broken_with_calico(
    side: Side, demand: Literal["anywhere", "some"], universe: Universe, answers: Answers
) -> bool:
    """Whether a requirement surely does not hold on a cluster whose plugin is Calico."""
    lost = lost_with_calico(OPEN, side, demand, EVERY, universe, answers)
    return lost is not None and lost.loss.decided


def admitted_with_calico(side: Side, universe: Universe) -> tuple[Sources, str]:
    """Return the sources that are surely admitted, and why others may be, as one clause; empty where none is."""
    question = _Comparison(before=side, after=side, touched=EVERY, universe=in_calico(universe), answers=Answers())
    found = question.admitted(side)
    doubt = question.doubt if found.surely != found.possibly else ""
    return (EVERYONE if found.surely == ALL else _as_sources(found.surely)), doubt


def in_calico(universe: Universe) -> Universe:
    """Return the universe of a cluster whose plugin is Calico: there an ipBlock matches pods by their address."""
    return replace(universe, ipblock_matches_pods="yes")


def _as_sources(region: Region) -> Sources:
    blocks = tuple((family, region.block(family)) for family in (IPV4, IPV6) if region.block(family))
    return Sources(terms=region.pods, blocks=blocks)


def _bound(known: Between, *, lower: bool) -> Region:
    return known.surely if lower else known.possibly


@dataclass(frozen=True, kw_only=True)
class _Comparison:
    """What is admitted before a change and after it."""

    before: Side
    after: Side
    touched: Terms
    universe: Universe
    answers: Answers

    @cached_property
    def algebra(self) -> Algebra:
        """Return what joins regions, with the steps of this question."""
        return Algebra(budget=StepBudget(left=self.answers.steps))

    def course(self, side: Side) -> Course:
        """Return the course of connections; sides with the same tiers share it."""
        if side.tiers.calico is None:
            return Course()
        key = "course", id(side.tiers.calico), id(self.universe.pod_ranges)
        if key not in self.answers.known:
            budget = StepBudget(left=self.answers.steps)
            self.answers.known[key] = course_of(side.tiers.calico, self.universe, budget), side.tiers.calico
        found: Course = self.answers.known[key][0]
        return found

    @property
    def doubt(self) -> str:
        """Return the first thing that is not known, as one clause."""
        doubts = (*self.course(self.after).doubts, *self.course(self.before).doubts)
        return next(iter(doubts), IPBLOCK_CLAUSE)

    def admitted(self, side: Side) -> Between:
        """Return the sources that are admitted."""
        course = self.course(side)
        through = self.algebra.meet(self._base(side), course.kept)
        return self.algebra.either(through, course.added)

    def _base(self, side: Side) -> Between:
        course = self.course(side)
        if not side.isolated:
            return course.alone
        return self.algebra.either(self._by_policies(side.sources), course.beside)

    def _by_policies(self, sources: Sources) -> Between:
        """Return the sources that NetworkPolicies admit."""
        if sources.everyone:
            return Bounds(surely=ALL, possibly=ALL)
        reader = EntityReader(algebra=self.algebra, universe=self.universe, sets=())
        pods = reader.pods_in(dict(sources.blocks))
        blocks = Region(pods=sources.terms, ipv4=sources.block(IPV4), ipv6=sources.block(IPV6))
        known = self.algebra.either(Bounds(surely=blocks, possibly=blocks), pods)
        return replace(known, possibly=ALL) if sources.unreadable else known

    def from_anywhere(self) -> TierLoss | None:
        """Return the loss of a requirement from anywhere: first what is surely lost, then what is perhaps lost."""
        found = self._lost(surely=True)
        if found is not None and found.loss.decided:
            return found
        perhaps = self._lost(surely=False) or found
        if perhaps is None or perhaps.loss.only_ipv6:
            return perhaps
        why = perhaps.loss.why_undecided if found is not None and found.loss.why_undecided else self.doubt
        return replace(perhaps, loss=replace(perhaps.loss, decided=False, why_undecided=why))

    def _lost(self, *, surely: bool) -> TierLoss | None:
        """Return what is lost between a bound of what was admitted and the other bound of what is."""
        course, algebra = self.course(self.after), self.algebra
        barred, added = algebra.opposite(course.kept), _bound(course.added, lower=not surely)
        if self.before.tiers is self.after.tiers:
            had = self._base_sources(self.before, lower=surely)
            left = algebra.union(_bound(barred, lower=not surely), added)
        else:
            was = self._was_admitted(surely=surely)
            stopped = algebra.minus(algebra.both(was, _bound(barred, lower=surely)), added)
            found = self._stopped(stopped, surely=surely)
            if found is not None:
                return found
            reached = _as_sources(algebra.both(was, _bound(course.kept, lower=surely)))
            had, left = (replace(reached, blocks=()), replace(reached, terms=Terms())), added
        has = self._base_sources(self.after, lower=not surely)
        now = (
            replace(has[0], terms=has[0].terms | left.pods),
            union_of((has[1], replace(_as_sources(left), terms=Terms()))),
        )
        return self._compared(had, now)

    def _was_admitted(self, *, surely: bool) -> Region:
        """Return a bound of what was admitted; the upper one only as far as the change can change it."""
        was = _bound(self.admitted(self.before), lower=surely)
        if surely or self.touched == EVERY:
            return was
        return self.algebra.both(was, Region(pods=self.touched))

    def _base_sources(self, side: Side, *, lower: bool) -> tuple[Sources, Sources]:
        """Return a bound of the base: with pods by labels and by the blocks of NetworkPolicies, and the addresses."""
        course = self.course(side)
        if not side.isolated:
            alone = _as_sources(_bound(course.alone, lower=lower))
            return replace(alone, blocks=()), replace(alone, terms=Terms())
        beside, sources = _as_sources(_bound(course.beside, lower=lower)), side.sources
        blocks = tuple(WHOLE.items()) if sources.everyone else sources.blocks
        pods = replace(sources, everyone=False, terms=sources.terms | beside.terms)
        own = replace(sources, everyone=False, terms=Terms(), blocks=blocks)
        return pods, union_of((own, replace(beside, terms=Terms())))

    def _stopped(self, stopped: Region, *, surely: bool) -> TierLoss | None:
        """Return the loss of sources that a rule or the end of a tier keeps from coming as far as NetworkPolicies."""
        witness = self._example(stopped)
        if witness is None:
            return None
        loss = Loss(decided=surely, witness=witness)
        return TierLoss(loss=loss, before=_as_sources(stopped), after=NO_SOURCES, denied_by=self._closing())

    def _closing(self) -> tuple[str, ...]:
        """Return the policies that may deny something, or else all that are asked."""
        calico = self.after.tiers.calico
        return self.course(self.after).denying or (() if calico is None else calico.stages.names)

    def _compared(self, had: tuple[Sources, Sources], has: tuple[Sources, Sources]) -> TierLoss | None:
        """Return the loss of pods by the first sets, or of addresses by the second ones."""
        universe, unreadable = self.universe, self.after.isolated and self.after.sources.unreadable
        found: list[tuple[Loss, Sources, Sources]] = []
        pods = lost_pods(had[0], has[0], universe, self.answers)
        if pods is not None:
            found.append((pods, had[0], has[0]))
        addresses = lost_ipv4(had[1], has[1], universe) if IPV4 in universe.families else None
        if addresses is not None:
            found.append((addresses, had[1], has[1]))
        if not found and IPV6 in universe.families:
            later = lost_ipv6(had[1], has[1], universe)
            found += [] if later is None else [(later, had[1], has[1])]
        if not found:
            return None
        loss, before, after = min(found, key=lambda one: not one[0].decided)
        if unreadable:
            loss = replace(loss, decided=False, why_undecided=UNREADABLE_CLAUSE)
        denied_by = () if self.after.isolated and not self._is_admitted(loss) else self._closing()
        return TierLoss(loss=loss, before=before, after=after, denied_by=denied_by)

    def _is_admitted(self, loss: Loss) -> bool:
        """Whether NetworkPolicies admit the pod that a loss names, so that something else keeps it out."""
        if not isinstance(loss.witness, PodWitness):
            return False
        return admits(self.after.sources.terms, loss.witness.namespace_labels, loss.witness.pod_labels)

    def from_some(self) -> TierLoss | None:
        """Return the loss of a requirement from some source."""
        had, has = self.admitted(self.before), self.admitted(self.after)
        if self.before == self.after or self._holds_any(has.surely):
            return None
        if not self._holds_any(has.possibly):
            witness = self._example(had.surely)
            if witness is not None:
                return self._last(Loss(decided=True, witness=witness), had.surely)
            has_ipv6 = IPV6 in self.universe.families
            loss = lost_ipv6(_as_sources(had.surely), NO_SOURCES, self.universe) if has_ipv6 else None
            if loss is not None:
                return self._last(loss, had.surely)
        if not self._holds_any(had.possibly):
            return None
        return self._last(Loss(decided=False, witness=None, why_undecided=self.doubt), had.possibly)

    def _last(self, loss: Loss, was: Region) -> TierLoss:
        denied_by = () if self.after.isolated else self._closing()
        return TierLoss(loss=loss, before=_as_sources(was), after=NO_SOURCES, denied_by=denied_by)

    def _example(self, region: Region) -> PodWitness | AddressWitness | None:
        """Return a pod of a region, or the largest network of IPv4 addresses, which alone are a reason to refuse."""
        found = difference(region.pods, (), self.answers, self.universe.labels_of)
        addresses = intersect(self.universe.outside(IPV4), region.ipv4) if IPV4 in self.universe.families else ()
        return found or (AddressWitness(cidr=largest_network(addresses, IPV4)) if addresses else None)

    def _holds_any(self, region: Region) -> bool:
        """Whether a region holds a pod or an address."""
        return may_hold_pods(region.pods, self.universe.labels_of) or any(
            intersect(self.universe.outside(family), region.block(family)) for family in self.universe.families
        )
