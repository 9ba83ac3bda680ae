"""Renewing and rotating by hand."""

from datetime import timedelta

import pytest
from certificate_builders import NAMES, NOW

from certs import CertificateError, Lifetimes
from certs.by_hand import renew, rotate
from certs.material import MAX_AUTHORITIES, Material, new_material
from certs.show import describe, problems

LIFETIMES = Lifetimes()
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


def material() -> Material:
    return new_material(NAMES, now=NOW, lifetimes=LIFETIMES)


def rotated(found: Material, days: float, *, force: bool = False) -> tuple[Material | None, str]:
    done = rotate(found, now=NOW + days * DAY, lifetimes=LIFETIMES, force=force)
    return done.material, done.message


def test_a_rotation_by_hand_takes_the_same_steps() -> None:
    """Begin, wait, promote, wait, retire, each told with what to do next."""
    began, first = rotated(material(), 1)
    assert began is not None
    waiting, second = rotated(began, 1)
    signs, third = rotated(began, 1.001)
    assert signs is not None
    again, fourth = rotated(signs, 2)
    ended, fifth = rotated(signs, 8.1)
    assert ended is not None

    assert "publish ca.crt everywhere, wait a minute" in first
    assert (waiting, second) == (None, "publish ca.crt everywhere, and run this again after 2027-03-02T12:01:00Z")
    assert "the new authority signs" in third
    assert again is None
    assert "leaves after 2027-03-08T12:00:00+00:00; --force begins another" in fourth
    assert "has gone from ca.crt" in fifth
    assert ended.bundle == (signs.bundle[0],)


def test_another_rotation_can_be_forced() -> None:
    """Before the old authority has left, a third one can come when somebody insists."""
    began, _ = rotated(material(), 1)
    assert began is not None
    signs, _ = rotated(began, 1.001)
    assert signs is not None
    third, _ = rotated(signs, 2, force=True)

    assert third is not None
    assert len(third.bundle) == 3


def test_no_rotation_is_forced_into_a_full_bundle() -> None:
    """Every authority goes into every webhook entry, so the number of them has an end, by hand too."""
    found, days = material(), 1.0
    while len(found.bundle) < MAX_AUTHORITIES or found.successor is not None:
        days += 0.001
        done, _ = rotated(found, days, force=True)
        assert done is not None
        found = done

    with pytest.raises(CertificateError, match="full"):
        rotated(found, days, force=True)


def test_a_pair_is_renewed_when_due_or_forced() -> None:
    """Two thirds of seven days after it was made, whatever its backdate; the names stay."""
    made = material()
    early = renew(made, now=NOW + 4 * DAY, lifetimes=LIFETIMES, force=False)
    due = renew(made, now=NOW + 5 * DAY, lifetimes=LIFETIMES, force=False)
    forced = renew(made, now=NOW, lifetimes=LIFETIMES, force=True)

    assert (early.material, early.message) == (None, "not due before 2027-03-06T04:00:00Z; --force renews it now")
    for done in (due, forced):
        assert done.material is not None
        assert done.material.bundle == made.bundle
        assert done.material.leaf.certificate != made.leaf.certificate


def test_without_the_key_of_the_authority_nothing_is_renewed() -> None:
    """There is nobody to sign, and a rotation is the way out."""
    made = material()
    lost = Material(bundle=made.bundle, signer=None, leaf=made.leaf)

    with pytest.raises(CertificateError, match="key of the authority is not there"):
        renew(lost, now=NOW + 5 * DAY, lifetimes=LIFETIMES, force=True)
    assert problems(lost, NOW) == ("the key of the authority is not there",)
    assert rotated(lost, 1)[0] is not None


def test_everything_is_shown() -> None:
    """Who signs, who will, who does no more, what is served, when each is due, and how far a rotation is."""
    began, _ = rotated(material(), 1)
    assert began is not None
    signs, _ = rotated(began, 1.001)
    assert signs is not None
    during = describe(began, now=NOW + DAY, lifetimes=LIFETIMES)
    after = describe(signs, now=NOW + DAY, lifetimes=LIFETIMES)

    assert "authority (signs next): CN=eem-guardrail CA" in during
    assert "authority (signs): CN=eem-guardrail CA" in during
    assert "signs when it has been trusted everywhere" in during
    assert "authority (signs no more)" in after
    assert "leaves after 2027-03-08T12:00:00+00:00" in after
    assert "renewal due: 2027-03-06T04:00:00Z" in during
    assert "rotation: no rotation" in describe(material(), now=NOW, lifetimes=LIFETIMES)
    assert "names:       eem-guardrail, eem-guardrail.guard, eem-guardrail.guard.svc" in during
