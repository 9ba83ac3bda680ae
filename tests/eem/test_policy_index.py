"""The index of policies: after any change it is that of the policies that there are."""

import random

import pytest
from builders import expression, policy, selector

from webhook.eem.policy_index import PolicyIndex
from webhook.netpol.model import NetworkPolicy
from webhook.netpol.parse import read_policy

BYPASS = {"eem-guardrail.io/bypass": "INC-1"}


def choice(dice: random.Random) -> NetworkPolicy:
    """Return a policy of one of four names."""
    every = selector(), selector(app="a"), selector(app="b", role="x"), selector(expression("app", "Exists"))
    return read_policy(
        policy(
            f"policy-{dice.randrange(4)}",
            pod_selector=dice.choice(every),
            policy_types=dice.choice((["Ingress"], ["Egress"])),
            annotations=dice.choice((None, BYPASS)),
        )
    )[0]


def parts(index: PolicyIndex) -> tuple[object, ...]:
    by_label = {label: dict(known) for label, known in index.by_label.items() if len(known)}
    return by_label, dict(index.egress), dict(index.marked)


@pytest.mark.parametrize("seed", range(4))
def test_an_index_that_is_carried_on_is_that_of_the_policies(seed: int) -> None:
    """Policies are added, changed and deleted."""
    dice, index = random.Random(seed), PolicyIndex()
    known: dict[str, NetworkPolicy] = {}
    for _ in range(60):
        new = choice(dice)
        old = known.pop(new.name, None)
        is_gone = old is not None and dice.random() < 0.4
        index = index.changed(new.name, old, None if is_gone else new)
        known |= {} if is_gone else {new.name: new}

        assert parts(index) == parts(PolicyIndex.of(known.values()))


def test_policies_are_found_by_the_labels_of_their_selectors() -> None:
    """And no other one."""
    both = read_policy(policy("both", pod_selector=selector(app="a", role="x")))[0]
    index = PolicyIndex.of([both, read_policy(policy("every"))[0]])

    assert list(index.selecting_by(["app"])) == [both]
    assert list(index.selecting_by(["tier"])) == []
