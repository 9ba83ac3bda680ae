"""
Which component of which instance a pod or a workload belongs to.

The label `app.kubernetes.io/instance` alone proves nothing: every Helm release has it. Proof is the owner chain up to
an instance; or that label together with the product's name label or the documented name of the pod.

Source: IBM Event Endpoint Management documentation (post-installation, uninstalling) and its Helm chart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from rpds import HashTrieMap, HashTrieSet

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
    read_operator,
)
from webhook.eem.resources import EEM_GROUP, GATEWAY_KIND, MANAGER_KIND
from webhook.netpol.model import Labels, OwnerReference, Pod, Workload

EVENTS_COMPONENT_LABEL = "events.ibm.com/component"
GATEWAY_GROUP_LABEL = "gatewayGroup"
GATEWAY_ID_LABEL = "gatewayId"
_COMPONENT_WORDS = {"ibm-eem-manager": Component.MANAGER, "ibm-egw": Component.GATEWAY}
_DOCUMENTED_NAMES = {
    Component.MANAGER: "{}-ibm-eem-manager",
    Component.GATEWAY: "{}-ibm-egw-gateway",
    Component.OPERATOR: "{}",
}

_SUFFIXES = re.compile(r"(?:-[a-z0-9]+){0,2}")
"""What controllers add to the name of a pod."""

Claim = tuple[Component, InstanceRef]
"""A pod is this component of this instance."""

ObjectName = tuple[str, str]
"""Kind and name of an object in a known namespace."""

Workloads = Mapping[ObjectName, Workload]
"""The workloads of one namespace."""

Key = tuple[str, str, str]
"""A namespace with an owner's kind and name, or a namespace with `LABELLED` and the value of an instance label."""

POD = "Pod"
LABELLED = ""
"""Stands in the place of an owner's kind."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimIndex:
    """
    Every pod and workload of the cluster, by what a claim is decided on: its owners, and its instance label.

    It is kept from change to change, so that a new instance costs a look at its own pods and not at all pods of its
    namespace.

    Args:
        members: the kinds and names of the pods and workloads under each key.
    """

    members: HashTrieMap[Key, HashTrieSet[ObjectName]] = HashTrieMap()

    def changed(self, old: Pod | Workload | None, new: Pod | Workload | None) -> ClaimIndex:
        """Return the index after *new* has taken the place of *old*, which has the same name; None is no object."""
        before, after = _entries(old), _entries(new)
        if before == after:
            return self
        members = self.members
        for key, name in before - after:
            left = members[key].remove(name)
            members = members.insert(key, left) if len(left) else members.remove(key)
        for key, name in after - before:
            members = members.insert(key, members.get(key, HashTrieSet()).insert(name))
        return ClaimIndex(members=members)

    def owned_by(self, namespace: str, kind: str, name: str) -> list[ObjectName]:
        """Return the pods and workloads that name this owner, in order."""
        return sorted(self.members.get((namespace, kind, name), ()))

    def labelled(self, namespace: str, instance: str) -> list[ObjectName]:
        """Return the pods and workloads with this instance label, on themselves or on their template, in order."""
        return sorted(self.members.get((namespace, LABELLED, instance), ()))


def _entries(known: Pod | Workload | None) -> frozenset[tuple[Key, ObjectName]]:
    """Return where a pod or a workload stands in the index."""
    if known is None:
        return frozenset()
    if isinstance(known, Workload):
        name, label_sets = (known.kind, known.name), [known.labels, known.template.labels]
    else:
        name, label_sets = (POD, known.name), [known.labels]
    owners = [(known.namespace, owner.kind, owner.name) for owner in known.owners]
    labels = [(known.namespace, LABELLED, found[INSTANCE_LABEL]) for found in label_sets if INSTANCE_LABEL in found]
    return frozenset((key, name) for key in (*owners, *labels))


NOTHING_CLAIMED = ClaimIndex()


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
    owned: Mapping[ObjectName, Claim]

    def of_pod(self, pod: Pod) -> tuple[Claim, ...]:
        """Return what *pod* is: nothing, one thing, or all that it may be where its labels do not tell."""
        for owner in pod.owners:
            claim = self.owned.get((owner.kind, owner.name)) or _of_owner(owner, self.managers, self.gateways)
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

    def of_workload(self, workload: Workload) -> tuple[Claim, ...]:
        """Return what the pods of a workload's template are: by the workload, its owners, or the template's labels."""
        return self.of_pod(replace(workload.template, owners=(*workload.template.owners, *workload.owners)))

    def _named(self, instance: str) -> Iterable[Claim]:
        if instance in self.managers:
            yield Component.MANAGER, self.managers[instance].ref
        if instance in self.gateways:
            yield Component.GATEWAY, self.gateways[instance].ref
        if instance == OPERATOR_NAME:
            for operator in self.operators.values():
                yield Component.OPERATOR, operator.ref


def operators_in(namespace: str, workloads: Workloads, index: ClaimIndex) -> dict[str, EemOperator]:
    """Return the operators of one namespace, by the name of their Deployments."""
    found = map(read_operator, _workloads(workloads, index.labelled(namespace, OPERATOR_NAME)))
    return {operator.name: operator for operator in found if operator is not None}


def claims_of(
    namespace: str,
    workloads: Workloads,
    instances: Iterable[Instance],
    operators: Mapping[str, EemOperator],
    index: ClaimIndex,
) -> Claims:
    """Return what the pods of one namespace can belong to, following owner chains from the top."""
    known = list(instances)
    managers = {instance.name: instance for instance in known if instance.kind == MANAGER_KIND}
    gateways = {instance.name: instance for instance in known if instance.kind == GATEWAY_KIND}
    owned: dict[ObjectName, Claim] = {
        ("Deployment", operator.name): (Component.OPERATOR, operator.ref) for operator in operators.values()
    }
    waiting = sorted(owned)
    for instance in sorted(known, key=lambda instance: instance.ref):
        for workload in _workloads(workloads, index.owned_by(namespace, instance.kind, instance.name)):
            claims = (_of_owner(owner, managers, gateways) for owner in workload.owners)
            claim = next((claim for claim in claims if claim is not None), None)
            if claim is not None:
                owned[workload.kind, workload.name] = claim
                waiting.append((workload.kind, workload.name))
    while waiting:
        owner = waiting.pop()
        for workload in _workloads(workloads, index.owned_by(namespace, *owner)):
            if (workload.kind, workload.name) not in owned:
                owned[workload.kind, workload.name] = owned[owner]
                waiting.append((workload.kind, workload.name))
    return Claims(managers=managers, gateways=gateways, operators=operators, owned=owned)


def claimed_names(namespace: str, claims: Claims, index: ClaimIndex) -> set[ObjectName]:
    """Return the pods and workloads of one namespace that may be EEM's, by what makes them so."""
    instances = (*claims.managers.values(), *claims.gateways.values())
    return {
        *claims.owned,
        *(name for owner in claims.owned for name in index.owned_by(namespace, *owner)),
        *(name for instance in instances for name in index.owned_by(namespace, instance.kind, instance.name)),
        *(name for label in {instance.name for instance in instances} for name in index.labelled(namespace, label)),
        *(index.labelled(namespace, OPERATOR_NAME) if claims.operators else ()),
    }


