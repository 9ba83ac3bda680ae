"""
Explain findings: each lost requirement with a client that is cut off, the policies that isolate its pods and a remedy;
and the warnings.

This is expensive, and done once for each verdict that is sent.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice, takewhile
from typing import Any

from webhook.admission.judge import Finding, is_isolating
from webhook.admission.refusal import GENERATED_NAME, denied_by, isolated_by, short_name
from webhook.admission.remedy import Remedies, common_labels
from webhook.admission.response import warning
from webhook.admission.verdict import Lost, PodsSeen
from webhook.admission.world import World
from webhook.eem.instances import Requirement
from webhook.eem.subjects import Subject
from webhook.netpol.controller_labels import VOLATILE_LABELS
from webhook.netpol.model import Namespace, NetworkPolicy, Pod
from webhook.netpol.sources.budget import MOST_STEPS, StepBudget
from webhook.netpol.sources.counterexample import PodExample, existing_pod, smallest_example
from webhook.netpol.sources.difference import PodWitness
from webhook.netpol.sources.loss import AddressWitness

STEPS_FOR_EXAMPLES = MOST_STEPS // 2
"""Steps for the examples of one refusal, in addition to those for judging."""

MOST_PODS = 32
"""Existing pods that are tried as an example, in each namespace and in all: mostly the first one is cut off."""

MOST_NAMESPACES = 16
"""Existing namespaces whose pods are tried, so that a refusal costs the same in a large cluster as in a small one."""

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
    groups: dict[tuple[Requirement, bool], list[Finding]] = {}
    for finding in losses:
        groups.setdefault((finding.requirement, _is_decided(finding)), []).append(finding)
    explainer = Explainer(losses[0].world, (losses[0].change.name,))
    found = [explainer.lost(group) for group in groups.values()]
    return tuple(sorted(found, key=lambda item: (not item.decided, item.pods.assumed, not item.pods.names)))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Closed:
    """What all requirements of the same pods have in common: the pods, the policies that isolate them, the remedy."""

    pods: PodsSeen
    policies: tuple[str, ...]
    denied: bool
    terminating: frozenset[str]
    remedy: Mapping[str, Any] | None


class Explainer:
    """
    Explains losses in one world, one requirement at a time.

    Args:
        taken: the names that a remedy must not have, besides those of the policies that exist.
    """

    def __init__(self, world: World, taken: Iterable[str]) -> None:
        self._remedies = Remedies(world.view, taken)
        self._examples = _Examples(world)
        self._known: dict[tuple[tuple[int, int, tuple[str, ...]], ...], _Closed] = {}  # by ids

    def lost(self, group: Sequence[Finding]) -> Lost:
        """Return what one requirement loses; *group* has a finding for each set of its pods."""
        question = tuple((id(finding.subject), id(finding.change), finding.denied_by) for finding in group)
        if question not in self._known:
            self._known[question] = self._closed(group)
        return _lost(group[0], self._known[question], self._examples.example(group[0]))

    def _closed(self, group: Sequence[Finding]) -> _Closed:
        pods = pods_seen([finding.subject for finding in group])
        policies = dict.fromkeys(chain.from_iterable(map(_isolating_names, group)))
        denying = dict.fromkeys(name for finding in group for name in finding.denied_by)
        return _Closed(
            pods=pods,
            policies=tuple(denying or policies),
            denied=bool(denying),
            terminating=_terminating(
                policy
                for finding in group
                if finding.standing.terminating or finding.change.new is not None
                for policy in _isolating_after(finding)
            ),
            # No NetworkPolicy opens what a rule of a cluster-wide policy denies
            remedy=None if denying else self._remedies.remedy(group, pods.labels),
        )


def _is_decided(finding: Finding) -> bool:
    return finding.loss is not None and finding.loss.decided


def pods_seen(subjects: Sequence[Subject]) -> PodsSeen:
    """Return the pods of subjects of one component."""
    labels = common_labels(subjects)
    return PodsSeen(
        labels={key: value for key, value in labels.items() if key not in VOLATILE_LABELS} or labels,
        names=tuple(sorted({name for subject in subjects for name in subject.names})),
        assumed=all(subject.assumed for subject in subjects),
    )


def _lost(finding: Finding, closed: _Closed, example: Example) -> Lost:
    requirement, loss = finding.requirement, finding.loss
    return Lost(
        instance=requirement.instance,
        component=requirement.component,
        protocol=requirement.protocol,
        port=requirement.port,
        pods=closed.pods,
        counterexample=example,
        policies=closed.policies,
        denied=closed.denied,
        terminating=closed.terminating,
        decided=_is_decided(finding),
        why_undecided="" if loss is None else loss.why_undecided,
        remedy=closed.remedy,
    )


def _isolating_after(finding: Finding) -> Iterator[NetworkPolicy]:
    """Yield the policies that isolate the subject after the change: the changed one first, the others by name."""
    change = finding.change
    if change.new is not None and is_isolating(change.new, finding.subject.pod):
        yield change.new
    yield from _others(finding)


def _isolating_before(finding: Finding) -> Iterator[NetworkPolicy]:
    """Yield the policies that isolated the subject before the change: the changed one last, the others by name."""
    yield from _others(finding)
    change = finding.change
    if change.old is not None and is_isolating(change.old, finding.subject.pod):
        yield change.old


def _others(finding: Finding) -> Iterator[NetworkPolicy]:
    for name in finding.standing.names_in_order:
        if name != finding.change.name:
            yield finding.standing.isolating[name]


def _isolating_names(finding: Finding) -> Iterable[str]:
    """Return the full names of the policies that isolate the subject after the change, the changed one first."""
    change, namespace = finding.change, finding.subject.pod.namespace
    first = [change.new] if change.new is not None and is_isolating(change.new, finding.subject.pod) else []
    names = chain.from_iterable(finding.standing.names_in_order.buckets)  # there may be thousands
    return [*map(_shown, first), *[f"{namespace}/{name}" for name in names if name != change.name]]


def _terminating(policies: Iterable[NetworkPolicy]) -> frozenset[str]:
    return frozenset(_shown(policy) for policy in policies if policy.terminating)


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
            self._known[question] = self._search(witness, finding)
        return self._known[question]

    def _search(self, witness: PodWitness, finding: Finding) -> PodExample:
        universe, before, after = self._world.universe, finding.before, finding.after
        example = None
        if _is_decided(finding):  # a pod that is only perhaps cut off need not exist
            by_address = universe.ipblock_matches_pods != "no"
            pods = islice(self._pods(), MOST_PODS)
            example = existing_pod(before, after, pods, self._effort, by_address=by_address)
        if example is None:
            example = smallest_example(witness, before, after, self._candidates(), self._effort, universe.labels_of)
        is_any = _is_decided(finding) and before.everyone and not after.terms and not after.blocks
        return replace(example, any_pod=True) if is_any else example

    def _pods(self) -> Iterator[tuple[Namespace, Pod]]:
        """Yield the pods that can be a source by their labels and are not EEM's, in the order of the namespaces."""
        own = self._world.view.inventory
        for namespace in islice(self._candidates(), MOST_NAMESPACES):
            pods = self._world.snapshot.cluster.state(namespace.name).pods
            for name in sorted(islice(pods, MOST_PODS)):
                pod = pods[name]
                is_own = namespace.name == own.namespace and name in own.pods
                if not pod.host_network and not pod.finished and not is_own:
                    yield namespace, pod

    def _candidates(self) -> Iterator[Namespace]:
        """Yield the namespaces for an example: the others by name, those of Kubernetes, then the one of the change."""
        own, names = self._world.view.objects.namespace, self._world.snapshot.cluster.names_in_order
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
    what = f"{short_name(ref.namespace)}/{short_name(ref.name)} {requirement.component}"
    port = f"{requirement.protocol}/{requirement.port}"
    if finding.broken:
        policies = tuple(_isolating_before(finding))
        by = isolated_by([_shown(policy) for policy in policies], _terminating(policies))
        by = denied_by(finding.denied_by) if finding.denied_by else by
        yield warning(f"{what} {port} was not open as required and still is not ({by})")
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
        warning(f"policy {short_name(name)} does not count: {_missing(policy)}, so it will be deleted")
        for name, policy in sorted(orphans.items())[:MOST_ORPHANS]
    )


def orphan_warning(policy: NetworkPolicy) -> str:
    """Return the warning about a new policy that the garbage collector deletes."""
    return warning(f"{_missing(policy)}, so the garbage collector will delete this policy")


def _missing(policy: NetworkPolicy) -> str:
    owner = policy.owners[0]
    return f"its owner {owner.kind} {short_name(owner.name)} does not exist here"
