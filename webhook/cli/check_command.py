"""`eem-guardrail check`: the verdict of the webhook, for files."""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from webhook.admission import Verdict
from webhook.cli.output import ALLOWED, BAD_USAGE, DENIED, show
from webhook.cli.rehearsal import JUDGES, Rehearsal, resource_named
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
from webhook.cli.verdict_formats import FORMATS
from webhook.settings import DECISION, add_flags, settings_from

EPILOG: Final = """\
examples:
  eem-guardrail check --state cluster.json --apply new-policy.yaml
  eem-guardrail check --live -n eem --apply policies/ --delete netpol/eem/old-policy -o json

exit status:
  0  all changes are allowed
  1  at least one change is refused
  2  wrong usage, input that cannot be read, nothing to judge, or a cluster that cannot be reached"""

Change = tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]
"""An object to apply, or an object to delete."""


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
    add_state_arguments(parser)
    changes = parser.add_argument_group(
        "changes", "judged one after another in the order given, each on the state that those before it leave"
    )
    changes.add_argument(
        "--apply", nargs="+", action=_InOrder, dest="changes", metavar="PATH", help="objects to apply: files or folders"
    )
    changes.add_argument(
        "--delete",
        nargs="+",
        action=_InOrder,
        dest="changes",
        metavar="KIND/NAMESPACE/NAME",
        help="objects to delete; KIND as kubectl accepts it, KIND//NAME for a cluster-scoped one",
    )
    changes.add_argument(
        "--allow-empty", action="store_true", help="accept a state without any EEM resource, which guards nothing"
    )
    add_flags(parser.add_argument_group("verdicts"), DECISION)
    parser.add_argument("-o", "--output", choices=tuple(FORMATS), default="text", help="output format (default: text)")


def run(arguments: argparse.Namespace) -> int:
    """Judge the changes one after another, each on the state that those before it leave."""
    settings = settings_from(arguments, os.environ)
    if not arguments.changes:
        return _unusable("there is nothing to check: use --apply or --delete")
    try:
        require_single_stdin(arguments.state or (), [path for flag, path in arguments.changes if flag == "--apply"])
        state = read_state(arguments, settings)
        rehearsal = Rehearsal(state.objects, settings.options())
        _require_eem(arguments, rehearsal)
        verdicts = [rehearsal.judge(*change) for change in _changes(arguments, rehearsal)]
    except StateError as error:
        return _unusable(str(error))
    show(FORMATS[arguments.output](verdicts), now=True)
    print("\n".join(_summary(verdicts, state)), file=sys.stderr)
    return ALLOWED if all(verdict.allowed for verdict in verdicts) else DENIED


def _unusable(problem: str) -> int:
    print(f"eem-guardrail check: {problem}", file=sys.stderr)
    return BAD_USAGE


def _require_eem(arguments: argparse.Namespace, rehearsal: Rehearsal) -> None:
    """
    Check that there is something to guard.

    Raises:
        StateError: the state has no EEM resource, and the user has not said that this is meant.
    """
    if rehearsal.has_eem:
        return
    problem = "the state has no EEM instance and no EEM operator, so no change can cut them off"
    if not arguments.allow_empty:
        raise StateError(f"{problem}; if that is meant, use --allow-empty")
    warn([problem])


def _changes(arguments: argparse.Namespace, rehearsal: Rehearsal) -> Iterator[Change]:
    """
    Return the changes in the order given.

    Raises:
        StateError: a file cannot be understood or has no object to judge, or an object to delete does not exist.
    """
    for flag, value in arguments.changes:
        if flag == "--delete":
            yield None, _to_delete(value, arguments.namespace, rehearsal)
            continue
        found = read_paths([value], read_options(arguments, is_state=False))
        if arguments.verbose:
            tell(found, value)
        if not found.objects:
            others = in_words(found.skipped) or "no object"
            raise StateError(f"--apply: {value} has no object that a verdict depends on; it has {others}")
        if found.skipped:
            warn([f"{value}: no verdict depends on {in_words(found.skipped)}"])
        if found.passed_over:
            warn([f"no API object in {file}: passed over" for file in found.passed_over])
        for mapping in found.mappings:
            yield mapping, None


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


def _summary(verdicts: Sequence[Verdict], state: State) -> Iterator[str]:
    """Return what was judged, and what was read and not judged."""
    of = Counter(
        "refused" if not verdict.allowed else "not judged" if _is_unjudged(verdict) else "allowed"
        for verdict in verdicts
    )
    counts = [f"{of['refused']} refused", f"{of['allowed']} allowed"]
    if of["not judged"]:
        counts.append(f"{of['not judged']} not judged")
    warned = sum(1 for verdict in verdicts if verdict.warnings)
    if warned:
        counts.append(f"{warned} with warnings")
    changes = f"{len(verdicts)} change{'' if len(verdicts) == 1 else 's'}"
    yield f"summary: {changes}: {', '.join(counts)}; state: {len(state.objects)} objects"
    if state.skipped:
        yield f"summary: the state also has {in_words(state.skipped)}: no verdict depends on them"
    if state.passed_over:
        yield f"summary: files without API objects: {', '.join(state.passed_over)}"


def _is_unjudged(verdict: Verdict) -> bool:
    return bool(verdict.exempt) or verdict.resource.kind not in JUDGES
