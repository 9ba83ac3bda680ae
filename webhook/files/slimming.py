"""
Keep of the objects of a state only what commands read: a cluster has tens of thousands of pods.

Of a pod's spec and status, `webhook.netpol` reads the fields below. Other kinds lose only what the API server notes for
itself.
"""

from collections.abc import Mapping
from sys import intern
from typing import Any, Final

_POD_SPEC: Final = ("nodeName", "hostNetwork")
_POD_STATUS: Final = ("phase", "podIP", "podIPs", "hostIP", "hostIPs")
_CONTAINERS: Final = ("containers", "initContainers")
_CONTAINER: Final = ("name", "ports", "restartPolicy")
_METADATA: Final = frozenset({"managedFields", "selfLink"})


def slim(api_object: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a pod of a state with only the fields that are read; any other object as it is."""
    if api_object.get("kind") != "Pod":
        return api_object
    metadata, spec, status = (_mapping(api_object.get(key)) for key in ("metadata", "spec", "status"))
    kept = {key: spec[key] for key in _POD_SPEC if key in spec}
    for key in _CONTAINERS:
        if isinstance(spec.get(key), list):
            kept[key] = [_only(_CONTAINER, container) for container in spec[key]]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {intern(key): _interned(value) for key, value in metadata.items() if key not in _METADATA},
        "spec": kept,
        "status": _only(_POD_STATUS, status),
    }


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _only(keys: tuple[str, ...], value: object) -> dict[str, Any]:
    return {key: _interned(_mapping(value)[key]) for key in keys if key in _mapping(value)}


def _interned(value: Any) -> Any:
    """Return a value whose keys and texts are shared: pods of one workload have the same ones."""
    if isinstance(value, str):
        return intern(value)
    if isinstance(value, dict):
        return {intern(key): _interned(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_interned(inner) for inner in value]
    return value
