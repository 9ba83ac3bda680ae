"""`eem-guardrail explain`: whether a connection is allowed, and why; or which sources may connect at all."""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from webhook.cli.output import ALLOWED, BAD_USAGE, DENIED, show
from webhook.cli.state import StateError, add_state_arguments, read_state
from webhook.netpol import ClusterSnapshot, Connection, SpecError, evaluate, explain
from webhook.netpol.evaluate import ConnectionVerdict, DirectionVerdict, read_pod_name
from webhook.netpol.explain import describe_sources, networks, who_may_connect
from webhook.netpol.intervals import network, subtract
from webhook.netpol.parse_objects import Parsed
from webhook.netpol.reading import Faults
from webhook.settings import Settings, add_flags, settings_from

EPILOG: Final = """\
examples:
  eem-guardrail explain --state cluster.json --to eem/gateway-0 --port 8092 --from shop/orders-0
  eem-guardrail explain --live --to eem/gateway-0 --port https -o json

exit status:
  0  the connection is allowed; without --from, the sources were listed
  1  the connection is not allowed, only partly allowed, or not decided
  2  wrong usage, input that cannot be read, or a cluster that cannot be reached"""

FLAGS: Final = {"source": "--from", "destination": "--to", "to": "--to", "port": "--port", "protocol": "--protocol"}
"""The flag that sets a field of the question."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """
    An answer.

    Args:
        allowed: whether the connection is surely allowed.
        lines: the answer for people.
        json: the answer for programs.
    """

    allowed: bool
    lines: Sequence[str]
    json: dict[str, Any]


class QuestionError(Exception):
    """Raised when an option has a value that cannot be answered; the message names the option."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the state and the two ends of a connection."""
    add_state_arguments(parser)
    connection = parser.add_argument_group("connection")
    connection.add_argument("--to", required=True, metavar="NAMESPACE/POD", help="destination: a pod or a workload")
    connection.add_argument(
        "--port",
        required=True,
        metavar="PORT",
        help="the pod's port: its number, or the name that a container gives it",
    )
    connection.add_argument("--protocol", default="TCP", metavar="TCP|UDP|SCTP", help="default: TCP")
    connection.add_argument(
        "--from",
        dest="source",
        metavar="NAMESPACE/POD|IP|CIDR",
        help="source (default: list every source that may connect)",
    )
    add_flags(parser.add_argument_group("verdicts"), ("ipblock_matches_pods",))
    parser.add_argument(
        "-o", "--output", choices=("text", "json"), default="text", help="output format (default: text)"
    )


def run(arguments: argparse.Namespace) -> int:
    """Print the answer; the exit status is 1 if the connection is not surely allowed."""
    settings = settings_from(arguments, os.environ)
    try:
        state = read_state(arguments, settings)
        snapshot = ClusterSnapshot.from_parsed(parsed for _, parsed in state.objects if isinstance(parsed, Parsed))
        answer = _answer(arguments, settings, snapshot)
    except SpecError as error:
        return _unusable("; ".join(f"{FLAGS.get(fault.field, fault.field)}: {fault.message}" for fault in error.faults))
    except (StateError, QuestionError) as error:
        return _unusable(str(error))
    if arguments.output == "json":
        import msgspec  # noqa: PLC0415  text needs none

        show(msgspec.json.format(msgspec.json.encode(answer.json)).decode())
    else:
        show("\n".join(answer.lines))
    return ALLOWED if answer.allowed else DENIED


def _unusable(problem: str) -> int:
    print(f"eem-guardrail explain: {problem}", file=sys.stderr)
    return BAD_USAGE


def _answer(arguments: argparse.Namespace, settings: Settings, snapshot: ClusterSnapshot) -> Answer:
    namespace, slash, name = arguments.to.partition("/")
    if not (namespace and slash and name):
        raise QuestionError(f"--to: {arguments.to!r} is not NAMESPACE/POD")
    arguments.port = _port(arguments, snapshot)
    source = arguments.source
    if source is None:
        return _every_source(arguments, snapshot)
    if is_cidr(source):
        return _range(arguments, snapshot)
    verdict = evaluate(
        Connection(source=source, destination=arguments.to, protocol=arguments.protocol, port=arguments.port),
        snapshot,
        ipblock_matches_pods=settings.ipblock_matches_pods,
    )
    return Answer(allowed=verdict.allowed, lines=explain(verdict), json=_verdict_json(verdict))


