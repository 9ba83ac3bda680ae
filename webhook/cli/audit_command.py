"""`eem-guardrail audit`: which requirements and needs hold in a cluster as it is, without a change."""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from webhook.admission.audit import Audit, audit, gateways_without_instance, row, unknown_annotations_of
from webhook.admission.egress.need_standing import NeedState, need_row
from webhook.admission.least_fix import fix_of_state
from webhook.admission.namespace_audit import RequirementState
from webhook.admission.options import Options, egress_of
from webhook.admission.refusal import advice_on, told_closed
from webhook.admission.verdict import SCHEMA_VERSION, Lost, policy_kinds_json
from webhook.cli.ci_formats import CI_FORMATS
from webhook.cli.fix import as_yaml
from webhook.cli.output import ALLOWED, BAD_USAGE, DENIED, add_output_arguments, json_text, show
from webhook.cli.results import (
    EGRESS_BROKEN,
    INGRESS_BROKEN,
    NOT_DECIDED,
    STATE_WARNING,
    Case,
    Level,
    Result,
    named,
    place_or_none,
)
from webhook.cli.state import State, StateError, add_state_arguments, in_words, read_state, warn
from webhook.cli.verdict_formats import INDENT
from webhook.eem import EemSnapshot
from webhook.settings import DECISION, add_flags, settings_from

EPILOG: Final = """\
examples:
  eem-guardrail audit --state cluster.json
  eem-guardrail audit --live -o json
  eem-guardrail audit --state cluster.json --fix > missing.yaml

exit status:
  0  every requirement is met
  1  at least one requirement is broken; or, with --egress enforce, a certain
     need of egress
  2  wrong usage, input that cannot be read, nothing to audit, or a cluster
     that cannot be reached"""

