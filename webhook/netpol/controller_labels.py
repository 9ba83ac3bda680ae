"""
The labels that controllers add to the pods of a workload.

Where a value follows from the workload, it is known; else the label is there with an unknown value. The value of a
controller replaces what the template says.

Source: k8s.io/kubernetes pkg/controller/statefulset/stateful_set_utils.go (newStatefulSetPod, updateIdentity),
pkg/controller/deployment/sync.go (getNewReplicaSet), pkg/controller/daemon/util/daemonset_util.go (CreatePodTemplate),
pkg/registry/batch/job/strategy.go (generateSelector), pkg/controller/job/indexed_job_utils.go.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from webhook.netpol.model import Labels, Pod, Workload
from webhook.netpol.selectors import UNKNOWN

POD_NAME: Final = "statefulset.kubernetes.io/pod-name"
POD_INDEX: Final = "apps.kubernetes.io/pod-index"
REVISION: Final = "controller-revision-hash"
TEMPLATE_HASH: Final = "pod-template-hash"
GENERATION: Final = "pod-template-generation"
_GENERATION_ANNOTATION: Final = "deprecated.daemonset.template.generation"
_JOB_PREFIX: Final = "batch.kubernetes.io/"
_COMPLETION_INDEX: Final = "batch.kubernetes.io/job-completion-index"

VOLATILE_LABELS: Final = frozenset({POD_NAME, POD_INDEX, REVISION, TEMPLATE_HASH, GENERATION})
"""Labels to which controllers give another value on each pod or rollout: a policy should not select by them."""

MOST_ORDINALS: Final = 16
"""Pods of a StatefulSet that are looked at one by one: a user chooses their number."""


def labels_of_pods(api_object: Mapping[str, Any], kind: str, template: Labels) -> Labels:
    """Return the labels of the pods of a workload, of whose template the labels are known."""
    match kind:
        case "StatefulSet":
            return {**template, POD_NAME: UNKNOWN, POD_INDEX: UNKNOWN, REVISION: UNKNOWN}
        case "Deployment":
            return {**template, TEMPLATE_HASH: UNKNOWN}
        case "DaemonSet":
            generation = _at(api_object, "metadata", "annotations", _GENERATION_ANNOTATION)
            value = generation if isinstance(generation, str) else UNKNOWN
            return {**template, REVISION: UNKNOWN, GENERATION: value}
        case "Job":
            name, uid = _at(api_object, "metadata", "name"), _at(api_object, "metadata", "uid")
            spec = _at(api_object, "spec")
            return {**_job_labels(spec, str(name or UNKNOWN), str(uid or UNKNOWN)), **template, **_index(spec)}
        case "CronJob":
            spec = _at(api_object, "spec", "jobTemplate", "spec")
            return {**template, **_job_labels(spec, UNKNOWN, UNKNOWN), **_index(spec)}
        case _:
            return template


def ordinals_of(api_object: Mapping[str, Any]) -> range:
    """
    Return the numbers of the pods of a StatefulSet; the first one stands for the pods to come where there are none.

    Source: StatefulSetSpec.replicas (default 1) and .ordinals.start (default 0).
    """
    replicas, start = _at(api_object, "spec", "replicas"), _at(api_object, "spec", "ordinals", "start")
    first = start if isinstance(start, int) else 0
    return range(first, first + max(replicas if isinstance(replicas, int) else 1, 1))


def pods_of(workload: Workload) -> tuple[Pod, ...]:
    """Return the pods that a workload makes, as far as they differ; beyond MOST_ORDINALS, one stands for the others."""
    return tuple(_pods(workload))


def stateful_labels(name: str, ordinal: int) -> Labels:
    """Return the labels that tell the pods of a StatefulSet apart."""
    return {POD_NAME: f"{name}-{ordinal}", POD_INDEX: str(ordinal), REVISION: UNKNOWN}


def _pods(workload: Workload) -> Iterator[Pod]:
    template = workload.template
    for ordinal in workload.ordinals[:MOST_ORDINALS]:
        yield replace(template, labels={**template.labels, **stateful_labels(workload.name, ordinal)})
    if len(workload.ordinals) > MOST_ORDINALS or not workload.ordinals:
        yield template


def _job_labels(spec: object, name: str, uid: str) -> Labels:
    if _at(spec, "manualSelector") is True:
        return {}
    return {
        key: value
        for prefix in ("", _JOB_PREFIX)
        for key, value in ((f"{prefix}job-name", name), (f"{prefix}controller-uid", uid))
    }


def _index(spec: object) -> Labels:
    return {_COMPLETION_INDEX: UNKNOWN} if _at(spec, "completionMode") == "Indexed" else {}


def _at(value: object, *path: str) -> object:
    """Return the field at *path*; None where there is none."""
    for key in path:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value
