"""One or more keepers maintain one Secret, in simulated time."""

import itertools
import logging
import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from simulation import (
    FAST,
    NAME,
    NAMES,
    NAMESPACE,
    START,
    Replica,
    World,
    authority,
    damage,
    is_good,
    request_rotation,
    running,
)

from certs.authority import CertificateError
from certs.bundle import authorities_in
from certs.dependencies import KeeperDependencies
from certs.keeper import FIRST_RETRY_SECONDS, GRACE_SECONDS, LONGEST_RETRY_SECONDS, Keeper, RetryDelay
from certs.material import ROTATE_ANNOTATION, changed_secret, new_material
from certs.renewal import Lifetimes

WEEKS = Lifetimes()
HOURS = Lifetimes(leaf=timedelta(hours=3))  # shorter than a week, because the simulation runs every check
DAMAGES: dict[str, Callable[[dict[str, Any]], None]] = {
    "emptied": lambda secret: secret["data"].clear(),
    "without data": lambda secret: secret.pop("data"),
    "truncated": lambda secret: secret["data"].update({"tls.crt": secret["data"]["tls.crt"][:400]}),
    "torn": lambda secret: secret["data"].update({"tls.key": secret["data"]["ca.key"]}),
    "not base64": lambda secret: secret["data"].update({"ca.crt": "%%%"}),
    "with values of the wrong type": lambda secret: secret["data"].update({"ca.crt": 7, "tls.key": ["x"]}),
    "not a mapping": lambda secret: secret.update({"data": "text"}),
    "a megabyte of junk": lambda secret: secret["data"].update({"ca.crt": "LS0t" * 350_000}),
    "an encrypted key": lambda secret: secret["data"].update({"tls.key": ENCRYPTED}),
    "a bundle of another authority": lambda secret: secret["data"].update({"ca.crt": OTHER["ca.crt"]}),
}
OTHER = changed_secret({}, new_material(NAMES, now=START, lifetimes=FAST))["data"]
ENCRYPTED = (
    "LS0tLS1CRUdJTiBFTkNSWVBURUQgUFJJVkFURSBLRVktLS0tLQpNQT09Ci0tLS0tRU5EIEVOQ1JZUFRFRCBQUklWQVRFIEtFWS0tLS0tCg=="
)


@pytest.mark.parametrize("seed", range(20))
def test_ten_keepers_that_start_together_make_one_authority(worlds: Callable[..., World], seed: int) -> None:
    """The first write succeeds, and the nine other replicas use its result."""
    world = worlds(replicas=10, seed=seed)
    world.store.latency_seconds = 0.2
    world.start()
    seconds = world.run_until(lambda: all(each.served for each in world.replicas))

    assert [what for what in world.store.writes if what.endswith("create")] == world.store.writes
    assert len(world.store.writes) == 1
    assert {each.authority for each in world.replicas} == {authority(world.store.material())}
    assert seconds < 10


def test_a_leaf_is_renewed_once_at_two_thirds_of_its_lifetime(worlds: Callable[..., World]) -> None:
    """The leaf is renewed after two thirds or a little earlier at random. Nothing is written in between."""
    world = running(worlds(lifetimes=HOURS))
    world.run(timedelta(minutes=120 - 9 - 1).total_seconds())
    before = len(world.store.writes)
    world.run(timedelta(minutes=12).total_seconds())

    assert (before, len(world.store.writes)) == (1, 2)
    assert world.replicas[0].installs == 2


def test_without_a_leader_a_leaf_is_renewed_once_when_it_is_overdue(worlds: Callable[..., World]) -> None:
    """At five sixths of the lifetime any replica renews. The other replicas serve what the first one wrote."""
    world = running(worlds(replicas=3, lifetimes=HOURS))
    world.lead(None)
    world.run(timedelta(minutes=149).total_seconds())
    before = len(world.store.writes)
    world.run(timedelta(minutes=2).total_seconds())

    assert (before, len(world.store.writes)) == (1, 2)
    assert {each.served.leaf.certificate for each in world.replicas if each.served} == {
        world.store.material().leaf.certificate
    }
    assert world.store.material().leaf.certificate.not_valid_after_utc > world.true_now() + timedelta(minutes=175)


