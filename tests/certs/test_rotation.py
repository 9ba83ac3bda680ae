"""Which step comes next, and what it makes of the material."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from certificate_builders import NAMES, NOW, authority, pair

from certs import CertificateError, KeyPair, Lifetimes, read_material
from certs.authority import fingerprint
from certs.material import MAX_AUTHORITIES, Material, new_material
from certs.renewal import authority_due, created, leaf_due, leaf_overdue
from certs.rotation import (
    Action,
    Facts,
    Signed,
    Step,
    next_step,
    perform,
    phase,
)

LIFETIMES = Lifetimes()
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
FAST = Lifetimes(ca=timedelta(seconds=120), leaf=timedelta(seconds=20), propagation_seconds=3.0)


def material(*, now: datetime = NOW, lifetimes: Lifetimes = LIFETIMES) -> Material:
    return new_material(NAMES, now=now, lifetimes=lifetimes)


def facts(  # noqa: PLR0913  each fact by its name
    now: datetime,
    *,
    trusted: dict[str, float] | None = None,
    settled: float = 1e9,
    serving: Signed | None = None,
    requested: datetime | None = None,
    jitter: float = 0.0,
    steady_now: datetime | None = None,
) -> Facts:
    return Facts(
        now=now,
        steady_now=steady_now or now,
        trusted_seconds=trusted or {},
        settled_seconds=settled,
        serving=serving,
        requested=requested,
        jitter=jitter,
    )


def trusting(*pairs: KeyPair | None, seconds: float = 60.0) -> dict[str, float]:
    return {fingerprint(each.certificate): seconds for each in pairs if each is not None}


def step(found: Material, known: Facts, lifetimes: Lifetimes = LIFETIMES, names: tuple[str, ...] = NAMES) -> Action:
    return next_step(found, known, lifetimes, names).action


def done(action: Action, found: Material, known: Facts, lifetimes: Lifetimes = LIFETIMES) -> Material:
    """Do a step that must be the next one, and check that what comes of it can be read."""
    chosen = next_step(found, known, lifetimes, NAMES)
    assert chosen.action is action, chosen
    result = perform(chosen, found, known, lifetimes, NAMES)
    assert read_material(result.entries()) is not None
    return result


def begun(now: datetime = NOW + 300 * DAY) -> Material:
    """Begin a rotation, with a fresh leaf."""
    young = material()
    fresh = done(Action.RENEW, young, facts(now))
    return done(Action.BEGIN, fresh, facts(now))


def test_new_material_waits_for_two_thirds_of_its_leaf() -> None:
    """A leaf of seven days is renewed after four days and sixteen hours, or a twentieth earlier by chance."""
    made = material()
    due = NOW + timedelta(days=7) * 2 / 3

    assert next_step(made, facts(NOW), LIFETIMES, NAMES).until == due
    assert step(made, facts(due - SECOND)) is Action.WAIT
    assert step(made, facts(due)) is Action.RENEW
    assert step(made, facts(due - timedelta(hours=8.4), jitter=1.0)) is Action.RENEW
    assert step(made, facts(due - timedelta(hours=8.5), jitter=1.0)) is Action.WAIT


def test_an_authority_is_due_at_two_thirds_of_its_year() -> None:
    """The successor comes after 243 days and 8 hours."""
    made = material()
    due = NOW + timedelta(days=365) * 2 / 3
    late = done(Action.RENEW, made, facts(due - SECOND))

    assert authority_due(made.bundle[0], LIFETIMES) == due
    assert created(made.bundle[0], LIFETIMES) == NOW
    assert next_step(late, facts(due - SECOND), LIFETIMES, NAMES).until == due
    assert step(late, facts(due)) is Action.BEGIN


def test_a_leaf_of_twenty_seconds_lives_two_thirds_of_them() -> None:
    """The hour that it is backdated by does not make it due before it is made, whatever the chance."""
    made = material(lifetimes=FAST)

    assert leaf_due(made.leaf.certificate, FAST) == NOW + timedelta(seconds=20) * 2 / 3
    for jitter in (0.0, 1.0):
        for second in range(12):
            assert step(made, facts(NOW + second * SECOND, jitter=jitter), FAST) is Action.WAIT
        assert step(made, facts(NOW + 14 * SECOND, jitter=jitter), FAST) is Action.RENEW


@pytest.mark.parametrize("before", [FAST, LIFETIMES])
@pytest.mark.parametrize("after", [FAST, LIFETIMES, Lifetimes(leaf=DAY, backdate=timedelta(seconds=5))])
def test_other_settings_renew_at_most_once(before: Lifetimes, after: Lifetimes) -> None:
    """Lifetimes that are changed between two starts make no loop."""
    made = material(lifetimes=before)
    now = NOW + 15 * SECOND
    if step(made, facts(now), after) is Action.RENEW:
        made = done(Action.RENEW, made, facts(now), after)

    assert step(made, facts(now), after) is not Action.RENEW


def test_a_renewal_keeps_the_authority() -> None:
    """Only the pair is new."""
    made = material()
    renewed = done(Action.RENEW, made, facts(NOW + 6 * DAY))

    assert (renewed.bundle, renewed.signer, renewed.retired) == (made.bundle, made.signer, ())
    assert renewed.leaf.certificate.not_valid_after_utc == NOW + 13 * DAY


def test_a_renewal_that_gains_nothing_is_not_made() -> None:
    """A leaf that ends with its authority is not renewed again and again towards the end."""
    made = material()
    end = NOW + 365 * DAY
    last = done(Action.BEGIN, done(Action.RENEW, made, facts(end - DAY)), facts(end - DAY))

    assert last.leaf.certificate.not_valid_after_utc == end
    for left in (timedelta(hours=12), timedelta(minutes=5), SECOND, timedelta(0), -DAY):
        assert step(last, facts(end - left)) is Action.WAIT


def test_a_leaf_for_other_names_is_renewed_once() -> None:
    """The Service was renamed: the leaf follows, and the old one is not forgotten where it lives longer."""
    made = material()
    names = ("other.guard.svc",)
    now = NOW - timedelta(minutes=5)
    chosen = next_step(made, facts(now), LIFETIMES, names)
    renewed = perform(chosen, made, facts(now), LIFETIMES, names)

    assert chosen.action is Action.RENEW
    assert renewed.retired == (made.leaf.certificate,)
    assert step(renewed, facts(now), names=names) is Action.WAIT
    assert step(made, facts(NOW), names=(NAMES[2].upper(),)) is Action.WAIT


def test_a_rotation_goes_through_its_steps() -> None:
    """Begin, promote, retire: the successor signs only when trusted, the old one leaves only with its last leaf."""
    now = NOW + 300 * DAY
    first = begun(now)
    old, new = first.signer, first.successor
    assert old is not None
    assert new is not None
    assert first.bundle == (new.certificate, old.certificate)
    assert step(first, facts(now)) is Action.WAIT
    assert step(first, facts(now, trusted=trusting(old))) is Action.WAIT
    assert step(first, facts(now, trusted=trusting(old, new, seconds=59.9))) is Action.WAIT
    second = done(Action.PROMOTE, first, facts(now, trusted=trusting(old, new)))

    assert (second.signer, second.successor, second.bundle) == (new, None, first.bundle)
    assert second.leaf_authority == new.certificate
    assert second.retired == (first.leaf.certificate,)
    end = first.leaf.certificate.not_valid_after_utc
    third = done(Action.RENEW, second, facts(end))
    assert next_step(second, facts(now + DAY), LIFETIMES, NAMES).until == now + timedelta(days=7) * 2 / 3
    assert step(third, facts(end, settled=119.0)) is Action.WAIT
    assert step(third, facts(end, steady_now=end - SECOND)) is Action.WAIT
    fourth = done(Action.RETIRE, third, facts(end, settled=120.0))
    assert (fourth.bundle, fourth.retired) == ((new.certificate,), ())
    assert step(fourth, facts(end)) is Action.WAIT


@pytest.mark.parametrize("seconds", [0.0, 59.9])
def test_nothing_is_waited_for_when_nothing_is_valid(seconds: float) -> None:
    """After a long night nobody trusts what is served: a successor signs when it is published, and not before."""
    end = NOW + 365 * DAY
    first = done(Action.BEGIN, material(), facts(end))
    published = trusting(first.successor, seconds=seconds)

    assert step(first, facts(end)) is Action.WAIT
    assert step(first, facts(end, trusted=published, steady_now=NOW)) is Action.WAIT  # the clock jumped, perhaps
    second = done(Action.PROMOTE, first, facts(end, trusted=published))
    assert second.leaf_authority == first.successor.certificate  # type: ignore[union-attr]


def test_a_leaf_of_nobody_that_has_ended_is_replaced_at_once() -> None:
    """The signer that is published takes over from an authority whose leaf has ended."""
    made, other = material(), authority()
    mixed = replace(made, bundle=(*made.bundle, other.certificate), leaf=pair(other))
    end = mixed.leaf.certificate.not_valid_after_utc
    published = trusting(made.signer, seconds=0.0)

    assert step(mixed, facts(end - SECOND, trusted=published)) is Action.WAIT
    assert step(mixed, facts(end)) is Action.WAIT
    assert step(mixed, facts(end, trusted=published)) is Action.RENEW


def test_leaves_are_renewed_while_a_rotation_waits() -> None:
    """Somebody's configuration that never takes the successor stops no renewal, by the old authority."""
    first = begun()
    later = NOW + 306 * DAY
    renewed = done(Action.RENEW, first, facts(later))

    assert renewed.leaf_authority == first.signer.certificate  # type: ignore[union-attr]
    assert renewed.successor == first.successor


