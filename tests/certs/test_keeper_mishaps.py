"""What comes to keepers from outside that they would not have made: strange certificates, and clocks that are wrong."""

import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from certificate_builders import authority as made_authority
from simulation import NAMES, START, Replica, World, ask, damage, is_good, running
from strange_certificates import of_version_4, with_doubled_extension, with_odd_subject

from certs import Lifetimes
from certs.authority import fingerprint
from certs.bundle import bundle_to_pem
from certs.material import MAX_CERTIFICATES_BYTES, Material, new_material
from certs.secret import changed_secret
from certs.trust import authorities_in

WEEKS = Lifetimes()
HOURS = Lifetimes(leaf=timedelta(hours=3))
LOOK_SECONDS = 600.0
STRANGE: dict[str, Callable[[Material], tuple[str, bytes]]] = {
    "an authority of version 4": lambda held: ("ca.crt", of_version_4(held.bundle[0])),
    "an authority with a doubled extension": lambda held: ("ca.crt", with_doubled_extension(held.bundle[0])),
    "another authority of an odd name": lambda held: (
        "ca.crt",
        held.bundle_pem + with_odd_subject(made_authority(now=START).certificate),
    ),
    "a leaf of version 4": lambda held: ("tls.crt", of_version_4(held.leaf.certificate)),
    "a leaf with a doubled extension": lambda held: ("tls.crt", with_doubled_extension(held.leaf.certificate)),
    "a leaf of an odd name": lambda held: ("tls.crt", with_odd_subject(held.leaf.certificate)),
}


def spoil(world: World, strange: str) -> None:
    """Put something strange into the Secret."""
    entry, content = STRANGE[strange](world.store.material())
    damage(world, lambda secret: secret["data"].update({entry: base64.b64encode(content).decode()}))


def in_time(world: World, replica: Replica) -> bool:
    """Say whether callers, whose clocks are right, take what a replica serves."""
    assert replica.served is not None
    leaf = replica.served.leaf.certificate
    return leaf.not_valid_before_utc <= world.true_now() < leaf.not_valid_after_utc


def start_ahead(world: World, replica: Replica, hours: float) -> None:
    """Start a replica again, on a machine whose clock is ahead."""
    world.call(replica.kill)
    replica.skew = hours * 3600
    world.start(replica)


@pytest.mark.parametrize("strange", STRANGE)
def test_a_strange_certificate_ends_no_keeper_and_is_mended(worlds: Callable[..., World], strange: str) -> None:
    """What was there comes back, and everybody lives and serves on."""
    world = running(worlds(replicas=2, lifetimes=WEEKS))
    before = world.store.material()
    spoil(world, strange)
    world.run_until(lambda: is_good(world))
    world.run(10.0)

    assert world.store.material().entries() == before.entries()
    assert all(each.lives and each.counted for each in world.replicas)


@pytest.mark.parametrize("strange", STRANGE)
def test_a_strange_certificate_stops_no_start(worlds: Callable[..., World], strange: str) -> None:
    """Who finds it when nobody has the authority in memory makes a new one, as for anything else that is broken."""
    world = running(worlds(replicas=2, lifetimes=WEEKS))
    world.call(lambda: [each.kill() for each in world.replicas])
    world.trust_lost = True
    spoil(world, strange)
    world.start()
    world.run_until(lambda: all(each.served for each in world.replicas))

    assert is_good(world)
    assert all(each.lives for each in world.replicas)


def test_a_strange_published_bundle_trusts_nobody_and_is_published_over(worlds: Callable[..., World]) -> None:
    """Whatever somebody wrote into a configuration, the leader's bundle comes back."""
    world = running(worlds(replicas=2, lifetimes=WEEKS))
    world.trust_lost = True
    world.call(lambda: world.publish(0, of_version_4(world.store.material().bundle[0])))
    world.run(10.0)

    assert all(each.lives for each in world.replicas)
    assert set(world.entries) == {world.store.material().bundle_pem}


def test_a_bundle_without_room_makes_no_loop_of_writes(worlds: Callable[..., World]) -> None:
    """Where the authority that is served does not fit into the Secret, it is published all the same and not written."""
    world = running(worlds(lifetimes=HOURS))
    other = new_material(NAMES, now=START, lifetimes=HOURS)
    fits = list(other.bundle)
    while len(bundle_to_pem(fits)) <= MAX_CERTIFICATES_BYTES:
        fits.append(made_authority(now=START).certificate)
    full = replace(other, bundle=tuple(fits[:-1]))
    world.call(lambda: world.store.put(changed_secret(world.store.secret or {}, full), "another"))
    world.run(60.0)

    assert world.replicas[0].lives
    assert len(world.store.writes) < 5


