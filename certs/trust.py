"""
Know for how long each authority has been trusted by every caller, as far as this process has seen.

What is published is read from the API server and may be anything. Time is the monotonic clock's, as an argument.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache

from certs.authority import CertificateError, fingerprint
from certs.bundle import bundle_from_pem

Published = Sequence[bytes] | None  # the caBundle of every webhook entry; None while nobody knows


@lru_cache(maxsize=16)
def authorities_in(bundle: bytes) -> frozenset[str]:
    """Give the fingerprints of a published bundle; none where it is empty or cannot be read."""
    try:
        return frozenset(fingerprint(each) for each in bundle_from_pem(bundle))
    except CertificateError:
        return frozenset()


def trusted_since(
    before: Mapping[str, float], wanted: frozenset[str], published: Published, monotonic: float
) -> dict[str, float]:
    """
    Say since when each wanted authority has been in every bundle without a break that was seen.

    While nobody knows what is published, nothing counts as trusted. Where there is no entry at all nobody calls, and
    so nobody fails to trust.

    Args:
        before: what this function gave the last time.
        wanted: fingerprints.
        monotonic: seconds now.
    """
    if published is None:
        return {}
    trusted = wanted.intersection(*(authorities_in(each) for each in published))
    return {each: before.get(each, monotonic) for each in trusted}


def knows_all(known: frozenset[str], published: Published) -> bool:
    """Say whether nothing is published but what is known: whoever knows less has missed a rotation."""
    if published is None:
        return False
    return all(authorities_in(each) <= known for each in published)


def nothing_published(published: Published) -> bool:
    """Say whether it is sure that no entry has a bundle."""
    return published is not None and not any(published)