NOTHING: Final = "the state has no EEM instance and no EEM operator, so nothing is required"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the state and the settings of verdicts."""
    add_state_arguments(parser)
    verdicts = parser.add_argument_group("verdicts")
    verdicts.add_argument(
        "--allow-empty", action="store_true", help="accept a state without any EEM resource, which needs nothing"
    )
    add_flags(verdicts, DECISION)
    add_output_arguments(parser, ("text", "json", *CI_FORMATS)).add_argument(
        "--fix",
        action="store_true",
        help="print the smallest policies that restore what is broken or cut off, as YAML for kubectl; the audit then "
        "goes to standard error",
    )


def run(arguments: argparse.Namespace) -> int:
    """Evaluate every requirement; the exit status is 1 if one is broken."""
    settings = settings_from(arguments, os.environ)
    if arguments.fix and arguments.output != "text":
        return _unusable(f"--fix prints YAML, so it cannot be used with -o {arguments.output}")
    try:
        state = read_state(arguments, settings)
    except StateError as error:
        return _unusable(str(error))
    snapshot = state.snapshot()
    if not snapshot.eem and not arguments.allow_empty:
        return _unusable(f"{NOTHING}; if this is intended, use --allow-empty")
    if not snapshot.eem:
        warn([NOTHING])
    options = replace(settings.options(), offline=True)
    found = audit(snapshot, options)
    states = tuple(found.states())
    if arguments.fix:
        print(_as_text(found, states, snapshot), file=sys.stderr)
        show(as_yaml(fix_of_state(snapshot, options), of_state=True))
    elif arguments.output in CI_FORMATS:
        show(CI_FORMATS[arguments.output](list(_cases(found, states, snapshot, state, options))))
    else:
        shown = _as_json if arguments.output == "json" else _as_text
        show(shown(found, states, snapshot))
    needs = tuple(found.need_states())
    print("\n".join(_summary(states, needs, state)), file=sys.stderr)
    is_cut_off = any(_counts(one, snapshot, options) for one in needs)
    return DENIED if is_cut_off or not all(one.met for one in states) else ALLOWED


def _counts(state: NeedState, snapshot: EemSnapshot, options: Options) -> bool:
    """Whether a need is cut off that a change may be refused for."""
    is_enforced = egress_of(state.need.instance.namespace, snapshot, options) == "enforce"
    return not state.met and state.need.level == "certain" and is_enforced


def _unusable(problem: str) -> int:
    print(f"eem-guardrail audit: {problem}", file=sys.stderr)
    return BAD_USAGE


def _as_json(found: Audit, states: Sequence[RequirementState], snapshot: EemSnapshot) -> str:
    rows, needs = [row(state) for state in states], [need_row(state) for state in found.need_states()]
    for one in (*rows, *needs):
        del one["since"]  # of a state in files, or that was read once, nothing is known from before
    parts = {
        "schemaVersion": SCHEMA_VERSION,
        "requirements": rows,
        "needs": needs,
        "gatewaysWithoutInstance": list(gateways_without_instance(snapshot)),
        "unknownAnnotations": unknown_annotations_of(found),
        "policyKinds": policy_kinds_json(snapshot.policy_kinds()),
    }
    return json_text(parts)


def _as_text(found: Audit, states: Sequence[RequirementState], snapshot: EemSnapshot) -> str:
    return "\n".join(_lines(found, states, snapshot))


def _lines(found: Audit, states: Sequence[RequirementState], snapshot: EemSnapshot) -> Iterator[str]:
    for state in states:
        requirement, lost = state.requirement, state.lost
        ref = requirement.instance
        port = f"{requirement.protocol.value}/{requirement.port}"
        held = "met" if state.met else "BROKEN"
        yield f"{held:8}{ref.kind} {ref.namespace}/{ref.name} {requirement.component.value} {port}"
        if lost is not None and state.met:
            yield f"{INDENT}not decided: {lost.why_undecided}"
        elif lost is not None:
            yield f"{INDENT}{told_closed(lost)}"
            yield from (f"{INDENT}{advice}" for advice in advice_on([lost], "")[:1])
    for need in found.need_states():
        yield from _need_lines(need)
    yield from (f"Warning: {text}" for _, text in _warnings(found, snapshot))


def _warnings(found: Audit, snapshot: EemSnapshot) -> Iterator[tuple[tuple[str, str, str], str]]:
    """Yield what a user should know beside the requirements, each with the kind and the name of an object."""
    for name in gateways_without_instance(snapshot):
        namespace, _, pod = name.partition("/")
        text = f"pod {name} has the labels of a gateway and belongs to no instance: nothing is required for it"
        yield ("Pod", namespace, pod), text
    for one in unknown_annotations_of(found):
        text = f"namespace {one['namespace']}: {one['annotation']} is not a known value, so it has no effect"
        yield ("Namespace", "", one["namespace"]), text
    unread = policy_kinds_json(snapshot.policy_kinds())["unread"]
    if unread:
        yield ("Policies", "", "of other kinds"), f"not read, and may override this: {', '.join(unread)}"


def _cases(
    found: Audit, states: Sequence[RequirementState], snapshot: EemSnapshot, state: State, options: Options
) -> Iterator[Case]:
    """Yield each requirement and each need as a case, and each warning."""
    for one in states:
        requirement, ref = one.requirement, one.requirement.instance
        resource = named(ref.kind, ref.namespace, ref.name)
        port = f"{requirement.protocol.value}/{requirement.port}"
        level: Level = "warning" if one.met else "error"
        results = tuple(_results(one.lost, resource, state, is_met=one.met, level=level))
        yield _case(f"{resource} {requirement.component.value} {port}", ref.kind, results)
    for need in found.need_states():
        ref = need.need.instance
        resource = named(ref.kind, ref.namespace, ref.name)
        level = "error" if _counts(need, snapshot, options) else "warning"
        results = tuple(_results(need.lost, resource, state, is_met=need.met, level=level))
        yield _case(f"{resource} {need.need.component.value} egress {need.need.id} {_port(need)}", ref.kind, results)
    for identity, text in _warnings(found, snapshot):
        position = place_or_none(state.place_of(*identity), "metadata")
        resource = named(*identity)
        result = Result(level="warning", rule=STATE_WARNING, message=text, resource=resource, position=position)
        yield _case(resource, identity[0], (result,))


def _case(name: str, kind: str, results: tuple[Result, ...]) -> Case:
    file = results[0].position.file if results and results[0].position else ""
    return Case(name=name, group=kind, file=file, results=results)


def _results(lost: Lost | None, resource: str, state: State, *, is_met: bool, level: Level) -> Iterator[Result]:
    """Yield what is closed, at the place of the policy that closes it, or else of the instance."""
    if lost is None:
        return
    ref = lost.instance
    places = (state.place_of(*_policy(name, denied=lost.denied)) for name in lost.policies)
    position = place_or_none(
        next(filter(None, places), None) or state.place_of(ref.kind, ref.namespace, ref.name), "spec"
    )
    broken = INGRESS_BROKEN if lost.direction == "ingress" else EGRESS_BROKEN
    told = [told_closed(lost)] if is_met else [told_closed(lost), *advice_on([lost], "")[:1]]
    rule = NOT_DECIDED if is_met else broken
    yield Result(level=level, rule=rule, message=". ".join(told), resource=resource, position=position)


def _policy(text: str, *, denied: bool) -> tuple[str, str, str]:
    """Return the identity of a policy as losses name it: `namespace/name`, or `kind/name` of a cluster-wide one."""
    head, _, name = text.partition("/")
    return (head, "", name) if denied else ("NetworkPolicy", head, name)


def _need_lines(state: NeedState) -> Iterator[str]:
    """Yield the lines about a need that is or may be cut off; there are many needs, and mostly all hold."""
    need, lost = state.need, state.lost
    if lost is None:
        return
    ref = need.instance
    held = "met" if state.met else "CUT OFF"
    yield f"{held:8}{ref.kind} {ref.namespace}/{ref.name} {need.component.value} egress {need.id} {_port(state)}"
    if not lost.decided:
        yield f"{INDENT}not decided: {lost.why_undecided}"
    else:
        yield f"{INDENT}{told_closed(lost)}"
        yield from (f"{INDENT}{advice}" for advice in advice_on([lost], "")[:1])


def _port(state: NeedState) -> str:
    return f"{state.need.protocol.value}/{state.need.port or 'any'}"


def _summary(states: Sequence[RequirementState], needs: Sequence[NeedState], state: State) -> Iterator[str]:
    """Return what was evaluated, and what was read and plays no part."""
    of = Counter("broken" if not one.met else "met" if one.lost is None else "not decided" for one in states)
    counts = [f"{of['broken']} broken", f"{of['met']} met"]
    if of["not decided"]:
        counts.append(f"{of['not decided']} not decided")
    total = f"{len(states)} requirement{'' if len(states) == 1 else 's'}"
    yield f"summary: {total}: {', '.join(counts)}; state: {len(state.objects)} objects"
    if needs:
        cut_off = sum(not one.met for one in needs)
        total = f"{len(needs)} need{'' if len(needs) == 1 else 's'} of egress"
        yield f"summary: {total}: {cut_off} cut off, {len(needs) - cut_off} met"
    if state.skipped or state.passed_over:
        yield f"summary: skipped: {', '.join(filter(None, (in_words(state.skipped), *state.passed_over)))}"