def test_a_clock_that_went_back_changes_nothing() -> None:
    """Before its own beginning nothing is due, and no successor from the future signs."""
    first = begun()
    for back in (timedelta(hours=2), DAY, 3650 * DAY):
        assert step(material(), facts(NOW - back)) is Action.WAIT
        assert step(first, facts(NOW - back, trusted=trusting(first.successor))) is Action.WAIT


def test_a_clock_past_all_ends_rotates_once() -> None:
    """Ten years ahead an expired signer signs nothing: one successor, one promotion, one retirement, then rest."""
    now = NOW + 3650 * DAY
    made = material()
    first = done(Action.BEGIN, made, facts(now))
    assert step(first, facts(now)) is Action.WAIT
    second = done(Action.PROMOTE, first, facts(now, trusted=trusting(first.signer, first.successor)))
    third = done(Action.RETIRE, second, facts(now))

    assert step(third, facts(now)) is Action.WAIT
    assert len(third.bundle) == 1
    for back in (DAY, 3650 * DAY):
        assert step(third, facts(now - back)) is Action.WAIT


def test_a_successor_that_is_of_no_use_is_replaced_when_one_is_due() -> None:
    """A successor made in the future, or expired while it waited, gives way; it has signed nothing."""
    young = done(Action.RENEW, material(), facts(NOW + 249 * DAY))
    future = done(Action.BEGIN, young, facts(NOW + 3650 * DAY))
    assert step(future, facts(NOW + 200 * DAY)) is Action.WAIT
    again = done(Action.BEGIN, future, facts(NOW + 250 * DAY))

    assert future.successor is not None
    assert future.successor.certificate not in again.bundle
    assert len(again.bundle) == 2


