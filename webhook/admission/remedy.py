"""
Find a policy that makes a refused change acceptable when it is applied first.

A policy that selects pods also isolates them, so a policy that opens one port could close another. A remedy opens every
port that a pod which it selects needs, to everyone. Policies add up, so each of these pods keeps all its required
ingress, whatever the change and the changes in flight do; and a remedy does nothing to other pods.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, count
from typing import Any

from webhook.admission.judge import Finding
from webhook.eem.instances import COMPONENT_LABEL, INSTANCE_LABEL, NAME_LABEL, Component, InstanceRef, Requirement
from webhook.eem.subjects import Subject
from webhook.eem.view import EemNamespace, Guarded
from webhook.netpol.controller_labels import VOLATILE_LABELS
from webhook.netpol.model import Labels
from webhook.netpol.names import is_label_key, is_label_value
from webhook.netpol.selectors import FITTING, UNKNOWN

IDENTITY_LABELS = (NAME_LABEL, INSTANCE_LABEL, COMPONENT_LABEL)

LONGEST_STEM = 58
"""Characters of a remedy's name before its number. Longer names are valid, but 63 fit wherever names are used."""


def selector_of(subjects: Sequence[Subject], common: Labels) -> Labels | None:
    """Return labels that select every subject; None if no valid selector does."""
    return next(selectors_of(subjects, common), None)


def selectors_of(subjects: Sequence[Subject], common: Labels) -> Iterator[Labels]:
    """Yield sets of labels that select every subject, and that the API server accepts, the best first."""
    return filter(_is_valid, _candidates(subjects, common))


def common_labels(subjects: Iterable[Subject]) -> dict[str, str]:
    """Return the labels that all subjects have in common, as far as their values are known."""
    first, *others = [subject.pod.labels.items() for subject in subjects]
    known = ((key, value) for key, value in first if value not in {UNKNOWN, FITTING})
    return {key: value for key, value in known if all((key, value) in labels for labels in others)}


class Remedies:
    """
    The remedies of one refusal.

    Args:
        view: the namespace.
        taken: the names of the policy that is changed, and of other remedies.
    """

    def __init__(self, view: EemNamespace, taken: Iterable[str]) -> None:
        self._policies = view.policies
        self._taken = set(taken)
        self._known: dict[tuple[InstanceRef, Component, frozenset[tuple[str, str]]], Mapping[str, Any]] = {}
        self._guarded: dict[str | None, list[Guarded]] = {}  # by instance label
        for known in view.guarded:
            self._guarded.setdefault(known.subject.pod.labels.get(INSTANCE_LABEL), []).append(known)

    def remedy(self, findings: Sequence[Finding], common: Labels) -> Mapping[str, Any] | None:
        """
        Return a NetworkPolicy that selects every subject of the findings; None if there is no such policy.

        Args:
            findings: the losses of one requirement.
            common: the labels that their subjects have in common.
        """
        requirement = findings[0].requirement
        labels = selector_of([finding.subject for finding in findings], common)
        if labels is None:
            return None
        question = requirement.instance, requirement.component, frozenset(labels.items())
        if question not in self._known:
            self._known[question] = self._policy(labels, requirement)
        return self._known[question]

    def _policy(self, labels: Labels, requirement: Requirement) -> Mapping[str, Any]:
        name, protocol = self._free_name(requirement), requirement.protocol.value
        self._taken.add(name)
        return {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": name, "namespace": requirement.instance.namespace},
            "spec": {
                "podSelector": {"matchLabels": dict(labels)},
                "policyTypes": ["Ingress"],
                "ingress": [{"ports": [{"protocol": protocol, "port": port} for port in self._ports(labels)]}],
            },
        }

    def _ports(self, labels: Labels) -> tuple[int, ...]:
        """Return every port that a pod with these labels needs, in order."""
        if INSTANCE_LABEL in labels:
            selectable = self._guarded[labels[INSTANCE_LABEL]]
        else:
            selectable = [known for guarded in self._guarded.values() for known in guarded]
        needed = {
            requirement.port
            for known in selectable
            if labels.items() <= known.subject.pod.labels.items()
            for requirement in known.needs
        }
        return tuple(sorted(needed))

    def _free_name(self, requirement: Requirement) -> str:
        """Return a name that neither a policy nor another remedy has: a policy of that name would be replaced."""
        part = "" if requirement.component is Component.OPERATOR else f"-{requirement.component.value}"
        names = names_from(f"allow-{requirement.instance.name}{part}")
        return next(name for name in names if name not in self._taken and name not in self._policies)


def names_from(stem: str) -> Iterator[str]:
    """Yield names for a policy: the stem, cut where it is too long, and then with a number."""
    cut = stem[:LONGEST_STEM].rstrip("-.")
    return chain((cut,), (f"{cut}-{number}" for number in count(2)))


def _is_valid(labels: Labels) -> bool:
    """Whether the API server accepts a selector of these labels: an instance's name may be longer than a label."""
    return all(is_label_key(key) and is_label_value(value) for key, value in labels.items())


def _candidates(subjects: Sequence[Subject], common: Labels) -> Iterator[Labels]:
    """Yield sets of labels that select every subject: labels that identify the instance come first."""
    lasting = {key: value for key, value in common.items() if key not in VOLATILE_LABELS}
    identity = {key: lasting[key] for key in IDENTITY_LABELS if key in lasting}
    if INSTANCE_LABEL in identity:
        yield identity
    if lasting:
        yield lasting
    if any(subject.pod.labels == common for subject in subjects):
        yield common
