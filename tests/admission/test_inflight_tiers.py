"""Changes of cluster-wide policies in flight: what settles one, and in which states they may leave the policies."""

import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from builders import (
    GATEWAY_KIND,
    ApiObject,
    admin_policy,
    baseline_policy,
    body,
    from_,
    instance,
    namespace,
    namespaces,
    peer,
    pod,
    pods,
    policy,
    review,
    rule,
)

from webhook.admission import AdmissionRequest, Options, decide, decode_review
from webhook.admission.cluster_change import ClusterChange, change_of, name_in
from webhook.admission.clusterpolicy import decide_cluster_change
from webhook.admission.inflight import MOST_PENDING_BYTES, PENDING_SECONDS, InFlight
from webhook.admission.inflight_tiers import MOST_PENDING_TIERS, TiersInFlight
from webhook.eem import EemSnapshot
from webhook.netpol.cluster_policies import ClusterPolicies
from webhook.netpol.parse_cluster_policies import read_cluster_policy
from webhook.netpol.sources.term_algebra import NO_PODS


def known(*objects: ApiObject) -> ClusterPolicies:
    return ClusterPolicies.of(read_cluster_policy(one)[0] for one in objects)


def made(name: str = "a", action: str = "Allow", uid: str = "u", version: str = "5") -> ApiObject:
    policy = admin_policy(name, ingress=[rule(action, namespaces())])
    return {**policy, "metadata": {"name": name, "uid": uid, "resourceVersion": version}}


def change(old: ApiObject | None, new: ApiObject | None) -> ClusterChange:
    name = (old or new or {})["metadata"]["name"]
    sides: Any = [known(*(one for one in (side,) if one is not None)) for side in (old, new)]
    return ClusterChange(key=("AdminNetworkPolicy", name), before=sides[0], after=sides[1], changed=(), touched=NO_PODS)


OLD, NEW = made(), made(action="Deny", version="")


@pytest.mark.parametrize(
    ("old", "new", "cached", "current", "is_over"),
    [
        pytest.param(None, NEW, [], [], False, id="a creation that is not seen"),
        pytest.param(None, NEW, [], [made(version="6")], True, id="one that is seen: the uid is the same"),
        pytest.param(None, NEW, [], [made(uid="other")], False, id="another one of its name"),
        pytest.param(OLD, NEW, [OLD], [OLD], False, id="an update that is not seen"),
        pytest.param(OLD, NEW, [], [made(version="4")], False, id="a cache that is behind the old version"),
        pytest.param(OLD, NEW, [OLD], [made(version="6")], True, id="a later version"),
        pytest.param(OLD, None, [OLD], [], True, id="a deletion that is seen"),
        pytest.param(OLD, None, [], [], False, id="a cache that never had it"),
    ],
)
def test_what_settles_a_change(
    old: ApiObject | None,
    new: ApiObject | None,
    cached: list[ApiObject],
    current: list[ApiObject],
    is_over: bool,  # noqa: FBT001
) -> None:
    """A version later than its old one does, or the time in which it could have happened."""
    in_flight = TiersInFlight().with_admitted(change(old, new), known(*cached), 0.0)

    assert (in_flight.without_seen(known(*current), 1.0).pending == ()) is is_over
    assert in_flight.without_seen(known(*current), PENDING_SECONDS + 1).pending == ()


def test_every_state_in_which_they_may_leave_the_policies() -> None:
    """Each of two changes has happened or not; the policy that is changed now is as its request says."""
    policies = known(OLD, made("b"))
    in_flight = TiersInFlight().with_admitted(change(OLD, NEW), policies, 0.0)
    in_flight = in_flight.with_admitted(change(made("b"), None), policies, 0.0)
    found = [sorted(key[1] for key in one.known) for one in in_flight.others(policies).each]
    beside = in_flight.around(change(made("b"), None), policies)

    assert sorted(found) == [["a"], ["a"], ["a", "b"]]
    assert [sorted(key[1] for key in one.before.known) for one in beside] == [["a", "b"]]
    assert [sorted(key[1] for key in one.after.known) for one in beside] == [["a"]]


