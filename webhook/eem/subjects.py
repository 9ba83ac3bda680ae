"""
Subjects: the distinct sets of labels and named ports among the pods of one component.

A NetworkPolicy cannot tell two pods of one namespace apart that have the same labels and named ports, so one question
is asked about all of them.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from webhook.eem.claims import Claim
from webhook.eem.instances import INSTANCE_LABEL, NAME_LABEL, PRODUCT, Component, InstanceRef
from webhook.netpol.model import ContainerPort, Labels, Pod


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

    @property
    def identity(self) -> tuple[frozenset[tuple[str, str]], frozenset[ContainerPort]]:
        """Return what makes it distinct: the labels and the named ports."""
        return frozenset(self.pod.labels.items()), frozenset(self.pod.ports)


def assumed_pod(namespace: str, instance_label: str, template_labels: Labels, name: str) -> Pod:
    """Return the pod that the documentation promises, for a component of which nothing is known yet."""
    labels = {**template_labels, NAME_LABEL: PRODUCT, INSTANCE_LABEL: instance_label}
    return Pod(namespace=namespace, name=name, labels=labels)


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
