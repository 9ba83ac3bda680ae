"""Valid instances, ways to change one field of them, and what the rules know beside them."""

import copy
from collections.abc import Iterable
from typing import Any

from webhook.eem.rules import Neighbourhood, RuleContext, Violation
from webhook.netpol.reading import field_text, text_at

Instance = dict[str, Any]
Steps = tuple[str | int, ...]
REMOVED = object()


def licence(**changes: object) -> Instance:
    return {
        "accept": True,
        "license": "L-CYBH-K48BZQ",
        "metric": "VIRTUAL_PROCESSOR_CORE",
        "use": "EventAutomationNonProduction",
        **changes,
    }


def manager(name: str = "portal", namespace: str = "events", **fields: Any) -> Instance:
    """Return the smallest EventEndpointManagement that starts; *fields* are those of `spec.manager`."""
    return {
        "apiVersion": "events.ibm.com/v1beta1",
        "kind": "EventEndpointManagement",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "license": licence(),
            "manager": {"authConfig": {"authType": "LOCAL"}, "storage": {"type": "ephemeral"}, **fields},
        },
    }


def gateway(name: str = "edge", namespace: str = "events", **fields: Any) -> Instance:
    """Return the smallest EventGateway of 11.8 that starts; *fields* are those of `spec`."""
    return {
        "apiVersion": "events.ibm.com/v1beta1",
        "kind": "EventGateway",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "license": licence(),
            "gatewayGroupName": "shops",
            "gatewayID": name,
            "manager": {"endpoint": "https://eem.portal.example.com/gateway"},
            **fields,
        },
    }


def steps_of(path: str) -> Steps:
    """Split `spec.listeners[0].port`."""
    parts = path.replace("[", ".[").split(".")
    return tuple(int(part[1:-1]) if part.startswith("[") else part for part in parts)


def with_value(instance: Instance, path: str | Steps, value: object) -> Instance:
    """Return a copy with another value at the path, or without it."""
    changed = copy.deepcopy(instance)
    *parents, last = steps_of(path) if isinstance(path, str) else path
    node: Any = changed
    for step in parents:
        node = node.setdefault(step, {}) if isinstance(node, dict) else node[step]
    if value is REMOVED:
        del node[last]
    else:
        node[last] = value
    return changed


def context_of(objects: Iterable[Instance], **fields: Any) -> RuleContext:
    """Return a context that knows the instances, Namespaces and StorageClasses among API objects of any kind."""
    known = tuple(objects)
    classes = tuple(entry for entry in known if entry.get("kind") == "StorageClass")
    return RuleContext(
        neighbours=Neighbourhood.from_objects(known),
        namespaces={text_at(entry, "metadata", "name"): entry for entry in known if entry.get("kind") == "Namespace"},
        storage_classes=classes or None,
        **fields,
    )


def denials(violations: tuple[Violation, ...]) -> list[tuple[str, str]]:
    return [(found.rule.id, field_text(found.path)) for found in violations if found.severity == "deny"]


def warnings(violations: tuple[Violation, ...]) -> list[tuple[str, str]]:
    return [(found.rule.id, field_text(found.path)) for found in violations if found.severity == "warn"]
