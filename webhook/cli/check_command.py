"""`eem-guardrail check`: the verdict of the webhook, for files."""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from webhook.admission import Verdict
from webhook.admission.trial import JUDGES
from webhook.cli.change_sets import add_change_set_arguments, read_changes
from webhook.cli.fix import as_yaml, has_fix
from webhook.cli.output import ALLOWED, BAD_USAGE, DENIED, add_output_arguments, show, style_of
from webhook.cli.rehearsal import Rehearsal, resource_named
from webhook.cli.results import Judged, place_or_none
from webhook.cli.state import (
    State,
    StateError,
    add_state_arguments,
    in_words,
    read_options,
    read_paths,
    read_state,
    require_single_stdin,
    tell,
    warn,
)
from webhook.cli.verdict_formats import FORMATS, as_text
from webhook.files.applying import APPLY_MODES, ApplyError
from webhook.files.file_objects import FileObjects, Place
from webhook.settings import DECISION, Settings, add_flags, settings_from

EPILOG: Final = """\
examples:
  eem-guardrail check --state cluster.json --apply new.yaml
  eem-guardrail check --live -n eem --apply policies/ --delete netpol/old
  eem-guardrail check --state cluster.json --apply new.yaml --fix > missing.yaml
  eem-guardrail check --live --before main:prod --after prod --order flux

exit status:
  0  all changes are allowed
  1  at least one change is refused
  2  wrong usage, input that cannot be read, nothing to judge, or a cluster
     that cannot be reached"""

Input = State | FileObjects
"""What was read: the state, or the files of a change."""

Change = tuple[Mapping[str, Any] | None, Mapping[str, Any] | None, Place | None]
"""An object to apply, or an object to delete, and the place of the object in a file."""


