"""
What a change takes away: the sources that could connect before and cannot afterwards.

Two questions have several answers while the cluster's plugin is not known: whether an ipBlock admits pods, and which
addresses are pods'. A loss under every answer is decided; a loss under some answers only is not.

EEM supports IPv4 only: IPv6 addresses do not count where anything else is lost, and are a loss of their own kind where
nothing else is.
"""

from dataclasses import dataclass, replace

from webhook.netpol.intervals import IPV4, IPV6, WHOLE, Intervals, intersect, largest_network, subtract, union
from webhook.netpol.sources.budget import Answers, StepsExhaustedError
from webhook.netpol.sources.difference import PodWitness, difference, may_hold_pods
from webhook.netpol.sources.source_set import NO_SOURCES, Sources
from webhook.netpol.sources.terms import EVERY_POD, HOST_NETWORK
from webhook.netpol.sources.universe import UNICAST, IPBlockMatchesPods, Universe


@dataclass(frozen=True, kw_only=True, slots=True)
class AddressWitness:
    """A range of lost addresses, outside the cluster's pods."""

    cidr: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Loss:
    """
    Something that a change takes away.

    Args:
        decided: True where it is lost under every reading of the cluster.
        witness: an example of a lost source; None where the search was given up, or where any source may be lost.
        why_undecided: one clause for messages; empty where decided.
        only_ipv6: only IPv6 addresses are lost; that is not decided, and no reason to refuse.
    """

    decided: bool
    witness: PodWitness | AddressWitness | None
    why_undecided: str = ""
    only_ipv6: bool = False


IPBLOCK_CLAUSE = "whether an ipBlock admits pods depends on the network plugin (--ipblock-matches-pods)"
EXCEPTION_CLAUSE = "the addresses cut off may be pods only (--pod-cidr)"
BOUND_CLAUSE = "the selectors are too many to decide in time"
UNREADABLE_CLAUSE = "a stored policy has parts that cannot be read"


def lost_from_anywhere(before: Sources, after: Sources, universe: Universe, answers: Answers) -> Loss | None:
    """
    Return a source of *universe* that *before* admits and *after* does not; None where there is none.

    A decided loss is preferred to an undecided one, a pod to an address, and any other loss to one of IPv6 addresses
    only. Where the search for a pod takes too many steps, it is not decided whether one is lost.
    """
    if after.everyone or before is after or before == after:
        return None
    # One decision asks the same about many pods, mostly with the very same sets. They are kept together with their ids.
    question = id(before), id(after)
    if question not in answers.known:
        answers.known[question] = _lost_from_anywhere(before, after, universe, answers), before, after
    loss: Loss | None = answers.known[question][0]
    return loss


def _lost_from_anywhere(before: Sources, after: Sources, universe: Universe, answers: Answers) -> Loss | None:
    unreadable = Loss(decided=False, witness=None, why_undecided=UNREADABLE_CLAUSE)
    found = (
        unreadable if before.unreadable and not after.unreadable else None,
        lost_pods(before, after, universe, answers),
        lost_ipv4(before, after, universe) if IPV4 in universe.families else None,
    )
    losses = [loss for loss in found if loss is not None]
    if not losses and IPV6 in universe.families:
        return lost_ipv6(before, after, universe)
    if after.unreadable:
        losses = [replace(loss, decided=False, why_undecided=UNREADABLE_CLAUSE) for loss in losses]
    return min(losses, key=lambda loss: not loss.decided, default=None)


def address_facts(sources: Sources, universe: Universe) -> tuple[bool, ...]:
    """
    Return all that the addresses of pods tell about a loss from everyone to *sources*.

    While these are the same, pods come and go without another loss.
    """
    if universe.pod_ranges is not None or sources.everyone:
        return ()
    known = universe.pod_addresses
    outside = (known.holds_any(family, subtract(WHOLE[family], block)) for family, block in sources.blocks)
    excepted = (known.holds_any(family, (interval,)) for family, interval in sources.exceptions)
    return (*outside, *excepted)


def lost_from_some(before: Sources, after: Sources, universe: Universe, answers: Answers) -> Loss | None:
    """
    Return the loss of a requirement "from some source": *before* admits a source and *after* none.

    Each reading of an ipBlock is judged as a whole: under "no", a pod that only a block holds was never admitted.
    """
    if before == after:
        return None
    setting = universe.ipblock_matches_pods
    readings: tuple[IPBlockMatchesPods, ...] = ("yes", "no") if setting == "unknown" else (setting,)
    lost = [_last_is_lost(before, after, universe, reading) for reading in readings]
    if all(answer is False for answer in lost):
        is_last = IPV6 in universe.families and _admits_any(after, universe, "yes", universe.families) is False
        return lost_ipv6(before, after, universe) if is_last else None
    if all(lost):
        example = lost_from_anywhere(before, NO_SOURCES, universe, answers)
        return Loss(decided=True, witness=None if example is None else example.witness)
    return Loss(decided=False, witness=None, why_undecided=UNREADABLE_CLAUSE if None in lost else IPBLOCK_CLAUSE)


def _last_is_lost(before: Sources, after: Sources, universe: Universe, reading: IPBlockMatchesPods) -> bool | None:
    """Whether *before* admits a source and *after* none; None where that depends on parts that cannot be read."""
    had = _admits_any(before, universe, reading, tuple(family for family in universe.families if family == IPV4))
    has = _admits_any(after, universe, reading, universe.families)
    if had is False or has is True:
        return False
    return True if had and has is False else None


