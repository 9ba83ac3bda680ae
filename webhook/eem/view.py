"""
What EEM has in one namespace: instances, operators, their pods, what they need, and their standing.

A persistent value, like the snapshot that it is part of. It holds the policies of its namespace, so that a question
about one namespace is answered from here alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from rpds import HashTrieMap

from webhook.eem.claims import Claim, ClaimIndex, Claims, claimed_in, claims_of
from webhook.eem.instances import EemOperator, Instance, Requirement, SourcesDemand
from webhook.eem.resources import EEM_GROUP, INSTANCE_KINDS
from webhook.eem.standing import Port, Standing, standing_of
from webhook.eem.subjects import Subject, assumed_pod, group
from webhook.netpol.model import ContainerPort, NetworkPolicy, OwnerReference, Pod, Workload
from webhook.netpol.snapshot import NamespaceState

StandingKey = tuple[frozenset[tuple[str, str]], frozenset[ContainerPort], tuple[Port, ...]]
"""What a standing depends on besides the policies: labels, named ports, and the ports needed."""


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

    def is_live(self, owner: OwnerReference) -> bool:
        """Whether an owner is an instance of this namespace that exists and is not being deleted."""
        instance = self.instances.get((owner.kind, owner.name))
        if owner.group != EEM_GROUP or instance is None or instance.terminating:
            return False
        return not instance.uid or instance.uid == owner.uid

    def is_orphaned(self, policy: NetworkPolicy) -> bool:
        """
        Whether the garbage collector deletes a policy: it has owners, and all are instances that do not exist here.

        Whether owners of other kinds exist is not known, so they count as existing.
        """
        return bool(policy.owners) and all(
            owner.group == EEM_GROUP and owner.kind in INSTANCE_KINDS and not self.is_live(owner)
            for owner in policy.owners
        )

    @cached_property
    def subjects(self) -> tuple[Subject, ...]:
        """Return the subjects of every component; assumed ones where neither a pod nor a template is known."""
        claimed = [(claim, pod) for pod in self.pods.values() for claim in self.claims.of_pod(pod)]
        for workload in self.workloads.values():
            if not self._is_rendered(workload):
                claimed.extend((claim, workload.template) for claim in self.claims.of_workload(workload))
        seen = {claim for claim, pod in claimed if not pod.finished}
        return (*group(claimed), *self._assumed(seen))

    def _is_rendered(self, workload: Workload) -> bool:
        """Whether another workload of EEM made this one: the template of a ReplicaSet may be an old one."""
        return any((owner.kind, owner.name) in self.workloads for owner in workload.owners)

    def _assumed(self, seen: set[Claim]) -> Iterator[Subject]:
        """Yield what the documentation promises; an operator has a Deployment with a template: nothing is assumed."""
        for instance in sorted(self.instances.values(), key=lambda instance: instance.ref):
            if (instance.component, instance.ref) not in seen:
                pod = assumed_pod(self.namespace, instance.name, instance.template_labels, instance.name)
                yield Subject(component=instance.component, instance=instance.ref, pod=pod, assumed=True)

    def requirements(self, sources: SourcesDemand) -> tuple[Requirement, ...]:
        """Return the requirements of every instance and operator that is not exempt."""
        found = [
            requirement
            for instance in sorted(self.instances.values(), key=lambda instance: instance.ref)
            if not instance.is_exempt
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
        exempt = {instance.ref for instance in self.instances.values() if instance.is_exempt}
        exempt |= {operator.ref for operator in self.operators.values() if not operator.has_policy}
        return tuple(
            Guarded(
                subject=subject,
                needs=tuple(needs.get((subject.component, subject.instance), ())),
                exempt=subject.instance in exempt,
            )
            for subject in self.subjects
        )


@dataclass(frozen=True, kw_only=True)
class Guarded:
    """
    A subject with what it needs.

    Args:
        needs: its requirements; empty where its instance is exempt.
        exempt: whether its instance is exempt; an operator without a webhook needs nothing and is not exempt.
    """

    subject: Subject
    needs: tuple[Requirement, ...]
    exempt: bool = False

    @cached_property
    def ports(self) -> tuple[Port, ...]:
        """Return the ports that it needs."""
        return tuple((requirement.protocol, requirement.port) for requirement in self.needs)

    @cached_property
    def key(self) -> StandingKey:
        """Return what its standing depends on besides the policies."""
        return (*self.subject.identity, self.ports)


@dataclass(frozen=True, kw_only=True)
class EemNamespace:
    """
    What EEM has in one namespace, with the policies there.

    Args:
        inventory: the objects of EEM; they do not depend on policies.
        policies: every NetworkPolicy of the namespace, by name.
        orphaned: those that the garbage collector deletes because their owners do not exist.
        carried: the standings from before the last change, as far as they still hold.
    """

    inventory: Inventory
    policies: HashTrieMap[str, NetworkPolicy] = HashTrieMap()
    orphaned: HashTrieMap[str, NetworkPolicy] = HashTrieMap()
    carried: Mapping[StandingKey, Standing] = field(default_factory=dict, compare=False)

    @property
    def guarded(self) -> tuple[Guarded, ...]:
        """Return every subject with what it needs."""
        return self.inventory.guarded

    def requirements(self, sources: SourcesDemand) -> tuple[Requirement, ...]:
        """Return the requirements of every instance and operator that is not exempt."""
        return self.inventory.requirements(sources)

    @cached_property
    def standings(self) -> Mapping[StandingKey, Standing]:
        """Return the standing of each subject that needs something: a known one, else a new look at all policies."""
        found: dict[StandingKey, Standing] = {}
        for guarded in self.guarded:
            key = guarded.key
            if guarded.needs and key not in found:
                found[key] = self.carried.get(key) or standing_of(
                    guarded.subject.pod, guarded.ports, self.policies.values()
                )
        return found

    def known_standings(self) -> Mapping[StandingKey, Standing]:
        """Return the standings if they were asked for already; before that, there are only those from earlier."""
        return self.standings if "standings" in vars(self) else self.carried

    def precompute(self) -> None:
        """Find out every standing now, so that no review has to wait for it."""
        for standing in self.standings.values():
            for port in standing.ports.values():
                _ = port.total

    def with_policy(self, name: str, policy: NetworkPolicy | None) -> EemNamespace:
        """Return the namespace with a policy in the place of the one of that name; None deletes it."""
        is_orphaned = policy is not None and self.inventory.is_orphaned(policy)
        return replace(
            self,
            policies=_with(self.policies, name, policy),
            orphaned=_with(self.orphaned, name, policy if is_orphaned else None),
            carried={key: standing.with_policy(name, policy) for key, standing in self.known_standings().items()},
        )

    def with_pods(self, pods: HashTrieMap[str, Pod]) -> EemNamespace:
        """Return the namespace with other pods of EEM."""
        return replace(self, inventory=replace(self.inventory, pods=pods), carried=self.known_standings())


def _with(
    policies: HashTrieMap[str, NetworkPolicy], name: str, policy: NetworkPolicy | None
) -> HashTrieMap[str, NetworkPolicy]:
    return policies.discard(name) if policy is None else policies.insert(name, policy)


def survey(
    state: NamespaceState,
    instances: HashTrieMap[tuple[str, str], Instance],
    index: ClaimIndex,
    carried: Mapping[StandingKey, Standing],
) -> EemNamespace | None:
    """Return what EEM has in one namespace; None where nothing makes it an EEM namespace."""
    claims = claims_of(state, instances.values(), index)
    if not claims.operators and not len(instances):
        return None
    pods, workloads = claimed_in(state, claims, index)
    inventory = Inventory(
        namespace=state.namespace.name,
        instances=instances,
        claims=claims,
        pods=HashTrieMap((pod.name, pod) for pod in pods),
        workloads={(workload.kind, workload.name): workload for workload in workloads},
    )
    orphaned = (policy for policy in state.policies.values() if policy.owners and inventory.is_orphaned(policy))
    return EemNamespace(
        inventory=inventory,
        policies=state.policies,
        orphaned=HashTrieMap((policy.name, policy) for policy in orphaned),
        carried=carried,
    )