def _workloads(workloads: Workloads, names: Iterable[ObjectName]) -> Iterator[Workload]:
    return (workloads[name] for name in names if name[0] != POD)


def _of_owner(
    owner: OwnerReference, managers: Mapping[str, Instance], gateways: Mapping[str, Instance]
) -> Claim | None:
    if owner.group != EEM_GROUP:
        return None
    table = managers if owner.kind == MANAGER_KIND else gateways if owner.kind == GATEWAY_KIND else {}
    instance = table.get(owner.name)
    if instance is None or (instance.uid and owner.uid and instance.uid != owner.uid):
        return None
    return instance.component, instance.ref


def documented_name(component: Component, instance: str) -> str:
    """Return the name of the workload of an instance, as the documentation says."""
    return _DOCUMENTED_NAMES[component].format(instance)


def is_gateway_by_labels(labels: Labels) -> bool:
    """
    Whether labels are a gateway's: one of an operator, or one that was deployed without an operator.

    Source: IBM Event Endpoint Management documentation, "Installing a gateway as a Kubernetes Deployment".
    """
    is_deployed = GATEWAY_GROUP_LABEL in labels and GATEWAY_ID_LABEL in labels
    return is_deployed or (labels.get(NAME_LABEL) == PRODUCT and _hint(labels) is Component.GATEWAY)


def has_documented_name(name: str, component: Component, instance: str) -> bool:
    """Whether a pod or workload is named as the documentation says: the stem, or the stem and a suffix."""
    stem = documented_name(component, instance)
    return name.startswith(stem) and _SUFFIXES.fullmatch(name, len(stem)) is not None


def _hint(labels: Labels) -> Component | None:
    """Return what the component labels say: they decide between a manager and a gateway that share a name."""
    word = labels.get(COMPONENT_LABEL, "")
    if word in _COMPONENT_WORDS:
        return _COMPONENT_WORDS[word]
    longer = labels.get(EVENTS_COMPONENT_LABEL, "")
    return next((known for suffix, known in _COMPONENT_WORDS.items() if longer.endswith(f"-{suffix}")), None)


def _hint_of_name(name: str, instance: str, components: Iterable[Component]) -> Component | None:
    fitting = [known for known in components if has_documented_name(name, known, instance)]
    return fitting[0] if len(fitting) == 1 else None
