"""One keeper or many, around one Secret, in a time of their own."""

import copy
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
    ask,
    authority,
    damage,
    is_good,
    running,
)

from certs import CertificateError, Lifetimes
from certs.keeper import GRACE_SECONDS, Keeper, Surroundings
from certs.material import new_material
from certs.secret import ROTATE_ANNOTATION, changed_secret
from certs.trust import authorities_in

WEEKS = Lifetimes()
HOURS = Lifetimes(leaf=timedelta(hours=3))  # a week in little: what is simulated is every single look
DAMAGES: dict[str, Callable[[dict[str, Any]], None]] = {
    "emptied": lambda secret: secret["data"].clear(),
    "without data": lambda secret: secret.pop("data"),
    "truncated": lambda secret: secret["data"].update({"tls.crt": secret["data"]["tls.crt"][:400]}),
    "torn": lambda secret: secret["data"].update({"tls.key": secret["data"]["ca.key"]}),
    "no base64": lambda secret: secret["data"].update({"ca.crt": "%%%"}),
    "of wrong types": lambda secret: secret["data"].update({"ca.crt": 7, "tls.key": ["x"]}),
    "no mapping": lambda secret: secret.update({"data": "text"}),
    "a megabyte of junk": lambda secret: secret["data"].update({"ca.crt": "LS0t" * 350_000}),
    "an encrypted key": lambda secret: secret["data"].update({"tls.key": ENCRYPTED}),
    "a foreign bundle": lambda secret: secret["data"].update({"ca.crt": FOREIGN["ca.crt"]}),
}
FOREIGN = changed_secret({}, new_material(NAMES, now=START, lifetimes=FAST))["data"]
ENCRYPTED = (
    "LS0tLS1CRUdJTiBFTkNSWVBURUQgUFJJVkFURSBLRVktLS0tLQpNQT09Ci0tLS0tRU5EIEVOQ1JZUFRFRCBQUklWQVRFIEtFWS0tLS0tCg=="
)


@pytest.mark.parametrize("seed", range(20))
def test_ten_keepers_at_once_make_one_authority(worlds: Callable[..., World], seed: int) -> None:
    """Whoever comes first makes it; the nine others take it, and ask once each at most."""
    world = worlds(replicas=10, seed=seed)
    world.store.latency_seconds = 0.2
    world.start()
    seconds = world.run_until(lambda: all(each.served for each in world.replicas))

    assert [what for what in world.store.writes if what.endswith("create")] == world.store.writes
    assert len(world.store.writes) == 1
    assert {each.authority for each in world.replicas} == {authority(world.store.material())}
    assert seconds < 10


def test_a_leaf_is_renewed_once_at_two_thirds_of_its_life(worlds: Callable[..., World]) -> None:
    """After two thirds, a little earlier by chance; in between nothing is written."""
    world = running(worlds(lifetimes=HOURS))
    world.run(timedelta(minutes=120 - 9 - 1).total_seconds())
    before = len(world.store.writes)
    world.run(timedelta(minutes=12).total_seconds())

    assert (before, len(world.store.writes)) == (1, 2)
    assert world.replicas[0].installs == 2


def test_where_nobody_leads_a_leaf_is_renewed_once_all_the_same(worlds: Callable[..., World]) -> None:
    """When half of the time for it has gone, any replica renews; the others take what the first has written."""
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


def test_who_starts_with_an_expired_leaf_does_not_wait_for_one_that_leads(worlds: Callable[..., World]) -> None:
    """After a week in which all was off, the first replica renews, and all serve what callers take."""
    world = running(worlds(replicas=3, lifetimes=HOURS))
    world.lead(None)
    world.call(lambda: [each.kill() for each in world.replicas])
    world.run(timedelta(minutes=200).total_seconds())
    world.start()

    def valid() -> bool:
        served = [each.served.leaf.certificate for each in world.replicas if each.served]
        return len(served) == 3 and all(each.not_valid_after_utc > world.true_now() for each in served)

    assert world.run_until(valid) < 3


