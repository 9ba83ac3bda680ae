"""Renewing and rotating by hand."""

from datetime import timedelta

import pytest
from certificate_builders import NAMES, NOW, authority, pair

from certs.authority import CertificateError
from certs.by_hand import ManualResult, describe, phase, problems, renew, rotate
from certs.material import MAX_AUTHORITIES, Material, new_material
from certs.renewal import Lifetimes

LIFETIMES = Lifetimes()
DAY = timedelta(days=1)


def material() -> Material:
    return new_material(NAMES, now=NOW, lifetimes=LIFETIMES)


def rotated(found: Material, days: float, *, force: bool = False) -> ManualResult:
    return rotate(found, now=NOW + days * DAY, lifetimes=LIFETIMES, force=force)


def changed(result: ManualResult) -> Material:
    assert result.material is not None
    return result.material


def test_a_rotation_by_hand_begins_promotes_and_retires() -> None:
    """Each step says what to do next. A step that is not due yet changes nothing."""
    begun = rotated(material(), 1)
    too_early = rotated(changed(begun), 1)
    promoted = rotated(changed(begun), 1.001)
    still_trusted = rotated(changed(promoted), 2)
    retired = rotated(changed(promoted), 8.1)

    assert "publish ca.crt in every webhook configuration, wait a minute" in begun.message
    assert too_early == ManualResult(
        material=None,
        message="publish ca.crt in every webhook configuration, and run this command again after 2027-03-02T12:01:00Z",
    )
    assert "the new CA signs now" in promoted.message
    assert still_trusted.material is None
    assert "leaves the bundle after 2027-03-08T12:00:00Z; --force begins another" in still_trusted.message
    assert "were removed from ca.crt" in retired.message
    assert changed(retired).bundle == (changed(promoted).bundle[0],)


def test_force_begins_another_rotation_before_the_last_one_has_ended() -> None:
    """With --force the bundle holds three authorities."""
    promoted = changed(rotated(changed(rotated(material(), 1)), 1.001))

    assert len(changed(rotated(promoted, 2, force=True)).bundle) == 3


def test_force_begins_no_rotation_with_a_full_bundle() -> None:
    """Every webhook entry carries every authority, so their number is limited."""
    found, days = material(), 1.0
    while len(found.bundle) < MAX_AUTHORITIES or found.successor is not None:
        days += 0.001
        found = changed(rotated(found, days, force=True))

    with pytest.raises(CertificateError, match="full"):
        rotated(found, days, force=True)


def test_a_pair_is_renewed_if_it_is_due_or_with_force() -> None:
    """A pair is due at two thirds of seven days after it was made. A renewal keeps the authority."""
    made = material()
    early = renew(made, now=NOW + 4 * DAY, lifetimes=LIFETIMES, force=False)
    due = renew(made, now=NOW + 5 * DAY, lifetimes=LIFETIMES, force=False)
    forced = renew(made, now=NOW, lifetimes=LIFETIMES, force=True)

    assert early.material is None
    assert early.message == (
        "the serving certificate is not due for renewal before 2027-03-06T04:00:00Z; --force renews it now"
    )
    for result in (due, forced):
        assert changed(result).bundle == made.bundle
        assert changed(result).leaf.certificate != made.leaf.certificate


def test_a_pair_is_not_renewed_without_the_key_of_the_authority() -> None:
    """A rotation is possible all the same."""
    made = material()
    lost = Material(bundle=made.bundle, signer=None, leaf=made.leaf)

    with pytest.raises(CertificateError, match="key of the CA is missing"):
        renew(lost, now=NOW + 5 * DAY, lifetimes=LIFETIMES, force=True)
    assert problems(lost, NOW) == ("the key of the CA is missing",)
    assert rotated(lost, 1).material is not None


def test_the_description_has_roles_names_due_times_and_the_phase() -> None:
    """The description shows which authority signs, which signs next and which no longer signs."""
    begun = changed(rotated(material(), 1))
    promoted = changed(rotated(begun, 1.001))
    during = describe(begun, now=NOW + DAY, lifetimes=LIFETIMES)
    after = describe(promoted, now=NOW + DAY, lifetimes=LIFETIMES)

    assert "CA (signs next): CN=eem-guardrail CA" in during
    assert "CA (signs): CN=eem-guardrail CA" in during
    assert "signs after every webhook configuration has trusted it for the propagation time" in during
    assert "CA (no longer signs)" in after
    assert "leaves the bundle after 2027-03-08T12:00:00Z" in after
    assert "renewal due: 2027-03-06T04:00:00Z" in during
    assert "rotation: none" in describe(material(), now=NOW, lifetimes=LIFETIMES)
    assert "names:       eem-guardrail, eem-guardrail.guard, eem-guardrail.guard.svc" in during


def test_the_phase_says_when_an_old_authority_leaves_the_bundle() -> None:
    """It leaves after its last serving certificate has expired; without a known one, after it has expired itself."""
    made, old, unknown = material(), authority(), authority(days=100)
    leaf = pair(old, days=7)
    bundle = (*made.bundle, old.certificate)
    recorded = Material(bundle=bundle, signer=made.signer, leaf=made.leaf, retired=(leaf.certificate,))
    served = Material(bundle=bundle, signer=made.signer, leaf=leaf)
    unrecorded = Material(bundle=(*made.bundle, unknown.certificate), signer=made.signer, leaf=made.leaf)

    assert phase(made, NOW) == "none"
    for found in (recorded, served):
        assert phase(found, NOW).endswith("leaves the bundle after 2027-03-08T12:00:00Z")
        assert phase(found, NOW + 7 * DAY).endswith("leaves the bundle with the next step")
    assert phase(unrecorded, NOW).endswith("leaves the bundle after 2027-06-09T12:00:00Z")
