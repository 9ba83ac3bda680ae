"""
Sets of sources between two bounds: pods by their labels, and addresses that are no pods'.

Whatever is not known takes the worst for the lower bound and the best for the upper one. A pod's address is not known:
a network that holds all of the cluster's pod ranges matches every pod, and one that meets none of them matches no pod;
otherwise it may match any pod.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import reduce

from webhook.netpol.calico.calico_model import (
    NAMESPACE_LABEL,
    NAMESPACE_NAMES,
    NAMESPACE_PREFIX,
    ORCHESTRATOR,
    ORCHESTRATOR_LABEL,
    SERVICE_ACCOUNT_LABEL,
    SERVICE_ACCOUNT_PREFIX,
    Entity,
    Networks,
    NetworkSet,
    lookup_of_set,
)
from webhook.netpol.calico.calico_selectors import (
    Constant,
    Every,
    Expression,
    Has,
    HasText,
    Lookup,
    Not,
    OneOf,
    Some,
    holds,
)
from webhook.netpol.intervals import IPV4, IPV6, WHOLE, Intervals, intersect, subtract, union
from webhook.netpol.names import is_dns_label, is_label_value
from webhook.netpol.sources.bounds import Bounds
from webhook.netpol.sources.budget import StepBudget
from webhook.netpol.sources.loss import pod_families
from webhook.netpol.sources.term_algebra import EVERY, NO_PODS, Terms, intersection, without
from webhook.netpol.sources.terms import ANY_VALUE, EVERY_POD, NAME_KEY, NAMESPACE, POD, Key, ValueSet, domain
from webhook.netpol.sources.universe import UNICAST, Universe


@dataclass(frozen=True, kw_only=True, slots=True)
class Region:
    """A set of sources: pods by their labels, and addresses that are no pods', IPv4 and IPv6."""

    pods: Terms = NO_PODS
    ipv4: Intervals = ()
    ipv6: Intervals = ()

    def block(self, family: int) -> Intervals:
        """Return the addresses of one family."""
        return self.ipv4 if family == IPV4 else self.ipv6


NOTHING = Region()
ALL = Region(pods=EVERY, ipv4=WHOLE[IPV4], ipv6=WHOLE[IPV6])


Between = Bounds[Region]
"""A set of sources between two bounds."""

