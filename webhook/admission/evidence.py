"""Fold findings into what a verdict shows: lost requirements with their examples and remedies, and warnings."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from webhook.admission.judge import Change, Finding, judge
from webhook.admission.refusal import GENERATED_NAME
from webhook.admission.remedy import Advice, common_labels, judgement
from webhook.admission.text import warning
from webhook.admission.verdict import Lost, PodsSeen
from webhook.eem.instances import Requirement, SourcesDemand
from webhook.netpol.model import Labels, Namespace, NetworkPolicy
from webhook.netpol.reading import shorten
from webhook.netpol.sources.budget import MOST_STEPS, StepBudget
from webhook.netpol.sources.counterexample import PodExample, smallest_example
from webhook.netpol.sources.difference import PodWitness
from webhook.netpol.sources.loss import AddressWitness
from webhook.netpol.sources.universe import Universe

STEPS_FOR_EXAMPLES = MOST_STEPS // 4
"""Steps for the examples of one refusal, besides those of its judgement: a quarter more."""

LONGEST_SHOWN = 40
"""Characters of a name within a warning."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judging:
    """What one request may come to, with everything that its judgement rests on."""

    changes: tuple[Change, ...]
    demand: SourcesDemand
    universe: Universe
    effort: StepBudget

    def findings(self) -> tuple[Finding, ...]:
        """Judge the request."""
        return self._judge(self.changes)

    def with_remedy(self, remedy: NetworkPolicy) -> tuple[Finding, ...]:
        """Judge what whoever follows the advice does: apply the remedy, and then make the request again."""
        change = self.changes[0]
        view = change.view.with_policy(change.name, change.old).with_policy(remedy.name, remedy)
        return self._judge(replace(known, view=view) for known in self.changes)

    def ports(self, labels: Labels) -> tuple[int, ...]:
        """Give every port that some pod with these labels needs: a policy that selects it takes the others away."""
        needed = {
            requirement.port
            for guarded in self.changes[0].view.guarded
            for requirement in guarded.needs
            if labels.items() <= guarded.subject.pod.labels.items()
        }
        return tuple(sorted(needed))

    def is_taken(self, name: str) -> bool:
        """Whether a remedy must not have this name: it would replace that policy, or be replaced by the change."""
        change = self.changes[0]
        return name == change.name or name in change.view.policies

    def _judge(self, changes: Iterable[Change]) -> tuple[Finding, ...]:
        return tuple(
            finding for change in changes for finding in judge(change, self.demand, self.universe, self.effort)
        )


def losses_of(judging: Judging, findings: Sequence[Finding], namespaces: Sequence[Namespace]) -> tuple[Lost, ...]:
    """Give every lost requirement once, with all its pods: decided ones first, then those with live pods."""
    groups: dict[tuple[Requirement, bool], list[Finding]] = {}
    for finding in findings:
        if finding.loss is not None:
            groups.setdefault((finding.requirement, finding.loss.decided), []).append(finding)
    lost = frozenset(judgement(finding) for finding in findings if finding.loss is not None)
    advice = Advice(ports=judging.ports, judged=judging.with_remedy, is_taken=judging.is_taken)
    effort = StepBudget(left=STEPS_FOR_EXAMPLES)
    found = [
        _lost(group, advice.remedy(group, lost), _example(group[0], namespaces, effort)) for group in groups.values()
    ]
    return tuple(sorted(found, key=lambda item: (not item.decided, item.pods.assumed, not item.pods.names)))


def _lost(group: list[Finding], remedy: Mapping[str, Any] | None, example: PodExample | AddressWitness | None) -> Lost:
    first = group[0]
    requirement, loss = first.requirement, first.loss
    names = sorted({name for finding in group for name in finding.subject.names})
    policies = dict.fromkeys(_shown(policy) for finding in group for policy in finding.isolating)
    return Lost(
        instance=requirement.instance,
        component=requirement.component,
        protocol=requirement.protocol,
        port=requirement.port,
        pods=PodsSeen(
            labels=common_labels(group),
            names=tuple(names),
            assumed=all(finding.subject.assumed for finding in group),
        ),
        counterexample=example,
        policies=tuple(policies),
        decided=loss is not None and loss.decided,
        why_undecided="" if loss is None else loss.why_undecided,
        remedy=remedy,
    )


def _shown(policy: NetworkPolicy) -> str:
    return policy.full_name if policy.name else f"{policy.namespace}/{GENERATED_NAME}"


def _example(
    finding: Finding, namespaces: Sequence[Namespace], effort: StepBudget
) -> PodExample | AddressWitness | None:
    witness = None if finding.loss is None else finding.loss.witness
    if isinstance(witness, PodWitness):
        return smallest_example(witness, finding.before, finding.after, namespaces, effort)
    return witness


def warnings_of(findings: Iterable[Finding]) -> tuple[str, ...]:
    """Give what is doubtful and no reason to refuse: once for each requirement, not for each pod."""
    return tuple(dict.fromkeys(text for finding in findings for text in _warnings(finding)))


def _warnings(finding: Finding) -> Iterator[str]:
    requirement = finding.requirement
    ref = requirement.instance
    what = f"{shorten(f'{ref.namespace}/{ref.name}', LONGEST_SHOWN)} {requirement.component.value}"
    port = f"{requirement.protocol.value}/{requirement.port}"
    if finding.broken:
        by = shorten(_shown(finding.isolating[0]), LONGEST_SHOWN) if finding.isolating else "policies"
        yield warning(f"{what} {port} was not open as required and still is not (isolated by {by})")
    if finding.only_pods:
        yield warning(f"{what} {port}: only selected pods may connect now; the API server is seldom a pod")
