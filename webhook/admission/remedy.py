"""
Find a policy that, applied as well, makes a refused change acceptable.

It is checked before it is offered: a policy that selects pods also isolates them, so a remedy for one port could take
another one away.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain, count
from typing import Any

from webhook.admission.judge import Finding
from webhook.eem.instances import COMPONENT_LABEL, INSTANCE_LABEL, NAME_LABEL, Component, Requirement
from webhook.netpol.model import ContainerPort, Labels, NetworkPolicy
from webhook.netpol.parse import read_policy

VOLATILE_LABELS = frozenset(
    {
        "pod-template-hash",
        "controller-revision-hash",
        "pod-template-generation",
        "statefulset.kubernetes.io/pod-name",
        "apps.kubernetes.io/pod-index",
    }
)
"""Labels that controllers set on each pod anew: a policy must not select on them."""

IDENTITY_LABELS = (NAME_LABEL, INSTANCE_LABEL, COMPONENT_LABEL)

LONGEST_STEM = 58
"""An object's name may be longer, but one of 63 is legal wherever names are used; a number may follow this one."""

Judged = Callable[[NetworkPolicy], Iterable[Finding]]
"""Judge the request with one more policy in place."""


Judgement = tuple[Requirement, frozenset[tuple[str, str]], tuple[ContainerPort, ...]]
"""What a finding is about: a requirement, and the labels and named ports that make a subject."""


def judgement(finding: Finding) -> Judgement:
    """Give what *finding* is about."""
    pod = finding.subject.pod
    return finding.requirement, frozenset(pod.labels.items()), pod.ports


def common_labels(findings: Iterable[Finding]) -> dict[str, str]:
    """Give the labels that all subjects have in common."""
    label_sets = [finding.subject.pod.labels.items() for finding in findings]
    return {key: value for key, value in label_sets[0] if all((key, value) in labels for labels in label_sets)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Advice:
    """
    The remedies of one verdict.

    Args:
        ports: gives every port that pods with some labels need: a remedy must not take away one to give another.
        judged: judges what whoever follows the advice asks again.
        is_taken: whether a policy has this name; a remedy of that name would replace it.
        given: the remedies so far, by name.
    """

    ports: Callable[[Labels], Iterable[int]]
    judged: Judged
    is_taken: Callable[[str], bool]
    given: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def remedy(self, findings: list[Finding], lost: frozenset[Judgement]) -> Mapping[str, Any] | None:
        """
        Give the first candidate under which *findings* are not lost any more.

        It takes nothing away itself: it opens every port that is needed of any pod that it selects, to everyone.

        Args:
            findings: the findings of one requirement, all of them losses.
            lost: everything that the request takes away without a remedy; with it, nothing else may be lost.
        """
        allowed = lost - {judgement(finding) for finding in findings}
        for labels in _candidates(findings):
            candidate = self._policy(findings[0].requirement, labels)
            policy, faults = read_policy(candidate)
            if faults:  # an instance's name may be longer than a label's value
                continue
            if _lost_in(self.judged(policy)) <= allowed:
                self.given[candidate["metadata"]["name"]] = candidate
                return candidate
        return None

    def _policy(self, requirement: Requirement, labels: Labels) -> dict[str, Any]:
        spec = {
            "podSelector": {"matchLabels": dict(labels)},
            "policyTypes": ["Ingress"],
            "ingress": [
                {"ports": [{"protocol": requirement.protocol.value, "port": port} for port in self.ports(labels)]}
            ],
        }
        return {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": self._free_name(requirement, spec), "namespace": requirement.instance.namespace},
            "spec": spec,
        }

    def _free_name(self, requirement: Requirement, spec: Mapping[str, Any]) -> str:
        """Give a name that no policy has; a remedy that was given already keeps the name that it was given."""
        part = "" if requirement.component is Component.OPERATOR else f"-{requirement.component.value}"
        stem = f"allow-{requirement.instance.name}{part}"[:LONGEST_STEM].rstrip("-.")
        names = chain((stem,), (f"{stem}-{number}" for number in count(2)))
        return next(
            name
            for name in names
            if not self.is_taken(name) and (name not in self.given or self.given[name]["spec"] == spec)
        )


def _lost_in(findings: Iterable[Finding]) -> set[Judgement]:
    return {judgement(finding) for finding in findings if finding.loss is not None}


def _candidates(findings: list[Finding]) -> Iterable[Labels]:
    common = {key: value for key, value in common_labels(findings).items() if key not in VOLATILE_LABELS}
    identity = {key: common[key] for key in IDENTITY_LABELS if key in common}
    if INSTANCE_LABEL in identity:
        yield identity
    if common:
        yield common
    for finding in findings:
        yield finding.subject.pod.labels
