"""
Explain findings: each lost requirement with a client that is cut off, the policies that isolate its pods and a remedy;
and the warnings.

This is expensive, and done once for each verdict that is sent.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, takewhile
from typing import Any

from webhook.admission.judge import Finding, World, is_isolating
from webhook.admission.refusal import GENERATED_NAME
from webhook.admission.remedy import Remedies, common_labels
from webhook.admission.response import warning
from webhook.admission.verdict import Lost, PodsSeen
from webhook.eem.instances import Requirement
from webhook.netpol.model import Labels, Namespace, NetworkPolicy
from webhook.netpol.reading import shorten
from webhook.netpol.sources.budget import MOST_STEPS, StepBudget
from webhook.netpol.sources.counterexample import PodExample, smallest_example
from webhook.netpol.sources.difference import PodWitness
from webhook.netpol.sources.loss import AddressWitness

STEPS_FOR_EXAMPLES = MOST_STEPS // 2
"""Steps for the examples of one refusal, in addition to those for judging."""

LONGEST_SHOWN = 40
"""Characters of a name within a warning."""

SHORT_NAME = 24
"""Characters of a name within a warning that has two of them, or a long text."""

MOST_ORPHANS = 2
"""Warnings about policies that do not count."""

SYSTEM = "kube-"
"""The prefix of the names of Kubernetes' own namespaces: an example from there would not help the user."""

Example = PodExample | AddressWitness | None


def explain(losses: Sequence[Finding]) -> tuple[Lost, ...]:
    """
    Return each lost requirement once, with all its pods: decided losses first, then those with live pods.

    Args:
        losses: the findings in one world that are losses.
    """
    if not losses:
        return ()
    groups: dict[tuple[Requirement, bool], list[Finding]] = {}
    for finding in losses:
        groups.setdefault((finding.requirement, _is_decided(finding)), []).append(finding)
    view = losses[0].world.view
    remedies = Remedies(view, losses[0].change.name)
    examples = _Examples(losses[0].world)
    found = []
    for group in groups.values():
        labels = common_labels(group)
        found.append(_lost(group, labels, remedies.remedy(group, labels), examples.example(group[0])))
    return tuple(sorted(found, key=lambda item: (not item.decided, item.pods.assumed, not item.pods.names)))


def _is_decided(finding: Finding) -> bool:
    return finding.loss is not None and finding.loss.decided


def _lost(group: list[Finding], labels: Labels, remedy: Mapping[str, Any] | None, example: Example) -> Lost:
    requirement, loss = group[0].requirement, group[0].loss
    names = sorted({name for finding in group for name in finding.subject.names})
    policies = dict.fromkeys(_shown(policy) for finding in group for policy in isolating_after(finding))
    return Lost(
        instance=requirement.instance,
        component=requirement.component,
        protocol=requirement.protocol,
        port=requirement.port,
        pods=PodsSeen(
            labels=labels,
            names=tuple(names),
            assumed=all(finding.subject.assumed for finding in group),
        ),
        counterexample=example,
        policies=tuple(policies),
        decided=_is_decided(group[0]),
        why_undecided="" if loss is None else loss.why_undecided,
        remedy=remedy,
    )


def isolating_after(finding: Finding) -> Iterator[NetworkPolicy]:
    """Yield the policies that isolate the subject after the change: the changed one first, the others by name."""
    change = finding.change
    standing = finding.standing
    if change.new is not None and is_isolating(change.new, finding.subject.pod):
        yield change.new
    for name in standing.names_in_order:
        if name != change.name:
            yield standing.isolating[name]


def _shown(policy: NetworkPolicy) -> str:
    return policy.full_name if policy.name else f"{policy.namespace}/{GENERATED_NAME}"


class _Examples:
    """The examples of one refusal: requirements that lose the same sources share one search."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._effort = StepBudget(left=STEPS_FOR_EXAMPLES)
        self._known: dict[tuple[int, int, int], PodExample] = {}

    def example(self, finding: Finding) -> Example:
        """Return a client that is cut off; None if there is no witness."""
        witness = None if finding.loss is None else finding.loss.witness
        if not isinstance(witness, PodWitness):
            return witness
        question = id(witness), id(finding.before), id(finding.after)
        if question not in self._known:
            self._known[question] = smallest_example(
                witness,
                finding.before,
                finding.after,
                self._candidates(),
                self._effort,
                self._world.universe.labels_of,
            )
        return self._known[question]

    def _candidates(self) -> Iterator[Namespace]:
        """Yield the namespaces for an example: the others by name, those of Kubernetes, then the one of the change."""
        own, names = self._world.view.inventory.namespace, self._world.snapshot.cluster.names_in_order
        others = (name for name in names if name != own and not name.startswith(SYSTEM))
        system = takewhile(lambda name: name.startswith(SYSTEM), names.starting_at(SYSTEM))
        for name in chain(others, (name for name in system if name != own), (own,)):
            yield self._world.snapshot.namespace(name)


def warnings_of(findings: Iterable[Finding]) -> tuple[str, ...]:
    """Return what is doubtful and no reason to refuse: one warning for each requirement, not for each pod."""
    return tuple(dict.fromkeys(text for finding in findings for text in _warnings(finding)))


def _warnings(finding: Finding) -> Iterator[str]:
    requirement = finding.requirement
    ref = requirement.instance
    what = f"{shorten(f'{ref.namespace}/{ref.name}', LONGEST_SHOWN)} {requirement.component.value}"
    port = f"{requirement.protocol.value}/{requirement.port}"
    if finding.broken:
        first = next(isolating_after(finding), None)
        by = "policies" if first is None else shorten(_shown(first), LONGEST_SHOWN)
        yield warning(f"{what} {port} was not open as required and still is not (isolated by {by})")
    if isinstance(finding.lost_ipv6, AddressWitness):
        yield warning(f"{what} {port}: IPv6 such as {finding.lost_ipv6.cidr} is cut off (EEM supports IPv4 only)")
    if finding.only_pods:
        yield warning(f"{what} {port}: only selected pods may connect now; the API server is rarely a pod")


def orphans_of(losses: Iterable[Finding]) -> tuple[str, ...]:
    """Return a warning for each policy that does not count in a loss, because the garbage collector deletes it."""
    orphans = {
        name: policy
        for finding in losses
        for name, policy in finding.world.view.orphaned.items()
        if name in finding.standing.isolating and name != finding.change.name
    }
    return tuple(
        warning(f"policy {shorten(name, SHORT_NAME)} does not count: {_missing(policy)}, so it will be deleted")
        for name, policy in sorted(orphans.items())[:MOST_ORPHANS]
    )


def orphan_warning(policy: NetworkPolicy) -> str:
    """Return the warning about a new policy that the garbage collector deletes."""
    return warning(f"{_missing(policy)}, so the garbage collector will delete this policy")


def _missing(policy: NetworkPolicy) -> str:
    owner = policy.owners[0]
    return f"its owner {owner.kind} {shorten(owner.name, SHORT_NAME)} does not exist here"
