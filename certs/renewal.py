"""
Decide when a certificate is due to be replaced: at two thirds of its life, a little earlier by chance.

The life is what was given to it when it was made. Its validity is longer, for it begins some time before that (the
backdate, for clocks that are behind): two thirds of the validity of a certificate of 20 seconds would be over before
it was made.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from cryptography import x509

from certs.authority import BACKDATE, CA_LIFETIME, LEAF_LIFETIME, CertificateError

RENEW_AT = Fraction(2, 3)  # of the lifetime: leaves a third to notice and repair a renewal that fails
OVERDUE_AT = Fraction(5, 6)  # of the lifetime: half of the time that there is to repair a renewal has gone
JITTER_SHARE = Fraction(1, 20)  # of the lifetime, at most: replicas started together do not all renew together
PROPAGATION_SECONDS = 60.0  # API servers of one cluster see a changed configuration within seconds, not minutes


@dataclass(frozen=True, kw_only=True, slots=True)
class Lifetimes:
    """
    How long things last.

    Args:
        ca: life of an authority.
        leaf: life of a serving certificate.
        propagation_seconds: for how long an authority must have been seen in every bundle before it signs.
        backdate: how far before it is made a certificate begins to be valid.

    Raises:
        CertificateError: one of them is not positive (the backdate may be nothing).
    """

    ca: timedelta = CA_LIFETIME
    leaf: timedelta = LEAF_LIFETIME
    propagation_seconds: float = PROPAGATION_SECONDS
    backdate: timedelta = BACKDATE

    def __post_init__(self) -> None:
        second = timedelta(seconds=1)  # X.509 knows no smaller unit
        if self.ca < second or self.leaf < second or self.propagation_seconds <= 0 or self.backdate < timedelta(0):
            raise CertificateError(f"lifetimes must be a second or more, and waits positive: {self}")

    @property
    def settling_seconds(self) -> float:
        """
        How long the Secret must have held leaves of a new authority before the old one may leave.

        Once for the other replicas to be sure that the new one is trusted, once for what they serve from then on.
        """
        return 2 * self.propagation_seconds


def renewal_time(  # noqa: PLR0913 - the certificate, what one gets today, and at what of its life
    not_before: datetime,
    not_after: datetime,
    *,
    backdate: timedelta = timedelta(0),
    lifetime: timedelta | None = None,
    jitter: float = 0.0,
    share: Fraction = RENEW_AT,
) -> datetime:
    """
    Say when a certificate should be replaced.

    Args:
        not_before: aware start of its validity.
        not_after: aware end of its validity.
        backdate: how long before it was made its validity begins; one valid for no longer was made without.
        lifetime: what such a certificate gets today; one that got more is replaced a third of this before its end.
        jitter: 0 to 1, drawn by the caller; 1 renews a twentieth of the lifetime earlier than 0.
        share: of the lifetime, after which it should be replaced.
    """
    if not 0.0 <= jitter <= 1.0:
        raise ValueError(f"jitter {jitter} is not between 0 and 1")
    validity = not_after - not_before
    life = validity - backdate if validity > backdate else validity
    if lifetime is not None:
        life = min(life, lifetime)
    return not_after - life * (float(1 - share) + float(JITTER_SHARE) * jitter)


def needs_renewal(
    not_before: datetime, not_after: datetime, now: datetime, *, backdate: timedelta = timedelta(0)
) -> bool:
    """
    Say whether a certificate should be replaced at `now`.

    A certificate from the future is not due: a clock that stepped back is no reason to issue anything.
    """
    return now >= renewal_time(not_before, not_after, backdate=backdate)


def created(authority: x509.Certificate, lifetimes: Lifetimes) -> datetime:
    """Say when an authority was made."""
    return authority.not_valid_before_utc + lifetimes.backdate


def authority_due(authority: x509.Certificate, lifetimes: Lifetimes, *, jitter: float = 0.0) -> datetime:
    """Say when an authority should begin to be replaced."""
    return _due(authority, lifetimes.ca, lifetimes, jitter)


def leaf_due(leaf: x509.Certificate, lifetimes: Lifetimes, *, jitter: float = 0.0) -> datetime:
    """Say when a serving certificate should be replaced."""
    return _due(leaf, lifetimes.leaf, lifetimes, jitter)


def leaf_overdue(leaf: x509.Certificate, lifetimes: Lifetimes) -> datetime:
    """Say when a serving certificate should have been replaced long ago."""
    return _due(leaf, lifetimes.leaf, lifetimes, share=OVERDUE_AT)


def _due(
    certificate: x509.Certificate,
    lifetime: timedelta,
    lifetimes: Lifetimes,
    jitter: float = 0.0,
    share: Fraction = RENEW_AT,
) -> datetime:
    return renewal_time(
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        backdate=lifetimes.backdate,
        lifetime=lifetime,
        jitter=jitter,
        share=share,
    )
