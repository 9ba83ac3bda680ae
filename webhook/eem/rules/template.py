"""Rules for `template`: labels, annotations and the pod that the operator's own is merged with."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import isfinite

from webhook.eem.rules.model import EEM, KINDS, Fault, Reason, Rule, Subject
from webhook.eem.rules.nodes import Tree, entries, mapping, text
from webhook.eem.rules.paths import Path, shown
from webhook.eem.rules.quantity import quantity

_REFERENCE = "EEM 11.8 references, template"
_CONTAINERS = {True: "manager", False: "egw"}
_SELECTED = (
    "app.kubernetes.io/instance",
    "app.kubernetes.io/name",
    "app.kubernetes.io/component",
    "events.ibm.com/component",
)


def _template(subject: Subject) -> tuple[Path, Tree]:
    parent = ("manager",) if subject.kind == EEM else ()
    return ("spec", *parent, "template"), mapping(subject.spec, *parent, "template")


def _containers(subject: Subject) -> Iterator[tuple[Path, Tree]]:
    path, template = _template(subject)
    for position, container in entries(template, "pod", "spec", "containers"):
        yield (*path, "pod", "spec", "containers", position), container


def _other_container(subject: Subject) -> Sequence[Fault]:
    expected = _CONTAINERS[subject.kind == EEM]
    return [
        Fault(
            path=(*path, "name"), message=f'"{shown(name)}" is not the product\'s: settings for {expected} do not count'
        )
        for path, container in _containers(subject)
        if (name := text(container, "name")) != expected
    ]


def _own_labels(subject: Subject) -> Sequence[Fault]:
    path, template = _template(subject)
    labels = mapping(template, "labels")
    message = "is set by the operator: another value may take the pods away from Services and NetworkPolicies"
    return [Fault(path=(*path, "labels", key), message=message) for key in _SELECTED if key in labels]


def _resources(subject: Subject) -> Iterator[tuple[Path, object]]:
    """Yield path and amount of every request and limit."""
    for path, container in _containers(subject):
        for part in ("requests", "limits"):
            for resource, amount in mapping(container, "resources", part).items():
                yield (*path, "resources", part, str(resource)), amount


def _not_a_quantity(subject: Subject) -> Sequence[Fault]:
    return [
        Fault(path=path, message="is not a Kubernetes quantity: expected one such as 500m or 2Gi")
        for path, amount in _resources(subject)
        if amount is not None and _amount(amount) is None
    ]


def _amount(value: object) -> Fraction | None:
    """Return the exact amount that a text or a number stands for."""
    if isinstance(value, str):
        return quantity(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not isfinite(value):
        return None
    return Fraction(value)


def _request_above_limit(subject: Subject) -> Sequence[Fault]:
    found = []
    for path, container in _containers(subject):
        resources = mapping(container, "resources")
        limits = mapping(resources, "limits")
        for resource, request in mapping(resources, "requests").items():
            wanted, allowed = _amount(request), _amount(limits.get(resource))
            if wanted is not None and allowed is not None and wanted > allowed:
                where = (*path, "resources", "requests", str(resource))
                found.append(Fault(path=where, message="is above the limit: expected the limit or less"))
    return found


RULES: tuple[Rule, ...] = (
    Rule(
        id="template.other-container",
        severity="warn",
        kinds=KINDS,
        field="spec.manager.template.pod.spec.containers[].name, spec.template.pod.spec.containers[].name",
        message="The template's container should be the product's: manager or egw.",
        reason=Reason.INVALID,
        source=_REFERENCE,
        check=_other_container,
    ),
    Rule(
        id="template.own-labels",
        severity="warn",
        kinds=KINDS,
        field="spec.manager.template.labels, spec.template.labels",
        message="Labels that the operator sets should be left to it.",
        reason=Reason.FORBIDDEN,
        source=_REFERENCE,
        check=_own_labels,
    ),
    Rule(
        id="template.not-a-quantity",
        severity="deny",
        kinds=KINDS,
        field="spec.manager.template.pod.spec.containers[].resources, spec.template.pod.spec.containers[].resources",
        message="Requests and limits must be Kubernetes quantities.",
        reason=Reason.INVALID,
        source="k8s.io/apimachinery, type Quantity",
        check=_not_a_quantity,
    ),
    Rule(
        id="template.request-above-limit",
        severity="deny",
        kinds=KINDS,
        field="spec.manager.template.pod.spec.containers[].resources, spec.template.pod.spec.containers[].resources",
        message="A request must not be above its limit.",
        reason=Reason.INVALID,
        source="Kubernetes, ResourceRequirements",
        check=_request_above_limit,
    ),
)
