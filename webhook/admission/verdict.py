"""The verdict on one change with its evidence, and its JSON form for pipelines."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from webhook.eem.instances import Component, InstanceRef
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
    One requirement that a change takes away.

    Args:
        counterexample: a client that is cut off; None if no example was found.
        policies: `namespace/name` of the policies that isolate the pods after the change, the changed one first.
        decided: False if the loss counts only under --strict; `why_undecided` says what is not known.
        remedy: a NetworkPolicy that makes the change acceptable when it is applied as well; None if none was found.
    """

    instance: InstanceRef
    component: Component
    protocol: Protocol
    port: int
    pods: PodsSeen
    counterexample: PodExample | AddressWitness | None
    policies: tuple[str, ...]
    decided: bool
    why_undecided: str
    remedy: Mapping[str, Any] | None


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
    """

    allowed: bool
    operation: str
    resource: ResourceName
    lost: tuple[Lost, ...] = ()
    faults: tuple[Fault, ...] = ()
    warnings: tuple[str, ...] = ()
    exempt: str | None = None
    message: str = ""


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    """Return a verdict as JSON values, in the documented form."""
    resource = verdict.resource
    return {
        "allowed": verdict.allowed,
        "operation": verdict.operation,
        "resource": {"kind": resource.kind, "namespace": resource.namespace, "name": resource.name},
        "lost": [_lost(lost) for lost in verdict.lost],
        "faults": [
            {"field": fault.field, "reason": fault.reason, "message": fault.message} for fault in verdict.faults
        ],
        "warnings": list(verdict.warnings),
        "exempt": verdict.exempt,
        "message": verdict.message,
    }


def _lost(lost: Lost) -> dict[str, Any]:
    ref = lost.instance
    return {
        "instance": {"kind": ref.kind, "namespace": ref.namespace, "name": ref.name},
        "component": lost.component.value,
        "protocol": lost.protocol.value,
        "port": lost.port,
        "pods": {
            "labels": dict(lost.pods.labels),
            "names": list(lost.pods.names),
            "assumed": lost.pods.assumed,
        },
        "counterexample": _counterexample(lost.counterexample),
        "policies": list(lost.policies),
        "decided": lost.decided,
        "remedy": lost.remedy,
    }


def _counterexample(example: PodExample | AddressWitness | None) -> dict[str, Any] | None:
    if example is None:
        return None
    if isinstance(example, AddressWitness):
        return {"cidr": example.cidr}
    found: dict[str, Any] = {"namespace": example.namespace, "labels": dict(example.labels)}
    if example.namespace_labels:
        found["namespaceLabels"] = dict(example.namespace_labels)
    return found
