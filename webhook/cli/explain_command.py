"""`eem-guardrail explain`: whether a connection is allowed, and why; or which sources may connect at all."""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from webhook.admission.audit import audit, row
from webhook.admission.egress.need_standing import NeedState, need_row
from webhook.admission.namespace_audit import RequirementState
from webhook.admission.refusal import denied_by, isolated_by
from webhook.admission.verdict import SCHEMA_VERSION, policy_kinds_json
from webhook.cli.output import ALLOWED, BAD_USAGE, DENIED, add_output_arguments, json_text, show
from webhook.cli.state import State, StateError, add_state_arguments, read_state
from webhook.eem.policy_kinds import NAME_OF, READ_KIND_OF, policy_kinds
from webhook.netpol import ClusterSnapshot, Connection, SpecError, evaluate, explain
from webhook.netpol.evaluate import ConnectionVerdict, read_pod_name
from webhook.netpol.evidence import DirectionVerdict, RuleEvidence
from webhook.netpol.explain import Reach, describe_sources, held_back, networks, who_may_connect
from webhook.netpol.intervals import network, subtract
from webhook.netpol.parse_objects import Parsed
from webhook.netpol.reading import Faults
from webhook.settings import Settings, add_flags, settings_from

EPILOG: Final = """\
examples:
  eem-guardrail explain --live --to eem/gw-0 --port 8092 --from shop/orders-0
  eem-guardrail explain --state cluster.json --to eem/gw-0 --port https -o json

exit status:
  0  the connection is allowed; without --from, the sources were listed
  1  the connection is not allowed, only partly allowed, or not decided
  2  wrong usage, input that cannot be read, or a cluster that cannot be reached"""

FLAGS: Final = {"source": "--from", "destination": "--to", "to": "--to", "port": "--port", "protocol": "--protocol"}
"""The flag that sets a field of the question."""


MOST_SHOWN: Final = 5
"""Pods that one line names."""


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
    add_flags(parser.add_argument_group("verdicts"), ("ipblock_matches_pods", "plugin"))
    add_output_arguments(parser, ("text", "json"))


def run(arguments: argparse.Namespace) -> int:
    """Print the answer; the exit status is 1 if the connection is not surely allowed."""
    settings = settings_from(arguments, os.environ)
    try:
        state = read_state(arguments, settings)
        snapshot = ClusterSnapshot.from_parsed(parsed for _, parsed in state.objects if isinstance(parsed, Parsed))
        answer = _with_policy_kinds(_answer(arguments, settings, snapshot), arguments, state, snapshot)
        if arguments.source is None:
            answer = _with_requirements(answer, arguments.to, settings, state)
    except SpecError as error:
        return _unusable("; ".join(f"{FLAGS.get(fault.field, fault.field)}: {fault.message}" for fault in error.faults))
    except (StateError, QuestionError) as error:
        return _unusable(str(error))
    if arguments.output == "json":
        show(json_text({"schemaVersion": SCHEMA_VERSION, **answer.json}))
    else:
        show("\n".join(answer.lines))
    return ALLOWED if answer.allowed else DENIED


def _with_requirements(answer: Answer, to: str, settings: Settings, state: State) -> Answer:
    """Add what EEM requires of the pod and what the pod has to reach, if it is EEM's, with what of it is met."""
    snapshot, (namespace, _, name) = state.snapshot(), to.partition("/")
    if namespace not in snapshot.eem:
        return answer
    found = audit(snapshot, settings.options())
    required = [one for one in found.states() if name in one.evidence().pods.names]
    needs = [one for one in found.need_states() if name in one.evidence().pods.names]
    lines = [*answer.lines]
    if required:
        lines += [
            "requirements:",
            *(f"  {one.evidence().protocol}/{one.evidence().port}: {_held(one)}" for one in required),
        ]
    if needs:
        lines += ["needs of egress:", *(f"  {_need(one)}: {_held(one)}" for one in needs)]
    rows = {"requirements": [row(one) for one in required], "needs": [need_row(one) for one in needs]}
    for one in (*rows["requirements"], *rows["needs"]):
        del one["since"]  # the state was read once
    return replace(answer, lines=lines, json={**answer.json, **rows})


def _need(state: NeedState) -> str:
    need = state.need
    return f"{need.id} {need.destination} at {need.protocol.value}/{need.port or 'any'}"


def _held(state: RequirementState | NeedState) -> str:
    """Return whether a requirement or a need holds, and what closes it."""
    lost = state.lost
    if lost is None:
        return "met"
    if not lost.decided:
        return f"not decided: {lost.why_undecided}"
    return denied_by(lost.policies) if lost.denied else isolated_by(lost.policies, lost.terminating)


