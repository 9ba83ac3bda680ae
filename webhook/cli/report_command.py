"""`eem-guardrail report`: who can reach what EEM needs, by which policies, and what each policy keeps open."""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from webhook.admission.audit import audit
from webhook.admission.report import report
from webhook.cli.output import ALLOWED, BAD_USAGE, add_output_arguments, show
from webhook.cli.state import StateError, add_state_arguments, read_state
from webhook.settings import DECISION, add_flags, settings_from

EPILOG: Final = """\
examples:
  eem-guardrail report --state cluster.json -o html > report.html
  eem-guardrail report --live

exit status:
  0  the report was printed, whatever it says (`audit` has a status for what is
     broken)
  2  wrong usage, input that cannot be read, nothing to report on, or a
     cluster that cannot be reached"""

NOTHING: Final = "the state has no EEM instance and no EEM operator, so nothing is required"
INDENT: Final = "  "
MOST_SHOWN: Final = 5
"""Entries that one line of text names."""

Entry = Mapping[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the state and the settings of verdicts."""
    add_state_arguments(parser)
    add_flags(parser.add_argument_group("verdicts"), DECISION)
    add_output_arguments(parser, ("text", "json", "html"))


def run(arguments: argparse.Namespace) -> int:
    """Print the report."""
    settings = settings_from(arguments, os.environ)
    try:
        state = read_state(arguments, settings)
    except StateError as error:
        return _unusable(str(error))
    snapshot = state.snapshot()
    if not snapshot.eem:
        return _unusable(NOTHING)
    options = replace(settings.options(), offline=True)
    found = report(audit(snapshot, options), snapshot, options)
    for namespace in found["namespaces"]:
        for instance in namespace["instances"]:
            for one in instance["requirements"]:
                del one["since"]  # nothing is known from before
    show(_in_format(arguments.output, found))
    return ALLOWED


def _unusable(problem: str) -> int:
    print(f"eem-guardrail report: {problem}", file=sys.stderr)
    return BAD_USAGE


def _in_format(name: str, found: Entry) -> str:
    if name == "json":
        import msgspec  # noqa: PLC0415  text needs none

        return msgspec.json.format(msgspec.json.encode(found)).decode()
    if name == "html":
        from webhook.report_page.page import report_page  # noqa: PLC0415  only a page needs a template engine

        return report_page(found, at="", live=False)
    return "\n".join(_lines(found))


def _lines(found: Entry) -> Iterator[str]:
    for namespace in found["namespaces"]:
        yield f"namespace {namespace['namespace']}"
        for instance in namespace["instances"]:
            yield from (f"{INDENT}{line}" for line in _instance(instance))
        for policy in namespace["policies"]:
            yield f"{INDENT}without {policy['kind']} {policy['name']}: {_without(policy)}"
        if namespace["otherPolicies"]:
            yield f"{INDENT}policies that restrict no pod of EEM: {_some(namespace, 'otherPolicies')}"
    for name in found["gatewaysWithoutInstance"]:
        yield f"Warning: pod {name} has the labels of a gateway and belongs to no instance: nothing is required for it"
    for one in found["unknownAnnotations"]:
        yield f"Warning: namespace {one['namespace']}: {one['annotation']} is not a known value, so it has no effect"
    if found["policyKinds"]["unread"]:
        yield f"Warning: not read, and may override this: {', '.join(found['policyKinds']['unread'])}"


def _instance(instance: Entry) -> Iterator[str]:
    pods = instance["pods"]["names"]
    shown = ", ".join(pods[:MOST_SHOWN]) + _more(len(pods)) if pods else "no pod seen"
    exempt = f" (exempt: {instance['exempt']})" if instance["exempt"] else ""
    yield f"{instance['kind']} {instance['name']} ({instance['component']}): {shown}{exempt}"
    for one in instance["requirements"]:
        yield f"{INDENT}{_word(one['state']):13}{one['protocol']}/{one['port']} ({one['why']})"
        for reach in one["reach"]:
            yield f"{INDENT * 2}from {_some(reach, 'sources')}"
            by = _some(reach, "isolatedBy") if reach["isolated"] else "no policy isolates these pods"
            ways = [f"{_full_name(way)} {_rules(way['rules'])}" for way in reach["ways"][:MOST_SHOWN]]
            yield f"{INDENT * 2}by {', '.join(ways) + _more(len(reach['ways']))}" if ways else f"{INDENT * 2}by {by}"
        yield from _problem(one)
    for one in instance["needs"]:
        port = f" {one['protocol']}/{one['port']}" if one["port"] else f" any {one['protocol']} port"
        note = "" if one["level"] == "certain" else f" ({one['level']})"
        yield f"{INDENT}{_word(one['state']):13}{one['need']} to {one['destination']}{port}{note}"
        yield from _problem(one)


def _full_name(way: Entry) -> str:
    return way["name"] if way["kind"] == "NetworkPolicy" else f"{way['kind']} {way['name']}"


def _problem(one: Entry) -> Iterator[str]:
    if one["message"]:
        yield f"{INDENT * 2}{one['message']}"
    if one["remedy"] is not None and one["state"] == "broken":
        import msgspec  # noqa: PLC0415  most reports have no remedy

        yield f"{INDENT * 2}remedy: {msgspec.json.encode(one['remedy']).decode()}"


def _word(state: str) -> str:
    return "BROKEN" if state == "broken" else state


def _without(policy: Entry) -> str:
    lost = [_loss(one) for one in policy["without"]]
    return "; ".join(lost[:MOST_SHOWN]) + _more(len(lost)) if lost else "nothing is lost"


def _loss(one: Entry) -> str:
    return one["message"] if one["decided"] else f"perhaps {one['message']}"


def _rules(rules: list[Entry]) -> str:
    shown = ", ".join(
        f"#{rule['rule']}{' ' + rule['action'] if 'action' in rule else ''}" for rule in rules[:MOST_SHOWN]
    )
    return f"rule {shown}{_more(len(rules))}"


def _some(entry: Entry, field: str) -> str:
    return ", ".join(entry[field][:MOST_SHOWN]) + _more(len(entry[field]) + entry.get(f"{field}More", 0))


def _more(count: int) -> str:
    return f" and {count - MOST_SHOWN} more" if count > MOST_SHOWN else ""
