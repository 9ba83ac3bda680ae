"""
Subjects: the distinct sets of labels and named ports among the pods of one component.

A NetworkPolicy cannot tell two pods of one namespace apart that have the same labels and named ports, so one question
is asked about all of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from webhook.eem.claims import Claim, documented_name
from webhook.eem.instances import INSTANCE_LABEL, NAME_LABEL, PRODUCT, Component, Instance, InstanceRef
from webhook.netpol.controller_labels import TEMPLATE_HASH, stateful_labels
from webhook.netpol.model import ContainerPort, Labels, Pod
from webhook.netpol.selectors import UNKNOWN, readings


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """
    A distinct label set, with its named ports, among the pods of one component.

    Args:
        pod: one of the pods, which stands for all of them.
        names: the live pods that have these labels; empty where only a template is known.
        assumed: whether neither a pod nor a template is known: these are the documented labels.
    """

    component: Component
    instance: InstanceRef
    pod: Pod
    names: tuple[str, ...] = ()
    assumed: bool = False

    def readings(self) -> tuple[Subject, ...]:
        """Return the subject in each reading of its labels with unknown values: one where all values are known."""
        known = readings(self.pod.labels)
        return (self, *(replace(self, pod=replace(self.pod, labels=labels)) for labels in known[1:]))

    @property
    def identity(self) -> tuple[frozenset[tuple[str, str]], frozenset[ContainerPort]]:
        """Return what makes it distinct: the labels and the named ports."""
        return frozenset(self.pod.labels.items()), frozenset(self.pod.ports)


COMPONENT_OF_INSTANCE: Final = "eem.ei.ibm.com/component"
"""
The label by which the product's network policy page selects the pods of an instance.

No pod in public was seen with it, so only pods of which nothing is known are assumed to have it.
"""


def assumed_pod(instance: Instance) -> Pod:
    """
    Return the pod that the documentation promises, for an instance of which no pod and no workload is known yet.

    Source: the product's documentation: the manager is a StatefulSet of one pod, a gateway is a Deployment.
    """
    workload = documented_name(instance.component, instance.name)
    is_manager = instance.component is Component.MANAGER
    added = stateful_labels(workload, 0) if is_manager else {TEMPLATE_HASH: UNKNOWN}
    documented = {NAME_LABEL: PRODUCT, INSTANCE_LABEL: instance.name, COMPONENT_OF_INSTANCE: instance.name}
    labels: Labels = {**instance.template_labels, **documented, **added}
    return Pod(namespace=instance.namespace, name=instance.name, labels=labels)


def group(claimed: Iterable[tuple[Claim, Pod]]) -> tuple[Subject, ...]:
    """Return the subjects of pods and templates: one for each component, instance, label set and set of named ports."""
    folded: dict[tuple[Claim, frozenset[tuple[str, str]], frozenset[object]], list[Pod]] = {}
    for claim, pod in claimed:
        if not pod.host_network and not pod.finished:
            folded.setdefault((claim, frozenset(pod.labels.items()), frozenset(pod.ports)), []).append(pod)
    subjects = [
        Subject(
            component=claim[0],
            instance=claim[1],
            pod=min(pods, key=lambda pod: (pod.template_of, pod.name)),
            names=tuple(sorted(pod.name for pod in pods if not pod.template_of)),
        )
        for (claim, _, _), pods in folded.items()
    ]
    return tuple(sorted(subjects, key=_order))


def _order(subject: Subject) -> tuple[InstanceRef, bool, tuple[str, ...], list[tuple[str, str]], str]:
    """Return the sort key by which every replica names the same subject first: live pods before templates."""
    return subject.instance, not subject.names, subject.names, sorted(subject.pod.labels.items()), subject.pod.name
