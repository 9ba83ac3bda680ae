"""What a decision says, with its evidence, and the same as the JSON that pipelines read."""

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
    The pods that a requirement is about.

    Args:
        labels: the labels that they have in common.
        names: the live ones.
        assumed: neither a pod nor a template was seen.
    """

    labels: Mapping[str, str]
    names: tuple[str, ...]
    assumed: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Lost:
    """
    One requirement that a change takes away.

    Args:
        counterexample: who is cut off; None where no example could be had.
        policies: `namespace/name` of the policies that isolate the pods afterwards, the changed one first.
        decided: False where it only counts under --strict; `why_undecided` then says what is not known.
        remedy: a NetworkPolicy that, applied as well, makes the change acceptable; None where none was found.
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
    """The object that a change is about; a name may be missing for generateName."""

    kind: str
    namespace: str
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """
    What was decided about one change.

    Args:
        lost: everything that is or may be lost, the worst first.
        faults: what is wrong with the object itself.
        exempt: why nothing was judged, or None.
        message: the sentence that kubectl prints; empty where the change is allowed.
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
    """Give a verdict as JSON values, in the documented form."""
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
