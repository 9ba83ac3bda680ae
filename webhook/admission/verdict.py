"""The verdict on one change with its evidence, and its JSON form for pipelines."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

from webhook.eem.instances import Component, InstanceRef
from webhook.eem.policy_kinds import ONLY_NETWORK_POLICIES, PolicyKinds
from webhook.netpol.faults import Fault
from webhook.netpol.model import Protocol
from webhook.netpol.sources.counterexample import PodExample
from webhook.netpol.sources.loss import AddressWitness


@dataclass(frozen=True, kw_only=True, slots=True)
class PodsSeen:
    """
    The pods of a requirement.

    Args:
        labels: the labels that they have in common.
        names: the names of the live pods.
        assumed: the labels are the documented ones, because neither a pod nor a template was seen.
    """

    labels: Mapping[str, str]
    names: tuple[str, ...]
    assumed: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Lost:
    """
    One requirement or need that a change takes away.

    Args:
        port: None for egress to a port that is not known.
        counterexample: a client that is cut off; None if no example was found.
        policies: `namespace/name` of the policies that isolate the pods after the change, the changed one first; or
            `kind/name` of the cluster-wide policies whose rules deny the client.
        denied: whether it is the latter.
        terminating: those of them that are terminating: they isolate, and what they admit does not last.
        decided: False if the loss counts only under --strict; `why_undecided` says what is not known.
        remedy: a NetworkPolicy that makes the change acceptable when it is applied as well; None if none was found.
        need: for egress, the row of the table of needs, such as `E3`.
        destination: for egress, what cannot be reached, in words.
    """

    instance: InstanceRef
    component: Component
    protocol: Protocol
    port: int | None
    pods: PodsSeen
    counterexample: PodExample | AddressWitness | None
    policies: tuple[str, ...]
    denied: bool = False
    terminating: frozenset[str] = frozenset()
    decided: bool
    why_undecided: str
    remedy: Mapping[str, Any] | None
    direction: Literal["ingress", "egress"] = "ingress"
    need: str = ""
    destination: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ResourceName:
    """The object of a change; the name is empty if the API server has yet to generate it."""

    kind: str
    namespace: str
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """
    The verdict on one change.

    Args:
        lost: everything that is or may be lost, the worst first.
        faults: what is wrong with the object itself.
        exempt: why the change was not evaluated, or None.
        message: the paragraph that kubectl prints; empty if the change is allowed.
        policy_kinds: the policy kinds on which the verdict rests, and those that may override it.
        advice: what to do about a change that cuts off required ingress, the best advice first.
    """

    allowed: bool
    operation: str
    resource: ResourceName
    lost: tuple[Lost, ...] = ()
    faults: tuple[Fault, ...] = ()
    warnings: tuple[str, ...] = ()
    exempt: str | None = None
    message: str = ""
    policy_kinds: PolicyKinds = ONLY_NETWORK_POLICIES
    advice: tuple[str, ...] = ()


SCHEMA_VERSION: Final = "1"
"""The version of the JSON of verdicts, plans, audits and explanations: it changes if a field changes or goes."""


def rule_id(fault: Fault) -> str:
    """Return the stable id of what a fault violates: a rule for EEM resources, or the API server's word for a fault."""
    return fault.rule or f"field-{fault.reason}"


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as JSON values, in the documented form."""
    resource = verdict.resource
    return {
        "schemaVersion": SCHEMA_VERSION,
        "allowed": verdict.allowed,
        "operation": verdict.operation,
        "resource": {"kind": resource.kind, "namespace": resource.namespace, "name": resource.name},
        "lost": [lost_json(lost) for lost in verdict.lost],
        "faults": [
            {"field": fault.field, "reason": fault.reason, "rule": rule_id(fault), "message": fault.message}
            for fault in verdict.faults
        ],
        "warnings": list(verdict.warnings),
        "exempt": verdict.exempt,
        "message": verdict.message,
        "policyKinds": policy_kinds_json(verdict.policy_kinds),
    }


def policy_kinds_json(kinds: PolicyKinds) -> dict[str, list[str]]:
    """Return the policy kinds as JSON values, by their names."""
    return {"read": list(kinds.read), "unread": [known.name for known in kinds.unread]}


def lost_json(lost: Lost) -> dict[str, Any]:
    """Return one lost requirement as JSON values."""
    ref = lost.instance
    egress = {"need": lost.need, "destination": lost.destination} if lost.direction == "egress" else {}
    return {
        "direction": lost.direction,
        **egress,
        "instance": {"kind": ref.kind, "namespace": ref.namespace, "name": ref.name},
        "component": lost.component.value,
        "protocol": lost.protocol.value,
        "port": lost.port,
        "pods": pods_json(lost.pods),
        "counterexample": _counterexample(lost.counterexample),
        "policies": list(lost.policies),
        "decided": lost.decided,
        "remedy": lost.remedy,
    }


def pods_json(pods: PodsSeen) -> dict[str, Any]:
    """Return pods as JSON values."""
    return {"labels": dict(pods.labels), "names": list(pods.names), "assumed": pods.assumed}


def _counterexample(example: PodExample | AddressWitness | None) -> dict[str, Any] | None:
    if example is None:
        return None
    if isinstance(example, AddressWitness):
        return {"cidr": example.cidr}
    found: dict[str, Any] = {"namespace": example.namespace, "labels": dict(example.labels)}
    if example.namespace_labels:
        found["namespaceLabels"] = dict(example.namespace_labels)
    if example.pod:
        found["pod"] = example.pod
    return found


def time_text(seconds: float) -> str:
    """Return a time as the API writes it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