def _with_policy_kinds(
    answer: Answer, arguments: argparse.Namespace, state: State, snapshot: ClusterSnapshot
) -> Answer:
    """Add the policy kinds that exist, and a line if policies of kinds that are not read may override the answer."""
    where = []
    for name in (arguments.to, arguments.source or ""):
        pod = read_pod_name(name, "", snapshot, Faults())
        if pod is not None:
            where.append((pod.namespace, snapshot.state(pod.namespace).namespace.labels, [pod.labels]))
    listed = {NAME_OF[known]: known for known in state.read_kinds}
    read = tuple(
        listed.get(kind, known) for kind, known in READ_KIND_OF.items() if snapshot.count(kind) or kind in listed
    )
    kinds = policy_kinds(read, state.unread_kinds, state.foreign, where)
    lines = (*answer.lines, kinds.note.replace("verdict", "answer")) if kinds.note else answer.lines
    return replace(answer, lines=lines, json={**answer.json, "policyKinds": policy_kinds_json(kinds)})


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
        return _every_source(arguments, settings, snapshot)
    if is_cidr(source):
        return _range(arguments, settings, snapshot)
    verdict = evaluate(
        Connection(source=source, destination=arguments.to, protocol=arguments.protocol, port=arguments.port),
        snapshot,
        ipblock_matches_pods=settings.ipblock_matches_pods,
        plugin=settings.plugin,
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


def _every_source(arguments: argparse.Namespace, settings: Settings, snapshot: ClusterSnapshot) -> Answer:
    question = arguments.to, arguments.protocol, arguments.port, snapshot
    reach = who_may_connect(*question, settings.plugin)
    sources = describe_sources(reach.sources, settings.ipblock_matches_pods, pods_by_address=reach.pods_by_address)
    silent = held_back(*question, settings.ipblock_matches_pods, settings.plugin)
    if silent and reach.sources.everyone:
        sources = ("every pod but those below, every node, every address",)
    head = f"{arguments.to} {arguments.protocol}/{arguments.port} can be reached by:"
    by = ", ".join(reach.policies) or "none"
    more = f" and {len(silent) - MOST_SHOWN} more" if len(silent) > MOST_SHOWN else ""
    but = f"  but not, by their own egress policies: {', '.join(silent[:MOST_SHOWN])}{more}"
    if reach.doubt:
        sources = (*sources, f"perhaps others: {reach.doubt}")
    told = (*(f"  {line}" for line in sources), *((but,) if silent else ()))
    found = {**_asked(arguments), "sources": sources, "heldBack": silent, "policies": reach.policies}
    lines = (head, *told, f"policies that isolate it: {by}", *_tiers(reach))
    return Answer(allowed=True, lines=lines, json={**found, "tiers": reach.tiers})


def _tiers(reach: Reach) -> tuple[str, ...]:
    return (f"cluster-wide policies with rules for it: {', '.join(reach.tiers)}",) if reach.tiers else ()


def _range(arguments: argparse.Namespace, settings: Settings, snapshot: ClusterSnapshot) -> Answer:
    try:
        family, interval = network(arguments.source)
    except ValueError as error:
        raise QuestionError(f"--from: {error}") from error
    reach = who_may_connect(arguments.to, arguments.protocol, arguments.port, snapshot, settings.plugin)
    refused = reach.refused(family, interval)
    admitted = list(networks(family, subtract((interval,), refused)))
    cut_off = list(networks(family, refused))
    answer = "ALLOWED" if not cut_off else "PARTLY ALLOWED" if admitted else "NOT ALLOWED"
    lines = [f"{arguments.source} -> {arguments.to} {arguments.protocol}/{arguments.port}: {answer}"]
    lines.extend(f"  allowed: {cidr}" for cidr in (admitted if cut_off else ()))
    lines.extend(f"  not allowed: {cidr}" for cidr in cut_off)
    lines.append(f"policies that isolate it: {', '.join(reach.policies) or 'none'}")
    lines.extend(_tiers(reach))
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
        "rules": [_rule_json(rule) for rule in verdict.rules],
    }


def _rule_json(rule: RuleEvidence) -> dict[str, Any]:
    found: dict[str, Any] = {"policy": rule.policy, "index": rule.index, "outcome": rule.outcome.name.lower()}
    if rule.action is not None:
        found["action"] = rule.action.value
    return found | {key: value for key, value in (("name", rule.name), ("doubt", rule.doubt)) if value}
