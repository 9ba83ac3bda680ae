"""
Whose pods are these? Tell which pods of a namespace belong to which component of which instance.

The label `app.kubernetes.io/instance` alone proves nothing, for every Helm release has it. Proof is the owner chain up
to an instance; or that label together with the product's name label or the documented name of the pod.

Source: IBM Event Endpoint Management documentation (post-installation, uninstalling) and its Helm chart.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from webhook.eem.instances import (
    COMPONENT_LABEL,
    INSTANCE_LABEL,
    NAME_LABEL,
    OPERATOR_NAME,
    PRODUCT,
    Component,
    EemOperator,
    Instance,
    InstanceRef,
)
from webhook.eem.resources import EEM_GROUP, GATEWAY_KIND, MANAGER_KIND
from webhook.netpol.model import ContainerPort, Labels, OwnerReference, Pod, Workload

EVENTS_COMPONENT_LABEL = "events.ibm.com/component"
_COMPONENT_WORDS = {"ibm-eem-manager": Component.MANAGER, "ibm-egw": Component.GATEWAY}
_DOCUMENTED_NAMES = {
    Component.MANAGER: "{}-ibm-eem-manager",
    Component.GATEWAY: "{}-ibm-egw-gateway",
    Component.OPERATOR: "{}",
}

Claim = tuple[Component, InstanceRef]
"""A pod is this component of this instance."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """
    A distinct label set, with its named ports, among the pods of one component.

    Args:
        pod: one pod that stands for all of them.
        names: the live pods that bear it; empty where only a template was seen.
        assumed: neither a pod nor a template was seen: these are the documented labels.
    """

    component: Component
    instance: InstanceRef
    pod: Pod
    names: tuple[str, ...] = ()
    assumed: bool = False

    @property
    def identity(self) -> tuple[frozenset[tuple[str, str]], frozenset[ContainerPort]]:
        """Give what makes it distinct: the labels and the named ports."""
        return frozenset(self.pod.labels.items()), frozenset(self.pod.ports)


@dataclass(frozen=True, kw_only=True, slots=True)
class Claims:
    """
    Everything in one namespace that a pod could belong to.

    Args:
        owned: workloads by (kind, name) whose owner chain leads to an instance or that are the operator's.
    """

    managers: Mapping[str, Instance]
    gateways: Mapping[str, Instance]
    operators: Mapping[str, EemOperator]
    owned: Mapping[tuple[str, str], Claim]

    def of_pod(self, pod: Pod) -> tuple[Claim, ...]:
        """Say what *pod* is: nothing, one thing, or all that it may be where its labels do not tell."""
        for owner in pod.owners:
            claim = self.owned.get((owner.kind, owner.name)) or _direct_owner(owner, self.managers, self.gateways)
            if claim is not None:
                return (claim,)
        if INSTANCE_LABEL not in pod.labels:
            return ()
        instance = pod.labels[INSTANCE_LABEL]
        candidates = [
            (component, ref)
            for component, ref in self._named(instance)
            if pod.labels.get(NAME_LABEL) == PRODUCT or has_documented_name(pod.name, component, instance)
        ]
        hint = _hint(pod.labels) or _hint_of_name(pod.name, instance, [component for component, _ in candidates])
        if hint is None:
            return tuple(candidates)
        return tuple(claim for claim in candidates if claim[0] is hint)

    def _named(self, instance: str) -> Iterable[Claim]:
        if instance in self.managers:
            yield Component.MANAGER, self.managers[instance].ref
        if instance in self.gateways:
            yield Component.GATEWAY, self.gateways[instance].ref
        if instance == OPERATOR_NAME:
            for operator in self.operators.values():
                yield Component.OPERATOR, operator.ref


def claims_of(
    instances: Iterable[Instance], operators: Mapping[str, EemOperator], workloads: Iterable[Workload]
) -> Claims:
    """Collect what the pods of one namespace can belong to, following owner chains from the top."""
    known = list(instances)
    managers = {instance.name: instance for instance in known if instance.kind == MANAGER_KIND}
    gateways = {instance.name: instance for instance in known if instance.kind == GATEWAY_KIND}
    owned: dict[tuple[str, str], Claim] = {
        ("Deployment", operator.name): (Component.OPERATOR, operator.ref) for operator in operators.values()
    }
    remaining = list(workloads)
    for workload in remaining:
        for owner in workload.owners:
            claim = _direct_owner(owner, managers, gateways)
            if claim is not None:
                owned[workload.kind, workload.name] = claim
    for workload in remaining:
        for owner in workload.owners:
            if (owner.kind, owner.name) in owned:
                owned.setdefault((workload.kind, workload.name), owned[owner.kind, owner.name])
    return Claims(managers=managers, gateways=gateways, operators=operators, owned=owned)


def _direct_owner(
    owner: OwnerReference, managers: Mapping[str, Instance], gateways: Mapping[str, Instance]
) -> Claim | None:
    if owner.group != EEM_GROUP:
        return None
    table = managers if owner.kind == MANAGER_KIND else gateways if owner.kind == GATEWAY_KIND else {}
    instance = table.get(owner.name)
    if instance is None or (instance.uid and owner.uid and instance.uid != owner.uid):
        return None
    return instance.component, instance.ref


def has_documented_name(name: str, component: Component, instance: str) -> bool:
    """Say whether a pod or workload is named as the documentation says: the stem, or the stem and a suffix."""
    stem = _DOCUMENTED_NAMES[component].format(instance)
    return re.fullmatch(rf"{re.escape(stem)}(?:-[a-z0-9]+){{0,2}}", name) is not None


def _hint(labels: Labels) -> Component | None:
    """Read the component labels: they decide between a manager and a gateway that share a name."""
    word = labels.get(COMPONENT_LABEL, "")
    if word in _COMPONENT_WORDS:
        return _COMPONENT_WORDS[word]
    longer = labels.get(EVENTS_COMPONENT_LABEL, "")
    return next((known for suffix, known in _COMPONENT_WORDS.items() if longer.endswith(f"-{suffix}")), None)


def _hint_of_name(name: str, instance: str, components: Iterable[Component]) -> Component | None:
    fitting = [known for known in components if has_documented_name(name, known, instance)]
    return fitting[0] if len(fitting) == 1 else None


def assumed_pod(namespace: str, instance_label: str, template_labels: Labels, name: str) -> Pod:
    """Give the pod that the documentation promises, for a component of which nothing was seen yet."""
    labels = {**template_labels, NAME_LABEL: PRODUCT, INSTANCE_LABEL: instance_label}
    return Pod(namespace=namespace, name=name, labels=labels)


def group(claimed: Iterable[tuple[Claim, Pod]]) -> tuple[Subject, ...]:
    """Fold pods and templates into subjects: one for each component, instance, label set and set of named ports."""
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
    """Order subjects so that every replica names the same one first: those with live pods before templates."""
    return subject.instance, not subject.names, subject.names, sorted(subject.pod.labels.items()), subject.pod.name
