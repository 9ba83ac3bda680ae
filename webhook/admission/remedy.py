"""
Find a policy that, applied as well, makes a refused change acceptable.

It is checked before it is offered: a policy that selects pods also isolates them, so a remedy for one port could take
another one away.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from webhook.admission.judge import Finding
from webhook.eem.instances import COMPONENT_LABEL, INSTANCE_LABEL, NAME_LABEL, Component, Requirement
from webhook.netpol.model import ContainerPort, Labels, NetworkPolicy
from webhook.netpol.parse import parse_policy

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

LONGEST_NAME = 63
"""An object's name may be longer, but a short one is legal wherever names are used."""

Judged = Callable[[NetworkPolicy], Iterable[Finding]]
"""Judge the change with one more policy in place."""


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


def find_remedy(
    findings: list[Finding], ports: Iterable[int], lost: frozenset[Judgement], judged: Judged
) -> Mapping[str, Any] | None:
    """
    Give the first candidate under which none of *findings* is lost any more, and nothing that was not lost is.

    Args:
        findings: the findings of one requirement, all of them losses.
        ports: every port that the component needs: a remedy must not take away one to give another.
        lost: everything that the change takes away without a remedy.
        judged: judges the change with one more policy in place.
    """
    allowed = lost - {judgement(finding) for finding in findings}
    entries = [{"protocol": findings[0].requirement.protocol.value, "port": port} for port in ports]
    for labels in _candidates(findings):
        candidate = _policy(findings[0], labels, entries)
        still_lost = {judgement(finding) for finding in judged(parse_policy(candidate)) if finding.loss is not None}
        if still_lost <= allowed:
            return candidate
    return None


def _candidates(findings: list[Finding]) -> Iterable[Labels]:
    common = {key: value for key, value in common_labels(findings).items() if key not in VOLATILE_LABELS}
    identity = {key: common[key] for key in IDENTITY_LABELS if key in common}
    if INSTANCE_LABEL in identity:
        yield identity
    if common:
        yield common
    for finding in findings:
        yield finding.subject.pod.labels


def _policy(finding: Finding, labels: Labels, entries: list[dict[str, Any]]) -> dict[str, Any]:
    requirement = finding.requirement
    stem = "" if requirement.component is Component.OPERATOR else f"-{requirement.component.value}"
    name = f"allow-{requirement.instance.name}{stem}"[:LONGEST_NAME].rstrip("-.")
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": requirement.instance.namespace},
        "spec": {
            "podSelector": {"matchLabels": dict(labels)},
            "policyTypes": ["Ingress"],
            "ingress": [{"ports": entries}],
        },
    }
