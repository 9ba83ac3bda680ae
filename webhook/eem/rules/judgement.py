"""
Judge one object: every violation in one answer, denials first.

A fault that the old object already had is no reason to deny its next version: an UPDATE is denied only for what is new.
An object is counted before it is judged, and the judgement ends after 100 denials, so that no object takes long.
"""

from collections import Counter
from collections.abc import Collection, Iterator
from itertools import islice

from webhook.eem.resources import EEM_GROUP
from webhook.eem.rules.conformance import check_fields
from webhook.eem.rules.object_rules import TOO_LARGE, excess_of, placeholders
from webhook.eem.rules.rule import (
    CREATE_ONLY,
    EVERY_REQUEST,
    KINDS,
    UPDATE_ONLY,
    Requests,
    Resource,
    Rule,
    RuleContext,
    Severity,
    Violation,
)
from webhook.eem.rules.rule_table import all_rules, checks_for
from webhook.netpol.reading import Path, Tree, is_object, text_at, value_at

_AT_CREATE = frozenset({EVERY_REQUEST, CREATE_ONLY})
_AT_UPDATE = frozenset({EVERY_REQUEST, UPDATE_ONLY})
_OF_STATE = frozenset({EVERY_REQUEST})
# What is left to fill in is looked for first: no other rule reports the same field.
_PLACEHOLDER = next(rule for rule in all_rules() if rule.id == "structure.placeholder")
# A field that violates one of these rules is not what the other rules expect, so they do not apply to it.
_MISREAD = frozenset({"type", "required", "value", "format"})
# The fields that identify an entry when the entries of a list change places, the best first.
_ENTRY_NAMES = ("name", "secretName", "endpoint", "organization")
MOST_VIOLATIONS = 100
"""Denials in one answer, and warnings: more than a user reads."""

MOST_KNOWN_FAULTS = 500
"""Faults of an old object that excuse the same faults of the new one: to find so many takes up to 25 ms."""

_Found = tuple[Rule, Severity, Path, str]
_Key = tuple[str, tuple[str, ...]]
"""The id of a rule, and where it is violated."""


def judge(obj: Tree, old: Tree | None, context: RuleContext) -> tuple[Violation, ...]:
    """
    Return how *obj* violates the rules: denials first, then warnings, each in the order of the fields.

    At most 100 denials and 100 warnings are returned; where there are more, one more entry says so. Objects of other
    kinds, terminating ones and updates that leave `spec` as it is violate nothing.

    Args:
        old: the object before an UPDATE; None for a CREATE.
    """
    if not _is_judged(obj) or (old is not None and _is_same(old.get("spec"), obj.get("spec"))):
        return ()
    excess = excess_of(obj)
    if excess:
        return (Violation(rule=TOO_LARGE, severity="deny", path=("spec",), message=excess),)
    if old is None:
        return _first(_violations(Resource.of(obj, context), _AT_CREATE))
    before = Resource.of(old, context)
    return _first(_new_ones(_violations(Resource.of(obj, context, before), _AT_UPDATE), obj, before))


def _is_judged(obj: Tree) -> bool:
    if text_at(obj, "kind") not in KINDS or value_at(obj, "metadata", "deletionTimestamp") is not None:
        return False
    version = text_at(obj, "apiVersion")
    return not version or version.partition("/")[0] == EEM_GROUP


def _is_same(old: object, new: object) -> bool:
    try:
        return old == new
    except RecursionError:  # nested more deeply than Python compares; such an object is denied for its size
        return False


def _first(found: Iterator[_Found]) -> tuple[Violation, ...]:
    """Return the first denials and warnings in the order of the fields; stop when there are too many denials."""
    kept: dict[Severity, list[Violation]] = {"deny": [], "warn": []}
    more: dict[Severity, Violation] = {}
    for rule, severity, path, message in found:
        if len(kept[severity]) < MOST_VIOLATIONS:
            kept[severity].append(Violation(rule=rule, severity=severity, path=path, message=message))
        elif severity not in more:
            what = "denials" if severity == "deny" else "warnings"
            end = f"and more: only the first {MOST_VIOLATIONS} {what} are listed"
            more[severity] = Violation(rule=rule, severity=severity, path=("spec",), message=end)
            if severity == "deny":
                break
    return tuple(
        violation
        for severity in kept
        for violation in (*sorted(kept[severity], key=_order), more.get(severity))
        if violation is not None
    )


