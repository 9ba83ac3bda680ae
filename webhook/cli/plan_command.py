"""`eem-guardrail plan`: an order of changes in which no step interrupts required ingress."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import yaml

from webhook.admission.plan import Plan, PlanStep, plan
from webhook.admission.trial import ObjectChange
from webhook.admission.verdict import SCHEMA_VERSION
from webhook.cli.change_sets import add_change_set_arguments, read_changes
from webhook.cli.ci_formats import CI_FORMATS
from webhook.cli.output import ALLOWED, BAD_USAGE, DENIED, add_output_arguments, json_text, show
from webhook.cli.results import NO_SAFE_ORDER, Case, Judged, Result, case_of, name_of, place_or_none
from webhook.cli.state import StateError, add_state_arguments, read_state
from webhook.cli.verdict_formats import INDENT, as_text, judged_json
from webhook.files.change_set import PlacedChange, identity_of
from webhook.settings import DECISION, Settings, add_flags, settings_from

EPILOG: Final = """\
examples:
  eem-guardrail plan --before main:policies --after policies/ --live
  eem-guardrail plan --before old/ --after new/ -o yaml --annotate argocd

exit status:
  0  there is an order in which no step interrupts required ingress
  1  there is none; if one with temporary policies is known, it is printed
  2  wrong usage, input that cannot be read, or nothing to plan"""

_NO_ORDER: Final = "No order of these changes keeps all required ingress open"

ANNOTATIONS: Final = {"argocd": "argocd.argoproj.io/sync-wave", "helm": "helm.sh/hook-weight"}
"""The annotation with which each tool orders objects."""

_PRUNING: Final = {"argocd": " (Argo CD deletes it last if it has the sync option PruneLast=true)"}
"""What a tool needs to delete after it applies."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """
    A plan and what it was asked for.

    Args:
        placed: the changes with their places in files.
        annotate: the tool whose annotation orders objects in YAML; None without annotations.
    """

    plan: Plan
    placed: Sequence[PlacedChange]
    annotate: str | None = None

    def judged(self, step: PlanStep) -> Judged:
        """Return a step with the place of its change; a temporary policy has none."""
        resource = step.change.resource
        wanted = (resource.kind, resource.namespace, resource.name)
        known = None if step.is_temporary else next(one for one in self.placed if _identity(one) == wanted)
        verdict = step.trial.verdict
        if known is None:
            return Judged(verdict=verdict, place=None)
        return Judged(verdict=verdict, place=known.place, changed=known.changed)


def _identity(change: PlacedChange) -> tuple[str, str, str]:
    return identity_of(change.new if change.new is not None else change.old or {})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the two states, the rest of the cluster and the settings of verdicts."""
    add_state_arguments(parser, required=False)
    changes = parser.add_argument_group("changes", "the difference of two folders, files or Git revisions")
    add_change_set_arguments(changes, required=True)
    changes.add_argument("--allow-empty", action="store_true", help="do not fail if the state has no EEM resources")
    add_flags(parser.add_argument_group("verdicts"), DECISION)
    add_output_arguments(parser, FORMATS).add_argument(
        "--annotate", choices=tuple(ANNOTATIONS), help="with -o yaml: number the objects for this tool, by annotation"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the order."""
    settings = settings_from(arguments, os.environ)
    try:
        found = _plan(arguments, settings)
    except StateError as error:
        print(f"eem-guardrail plan: {error}", file=sys.stderr)
        return BAD_USAGE
    show(FORMATS[arguments.output](found), now=True)
    return ALLOWED if found.plan.is_complete else DENIED


def _plan(arguments: argparse.Namespace, settings: Settings) -> Planned:
    """
    Read the changes and find an order.

    Raises:
        StateError: an input cannot be read, or there is nothing to plan.
    """
    state, _, placed = read_changes(arguments, read_state(arguments, settings))
    snapshot = state.snapshot()
    if not snapshot.eem and not arguments.allow_empty:
        raise StateError("neither state has an EEM instance or operator; if this is intended, use --allow-empty")
    changes = [ObjectChange(old=change.old, new=change.new) for change in placed]
    found = plan(changes, snapshot, replace(settings.options(), offline=True))
    return Planned(plan=found, placed=placed, annotate=arguments.annotate)


def _as_text(planned: Planned) -> str:
    return "\n".join(_lines(planned))


def _lines(planned: Planned) -> Iterator[str]:
    found = planned.plan
    if found.blocked:
        yield f"{_NO_ORDER}{_unless_exact(found)}."
        yield as_text([planned.judged(step) for step in found.blocked])
        for step in found.blocked:
            yield from _interrupted(step)
        if not found.temporary:
            return
        yield "With temporary policies there is one:"
    for number, step in enumerate(found.steps, start=1):
        why = " (temporary)" if step.is_temporary else ""
        yield f"{number}. {step.change.operation} {name_of(step.change.resource)}{why}"


def _unless_exact(found: Plan) -> str:
    return "" if found.is_exact else " (none was found; not all orders were tried)"


def _interrupted(step: PlanStep) -> Iterator[str]:
    for one in step.trial.interrupted:
        port = f"{one.component.value} {one.protocol.value}/{one.port}"
        yield f"{INDENT}would interrupt {one.instance.kind} {one.instance.namespace}/{one.instance.name}: {port}"


def _cases(planned: Planned) -> Iterator[Case]:
    """Yield each blocked change as a case that fails, and then the steps that can be made, in order."""
    found = planned.plan
    blocked = {step.change.resource for step in found.blocked}
    for step in found.blocked:
        yield _blocked(step, planned)
    for step in found.steps:
        if step.change.resource not in blocked:
            yield case_of(planned.judged(step))


def _blocked(step: PlanStep, planned: Planned) -> Case:
    """Return a change without a place in an order as a case with one error, at the line that it changes."""
    judged, found = planned.judged(step), planned.plan
    case = case_of(judged)
    reasons = [result.message for result in case.errors] or [line.strip() for line in _interrupted(step)]
    bridge = ", ".join(one.change.resource.name for one in found.temporary)
    told = [f"{_NO_ORDER}{_unless_exact(found)}", *reasons]
    if bridge:
        told.append(f"With the temporary policies {bridge} there is one: see `eem-guardrail plan`")
    position = place_or_none(judged.place, judged.changed or "spec")
    error = Result(
        level="error",
        rule=NO_SAFE_ORDER,
        message=". ".join(text.removesuffix(".") for text in told),
        resource=case.name.partition(" ")[2],
        position=position,
    )
    return replace(case, results=(error, *(result for result in case.results if result.level == "warning")))


def _as_json(planned: Planned) -> str:
    found = planned.plan
    content = {
        "schemaVersion": SCHEMA_VERSION,
        "complete": found.is_complete,
        "exact": found.is_exact,
        "steps": [_step_json(step) for step in found.steps],
        "blocked": [judged_json(planned.judged(step)) | _interrupted_json(step) for step in found.blocked],
    }
    return json_text(content)


def _step_json(step: PlanStep) -> dict[str, Any]:
    resource = step.change.resource
    return {
        "operation": step.change.operation,
        "resource": {"kind": resource.kind, "namespace": resource.namespace, "name": resource.name},
        "temporary": step.is_temporary,
        "object": step.change.new if step.is_temporary else None,
        "warnings": list(step.trial.verdict.warnings),
    }


def _interrupted_json(step: PlanStep) -> dict[str, Any]:
    return {
        "interrupted": [
            {
                "instance": {
                    "kind": one.instance.kind,
                    "namespace": one.instance.namespace,
                    "name": one.instance.name,
                },
                "component": one.component.value,
                "protocol": one.protocol.value,
                "port": one.port,
            }
            for one in step.trial.interrupted
        ]
    }


def _as_yaml(planned: Planned) -> str:
    """Return the objects to apply, in order; a deletion is a comment, because no object means it."""
    found = planned.plan
    if found.blocked and not found.temporary:
        return f"# {_NO_ORDER}"
    documents = []
    for number, step in enumerate(found.steps, start=1):
        if step.change.new is None:
            name = name_of(step.change.resource)
            documents.append(f"# step {number}: delete {name}{_PRUNING.get(planned.annotate or '', '')}\n")
        else:
            written = yaml.safe_dump(_annotated(step.change.new, planned.annotate, number), sort_keys=False)
            documents.append(f"# step {number}: {step.change.operation.lower()}\n{written}")
    return "---\n".join(documents).rstrip("\n")


def _annotated(mapping: Mapping[str, Any], annotate: str | None, number: int) -> dict[str, Any]:
    if annotate is None:
        return dict(mapping)
    metadata = dict(mapping.get("metadata") or {})
    annotations = {**(metadata.get("annotations") or {}), ANNOTATIONS[annotate]: str(number)}
    return {**mapping, "metadata": {**metadata, "annotations": annotations}}


def _of_cases(form: Callable[[Sequence[Case]], str]) -> Callable[[Planned], str]:
    return lambda planned: form(list(_cases(planned)))


FORMATS: Final[Mapping[str, Callable[[Planned], str]]] = {
    "text": _as_text,
    "json": _as_json,
    "yaml": _as_yaml,
    **{name: _of_cases(form) for name, form in CI_FORMATS.items()},
}
