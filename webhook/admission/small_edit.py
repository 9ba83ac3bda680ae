"""
Find a small edit of a refused policy with which it would be acceptable: a port to add, or a label to keep or leave out.

Each edit is tried: it is judged in the place of the refused change.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import msgspec

from webhook.admission.judge import Finding, changes_of, judge
from webhook.admission.review import PolicyReview
from webhook.admission.world import World
from webhook.admission.written_spec import WrittenSpec
from webhook.netpol.reading import integer_at, list_at, object_at, shown, value_at

MOST_BYTES = 65_536
"""Bytes of a review whose policy is tried with edits: to parse a larger one again takes milliseconds."""

MOST_TRIES = 3
"""Edits that are tried: each is parsed and judged like the change itself."""

Edit = tuple[str, Mapping[str, Any]]
"""What to do, as a clause, and the object after it."""


def small_edit(review: PolicyReview, losses: Sequence[Finding]) -> str:
    """Return the edit with which the policy would be acceptable, as a clause; empty if no small edit is enough."""
    return next((clause for clause, _ in small_edits(review, losses)), "")


def small_edits(review: PolicyReview, losses: Sequence[Finding]) -> Iterator[Edit]:
    """Yield the small edits of the policy with each of which its ingress would be acceptable; none for lost egress."""
    if not losses or review.request.object is None or review.request.operation == "DELETE":
        return
    if review.request.size > MOST_BYTES:
        return
    for clause, edited in islice(_edits(review, losses), MOST_TRIES):
        if _is_acceptable(edited, review, losses[0].world):
            yield clause, edited


def _is_acceptable(edited: Mapping[str, Any], review: PolicyReview, world: World) -> bool:
    if isinstance((review.request.object or {}).get("spec"), WrittenSpec):  # to decode it again is the fast way
        edited = {**edited, "spec": WrittenSpec(msgspec.json.encode(edited["spec"]))}
    tried = PolicyReview.of(replace(review.request, object=edited), world.view.policies)
    return not tried.faults and not any(finding.loss for finding in judge(changes_of(tried, world), world))


def _edits(review: PolicyReview, losses: Sequence[Finding]) -> Iterator[Edit]:
    yield from _with_ports(review, losses)
    yield from _with_labels(review)


def _with_ports(review: PolicyReview, losses: Sequence[Finding]) -> Iterator[Edit]:
    """Yield the policy with the lost ports added to a rule that lacks them, and admits everyone or had them before."""
    lost = sorted({(finding.requirement.protocol.value, finding.requirement.port) for finding in losses})
    added = [{"protocol": protocol, "port": port} for protocol, port in lost]
    what = "port" if len(lost) == 1 else "ports"
    numbers = ", ".join(f"{protocol}/{port}" for protocol, port in lost)
    rules = list_at(review.request.object, "spec", "ingress")
    before = list_at(review.request.old_object, "spec", "ingress")
    for index, rule in enumerate(rules):
        ports, wanted = list_at(rule, "ports"), {port for _, port in lost}
        had = wanted & _numbers(before[index]) if index < len(before) else set()
        if ports and not wanted & _numbers(rule) and (had or not list_at(rule, "from")):
            edited = [*rules[:index], {**object_at(rule), "ports": [*ports, *added]}, *rules[index + 1 :]]
            yield f"add {what} {numbers} to spec.ingress[{index}].ports", _with_spec(review, {"ingress": edited})


def _numbers(rule: object) -> set[object]:
    return {integer_at(port, "port") for port in list_at(rule, "ports")}


def _with_labels(review: PolicyReview) -> Iterator[Edit]:
    """Yield the policy with one label of its pod selector as it was before the change."""
    old = value_at(review.request.old_object, "spec", "podSelector", "matchLabels")
    selector = object_at(review.request.object, "spec", "podSelector")
    new = object_at(selector, "matchLabels")
    if not isinstance(old, Mapping):
        return
    where = "spec.podSelector.matchLabels"
    for key in sorted({*old, *new}):
        if key in old and old[key] != new.get(key):
            labels = {**new, key: old[key]}
            clause = f"keep {shown(key)}={shown(str(old[key]))} in {where}"
        elif key not in old:
            labels = {known: value for known, value in new.items() if known != key}
            clause = f"leave {shown(key)} out of {where}"
        else:
            continue
        yield clause, _with_spec(review, {"podSelector": {**selector, "matchLabels": labels}})


def _with_spec(review: PolicyReview, fields: Mapping[str, Any]) -> Mapping[str, Any]:
    new = review.request.object
    return {**object_at(new), "spec": {**object_at(new, "spec"), **fields}}