def _port(arguments: argparse.Namespace, snapshot: ClusterSnapshot) -> int:
    """
    Return the number of the port, which may be named as a container names it.

    Raises:
        QuestionError: the pod has no port of that name.
    """
    text = arguments.port
    if text.isascii() and text.isdigit():
        return int(text)
    pod = read_pod_name(arguments.to, "to", snapshot, Faults())
    ports = [port for port in pod.ports if port.protocol.value == arguments.protocol] if pod is not None else []
    for port in ports:
        if port.name == text:
            return port.number
    if pod is None:  # the answer reports the pod, which does not exist
        return 1
    named = ", ".join(sorted({port.name for port in ports})) or "none"
    raise QuestionError(f"--port: {arguments.to} has no {arguments.protocol} port named {text!r}; it names: {named}")


def is_cidr(text: str) -> bool:
    """Whether *text* is a CIDR: no namespace has a dot or a colon in its name."""
    address, slash, _ = text.partition("/")
    return bool(slash) and ("." in address or ":" in address)


def _every_source(arguments: argparse.Namespace, snapshot: ClusterSnapshot) -> Answer:
    reach = who_may_connect(arguments.to, arguments.protocol, arguments.port, snapshot)
    sources = describe_sources(reach.sources)
    head = f"{arguments.to} {arguments.protocol}/{arguments.port} may be reached by:"
    by = ", ".join(reach.policies) or "none"
    lines = (head, *(f"  {line}" for line in sources), f"policies that isolate it: {by}")
    return Answer(allowed=True, lines=lines, json={**_asked(arguments), "sources": sources, "policies": reach.policies})


def _range(arguments: argparse.Namespace, snapshot: ClusterSnapshot) -> Answer:
    try:
        family, interval = network(arguments.source)
    except ValueError as error:
        raise QuestionError(f"--from: {error}") from error
    reach = who_may_connect(arguments.to, arguments.protocol, arguments.port, snapshot)
    refused = reach.refused(family, interval)
    admitted = list(networks(family, subtract((interval,), refused)))
    cut_off = list(networks(family, refused))
    answer = "ALLOWED" if not cut_off else "PARTLY ALLOWED" if admitted else "NOT ALLOWED"
    lines = [f"{arguments.source} -> {arguments.to} {arguments.protocol}/{arguments.port}: {answer}"]
    lines.extend(f"  allowed: {cidr}" for cidr in (admitted if cut_off else ()))
    lines.extend(f"  not allowed: {cidr}" for cidr in cut_off)
    lines.append(f"policies that isolate it: {', '.join(reach.policies) or 'none'}")
    found = {
        **_asked(arguments),
        "from": arguments.source,
        "allowed": not cut_off,
        "decided": True,
        "admitted": admitted,
        "refused": cut_off,
        "policies": reach.policies,
    }
    return Answer(allowed=not cut_off, lines=lines, json=found)


def _asked(arguments: argparse.Namespace) -> dict[str, Any]:
    return {"to": arguments.to, "protocol": arguments.protocol, "port": arguments.port}


def _verdict_json(verdict: ConnectionVerdict) -> dict[str, Any]:
    connection = verdict.connection
    return {
        "from": connection.source,
        "to": connection.destination,
        "protocol": connection.protocol,
        "port": connection.port,
        "allowed": verdict.allowed,
        "decided": verdict.decided,
        "ingress": _direction_json(verdict.ingress),
        "egress": _direction_json(verdict.egress),
    }


def _direction_json(verdict: DirectionVerdict) -> dict[str, Any]:
    return {
        "allowed": verdict.allowed,
        "decided": verdict.decided,
        "reason": verdict.reason.value,
        "policies": verdict.policies,
        "rules": [
            {"policy": rule.policy, "index": rule.index, "outcome": rule.outcome.name.lower()} for rule in verdict.rules
        ],
    }
