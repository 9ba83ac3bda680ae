"""Replicas and API servers whose clocks differ by ten minutes: every API server trusts every replica."""

import itertools
from datetime import timedelta

import pytest
from certificate_builders import with_request
from simulation import World

from certs.authority import fingerprint
from certs.renewal import Lifetimes

SKEW_SECONDS = 600.0
SKEWS = tuple(itertools.permutations((0.0, SKEW_SECONDS, -SKEW_SECONDS)))
SHORT = Lifetimes(ca=timedelta(hours=24), leaf=timedelta(hours=2), propagation_seconds=60.0)
LOOK_SECONDS = 60.0
LEADS_SECONDS = 25 * 60.0  # shorter than two thirds of a leaf: each leader gets a leaf that another replica made


def skewed(skews: tuple[float, ...]) -> World:
    """Start one replica for each skew, and wait until all serve and every entry has a bundle."""
    world = World(replicas=len(skews), lifetimes=SHORT)
    world.register_seconds = 5.0
    for each, skew in zip(world.replicas, skews, strict=True):
        each.skew, each.watch_lag, each.view_lag = skew, 0.5, 1.0
    world.start()
    world.run_until(lambda: all(each.served for each in world.replicas) and all(world.entries))
    return world


def accepted(world: World) -> bool:
    """Whether API servers whose clocks are ten minutes behind or ahead accept what each replica serves."""
    margin = timedelta(seconds=SKEW_SECONDS)
    early, late = world.true_now() - margin, world.true_now() + margin
    served = [each.served for each in world.replicas if each.served is not None]
    chains = [pair.certificate for one in served for pair in (one.leaf, one.signer) if pair is not None]
    return all(one.not_valid_before_utc <= early and late < one.not_valid_after_utc for one in chains)


def live(world: World, hours: float) -> None:
    """Let time pass, change the leader regularly, and check what is served all the time."""
    ends = world.loop.time() + hours * 3600
    for turn in itertools.count():
        world.lead(world.replicas[turn % len(world.replicas)])
        for _ in range(int(LEADS_SECONDS / LOOK_SECONDS)):
            world.run(LOOK_SECONDS)
            assert accepted(world), f"{world.loop.time()}: an API server rejects it"
        if world.loop.time() >= ends:
            return


@pytest.mark.parametrize("skews", SKEWS, ids=str)
def test_skewed_clocks_renew_a_leaf_at_most_twenty_minutes_early(skews: tuple[float, ...]) -> None:
    """In twelve hours, a leaf is renewed at most twenty minutes earlier than by one clock, and the authority stays."""
    hours = 12
    with skewed(skews) as world:
        first = world.store.material().bundle
        live(world, hours)

        assert world.store.material().bundle == first
        soonest = SHORT.leaf * (2 / 3 - 1 / 20) - timedelta(seconds=2 * SKEW_SECONDS)
        assert 1 + hours / 2 <= len(world.store.writes) <= 1 + timedelta(hours=hours) / soonest


@pytest.mark.parametrize("skews", SKEWS, ids=str)
def test_skewed_clocks_rotate_once(skews: tuple[float, ...]) -> None:
    """A rotation that is requested by a clock ahead happens once, and one authority remains."""
    made: set[str] = set()
    with skewed(skews) as world:
        world.store.changed.append(lambda: made.update(map(fingerprint, world.store.material().bundle)))
        live(world, 1)
        (old,) = world.store.material().bundle
        asked = world.true_now() + timedelta(seconds=SKEW_SECONDS)
        world.call(lambda: world.store.put(with_request(world.store.secret or {}, asked), "request"))
        live(world, 6)
        (new,) = world.store.material().bundle

        assert made == {fingerprint(old), fingerprint(new)}
        assert {each.authority for each in world.replicas} == {fingerprint(new)}
