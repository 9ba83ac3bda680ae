"""
Decide when a certificate is due for replacement: at two thirds of its lifetime, or a little earlier at random.

The lifetime begins when the certificate is made. Its validity begins earlier, by the backdate (for clocks that are
behind). The lifetime counts, not the validity: two thirds of the validity of a certificate that lives for 20 seconds
end before the certificate is made.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509

from certs.authority import BACKDATE, CA_LIFETIME, LEAF_LIFETIME, CertificateError

RENEW_AT = 2 / 3  # of the lifetime: leaves a third to notice and repair a renewal that fails
OVERDUE_AT = 5 / 6  # of the lifetime: half of the time to repair a renewal has passed
JITTER_SHARE = 1 / 20  # of the lifetime, at most: replicas that started together do not all renew together
PROPAGATION_SECONDS = 60.0  # the API servers of a cluster see a changed configuration within seconds, not minutes


@dataclass(frozen=True, kw_only=True, slots=True)
class Lifetimes:
    """
    How long certificates live, and how long a rotation waits.

    Args:
        ca: lifetime of an authority.
        leaf: lifetime of a serving certificate.
        propagation_seconds: how long an authority must have been observed in every bundle before it signs.
        backdate: how long before its creation the validity of a certificate begins.

    Raises:
        CertificateError: a lifetime is below one second, the wait is not positive, or the backdate is negative.
    """

    ca: timedelta = CA_LIFETIME
    leaf: timedelta = LEAF_LIFETIME
    propagation_seconds: float = PROPAGATION_SECONDS
    backdate: timedelta = BACKDATE

    def __post_init__(self) -> None:
        second = timedelta(seconds=1)  # the smallest unit of X.509
        if self.ca < second or self.leaf < second or self.propagation_seconds <= 0 or self.backdate < timedelta(0):
            raise CertificateError(f"lifetimes must be at least one second, and waits must be positive: {self}")

    @property
    def settling_seconds(self) -> float:
        """
        How long the Secret must have held leaves of a new authority before the old authority may be removed.

        The first half lets the other replicas observe that the new authority is trusted. The second half covers what
        they serve from then on.
        """
        return 2 * self.propagation_seconds


def renewal_time(  # noqa: PLR0913 - the validity, how the lifetime follows from it, and the part of it that may pass
    not_before: datetime,
    not_after: datetime,
    *,
    backdate: timedelta = timedelta(0),
    lifetime: timedelta | None = None,
    jitter: float = 0.0,
    share: float = RENEW_AT,
) -> datetime:
    """
    Return when a certificate should be replaced.

    Args:
        not_before: start of its validity, with a time zone.
        not_after: end of its validity, with a time zone.
        backdate: how long before its creation its validity began. A certificate whose validity is not longer than this
            was made without a backdate.
        lifetime: the lifetime that a new certificate would get. A certificate with a longer one is replaced a third of
            this before its end. None: there is no such limit.
        jitter: 0 to 1, drawn by the caller; 1 renews a twentieth of the lifetime earlier than 0.
        share: the part of the lifetime after which it should be replaced, 0 to 1.
    """
    if not 0.0 <= jitter <= 1.0:
        raise ValueError(f"jitter {jitter} is not between 0 and 1")
    validity = not_after - not_before
    life = validity - backdate if validity > backdate else validity
    if lifetime is not None:
        life = min(life, lifetime)
    return not_after - life * (1 - share + JITTER_SHARE * jitter)


def created(authority: x509.Certificate, lifetimes: Lifetimes) -> datetime:
    """Return when an authority was made."""
    return authority.not_valid_before_utc + lifetimes.backdate


def authority_due(authority: x509.Certificate, lifetimes: Lifetimes, *, jitter: float = 0.0) -> datetime:
    """Return when the rotation to a successor of an authority should begin."""
    return _due(authority, lifetimes.ca, lifetimes, jitter)


def leaf_due(leaf: x509.Certificate, lifetimes: Lifetimes, *, jitter: float = 0.0) -> datetime:
    """Return when a serving certificate should be replaced."""
    return _due(leaf, lifetimes.leaf, lifetimes, jitter)


def leaf_overdue(leaf: x509.Certificate, lifetimes: Lifetimes) -> datetime:
    """Return from when on any replica, not only the leader, may replace a serving certificate."""
    return _due(leaf, lifetimes.leaf, lifetimes, share=OVERDUE_AT)


def _due(
    certificate: x509.Certificate,
    lifetime: timedelta,
    lifetimes: Lifetimes,
    jitter: float = 0.0,
    share: float = RENEW_AT,
) -> datetime:
    return renewal_time(
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        backdate=lifetimes.backdate,
        lifetime=lifetime,
        jitter=jitter,
        share=share,
    )