def _admits_any(
    sources: Sources, universe: Universe, reading: IPBlockMatchesPods, families: tuple[int, ...]
) -> bool | None:
    """Whether the set holds any source, a pod or an address of *families*; None where unreadable parts decide."""
    if sources.everyone or may_hold_pods(sources.terms, universe.labels_of):
        return True
    pods = universe.pod_ranges or {}
    for family in families:
        reachable = universe.outside(family)
        if reading == "yes":
            reachable = union((*reachable, *pods.get(family, ())))
        if intersect(reachable, sources.block(family)):
            return True
    return None if sources.unreadable else False


def only_pods_left(before: Sources, after: Sources) -> bool:
    """
    Whether addresses could connect before and only selected pods can afterwards.

    Source: on OpenShift, a namespace selector with the host network's label stands for the addresses of the nodes.
    """
    had_addresses = before.everyone or bool(before.blocks)
    if not had_addresses or after.everyone or after.blocks or not after.terms:
        return False
    return not any(key == HOST_NETWORK and not values.absent for term in after.terms for key, values in term)


def lost_ipv4(before: Sources, after: Sources, universe: Universe) -> Loss | None:
    """Return the loss of IPv4 addresses that are not pods'."""
    lost = _lost_outside(before, after, universe, IPV4)
    if not lost:
        return None
    certain = subtract(lost, universe.perhaps_pods(IPV4, after.exceptions, lost))
    if certain:
        return Loss(decided=True, witness=AddressWitness(cidr=largest_network(certain, IPV4)))
    witness = AddressWitness(cidr=largest_network(lost, IPV4))
    return Loss(decided=False, witness=witness, why_undecided=EXCEPTION_CLAUSE)


def lost_ipv6(before: Sources, after: Sources, universe: Universe) -> Loss | None:
    """Return the loss of IPv6 addresses that are surely not pods'."""
    lost = _lost_outside(before, after, universe, IPV6)
    certain = subtract(lost, universe.perhaps_pods(IPV6, after.exceptions, lost))
    if not certain or after.unreadable:
        return None
    return Loss(decided=False, witness=AddressWitness(cidr=largest_network(certain, IPV6)), only_ipv6=True)


def _lost_outside(before: Sources, after: Sources, universe: Universe, family: int) -> Intervals:
    """Return the addresses of one family, outside the pod ranges that are set, that are admitted no longer."""
    reachable = universe.outside(family)
    had = reachable if before.everyone else intersect(reachable, before.block(family))
    return subtract(had, after.block(family))


def lost_pods(before: Sources, after: Sources, universe: Universe, answers: Answers) -> Loss | None:
    """
    Return the loss of pods.

    By label, a pod is lost that the selectors of *before* match and those of *after* do not. Where ipBlocks admit pods,
    a pod may also be lost that only a block admitted, whatever its labels are.
    """
    try:
        by_label = difference(before.terms, after.terms, answers, universe.labels_of)
        by_address = difference({EVERY_POD}, after.terms, answers, universe.labels_of) if before.block(IPV4) else None
    except StepsExhaustedError:
        return Loss(decided=False, witness=None, why_undecided=BOUND_CLAUSE)
    readings: set[bool] = set()
    if universe.ipblock_matches_pods != "yes":
        readings.add(by_label is not None)
    if universe.ipblock_matches_pods != "no":
        readings |= _are_lost_by_address(before, after, universe, by_label, by_address)
    if True not in readings:
        return None
    decided = False not in readings
    witness = by_label or by_address
    return Loss(decided=decided, witness=witness, why_undecided="" if decided else IPBLOCK_CLAUSE)


def pod_families(universe: Universe) -> tuple[int, ...]:
    """Return the families of the pod addresses that count: IPv4 where pods have such addresses."""
    has_ipv4 = IPV4 in universe.families and (universe.pod_ranges is None or bool(universe.pod_ranges.get(IPV4)))
    return (IPV4,) if has_ipv4 else universe.families


def _are_lost_by_address(
    before: Sources, after: Sources, universe: Universe, by_label: PodWitness | None, by_address: PodWitness | None
) -> set[bool]:
    """
    Return every answer to "are pods lost?" on a plugin where an ipBlock admits the pods whose addresses it holds.

    A pod is admitted by its labels or by its address. So a pod is lost where its labels are no longer admitted and an
    address that a pod may have is outside the blocks; or where its labels never were, and its address was admitted.
    Where the pod ranges are not set, there are two readings: pods have the addresses that are known, or any.
    """
    certain = possible = False
    for family in pod_families(universe):
        had = before.block(family) if family == IPV4 else ()  # a pod that only an IPv6 block admitted does not count
        now = after.block(family)
        if universe.pod_ranges is not None:
            pods = universe.pod_ranges.get(family, ())
            outside, no_longer = subtract(pods, now), subtract(intersect(had, pods), now)
            lost = bool((by_label and outside) or (by_address and no_longer))
            certain, possible = certain or lost, possible or lost
            continue
        known = universe.pod_addresses
        if by_label:
            outside = subtract(UNICAST[family], now)
            possible = possible or bool(outside)
            certain = certain or outside == UNICAST[family] or known.holds_any(family, subtract(WHOLE[family], now))
        if by_address:
            no_longer = subtract(intersect(had, UNICAST[family]), now)
            possible = possible or bool(no_longer)
            certain = certain or no_longer == UNICAST[family] or known.holds_any(family, no_longer)
    if certain:
        return {True}
    return {True, False} if possible else {False}
