"""Instances that are well, and ways to change one field of them."""

import copy
from typing import Any

from webhook.eem.rules import Finding

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


def denials(findings: tuple[Finding, ...]) -> list[tuple[str, str]]:
    return [(finding.rule, finding.field) for finding in findings if finding.severity == "deny"]


def warnings(findings: tuple[Finding, ...]) -> list[tuple[str, str]]:
    return [(finding.rule, finding.field) for finding in findings if finding.severity == "warn"]
