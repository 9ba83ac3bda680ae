"""
Every source that could make a difference between two sets of rules, tried one by one.

A pod is tried for every assignment of {absent, each mentioned value, an unmentioned one} to the mentioned keys, an
address at both sides of every edge of every range. An answer depends on nothing else, so this is exact, and slow
where many keys are mentioned.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from oracle.semantics import NAME_LABEL, Address, Labels, Object, Semantics, Source, read_cidr, within

RANK = {"fine": 0, "undecided": 1, "lost": 2}
FRESH = "nobody-mentions-this"
EVERYBODY: Object = {"everybody": True}
# Unicast addresses, without "this network", loopback, link-local, multicast and what the registries reserve.
NOT_UNICAST = ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4")
UNICAST_IPV6 = ("2000::/3", "fc00::/7")
# An exception at least this narrow may be the pods' range, where pods were seen inside.
NARROW_PREFIX = {4: 8, 6: 16}
UNIQUE_LOCAL = read_cidr("fc00::/7")
# The product supports IPv4 only: what is lost by an IPv6 address alone is no reason to refuse.
SUPPORTED_FAMILY = 4

Rules = list[tuple[str, Object]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranges:
    """Where addresses are: families in use, pods' ranges by family, addresses of pods seen."""

    families: tuple[int, ...]
    pod_cidrs: Mapping[int, tuple[str, ...]]
    seen: tuple[Address, ...]


def is_unicast(address: Address) -> bool:
    """Whether the address is in the universe of sources."""
    if address.family == 4:
        return 0 <= address.number < 2**32 and not any(within(text, address) for text in NOT_UNICAST)
    return any(within(text, address) for text in UNICAST_IPV6)


def worst(outcomes: Iterator[str]) -> str:
    """Return the worst of some outcomes."""
    return max(outcomes, key=RANK.__getitem__, default="fine")


def selectors_in(rules: Rules, key: str) -> Iterator[Object]:
    """Yield the selectors of one sort among the peers."""
    return (peer[key] for _, peer in rules if peer.get(key) is not None)


def assignments(selectors: Iterator[Object]) -> list[dict[str, str]]:
    """Return every assignment of the mentioned keys: absent, each mentioned value, an unmentioned one."""
    values: dict[str, set[str]] = {}
    for selector in selectors:
        for key, value in (selector.get("matchLabels") or {}).items():
            values.setdefault(key, set()).add(value)
        for entry in selector.get("matchExpressions") or []:
            values.setdefault(entry["key"], set()).update(entry.get("values") or [])
    keys = sorted(values)
    choices = [[None, FRESH, *sorted(values[key])] for key in keys]
    return [{k: v for k, v in zip(keys, row, strict=True) if v is not None} for row in product(*choices)]


def sources_for(rules: Rules, namespace: str, existing: Mapping[str, Labels]) -> Iterator[Source]:
    """
    Yield a pod for every relevant combination of namespace name, namespace labels and pod labels.

    A namespace that exists has the labels that it has; one that may come may have any.
    """
    namespace_rows = assignments(selectors_in(rules, "namespaceSelector"))
    names = {namespace, FRESH} | {row[NAME_LABEL] for row in namespace_rows if NAME_LABEL in row}
    others = {tuple(sorted((k, v) for k, v in row.items() if k != NAME_LABEL)) for row in namespace_rows}
    pod_rows = assignments(selectors_in(rules, "podSelector"))
    for name in sorted(names):
        rows = [existing[name]] if name in existing else [dict(other) for other in sorted(others)]
        for row, labels in product(rows, pod_rows):
            yield Source(namespace=name, namespace_labels={**row, NAME_LABEL: name}, labels=labels)


def admits_pod(rules: Rules | None, source: Source, semantics: Semantics) -> bool:
    """Whether a pod is admitted by its labels."""
    if rules is None:
        return True
    return any(p is EVERYBODY or semantics.peer_selects_pod(p, ns, source, semantics) for ns, p in rules)


def admits_address(rules: Rules | None, address: Address, semantics: Semantics) -> bool:
    """Whether an address is admitted."""
    if rules is None:
        return True
    return any(p is EVERYBODY or semantics.peer_selects_address(p, address) for _, p in rules)


def addresses_for(rules: Rules, ranges: Ranges, family: int, semantics: Semantics) -> list[Address]:
    """Return the unicast addresses on both sides of every edge, and those of known pods."""
    cidrs = [*ranges.pod_cidrs[family], *(NOT_UNICAST if family == 4 else UNICAST_IPV6)]
    for _, peer in rules:
        block = peer.get("ipBlock") or {}
        cidrs += [block["cidr"], *(block.get("except") or [])] if block else []
    numbers = {
        number
        for family_of, first, last in map(read_cidr, dict.fromkeys(cidrs))
        if family_of == family
        for number in semantics.corners(first, last)
    }
    numbers |= {address.number for address in ranges.seen if address.family == family}
    return [a for number in sorted(numbers) if is_unicast(a := Address(family, number))]


def in_ranges(address: Address, cidrs: Sequence[str]) -> bool:
    """Whether an address is in one of the ranges."""
    return any(within(text, address) for text in cidrs)


