"""`eem-guardrail explain`: is a connection allowed, and why; or who may connect at all."""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

from webhook.cli.state import StateError, add_state_arguments, read_state
from webhook.netpol import ClusterSnapshot, Connection, SpecError, evaluate, explain
from webhook.netpol.evaluate import ConnectionVerdict, DirectionVerdict
from webhook.netpol.explanation import describe_sources, networks, who_may_connect
from webhook.netpol.intervals import network
from webhook.netpol.parse_objects import Parsed
from webhook.settings import Settings, add_flags, settings_from

DENIED = 1
BAD_USAGE = 2

Answer = tuple[bool, Sequence[str], dict[str, Any]]
"""Whether it is allowed, the answer as lines, and the answer as JSON."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take the state and the two ends of a connection."""
    add_state_arguments(parser)
    parser.add_argument("--to", required=True, metavar="NAMESPACE/POD", help="the pod, or the workload, connected to")
    parser.add_argument("--port", required=True, type=int, metavar="PORT", help="number of the pod's port")
    parser.add_argument("--protocol", default="TCP", metavar="TCP|UDP|SCTP", help="default: TCP")
    parser.add_argument(
        "--from",
        dest="source",
        metavar="NAMESPACE/POD|IP|CIDR",
        help="who connects (default: tell everyone who may)",
    )
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text", help="form of the answer")
    add_flags(parser, ("ipblock_matches_pods",))


def run(arguments: argparse.Namespace) -> int:
    """Answer, with exit status 1 where the connection is not surely allowed."""
    settings = settings_from(arguments, os.environ)
    try:
        found = read_state(arguments, settings)
        snapshot = ClusterSnapshot.from_parsed(parsed for _, parsed in found if isinstance(parsed, Parsed))
        allowed, lines, answer = _answer(arguments, settings, snapshot)
    except (StateError, SpecError, ValueError) as error:
        print(f"eem-guardrail explain: {error}", file=sys.stderr)
        return BAD_USAGE
    if arguments.output == "json":
        import msgspec  # noqa: PLC0415  text needs none

        print(msgspec.json.format(msgspec.json.encode(answer)).decode())
    else:
        print("\n".join(lines))
    return 0 if allowed else DENIED


def _answer(arguments: argparse.Namespace, settings: Settings, snapshot: ClusterSnapshot) -> Answer:
    source = arguments.source
    if source is None:
        return _everyone(arguments, snapshot)
    if is_cidr(source):
        return _range(arguments, snapshot)
    verdict = evaluate(
        Connection(source=source, destination=arguments.to, protocol=arguments.protocol, port=arguments.port),
        snapshot,
        ipblock_matches_pods=settings.ipblock_matches_pods,
    )
    return verdict.allowed, explain(verdict), _verdict_json(verdict)


def is_cidr(text: str) -> bool:
    """Say whether *text* is a CIDR: no namespace has a dot or a colon in its name."""
    address, slash, _ = text.partition("/")
    return bool(slash) and ("." in address or ":" in address)


def _everyone(arguments: argparse.Namespace, snapshot: ClusterSnapshot) -> Answer:
    reach = who_may_connect(arguments.to, arguments.protocol, arguments.port, snapshot)
    lines = describe_sources(reach.sources)
    head = f"{arguments.to} {arguments.protocol}/{arguments.port} may be reached by:"
    by = ", ".join(reach.policies) or "no policy selects it for ingress"
    answer = {**_asked(arguments), "sources": lines, "policies": reach.policies}
    return True, (head, *(f"  {line}" for line in lines), f"policies that isolate it: {by}"), answer


def _range(arguments: argparse.Namespace, snapshot: ClusterSnapshot) -> Answer:
    family, interval = network(arguments.source)
    reach = who_may_connect(arguments.to, arguments.protocol, arguments.port, snapshot)
    refused = list(networks(family, reach.refused(family, interval)))
    allowed = not refused
    what = f"{arguments.source} -> {arguments.to} {arguments.protocol}/{arguments.port}"
    lines = [f"{what}: {'ALLOWED' if allowed else 'NOT ALLOWED'}"]
    lines.extend(f"  not allowed: {cidr}" for cidr in refused)
    lines.append(f"policies that isolate it: {', '.join(reach.policies) or 'none'}")
    answer = {
        **_asked(arguments),
        "from": arguments.source,
        "allowed": allowed,
        "decided": True,
        "refused": refused,
        "policies": reach.policies,
    }
    return allowed, lines, answer


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
