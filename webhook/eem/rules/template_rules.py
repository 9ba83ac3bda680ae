"""Rules for `template`: labels, and the pod that the operator merges with its own."""

from collections.abc import Iterator
from fractions import Fraction
from math import isfinite

from webhook.eem.rules.formats import quantity
from webhook.eem.rules.rule import Resource, Violations, rule
from webhook.netpol.reading import Path, Tree, object_at, objects_at, shown, text_at

_REFERENCE = "EEM 11.8 references, template"
_RESOURCES = "spec.manager.template.pod.spec.containers[].resources, spec.template.pod.spec.containers[].resources"
_CONTAINERS = {True: "manager", False: "egw"}
_OPERATORS_LABELS = (
    "app.kubernetes.io/instance",
    "app.kubernetes.io/name",
    "app.kubernetes.io/component",
    "events.ibm.com/component",
)


def _containers(resource: Resource) -> Iterator[tuple[Path, Tree]]:
    path = (*resource.component_path, "template", "pod", "spec", "containers")
    for position, container in objects_at(resource.spec, *path):
        yield ("spec", *path, position), container


@rule(
    "template.other-container",
    "warn",
    field="spec.manager.template.pod.spec.containers[].name, spec.template.pod.spec.containers[].name",
    message="The container in the template should be the product's: manager or egw.",
    source=_REFERENCE,
)
def _other_container(resource: Resource) -> Violations:
    expected = _CONTAINERS[resource.is_manager]
    for path, container in _containers(resource):
        name = text_at(container, "name")
        if name != expected:
            message = f'should be {expected}, not "{shown(name)}"'
            yield (*path, "name"), f"{message}: the settings of another container do not change the product's"


@rule(
    "template.own-labels",
    "warn",
    field="spec.manager.template.labels, spec.template.labels",
    message="The template should not set labels that the operator sets.",
    reason="Forbidden",
    source=_REFERENCE,
)
def _own_labels(resource: Resource) -> Violations:
    path = (*resource.component_path, "template", "labels")
    labels = object_at(resource.spec, *path)
    for key in _OPERATORS_LABELS:
        if key in labels:
            message = "should not be set: the operator sets it, and with another value Services and NetworkPolicies"
            yield ("spec", *path, key), f"{message} may no longer select the pods"


def _amounts(resource: Resource) -> Iterator[tuple[Path, object]]:
    """Return path and amount of every request and limit."""
    for path, container in _containers(resource):
        for part in ("requests", "limits"):
            for name, amount in object_at(container, "resources", part).items():
                yield (*path, "resources", part, str(name)), amount


def _exact(amount: object) -> Fraction | None:
    """Return the exact amount of a string or number; None where it is no quantity."""
    if isinstance(amount, str):
        return quantity(amount)
    if isinstance(amount, bool) or not isinstance(amount, (int, float)):
        return None
    return Fraction(amount) if isinstance(amount, int) or isfinite(amount) else None


@rule(
    "template.not-a-quantity",
    "deny",
    field=_RESOURCES,
    message="Requests and limits must be Kubernetes quantities.",
    source="k8s.io/apimachinery, type Quantity",
    lasting=True,
)
def _not_a_quantity(resource: Resource) -> Violations:
    for path, amount in _amounts(resource):
        if amount is not None and _exact(amount) is None:
            yield path, "must be a Kubernetes quantity such as 500m or 2Gi"


@rule(
    "template.request-above-limit",
    "deny",
    field=_RESOURCES,
    message="A request must not be above its limit.",
    source="Kubernetes, ResourceRequirements",
    lasting=True,
)
def _request_above_limit(resource: Resource) -> Violations:
    for path, container in _containers(resource):
        limits = object_at(container, "resources", "limits")
        for name, request in object_at(container, "resources", "requests").items():
            wanted, allowed = _exact(request), _exact(limits.get(name))
            if wanted is not None and allowed is not None and wanted > allowed:
                yield (*path, "resources", "requests", str(name)), "must not be above the limit of the same resource"