def is_narrow(text: str) -> bool:
    """Whether a range is narrow enough to be a range of pods, or is unique local, as these often are."""
    family, first, last = read_cidr(text)
    unique_local = family == 6 and UNIQUE_LOCAL[1] <= first and last <= UNIQUE_LOCAL[2]
    return unique_local or int(text.rpartition("/")[2]) >= NARROW_PREFIX[family]


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """The rules that count for one subject and port, before and after, where addresses are, and which namespaces."""

    before: Rules | None
    after: Rules | None
    namespace: str
    existing: Mapping[str, Labels]
    ranges: Ranges
    semantics: Semantics

    def mentioned(self) -> Rules:
        """Return every rule, for the values that it mentions."""
        return [*(self.before or []), *(self.after or [])]

    def pod_classes(self) -> set[tuple[bool, bool]]:
        """Return the combinations of (admitted before, admitted after) by selectors that some pod has."""
        return {
            (admits_pod(self.before, s, self.semantics), admits_pod(self.after, s, self.semantics))
            for s in sources_for(self.mentioned(), self.namespace, self.existing)
        }

    def address_classes(self, family: int) -> list[tuple[Address, bool, bool]]:
        """Return for each address whether it is admitted before and after."""
        return [
            (a, admits_address(self.before, a, self.semantics), admits_address(self.after, a, self.semantics))
            for a in addresses_for(self.mentioned(), self.ranges, family, self.semantics)
        ]

    def is_doubtful(self, address: Address) -> bool:
        """Whether a lost address may belong to a pod: in a narrow exception that contains known pods."""
        return any(
            within(text, address) and is_narrow(text) and any(within(text, seen) for seen in self.ranges.seen)
            for _, peer in self.after or []
            for text in (peer.get("ipBlock") or {}).get("except") or []
        )

    def lost_outside(self) -> str:
        """Judge the addresses outside the cluster."""
        found = "fine"
        for family in self.supported_families():
            cidrs = self.ranges.pod_cidrs[family]
            for address, was, will in self.address_classes(family):
                if was and not will and not in_ranges(address, cidrs):
                    if cidrs or not self.is_doubtful(address):
                        return "lost"
                    found = "undecided"
        return found

    def supported_families(self) -> tuple[int, ...]:
        """Return the family that the product supports, if the cluster has it."""
        return tuple(family for family in self.ranges.families if family == SUPPORTED_FAMILY)

    def lost_pods(self, reading: str) -> str:
        """Judge the pods, with ipBlocks matching them ("yes") or not ("no")."""
        classes = self.pod_classes()
        if reading == "no":
            return "lost" if (True, False) in classes else "fine"
        families = self.supported_families() or self.ranges.families
        return worst(self._lost_pods_at(family, was, will) for family in families for was, will in classes)

    def _lost_pods_at(self, family: int, was: bool, will: bool) -> str:  # noqa: FBT001
        """Judge pods with these answers by selector over the addresses they may have."""
        supported = family == SUPPORTED_FAMILY
        rows = [
            (address, (was or (was_in and supported)) and not (will or will_be_in))
            for address, was_in, will_be_in in self.address_classes(family)
        ]
        if cidrs := self.ranges.pod_cidrs[family]:
            return "lost" if any(lost and in_ranges(address, cidrs) for address, lost in rows) else "fine"
        if all(lost for _, lost in rows) or any(lost and a in self.ranges.seen for a, lost in rows):
            return "lost"
        return "undecided" if any(lost for _, lost in rows) else "fine"

    def anybody(self, rules: Rules | None, reading: str, families: Sequence[int]) -> bool:
        """Whether the rules admit any pod by its labels, or any address of these families."""
        pods = sources_for(self.mentioned(), self.namespace, self.existing)
        if any(admits_pod(rules, pod, self.semantics) for pod in pods):
            return True
        return any(
            admits_address(rules, a, self.semantics)
            and (reading == "yes" or not in_ranges(a, self.ranges.pod_cidrs[family]))
            for family in families
            for a in addresses_for(self.mentioned(), self.ranges, family, self.semantics)
        )

    def lost_anywhere(self, reading: str) -> str:
        """Judge a requirement from anywhere: any source that is no longer admitted is a loss."""
        if self.before == self.after:
            return "fine"
        outside = self.lost_outside()
        return outside if outside == "lost" else worst(iter((outside, self.lost_pods(reading))))

    def lost_some(self, reading: str) -> str:
        """Judge a requirement from some source: a loss only if a source was admitted and none is any more."""
        had = self.anybody(self.before, reading, self.supported_families())
        gone = had and not self.anybody(self.after, reading, self.ranges.families)
        return "lost" if gone else "fine"

    def outcome(self, want: str, reading: str) -> str:
        """Judge a requirement from "anywhere" or from "some" source under a reading of ipBlocks."""
        return by_reading(self.lost_anywhere if want == "anywhere" else self.lost_some, reading)


def by_reading(judge: Callable[[str], str], setting: str) -> str:
    """Apply the reading of ipBlocks that is set; where it is unknown, only what both say is decided."""
    if setting != "unknown":
        return judge(setting)
    answers = {judge("no"), judge("yes")}
    return answers.pop() if len(answers) == 1 else "undecided"
