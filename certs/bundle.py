"""
Write and read a CA bundle (`caBundle`), and track for how long every webhook configuration has trusted an authority.

While one authority replaces another, the bundle holds both: every authority that may have signed a serving certificate
still in use. A bundle has one order (newest first) and holds each authority once, so that two bundles with the same
content have the same bytes. What is published comes from the API server and may be malformed.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from certs.authority import UNREADABLE, CertificateError, fingerprint

MAX_BUNDLE_BYTES = 64 * 1024  # about eighty P-256 authorities; some libraries parse hostile PEM in quadratic time
_BEGIN = b"-----BEGIN"

Published = Sequence[bytes] | None  # the caBundle of every webhook entry; None while it is unknown


def newest_first(certificates: Iterable[x509.Certificate]) -> tuple[x509.Certificate, ...]:
    """Return each certificate once, in the order of a bundle. Expired certificates are included."""
    distinct = list({fingerprint(certificate): certificate for certificate in certificates}.items())
    distinct.sort(key=lambda item: item[0])  # orders two authorities that were made in the same second
    distinct.sort(key=lambda item: item[1].not_valid_before_utc, reverse=True)
    return tuple(certificate for _, certificate in distinct)


def bundle_to_pem(bundle: Iterable[x509.Certificate]) -> bytes:
    """Return certificates as PEM, in the given order."""
    return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in bundle)


def bundle_from_pem(pem: bytes) -> tuple[x509.Certificate, ...]:
    """
    Parse every certificate of a bundle, in the order of the text.

    Raises:
        CertificateError: the bundle is too large, has no certificate, or has one that cannot be parsed.
    """
    if len(pem) > MAX_BUNDLE_BYTES:
        raise CertificateError(f"the bundle has {len(pem)} bytes, the limit is {MAX_BUNDLE_BYTES}")
    try:
        return certificates_in(pem)
    except UNREADABLE as error:
        raise CertificateError(f"the bundle cannot be read: {error}") from error


def certificates_in(pem: bytes) -> tuple[x509.Certificate, ...]:
    """
    Parse every certificate of PEM text.

    Raises:
        UNREADABLE: there is no certificate, one cannot be parsed, or one is truncated (the parser alone ignores that).
    """
    found = tuple(x509.load_pem_x509_certificates(pem))
    if len(found) != pem.count(_BEGIN):
        raise ValueError("a certificate is truncated")
    return found


@lru_cache(maxsize=16)
def authorities_in(bundle: bytes) -> frozenset[str]:
    """Return the fingerprints of a published bundle: an empty set if it is empty or cannot be parsed."""
    try:
        return frozenset(fingerprint(each) for each in bundle_from_pem(bundle))
    except CertificateError:
        return frozenset()


def trusted_since(
    before: Mapping[str, float], wanted: frozenset[str], published: Published, monotonic: float
) -> dict[str, float]:
    """
    Return since when each wanted authority has been in every published bundle, without an observed interruption.

    While the published bundles are unknown, no authority counts as trusted. If there is no webhook entry, the API
    server calls no webhook, and every wanted authority counts as trusted.

    Args:
        before: the previous result of this function.
        wanted: fingerprints.
        monotonic: the time now, in seconds of the monotonic clock.
    """
    if published is None:
        return {}
    trusted = wanted.intersection(*(authorities_in(each) for each in published))
    return {each: before.get(each, monotonic) for each in trusted}


def knows_all(known: frozenset[str], published: Published) -> bool:
    """Whether every published authority is *known*. If one is not, this replica has missed a rotation."""
    if published is None:
        return False
    return all(authorities_in(each) <= known for each in published)


def nothing_published(published: Published) -> bool:
    """Whether it is certain that no webhook entry has a bundle."""
    return published is not None and not any(published)
