"""Which step of a rotation comes next, and its result."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from certificate_builders import NAMES, NOW, authority, pair

from certs.authority import CertificateError, KeyPair, fingerprint
from certs.material import MAX_AUTHORITIES, Material, new_material, read_material
from certs.renewal import Lifetimes, leaf_due
from certs.rotation import Action, Facts, Signed, Step, next_step, perform

LIFETIMES = Lifetimes()
DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)
FAST = Lifetimes(ca=timedelta(seconds=120), leaf=timedelta(seconds=20), propagation_seconds=3.0)


def material(*, now: datetime = NOW, lifetimes: Lifetimes = LIFETIMES) -> Material:
    return new_material(NAMES, now=now, lifetimes=lifetimes)


def facts(  # noqa: PLR0913  each fact is a named argument
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
    """Perform a step that must be the next one, and check that the result can be parsed."""
    chosen = next_step(found, known, lifetimes, NAMES)
    assert chosen.action is action, chosen
    result = perform(chosen, found, known, lifetimes, NAMES)
    assert read_material(result.entries()) is not None
    return result


def begun(now: datetime = NOW + 300 * DAY) -> Material:
    """Return material in which a rotation has begun, with a new leaf."""
    young = material()
    fresh = done(Action.RENEW, young, facts(now))
    return done(Action.BEGIN, fresh, facts(now))


def test_a_leaf_is_renewed_at_two_thirds_of_its_lifetime() -> None:
    """A leaf of seven days is renewed after four days and sixteen hours, or up to a twentieth earlier at random."""
    made = material()
    due = NOW + timedelta(days=7) * 2 / 3

    assert next_step(made, facts(NOW), LIFETIMES, NAMES).until == due
    assert step(made, facts(due - SECOND)) is Action.WAIT
    assert step(made, facts(due)) is Action.RENEW
    assert step(made, facts(due - timedelta(hours=8.4), jitter=1.0)) is Action.RENEW
    assert step(made, facts(due - timedelta(hours=8.5), jitter=1.0)) is Action.WAIT


def test_a_rotation_begins_at_two_thirds_of_the_lifetime_of_the_authority() -> None:
    """An authority of 365 days gets a successor after 243 days and 8 hours."""
    made = material()
    due = NOW + timedelta(days=365) * 2 / 3
    late = done(Action.RENEW, made, facts(due - SECOND))

    assert next_step(late, facts(due - SECOND), LIFETIMES, NAMES).until == due
    assert step(late, facts(due)) is Action.BEGIN


def test_a_short_lived_leaf_is_not_due_when_it_is_made() -> None:
    """For any jitter, the backdate of an hour does not make a leaf of 20 seconds due early."""
    made = material(lifetimes=FAST)

    assert leaf_due(made.leaf.certificate, FAST) == NOW + timedelta(seconds=20) * 2 / 3
    for jitter in (0.0, 1.0):
        for second in range(12):
            assert step(made, facts(NOW + second * SECOND, jitter=jitter), FAST) is Action.WAIT
        assert step(made, facts(NOW + 14 * SECOND, jitter=jitter), FAST) is Action.RENEW


@pytest.mark.parametrize("before", [FAST, LIFETIMES])
@pytest.mark.parametrize("after", [FAST, LIFETIMES, Lifetimes(leaf=DAY, backdate=timedelta(seconds=5))])
def test_changed_lifetimes_renew_at_most_once(before: Lifetimes, after: Lifetimes) -> None:
    """If the lifetimes change between two starts, a leaf is renewed once, not in a loop."""
    made = material(lifetimes=before)
    now = NOW + 15 * SECOND
    if step(made, facts(now), after) is Action.RENEW:
        made = done(Action.RENEW, made, facts(now), after)

    assert step(made, facts(now), after) is not Action.RENEW


def test_a_renewal_keeps_the_authority() -> None:
    """A renewal replaces only the serving pair."""
    made = material()
    renewed = done(Action.RENEW, made, facts(NOW + 6 * DAY))

    assert (renewed.bundle, renewed.signer, renewed.retired) == (made.bundle, made.signer, ())
    assert renewed.leaf.certificate.not_valid_after_utc == NOW + 13 * DAY


def test_a_leaf_that_ends_with_its_authority_is_not_renewed() -> None:
    """A renewal would not extend its validity, and would be due again at once."""
    made = material()
    end = NOW + 365 * DAY
    last = done(Action.BEGIN, done(Action.RENEW, made, facts(end - DAY)), facts(end - DAY))

    assert last.leaf.certificate.not_valid_after_utc == end
    for left in (timedelta(hours=12), timedelta(minutes=5), SECOND, timedelta(0), -DAY):
        assert step(last, facts(end - left)) is Action.WAIT


def test_a_leaf_for_different_names_is_renewed_once() -> None:
    """If the Service is renamed, the leaf is renewed. The old leaf is recorded if it ends later."""
    made = material()
    names = ("other.guard.svc",)
    now = NOW - timedelta(minutes=5)
    chosen = next_step(made, facts(now), LIFETIMES, names)
    renewed = perform(chosen, made, facts(now), LIFETIMES, names)

    assert chosen.action is Action.RENEW
    assert renewed.retired == (made.leaf.certificate,)
    assert step(renewed, facts(now), names=names) is Action.WAIT
    assert step(made, facts(NOW), names=(NAMES[2].upper(),)) is Action.WAIT


def test_a_rotation_begins_promotes_and_retires() -> None:
    """The successor signs after it is trusted. The old authority is removed after its last leaf has expired."""
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
def test_a_successor_of_an_expired_leaf_signs_as_soon_as_it_is_published(seconds: float) -> None:
    """No API server trusts the served certificate any more, so there is no trust to lose."""
    end = NOW + 365 * DAY
    first = done(Action.BEGIN, material(), facts(end))
    published = trusting(first.successor, seconds=seconds)

    assert step(first, facts(end)) is Action.WAIT
    assert step(first, facts(end, trusted=published, steady_now=NOW)) is Action.WAIT  # the wall clock may have jumped
    second = done(Action.PROMOTE, first, facts(end, trusted=published))
    assert second.leaf_authority == first.successor.certificate  # type: ignore[union-attr]


def test_an_expired_leaf_of_a_different_authority_is_replaced_at_once() -> None:
    """The signer renews the leaf as soon as the signer is published."""
    made, other = material(), authority()
    mixed = replace(made, bundle=(*made.bundle, other.certificate), leaf=pair(other))
    end = mixed.leaf.certificate.not_valid_after_utc
    published = trusting(made.signer, seconds=0.0)

    assert step(mixed, facts(end - SECOND, trusted=published)) is Action.WAIT
    assert step(mixed, facts(end)) is Action.WAIT
    assert step(mixed, facts(end, trusted=published)) is Action.RENEW


def test_leaves_are_renewed_while_a_rotation_waits() -> None:
    """If a webhook configuration never trusts the successor, the old authority goes on signing."""
    first = begun()
    later = NOW + 306 * DAY
    renewed = done(Action.RENEW, first, facts(later))

    assert renewed.leaf_authority == first.signer.certificate  # type: ignore[union-attr]
    assert renewed.successor == first.successor


def test_a_clock_that_jumps_back_makes_nothing_due() -> None:
    """Before its validity begins, no certificate is due, and no successor signs."""
    first = begun()
    for back in (timedelta(hours=2), DAY, 3650 * DAY):
        assert step(material(), facts(NOW - back)) is Action.WAIT
        assert step(first, facts(NOW - back, trusted=trusting(first.successor))) is Action.WAIT


def test_a_clock_ten_years_ahead_rotates_once() -> None:
    """An expired signer signs nothing. One rotation follows, and then nothing is due."""
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


def test_a_successor_that_is_not_valid_is_replaced_when_a_rotation_is_due() -> None:
    """A successor that is not valid yet, or has expired while it waited, has signed nothing and is removed."""
    young = done(Action.RENEW, material(), facts(NOW + 249 * DAY))
    future = done(Action.BEGIN, young, facts(NOW + 3650 * DAY))
    assert step(future, facts(NOW + 200 * DAY)) is Action.WAIT
    again = done(Action.BEGIN, future, facts(NOW + 250 * DAY))

    assert future.successor is not None
    assert future.successor.certificate not in again.bundle
    assert len(again.bundle) == 2


def test_no_rotation_begins_with_a_full_bundle() -> None:
    """Every webhook entry carries the bundle, so its size is limited."""
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
    ids=["after", "at the same time", "before", "in the future", "for an authority from the future"],
)
def test_a_rotation_begins_on_request(now: datetime, requested: datetime, action: Action) -> None:
    """A request counts if it is later than the creation of the authority, or the authority is from the future."""
    assert step(material(), facts(now, requested=requested)) is action


def test_an_authority_without_its_key_is_replaced_in_two_steps() -> None:
    """A pair without ca.key is served until a new authority is trusted everywhere."""
    found = replace(material(), signer=None)
    first = done(Action.BEGIN, found, facts(NOW))
    second = done(Action.PROMOTE, first, facts(NOW, trusted=trusting(first.successor)))

    assert first.leaf == found.leaf
    assert second.retired == (found.leaf.certificate,)
    assert step(first, facts(NOW + 6 * DAY)) is Action.WAIT


def test_a_leaf_of_a_different_authority_is_replaced_when_the_signer_is_trusted() -> None:
    """A renewal never uses an authority that some API server does not trust."""
    made, other = material(), authority()
    mixed = replace(made, bundle=(*made.bundle, other.certificate), leaf=pair(other))
    assert step(mixed, facts(NOW)) is Action.WAIT
    renewed = done(Action.RENEW, mixed, facts(NOW, trusted=trusting(made.signer)))

    assert renewed.retired == (mixed.leaf.certificate,)
    assert renewed.leaf_authority == made.bundle[0]


def test_the_authority_of_the_served_pair_is_readmitted() -> None:
    """If another program replaces the Secret, the served pair stays trusted until it has expired."""
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


def test_an_authority_without_recorded_leaf_stays_until_it_expires() -> None:
    """It may have signed any certificate. A recorded leaf of an unknown authority is removed."""
    made, unknown = material(), authority(days=100)
    found = replace(made, bundle=(*made.bundle, unknown.certificate), retired=(pair(authority()).certificate,))
    late = done(Action.RENEW, found, facts(NOW + 100 * DAY - SECOND))
    assert step(late, facts(NOW + 100 * DAY - SECOND)) is Action.WAIT
    left = done(Action.RETIRE, late, facts(NOW + 100 * DAY))

    assert (left.bundle, left.retired) == (made.bundle, ())


def test_an_authority_stays_until_all_its_recorded_leaves_have_expired() -> None:
    """Another program may have recorded several leaves of one authority."""
    made, old = material(), authority(days=100)
    leaves = tuple(pair(old, days=days).certificate for days in (2, 5))
    found = replace(made, bundle=(*made.bundle, old.certificate), retired=leaves)

    assert step(found, facts(NOW + 3 * DAY)) is Action.WAIT
    late = done(Action.RENEW, found, facts(NOW + 5 * DAY))
    assert done(Action.RETIRE, late, facts(NOW + 5 * DAY)).bundle == made.bundle


def test_of_two_leaves_of_one_authority_the_later_end_is_recorded() -> None:
    """An authority stays until the end of its longest-lived leaf, whichever leaf was signed last."""
    first = begun()
    assert first.signer is not None
    long = pair(first.signer, now=NOW + 300 * DAY, days=30).certificate
    known = facts(NOW + 300 * DAY, trusted=trusting(first.successor))
    second = done(Action.PROMOTE, replace(first, retired=(long,)), known)

    assert second.retired == (long,)


def test_an_impossible_step_is_rejected() -> None:
    """Waiting has no result, and an authority without its key cannot sign."""
    made = material()
    for action in (Action.WAIT, Action.PROMOTE, Action.READMIT):
        with pytest.raises(CertificateError, match="is not possible"):
            perform(Step(action=action, reason=""), made, facts(NOW), LIFETIMES, NAMES)
    with pytest.raises(CertificateError, match="key of the CA"):
        perform(Step(action=Action.RENEW, reason=""), replace(made, signer=None), facts(NOW), LIFETIMES, NAMES)