def states_of(found: TiersInFlight, policies: ClusterPolicies) -> tuple[int, bool]:
    states = found.others(policies)
    return len(states.each), states.are_extremes


def creations(count: int, size: int = 0) -> TiersInFlight:
    found = TiersInFlight()
    for number in range(count):
        found = found.with_admitted(change(None, made(f"p{number}")), known(), 5.0, size=size)
    return found


def test_what_is_kept_is_bounded() -> None:
    """Of a change that does not fit, only the time is kept."""
    found = creations(MOST_PENDING_TIERS + 1)

    assert (len(found.pending), found.overfull_at) == (MOST_PENDING_TIERS, 5.0)
    assert found.pending == creations(MOST_PENDING_TIERS).pending


def test_the_bytes_that_are_kept_are_bounded() -> None:
    """One change of any size is kept, and beside others only what keeps them within their bytes."""
    assert creations(1, MOST_PENDING_BYTES + 1).overfull_at is None
    assert creations(2, MOST_PENDING_BYTES // 2).overfull_at is None
    assert creations(2, MOST_PENDING_BYTES // 2 + 1).overfull_at == 5.0


def test_a_change_that_is_repeated_is_kept_once() -> None:
    """The API server asks again where an answer does not come in time; another version or content is another change."""
    found = TiersInFlight()
    for one in (change(OLD, NEW), change(OLD, NEW), change(OLD, None), change(made(version="6"), NEW)):
        found = found.with_admitted(one, known(OLD), 0.0)

    assert len(found.pending) == 3


def test_what_did_not_fit_is_forgotten_when_it_is_too_old_to_happen() -> None:
    """Until then the policies may do anything."""
    found = replace(TiersInFlight(), overfull_at=5.0)

    assert found.without_seen(known(), 5.0 + PENDING_SECONDS) is found
    assert found.without_seen(known(), 5.1 + PENDING_SECONDS) == TiersInFlight()


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (TiersInFlight(), (0, False)),
        (creations(4), (15, False)),
        (creations(5), (2, True)),
        (TiersInFlight(overfull_at=0.0), (2, True)),
    ],
    ids=["nothing", "as many as are combined", "more", "one that did not fit"],
)
def test_extremes_stand_for_more_states_than_are_judged_one_by_one(
    found: TiersInFlight, expected: tuple[int, bool]
) -> None:
    """They do not depend on what is in flight."""
    assert states_of(found, known(OLD)) == expected


# The extremes, compared with policies at random

SEEDS = range(120)
ANYTHING = TiersInFlight(overfull_at=0.0)
OPTIONS = Options(egress="enforce")
TEAMS = ("red", "blue")
SELF = {"kubernetes.io/metadata.name": "eem"}


def some_rules(rng: random.Random, field: str, most: int = 2) -> list[ApiObject]:
    peers = [namespaces(), *(pods({"team": team}) for team in TEAMS)]
    chosen = (rng.choice(("Allow", "Deny", "Pass")) for _ in range(rng.randint(0, most)))
    return [rule(action, rng.choice(peers), field=field) for action in chosen]


def some_policy(rng: random.Random, name: str, baseline: bool) -> ApiObject:  # noqa: FBT001  drawn
    rules = {"ingress": some_rules(rng, "from"), "egress": some_rules(rng, "to")}
    if not baseline:
        return admin_policy(name, priority=rng.randrange(0, 90, 10), **rules)
    for side in rules.values():
        side[:] = [one for one in side if one["action"] != "Pass"]
    return baseline_policy(**rules)


def some_change(rng: random.Random) -> tuple[ApiObject | None, ApiObject | None]:
    baseline = rng.random() < 0.3
    old, new = (some_policy(rng, "changed", baseline) for _ in range(2))
    if rng.random() < 0.5 and not baseline:
        new["spec"]["priority"] = old["spec"]["priority"]
    return rng.choice([(old, None), (None, new), (old, new), (old, new)])