def test_no_rotation_begins_with_a_full_bundle() -> None:
    """The bundle is in every entry, so it does not grow without end."""
    made = material()
    others = tuple(authority().certificate for _ in range(MAX_AUTHORITIES - 1))
    full = replace(made, bundle=(*made.bundle, *others))
    now = NOW + timedelta(days=4)

    assert step(full, facts(now, requested=now)) is Action.WAIT
    assert step(replace(full, bundle=full.bundle[:-1]), facts(now, requested=now)) is Action.BEGIN


@pytest.mark.parametrize(
    ("now", "requested", "action"),
    [
        (NOW + DAY, NOW + SECOND, Action.BEGIN),
        (NOW + DAY, NOW, Action.WAIT),
        (NOW + DAY, NOW - DAY, Action.WAIT),
        (NOW + DAY, NOW + 2 * DAY, Action.WAIT),
        (NOW - 2 * DAY, NOW - 2 * DAY, Action.BEGIN),
    ],
    ids=["after", "at once", "before", "in the future", "of an authority from the future"],
)
def test_a_rotation_is_made_when_asked_for(now: datetime, requested: datetime, action: Action) -> None:
    """A request counts if it is later than the authority, or the authority's time has not come."""
    assert step(material(), facts(now, requested=requested)) is action


def test_without_its_key_the_authority_is_replaced_in_two_phases() -> None:
    """A pair without ca.key is served until an authority of our own is trusted everywhere."""
    found = replace(material(), signer=None)
    first = done(Action.BEGIN, found, facts(NOW))
    second = done(Action.PROMOTE, first, facts(NOW, trusted=trusting(first.successor)))

    assert first.leaf == found.leaf
    assert second.retired == (found.leaf.certificate,)
    assert step(first, facts(NOW + 6 * DAY)) is Action.WAIT


def test_a_leaf_from_another_authority_is_replaced_when_the_signer_is_trusted() -> None:
    """A renewal never lets an authority sign that not everybody trusts."""
    made, other = material(), authority()
    mixed = replace(made, bundle=(*made.bundle, other.certificate), leaf=pair(other))
    assert step(mixed, facts(NOW)) is Action.WAIT
    renewed = done(Action.RENEW, mixed, facts(NOW, trusted=trusting(made.signer)))

    assert renewed.retired == (mixed.leaf.certificate,)
    assert renewed.leaf_authority == made.bundle[0]