def test_who_does_not_lead_begins_no_rotation(worlds: Callable[..., World]) -> None:
    """Where nobody leads leaves go on being renewed, and the authority stays as it is until somebody does."""
    world = running(worlds(replicas=3))
    world.lead(None)
    ask(world)
    world.run(100.0)
    held = world.store.material()

    assert (held.successor, len(held.bundle)) == (None, 1)
    assert all(each.served and each.served.leaf.certificate == held.leaf.certificate for each in world.replicas)
    assert 4 <= len([what for what in world.store.writes if what.endswith("replace")]) <= 100 / 15

    world.lead(world.replicas[2])
    world.run_until(lambda: world.store.material().successor is not None)


def test_fast_settings_renew_and_rotate_without_a_loop(worlds: Callable[..., World]) -> None:
    """With leaves of 20 s and an authority of 120 s, ten minutes bring what they must and no write more."""
    world = running(worlds(replicas=3))
    world.run(600.0)
    leaves, rotations = 600 / 12, 600 / 78

    assert leaves - 12 <= len(world.store.writes) - 3 * rotations <= leaves + 6
    assert world.store.writes.count("r0 create") == 1
    assert all(each.counted == 0 for each in world.replicas)
    assert len({each.authority for each in world.replicas}) == 1


def test_a_rotation_waits_until_every_entry_has_it(worlds: Callable[..., World]) -> None:
    """One entry that somebody holds back keeps the successor from signing; leaves are renewed all the same."""
    world = running(worlds(replicas=2))
    publish, first = world.publish, world.entries[0]
    world.publish = lambda number, bundle: None if number == 2 else publish(number, bundle)  # type: ignore[method-assign]
    ask(world)
    world.run(40.0)
    held = world.store.material()
    assert held.successor is not None
    assert world.entries[2] == first
    assert {each.authority for each in world.replicas} == authorities_in(first)
    world.publish = publish  # type: ignore[method-assign]
    seconds = world.run_until(lambda: world.store.material().successor is None)

    assert FAST.propagation_seconds <= seconds < FAST.propagation_seconds + 3
    assert world.store.material().leaf_authority == held.successor.certificate


def test_a_break_in_trust_begins_the_wait_anew(worlds: Callable[..., World]) -> None:
    """An entry that loses the successor a moment before the end of the wait is waited for in full."""
    world = running(worlds())
    ask(world)
    world.run_until(lambda: is_good(world) and world.store.material().successor and len(set(world.entries)) == 1)
    world.run(2.0)
    old = world.entries[1]
    world.call(lambda: world.publish(1, authority_alone(world)))
    seconds = world.run_until(lambda: world.store.material().successor is None)

    assert world.entries[1] == old
    assert seconds > FAST.propagation_seconds


def authority_alone(world: World) -> bytes:
    signer = world.store.material().signer
    assert signer is not None
    return signer.certificate_pem()


def test_a_request_is_honoured_once_and_taken_out(worlds: Callable[..., World]) -> None:
    """The annotation goes with the write that begins the rotation, and other annotations stay."""
    world = running(worlds(replicas=3, lifetimes=WEEKS))
    world.run(5.0)
    before = world.store.material()
    ask(world)
    world.run(200.0)
    after = world.store.material()

    assert world.store.secret is not None
    assert ROTATE_ANNOTATION not in world.store.secret["metadata"]["annotations"]
    assert world.store.writes == ["r0 create", "ask", "r0 replace", "r0 replace"]
    assert after.leaf_authority != before.leaf_authority
    assert after.retired == (before.leaf.certificate,)