@pytest.mark.parametrize("leads", [True, False], ids=["leads", "does not lead"])
def test_a_clock_that_is_ahead_makes_nobody_serve_too_early(worlds: Callable[..., World], *, leads: bool) -> None:
    """It renews what is due by itself alone; the others keep what is valid until the new one is."""
    world = running(worlds(replicas=3, lifetimes=HOURS))
    ahead, *others = world.replicas
    start_ahead(world, ahead, 2.75)
    world.lead(ahead if leads else others[0])
    world.run(300.0)

    assert world.store.material().leaf.certificate.not_valid_before_utc > world.true_now()
    assert all(in_time(world, each) for each in others)


def with_a_clock_ahead(worlds: Callable[..., World]) -> World:
    """Have the second of three replicas lead, while the first has put a leaf from the future into the Secret."""
    world = running(worlds(replicas=3, lifetimes=HOURS))
    world.register_seconds = 20.0  # nothing to publish for long
    ahead, leader, _ = world.replicas
    start_ahead(world, ahead, 7)
    world.lead(leader)
    world.run(300.0)
    return world


def test_a_leaf_from_the_future_is_renewed_when_what_is_served_is_due(worlds: Callable[..., World]) -> None:
    """The leader goes by its own pair; two writes each time, since the clock that is ahead renews at once."""
    world = with_a_clock_ahead(worlds)
    _, leader, other = world.replicas
    first = leader.served
    for _ in range(int(timedelta(hours=4).total_seconds() / LOOK_SECONDS)):
        world.run(LOOK_SECONDS)
        assert all(in_time(world, each) for each in (leader, other)), f"{world.true_now()}: callers would not take it"

    assert first is not leader.served
    assert 4 <= len(world.store.writes) <= 2 + 2 * 2


def test_a_secret_from_the_future_is_mended_after_the_clock_has_gone(worlds: Callable[..., World]) -> None:
    """By two thirds of the life of what is served, the Secret holds a leaf that is valid now."""
    world = with_a_clock_ahead(worlds)
    ahead, leader, other = world.replicas
    world.call(ahead.kill)
    world.run(timedelta(hours=2).total_seconds())
    leaf = world.store.material().leaf.certificate

    assert leaf.not_valid_before_utc <= world.true_now()
    assert [each.served.leaf.certificate for each in (leader, other) if each.served] == [leaf, leaf]


def test_who_does_not_lead_renews_in_the_middle_of_a_rotation_too(worlds: Callable[..., World]) -> None:
    """A successor that only a leader may promote keeps nobody from renewing the leaf in time."""
    world = running(worlds(replicas=3, lifetimes=HOURS))
    ask(world)
    world.run_until(lambda: world.store.material().successor is not None)
    successor = world.store.material().successor
    assert successor is not None
    world.run_until(lambda: all(fingerprint(successor.certificate) in authorities_in(each) for each in world.entries))
    world.lead(None)
    world.register_seconds = 20.0  # nothing to publish for long
    world.run(HOURS.leaf.total_seconds())
    held = world.store.material()

    assert held.successor is not None
    assert held.leaf.certificate.not_valid_after_utc > world.true_now()


def test_the_old_authority_leaves_after_a_slow_view_has_followed(worlds: Callable[..., World]) -> None:
    """The leader's clock is ahead, and what is published reaches another later: nobody serves what has left."""
    lifetimes = Lifetimes(ca=timedelta(hours=24), leaf=timedelta(hours=2), propagation_seconds=60.0)
    world = worlds(replicas=2, lifetimes=lifetimes)
    leader, slow = world.replicas
    leader.skew, slow.view_lag = 600.0, 5.0
    running(world)
    publish = world.publish
    world.publish = lambda number, bundle: publish(number, bundle) if number else None  # type: ignore[method-assign]
    damage(world, lambda secret: secret["data"].pop("ca.key"))
    world.run_until(lambda: world.store.material().successor is not None, seconds=120.0)
    ends = world.store.material().leaf.certificate.not_valid_after_utc
    world.run((ends - world.true_now()).total_seconds() - leader.skew + 10)
    world.publish = publish  # type: ignore[method-assign]
    world.run(300.0)

    assert len(world.store.material().bundle) == 1
    assert {each.authority for each in world.replicas} == set(map(fingerprint, world.store.material().bundle))
