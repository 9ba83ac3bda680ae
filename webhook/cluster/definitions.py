"""
Follow the CustomResourceDefinition of a kind: whether it is installed, for which operator, and in which version.

EEM may be installed after the service, be removed, or be served in another version than the one that this release
knows. A path that the API server does not find can mean any of these; the CustomResourceDefinition tells which.

Helm and the Operator Lifecycle Manager note on the definition the namespace of the operator for which they installed
it. Only administrators can change definitions, so this tells who the operator is.

Source: apiextensions.k8s.io/v1 CustomResourceDefinition; Kubernetes documentation, "Versions in
CustomResourceDefinitions", "Version priority"; Helm documentation, "Chart Tips and Tricks"; Operator Lifecycle Manager,
the labels of the components of an Operator.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from webhook.cluster.observed import Observed
from webhook.eem import ResourceType

_log: Final = logging.getLogger(__name__)

DEFINITIONS: Final = ResourceType(
    group="apiextensions.k8s.io",
    version="v1",
    plural="customresourcedefinitions",
    kind="CustomResourceDefinition",
    namespaced=False,
)
_VERSION: Final = re.compile(r"v([1-9][0-9]*)(?:(alpha|beta)([1-9][0-9]*))?")
_HELM_NAMESPACE: Final = "meta.helm.sh/release-namespace"
_OLM_PREFIX: Final = "operators.coreos.com/"
_STAGES: Final = {"alpha": 1, "beta": 2, None: 3}


@dataclass(frozen=True, kw_only=True, slots=True)
class Installation:
    """
    How a kind is installed.

    Args:
        uid: of its CustomResourceDefinition; empty if there is none.
        served: the kind in the version to read; None if the API server serves none.
        operator_namespaces: the namespaces of the operators for which it was installed, as its installer noted them.
    """

    uid: str = ""
    served: ResourceType | None = None
    operator_namespaces: frozenset[str] = frozenset()

    @property
    def is_installed(self) -> bool:
        """Whether there is a CustomResourceDefinition."""
        return bool(self.uid)


def definition_name(resource: ResourceType) -> str:
    """Return the name of the CustomResourceDefinition of a kind."""
    return f"{resource.plural}.{resource.group}"


def without_schemas(definition: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the small part of a CustomResourceDefinition that tells how a kind is installed and for which operator."""
    metadata = definition.get("metadata") or {}
    versions = (definition.get("spec") or {}).get("versions") or ()
    served = [{"name": one.get("name"), "served": one.get("served")} for one in versions]
    kept = {
        "uid": metadata.get("uid"),
        "annotations": {_HELM_NAMESPACE: (metadata.get("annotations") or {}).get(_HELM_NAMESPACE)},
        "labels": {name: "" for name in metadata.get("labels") or () if name.startswith(_OLM_PREFIX)},
    }
    return {"metadata": kept, "spec": {"versions": served}}


def installation_of(definition: Mapping[str, Any] | None, resource: ResourceType) -> Installation:
    """
    Return how a kind is installed.

    If the version of *resource* is served, it is read in that version, else in the one that the API server prefers.

    Args:
        definition: the CustomResourceDefinition; None if there is none.
    """
    if definition is None:
        return Installation()
    versions = (definition.get("spec") or {}).get("versions") or ()
    names = [str(one.get("name")) for one in versions if one.get("served") is True]
    served: ResourceType | None = None
    if resource.version in names:
        served = resource
    elif names:
        served = replace(resource, version=max(names, key=_priority))
    metadata = definition.get("metadata") or {}
    return Installation(
        uid=metadata.get("uid") or "unknown", served=served, operator_namespaces=_operator_namespaces(metadata)
    )


def _operator_namespaces(metadata: Mapping[str, Any]) -> frozenset[str]:
    """Return the namespaces in Helm's annotation and in the labels of the Operator Lifecycle Manager."""
    found = {(metadata.get("annotations") or {}).get(_HELM_NAMESPACE)}
    for label in metadata.get("labels") or ():
        if label.startswith(_OLM_PREFIX):
            package, _, namespace = label.removeprefix(_OLM_PREFIX).rpartition(".")
            found.add(namespace if package else None)
    return frozenset(name for name in found if name)


def _priority(version: str) -> tuple[int, int, int, str]:
    """Return the rank of a version: stable ones before beta and alpha ones, then higher numbers, then other names."""
    found = _VERSION.fullmatch(version)
    if found is None:
        return 0, 0, 0, version
    major, stage, minor = found.groups()
    return _STAGES[stage], int(major), int(minor or 0), ""


class Definition:
    """
    The CustomResourceDefinition of one kind, as it is observed.

    Args:
        observed: the definition, which a reflector of its own fills; None for a kind that is always installed, or one
            whose definition cannot be observed.
    """

    def __init__(self, resource: ResourceType, observed: Observed | None = None) -> None:
        self.is_observed = observed is not None
        self.installation: Installation | None = None
        self.served = resource
        self.changed = asyncio.Event()
        self._resource = resource
        self._observed = observed
        self._last: Installation | None = None
        self._listeners: list[Callable[[bool], None]] = []
        if observed is not None:
            observed.subscribe(self._look)

    @property
    def is_absent(self) -> bool:
        """Whether the kind must not be asked for, since the API server is known not to serve it."""
        return False

    @property
    def name(self) -> str:
        """Return the name of the CustomResourceDefinition."""
        return definition_name(self._resource)

    @property
    def note(self) -> str:
        """Return what operators should know about the version of the kind; empty for nothing."""
        if self.installation is None or not self.installation.is_installed:
            return ""
        if self.installation.served is None:
            return f"no version of {self.name} is served, so the objects stay as they were known"
        if self.served == self._resource:
            return ""
        own = self._resource.api_version
        return f"read as {self.served.api_version}, since {own} is not served; this release does not know its fields"

    def subscribe(self, listener: Callable[[bool], None]) -> None:
        """
        Call *listener* when it becomes known how the kind is installed, and when that changes.

        Its argument is whether the kind was installed anew, so that objects may exist that no watch has shown.
        """
        self._listeners.append(listener)

    def _look(self) -> None:
        observed = self._observed
        if observed is None or not observed.synced:
            self.installation = None
            return
        self._take(installation_of(observed.current, self._resource))

    def _take(self, found: Installation) -> None:
        before = self._last
        self.installation = found
        if found == before:
            return
        self._last = found
        if found.served is not None:
            self.served = found.served
        if self.note:
            _log.warning("%s: %s", self._resource.plural, self.note)
        is_new = found.is_installed and before is not None and found.uid != before.uid
        for listener in self._listeners:
            listener(is_new)
        self.changed.set()