SURELY_NONE: Between = Bounds(surely=NOTHING, possibly=NOTHING)
SURELY_ALL = Bounds(surely=ALL, possibly=ALL)
NOT_KNOWN = Bounds(surely=NOTHING, possibly=ALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Algebra:
    """Unions, intersections and differences of regions, within one budget."""

    budget: StepBudget

    def union(self, left: Region, right: Region) -> Region:
        """Return the sources of either region."""
        if ALL in {left, right}:
            return ALL
        pods = left.pods | right.pods
        return Region(
            pods=EVERY if EVERY_POD in pods else pods,
            ipv4=union((*left.ipv4, *right.ipv4)),
            ipv6=union((*left.ipv6, *right.ipv6)),
        )

    def both(self, left: Region, right: Region) -> Region:
        """Return the sources of both regions."""
        if ALL in {left, right}:
            return right if left == ALL else left
        pods = intersection(left.pods, right.pods, self.budget) if left.pods and right.pods else NO_PODS
        return Region(pods=pods, ipv4=intersect(left.ipv4, right.ipv4), ipv6=intersect(left.ipv6, right.ipv6))

    def minus(self, left: Region, right: Region) -> Region:
        """Return the sources of one region that are not in the other."""
        if NOTHING in {left, right}:
            return left
        pods = NO_PODS if EVERY_POD in right.pods else without(left.pods, right.pods, self.budget)
        return Region(pods=pods, ipv4=subtract(left.ipv4, right.ipv4), ipv6=subtract(left.ipv6, right.ipv6))

    def opposite(self, known: Between) -> Between:
        """Return all other sources."""
        return Bounds(surely=self.minus(ALL, known.possibly), possibly=self.minus(ALL, known.surely))

    def either(self, left: Between, right: Between) -> Between:
        """Return the bounds of a union."""
        return Bounds(surely=self.union(left.surely, right.surely), possibly=self.union(left.possibly, right.possibly))

    def meet(self, left: Between, right: Between) -> Between:
        """Return the bounds of an intersection."""
        return Bounds(surely=self.both(left.surely, right.surely), possibly=self.both(left.possibly, right.possibly))

    def join(self, parts: Sequence[Between]) -> Between:
        """Return the bounds of a set that is one of *parts*."""
        return Bounds(
            surely=reduce(self.both, (part.surely for part in parts)),
            possibly=reduce(self.union, (part.possibly for part in parts)),
        )

    def choose(self, matched: Between, then: Between, other: Between) -> Between:
        """Return the bounds of `(matched & then) | (other - matched)`."""
        if matched == SURELY_NONE or then == other:
            return other
        in_both = self.both(then.surely, other.surely) if matched.surely != matched.possibly else NOTHING
        lower = self.union(self.both(matched.surely, then.surely), self.minus(other.surely, matched.possibly))
        upper = self.union(self.both(matched.possibly, then.possibly), self.minus(other.possibly, matched.surely))
        return Bounds(surely=self.union(lower, in_both), possibly=upper)


@dataclass(frozen=True, kw_only=True, slots=True)
class EntityReader:
    """
    The regions of the ends that rules describe.

    Args:
        sets: the network sets.
    """

    algebra: Algebra
    universe: Universe
    sets: tuple[NetworkSet, ...]

    def region(self, other: Entity) -> Between:
        """Return the sources that a rule's other end describes."""
        found, algebra = SURELY_ALL, self.algebra
        if other.selector is not None:
            found = algebra.meet(found, self._selected(other.selector))
        if other.not_selector is not None:
            found = algebra.meet(found, algebra.opposite(self._selected(other.not_selector)))
        if other.nets is not None:
            found = algebra.meet(found, self._inside(other.nets))
        if other.not_nets is not None:
            found = algebra.meet(found, algebra.opposite(self._inside(other.not_nets)))
        return Bounds(surely=NOTHING, possibly=found.possibly) if other.doubts else found

    def _selected(self, selector: Expression) -> Between:
        """Return the pods and the addresses of network sets that a selector matches."""
        surely, possibly = self._terms(selector)
        pods = Bounds(surely=Region(pods=surely), possibly=Region(pods=possibly))
        answers = [(known, holds(selector, self._lookup(known))) for known in self.sets]
        nets = self._inside(_united(known for known, answer in answers if answer))
        perhaps = self._inside(_united(known for known, answer in answers if answer is not False))
        return self.algebra.either(pods, Bounds(surely=nets.surely, possibly=perhaps.possibly))

    def _lookup(self, known: NetworkSet) -> Lookup:
        return lookup_of_set(known, (self.universe.labels_of(known.namespace) if known.namespace else None) or {})

    def _inside(self, nets: Networks) -> Between:
        """Return the addresses of networks, and the pods that have or may have such addresses."""
        ipv4, ipv6 = (nets.get(family, ()) for family in (IPV4, IPV6))
        pods = self.pods_in(nets)
        return Bounds(
            surely=replace(pods.surely, ipv4=ipv4, ipv6=ipv6), possibly=replace(pods.possibly, ipv4=ipv4, ipv6=ipv6)
        )

    def pods_in(self, nets: Networks) -> Between:
        """Return the pods that have such an address: all, none, or perhaps some."""
        every, ranges = Region(pods=EVERY), self.universe.pod_ranges
        if not any(nets.values()):
            return SURELY_NONE
        inside = [
            (nets.get(family, ()), UNICAST[family] if ranges is None else ranges.get(family, ()))
            for family in pod_families(self.universe)
        ]
        if all(not subtract(pods, block) for block, pods in inside):
            return Bounds(surely=every, possibly=every)
        return (
            Bounds(surely=NOTHING, possibly=every)
            if any(intersect(pods, block) for block, pods in inside)
            else SURELY_NONE
        )

    def _terms(self, expression: Expression, *, wanted: bool = True) -> tuple[Terms, Terms]:
        """Return the pods for which an expression has the wanted answer, surely and possibly."""
        match expression:
            case Constant(value):
                pods = EVERY if value is wanted else NO_PODS
                return pods, pods
            case Not(part):
                return self._terms(part, wanted=not wanted)
            case Every(parts) | Some(parts):
                found = [self._terms(part, wanted=wanted) for part in parts]
                if isinstance(expression, Every) is wanted:
                    return self._in_all(one[0] for one in found), self._in_all(one[1] for one in found)
                return NO_PODS.union(*(one[0] for one in found)), NO_PODS.union(*(one[1] for one in found))
            case _:
                return _leaf(expression, wanted=wanted)

    def _in_all(self, parts: Iterable[Terms]) -> Terms:
        return reduce(lambda left, right: intersection(left, right, self.algebra.budget), parts, EVERY)


def _leaf(leaf: Has | OneOf | HasText, *, wanted: bool) -> tuple[Terms, Terms]:
    """Return the pods for which a test of one label has the wanted answer, surely and possibly."""
    key = _key(leaf.key)
    if key is None:
        if leaf.key == ORCHESTRATOR_LABEL:
            constant = holds(leaf, lambda _: ORCHESTRATOR)
            pods = EVERY if constant is wanted else NO_PODS
            return pods, pods
        return NO_PODS, EVERY
    there = ValueSet(absent=False, values=frozenset(), others=True)
    if isinstance(leaf, HasText):
        with_label, without_label = _term(key, there), _term(key, ANY_VALUE.without(there))
        return (NO_PODS, with_label) if wanted else (without_label, EVERY)
    values = there
    if isinstance(leaf, OneOf):
        is_possible = is_dns_label if key == NAME_KEY else is_label_value
        values = ValueSet(absent=False, values=frozenset(filter(is_possible, leaf.values)), others=False)
    pods = _term(key, values if wanted else ANY_VALUE.without(values))
    return pods, pods


def _term(key: Key, values: ValueSet) -> Terms:
    inside = domain(key).intersection(values)
    if inside.is_empty():
        return NO_PODS
    return EVERY if inside == domain(key) else frozenset({((key, inside),)})


def _key(name: str) -> Key | None:
    """Return the label of a pod or of its namespace that Calico names so; None for any other."""
    if name == NAMESPACE_LABEL:
        return NAME_KEY
    if name in {ORCHESTRATOR_LABEL, SERVICE_ACCOUNT_LABEL} or name.startswith(SERVICE_ACCOUNT_PREFIX):
        return None
    if name.startswith(NAMESPACE_PREFIX):
        label = name.removeprefix(NAMESPACE_PREFIX)
        return NAME_KEY if label in NAMESPACE_NAMES else (NAMESPACE, label)
    return POD, name


def _united(sets: Iterable[NetworkSet]) -> Networks:
    found = [known.nets for known in sets]
    return {family: union(one for nets in found for one in nets.get(family, ())) for family in (IPV4, IPV6)}


def of_family(family: int | None) -> Between:
    """Return the sources of one family of addresses; which one a connection of a pod has is not known."""
    if family is None:
        return SURELY_ALL
    ipv4, ipv6 = (WHOLE[known] if known == family else () for known in (IPV4, IPV6))
    return Bounds(surely=Region(ipv4=ipv4, ipv6=ipv6), possibly=Region(pods=EVERY, ipv4=ipv4, ipv6=ipv6))
