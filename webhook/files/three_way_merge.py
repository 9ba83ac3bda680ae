"""
Merge a manifest into a live object as `kubectl apply` and the API server do together.

What the last applied manifest had and the new one has not is deleted, what the new one has is set, and everything else
of the live object stays. The merge of the kinds of Kubernetes is strategic: lists with a merge key are merged by it.
The merge of custom resources is a JSON merge: every list is replaced.

Source: k8s.io/apimachinery pkg/util/strategicpatch/patch.go (CreateThreeWayMergePatch, mergeMap, mergeSortedSlice) and
pkg/util/jsonmergepatch/patch.go; the merge keys are the patchMergeKey of k8s.io/api core/v1, apps/v1, meta/v1.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

Node = Mapping[str, Any]

MERGE_KEYS: Final[Mapping[str, str]] = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "volumes": "name",
    "imagePullSecrets": "name",
    "schedulingGates": "name",
    "resourceClaims": "name",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
    "env": "name",
    "volumeMounts": "mountPath",
    "volumeDevices": "devicePath",
    "conditions": "type",
    "ownerReferences": "uid",
}
"""The merge keys of lists by the name of the list, which in the kinds that verdicts depend on always means the same."""

CONTAINER_LISTS: Final = frozenset({"containers", "initContainers", "ephemeralContainers"})
PORTS, PORT_KEY = "ports", "containerPort"
FINALIZERS: Final = "finalizers"
"""A list of texts that are merged, in metadata; in the spec of a namespace it is replaced."""

RETAINED: Final = frozenset({"strategy", "volumes", "resourceClaims"})
"""Maps, and lists of maps, of which only the keys of the manifest stay: patchStrategy retainKeys."""


def strategic_merge(last: object, new: Node, live: Node, path: tuple[str, ...] = ()) -> dict[str, Any]:
    """
    Return the live object after `kubectl apply`, for a kind of Kubernetes.

    Args:
        last: the manifest that was applied last; anything but a mapping where there is none.
        new: the manifest.
        path: the keys above.
    """
    before = last if isinstance(last, Mapping) else {}
    result = {key: value for key, value in live.items() if key in new or key not in before}
    for key, value in new.items():
        known = live.get(key)
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(known, Mapping):
            result[key] = _retained(key, strategic_merge(before.get(key), value, known, (*path, key)), value)
        elif isinstance(value, list) and isinstance(known, list):
            result[key] = _merged_list(before.get(key), value, known, (*path, key))
        else:
            result[key] = without_nulls(value)
    return result


def json_merge(last: object, new: Node, live: Node) -> dict[str, Any]:
    """Return the live object after `kubectl apply`, for a custom resource; the arguments are those of the other."""
    before = last if isinstance(last, Mapping) else {}
    result = {key: value for key, value in live.items() if key in new or key not in before}
    for key, value in new.items():
        known = live.get(key)
        if value is None:
            # kubectl computes deletions between the two manifests: a null that the last one had as well is none.
            if key not in before or before[key] is not None:
                result.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(known, Mapping):
            result[key] = json_merge(before.get(key), value, known)
        else:
            result[key] = without_nulls(value)
    return result


def without_nulls(value: object) -> object:
    """Return a value without the keys of mappings whose value is null, as the API server stores it."""
    if isinstance(value, Mapping):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    return value


def _retained(key: str, merged: dict[str, Any], new: Node) -> dict[str, Any]:
    if key not in RETAINED or not new:
        return merged
    return {known: value for known, value in merged.items() if known in new}


def _merged_list(last: object, new: list[Any], live: list[Any], path: tuple[str, ...]) -> list[Any]:
    before = last if isinstance(last, list) else []
    name = path[-1]
    if path == ("metadata", FINALIZERS):
        gone = {text for text in before if text not in new}
        only_live = [text for text in live if text not in new and text not in gone]
        return _in_order(new, only_live, [str(text) for text in live], str)
    key = PORT_KEY if name == PORTS and path[-2:-1] and path[-2] in CONTAINER_LISTS else MERGE_KEYS.get(name)
    if key is None or not all(_has(key, item) for items in (before, new, live) for item in items):
        return new
    old, known = ({item[key]: item for item in items} for items in (before, live))
    merged = [
        _retained(name, strategic_merge(old.get(item[key]), item, known[item[key]], path), item)
        if item[key] in known
        else without_nulls(item)
        for item in new
    ]
    wanted = {item[key] for item in new}
    only_live = [item for item in live if item[key] not in wanted and item[key] not in old]
    return _in_order(merged, only_live, list(known), lambda item: item[key])


def _has(key: str, item: object) -> bool:
    return isinstance(item, Mapping) and isinstance(item.get(key), str | int)


def _in_order(new: Sequence[Any], only_live: Sequence[Any], live: Sequence[Any], key_of: Any) -> list[Any]:
    """Return both lists as one: each keeps its order, and among them the live order decides where it knows both."""
    places = {known: index for index, known in enumerate(live)}
    waiting, result = list(only_live), []
    for item in new:
        place = places.get(key_of(item), -1)
        while waiting and places[key_of(waiting[0])] < place:
            result.append(waiting.pop(0))
        result.append(item)
    return [*result, *waiting]