def test_replicas_that_start_with_an_expired_leaf_renew_it_without_a_leader(worlds: Callable[..., World]) -> None:
    """If all replicas were off for longer than a leaf lives, the first one to start renews it."""
    world = running(worlds(replicas=3, lifetimes=HOURS))
    world.lead(None)
    world.call(lambda: [each.kill() for each in world.replicas])
    world.run(timedelta(minutes=200).total_seconds())
    world.start()

    def valid() -> bool:
        served = [each.served.leaf.certificate for each in world.replicas if each.served]
        return len(served) == 3 and all(each.not_valid_after_utc > world.true_now() for each in served)

    assert world.run_until(valid) < 3


def test_without_a_leader_no_rotation_begins(worlds: Callable[..., World]) -> None:
    """Without a leader, leaves are renewed and the authority stays. A new leader begins the requested rotation."""
    world = running(worlds(replicas=3))
    world.lead(None)
    request_rotation(world)
    world.run(100.0)
    held = world.store.material()

    assert (held.successor, len(held.bundle)) == (None, 1)
    assert all(each.served and each.served.leaf.certificate == held.leaf.certificate for each in world.replicas)
    assert 4 <= len([what for what in world.store.writes if what.endswith("replace")]) <= 100 / 15

    world.lead(world.replicas[2])
    world.run_until(lambda: world.store.material().successor is not None)


def test_short_lifetimes_cause_no_more_writes_than_necessary(worlds: Callable[..., World]) -> None:
    """With leaves of 20 s and authorities of 120 s, ten minutes bring only the writes that are due."""
    world = running(worlds(replicas=3))
    world.run(600.0)
    leaves, rotations = 600 / 12, 600 / 78

    assert leaves - 12 <= len(world.store.writes) - 3 * rotations <= leaves + 6
    assert world.store.writes.count("r0 create") == 1
    assert all(each.counted == 0 for each in world.replicas)
    assert len({each.authority for each in world.replicas}) == 1


def test_a_successor_signs_only_after_every_entry_trusts_it(worlds: Callable[..., World]) -> None:
    """While one entry lacks the successor, the old authority goes on signing."""
    world = running(worlds(replicas=2))
    publish, first = world.publish, world.entries[0]
    world.publish = lambda number, bundle: None if number == 2 else publish(number, bundle)  # type: ignore[method-assign]
    request_rotation(world)
    world.run(40.0)
    held = world.store.material()
    assert held.successor is not None
    assert world.entries[2] == first
    assert {each.authority for each in world.replicas} == authorities_in(first)
    world.publish = publish  # type: ignore[method-assign]
    seconds = world.run_until(lambda: world.store.material().successor is None)

    assert FAST.propagation_seconds <= seconds < FAST.propagation_seconds + 3
    assert world.store.material().leaf_authority == held.successor.certificate


def test_an_interruption_of_trust_starts_the_wait_again(worlds: Callable[..., World]) -> None:
    """If an entry loses the successor shortly before the end of the wait, the full wait starts again."""
    world = running(worlds())
    request_rotation(world)
    world.run_until(lambda: is_good(world) and world.store.material().successor and len(set(world.entries)) == 1)
    world.run(2.0)
    old = world.entries[1]
    world.call(lambda: world.publish(1, signer_alone(world)))
    seconds = world.run_until(lambda: world.store.material().successor is None)

    assert world.entries[1] == old
    assert seconds > FAST.propagation_seconds


def signer_alone(world: World) -> bytes:
    signer = world.store.material().signer
    assert signer is not None
    return signer.certificate_pem()


