"""
What a change takes away: the sources that could connect before and cannot afterwards.

Two questions have more than one answer as long as the cluster's plugin is not known: does an ipBlock admit pods, and
which addresses are pods'. A loss that is one under every answer is decided; one under some answers only is not.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from webhook.netpol.difference import PodWitness, difference
from webhook.netpol.effort import BoundReachedError, Effort
from webhook.netpol.intervals import WHOLE, intersect, largest_network, subtract, union
from webhook.netpol.labelspace import EVERY_POD
from webhook.netpol.sources import NOBODY, Sources
from webhook.netpol.sure import SURE, Answer
from webhook.netpol.universe import UNICAST, IPBlockMatchesPods, Universe


@dataclass(frozen=True, kw_only=True, slots=True)
class AddressWitness:
    """An address range outside the cluster's pods that is cut off."""

    cidr: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Loss:
    """
    Something that a change takes away.

    Args:
        decided: True where no reading of the cluster makes it good.
        witness: an example of who is cut off; None where the search was given up, or where it may be anyone.
        why_undecided: one clause for people; empty where decided.
    """

    decided: bool
    witness: PodWitness | AddressWitness | None
    why_undecided: str = ""


IPBLOCK_CLAUSE = "whether an ipBlock admits pods depends on the network plugin (--ipblock-matches-pods)"
EXCEPTION_CLAUSE = "the addresses cut off may be pods only (--pod-cidr)"
BOUND_CLAUSE = "the selectors are too many to decide in time"
UNREADABLE_CLAUSE = "a stored policy has parts that cannot be read"


def lost_from_anywhere(before: Sources, after: Sources, universe: Universe, effort: Effort) -> tuple[Loss, ...]:
    """
    Find a source of *universe* that *before* admits and *after* does not: one loss where there is any, else none.

    A decided loss is preferred to an undecided one, and a pod to an address. Where the effort does not suffice, it is
    not decided whether something is lost.
    """
    if after.everyone or before == after:
        return ()
    # One decision asks the same of many pods, and mostly with the very same sets. They are kept while their ids count.
    question = id(before), id(after)
    if question not in effort.known:
        effort.known[question] = _lost_from_anywhere(before, after, universe, effort), before, after
    losses: tuple[Loss, ...] = effort.known[question][0]
    return losses


def _lost_from_anywhere(before: Sources, after: Sources, universe: Universe, effort: Effort) -> tuple[Loss, ...]:
    losses = [
        *_unreadable(before, after),
        *_pods(before, after, universe, effort),
        *_addresses(before, after, universe, effort),
    ]
    if after.unreadable:
        losses = [replace(loss, decided=False, why_undecided=UNREADABLE_CLAUSE) for loss in losses]
    surely = [loss for loss in losses if loss.decided]
    return (*surely, *losses)[:1]


def lost_from_some(before: Sources, after: Sources, universe: Universe, effort: Effort) -> tuple[Loss, ...]:
    """
    Say whether *before* admits somebody and *after* nobody: what a requirement "from some source" can lose.

    Each reading of an ipBlock is judged as a whole: a pod that none admits under one of them never was admitted there.
    """
    if before == after:
        return ()
    setting = universe.ipblock_matches_pods
    readings: tuple[IPBlockMatchesPods, ...] = ("yes", "no") if setting == "unknown" else (setting,)
    answers = [_last_is_lost(before, after, universe, reading) for reading in readings]
    if answers == [Answer.NO] * len(readings):
        return ()
    if answers == [Answer.YES] * len(readings):
        examples = lost_from_anywhere(before, NOBODY, universe, effort)
        return (Loss(decided=True, witness=examples[0].witness if examples else None),)
    if not {*answers} <= {*Answer}:
        raise TypeError("somebody is lost, or nobody is, or that is not known")
    why = UNREADABLE_CLAUSE if Answer.UNSURE in answers else IPBLOCK_CLAUSE
    return (Loss(decided=False, witness=None, why_undecided=why),)


def _last_is_lost(before: Sources, after: Sources, universe: Universe, reading: IPBlockMatchesPods) -> Answer:
    match _admits_somebody(before, universe, reading), _admits_somebody(after, universe, reading):
        case (Answer.NO, _) | (_, Answer.YES):
            return Answer.NO
        case (Answer.YES, Answer.NO):
            return Answer.YES
        case (Answer.YES | Answer.UNSURE, Answer.NO | Answer.UNSURE):
            return Answer.UNSURE
        case neither:
            raise TypeError(f"a set holds somebody, or nobody, or that is not known, but not {neither}")


def only_pods_left(before: Sources, after: Sources) -> bool:
    """Say whether addresses could connect before and only selected pods can afterwards."""
    had_addresses = before.everyone or bool(before.blocks)
    return had_addresses and not after.everyone and not after.blocks and bool(after.terms)


