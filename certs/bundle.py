"""
Put together the `caBundle` that the API server trusts while one authority takes over from another.

A bundle is the set of authorities that any serving certificate still in use may be signed by. It has one order for
one content (newest first), so that comparing two bundles is comparing bytes, and never holds an authority twice.
"""

from collections.abc import Iterable
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from certs.authority import UNREADABLE, CertificateError, fingerprint

MAX_BUNDLE_BYTES = 64 * 1024  # some eighty P-256 authorities; parsing hostile PEM is quadratic in some libraries
_BEGIN = b"-----BEGIN"


def make_bundle(certificates: Iterable[x509.Certificate], *, now: datetime) -> tuple[x509.Certificate, ...]:
    """
    Order authorities newest first, each once, and leave out those that have expired at `now`.

    One that is not valid yet stays: the clock that says so may be the one that is wrong.
    """
    return tuple(each for each in newest_first(certificates) if each.not_valid_after_utc > now)


def newest_first(certificates: Iterable[x509.Certificate]) -> tuple[x509.Certificate, ...]:
    """Give each certificate once, in the one order of a bundle, expired or not."""
    distinct = list({fingerprint(certificate): certificate for certificate in certificates}.items())
    distinct.sort(key=lambda item: item[0])  # decides between two authorities made in the same second
    distinct.sort(key=lambda item: item[1].not_valid_before_utc, reverse=True)
    return tuple(certificate for _, certificate in distinct)


def bundle_to_pem(bundle: Iterable[x509.Certificate]) -> bytes:
    """Write a bundle as PEM, in its own order."""
    return b"".join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in bundle)


def bundle_from_pem(pem: bytes) -> tuple[x509.Certificate, ...]:
    """
    Read every certificate of a bundle, in the order written.

    Raises:
        CertificateError: it is too large, holds no certificate, or one that cannot be read.
    """
    if len(pem) > MAX_BUNDLE_BYTES:
        raise CertificateError(f"the bundle has {len(pem)} bytes, at most {MAX_BUNDLE_BYTES} are read")
    try:
        return certificates_in(pem)
    except UNREADABLE as error:
        raise CertificateError(f"the bundle cannot be read: {error}") from error


def certificates_in(pem: bytes) -> tuple[x509.Certificate, ...]:
    """
    Read every certificate of PEM text.

    Raises:
        UNREADABLE: there is none, one cannot be read, or one is cut off, which the parser alone would pass over.
    """
    found = tuple(x509.load_pem_x509_certificates(pem))
    if len(found) != pem.count(_BEGIN):
        raise ValueError("a certificate is cut off")
    return found