def test_what_is_still_served_is_trusted_again() -> None:
    """Somebody put another Secret there: the authority of the pair in use comes back until that pair has expired."""
    ours, theirs = material(), material()
    serving = Signed(leaf=ours.leaf.certificate, authority=ours.bundle[0])
    joined = done(Action.READMIT, theirs, facts(NOW, serving=serving))

    assert set(joined.bundle) == {*theirs.bundle, *ours.bundle}
    assert joined.retired == (ours.leaf.certificate,)
    assert step(joined, facts(NOW, serving=serving)) is Action.WAIT
    assert step(theirs, facts(NOW + 8 * DAY, serving=serving)) is not Action.READMIT
    assert step(theirs, facts(NOW + 8 * DAY, serving=serving, steady_now=NOW)) is Action.READMIT
    later = done(Action.RENEW, joined, facts(NOW + 7 * DAY))
    assert done(Action.RETIRE, later, facts(NOW + 7 * DAY)).bundle == theirs.bundle


def test_an_authority_that_nobody_knows_stays_until_it_ends() -> None:
    """One that is in the bundle without a record may have signed anything; records of nobody are dropped."""
    made, unknown = material(), authority(days=100)
    found = replace(made, bundle=(*made.bundle, unknown.certificate), retired=(pair(authority()).certificate,))
    late = done(Action.RENEW, found, facts(NOW + 100 * DAY - SECOND))
    assert step(late, facts(NOW + 100 * DAY - SECOND)) is Action.WAIT
    left = done(Action.RETIRE, late, facts(NOW + 100 * DAY))

    assert (left.bundle, left.retired) == (made.bundle, ())


def test_an_authority_stays_for_the_last_of_its_leaves() -> None:
    """Whoever wrote the Secret may have put several of one authority on record: each of them must have ended."""
    made, old = material(), authority(days=100)
    leaves = tuple(pair(old, days=days).certificate for days in (2, 5))
    found = replace(made, bundle=(*made.bundle, old.certificate), retired=leaves)

    assert step(found, facts(NOW + 3 * DAY)) is Action.WAIT
    late = done(Action.RENEW, found, facts(NOW + 5 * DAY))
    assert done(Action.RETIRE, late, facts(NOW + 5 * DAY)).bundle == made.bundle


def test_of_two_leaves_of_one_authority_the_longer_is_on_record() -> None:
    """An authority stays for the leaf that lives longest, whichever was signed last."""
    first = begun()
    assert first.signer is not None
    long = pair(first.signer, now=NOW + 300 * DAY, days=30).certificate
    known = facts(NOW + 300 * DAY, trusted=trusting(first.successor))
    second = done(Action.PROMOTE, replace(first, retired=(long,)), known)

    assert second.retired == (long,)


def test_steps_that_cannot_be_done_are_refused() -> None:
    """Waiting changes nothing, and what lacks a key signs nothing."""
    made = material()
    for action in (Action.WAIT, Action.PROMOTE, Action.READMIT):
        with pytest.raises(CertificateError, match="nothing can be done"):
            perform(Step(action=action, reason=""), made, facts(NOW), LIFETIMES, NAMES)
    with pytest.raises(CertificateError, match="key of the authority"):
        perform(Step(action=Action.RENEW, reason=""), replace(made, signer=None), facts(NOW), LIFETIMES, NAMES)


def test_the_phase_is_told_in_words() -> None:
    """People see how far a rotation is, and until when it waits."""
    now = NOW + 300 * DAY
    first = begun(now)
    second = done(Action.PROMOTE, first, facts(now, trusted=trusting(first.successor)))
    mixed = replace(second, leaf=first.leaf, retired=())

    assert phase(material(), NOW) == "no rotation"
    assert "signs when it has been trusted everywhere for long enough" in phase(first, now)
    assert f"leaves after {(now + 7 * DAY).isoformat()}" in phase(second, now)
    assert phase(second, now + 7 * DAY).endswith("leaves next")
    assert f"leaves after {(now + 7 * DAY).isoformat()}" in phase(mixed, now)


@pytest.mark.parametrize(
    "wrong", [{"ca": timedelta(0)}, {"leaf": timedelta(0)}, {"propagation_seconds": 0.0}, {"backdate": -DAY}]
)
def test_lifetimes_are_positive(wrong: dict[str, timedelta]) -> None:
    """What would never be valid, or not wait, is refused at the start."""
    with pytest.raises(CertificateError, match="lifetimes"):
        Lifetimes(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "backdate", [timedelta(0), timedelta(hours=1)], ids=["made without a backdate", "made with one"]
)
def test_a_leaf_is_overdue_between_its_renewal_and_its_end(backdate: timedelta) -> None:
    """At five sixths of its life, however it was made: one valid for less than the backdate was made without."""
    made = Lifetimes(leaf=timedelta(seconds=60), backdate=backdate)
    leaf = material(lifetimes=made).leaf.certificate

    assert leaf_overdue(leaf, Lifetimes(leaf=made.leaf)) == leaf.not_valid_after_utc - timedelta(seconds=10)
