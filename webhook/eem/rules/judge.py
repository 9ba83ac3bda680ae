"""
Judge one object: every finding in one answer, worst first.

What the old object had already is no reason to refuse its next version: an UPDATE is denied only for what is new.
"""

from collections import Counter
from collections.abc import Collection

from webhook.eem.rules.model import GROUP, KINDS, Fault, Finding, On, Reason, Rule, RuleContext, Severity, Subject
from webhook.eem.rules.nodes import Tree, child, text
from webhook.eem.rules.paths import Path, field_text, identity, order_of
from webhook.eem.rules.table import checks_for
from webhook.eem.rules.version import NEWEST
from webhook.eem.rules.walk import Hit, walk

_AT_CREATE = frozenset({On.ALWAYS, On.CREATE})
_AT_UPDATE = frozenset({On.ALWAYS, On.UPDATE})
_OF_STATE = frozenset({On.ALWAYS})
_PLACEHOLDER = "structure.placeholder"
# A field with one of these faults is not what the other rules take it for, so they have nothing to say about it.
_MISREAD = frozenset({"type", "required", "value", "format"})
# More than anybody reads; keeps the answer to an absurd object from being as large as the object.
MOST_FINDINGS = 1000

_Settled = tuple[Rule, Severity, Fault]


def judge(obj: Tree, old: Tree | None, context: RuleContext) -> tuple[Finding, ...]:
    """
    Return what is to be said about *obj*: denials first, then warnings, each in the order of the fields.

    Objects of other kinds, terminating ones and updates that leave `spec` as it is are passed over.

    Args:
        old: the object as it was, for an UPDATE; None for a CREATE.
    """
    if not _is_judged(obj, old):
        return ()
    before = None if old is None else Subject.of(old, context)
    found = _faults(Subject.of(obj, context, before), _AT_CREATE if before is None else _AT_UPDATE)
    if before is not None and any(severity == "deny" for _, severity, _ in found):
        found = _without_kept(found, obj, before)
    found.sort(key=_order)
    return tuple(
        Finding(
            rule=rule.id,
            severity=severity,
            field=field_text(fault.path),
            reason=rule.reason.value,
            message=fault.message,
        )
        for rule, severity, fault in found[:MOST_FINDINGS]
    )


def _is_judged(obj: Tree, old: Tree | None) -> bool:
    if text(obj, "kind") not in KINDS:
        return False
    api_version = text(obj, "apiVersion")
    if api_version and api_version.partition("/")[0] != GROUP:
        return False
    if child(obj, "metadata", "deletionTimestamp") is not None:
        return False
    return old is None or old.get("spec") != obj.get("spec")


def _order(found: _Settled) -> tuple[bool, tuple[tuple[int, int, str], ...], str]:
    rule, severity, fault = found
    return severity != "deny", order_of(fault.path), rule.id


def _severity(rule: Rule, context: RuleContext) -> Severity | None:
    """Return how severe a finding of the rule is; None where it is switched off."""
    setting = context.severities.get(rule.id)
    if setting is not None:
        return None if setting == "off" else setting
    # A release that the tables do not know may know more values than they do.
    if rule.reason is Reason.NOT_SUPPORTED and context.version > NEWEST:
        return "warn"
    return rule.severity


def _faults(subject: Subject, requests: frozenset[On]) -> list[_Settled]:
    """Return every fault of the object, less what only follows from another one."""
    context = subject.context
    structural = _settled(walk(subject), context)
    hits: list[Hit] = []
    for rule, check in checks_for(subject.kind, context.version, requests):
        faults = check(subject)
        if faults:
            hits += [(rule, fault) for fault in faults]
    others = _settled(hits, context)
    left = {fault.path for rule, _, fault in others if rule.id == _PLACEHOLDER}
    if left:
        structural = [entry for entry in structural if entry[2].path not in left]
    misread = left | {fault.path for rule, _, fault in structural if rule.area in _MISREAD}
    if misread:
        others = [entry for entry in others if not _is_consequence(entry, misread)]
    return structural + others


def _settled(hits: list[Hit], context: RuleContext) -> list[_Settled]:
    return [(rule, severity, fault) for rule, fault in hits if (severity := _severity(rule, context)) is not None]


def _is_consequence(entry: _Settled, misread: Collection[Path]) -> bool:
    rule, _, fault = entry
    if rule.id == _PLACEHOLDER or rule.on is On.UPDATE:
        return False
    return any(fault.path[:length] in misread for length in range(1, len(fault.path) + 1))


def _without_kept(found: list[_Settled], obj: Tree, before: Subject) -> list[_Settled]:
    """Turn denials for what the old object had already into warnings."""
    # Counted, so that of two faults that look alike only as many count as old as there were.
    known = Counter((rule.id, identity(before.document, fault.path)) for rule, _, fault in _faults(before, _OF_STATE))
    result: list[_Settled] = []
    for rule, severity, fault in found:
        key = rule.id, identity(obj, fault.path)
        if severity == "deny" and known[key] > 0:
            known[key] -= 1
            result.append((rule, "warn", Fault(path=fault.path, message=f"{fault.message} (as before)")))
        else:
            result.append((rule, severity, fault))
    return result
