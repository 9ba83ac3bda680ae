"""What a change takes away under cluster-wide policies, against a naive evaluator that knows what is not known."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from random import Random
from typing import Any, Literal

import builders as b
import pytest
from oracle.connections import End, policies_answer
from oracle.semantics import SOUND
from oracle.tiers import Asked, answer_in_order, selected, tier_of, unknown_places

from netpol.asking import pod_of
from webhook.netpol import cluster_policies
from webhook.netpol.cluster_policies import ClusterPolicies, Tier, by_tier
from webhook.netpol.matching import selecting
from webhook.netpol.model import Pod, PolicyType, Protocol
from webhook.netpol.parse import read_policy
from webhook.netpol.parse_cluster_policies import read_cluster_policy
from webhook.netpol.sources import tier_loss
from webhook.netpol.sources.admitted import admitted
from webhook.netpol.sources.budget import Answers, StepBudget
from webhook.netpol.sources.decided import decisions_of
from webhook.netpol.sources.loss import BOUND_CLAUSE
from webhook.netpol.sources.term_algebra import EVERY, NO_PODS, Terms
from webhook.netpol.sources.terms import admits
from webhook.netpol.sources.tier_loss import NOT_KNOWN, Side, TierLoss, Tiers, is_broken, lost_in_tiers, tiers_at
from webhook.netpol.sources.universe import Universe

PORT = 3000
SEEDS = 100  # in one test
SPACES = {"eem": {"team": "a"}, "shop": {"team": "a"}, "bank": {"team": "b"}}
SERVER = b.pod("server", labels={"app": "web"})
UNIVERSE = Universe(ipblock_matches_pods="no", labels_of=lambda name: labels_in(name) if name in SPACES else None)


def labels_in(name: str) -> dict[str, str]:
    return {b.NAME_LABEL: name, **SPACES[name]}


def points() -> Iterator[End]:
    """Yield one source of each kind that a selector of these tests can tell apart."""
    spaces = [labels_in(name) for name in SPACES]
    spaces += [{b.NAME_LABEL: "new", **({} if team is None else {"team": team})} for team in (None, "a", "b", "z")]
    for labels, app in product(spaces, (None, "web", "db", "z")):
        pod = b.pod("source", labels[b.NAME_LABEL], labels={} if app is None else {"app": app})
        yield End(pod=pod, namespace_labels=labels, addresses=())
    for address in ("203.0.113.7", "198.51.100.1"):
        yield End(pod=None, namespace_labels={}, addresses=(address,))


POINTS = tuple(points())


# Random policies


def label_selector(rng: Random, keys: Mapping[str, Sequence[str]]) -> b.Node:
    key = rng.choice(tuple(keys))
    made: list[Callable[[], b.Node]] = [
        dict,
        lambda: {"matchLabels": {key: rng.choice(keys[key])}},
        lambda: {"matchExpressions": [b.expression(key, "NotIn", rng.choice(keys[key]))]},
        lambda: {"matchExpressions": [b.expression(key, rng.choice(("Exists", "DoesNotExist")))]},
    ]
    return rng.choice(made)()


def some_pods(rng: Random) -> b.Node:
    spaces = label_selector(rng, {"team": ("a", "b"), b.NAME_LABEL: ("shop",)})
    if rng.random() < 0.4:
        return {"namespaces": spaces}
    return b.pods(label_selector(rng, {"app": ("web", "db")}), spaces)


def tier_policy(rng: Random, name: str, *, doubtful: bool) -> b.ApiObject:
    rules = []
    for _ in range(rng.choice((1, 1, 2, 3))):
        peers = [some_pods(rng) for _ in range(rng.choice((1, 1, 2)))]
        if doubtful and rng.random() < 0.2:
            peers.append({"services": {}})
        ports = rng.choice((None, None, None, [{"portNumber": {"port": PORT}}], [{"portNumber": {"port": 1}}]))
        rules.append(b.rule(rng.choice(("Allow", "Deny", "Pass")), *peers, ports=ports))
    # Without doubt no two priorities are equal, and none is above 99
    priority = rng.choice((5, 5, 6, 150)) if doubtful else int(name[1:])
    subject = b.namespaces() if rng.random() < 0.7 else some_pods(rng)
    return b.admin_policy(name, priority=priority, subject=subject, ingress=rules)


def baseline(rng: Random) -> b.ApiObject:
    rules = [b.rule(rng.choice(("Allow", "Deny", "Deny")), some_pods(rng)) for _ in range(rng.choice((1, 2)))]
    return b.baseline_policy(ingress=rules)


def own_policy(rng: Random, name: str) -> b.ApiObject:
    peers = [
        {
            "namespaceSelector": label_selector(rng, {"team": ("a", "b")}),
            "podSelector": label_selector(rng, {"app": ("web", "db")}),
        }
        for _ in range(rng.choice((1, 2)))
    ]
    if rng.random() < 0.5:
        peers.append(b.block(rng.choice(("0.0.0.0/0", "203.0.113.0/24"))))
    return b.policy(name, ingress=rng.choice(([], [{}], [{"from": peers}], [{"from": peers}])))


# The two answers


@dataclass(frozen=True)
class World:
    """One reading of all that is not known: who is asked first, and what a doubtful part does."""

    ranks: Mapping[str, float]
    choices: Mapping[tuple[str, ...], bool]

    def admits(self, objects: Sequence[b.ApiObject], source: End) -> bool:
        subject = End(pod=SERVER, namespace_labels=labels_in("eem"), addresses=())
        asked = Asked(subject=subject, other=source, direction="Ingress", protocol="TCP", port=PORT, containers=[])
        answer = self._tier("Admin", objects, asked) or policies_answer(asked, objects, SOUND)
        return (answer or self._tier("Baseline", objects, asked) or "allowed") == "allowed"

    def _tier(self, tier: str, objects: Sequence[b.ApiObject], asked: Asked) -> str:
        policies = [one for one in cluster_wide(objects) if tier_of(one) == tier]
        speaking = [one for one in policies if selected(one["spec"]["subject"], asked.subject, SOUND)]
        order = sorted(speaking, key=lambda one: (one["spec"].get("priority", 0), self.ranks[one["metadata"]["name"]]))
        doubtful = set(unknown_places(order, asked))
        return answer_in_order(order, asked, {place: self.choices[place] for place in doubtful}, SOUND)


def cluster_wide(objects: Sequence[b.ApiObject]) -> list[b.ApiObject]:
    return [one for one in objects if one["kind"] != "NetworkPolicy"]


def worlds(rng: Random, *states: Sequence[b.ApiObject]) -> Iterator[World]:
    policies = [one for state in states for one in cluster_wide(state)]
    asked = Asked(subject=None, other=POINTS[-1], direction="Ingress", protocol="TCP", port=PORT, containers=[])
    places = unknown_places(policies, asked)
    for _ in range(6):
        ranks = {one["metadata"]["name"]: rng.random() for one in policies}
        yield World(ranks=ranks, choices={place: rng.random() < 0.5 for place in places})


def side(objects: Sequence[b.ApiObject], tiers: Tiers | None = None) -> Side:
    pod = pod_of("server", labels={"app": "web"})
    policies = [read_policy(one)[0] for one in objects if one["kind"] == "NetworkPolicy"]
    return Side(
        sources=admitted(policies, pod, Protocol.TCP, PORT),
        isolated=bool(selecting(policies, pod, PolicyType.INGRESS)),
        tiers=tiers or tiers_of(objects, pod),
    )


def tiers_of(objects: Sequence[b.ApiObject], pod: Pod) -> Tiers:
    known = ClusterPolicies.of(read_cluster_policy(one)[0] for one in cluster_wide(objects))
    found = by_tier(known.speaking_of(pod, labels_in("eem"), PolicyType.INGRESS))
    admin, base = (
        decisions_of(found.get(tier, ()), pod, Protocol.TCP, PORT, StepBudget()) for tier in (Tier.ADMIN, Tier.BASELINE)
    )
    return Tiers(admin=admin, baseline=base)


def is_lost(world: World, before: Sequence[b.ApiObject], after: Sequence[b.ApiObject], demand: str) -> bool:
    had = [world.admits(before, point) for point in POINTS]
    has = [world.admits(after, point) for point in POINTS]
    if demand == "some":
        return any(had) and not any(has)
    return any(one and not other for one, other in zip(had, has, strict=True))


def lost_between(
    before: Sequence[b.ApiObject], after: Sequence[b.ApiObject], demand: Literal["anywhere", "some"] = "anywhere"
) -> TierLoss | None:
    """Return the loss of a change: of a NetworkPolicy where the cluster-wide policies are the same."""
    had = side(before)
    same = cluster_wide(before) == cluster_wide(after)
    has = side(after, had.tiers) if same else side(after)
    return lost_in_tiers(had, has, demand, NO_PODS if same else EVERY, UNIVERSE, Answers())


def cases(seed: int) -> tuple[list[b.ApiObject], list[b.ApiObject], bool, Random]:
    """Return a state before and after a change of one policy, and whether some part of it is doubtful."""
    rng = Random(seed)
    doubtful = rng.random() < 0.5
    objects = [tier_policy(rng, f"a{number}", doubtful=doubtful) for number in range(rng.choice((0, 1, 2, 3)))]
    objects += [baseline(rng)] if rng.random() < 0.5 else []
    objects += [own_policy(rng, f"n{number}") for number in range(rng.choice((0, 1, 2)))]
    if rng.random() < 0.5:
        made = own_policy(rng, "n0")
    else:
        made = baseline(rng) if rng.random() < 0.3 else tier_policy(rng, "a0", doubtful=doubtful)
    name = made["metadata"]["name"]
    others = [one for one in objects if one["metadata"]["name"] != name]
    changed = others if rng.random() < 0.3 else [*others, made]
    return objects, changed, doubtful, rng


@pytest.mark.parametrize("demand", ["anywhere", "some"])
@pytest.mark.parametrize("part", range(4))
def test_the_loss_against_a_naive_evaluator(part: int, demand: Literal["anywhere", "some"]) -> None:
    """What is decided is lost in every world, and what is found not lost is lost in none; without doubt it is exact."""
    decided = lost = 0
    for seed in range(part * SEEDS, part * SEEDS + SEEDS):
        before, after, doubtful, rng = cases(seed)
        found = lost_between(before, after, demand)
        truth = {is_lost(world, before, after, demand) for world in worlds(rng, before, after)}
        if found is None:
            assert truth == {False}, seed
        elif found.loss.decided:
            assert truth == {True}, seed
        else:
            assert doubtful, seed
            assert found.loss.why_undecided, seed
        decided += found is None or found.loss.decided
        lost += found is not None and found.loss.decided
    assert decided > SEEDS / 2  # most is known
    assert lost > (0 if demand == "some" else SEEDS / 8)


@pytest.mark.parametrize("part", range(2))
def test_the_bounds_of_what_is_admitted(part: int) -> None:
    """What is surely admitted is admitted in every world, and what is admitted in some world is possibly admitted."""
    for seed in range(part * SEEDS, part * SEEDS + SEEDS):
        objects, _, doubtful, rng = cases(seed)
        here = side(objects)
        budget = StepBudget()
        surely, possibly = here.surely(budget), here.possibly(budget)
        for world, point in product(worlds(rng, objects), POINTS[:-2]):
            labels: Any = (point.namespace_labels, point.labels)
            is_admitted = world.admits(objects, point)
            assert holds(surely.terms, *labels) <= is_admitted <= holds(possibly.terms, *labels), seed
        if not doubtful:
            assert surely == possibly
        assert not (is_broken(here, "anywhere", UNIVERSE, Answers()) and possibly.everyone)


def holds(terms: Terms, namespace_labels: Any, labels: Any) -> bool:
    return admits(terms, namespace_labels, labels)


# The laws


@pytest.mark.parametrize("seed", range(60))
def test_an_admin_accept_loses_nothing_and_a_deny_gains_nothing(seed: int) -> None:
    """A new Admin Allow before all others takes nothing away; removing a Deny that was first takes nothing away."""
    rng = Random(seed)
    others = [tier_policy(rng, f"a{number}", doubtful=False) for number in range(1, 3)] + [own_policy(rng, "n0")]
    peers = [some_pods(rng) for _ in range(2)]
    accept = b.admin_policy("first", priority=0, ingress=[b.rule("Allow", *peers)])
    deny = b.admin_policy("first", priority=0, ingress=[b.rule("Deny", *peers)])

    assert lost_between(others, [*others, accept]) is None
    assert lost_between([*others, deny], others) is None
    assert lost_between([*others, deny], [*others, accept]) is None


# Limits


def strangers(number: int) -> b.Node:
    """Return pods by five labels: what is left without many of them is a union of very many terms."""
    return b.pods(b.selector(**{f"k{key}": str((number >> key) % 7) for key in range(5)}))


def test_rules_that_are_too_many() -> None:
    """Where the rules meet each other in too many ways, what they decide is not known."""
    rules = [b.rule("Pass", *[strangers(17 * number + index) for index in range(60)]) for number in range(30)]
    policy = b.admin_policy("many", ingress=[*rules, b.rule("Deny", b.namespaces())])
    pod = pod_of("server", labels={"app": "web"})
    known = ClusterPolicies.of([read_cluster_policy(policy)[0]])
    tiers = tiers_at(known, pod, labels_in("eem"), Protocol.TCP, PORT)

    assert tiers == Tiers(admin=NOT_KNOWN)


def test_questions_that_take_too_many_steps() -> None:
    """A search that is given up is not decided, and nothing counts as broken."""
    objects = [b.admin_policy("a", ingress=[b.rule("Deny", b.namespaces(team="a"))])]
    before, after, answers = side([]), side(objects), Answers(steps=0)
    found = lost_in_tiers(before, after, "anywhere", EVERY, UNIVERSE, answers)

    assert found is not None
    assert (found.loss.decided, found.loss.why_undecided) == (False, BOUND_CLAUSE)
    assert not is_broken(side([*objects, b.policy("n", ingress=[{}])]), "some", UNIVERSE, answers)
    assert is_broken(after, "anywhere", UNIVERSE, Answers())


def test_what_is_kept_of_answers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found out is found out again, rather than kept without bounds."""
    monkeypatch.setattr(tier_loss, "MOST_ANSWERS", 1)
    monkeypatch.setattr(cluster_policies, "MOST_SPACES", 1)
    known = ClusterPolicies.of([read_cluster_policy(b.admin_policy(ingress=[b.rule("Deny", b.namespaces())]))[0]])
    pod = pod_of("server")
    for port in (1, 2, 3):
        for name in SPACES:
            assert tiers_at(known, pod, labels_in(name), Protocol.TCP, port) is not None

    assert (len(known.answers), len(known.spaces)) == (1, 1)


@pytest.mark.parametrize(
    ("matches", "ranges", "is_decided"),
    [("yes", None, True), ("unknown", None, False), ("no", None, None), ("yes", {4: ((1, 2),)}, True)],
)
def test_pods_that_only_an_ip_block_admits(matches: Any, ranges: Any, is_decided: bool | None) -> None:  # noqa: FBT001
    """A new Deny cuts them off where ipBlocks surely admit pods, and perhaps where that is not known."""
    block = b.policy("n", ingress=[b.from_(b.block("0.0.0.0/0"))])
    deny = b.admin_policy("a", ingress=[b.rule("Deny", b.namespaces())])
    universe = Universe(ipblock_matches_pods=matches, pod_ranges=ranges)
    found = lost_in_tiers(side([block]), side([block, deny]), "anywhere", EVERY, universe, Answers())

    assert is_decided is (None if found is None else found.loss.decided)
