"""Keepers with unusual certificates from other programs, and with clocks that are wrong."""

import base64
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from certificate_builders import authority as made_authority
from simulation import NAMES, START, Replica, World, damage, is_good, request_rotation, running
from strange_certificates import of_version_4, with_doubled_extension, with_odd_subject

from certs.authority import fingerprint
from certs.bundle import authorities_in, bundle_to_pem
from certs.material import MAX_CERTIFICATES_BYTES, Material, changed_secret, new_material
from certs.renewal import Lifetimes

WEEKS = Lifetimes()
HOURS = Lifetimes(leaf=timedelta(hours=3))
LOOK_SECONDS = 600.0
STRANGE: dict[str, Callable[[Material], tuple[str, bytes]]] = {
    "an authority of version 4": lambda held: ("ca.crt", of_version_4(held.bundle[0])),
    "an authority with a doubled extension": lambda held: ("ca.crt", with_doubled_extension(held.bundle[0])),
    "an additional authority with an invalid name": lambda held: (
        "ca.crt",
        held.bundle_pem + with_odd_subject(made_authority(now=START).certificate),
    ),
    "a leaf of version 4": lambda held: ("tls.crt", of_version_4(held.leaf.certificate)),
    "a leaf with a doubled extension": lambda held: ("tls.crt", with_doubled_extension(held.leaf.certificate)),
    "a leaf with an invalid name": lambda held: ("tls.crt", with_odd_subject(held.leaf.certificate)),
}


def spoil(world: World, strange: str) -> None:
    """Put one of the unusual certificates into the Secret."""
    entry, content = STRANGE[strange](world.store.material())
    damage(world, lambda secret: secret["data"].update({entry: base64.b64encode(content).decode()}))


def serves_valid(world: World, replica: Replica) -> bool:
    """Whether the served certificate is valid by the true time."""
    assert replica.served is not None
    leaf = replica.served.leaf.certificate
    return leaf.not_valid_before_utc <= world.true_now() < leaf.not_valid_after_utc


def start_ahead(world: World, replica: Replica, hours: float) -> None:
    """Restart a replica on a machine whose clock is ahead."""
    world.call(replica.kill)
    replica.skew = hours * 3600
    world.start(replica)


@pytest.mark.parametrize("strange", STRANGE)
def test_a_secret_with_an_unusual_certificate_is_repaired(worlds: Callable[..., World], strange: str) -> None:
    """The previous content is restored, and all keepers go on."""
    world = running(worlds(replicas=2, lifetimes=WEEKS))
    before = world.store.material()
    spoil(world, strange)
    world.run_until(lambda: is_good(world))
    world.run(10.0)

    assert world.store.material().entries() == before.entries()
    assert all(each.lives and each.counted for each in world.replicas)


@pytest.mark.parametrize("strange", STRANGE)
def test_a_replica_starts_with_an_unusual_certificate_in_the_secret(worlds: Callable[..., World], strange: str) -> None:
    """If no replica has the authority in memory, a new one is made, as for any other damage."""
    world = running(worlds(replicas=2, lifetimes=WEEKS))
    world.call(lambda: [each.kill() for each in world.replicas])
    world.trust_lost = True
    spoil(world, strange)
    world.start()
    world.run_until(lambda: all(each.served for each in world.replicas))

    assert is_good(world)
    assert all(each.lives for each in world.replicas)


def test_an_unusual_published_bundle_is_replaced(worlds: Callable[..., World]) -> None:
    """If another program changes the caBundle of an entry, the leader publishes its bundle again."""
    world = running(worlds(replicas=2, lifetimes=WEEKS))
    world.trust_lost = True
    world.call(lambda: world.publish(0, of_version_4(world.store.material().bundle[0])))
    world.run(10.0)

    assert all(each.lives for each in world.replicas)
    assert set(world.entries) == {world.store.material().bundle_pem}


def test_a_full_bundle_causes_no_loop_of_writes(worlds: Callable[..., World]) -> None:
    """If the authority of the served pair does not fit into the Secret, it is only published."""
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
def test_a_replica_with_a_clock_ahead_does_not_make_others_serve_too_early(
    worlds: Callable[..., World], *, leads: bool
) -> None:
    """It renews the leaf by its own clock. The other replicas keep their leaf until the new one is valid."""
    world = running(worlds(replicas=3, lifetimes=HOURS))
    ahead, *others = world.replicas
    start_ahead(world, ahead, 2.75)
    world.lead(ahead if leads else others[0])
    world.run(300.0)

    assert world.store.material().leaf.certificate.not_valid_before_utc > world.true_now()
    assert all(serves_valid(world, each) for each in others)


def with_a_clock_ahead(worlds: Callable[..., World]) -> World:
    """Return a world where the second replica leads, and the first has put a leaf from the future into the Secret."""
    world = running(worlds(replicas=3, lifetimes=HOURS))
    world.register_seconds = 20.0  # there is little to publish, and checks cost time
    ahead, leader, _ = world.replicas
    start_ahead(world, ahead, 7)
    world.lead(leader)
    world.run(300.0)
    return world


def test_the_leader_replaces_a_leaf_from_the_future_when_the_served_leaf_is_due(worlds: Callable[..., World]) -> None:
    """The served leaf counts. There are two writes each time, because the clock that is ahead renews at once."""
    world = with_a_clock_ahead(worlds)
    _, leader, other = world.replicas
    first = leader.served
    for _ in range(int(timedelta(hours=4).total_seconds() / LOOK_SECONDS)):
        world.run(LOOK_SECONDS)
        assert all(serves_valid(world, each) for each in (leader, other)), (
            f"{world.true_now()}: a served certificate is not valid"
        )

    assert first is not leader.served
    assert 4 <= len(world.store.writes) <= 2 + 2 * 2


def test_a_leaf_from_the_future_is_replaced_after_the_replica_with_the_wrong_clock_has_gone(
    worlds: Callable[..., World],
) -> None:
    """At two thirds of the lifetime of the served leaf, the Secret gets a leaf that is valid now."""
    world = with_a_clock_ahead(worlds)
    ahead, leader, other = world.replicas
    world.call(ahead.kill)
    world.run(timedelta(hours=2).total_seconds())
    leaf = world.store.material().leaf.certificate

    assert leaf.not_valid_before_utc <= world.true_now()
    assert [each.served.leaf.certificate for each in (leader, other) if each.served] == [leaf, leaf]


def test_without_a_leader_a_leaf_is_renewed_in_the_middle_of_a_rotation(worlds: Callable[..., World]) -> None:
    """Only a leader may promote the successor, but any replica may renew the leaf."""
    world = running(worlds(replicas=3, lifetimes=HOURS))
    request_rotation(world)
    world.run_until(lambda: world.store.material().successor is not None)
    successor = world.store.material().successor
    assert successor is not None
    world.run_until(lambda: all(fingerprint(successor.certificate) in authorities_in(each) for each in world.entries))
    world.lead(None)
    world.register_seconds = 20.0  # there is little to publish, and checks cost time
    world.run(HOURS.leaf.total_seconds())
    held = world.store.material()

    assert held.successor is not None
    assert held.leaf.certificate.not_valid_after_utc > world.true_now()


def test_the_old_authority_is_removed_after_a_replica_with_a_slow_watch_has_followed(
    worlds: Callable[..., World],
) -> None:
    """The clock of the leader is ahead, and another replica sees published bundles late. Both serve trusted pairs."""
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
