"""Replicas whose clocks are ten minutes apart, either way, and API servers whose are: nobody distrusts anybody."""

import itertools
from datetime import timedelta

import pytest
from simulation import World

from certs import Lifetimes
from certs.authority import fingerprint
from certs.secret import with_request

SKEW_SECONDS = 600.0
SKEWS = tuple(itertools.permutations((0.0, SKEW_SECONDS, -SKEW_SECONDS)))
SHORT = Lifetimes(ca=timedelta(hours=24), leaf=timedelta(hours=2), propagation_seconds=60.0)
LOOK_SECONDS = 60.0
LEADS_SECONDS = 25 * 60.0  # another leads sooner than a leaf is due, so each of them meets what another one made


def skewed(skews: tuple[float, ...]) -> World:
    """Run one replica for each skew, until all serve and everything is published."""
    world = World(replicas=len(skews), lifetimes=SHORT)
    world.register_seconds = 5.0
    for each, skew in zip(world.replicas, skews, strict=True):
        each.skew, each.watch_lag, each.view_lag = skew, 0.5, 1.0
    world.start()
    world.run_until(lambda: all(each.served for each in world.replicas) and all(world.entries))
    return world


def accepted(world: World) -> bool:
    """Say whether API servers that are as far behind or ahead take what each replica serves."""
    margin = timedelta(seconds=SKEW_SECONDS)
    early, late = world.true_now() - margin, world.true_now() + margin
    served = [each.served for each in world.replicas if each.served is not None]
    chains = [pair.certificate for one in served for pair in (one.leaf, one.signer) if pair is not None]
    return all(one.not_valid_before_utc <= early and late < one.not_valid_after_utc for one in chains)


def live(world: World, hours: float) -> None:
    """Let time pass, with another leader from time to time, and look at what is served all along."""
    ends = world.loop.time() + hours * 3600
    for turn in itertools.count():
        world.lead(world.replicas[turn % len(world.replicas)])
        for _ in range(int(LEADS_SECONDS / LOOK_SECONDS)):
            world.run(LOOK_SECONDS)
            assert accepted(world), f"{world.loop.time()}: an API server would not take it"
        if world.loop.time() >= ends:
            return


@pytest.mark.parametrize("skews", SKEWS, ids=str)
def test_leaves_are_renewed_no_oftener_than_the_clocks_differ(skews: tuple[float, ...]) -> None:
    """Half a day: a leaf is due twenty minutes sooner at most than by one clock, and the authority is one."""
    hours = 12
    with skewed(skews) as world:
        first = world.store.material().bundle
        live(world, hours)

        assert world.store.material().bundle == first
        soonest = SHORT.leaf * (2 / 3 - 1 / 20) - timedelta(seconds=2 * SKEW_SECONDS)
        assert 1 + hours / 2 <= len(world.store.writes) <= 1 + timedelta(hours=hours) / soonest


@pytest.mark.parametrize("skews", SKEWS, ids=str)
def test_an_authority_is_replaced_once(skews: tuple[float, ...]) -> None:
    """Asked for by a clock that is ahead, too, a rotation takes its steps once, and leaves one authority."""
    made: set[str] = set()
    with skewed(skews) as world:
        world.store.changed.append(lambda: made.update(map(fingerprint, world.store.material().bundle)))
        live(world, 1)
        (old,) = world.store.material().bundle
        asked = world.true_now() + timedelta(seconds=SKEW_SECONDS)
        world.call(lambda: world.store.put(with_request(world.store.secret or {}, asked), "ask"))
        live(world, 6)
        (new,) = world.store.material().bundle

        assert made == {fingerprint(old), fingerprint(new)}
        assert {each.authority for each in world.replicas} == {fingerprint(new)}
