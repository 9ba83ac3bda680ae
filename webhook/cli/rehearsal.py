"""A cluster in which changes are tried, one after another."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from webhook.admission import (
    AdmissionRequest,
    AdmissionResponse,
    GroupVersionKind,
    GroupVersionResource,
    Options,
    Verdict,
    decide,
    validate,
)
from webhook.admission.verdict import ResourceName
from webhook.cli.state import ReadObject
from webhook.eem import WATCHED, EemSnapshot, ResourceType
from webhook.eem.eem_snapshot import name_of

JUDGES: Final[Mapping[str, Callable[[AdmissionRequest, EemSnapshot, Options], AdmissionResponse]]] = {
    "NetworkPolicy": decide,
    "EventEndpointManagement": validate,
    "EventGateway": validate,
}
"""The judge of each kind that the API server sends for review."""

_SHORT: Final = {
    "NetworkPolicy": ("netpol",),
    "EventEndpointManagement": ("eem",),
    "EventGateway": ("egw",),
    "Namespace": ("ns",),
    "Pod": ("po",),
    "Deployment": ("deploy",),
    "StatefulSet": ("sts",),
    "ReplicaSet": ("rs",),
    "DaemonSet": ("ds",),
    "CronJob": ("cj",),
    "StorageClass": ("sc",),
}

Identity = tuple[str, str, str]
"""Kind, namespace and name of an object."""


def resource_named(spelling: str) -> ResourceType | None:
    """
    Return the resource that kubectl finds by a name: kind, plural or short name, with or without version and group.

    `netpol`, `NetworkPolicy`, `networkpolicies.networking.k8s.io` and `networkpolicies.v1.networking.k8s.io` are one.
    """
    name, _, group = spelling.lower().partition(".")
    for resource in WATCHED:
        if name in {resource.kind.lower(), resource.plural, *_SHORT.get(resource.kind, ())} and group in {
            "",
            resource.group,
            f"{resource.version}.{resource.group}",
        }:
            return resource
    return None


class Rehearsal:
    """
    A cluster in which changes are tried.

    Args:
        objects: the cluster before the changes.
        options: how decisions are made.
    """

    def __init__(self, objects: Sequence[ReadObject], options: Options) -> None:
        self._options = replace(options, offline=True)
        self._snapshot = EemSnapshot.from_read(objects)
        self._objects = {_identity(api_object): api_object for api_object, _ in objects}

    @property
    def has_eem(self) -> bool:
        """Whether the cluster has an EEM instance or operator."""
        return bool(self._snapshot.eem)

    def find(self, kind: str, namespace: str, name: str) -> Mapping[str, Any] | None:
        """Return one object as it is now; None if it does not exist."""
        return self._objects.get((kind, namespace, name))

    def judge(self, new: Mapping[str, Any] | None, gone: Mapping[str, Any] | None = None) -> Verdict:
        """Judge one change, and apply it if it is allowed: create or replace *new*, or delete *gone*."""
        changed = new if new is not None else gone or {}
        kind, namespace, name = _identity(changed)
        old = self._objects.get((kind, namespace, name))
        operation = "DELETE" if new is None else "CREATE" if old is None else "UPDATE"
        verdict = self._verdict(operation, new, old, ResourceName(kind=kind, namespace=namespace, name=name))
        if verdict.allowed and new is not None:
            self._snapshot = self._snapshot.with_object(new)
            self._objects[kind, namespace, name] = new
        elif verdict.allowed:
            self._snapshot = self._snapshot.without_object(kind, namespace, name)
            del self._objects[kind, namespace, name]
        return verdict

    def _verdict(
        self, operation: str, new: Mapping[str, Any] | None, old: Mapping[str, Any] | None, resource: ResourceName
    ) -> Verdict:
        """Return the verdict that the API server would get; objects of kinds that it does not send are allowed."""
        judge = JUDGES.get(resource.kind)
        if judge is None:
            return Verdict(allowed=True, operation=operation, resource=resource)
        served = next(known for known in WATCHED if known.kind == resource.kind)
        asked = AdmissionRequest(
            uid=f"check-{resource.namespace}-{resource.name}",
            operation=operation,
            kind=GroupVersionKind(group=served.group, version=served.version, kind=served.kind),
            resource=GroupVersionResource(group=served.group, version=served.version, resource=served.plural),
            namespace=resource.namespace,
            name=resource.name,
            object=new,
            old_object=old,
        )
        response = judge(asked, self._snapshot, self._options)
        return response.verdict or Verdict(allowed=response.allowed, operation=operation, resource=resource)


def _identity(api_object: Mapping[str, Any]) -> Identity:
    return (str(api_object.get("kind", "")), *name_of(api_object))