def some_others(rng: random.Random, beside: ApiObject) -> list[ApiObject]:
    """Return policies at places of their own: two of one priority may be asked in any order."""
    found = [{**some_policy(rng, f"other-{n}", baseline=False)} for n in range(rng.randint(1, 3))]
    for number, one in enumerate(found):
        one["spec"]["priority"] = rng.randrange(0, 90, 10) + 1 + number
    more = [some_policy(rng, "default", baseline=True)] if rng.random() < 0.5 else []
    return found + (more if beside["kind"] != "BaselineAdminNetworkPolicy" else [])


def some_network_policy(rng: random.Random, name: str) -> ApiObject:
    peers = [peer(namespaces={}), *(peer({"matchLabels": {"team": team}}, {}) for team in TEAMS)]
    chosen = [one for one in peers if rng.random() < 0.4]
    rules = [from_()] if rng.random() < 0.2 else [from_(*chosen)] if chosen else []
    return policy(name, ingress=rules)


def a_cluster(*policies: ApiObject, sources: str = "anywhere") -> EemSnapshot:
    team = [pod(f"client-{one}", "default", labels={"team": one}) for one in TEAMS]
    setting = {"eem-guardrail.io/sources": sources}
    here = (namespace("eem", annotations=setting), namespace("default"), instance("gw", kind=GATEWAY_KIND))
    return EemSnapshot.from_objects((*here, *team, *policies))


def a_review(pair: tuple[ApiObject | None, ApiObject | None]) -> AdmissionRequest:
    return decode_review(body(review(*pair)))


@pytest.mark.parametrize("sources", ["anywhere", "some"])
def test_a_cluster_wide_change_that_any_other_policies_make_a_loss_is_a_loss_in_an_extreme(sources: str) -> None:
    """And not every change is."""
    seen: Counter[tuple[bool, bool]] = Counter()
    for seed in SEEDS:
        rng = random.Random(seed)
        pair = some_change(rng)
        snapshot = a_cluster(*(some_network_policy(rng, f"np-{n}") for n in range(rng.randint(0, 1))), sources=sources)
        request, beside = a_review(pair), pair[0] or pair[1] or {}
        one = change_of(request, name_in(request), snapshot)

        def allows(there: ClusterChange) -> bool:
            world = snapshot.with_cluster_policies(there.before)  # noqa: B023  it is called at once
            return decide_cluster_change(request, there, world, OPTIONS).allowed  # noqa: B023  as above

        in_any = all(map(allows, ANYTHING.around(one, known())))
        real = all(allows(one.beside(known(*some_others(rng, beside)))) for _ in range(8))
        seen[in_any, real] += 1
        assert real or not in_any, seed

    assert min(seen[True, True], seen[False, False]) > 3


@pytest.mark.parametrize("sources", ["anywhere", "some"])
def test_a_change_of_a_network_policy_that_any_policies_make_a_loss_is_a_loss_in_an_extreme(sources: str) -> None:
    """And not every change is."""
    seen: Counter[tuple[bool, bool]] = Counter()
    extremes = ANYTHING.others(known())
    for seed in SEEDS:
        rng = random.Random(seed)
        old, new = (some_network_policy(rng, "changed") for _ in range(2))
        pair = rng.choice([(old, None), (None, new), (old, new)])
        stored = [some_network_policy(rng, f"np-{n}") for n in range(rng.randint(0, 1))]
        snapshot = a_cluster(*stored, *(one for one in pair[:1] if one is not None), sources=sources)
        in_flight = InFlight(tiers=extremes.each, any_tiers=extremes.are_extremes)
        in_any = decide(a_review(pair), snapshot, OPTIONS, in_flight).allowed
        there = (known(*some_others(rng, admin_policy())) for _ in range(8))
        real = all(decide(a_review(pair), snapshot.with_cluster_policies(one), OPTIONS).allowed for one in there)
        seen[in_any, real] += 1
        assert real or not in_any, seed

    assert min(seen[True, True], seen[False, False]) > 3
