"""The example of a loss that is shown, asked of the witness: it is cut off, and nothing of it can be dropped."""

from collections.abc import Iterator, Mapping
from itertools import chain, product

import pytest

from oracle.generate import Pair, generate_pair
from oracle.naive import Requirement, judge, policies_around, rules_for, spelled_out, worlds_of
from oracle.product import product_verdict
from oracle.semantics import NAME_LABEL, SOUND, Source, read_cidr
from oracle.sources import Address, Rules, admits_address, admits_pod, is_unicast
from oracle.world import holders_of, of_kind, subjects_of
from webhook.admission.verdict import Lost
from webhook.netpol.sources.counterexample import PodExample
from webhook.netpol.sources.loss import AddressWitness

CHUNK = 500
CHUNKS = 4

Sides = tuple[Rules | None, Rules | None]
"""The rules that count for one subject and port, before and afterwards."""


def sides(pair: Pair, lost: Lost) -> Iterator[Sides]:
    """Yield the rules before and after for each set of pods that a loss may be about, in each state."""
    requirement = Requirement(
        kind=lost.instance.kind,
        name=lost.instance.name,
        component=lost.component.value,
        protocol=lost.protocol.value,
        port=lost.port,
    )
    before, after, _ = policies_around(pair.change, pair.objects)
    for holder in holders_of(pair.objects, pair.change.namespace):
        if (holder.kind, holder.name) == (requirement.kind, requirement.name):
            for known in subjects_of(holder, pair.change.namespace, pair.objects, SOUND):
                for subject, world in product(spelled_out(known, (before, after)), worlds_of(before, after)):
                    had, has = (rules_for(policies, subject, requirement, SOUND) for policies in world)
                    yield had, has


def is_cut_off(pod: Source, rules: Sides, *, by_label: bool) -> bool:
    """Whether a pod is no longer admitted that was admitted by its labels, or perhaps by its address."""
    had, has = rules
    by_address = any(peer.get("ipBlock") for _, peer in had or [])
    return (admits_pod(had, pod, SOUND) if by_label else by_address) and not admits_pod(has, pod, SOUND)


def fewer(labels: Mapping[str, str]) -> Iterator[dict[str, str]]:
    for key in labels:
        yield {known: value for known, value in labels.items() if known != key}


def is_smallest(pair: Pair, example: PodExample, rules: Sides) -> bool:
    """
    Whether a pod is cut off, and no pod with one label less is, of its own or of its namespace.

    The namespace exists, with the labels that it has, or may be created.
    """
    there = [n["metadata"] for n in of_kind(pair.objects, "Namespace") if n["metadata"]["name"] == example.namespace]
    if there and example.namespace_labels:
        return False
    return _is_smallest(example, there[0].get("labels") or {} if there else example.namespace_labels, rules)


def _is_smallest(example: PodExample, given: Mapping[str, str], rules: Sides) -> bool:

    def pod(namespace_labels: Mapping[str, str], labels: Mapping[str, str]) -> Source:
        known = {**namespace_labels, NAME_LABEL: example.namespace}
        return Source(namespace=example.namespace, namespace_labels=known, labels=dict(labels))

    whole = pod(given, example.labels)
    by_label = admits_pod(rules[0], whole, SOUND)
    smaller = chain(
        (pod(given, labels) for labels in fewer(example.labels)),
        (pod(labels, example.labels) for labels in fewer(example.namespace_labels)),
    )
    return is_cut_off(whole, rules, by_label=by_label) and not any(
        is_cut_off(one, rules, by_label=by_label) for one in smaller
    )


def is_lost(witness: AddressWitness, rules: Sides) -> bool:
    """Whether both ends of a range were admitted and no longer are, and the range is no wider."""
    family, first, last = read_cidr(witness.cidr)
    had, has = rules
    return all(
        is_unicast(end) and admits_address(had, end, SOUND) and not admits_address(has, end, SOUND)
        for end in (Address(family, first), Address(family, last))
    )


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_examples_are_cut_off_and_minimal(chunk: int) -> None:
    """For some set of pods that a loss is about, its example is cut off, and not one label of it can be dropped."""
    wrong, pods, ranges = [], 0, 0
    for seed in range(chunk * CHUNK, (chunk + 1) * CHUNK):
        pair = generate_pair(seed)
        if judge(pair.objects, pair.change, pair.settings).exempt is not None:
            continue
        for lost in (item for item in product_verdict(pair).lost if item.direction == "ingress"):
            match lost.counterexample:
                case PodExample() as example:
                    pods += 1
                    right = any(is_smallest(pair, example, rules) for rules in sides(pair, lost))
                case AddressWitness() as witness:
                    ranges += 1
                    right = any(is_lost(witness, rules) for rules in sides(pair, lost))
                case None:
                    right = not lost.decided
            if not right:
                wrong.append((seed, lost.counterexample))

    assert wrong == []
    assert pods > 30
    assert ranges > 10
