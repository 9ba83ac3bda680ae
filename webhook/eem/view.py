"""
What EEM has in one namespace: instances, operators, their pods, what they need, and their standing.

A persistent value, like the snapshot that it is part of. It holds the policies of its namespace, so that a question
about one namespace is answered from here alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from rpds import HashTrieMap

from webhook.eem.claims import POD, Claim, ClaimIndex, Claims, ObjectName, claimed_names, claims_of
from webhook.eem.instances import EemOperator, Instance, Requirement, SourcesDemand
from webhook.eem.policy_index import PolicyIndex
from webhook.eem.resources import EEM_GROUP, INSTANCE_KINDS
from webhook.eem.standing import Port, Standing, standing_of
from webhook.eem.subjects import Subject, assumed_pod, group
from webhook.netpol.controller_labels import pods_of
from webhook.netpol.model import ContainerPort, NetworkPolicy, OwnerReference, Pod, Workload

StandingKey = tuple[frozenset[tuple[str, str]], frozenset[ContainerPort], tuple[Port, ...]]
"""What a standing depends on besides the policies: labels, named ports, and the ports needed."""

MOST_COMPARED = 8
"""Known standings with which a new one is compared: the pods of one workload differ by one label or two."""

_Item = tuple[StandingKey, Standing]


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """
    The objects of EEM in one namespace.

    Args:
        instances: by kind and name.
        claims: what the pods of the namespace can belong to.
        pods: the pods that are EEM's, by name.
        workloads: the workloads that are EEM's, by kind and name.
    """

    namespace: str
    instances: HashTrieMap[tuple[str, str], Instance]
    claims: Claims
    pods: HashTrieMap[str, Pod]
    workloads: Mapping[tuple[str, str], Workload]

    @property
    def operators(self) -> Mapping[str, EemOperator]:
        """Return the operators by the name of their Deployments."""
        return self.claims.operators

    @cached_property
    def subjects(self) -> tuple[Subject, ...]:
        """Return the subjects of every component; assumed ones where neither a pod nor a template is known."""
        claimed = [(claim, pod) for pod in self.pods.values() for claim in self.claims.of_pod(pod)]
        for workload in self.workloads.values():
            if not self._is_rendered(workload):
                claims, pods = self.claims.of_workload(workload), pods_of(workload)
                claimed.extend((claim, pod) for claim in claims for pod in pods)
        seen = {claim for claim, pod in claimed if not pod.finished}
        return (*group(claimed), *self._assumed(seen))

    @cached_property
    def pods_by_claim(self) -> Mapping[Claim, tuple[Pod, ...]]:
        """Return the pods of each component; where none runs, those that its templates make, or an assumed one."""
        found, made = dict[Claim, list[Pod]](), dict[Claim, list[Pod]]()
        for pod in sorted(self.pods.values(), key=lambda pod: pod.name):
            for claim in () if pod.finished else self.claims.of_pod(pod):
                found.setdefault(claim, []).append(pod)
        for subject in self.subjects:
            made.setdefault((subject.component, subject.instance), []).append(subject.pod)
        return {claim: tuple(pods) for claim, pods in (made | found).items()}

    def _is_rendered(self, workload: Workload) -> bool:
        """Whether another workload of EEM made this one: the template of a ReplicaSet may be an old one."""
        return any((owner.kind, owner.name) in self.workloads for owner in workload.owners)

    def _assumed(self, seen: set[Claim]) -> Iterator[Subject]:
        """Yield what the documentation promises; an operator has a Deployment with a template: nothing is assumed."""
        for instance in sorted(self.instances.values(), key=lambda instance: instance.ref):
            if (instance.component, instance.ref) not in seen:
                pod = assumed_pod(instance)
                yield Subject(component=instance.component, instance=instance.ref, pod=pod, assumed=True)

    def requirements(self, sources: SourcesDemand) -> tuple[Requirement, ...]:
        """Return the requirements of every instance and operator that is not exempt."""
        found = [
            requirement
            for instance in sorted(self.instances.values(), key=lambda instance: instance.ref)
            if not instance.exemption
            for requirement in instance.requirements(sources)
        ]
        for operator in sorted(self.operators.values(), key=lambda operator: operator.ref):
            found.extend(operator.requirements() if operator.has_policy else ())
        return tuple(found)

    @cached_property
    def guarded(self) -> tuple[Guarded, ...]:
        """Return every subject with what it needs."""
        needs: dict[Claim, list[Requirement]] = {}
        for requirement in self.requirements("anywhere"):
            needs.setdefault((requirement.component, requirement.instance), []).append(requirement)
        exempt = {instance.ref: instance.exemption for instance in self.instances.values()}
        exempt |= {operator.ref: operator.exemption for operator in self.operators.values()}
        return tuple(
            Guarded(
                subject=subject,
                needs=tuple(needs.get((subject.component, subject.instance), ())),
                exempt=exempt.get(subject.instance, ""),
            )
            for subject in self.subjects
        )


@dataclass(frozen=True, kw_only=True)
class Guarded:
    """
    A subject with what it needs.

    Args:
        needs: its requirements; empty where its instance is exempt.
        exempt: the word for why its instance is exempt; empty where it is not. An operator without a webhook needs
            nothing and is not exempt.
    """

    subject: Subject
    needs: tuple[Requirement, ...]
    exempt: str = ""

    @cached_property
    def ports(self) -> tuple[Port, ...]:
        """Return the ports that it needs."""
        return tuple((requirement.protocol, requirement.port) for requirement in self.needs)

    @cached_property
    def readings(self) -> tuple[Guarded, ...]:
        """Return the subject in each reading of its labels with unknown values, with what it needs."""
        return (self, *(replace(self, subject=subject) for subject in self.subject.readings()[1:]))

    @cached_property
    def key(self) -> StandingKey:
        """Return what its standing depends on besides the policies."""
        return (*self.subject.identity, self.ports)


@dataclass(frozen=True, kw_only=True, slots=True)
class Objects:
    """
    The objects of one namespace, EEM's among them.

    Args:
        instances: by kind and name.
        pods: every pod, by name.
        operators: by the name of their Deployments.
        workloads: every workload, by kind and name.
        index: every pod and workload of the cluster by what may make it EEM's.
    """

    namespace: str
    instances: HashTrieMap[tuple[str, str], Instance]
    operators: Mapping[str, EemOperator]
    pods: HashTrieMap[str, Pod]
    workloads: HashTrieMap[ObjectName, Workload]
    index: ClaimIndex

    def inventory(self) -> Inventory:
        """Return the objects that are EEM's."""
        claims = claims_of(self.namespace, self.workloads, self.instances.values(), self.operators, self.index)
        names = claimed_names(self.namespace, claims, self.index)
        pods = [self.pods[name] for kind, name in names if kind == POD]
        workloads = [self.workloads[name] for name in names if name[0] != POD]
        return Inventory(
            namespace=self.namespace,
            instances=self.instances,
            claims=claims,
            pods=HashTrieMap((pod.name, pod) for pod in pods if claims.of_pod(pod)),
            workloads={(known.kind, known.name): known for known in workloads if claims.of_workload(known)},
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class EemNamespace:
    """
    What EEM has in one namespace, with the policies there.

    Which objects are EEM's is found out when it is first asked: instances that are listed one after the other cost one
    look at all of them, not one each.

    Args:
        objects: the objects of the namespace, as they were when it was last not known which of them are EEM's.
        known: the inventory; None where it has to be found out.
        policies: every NetworkPolicy of the namespace, by name.
        orphaned: those that the garbage collector deletes because their owners do not exist.
        index: the policies by what is asked about them.
        carried: the standings from before the last change, as far as they still hold.
    """

    objects: Objects
    known: Inventory | None = None
    policies: HashTrieMap[str, NetworkPolicy] = HashTrieMap()
    orphaned: HashTrieMap[str, NetworkPolicy] = HashTrieMap()
    index: PolicyIndex = field(default_factory=PolicyIndex, compare=False)
    carried: Mapping[StandingKey, Standing] = field(default_factory=dict, compare=False)

    def __eq__(self, other: object) -> bool:
        """Whether both have the same objects of EEM and the same policies, whenever that was found out."""
        if not isinstance(other, EemNamespace):
            return NotImplemented
        mine, others = (self.inventory, self.policies, self.orphaned), (other.inventory, other.policies, other.orphaned)
        return mine == others

    __hash__ = None  # type: ignore[assignment]

    @property
    def instances(self) -> HashTrieMap[tuple[str, str], Instance]:
        """Return the instances by kind and name."""
        return self.objects.instances

    @cached_property
    def inventory(self) -> Inventory:
        """Return the objects of EEM; they do not depend on policies."""
        return self.known or self.objects.inventory()

    def known_inventory(self) -> Inventory | None:
        """Return the inventory if it was asked for already."""
        return self.inventory if "inventory" in vars(self) else self.known

    @property
    def guarded(self) -> tuple[Guarded, ...]:
        """Return every subject with what it needs."""
        return self.inventory.guarded

    def requirements(self, sources: SourcesDemand) -> tuple[Requirement, ...]:
        """Return the requirements of every instance and operator that is not exempt."""
        return self.inventory.requirements(sources)

    def is_live(self, owner: OwnerReference) -> bool:
        """Whether an owner is an instance of this namespace that exists and is not being deleted."""
        return _is_live(owner, self.instances)

    def is_orphaned(self, policy: NetworkPolicy) -> bool:
        """Whether the garbage collector deletes a policy: all its owners are instances that do not exist here."""
        return _is_orphaned(policy, self.instances)

    @cached_property
    def standings(self) -> Mapping[StandingKey, Standing]:
        """Return the standing of each subject that needs something."""
        return dict(self.find_standings())

    def find_standings(self) -> Iterator[tuple[StandingKey, Standing]]:
        """Yield the standing of each subject that needs something: a known one, else a new one."""
        alike: dict[object, list[_Item]] = {}
        for item in self.carried.items():
            _keep(alike.setdefault(item[0][1:], []), item)
        readings = (reading for guarded in self.guarded if guarded.needs for reading in guarded.readings)
        for key, pod in {reading.key: reading.subject.pod for reading in readings}.items():
            standing, near = self.carried.get(key), alike.setdefault(key[1:], [])
            if standing is None:
                standing = self._new_standing(key, pod, near)
                _keep(near, (key, standing))
            yield key, standing

    def _new_standing(self, key: StandingKey, pod: Pod, near: Iterable[_Item]) -> Standing:
        """Return the standing of a subject, from that of the most similar one of those whose labels alone differ."""
        nearest = min(near, key=lambda other: len(key[0] ^ other[0][0]), default=None)
        if nearest is None:
            return standing_of(pod, key[-1], self.policies.values())
        differing = {label for label, _ in key[0] ^ nearest[0][0]}
        return nearest[1].of_pod(pod, self.index.selecting_by(differing))

    def standing(self, guarded: Guarded) -> Standing:
        """Return the standing of a subject, with all that it needs; of one that needs nothing here, a new look."""
        known = self.standings.get(guarded.key)
        return known or standing_of(guarded.subject.pod, guarded.ports, self.policies.values())

    def known_standings(self) -> Mapping[StandingKey, Standing]:
        """Return the standings if they were asked for already; before that, there are only those from earlier."""
        return self.standings if "standings" in vars(self) else self.carried

    def with_standings(self, standings: Mapping[StandingKey, Standing]) -> EemNamespace:
        """Return the namespace with standings that were found out beforehand."""
        return replace(self, known=self.known_inventory(), carried=standings)

    def with_policy(self, name: str, policy: NetworkPolicy | None) -> EemNamespace:
        """Return the namespace with a policy in the place of the one of that name; None deletes it."""
        is_orphaned = policy is not None and self.is_orphaned(policy)
        return replace(
            self,
            known=self.known_inventory(),
            policies=_with(self.policies, name, policy),
            index=self.index.changed(name, self.policies.get(name), policy),
            orphaned=_with(self.orphaned, name, policy if is_orphaned else None),
            carried={key: standing.with_policy(name, policy) for key, standing in self.known_standings().items()},
        )

    def with_objects(self, objects: Objects, known: Inventory | None) -> EemNamespace:
        """Return the namespace with other objects; *known* are those of EEM among them, None where it is not known."""
        orphaned = self.orphaned
        if objects.instances is not self.instances:
            orphaned = _orphaned(self.policies, objects.instances)
        return replace(self, objects=objects, known=known, orphaned=orphaned, carried=self.known_standings())


def _keep(near: list[_Item], one: _Item) -> None:
    """Keep a standing for subjects to begin with, while there are few: each new subject is compared with all."""
    if len(near) < MOST_COMPARED:
        near.append(one)


def namespace_of(objects: Objects, policies: HashTrieMap[str, NetworkPolicy]) -> EemNamespace:
    """Return what EEM has in one namespace that had nothing of EEM before."""
    orphaned, index = _orphaned(policies, objects.instances), PolicyIndex.of(policies.values())
    return EemNamespace(objects=objects, policies=policies, orphaned=orphaned, index=index)


def _orphaned(
    policies: HashTrieMap[str, NetworkPolicy], instances: HashTrieMap[tuple[str, str], Instance]
) -> HashTrieMap[str, NetworkPolicy]:
    found = (policy for policy in policies.values() if policy.owners and _is_orphaned(policy, instances))
    return HashTrieMap((policy.name, policy) for policy in found)


def _is_orphaned(policy: NetworkPolicy, instances: HashTrieMap[tuple[str, str], Instance]) -> bool:
    """
    Whether a policy has owners, and all are instances that do not exist.

    Whether owners of other kinds exist is not known, so they count as existing.
    """
    return bool(policy.owners) and all(
        owner.group == EEM_GROUP and owner.kind in INSTANCE_KINDS and not _is_live(owner, instances)
        for owner in policy.owners
    )


def _is_live(owner: OwnerReference, instances: HashTrieMap[tuple[str, str], Instance]) -> bool:
    instance = instances.get((owner.kind, owner.name))
    if owner.group != EEM_GROUP or instance is None or instance.terminating:
        return False
    return not instance.uid or instance.uid == owner.uid


def _with(
    policies: HashTrieMap[str, NetworkPolicy], name: str, policy: NetworkPolicy | None
) -> HashTrieMap[str, NetworkPolicy]:
    return policies.discard(name) if policy is None else policies.insert(name, policy)
