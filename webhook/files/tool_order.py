"""
The order in which a tool makes the changes of a change set.

- kubectl: `apply -f FOLDER --prune` applies the objects in the order of the files, and then deletes.
- Helm sorts by kind, then by name, and deletes after it has applied everything (helm pkg/releaseutil/kind_sorter.go,
  pkg/kube/client.go).
- Flux applies namespaces first, then classes, then everything else by kind, namespace and name, and then prunes
  (fluxcd/pkg ssa/sort.go, ssa/manager_apply.go).
- Argo CD goes from wave to wave. In a wave it prunes first, and then applies by kind and name. Prunes take the waves in
  the reverse order, and come last with the option `PruneLast=true` (argoproj/gitops-engine pkg/sync/sync_tasks.go,
  sync_context.go).

Only kinds on which verdicts depend are in the lists of kinds; a tool's own list has more.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from webhook.files.change_set import PlacedChange, identity_of

# Kinds that are in no list, such as those of EEM, come last with Helm and Argo CD.
_HELM_KINDS: Final = (
    "Namespace",
    "NetworkPolicy",
    "StorageClass",
    "DaemonSet",
    "Pod",
    "ReplicaSet",
    "Deployment",
    "StatefulSet",
    "Job",
    "CronJob",
)
_FLUX_KINDS: Final = ("Namespace", "StorageClass", "Deployment", "StatefulSet", "CronJob")

SYNC_WAVE: Final = "argocd.argoproj.io/sync-wave"
SYNC_OPTIONS: Final = "argocd.argoproj.io/sync-options"
PRUNE_LAST: Final = "PruneLast=true"

Changes = Sequence[PlacedChange]
Order = Callable[[Changes], list[PlacedChange]]


def _given(changes: Changes) -> list[PlacedChange]:
    """Return the changes in the order of the files, deletions last, which is the order that they have."""
    return list(changes)


def _helm(changes: Changes) -> list[PlacedChange]:
    return sorted(changes, key=lambda change: (change.new is None, *_helm_key(change)))


def _flux(changes: Changes) -> list[PlacedChange]:
    return sorted(changes, key=lambda change: (change.new is None, *_flux_key(change)))


def _argo_cd(changes: Changes) -> list[PlacedChange]:
    waves = sorted({_wave(change) for change in changes if change.new is None})
    reverse = dict(zip(waves, reversed(waves), strict=True))

    def key(change: PlacedChange) -> tuple[Any, ...]:
        if change.new is not None:
            return False, _wave(change), True, *_helm_key(change)
        return _is_pruned_last(change), reverse[_wave(change)], False, *_helm_key(change)

    return sorted(changes, key=key)


ORDERS: Final[Mapping[str, Order]] = {
    "given": _given,
    "kubectl": _given,
    "helm": _helm,
    "flux": _flux,
    "argocd": _argo_cd,
}
"""The order of each tool, by the value of --order."""


def _helm_key(change: PlacedChange) -> tuple[int, str, str]:
    kind, _, name = identity_of(_object(change))
    return _place(kind, _HELM_KINDS), kind, name


def _flux_key(change: PlacedChange) -> tuple[int, str, str, str, str]:
    kind, namespace, name = identity_of(_object(change))
    return _place(kind, _FLUX_KINDS), _group(change), kind, namespace, name


def _place(kind: str, kinds: Sequence[str]) -> int:
    return kinds.index(kind) if kind in kinds else len(kinds)


def _object(change: PlacedChange) -> Mapping[str, Any]:
    return change.new if change.new is not None else change.old or {}


def _group(change: PlacedChange) -> str:
    return str(_object(change)["apiVersion"]).rpartition("/")[0]


def _annotation(change: PlacedChange, key: str) -> str:
    annotations = _object(change)["metadata"].get("annotations") or {}
    return str(annotations.get(key, ""))


def _wave(change: PlacedChange) -> int:
    """Return the wave of an object; a text that is not a number counts as none, as in Argo CD."""
    try:
        return int(_annotation(change, SYNC_WAVE))
    except ValueError:
        return 0


def _is_pruned_last(change: PlacedChange) -> bool:
    return PRUNE_LAST in (option.strip() for option in _annotation(change, SYNC_OPTIONS).split(","))
