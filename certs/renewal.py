"""Decide when a certificate is due to be replaced: at two thirds of its life, a little earlier by chance."""

from datetime import datetime
from fractions import Fraction

RENEW_AT = Fraction(2, 3)  # of the lifetime: leaves a third to notice and repair a renewal that fails
JITTER_SHARE = Fraction(1, 20)  # of the lifetime, at most: replicas started together do not all renew together


def renewal_time(not_before: datetime, not_after: datetime, *, jitter: float = 0.0) -> datetime:
    """
    Say when a certificate should be replaced.

    Args:
        not_before: aware start of its validity.
        not_after: aware end of its validity.
        jitter: 0 to 1, drawn by the caller; 1 renews a twentieth of the lifetime earlier than 0.
    """
    if not 0.0 <= jitter <= 1.0:
        raise ValueError(f"jitter {jitter} is not between 0 and 1")
    share = float(RENEW_AT) - float(JITTER_SHARE) * jitter
    return not_before + (not_after - not_before) * share


def needs_renewal(not_before: datetime, not_after: datetime, now: datetime, *, jitter: float = 0.0) -> bool:
    """
    Say whether a certificate should be replaced at `now`.

    A certificate from the future is not due: a clock that stepped back is no reason to issue anything.
    """
    return now >= renewal_time(not_before, not_after, jitter=jitter)