def test_a_requested_rotation_happens_once(worlds: Callable[..., World]) -> None:
    """The write that begins the rotation removes the annotation."""
    world = running(worlds(replicas=3, lifetimes=WEEKS))
    world.run(5.0)
    before = world.store.material()
    request_rotation(world)
    world.run(200.0)
    after = world.store.material()

    assert world.store.secret is not None
    assert ROTATE_ANNOTATION not in world.store.secret["metadata"]["annotations"]
    assert world.store.writes == ["r0 create", "request", "r0 replace", "r0 replace"]
    assert after.leaf_authority != before.leaf_authority
    assert after.retired == (before.leaf.certificate,)


@pytest.mark.parametrize("how", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_secret_is_restored_with_the_same_authority(
    worlds: Callable[..., World], caplog: pytest.LogCaptureFixture, how: Callable[[dict[str, Any]], None]
) -> None:
    """Every replica counts and logs the damage once and keeps its pair. One of them repairs the Secret at once."""
    world = running(worlds(replicas=3, lifetimes=WEEKS))
    world.run(5.0)
    installs = [each.installs for each in world.replicas]
    before = world.store.material()
    caplog.clear()
    with caplog.at_level(logging.ERROR, "certs"):
        damage(world, how)
        seconds = world.run_until(lambda: is_good(world))
        world.run(60.0)
    logged = [record.getMessage() for record in caplog.records]

    assert world.store.material().entries() == before.entries()
    assert seconds < 1
    assert [each.counted for each in world.replicas] == [1, 1, 1]
    assert logged == ["certificates: the Secret cannot be used"] * 3
    assert "PRIVATE" not in caplog.text
    assert [each.installs for each in world.replicas] == installs
    assert len(world.store.writes) == 3


def test_a_deleted_secret_is_restored_with_the_same_authority(worlds: Callable[..., World]) -> None:
    """A replica restores the Secret from memory, and all replicas go on with it."""
    world = running(worlds(replicas=3, lifetimes=WEEKS))
    world.run(5.0)
    before = world.store.material()
    world.call(lambda: world.store.put(None, "delete"))
    seconds = world.run_until(lambda: is_good(world))

    assert world.store.material().entries() == before.entries()
    assert seconds < 1
    assert len(world.store.writes) == 3


def test_a_new_replica_leaves_the_repair_to_a_replica_with_the_authority_in_memory(
    worlds: Callable[..., World],
) -> None:
    """A replica that starts without a Secret while a bundle is published waits for the other replicas."""
    world = worlds(replicas=2, lifetimes=WEEKS)
    old, new = world.replicas
    world.start(old)
    world.run_until(lambda: all(world.entries))
    before = old.authority
    old.watch_lag = 2.5
    world.call(lambda: world.store.put(None, "delete"))
    world.start(new)
    world.run(10.0)

    assert new.authority == before
    assert world.store.writes == ["r0 create", "delete", "r0 create"]


def test_a_new_authority_is_made_after_the_grace_period_if_no_replica_has_the_old_one(
    worlds: Callable[..., World],
) -> None:
    """Without a Secret, and without a replica that has the authority in memory, a replica waits only that long."""
    world = worlds()
    world.trust_lost = True
    world.entries = [new_material(NAMES, now=world.true_now(), lifetimes=FAST).bundle_pem] * 3
    world._history = [(0.0, list(world.entries))]  # noqa: SLF001  published since the start
    world.start()
    seconds = world.run_until(lambda: is_good(world))

    assert GRACE_SECONDS <= seconds < GRACE_SECONDS + 1.5


def test_while_the_published_bundles_are_unknown_the_grace_period_applies(worlds: Callable[..., World]) -> None:
    """Unknown bundles may contain an authority that another replica has in memory."""
    world = worlds()
    world.replicas[0].published = lambda: None  # type: ignore[method-assign]
    world.start()

    assert world.run_until(lambda: is_good(world)) >= GRACE_SECONDS


def test_a_replica_that_missed_a_rotation_leaves_the_repair_to_the_others(worlds: Callable[..., World]) -> None:
    """The published bundle shows that the replica has missed a rotation."""
    world = running(worlds(replicas=2))
    stale = world.replicas[1]
    stale.watch_lag = 1000.0
    request_rotation(world)
    world.run_until(lambda: world.store.material().successor is not None)
    world.run(1.0)
    before = world.store.material()
    stale.watch_lag, world.replicas[0].watch_lag = 0.0, 2.0
    world.call(lambda: world.store.put(None, "delete"))
    world.run_until(lambda: is_good(world))

    assert world.store.material().entries() == before.entries()


def test_a_new_leader_publishes_nothing_before_it_has_read_the_secret(worlds: Callable[..., World]) -> None:
    """The material of a replica with a slow watch may be older than what is published."""
    world = running(worlds(replicas=2))
    late = world.replicas[1]
    late.watch_lag = 20.0
    request_rotation(world)
    world.run_until(lambda: world.store.material().successor is not None)
    world.run(1.0)
    world.store.down = True
    world.lead(late)

    assert late.keeper.bundle == b""
    world.store.down = False
    world.run_until(lambda: late.keeper.bundle)
    assert late.keeper.bundle == world.store.material().bundle_pem


def test_an_older_version_from_the_watch_changes_nothing(worlds: Callable[..., World]) -> None:
    """A keeper does not go back to a version that is older than the one it has read."""
    world = running(worlds(replicas=1))
    each = world.replicas[0]
    before = world.store.copy()
    world.run(20.0)
    installs, bundle = each.installs, each.keeper.bundle
    world.call(lambda: each.keeper.seen(before))
    world.run(0.5)

    assert (each.installs, each.keeper.bundle) == (installs, bundle)


def test_a_secret_of_a_different_authority_is_served_after_it_is_trusted(worlds: Callable[..., World]) -> None:
    """If another program replaces the Secret, the old pair is served until every entry trusts the new authority."""
    world = running(worlds(replicas=3))
    world.run(4.0)
    for each in world.replicas:
        each.watch_lag, each.view_lag, each.publish_lag = (world.rng.uniform(0.0, 0.5) for _ in range(3))
    other = new_material(NAMES, now=world.true_now(), lifetimes=FAST)
    secret = world.store.secret or {}
    world.call(lambda: world.store.put(changed_secret(secret, other), "another"))
    world.run(0.6)
    assert "waits until it is valid and trusted" in str(world.replicas[0].keeper.problem())
    world.run_until(lambda: {each.authority for each in world.replicas} == {authority(other)})
    world.run_until(lambda: len(world.store.material().bundle) == 1)

    assert world.store.material().leaf_authority == other.bundle[0]


def test_forbidden_writes_are_retried_with_growing_delays(
    worlds: Callable[..., World], caplog: pytest.LogCaptureFixture
) -> None:
    """Without the right to write, the keeper serves on, tries at most four times a minute, and logs one line."""
    world = running(worlds(lifetimes=HOURS))
    each = world.replicas[0]
    tried: list[str] = []
    world.passes = lambda _replica, what: tried.append(what)
    world.store.refuses = {"update"}
    caplog.clear()
    with caplog.at_level(logging.WARNING, "certs"):
        world.run(timedelta(minutes=150).total_seconds())
    attempts = tried.count("replace")

    assert each.served is not None
    assert "cannot update" in str(each.keeper.problem())
    assert 30 < attempts < 39 * 4 + 5  # 15 to 30 seconds apart while the leaf is due, and less at first
    assert len(caplog.records) == 1
    world.store.refuses = set()
    assert world.run_until(lambda: each.keeper.problem() is None) <= 31
    assert world.store.material().leaf.certificate.not_valid_after_utc > world.true_now() + timedelta(hours=2)


def test_an_immutable_secret_is_served_and_reported(worlds: Callable[..., World]) -> None:
    """The problem is reported until the user deletes the Secret. Then the Secret is restored."""
    world = running(worlds())
    damage(world, lambda secret: secret.update({"immutable": True}))
    world.run(15.0)
    assert "immutable" in str(world.replicas[0].keeper.problem())
    before = world.replicas[0].authority
    world.call(lambda: world.store.put(None, "delete"))
    world.run(10.0)

    assert world.replicas[0].authority == before
    assert world.replicas[0].keeper.problem() is None


def test_a_secret_of_another_type_is_repaired_and_keeps_its_type(worlds: Callable[..., World]) -> None:
    """The API server does not allow a change of the type."""
    world = running(worlds())
    before = world.store.material()
    damage(world, lambda secret: secret.update({"type": "kubernetes.io/tls", "data": {"tls.crt": "", "tls.key": ""}}))
    world.run_until(lambda: is_good(world))

    assert world.store.secret is not None
    assert world.store.secret["type"] == "kubernetes.io/tls"
    assert world.store.material().bundle == before.bundle


def test_a_pair_that_cannot_be_loaded_is_reported_and_retried(worlds: Callable[..., World]) -> None:
    """The server keeps the old pair, and the keeper retries to load the new one."""
    world = running(worlds(lifetimes=WEEKS))
    each = world.replicas[0]
    served = each.served
    each.fails_to_install = True
    request_rotation(world)
    world.run(120.0)
    assert each.served is served
    assert "could not be loaded" in str(each.keeper.problem())
    each.fails_to_install = False
    world.run(40.0)

    assert each.served is not served
    assert each.keeper.problem() is None


@pytest.mark.parametrize("jump", [-3600.0, -86_400.0 * 3650])
def test_a_clock_that_jumps_back_writes_nothing(worlds: Callable[..., World], jump: float) -> None:
    """For an hour after the jump, and after the clock is corrected, nothing is written."""
    world = running(worlds(replicas=3, lifetimes=WEEKS))
    world.run(10.0)
    world.register_seconds = 20.0  # there is little to publish, and checks cost time
    writes = len(world.store.writes)
    world.wall_offset = jump
    world.run(3600.0)
    world.wall_offset = 0.0
    world.run(3600.0)

    assert len(world.store.writes) == writes


def test_a_clock_that_jumps_ten_years_ahead_rotates_once(worlds: Callable[..., World]) -> None:
    """One rotation begins and is promoted. When the clock is corrected, nothing is written."""
    world = running(worlds(replicas=3, lifetimes=WEEKS))
    world.run(10.0)
    world.register_seconds = 20.0  # there is little to publish, and checks cost time
    old = authority(world.store.material())
    world.wall_offset = 86_400.0 * 3650
    world.run(7200.0)
    steps = len(world.store.writes)
    assert world.store.writes == ["r0 create", "r0 replace", "r0 replace"]
    assert old in authorities_in(world.store.material().bundle_pem)
    world.wall_offset = 0.0
    world.run(7200.0)

    assert len(world.store.writes) == steps


def test_a_machine_that_was_suspended_past_the_end_of_the_leaf_renews_within_a_minute(
    worlds: Callable[..., World],
) -> None:
    """After thirty days in which the monotonic clock stood still, one write renews the leaf."""
    world = running(worlds(replicas=2, lifetimes=WEEKS))
    world.run(10.0)
    world.wall_offset = 86_400.0 * 30
    seconds = world.run_until(lambda: len(world.store.writes) == 2)
    world.run(3600.0)

    assert seconds <= 60
    assert len(world.store.writes) == 2


def test_after_all_certificates_have_expired_the_old_authority_is_removed_last(worlds: Callable[..., World]) -> None:
    """The successor signs as soon as it is published. The old authority is removed when all replicas have followed."""
    world = running(worlds(replicas=3))
    (old,) = world.store.material().bundle
    world.call(lambda: [each.kill() for each in world.replicas])
    world.run(10 * FAST.ca.total_seconds())
    states: list[tuple[int, bool]] = []
    times: list[float] = []

    def note() -> None:
        found = world.store.material()
        state = len(found.bundle), found.leaf_authority == old
        if state not in states:
            states.append(state)
            times.append(world.loop.time())

    world.store.changed.append(note)
    world.start()
    world.run_until(lambda: old not in world.store.material().bundle)

    assert states == [(2, True), (2, False), (1, False)]
    promoted, retired = (later - at for at, later in itertools.pairwise(times))
    assert promoted < FAST.propagation_seconds <= retired
    assert {each.authority for each in world.replicas} == {authority(world.store.material())}


def test_a_jump_that_is_corrected_at_once_causes_no_write(worlds: Callable[..., World]) -> None:
    """A clock that is wrong for some seconds after a machine wakes up causes no new certificate."""
    world = running(worlds(lifetimes=WEEKS))
    world.run(10.0)
    world.wall_offset = 86_400.0 * 3650
    world.run(31.0)
    world.wall_offset = 0.0
    world.run(120.0)

    assert len(world.store.writes) == 1


def test_while_the_api_server_is_unreachable_requests_become_less_frequent(worlds: Callable[..., World]) -> None:
    """The replica goes on serving, the bundle stays known, and the delays between attempts grow."""
    world = running(worlds(lifetimes=WEEKS))
    each = world.replicas[0]
    bundle = each.keeper.bundle
    tried: list[str] = []
    world.passes = lambda _replica, what: tried.append(what)
    world.store.down = True
    world.run(300.0)

    assert each.served is not None
    assert each.keeper.bundle == bundle
    assert "does not answer" in str(each.keeper.problem())
    assert tried.count("read") < 30
    world.store.down = False
    world.run_until(lambda: each.keeper.problem() is None)


def test_a_secret_without_the_key_of_its_authority_is_served_and_rotated(worlds: Callable[..., World]) -> None:
    """A pair that the user created is served until a new authority is trusted everywhere."""
    world = worlds(replicas=2)
    hand = new_material(NAMES, now=world.true_now(), lifetimes=WEEKS)
    secret = changed_secret({"metadata": {"name": NAME, "namespace": NAMESPACE}, "type": "Opaque"}, hand)
    del secret["data"]["ca.key"]
    world.store.put(secret, "user")
    world.entries = [hand.bundle_pem] * 3
    world._history = [(0.0, list(world.entries))]  # noqa: SLF001  published since the start
    world.start()
    world.run(1.0)
    assert {each.authority for each in world.replicas} == {authority(hand)}
    world.run_until(lambda: authority(hand) not in {each.authority for each in world.replicas}, seconds=200.0)

    assert world.store.material().retired == (hand.leaf.certificate,)


def test_before_the_first_read_nothing_is_published() -> None:
    """The missing read is the reported problem. An invalid name is an error at once."""
    world = World()
    with world:
        replica = world.replicas[0]
        dependencies = KeeperDependencies(
            secrets=replica,
            published=list,
            leads=lambda: False,
            install=lambda _material: None,
            rng=random.Random(1),
        )
        keeper = Keeper(dependencies, namespace="n", name="s", names=NAMES)

        assert keeper.bundle == b""
        assert keeper.problem() == "Secret n/s: not read yet"
        with pytest.raises(CertificateError, match="neither a DNS name"):
            Keeper(dependencies, namespace="n", name="s", names=["no name"])


def test_a_resource_version_that_is_not_a_number_is_not_compared(worlds: Callable[..., World]) -> None:
    """If resource versions are opaque, every version from the watch is used."""
    world = running(worlds(lifetimes=WEEKS))
    each: Replica = world.replicas[0]
    secret = world.store.copy()
    assert secret is not None
    secret["metadata"]["resourceVersion"] = "opaque"
    secret["data"].clear()
    world.call(lambda: each.keeper.seen(secret))

    assert "missing or empty" in str(each.keeper.problem())


def test_retry_delays_double_up_to_a_limit_and_start_again_after_a_success() -> None:
    """Each delay is between half of its limit and the limit."""
    retry = RetryDelay(random.Random(3))
    delays = [retry.next_seconds() for _ in range(8)]
    limits = [min(FIRST_RETRY_SECONDS * 2**number, LONGEST_RETRY_SECONDS) for number in range(8)]

    assert all(limit / 2 <= delay <= limit for delay, limit in zip(delays, limits, strict=True))
    retry.reset()
    assert retry.next_seconds() <= FIRST_RETRY_SECONDS