@pytest.mark.parametrize("how", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_secret_is_restored_with_the_same_authority(
    worlds: Callable[..., World], caplog: pytest.LogCaptureFixture, how: Callable[[dict[str, Any]], None]
) -> None:
    """The pair in use is not touched; the fault is counted, told once by each, and mended at once by one of them."""
    world = running(worlds(replicas=3, lifetimes=WEEKS))
    world.run(5.0)
    installs = [each.installs for each in world.replicas]
    before = world.store.material()
    caplog.clear()
    with caplog.at_level(logging.ERROR, "certs"):
        damage(world, how)
        seconds = world.run_until(lambda: is_good(world))
        world.run(60.0)
    told = [record.getMessage() for record in caplog.records]

    assert world.store.material().entries() == before.entries()
    assert seconds < 1
    assert [each.counted for each in world.replicas] == [1, 1, 1]
    assert told == ["certificates: the Secret cannot be used"] * 3
    assert "PRIVATE" not in caplog.text
    assert [each.installs for each in world.replicas] == installs
    assert len(world.store.writes) == 3


def test_a_deleted_secret_comes_back_with_the_same_authority(worlds: Callable[..., World]) -> None:
    """What one replica has in memory is what all go on with."""
    world = running(worlds(replicas=3, lifetimes=WEEKS))
    world.run(5.0)
    before = world.store.material()
    world.call(lambda: world.store.put(None, "delete"))
    seconds = world.run_until(lambda: is_good(world))

    assert world.store.material().entries() == before.entries()
    assert seconds < 1
    assert len(world.store.writes) == 3


def test_who_knows_nothing_leaves_it_to_those_who_do(worlds: Callable[..., World]) -> None:
    """A new replica that finds no Secret, while something is published, waits for one that has it in memory."""
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


def test_where_nobody_knows_a_new_authority_is_made_after_the_grace(worlds: Callable[..., World]) -> None:
    """With no Secret and no memory there is nothing to wait for beyond the grace."""
    world = worlds()
    world.trust_lost = True
    world.entries = [new_material(NAMES, now=world.true_now(), lifetimes=FAST).bundle_pem] * 3
    world._history = [(0.0, list(world.entries))]  # noqa: SLF001  as if it had always been so
    world.start()
    seconds = world.run_until(lambda: is_good(world))

    assert GRACE_SECONDS <= seconds < GRACE_SECONDS + 1.5


def test_while_nobody_knows_what_is_published_nothing_is_made_in_haste(worlds: Callable[..., World]) -> None:
    """Not knowing is no reason to believe that nothing is there."""
    world = worlds()
    world.replicas[0].published = lambda: None  # type: ignore[method-assign]
    world.start()

    assert world.run_until(lambda: is_good(world)) >= GRACE_SECONDS


def test_a_stale_memory_waits_for_a_fresher_one(worlds: Callable[..., World]) -> None:
    """Who has missed a rotation sees it by what is published, and lets those restore the Secret who have not."""
    world = running(worlds(replicas=2))
    stale = world.replicas[1]
    stale.watch_lag = 1000.0
    ask(world)
    world.run_until(lambda: world.store.material().successor is not None)
    world.run(1.0)
    before = world.store.material()
    stale.watch_lag, world.replicas[0].watch_lag = 0.0, 2.0
    world.call(lambda: world.store.put(None, "delete"))
    world.run_until(lambda: is_good(world))

    assert world.store.material().entries() == before.entries()


def test_a_new_leader_says_nothing_before_it_has_read(worlds: Callable[..., World]) -> None:
    """What a replica with a slow watch holds is older than what is published, so it does not publish it."""
    world = running(worlds(replicas=2))
    late = world.replicas[1]
    late.watch_lag = 20.0
    ask(world)
    world.run_until(lambda: world.store.material().successor is not None)
    world.run(1.0)
    world.store.down = True
    world.lead(late)

    assert late.keeper.bundle == b""
    world.store.down = False
    world.run_until(lambda: late.keeper.bundle)
    assert late.keeper.bundle == world.store.material().bundle_pem


def test_what_the_watch_brings_late_changes_nothing(worlds: Callable[..., World]) -> None:
    """A version older than one that was read is not gone back to."""
    world = running(worlds(replicas=1))
    each = world.replicas[0]
    before = copy.deepcopy(world.store.secret)
    world.run(20.0)
    installs, bundle = each.installs, each.keeper.bundle
    world.call(lambda: each.keeper.seen(before))
    world.run(0.5)

    assert (each.installs, each.keeper.bundle) == (installs, bundle)


def test_another_good_secret_is_taken_when_it_is_trusted(worlds: Callable[..., World]) -> None:
    """Somebody puts a Secret of another authority there: the old pair serves until everybody trusts the new one."""
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


def test_refused_writes_are_tried_ever_later_and_serving_goes_on(
    worlds: Callable[..., World], caplog: pytest.LogCaptureFixture
) -> None:
    """Without the right to write there are two attempts a minute at most, one line, and a problem to read."""
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
    assert 30 < attempts < 39 * 4 + 5  # 15 to 30 seconds apart since the leaf is due, at first less
    assert len(caplog.records) == 1
    world.store.refuses = set()
    assert world.run_until(lambda: each.keeper.problem() is None) <= 31
    assert world.store.material().leaf.certificate.not_valid_after_utc > world.true_now() + timedelta(hours=2)


def test_an_immutable_secret_is_served_and_told(worlds: Callable[..., World]) -> None:
    """What cannot be replaced is a problem to read, until somebody deletes it; then it comes back as it should be."""
    world = running(worlds())
    damage(world, lambda secret: secret.update({"immutable": True}))
    world.run(15.0)
    assert "immutable" in str(world.replicas[0].keeper.problem())
    before = world.replicas[0].authority
    world.call(lambda: world.store.put(None, "delete"))
    world.run(10.0)

    assert world.replicas[0].authority == before
    assert world.replicas[0].keeper.problem() is None


def test_a_secret_of_another_type_is_mended_as_far_as_the_type_allows(worlds: Callable[..., World]) -> None:
    """The type cannot be changed, so it is kept."""
    world = running(worlds())
    before = world.store.material()
    damage(world, lambda secret: secret.update({"type": "kubernetes.io/tls", "data": {"tls.crt": "", "tls.key": ""}}))
    world.run_until(lambda: is_good(world))

    assert world.store.secret is not None
    assert world.store.secret["type"] == "kubernetes.io/tls"
    assert world.store.material().bundle == before.bundle


def test_a_pair_that_cannot_be_loaded_is_told_and_tried_again(worlds: Callable[..., World]) -> None:
    """The old one stays; the new one is tried again after a while."""
    world = running(worlds(lifetimes=WEEKS))
    each = world.replicas[0]
    served = each.served
    each.fails_to_install = True
    ask(world)
    world.run(120.0)
    assert each.served is served
    assert "could not be loaded" in str(each.keeper.problem())
    each.fails_to_install = False
    world.run(40.0)

    assert each.served is not served
    assert each.keeper.problem() is None


@pytest.mark.parametrize("jump", [-3600.0, -86_400.0 * 3650])
def test_a_clock_that_jumps_back_writes_nothing(worlds: Callable[..., World], jump: float) -> None:
    """For an hour after the jump there is no write, and the authority is the same."""
    world = running(worlds(replicas=3, lifetimes=WEEKS))
    world.run(10.0)
    world.register_seconds = 20.0  # nothing to publish for long
    writes = len(world.store.writes)
    world.wall_offset = jump
    world.run(3600.0)
    world.wall_offset = 0.0
    world.run(3600.0)

    assert len(world.store.writes) == writes


def test_a_clock_that_jumps_past_all_ends_rotates_once(worlds: Callable[..., World]) -> None:
    """Ten years ahead: begin and promote, then nothing but retiring what has expired; and no write on the way back."""
    world = running(worlds(replicas=3, lifetimes=WEEKS))
    world.run(10.0)
    world.register_seconds = 20.0  # nothing to publish for long
    old = authority(world.store.material())
    world.wall_offset = 86_400.0 * 3650
    world.run(7200.0)
    steps = len(world.store.writes)
    assert world.store.writes == ["r0 create", "r0 replace", "r0 replace"]
    assert old in authorities_in(world.store.material().bundle_pem)
    world.wall_offset = 0.0
    world.run(7200.0)

    assert len(world.store.writes) == steps


def test_a_machine_that_slept_past_the_leaf_renews_within_a_minute(worlds: Callable[..., World]) -> None:
    """The monotonic clock stood still for thirty days; one write makes it right."""
    world = running(worlds(replicas=2, lifetimes=WEEKS))
    world.run(10.0)
    world.wall_offset = 86_400.0 * 30
    seconds = world.run_until(lambda: len(world.store.writes) == 2)
    world.run(3600.0)

    assert seconds <= 60
    assert len(world.store.writes) == 2


def test_where_all_has_expired_the_old_authority_leaves_last(worlds: Callable[..., World]) -> None:
    """Nothing ran for longer than any certificate: signing as soon as trusted, and alone when all could follow."""
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


def test_a_jump_that_is_set_right_at_once_costs_nothing(worlds: Callable[..., World]) -> None:
    """A clock that is wrong for some seconds after its machine woke makes no certificate."""
    world = running(worlds(lifetimes=WEEKS))
    world.run(10.0)
    world.wall_offset = 86_400.0 * 3650
    world.run(31.0)
    world.wall_offset = 0.0
    world.run(120.0)

    assert len(world.store.writes) == 1


def test_the_api_server_away_for_five_minutes_is_asked_ever_less(worlds: Callable[..., World]) -> None:
    """Nobody stops serving, the bundle stays known, and the attempts grow apart."""
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


def test_a_secret_without_authority_key_is_served_and_rotated(worlds: Callable[..., World]) -> None:
    """What somebody put there by hand is served as it is, until an authority of our own is trusted everywhere."""
    world = worlds(replicas=2)
    hand = new_material(NAMES, now=world.true_now(), lifetimes=WEEKS)
    secret = changed_secret({"metadata": {"name": NAME, "namespace": NAMESPACE}, "type": "Opaque"}, hand)
    del secret["data"]["ca.key"]
    world.store.put(secret, "hand")
    world.entries = [hand.bundle_pem] * 3
    world._history = [(0.0, list(world.entries))]  # noqa: SLF001  as if it had always been so
    world.start()
    world.run(1.0)
    assert {each.authority for each in world.replicas} == {authority(hand)}
    world.run_until(lambda: authority(hand) not in {each.authority for each in world.replicas}, seconds=200.0)

    assert world.store.material().retired == (hand.leaf.certificate,)


def test_what_is_known_at_the_start_is_nothing() -> None:
    """Before the first read nothing is published, and that is the problem; a name that is none fails at once."""
    world = World()
    with world:
        replica = world.replicas[0]
        surroundings = Surroundings(
            secrets=replica,
            published=list,
            leads=lambda: False,
            install=lambda _material: None,
            rng=random.Random(1),
        )
        keeper = Keeper(surroundings, namespace="n", name="s", names=NAMES)

        assert keeper.bundle == b""
        assert keeper.not_after == {}
        assert keeper.problem() == "Secret n/s: not read yet"
        with pytest.raises(CertificateError, match="neither a DNS name"):
            Keeper(surroundings, namespace="n", name="s", names=["no name"])


def test_when_things_end_is_told(worlds: Callable[..., World]) -> None:
    """The metrics learn when the serving pair and the authority end."""
    world = running(worlds(lifetimes=WEEKS))
    ends = world.replicas[0].keeper.not_after

    assert set(ends) == {"serving", "authority"}
    assert ends["authority"] - ends["serving"] == timedelta(days=358)


def test_a_version_that_is_no_number_is_not_compared(worlds: Callable[..., World]) -> None:
    """Where versions are opaque, what the watch brings is taken."""
    world = running(worlds(lifetimes=WEEKS))
    each: Replica = world.replicas[0]
    secret = copy.deepcopy(world.store.secret)
    assert secret is not None
    secret["metadata"]["resourceVersion"] = "opaque"
    secret["data"].clear()
    world.call(lambda: each.keeper.seen(secret))

    assert "missing or empty" in str(each.keeper.problem())