class _InOrder(argparse.Action):
    """Collects --apply and --delete in the order in which they were written."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Append the values with their flag."""
        del parser
        changes = list(getattr(namespace, self.dest, None) or [])
        changes.extend((option_string, value) for value in values or ())
        setattr(namespace, self.dest, changes)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the state, the changes and the settings of verdicts."""
    add_state_arguments(parser, required=False)
    changes = parser.add_argument_group(
        "changes", "evaluated in order; each change sees the result of the changes before it"
    )
    changes.add_argument(
        "--apply", nargs="+", action=_InOrder, dest="changes", metavar="PATH", help="objects to apply: files or folders"
    )
    changes.add_argument(
        "--delete",
        nargs="+",
        action=_InOrder,
        dest="changes",
        metavar="OBJECT",
        help="objects to delete, each KIND/NAMESPACE/NAME; KIND as kubectl accepts it, KIND//NAME for a cluster-scoped "
        "one",
    )
    add_change_set_arguments(changes, required=False)
    changes.add_argument(
        "--apply-mode",
        choices=APPLY_MODES,
        default="apply",
        help="the command of kubectl that --apply stands for: apply merges a file into the object as it is, "
        "server-side is apply --server-side, replace puts the file in its place, create fails if it exists "
        "(default: apply)",
    )
    changes.add_argument("--allow-empty", action="store_true", help="do not fail if the state has no EEM resources")
    add_flags(parser.add_argument_group("verdicts"), DECISION)
    add_output_arguments(parser, FORMATS).add_argument(
        "--fix",
        action="store_true",
        help="print the smallest fix that makes refused changes acceptable, as YAML for kubectl: policies, or the "
        "changed object with a small edit; the verdicts then go to standard error",
    )


def run(arguments: argparse.Namespace) -> int:
    """Judge the changes one after another, each on the state that those before it leave."""
    settings = settings_from(arguments, os.environ)
    if arguments.fix and arguments.output != "text":
        return _unusable(f"--fix prints YAML, so it cannot be used with -o {arguments.output}")
    problem = _wrong_usage(arguments)
    if problem:
        return _unusable(problem)
    try:
        judged, inputs, rehearsal = _judge(arguments, settings)
    except StateError as error:
        return _unusable(str(error))
    verdicts = [one.verdict for one in judged]
    if arguments.fix:
        print(as_text(judged, style_of(sys.stderr)), file=sys.stderr)
        show(as_yaml(rehearsal.fix()), now=True)
    else:
        show(FORMATS[arguments.output](judged), now=True)
    print("\n".join(_summary(verdicts, inputs)), file=sys.stderr)
    if not arguments.fix and any(map(has_fix, verdicts)):
        print(
            "fix: run the command again with --fix: it prints the policies that make these changes acceptable",
            file=sys.stderr,
        )
    return ALLOWED if all(verdict.allowed for verdict in verdicts) else DENIED


def _wrong_usage(arguments: argparse.Namespace) -> str:
    """Return what is wrong with the flags; empty if nothing is."""
    sides = [name for name in ("--before", "--after") if getattr(arguments, name[2:])]
    if not arguments.changes and not sides:
        return "there is nothing to check: use --apply or --delete, or --before and --after"
    if arguments.changes and sides:
        return f"{sides[0]} cannot be used with --apply and --delete"
    if len(sides) == 1:
        return "--before and --after are used together"
    if not sides and arguments.state is None and not arguments.live:
        return "one of --state and --live is required"
    return ""


def _judge(arguments: argparse.Namespace, settings: Settings) -> tuple[list[Judged], list[Input], Rehearsal]:
    """
    Return the verdict on each change with the change's place, what was read, and the cluster in which it was tried.

    Raises:
        StateError: an input cannot be understood, there is nothing to judge, or nothing to guard; or kubectl would
            report an error instead of making a change.
    """
    applied = [path for flag, path in arguments.changes or () if flag == "--apply"]
    require_single_stdin(arguments.state or (), applied)
    state = read_state(arguments, settings)
    if arguments.before:
        state, change_set, placed = read_changes(arguments, state)
        rehearsal = Rehearsal(state, settings.options())
        _require_eem(arguments, rehearsal)
        judged = [
            Judged(verdict=rehearsal.judge(one.new, one.old), place=one.place, changed=one.changed) for one in placed
        ]
        return judged, [state, change_set.after], rehearsal
    rehearsal = Rehearsal(state, settings.options(), arguments.apply_mode)
    _require_eem(arguments, rehearsal)
    inputs: list[Input] = [state]
    changes = _changes(arguments, rehearsal, inputs)
    judged = [Judged(verdict=_verdict(rehearsal, new, gone, place), place=place) for new, gone, place in changes]
    return judged, inputs, rehearsal


def _verdict(
    rehearsal: Rehearsal, new: Mapping[str, Any] | None, gone: Mapping[str, Any] | None, place: Place | None
) -> Verdict:
    try:
        return rehearsal.judge(new, gone)
    except ApplyError as error:
        position = place_or_none(place, "metadata.name")
        raise StateError(f"{position}: {error}" if position else str(error)) from error


def _unusable(problem: str) -> int:
    print(f"eem-guardrail check: {problem}", file=sys.stderr)
    print("summary: no change was judged", file=sys.stderr)
    return BAD_USAGE


def _require_eem(arguments: argparse.Namespace, rehearsal: Rehearsal) -> None:
    """
    Check that there is something to guard.

    Raises:
        StateError: the state has no EEM resource, and the user has not set --allow-empty.
    """
    warn(rehearsal.notes)
    if rehearsal.has_eem:
        return
    problem = "the state has no EEM instance and no EEM operator, so no change can cut them off"
    if not arguments.allow_empty:
        raise StateError(f"{problem}; if this is intended, use --allow-empty")
    warn([problem])


def _changes(arguments: argparse.Namespace, rehearsal: Rehearsal, inputs: list[Input]) -> Iterator[Change]:
    """
    Return the changes in the order given, and add what is read for them to *inputs*.

    Raises:
        StateError: a file cannot be understood or has no object to judge, or an object to delete does not exist.
    """
    for flag, value in arguments.changes:
        if flag == "--delete":
            yield None, _to_delete(value, arguments.namespace, rehearsal), None
            continue
        found = read_paths([value], read_options(arguments, is_state=False))
        inputs.append(found)
        if arguments.verbose:
            tell(found, value)
        if not found.objects:
            others = in_words(found.skipped) or "no object"
            raise StateError(f"--apply: {value} has no object that a verdict depends on; it has {others}")
        for placed in found.objects:
            yield placed.mapping, None, placed.place


def _to_delete(text: str, namespace: str, rehearsal: Rehearsal) -> Mapping[str, Any]:
    match text.split("/"):
        case [spelling, name] if spelling and name and namespace:
            pass
        case [spelling, namespace, name] if spelling and name:
            pass
        case _:
            raise StateError(f"--delete: {text!r} is not KIND/NAMESPACE/NAME (nor KIND/NAME with -n)")
    resource = resource_named(spelling)
    if resource is None:
        raise StateError(f"--delete: there is no {text} in the state: {spelling} is not a kind that verdicts depend on")
    gone = rehearsal.find(resource.kind, namespace if resource.namespaced else "", name)
    if gone is None:
        raise StateError(f"--delete: there is no {text} in the state")
    return gone


def _summary(verdicts: Sequence[Verdict], inputs: Sequence[Input]) -> Iterator[str]:
    """Return what was judged and what was not, what was read, and what was skipped and why."""
    judged = [verdict for verdict in verdicts if not _why_unjudged(verdict)]
    refused = sum(not verdict.allowed for verdict in judged)
    warned = sum(bool(verdict.warnings) for verdict in verdicts)
    others = len(verdicts) - len(judged)
    counts = [f"{refused} refused", f"{len(judged) - refused} allowed", f"{warned} with warnings"]
    if others:
        counts.append(f"{others} not judged")
    changes = f"{len(verdicts)} change{'' if len(verdicts) == 1 else 's'}"
    state, *files = (len(read.objects) for read in inputs)
    yield f"summary: {changes}: {', '.join(counts)}"
    if others:
        reasons = Counter(filter(None, map(_why_unjudged, verdicts)))
        yield f"summary: not judged: {', '.join(f'{count} {reason}' for reason, count in reasons.items())}"
    yield f"summary: read: {state} objects of the state" + (f", {sum(files)} of the changes" if files else "")
    skipped = sum((Counter(read.skipped) for read in inputs), Counter[str]())
    if skipped:
        yield f"summary: skipped: {in_words(skipped)} (no verdict depends on them)"
    passed_over = [file for read in inputs for file in read.passed_over]
    if passed_over:
        yield f"summary: skipped: {', '.join(passed_over)} (no API object in the file)"


def _why_unjudged(verdict: Verdict) -> str:
    """Return why a change was allowed without evaluation; empty if it was judged."""
    kind = verdict.resource.kind
    return f"{kind} (the webhook is not asked about this kind)" if kind not in JUDGES else verdict.exempt or ""