def _unreadable(before: Sources, after: Sources) -> Iterable[Loss]:
    if before.unreadable and not after.unreadable:
        yield Loss(decided=False, witness=None, why_undecided=UNREADABLE_CLAUSE)


def _addresses(before: Sources, after: Sources, universe: Universe, effort: Effort) -> Iterable[Loss]:
    try:
        for family in universe.families:
            effort.take(len(before.block(family)) + len(after.block(family)))
            yield from _outside(before, after, universe, family)
    except BoundReachedError:
        yield Loss(decided=False, witness=None, why_undecided=BOUND_CLAUSE)


def _outside(before: Sources, after: Sources, universe: Universe, family: int) -> Iterable[Loss]:
    reachable = universe.outside(family)
    had = reachable if before.everyone else intersect(reachable, before.block(family))
    lost = subtract(had, after.block(family))
    if lost == ():
        return
    certain = subtract(lost, universe.perhaps_pods(family, after.exceptions))
    if certain == ():
        witness = AddressWitness(cidr=largest_network(lost, family))
        yield Loss(decided=False, witness=witness, why_undecided=EXCEPTION_CLAUSE)
    else:
        yield Loss(decided=True, witness=AddressWitness(cidr=largest_network(certain, family)))


Witnesses = tuple[PodWitness, ...]
"""One pod, or none."""


def _pods(before: Sources, after: Sources, universe: Universe, effort: Effort) -> Iterable[Loss]:
    try:
        by_label = difference(before.terms, after.terms, effort)
        any_other = difference(frozenset({EVERY_POD}), after.terms, effort) if before.blocks else ()
    except BoundReachedError:
        yield Loss(decided=False, witness=None, why_undecided=BOUND_CLAUSE)
        return
    readings: list[tuple[Witnesses, bool]] = []
    if universe.ipblock_matches_pods != "yes":
        readings += ((by_label, by_label != ()),)
    if universe.ipblock_matches_pods != "no":
        readings += _pods_by_address(before, after, universe, by_label, any_other)
    lost = [witnesses for witnesses, is_lost in readings if is_lost]
    if lost == []:
        return
    decided = SURE[all(is_lost for _, is_lost in readings)]
    witness = next((witness for witnesses in lost for witness in witnesses), None)
    yield Loss(decided=decided, witness=witness, why_undecided="" if decided else IPBLOCK_CLAUSE)


def _pods_by_address(
    before: Sources,
    after: Sources,
    universe: Universe,
    by_label: Witnesses,
    any_other: Witnesses,
) -> Iterable[tuple[Witnesses, bool]]:
    """
    Give the readings in which an ipBlock admits the pods whose address it holds: (witnesses, is something lost).

    A pod is admitted by its labels or by its address. So one is lost where its labels are no longer admitted and some
    address that a pod may have is outside the blocks; or where some pod's labels never were, and its address was.
    Where the pod ranges are not told there are two readings: pods are where they were seen, or anywhere.
    """
    certain = possible = False
    for family in universe.families:
        had, now = before.block(family), after.block(family)
        if universe.pod_ranges is not None:
            pods = universe.pod_ranges.get(family, ())
            outside, no_longer = subtract(pods, now), subtract(intersect(had, pods), now)
            lost = (by_label != () and outside != ()) or (any_other != () and no_longer != ())
            certain, possible = certain or lost, possible or lost
            continue
        seen = universe.pod_addresses
        if by_label != ():
            outside = subtract(UNICAST[family], now)
            possible = possible or outside != ()
            certain = certain or outside == UNICAST[family]
            certain = certain or seen.holds_any(family, subtract(WHOLE[family], now))
        if any_other != ():
            no_longer = subtract(intersect(had, UNICAST[family]), now)
            possible = possible or no_longer != ()
            certain = certain or no_longer == UNICAST[family]
            certain = certain or seen.holds_any(family, no_longer)
    if certain or possible:
        yield (*by_label, *any_other), True
    if not certain:
        yield (), False


def _admits_somebody(sources: Sources, universe: Universe, reading: IPBlockMatchesPods) -> Answer:
    """Say whether the set holds anybody at all; unsure where only parts may that cannot be read."""
    if sources.everyone or sources.terms:
        return Answer.YES
    pods = universe.pod_ranges or {}
    for family in universe.families:
        reachable = universe.outside(family)
        if reading == "yes":
            reachable = union((*reachable, *pods.get(family, ())))
        if [*intersect(reachable, sources.block(family))] != []:
            return Answer.YES
    return Answer.UNSURE if sources.unreadable else Answer.NO
