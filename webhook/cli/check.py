"""`eem-guardrail check`: the verdict of the webhook, for files."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from webhook.admission import (
    AdmissionRequest,
    AdmissionResponse,
    GroupVersionKind,
    GroupVersionResource,
    Options,
    Verdict,
    decide,
    validate,
    verdict_json,
)
from webhook.admission.verdict import ResourceName
from webhook.cli.state import ReadObject, StateError, add_state_arguments, read_paths, read_state, tell
from webhook.eem import WATCHED, EemSnapshot, ResourceType
from webhook.eem.eem_snapshot import name_of
from webhook.settings import DECISION, add_flags, settings_from

DENIED = 1
BAD_USAGE = 2
JUDGES: Mapping[str, Callable[[AdmissionRequest, EemSnapshot, Options], AdmissionResponse]] = {
    "NetworkPolicy": decide,
    "EventEndpointManagement": validate,
    "EventGateway": validate,
}
"""Who judges a kind; the others the API server asks nobody about."""

Identity = tuple[str, str, str]
"""Kind, namespace and name of an object."""


class _InOrder(argparse.Action):
    """Collect --apply and --delete in the order in which they were written."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Append the values with the flag that they belong to."""
        del parser
        changes = list(getattr(namespace, self.dest, None) or [])
        changes.extend((option_string, value) for value in values or ())
        setattr(namespace, self.dest, changes)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the state, the changes and the settings that verdicts rest on."""
    add_state_arguments(parser)
    parser.add_argument(
        "--apply", nargs="+", action=_InOrder, dest="changes", metavar="PATH", help="objects to apply, in this order"
    )
    parser.add_argument(
        "--delete",
        nargs="+",
        action=_InOrder,
        dest="changes",
        metavar="KIND/NAMESPACE/NAME",
        help="objects to delete, in this order",
    )
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text", help="form of the verdicts")
    add_flags(parser, DECISION)


def run(arguments: argparse.Namespace) -> int:
    """Judge the changes one after another, each on the state left by those before it."""
    settings = settings_from(arguments, os.environ)
    if not arguments.changes:
        print("eem-guardrail check: nothing to check: give --apply or --delete", file=sys.stderr)
        return BAD_USAGE
    try:
        rehearsal = Rehearsal(read_state(arguments, settings), settings.options())
        verdicts = [rehearsal.judge(*change) for change in _changes(arguments, rehearsal)]
    except StateError as error:
        print(f"eem-guardrail check: {error}", file=sys.stderr)
        return BAD_USAGE
    if arguments.output == "json":
        print(msgspec.json.format(msgspec.json.encode([verdict_json(verdict) for verdict in verdicts])).decode())
    else:
        for verdict in verdicts:
            print("\n".join(_text(verdict)))
    return 0 if all(verdict.allowed for verdict in verdicts) else DENIED


class Rehearsal:
    """
    A cluster in which changes are tried.

    Args:
        objects: the cluster as it is.
        options: how decisions are made.
    """

    def __init__(self, objects: Sequence[ReadObject], options: Options) -> None:
        self._options = replace(options, offline=True)
        self._snapshot = EemSnapshot.from_read(objects)
        self._objects = {_identity(api_object): api_object for api_object, _ in objects}

    def find(self, kind: str, namespace: str, name: str) -> Mapping[str, Any] | None:
        """Give one object as it is now; *kind* may be written as kubectl takes it."""
        resource = next((known for known in WATCHED if kind.lower() in _spellings(known)), None)
        return None if resource is None else self._objects.get((resource.kind, namespace, name))

    def judge(self, new: Mapping[str, Any] | None, gone: Mapping[str, Any] | None = None) -> Verdict:
        """Judge one change, and make it where it is allowed: apply *new*, or delete *gone*."""
        changed = new if new is not None else gone or {}
        kind, namespace, name = _identity(changed)
        old = self._objects.get((kind, namespace, name))
        operation = "DELETE" if new is None else "CREATE" if old is None else "UPDATE"
        verdict = self._verdict(operation, new, old, ResourceName(kind=kind, namespace=namespace, name=name))
        if verdict.allowed and new is not None:
            self._snapshot = self._snapshot.with_object(new)
            self._objects[kind, namespace, name] = new
        elif verdict.allowed:
            self._snapshot = self._snapshot.without_object(kind, namespace, name)
            del self._objects[kind, namespace, name]
        return verdict

    def _verdict(
        self, operation: str, new: Mapping[str, Any] | None, old: Mapping[str, Any] | None, resource: ResourceName
    ) -> Verdict:
        """Ask as the API server would; objects of kinds that it does not ask about are allowed."""
        judge = JUDGES.get(resource.kind)
        if judge is None:
            return Verdict(allowed=True, operation=operation, resource=resource)
        served = next(known for known in WATCHED if known.kind == resource.kind)
        asked = AdmissionRequest(
            uid=f"check-{resource.namespace}-{resource.name}",
            operation=operation,
            kind=GroupVersionKind(group=served.group, version=served.version, kind=served.kind),
            resource=GroupVersionResource(group=served.group, version=served.version, resource=served.plural),
            namespace=resource.namespace,
            name=resource.name,
            object=new,
            old_object=old,
        )
        return _verdict_of(judge(asked, self._snapshot, self._options), operation, resource)


def _verdict_of(response: AdmissionResponse, operation: str, resource: ResourceName) -> Verdict:
    return response.verdict or Verdict(allowed=response.allowed, operation=operation, resource=resource)


def _identity(api_object: Mapping[str, Any]) -> Identity:
    return (str(api_object.get("kind", "")), *name_of(api_object))


def _spellings(resource: ResourceType) -> frozenset[str]:
    return frozenset({resource.kind.lower(), resource.plural, *_SHORT.get(resource.kind, ())})


_SHORT = {
    "NetworkPolicy": ("netpol",),
    "EventEndpointManagement": ("eem",),
    "EventGateway": ("egw",),
    "Namespace": ("ns",),
    "Pod": ("po",),
    "Deployment": ("deploy",),
    "StatefulSet": ("sts",),
}


def _changes(
    arguments: argparse.Namespace, rehearsal: Rehearsal
) -> Iterator[tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]]:
    """
    Give the changes as (new, gone), in the order given.

    Raises:
        StateError: a file cannot be understood, or what is to be deleted is not there.
    """
    for flag, value in arguments.changes:
        if flag == "--apply":
            found = read_paths([value])
            if arguments.verbose:
                tell(found, value)
            for mapping in found.mappings:
                yield mapping, None
        else:
            yield None, _to_delete(value, rehearsal)


def _to_delete(text: str, rehearsal: Rehearsal) -> Mapping[str, Any]:
    match text.split("/"):
        case [kind, namespace, name] if kind and namespace and name:
            gone = rehearsal.find(kind, namespace, name)
        case _:
            raise StateError(f"--delete: {text!r} is not KIND/NAMESPACE/NAME")
    if gone is None:
        raise StateError(f"--delete: there is no {text} in the state")
    return gone


def _text(verdict: Verdict) -> Iterator[str]:
    resource = verdict.resource
    answer = "allowed" if verdict.allowed else "DENIED"
    why = f" (not judged: {verdict.exempt})" if verdict.exempt else ""
    yield f"{answer:8}{verdict.operation} {resource.kind} {resource.namespace}/{resource.name}{why}"
    if verdict.message and not verdict.faults:
        yield f"        {verdict.message}"
    for fault in verdict.faults:
        yield f"        {fault.field}: {fault.message}{f' [{fault.rule}]' if fault.rule else ''}"
    for text in verdict.warnings:
        yield f"        Warning: {text}"
