"""
What EEM has in one namespace: instances, operators, their pods, what they need, and how they stand.

A persistent value, like the snapshot that it is part of. It knows its namespace's policies, so that a question about
one namespace is answered from here alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from rpds import HashTrieMap

from webhook.eem.claims import ClaimIndex, Claims, claimed_in, claims_of
from webhook.eem.instances import Component, EemOperator, Instance, InstanceRef, Requirement, SourcesDemand
from webhook.eem.standing import Port, Standing, standing_of
from webhook.eem.subjects import Subject, assumed_pod, group
from webhook.netpol.model import ContainerPort, NetworkPolicy, Pod, Workload
from webhook.netpol.snapshot import NamespaceState

StandingKey = tuple[frozenset[tuple[str, str]], frozenset[ContainerPort], tuple[Port, ...]]
"""What a standing depends on besides the policies: labels, named ports, and the ports needed."""


@dataclass(frozen=True, kw_only=True)
class EemNamespace:
    """
    What EEM has in one namespace.

    Args:
        instances: by (kind, name).
        operators: the operator's Deployments by name.
        claims: what the pods here can belong to.
        pods: the pods that are EEM's, by name.
        workloads: the workloads that are EEM's, by (kind, name).
        policies: every NetworkPolicy of the namespace, by name.
        carried: how subjects stood before the last change, as far as that still holds.
    """

    name: str
    instances: HashTrieMap[tuple[str, str], Instance]
    operators: Mapping[str, EemOperator]
    claims: Claims
    pods: HashTrieMap[str, Pod]
    workloads: Mapping[tuple[str, str], Workload]
    policies: HashTrieMap[str, NetworkPolicy] = HashTrieMap()
    carried: Mapping[StandingKey, Standing] = field(default_factory=dict, compare=False)

    @cached_property
    def guarded(self) -> tuple[Guarded, ...]:
        """Give every subject with what it needs, and how it stands."""
        needs: dict[tuple[Component, InstanceRef], list[Requirement]] = {}
        for requirement in self.requirements("anywhere"):
            needs.setdefault((requirement.component, requirement.instance), []).append(requirement)
        return tuple(
            Guarded(subject=subject, needs=tuple(needs.get((subject.component, subject.instance), ())))
            for subject in self.subjects
        )

    @cached_property
    def standings(self) -> dict[StandingKey, Standing]:
        """Give how each subject stands that needs something: looked up where it is known, else found out."""
        found: dict[StandingKey, Standing] = {}
        for guarded in self.guarded:
            key = guarded.key
            if guarded.needs and key not in found:
                found[key] = self.carried.get(key) or standing_of(
                    guarded.subject.pod, guarded.ports, self.policies.values()
                )
        return found

    def prepare(self) -> None:
        """Find out how every subject stands, which a decision would else do when it first needs it."""
        for standing in self.standings.values():
            standing.prepare()

    def with_policy(self, name: str, policy: NetworkPolicy | None) -> EemNamespace:
        """Put a policy in the place of the one of that name; None takes it away."""
        policies = self.policies.discard(name) if policy is None else self.policies.insert(name, policy)
        known = {key: standing.with_policy(name, policy) for key, standing in self.known_standings().items()}
        changed = replace(self, policies=policies, carried=known)
        # What the subjects are does not depend on policies.
        changed.__dict__.update({key: self.__dict__[key] for key in ("subjects", "guarded") if key in self.__dict__})
        return changed

    def changed(self, **parts: Any) -> EemNamespace:
        """Replace some parts, and keep how subjects stand."""
        return replace(self, carried=self.known_standings(), **parts)

    def known_standings(self) -> Mapping[StandingKey, Standing]:
        """Give how subjects stand if anybody has asked for them yet: before, there is nothing to keep."""
        return self.standings if "standings" in self.__dict__ else self.carried

    @cached_property
    def subjects(self) -> tuple[Subject, ...]:
        """Give the subjects of every component, assumed ones where nothing was seen."""
        claimed = [(claim, pod) for pod in self.pods.values() for claim in self.claims.of_pod(pod)]
        for workload in self.workloads.values():
            if self._is_rendered(workload):
                continue
            claimed += [(claim, workload.template) for claim in self.claims.of_workload(workload)]
        seen = {claim for claim, pod in claimed if not pod.finished}
        return (*group(claimed), *self._assumed(seen))

    def _is_rendered(self, workload: Workload) -> bool:
        """Say whether another workload here made this one: a ReplicaSet's template may be an old one."""
        return any((owner.kind, owner.name) in self.workloads for owner in workload.owners)

    def requirements(self, sources: SourcesDemand) -> tuple[Requirement, ...]:
        """Give what the instances and operators here need that are not exempt."""
        found = [
            requirement
            for instance in sorted(self.instances.values(), key=lambda instance: instance.ref)
            if not instance.is_exempt
            for requirement in instance.requirements(sources)
        ]
        for operator in sorted(self.operators.values(), key=lambda operator: operator.ref):
            found += operator.requirements() if operator.has_policy else ()
        return tuple(found)

    def _assumed(self, seen: set[tuple[Component, Any]]) -> Iterator[Subject]:
        """Give what the documentation promises; an operator has a Deployment with a template, so nothing is assumed."""
        for instance in sorted(self.instances.values(), key=lambda instance: instance.ref):
            if (instance.component, instance.ref) not in seen:
                pod = assumed_pod(self.name, instance.name, instance.template_labels, instance.name)
                yield Subject(component=instance.component, instance=instance.ref, pod=pod, assumed=True)


@dataclass(frozen=True, kw_only=True)
class Guarded:
    """
    A subject with what it needs.

    Args:
        needs: its requirements; empty where its instance is exempt.
    """

    subject: Subject
    needs: tuple[Requirement, ...]

    @cached_property
    def ports(self) -> tuple[Port, ...]:
        """Give the ports that it needs."""
        return tuple((requirement.protocol, requirement.port) for requirement in self.needs)

    @cached_property
    def key(self) -> StandingKey:
        """Give what its standing depends on, the policies aside."""
        return (*self.subject.identity, self.ports)


def survey(
    state: NamespaceState,
    instances: HashTrieMap[tuple[str, str], Instance],
    index: ClaimIndex,
    carried: Mapping[StandingKey, Standing],
) -> EemNamespace | None:
    """Return what is EEM's in one namespace; None where nothing makes it an EEM namespace."""
    claims = claims_of(state, instances.values(), index)
    if not claims.operators and not len(instances):
        return None
    pods, workloads = claimed_in(state, claims, index)
    return EemNamespace(
        name=state.namespace.name,
        instances=instances,
        operators=claims.operators,
        claims=claims,
        pods=HashTrieMap((pod.name, pod) for pod in pods),
        workloads={(workload.kind, workload.name): workload for workload in workloads},
        policies=state.policies,
        carried=carried,
    )
