"""
Merge a manifest into a live object as `kubectl apply --server-side` and the API server do.

What kubectl applied before and the manifest no longer has is removed, unless another manager owns it too; what another
manager owns with another value is a conflict. All of this is known from `metadata.managedFields`: without them, as
`kubectl get` prints objects, nothing is removed and nothing conflicts. Defaults that the API server owns alone, and
managers that it renames, are not known.

Source: sigs.k8s.io/structured-merge-diff; the list types are those of k8s.io/api, which its comments declare.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

Fields = Mapping[str, Any]
"""Owned fields in the form of FieldsV1: `f:NAME`, `k:{KEYS}` and `v:VALUE` lead to the fields below."""

_KUBECTL: Final = frozenset({("kubectl", "Apply"), ("kubectl-client-side-apply", "Update")})
"""The managers and operations of kubectl apply; the API server moves the fields of the second to the first."""

_LIST_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "ephemeralContainers": ("name",),
    "volumes": ("name",),
    "imagePullSecrets": ("name",),
    "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "env": ("name",),
    "ports": ("containerPort", "protocol"),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "ownerReferences": ("uid",),
}
_KEY_DEFAULTS: Final = {"protocol": "TCP"}
_ATOMIC: Final = frozenset({"podSelector", "namespaceSelector", "selector", "labelSelector", "nodeSelector"})
"""Mappings that are replaced as a whole."""

_IDENTITY: Final = frozenset({"apiVersion", "kind"})


def server_side_merge(manifest: Mapping[str, Any], live: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return the live object after the manifest was applied, and the fields in conflict, each with its owner."""
    ours, theirs = _managers(live)
    conflicts = [
        f"{path} is owned by {manager}" for manager, fields in theirs for path in _conflicts(fields, manifest, live, "")
    ]
    left = _without(ours, [fields for _, fields in theirs], manifest, live)
    return _merged(manifest, left), conflicts


def _managers(live: Mapping[str, Any]) -> tuple[list[Fields], list[tuple[str, Fields]]]:
    """Return the fields that kubectl apply owns, and those of each other manager."""
    ours: list[Fields] = []
    theirs: list[tuple[str, Fields]] = []
    metadata = live.get("metadata")
    entries = metadata.get("managedFields") if isinstance(metadata, Mapping) else None
    for entry in entries if isinstance(entries, list) else ():
        fields = entry.get("fieldsV1") if isinstance(entry, Mapping) else None
        if not isinstance(fields, Mapping) or entry.get("subresource"):
            continue
        manager, operation = str(entry.get("manager")), str(entry.get("operation"))
        if (manager, operation) in _KUBECTL:
            ours.append(fields)
        else:
            theirs.append((manager, fields))
    return ours, theirs


def _merged(new: Any, live: Any, name: str = "") -> Any:
    if isinstance(new, Mapping) and isinstance(live, Mapping) and name not in _ATOMIC:
        return {**live, **{key: _merged(value, live.get(key), key) for key, value in new.items()}}
    if isinstance(new, list) and isinstance(live, list) and name in _LIST_KEYS and _are_mappings((*new, *live)):
        known, wanted = ({_key_of(name, item): item for item in items} for items in (live, new))
        kept = {key: _merged(wanted[key], item) if key in wanted else item for key, item in known.items()}
        return [*kept.values(), *(item for key, item in wanted.items() if key not in known)]
    return new


def _without(ours: Sequence[Fields], theirs: Sequence[Fields], new: Any, live: Any, name: str = "") -> Any:
    """Return the live value without what only kubectl apply owns and the manifest does not have."""
    if isinstance(live, Mapping) and name not in _ATOMIC:
        result = {}
        for key, value in live.items():
            has = isinstance(new, Mapping) and key in new
            own, others = _below(ours, f"f:{key}"), _below(theirs, f"f:{key}")
            if own and not has and not others and key not in _IDENTITY:
                continue
            result[key] = _without(own, others, new[key] if has else None, value, key) if own else value
        return result
    if isinstance(live, list) and name in _LIST_KEYS and _are_mappings(live):
        wanted = (
            {_key_of(name, item): item for item in new if isinstance(item, Mapping)} if isinstance(new, list) else {}
        )
        kept = []
        for item in live:
            key = _key_of(name, item)
            own, others = _of_item(ours, name, key), _of_item(theirs, name, key)
            if key in wanted or not own or others:
                kept.append(_without(own, others, wanted.get(key), item) if own else item)
        return kept
    return live


def _conflicts(theirs: Fields, new: Any, live: Any, path: str, name: str = "") -> Iterator[str]:
    """Yield the fields that another manager owns and the manifest sets to another value."""
    if isinstance(new, Mapping) and isinstance(live, Mapping) and name not in _ATOMIC:
        for key, value in new.items():
            below = theirs.get(f"f:{key}")
            if isinstance(below, Mapping) and key not in _IDENTITY:
                yield from _conflicts(below, value, live.get(key), f"{path}.{key}".lstrip("."), key)
    elif isinstance(new, list) and isinstance(live, list) and name in _LIST_KEYS and _are_mappings((*new, *live)):
        known = {_key_of(name, item): item for item in live}
        for item in new:
            key = _key_of(name, item)
            for below in _of_item([theirs], name, key):
                yield from _conflicts(below, item, known.get(key), f"{path}[{', '.join(key)}]")
    elif new != live:
        yield path


def _below(fields: Sequence[Fields], step: str) -> list[Fields]:
    return [below for known in fields if isinstance(below := known.get(step), Mapping)]


def _of_item(fields: Sequence[Fields], name: str, key: tuple[str, ...]) -> list[Fields]:
    """Return the fields of one item of a list that is merged by keys."""
    return [
        below
        for known in fields
        for step, below in known.items()
        if step.startswith("k:") and isinstance(below, Mapping) and _key_of(name, json.loads(step[2:])) == key
    ]


def _key_of(name: str, item: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(item.get(key, _KEY_DEFAULTS.get(key, ""))) for key in _LIST_KEYS[name])


def _are_mappings(items: Sequence[Any]) -> bool:
    return all(isinstance(item, Mapping) for item in items)