def _order(violation: Violation) -> tuple[tuple[tuple[int, int, str], ...], str]:
    """Return a key that sorts by path, name by name and list positions as numbers, then by rule."""
    steps = tuple((0, step, "") if isinstance(step, int) else (1, 0, step) for step in violation.path)
    return steps, violation.rule.id


def _violations(resource: Resource, requests: frozenset[Requests]) -> Iterator[_Found]:
    """Yield every violation, without those that only follow from another one."""
    context = resource.context
    misread: set[Path] = set()
    severity = _PLACEHOLDER.severity_in(context)
    if severity is not None:
        for path, message in placeholders(resource):
            misread.add(path)
            yield _PLACEHOLDER, severity, path, message
    left = frozenset(misread)
    for rule, path, message in check_fields(resource):
        severity = rule.severity_in(context)
        if severity is None or path in left:
            continue
        if rule.area in _MISREAD:
            misread.add(path)
        yield rule, severity, path, message
    for rule, check in checks_for(resource.kind, context.version, requests):
        if rule is _PLACEHOLDER:
            continue
        for path, message in check(resource):
            severity = rule.severity_in(context)
            if severity is not None and (rule.requests == UPDATE_ONLY or not _is_below(path, misread)):
                yield rule, severity, path, message


def _is_below(path: Path, misread: Collection[Path]) -> bool:
    return any(path[:length] in misread for length in range(1, len(path) + 1))


def _new_ones(found: Iterator[_Found], obj: Tree, before: Resource) -> Iterator[_Found]:
    """Turn denials for faults that the old object already had into warnings."""
    known: Counter[_Key] | None = None
    identities = Identities(obj)
    for rule, severity, path, message in found:
        if severity == "deny":
            known = _known_faults(before) if known is None else known
            key = identities.key(rule, path)
            if known[key] > 0:
                known[key] -= 1
                yield rule, "warn", path, f"{message} (as before)"
                continue
        yield rule, severity, path, message


def _known_faults(before: Resource) -> Counter[_Key]:
    """
    Count the faults of the old object, so that of two faults that look alike only as many count as old as there were.

    The first 500 count. An old object that is too large is not evaluated, so none of its faults are known.
    """
    if excess_of(before.document):
        return Counter()
    identities = Identities(before.document)
    keys = (
        identities.key(rule, path) for rule, severity, path, _ in _violations(before, _OF_STATE) if severity == "deny"
    )
    return Counter(islice(keys, MOST_KNOWN_FAULTS))


class Identities:
    """What stays the same of the faults of one object when the entries of its lists change places."""

    def __init__(self, document: Tree) -> None:
        self._known: dict[Path, tuple[tuple[str, ...], object]] = {(): ((), document)}

    def key(self, rule: Rule, path: Path) -> _Key:
        """
        Return the identity of a fault.

        For a duplicate the value counts and not the entry: of two entries with one value, either may be reported.
        """
        steps, value = self._identity(path)
        if rule.reason == "Duplicate":
            steps = (*(step for step in path if isinstance(step, str)), str(value))
        return rule.id, steps

    def _identity(self, path: Path) -> tuple[tuple[str, ...], object]:
        """Return a path with the entry's own name, Secret, endpoint or text for each position, and the value there."""
        known = self._known.get(path)
        if known is None:
            steps, node = self._identity(path[:-1])
            last = path[-1]
            if isinstance(last, str):
                known = (*steps, last), node.get(last) if is_object(node) else None
            else:
                entry = node[last] if isinstance(node, (list, tuple)) else None
                known = (*steps, f"[{_entry_name(entry)}]"), entry
            self._known[path] = known
        return known


def _entry_name(entry: object) -> str:
    if isinstance(entry, str):
        return entry
    if is_object(entry):
        for key in _ENTRY_NAMES:
            name = entry.get(key)
            if isinstance(name, str):
                return name
    return ""
